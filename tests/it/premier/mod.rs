//! Premier, the shipped online cinema: what its marts say is what plain loops over the platform's rows find, in every profile.

mod facts;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{Datelike, Days, NaiveDate, Utc};
use serde_json::Value as Json;

use crate::support::{clickhouse, postgres, project::Sandbox};
use facts::{Facts, day, int, kopecks, text};

/// The project under one profile.
struct Cinema {
    here: Sandbox,
    profile: &'static str,
    variables: Vec<(String, String)>,
}

impl Cinema {
    /// Four months of history, all of it moved and computed. A title is renamed and a genre corrected half-way.
    fn new(profile: &'static str, platform: &str, variables: Vec<(String, String)>) -> Self {
        let here = Sandbox::new(&[]);
        here.must(&["init", "p", "--template", "premier"]);
        let edit = |file: &str, old: &str, new: &str| {
            let file = here.path("p").join(file);
            let text = std::fs::read_to_string(&file).unwrap();
            assert!(text.contains(old), "{old} in {}", file.display());
            std::fs::write(file, text.replacen(old, new, 1)).unwrap();
        };
        let ago = |days| Utc::now().date_naive().checked_sub_days(Days::new(days)).unwrap();
        edit("pipelines/platform_viewers.toml", "start = 2024-11-01", &format!("start = {}", ago(120)));
        let renamed =
            "tv_id = 104, title_ru = \"Новый ледоход\", genre_name = \"драма\", age_restriction = 12";
        edit(
            "pipelines/platform_titles.toml",
            "rows = [",
            &format!("rows = [\n{{ at = {}, {renamed} }},", ago(30)),
        );
        let head = "[profile.services.connections.platform]\n";
        edit("vitrina.toml", head, &format!("{head}{platform}"));
        let cinema = Self { here, profile, variables };
        cinema.vitrina(&["check"]);
        cinema.vitrina(&["run", "--all"]);
        cinema
    }

    fn embedded() -> Self {
        Self::new("default", "", vec![])
    }

    fn vitrina(&self, arguments: &[&str]) -> String {
        let mut command = self.here.command(&["--project", "p", "--profile", self.profile]);
        let ran = command.args(arguments).envs(self.variables.clone()).output().unwrap();
        let (stdout, stderr) =
            (String::from_utf8(ran.stdout).unwrap(), String::from_utf8(ran.stderr).unwrap());
        assert!(ran.status.success(), "{arguments:?}: {stderr}");
        stdout
    }

    fn rows(&self, sql: &str) -> Vec<Json> {
        let text = self.vitrina(&["query", sql, "--format", "ndjson"]);
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// All marts against the platform's rows.
    fn agrees(&self) {
        let facts = Facts::of(|sql| self.rows(sql));
        assert!(facts.views.len() > 2_000 && facts.payments.len() > 200, "something to compute with");
        self.billing_agrees(&facts);
        self.allocation_agrees(&facts);
        self.views_agree(&facts);
        self.audience_agrees(&facts);
        self.conversion_agrees(&facts);
        self.churn_agrees(&facts);
        self.titles_agree();
    }

    /// Days of subscriptions are counted as a set of days.
    fn billing_agrees(&self, facts: &Facts) {
        let (mut money, mut ltv) = (BTreeMap::<i64, i64>::new(), BTreeMap::<i64, i64>::new());
        let (mut days, mut ends) = (BTreeMap::<i64, BTreeSet<NaiveDate>>::new(), BTreeMap::new());
        for period in facts.periods() {
            *money.entry(period.subscription).or_default() += period.kopecks;
            *ltv.entry(period.passport).or_default() += period.kopecks;
            let of_viewer = days.entry(period.passport).or_default();
            of_viewer.extend(period.from.iter_days().take_while(|day| *day < period.until));
            let end = ends.entry(period.subscription).or_insert(period.until);
            *end = period.until.max(*end);
        }
        let expected: BTreeMap<i64, _> = facts
            .subscriptions
            .iter()
            .map(|subscription| {
                let (id, passport) = (subscription.id, subscription.passport);
                let end = ends.get(&id).copied().unwrap_or(subscription.start);
                let sum = |sums: &BTreeMap<i64, i64>, of| sums.get(&of).copied().unwrap_or(0);
                let lifetime = days.get(&passport).map_or(0, |days| days.len() as i64);
                let kind = subscription.kind.clone();
                (
                    id,
                    (passport, kind, subscription.start, end, sum(&money, id), sum(&ltv, passport), lifetime),
                )
            })
            .collect();
        let found: BTreeMap<i64, _> = self
            .rows("SELECT * FROM mart.extended_billing_aggregate")
            .iter()
            .map(|row| {
                let dates = (day(row, "start_date"), day(row, "end_date"));
                let sums = (kopecks(row, "money"), kopecks(row, "LTV"));
                let viewer = (int(row, "passport_id"), text(row, "subscription_kind"));
                (
                    int(row, "subscription_id"),
                    (viewer.0, viewer.1, dates.0, dates.1, sums.0, sums.1, int(row, "LT_total")),
                )
            })
            .collect();
        assert_eq!(found, expected);
        let overlapping = days.iter().any(|(passport, days)| {
            let sum: i64 = facts
                .periods()
                .iter()
                .filter(|period| period.passport == *passport)
                .map(|period| (period.until - period.from).num_days())
                .sum();
            sum > days.len() as i64
        });
        assert!(overlapping, "some subscriptions overlap");
    }

    fn allocation_agrees(&self, facts: &Facts) {
        type Place = (NaiveDate, i64, i64);
        let mut watched: BTreeMap<i64, BTreeMap<Place, i64>> = BTreeMap::new();
        let mut expected: BTreeMap<Option<Place>, BTreeMap<NaiveDate, (i64, i64)>> = BTreeMap::new();
        for view in facts.views.iter().filter(|view| view.seconds > 0) {
            let place = (view.day, view.tv, view.season);
            *watched.entry(view.passport).or_default().entry(place).or_default() += view.seconds;
            expected.entry(Some(place)).or_default().entry(view.day).or_default().0 += view.seconds;
        }
        let nothing = BTreeMap::new();
        for payment in &facts.payments {
            let of_viewer = watched.get(&payment.passport).unwrap_or(&nothing);
            let paid = |place: &Place| place.0 >= payment.from && place.0 < payment.until;
            let shares: Vec<_> = of_viewer.iter().filter(|(place, _)| paid(place)).collect();
            let all: i64 = shares.iter().map(|(_, seconds)| **seconds).sum();
            if all == 0 {
                expected.entry(None).or_default().entry(payment.from).or_default().1 += payment.kopecks;
                continue;
            }
            // Kopeck by kopeck to whoever is furthest below their share, after what is theirs for sure.
            let mut parts: Vec<_> = shares
                .iter()
                .map(|(place, seconds)| {
                    (payment.kopecks * **seconds % all, **place, payment.kopecks * **seconds / all)
                })
                .collect();
            let given: i64 = parts.iter().map(|part| part.2).sum();
            parts.sort_by_key(|(remainder, place, _)| (-remainder, *place));
            for (nth, (_, place, whole)) in (0_i64..).zip(parts) {
                let more = i64::from(nth < payment.kopecks - given);
                expected.entry(Some(place)).or_default().entry(place.0).or_default().1 += whole + more;
            }
        }
        let table = "content_dash_table_till_user_driver_allocation_from_2020_history";
        let mut found: BTreeMap<Option<Place>, BTreeMap<NaiveDate, (i64, i64)>> = BTreeMap::new();
        let mut sum = 0;
        for row in self.rows(&format!("SELECT * FROM mart.{table}")) {
            let at = day(&row, "dt");
            let place = row["tv_id"].as_i64().map(|tv| (at, tv, int(&row, "season_num")));
            let title = row["tv_id"].as_i64().and_then(|tv| facts.title(tv, at));
            assert_eq!(row["title_ru"].as_str(), title.map(|title| title.name.as_str()), "{row}");
            let values = (int(&row, "watching_time"), kopecks(&row, "alloc_revenue"));
            sum += values.1;
            assert!(found.entry(place).or_default().insert(at, values).is_none(), "twice: {row}");
        }
        assert!(found[&None].len() > 3, "some payments were not watched for");
        assert_eq!(found, expected);
        assert_eq!(sum, facts.payments.iter().map(|payment| payment.kopecks).sum::<i64>(), "to the kopeck");
    }

    fn views_agree(&self, facts: &Facts) {
        let mut expected: BTreeMap<_, (i64, i64, i64)> = BTreeMap::new();
        let periods = facts.periods();
        for view in &facts.views {
            let running = periods
                .iter()
                .filter(|period| {
                    period.passport == view.passport && period.from <= view.day && period.until > view.day
                })
                .max_by_key(|period| (period.from, period.subscription));
            let running = running.map(|period| (period.subscription, facts.kind(period.subscription)));
            let title = facts.title(view.tv, view.day).map(|title| (title.genre.clone(), title.age));
            let region = facts.region(view.region, view.day);
            let key = (view.day, view.passport, view.tv, view.season, view.episode, running, title, region);
            let counts = expected.entry(key).or_default();
            *counts = (counts.0 + 1, counts.1 + i64::from(view.seconds >= 180), counts.2 + view.seconds);
        }
        let rows = self.rows("SELECT * FROM mart.episode_views_by_viewer");
        let found: BTreeMap<_, (i64, i64, i64)> = rows
            .iter()
            .map(|row| {
                let running = row["subscription_id"].as_i64().map(|id| (id, text(row, "subscription_kind")));
                let title =
                    row["genre_name"].as_str().map(|genre| (genre.to_owned(), int(row, "age_restriction")));
                let region = row["geo_region_title_ru"].as_str().map(str::to_owned);
                let episode = (int(row, "tv_id"), int(row, "season_num"), int(row, "episode_num"));
                let key = (
                    day(row, "dt"),
                    int(row, "passport_id"),
                    episode.0,
                    episode.1,
                    episode.2,
                    running,
                    title,
                    region,
                );
                (key, (int(row, "cnt_views"), int(row, "cnt_views_3min"), int(row, "view_duration_s")))
            })
            .collect();
        assert_eq!(rows.len(), found.len(), "one row a viewer, episode and day");
        assert_eq!(found, expected);
        let genres: BTreeSet<_> = found.keys().filter(|key| key.2 == 104).map(|key| key.6.clone()).collect();
        assert!(genres.len() > 1, "a genre that was corrected holds from its day on: {genres:?}");
    }

    fn audience_agrees(&self, facts: &Facts) {
        let mut by_day: BTreeMap<NaiveDate, BTreeSet<i64>> = BTreeMap::new();
        let mut weeks: BTreeMap<i64, BTreeSet<NaiveDate>> = BTreeMap::new();
        for visit in &facts.visits {
            by_day.entry(visit.day).or_default().insert(visit.passport);
            let monday = visit.day - Days::new(u64::from(visit.day.weekday().num_days_from_monday()));
            weeks.entry(visit.passport).or_default().insert(monday);
        }
        let within = |last: NaiveDate, days: u64| {
            let viewers: BTreeSet<_> =
                by_day.range(last - Days::new(days - 1)..=last).flat_map(|(_, viewers)| viewers).collect();
            viewers.len() as i64
        };
        let actives: BTreeMap<_, _> = self
            .rows("SELECT * FROM mart.daily_actives")
            .iter()
            .map(|row| (day(row, "dt"), (int(row, "dau"), int(row, "wau"), int(row, "mau"))))
            .collect();
        let expected =
            by_day.keys().map(|dt| (*dt, (within(*dt, 1), within(*dt, 7), within(*dt, 30)))).collect();
        assert_eq!(actives, expected);

        let mut expected: BTreeMap<(NaiveDate, i64), i64> = BTreeMap::new();
        for weeks in weeks.values() {
            let first = *weeks.first().unwrap();
            for week in weeks {
                *expected.entry((first, (*week - first).num_days() / 7)).or_default() += 1;
            }
        }
        let retention: BTreeMap<_, _> = self
            .rows("SELECT * FROM mart.retention_by_cohort")
            .iter()
            .map(|row| {
                let cohort = day(row, "cohort_week");
                assert_eq!(int(row, "cohort_size"), expected[&(cohort, 0)]);
                let share = int(row, "viewers") as f64 / int(row, "cohort_size") as f64;
                assert!((row["retention"].as_f64().unwrap() - share).abs() < 1e-6, "{row}");
                ((cohort, int(row, "week_num")), int(row, "viewers"))
            })
            .collect();
        assert_eq!(retention, expected);
    }

    fn conversion_agrees(&self, facts: &Facts) {
        let mut first: BTreeMap<i64, (NaiveDate, i64)> = BTreeMap::new();
        for visit in &facts.visits {
            let entry = first.entry(visit.passport).or_insert((visit.day, visit.region));
            *entry = (*entry).min((visit.day, visit.region));
        }
        let mut expected: BTreeMap<(NaiveDate, Option<String>), [i64; 5]> = BTreeMap::new();
        for (passport, (dt, region)) in first {
            let tried = facts.subscriptions.iter().any(|one| one.passport == passport && one.trial_days > 0);
            let paid = facts.payments.iter().filter(|one| one.passport == passport).map(|one| one.from).min();
            let soon = paid.is_some_and(|paid| (paid - dt).num_days() < 30);
            let counts = expected.entry((dt, facts.region(region, dt))).or_default();
            let more = [true, tried, paid.is_some(), tried && paid.is_some(), soon];
            counts.iter_mut().zip(more).for_each(|(count, more)| *count += i64::from(more));
        }
        let names = ["visitors", "trials", "payers", "payers_with_trial", "payers_30d"];
        let found: BTreeMap<_, _> = self
            .rows("SELECT * FROM mart.conversion")
            .iter()
            .map(|row| {
                let region = row["geo_region_title_ru"].as_str().map(str::to_owned);
                ((day(row, "dt"), region), names.map(|name| int(row, name)))
            })
            .collect();
        assert_eq!(found, expected);
    }

    fn churn_agrees(&self, facts: &Facts) {
        let first_of = |day: NaiveDate| day.with_day(1).unwrap();
        let with_access = |on: NaiveDate| -> BTreeSet<i64> {
            let holds = facts.periods().into_iter().filter(|period| period.from <= on && period.until > on);
            holds.map(|period| period.passport).collect()
        };
        let (first, last) = (
            facts.visits.iter().map(|visit| visit.day).min(),
            facts.visits.iter().map(|visit| visit.day).max(),
        );
        let (mut month, this_month) = (first_of(first.unwrap()), first_of(last.unwrap()));
        let mut expected = BTreeMap::new();
        while month < this_month {
            let next = month + chrono::Months::new(1);
            let (before, after) = (with_access(month), with_access(next));
            let count = |set: BTreeSet<&i64>| set.len() as i64;
            let lost = count(before.difference(&after).collect());
            let gained = count(after.difference(&before).collect());
            expected.insert(month, [before.len() as i64, gained, lost, after.len() as i64]);
            month = next;
        }
        let names = ["at_start", "gained", "lost", "at_end"];
        let rows = self.rows("SELECT * FROM mart.churn");
        let found: BTreeMap<_, _> =
            rows.iter().map(|row| (day(row, "month"), names.map(|name| int(row, name)))).collect();
        assert!(found.len() > 1);
        assert_eq!(found, expected);
    }

    /// The months' totals are those of the marts beneath.
    fn titles_agree(&self) {
        let rows = self.rows("SELECT * FROM mart.top_titles ORDER BY month, place");
        let sum = |name: &str| rows.iter().map(|row| int(row, name)).sum::<i64>();
        let views = self
            .rows("SELECT sum(cnt_views) AS n, sum(view_duration_s) AS s FROM mart.episode_views_by_viewer");
        assert_eq!((sum("cnt_views"), sum("watching_time")), (int(&views[0], "n"), int(&views[0], "s")));
        for pair in rows.windows(2).filter(|pair| pair[0]["month"] == pair[1]["month"]) {
            assert_eq!(int(&pair[0], "place") + 1, int(&pair[1], "place"));
            assert!(int(&pair[0], "watching_time") >= int(&pair[1], "watching_time"));
        }
    }
}

#[test]
fn marts_agree_with_plain_loops() {
    let cinema = Cinema::embedded();
    cinema.agrees();
    for name in ["revenue", "content", "audience"] {
        assert!(cinema.here.path(&format!("p/data/dashboards/premier_{name}.xlsx")).is_file());
    }
    cinema.vitrina(&["run", "--all"]);
    cinema.agrees();
}

#[test]
fn marts_agree_in_postgres_and_clickhouse() {
    let (platform, analytics) = (postgres::Place::new(), clickhouse::Place::new());
    let database = ("VITRINA_CLICKHOUSE_DATABASE".to_owned(), analytics.config.database.clone());
    let schema = toml::Value::String(platform.schema.clone());
    Cinema::new("services", &format!("schema = {schema}\n"), vec![database]).agrees();
}

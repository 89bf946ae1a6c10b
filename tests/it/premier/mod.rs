//! Premier, the shipped online cinema: what its marts and dashboards say is what plain loops over the platform's rows find, in every profile.

mod books;
mod facts;
mod sums;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{Days, NaiveDate, Utc};
use serde_json::Value as Json;

use crate::support::{clickhouse, postgres, project::Sandbox};
use facts::{Facts, day, int, kopecks, text};
use sums::{Place, month_of};

const MANUAL: &str = include_str!("../../../docs/premier.md");

/// The platform's tables, and what tells their rows apart.
const KEYS: [(&str, &str); 9] = [
    ("subscriptions", "subscription_id"),
    ("payments", "payment_id"),
    ("refunds", "refund_id"),
    ("visits", "visit_id"),
    ("views", "view_id"),
    ("user_actions", "action_id"),
    ("titles", "id"),
    ("seasons", "season_id"),
    ("regions", "id"),
];

/// The project under one profile.
struct Cinema {
    here: Sandbox,
    profile: &'static str,
    variables: Vec<(String, String)>,
}

impl Cinema {
    /// Three months of history, all of it moved and computed. A title is renamed and a genre corrected half-way.
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
        edit("pipelines/platform_viewers.toml", "start = 2024-11-01", &format!("start = {}", ago(90)));
        let window = format!("start = {}", ago(90));
        edit("marts/episode_views_by_viewer.toml", "start = 2024-11-01", &window);
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

    /// All marts and dashboards against the platform's rows.
    fn agrees(&self) {
        let facts = Facts::of(|sql| self.rows(sql));
        assert!(facts.views.len() > 2_000 && facts.payments.len() > 200, "something to compute with");
        self.rows_arrive();
        self.billing_agrees(&facts);
        self.allocation_agrees(&facts);
        self.views_agree(&facts);
        self.audience_agrees(&facts);
        self.conversion_agrees(&facts);
        self.churn_agrees(&facts);
        self.titles_agree(&facts);
        books::agree(&facts, |name| self.here.path(&format!("p/data/dashboards/premier_{name}.xlsx")));
    }

    /// Every row of the platform is where its pipeline takes it, once: as the manual's table of them says.
    fn rows_arrive(&self) {
        for (table, key) in KEYS {
            let row = MANUAL.lines().find(|line| line.starts_with(&format!("| `{table}` | ")));
            let cells: Vec<&str> = row.into_iter().flat_map(|row| row.split('`')).collect();
            let [_, _, _, pipeline, _, target, ..] = cells.as_slice() else { panic!("{table}: {row:?}") };
            let told = |from: String| {
                let sql = format!(
                    "SELECT count(*) AS n, count(DISTINCT {key}) AS keys, sum({key}) AS sum FROM {from}"
                );
                self.rows(&sql).remove(0)
            };
            let there = told(format!("platform.{table}"));
            assert!(int(&there, "n") > 0 && there["n"] == there["keys"], "{table}: {there}");
            assert_eq!(told(format!("pipeline.{pipeline}")), there, "{table}");
            assert_eq!(told(format!("analytics.{target}")), there, "{table}");
        }
    }

    fn billing_agrees(&self, facts: &Facts) {
        let expected = facts.billing();
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
        let mut lengths = BTreeMap::<i64, i64>::new();
        for period in facts.periods() {
            *lengths.entry(period.passport).or_default() += (period.until - period.from).num_days();
        }
        let overlapping =
            expected.values().any(|billing| lengths.get(&billing.0).is_some_and(|all| *all > billing.6));
        assert!(overlapping, "some subscriptions overlap");
    }

    fn allocation_agrees(&self, facts: &Facts) {
        let expected = facts.allocated();
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
        for (view, running) in facts.views.iter().zip(facts.running()) {
            let running = running.map(|id| (id, facts.kind(id)));
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
        let names = ["dau", "wau", "mau", "new_viewers", "visits", "watching", "watching_time"];
        let rows = self.rows("SELECT * FROM mart.daily_actives");
        let actives: BTreeMap<_, _> =
            rows.iter().map(|row| (day(row, "dt"), names.map(|name| int(row, name)))).collect();
        assert_eq!(rows.len(), actives.len(), "one row a day");
        assert_eq!(actives, facts.actives());

        let expected = facts.cohorts();
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
        let names = ["visitors", "trials", "payers", "payers_with_trial", "payers_30d"];
        let found: BTreeMap<_, _> = self
            .rows("SELECT * FROM mart.conversion")
            .iter()
            .map(|row| {
                let region = row["geo_region_title_ru"].as_str().map(str::to_owned);
                ((day(row, "dt"), region), names.map(|name| int(row, name)))
            })
            .collect();
        assert_eq!(found, facts.conversion());
    }

    fn churn_agrees(&self, facts: &Facts) {
        let names = ["at_start", "gained", "lost", "at_end"];
        let rows = self.rows("SELECT * FROM mart.churn");
        let found: BTreeMap<_, _> =
            rows.iter().map(|row| (day(row, "month"), names.map(|name| int(row, name)))).collect();
        assert!(found.len() > 1);
        assert_eq!(found, facts.churn());
        for row in rows.iter().filter(|row| int(row, "at_start") > 0) {
            let share = int(row, "lost") as f64 / int(row, "at_start") as f64;
            assert!((row["churn"].as_f64().unwrap() - share).abs() < 1e-6, "{row}");
        }
    }

    /// Places by watching time, of each month; called as now.
    fn titles_agree(&self, facts: &Facts) {
        let months: BTreeSet<NaiveDate> = facts.views.iter().map(|view| month_of(view.day)).collect();
        let mut expected = vec![];
        for month in months {
            let mut titles: Vec<_> = facts.watched(|day| month_of(day) == month).into_iter().collect();
            titles.sort_by_key(|(tv, title)| (-title.seconds, *tv));
            for (place, (tv, title)) in (1_i64..).zip(titles) {
                let called = facts.called(tv).map(|(name, genre, _)| (name, genre));
                let viewers = title.viewers.len() as i64;
                let counts = [place, tv, title.views, title.long, viewers, title.seconds, title.kopecks];
                expected.push((month, counts, called));
            }
        }
        let found: Vec<_> = self
            .rows("SELECT * FROM mart.top_titles ORDER BY month, place")
            .iter()
            .map(|row| {
                let names = ["place", "tv_id", "cnt_views", "cnt_views_3min", "viewers", "watching_time"];
                let [place, tv, views, long, viewers, seconds] = names.map(|name| int(row, name));
                let counts = [place, tv, views, long, viewers, seconds, kopecks(row, "alloc_revenue")];
                let called = row["title_ru"].as_str().map(|name| (name.to_owned(), text(row, "genre_name")));
                (day(row, "month"), counts, called)
            })
            .collect();
        assert!(found.iter().any(|row| row.1[6] > 0), "titles earn something");
        assert_eq!(found, expected);
    }
}

#[test]
fn marts_agree_with_plain_loops() {
    let cinema = Cinema::embedded();
    cinema.agrees();
    cinema.vitrina(&["run", "--all"]);
    let facts = Facts::of(|sql| cinema.rows(sql));
    cinema.billing_agrees(&facts);
    cinema.allocation_agrees(&facts);
}

#[test]
fn marts_agree_in_postgres_and_clickhouse() {
    let (platform, analytics) = (postgres::Place::new(), clickhouse::Place::new());
    let database = ("VITRINA_CLICKHOUSE_DATABASE".to_owned(), analytics.config.database.clone());
    let schema = toml::Value::String(platform.schema.clone());
    Cinema::new("services", &format!("schema = {schema}\n"), vec![database]).agrees();
}

//! What follows from the platform's rows, by plain loops.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{Datelike, Days, NaiveDate};

use super::facts::{Facts, Period};

/// A day, a title and its season.
pub(super) type Place = (NaiveDate, i64, i64);

/// What became of a subscription: its viewer, kind, first day, the first day without it, its kopecks, all the viewer's kopecks and days.
pub(super) type Billing = (i64, String, NaiveDate, NaiveDate, i64, i64, i64);

/// What was watched of a title in a month: views, long ones, viewers, seconds; what it earned, in kopecks.
#[derive(Default)]
pub(super) struct Watched {
    pub(super) views: i64,
    pub(super) long: i64,
    pub(super) viewers: BTreeSet<i64>,
    pub(super) seconds: i64,
    pub(super) kopecks: i64,
}

/// The first day of a day's month.
pub(super) fn month_of(day: NaiveDate) -> NaiveDate {
    day.with_day(1).unwrap()
}

impl Facts {
    /// Subscriptions by their numbers; days are counted as a set of days.
    pub(super) fn billing(&self) -> BTreeMap<i64, Billing> {
        let (mut money, mut ltv) = (BTreeMap::<i64, i64>::new(), BTreeMap::<i64, i64>::new());
        let (mut days, mut ends) = (BTreeMap::<i64, BTreeSet<NaiveDate>>::new(), BTreeMap::new());
        for period in self.periods() {
            *money.entry(period.subscription).or_default() += period.kopecks;
            *ltv.entry(period.passport).or_default() += period.kopecks;
            let of_viewer = days.entry(period.passport).or_default();
            of_viewer.extend(period.from.iter_days().take_while(|day| *day < period.until));
            let end = ends.entry(period.subscription).or_insert(period.until);
            *end = period.until.max(*end);
        }
        let of = |subscription: &super::facts::Subscription| {
            let (id, passport) = (subscription.id, subscription.passport);
            let end = ends.get(&id).copied().unwrap_or(subscription.start);
            let sum = |sums: &BTreeMap<i64, i64>, of| sums.get(&of).copied().unwrap_or(0);
            let lifetime = days.get(&passport).map_or(0, |days| days.len() as i64);
            let kind = subscription.kind.clone();
            (id, (passport, kind, subscription.start, end, sum(&money, id), sum(&ltv, passport), lifetime))
        };
        self.subscriptions.iter().map(of).collect()
    }

    /// Seconds and kopecks of each place by its day, or, of what was paid and not watched, by the first paid day.
    pub(super) fn allocated(&self) -> BTreeMap<Option<Place>, BTreeMap<NaiveDate, (i64, i64)>> {
        let mut watched: BTreeMap<i64, BTreeMap<Place, i64>> = BTreeMap::new();
        let mut shares: BTreeMap<Option<Place>, BTreeMap<NaiveDate, (i64, i64)>> = BTreeMap::new();
        for view in self.views.iter().filter(|view| view.seconds > 0) {
            let place = (view.day, view.tv, view.season);
            *watched.entry(view.passport).or_default().entry(place).or_default() += view.seconds;
            shares.entry(Some(place)).or_default().entry(view.day).or_default().0 += view.seconds;
        }
        let nothing = BTreeMap::new();
        for payment in &self.payments {
            let of_viewer = watched.get(&payment.passport).unwrap_or(&nothing);
            let paid = |place: &Place| place.0 >= payment.from && place.0 < payment.until;
            let seconds: Vec<_> = of_viewer.iter().filter(|(place, _)| paid(place)).collect();
            let all: i64 = seconds.iter().map(|(_, seconds)| **seconds).sum();
            if all == 0 {
                shares.entry(None).or_default().entry(payment.from).or_default().1 += payment.kopecks;
                continue;
            }
            // Kopeck by kopeck to whoever is furthest below their share, after what is theirs for sure.
            let mut parts: Vec<_> = seconds
                .iter()
                .map(|(place, seconds)| {
                    (payment.kopecks * **seconds % all, **place, payment.kopecks * **seconds / all)
                })
                .collect();
            let given: i64 = parts.iter().map(|part| part.2).sum();
            parts.sort_by_key(|(remainder, place, _)| (-remainder, *place));
            for (nth, (_, place, whole)) in (0_i64..).zip(parts) {
                let more = i64::from(nth < payment.kopecks - given);
                shares.entry(Some(place)).or_default().entry(place.0).or_default().1 += whole + more;
            }
        }
        shares
    }

    /// The subscription that ran for each view: of several the one whose period began last.
    pub(super) fn running(&self) -> Vec<Option<i64>> {
        let mut periods = BTreeMap::<i64, Vec<Period>>::new();
        for period in self.periods() {
            periods.entry(period.passport).or_default().push(period);
        }
        let of = |view: &super::facts::View| {
            let of_viewer = periods.get(&view.passport).into_iter().flatten();
            let running = of_viewer.filter(|period| period.from <= view.day && period.until > view.day);
            running.max_by_key(|period| (period.from, period.subscription)).map(|period| period.subscription)
        };
        self.views.iter().map(of).collect()
    }

    /// By day: viewers who came on it, in the seven and the thirty days up to it, for the first time; visits; viewers who watched, and for how many seconds.
    pub(super) fn actives(&self) -> BTreeMap<NaiveDate, [i64; 7]> {
        let mut by_day: BTreeMap<NaiveDate, BTreeSet<i64>> = BTreeMap::new();
        for visit in &self.visits {
            by_day.entry(visit.day).or_default().insert(visit.passport);
        }
        let within = |last: NaiveDate, days: u64| {
            let first = last - Days::new(days - 1);
            by_day.range(first..=last).flat_map(|(_, viewers)| viewers).collect::<BTreeSet<_>>().len() as i64
        };
        let mut known = BTreeSet::new();
        let mut actives = BTreeMap::new();
        for (day, viewers) in &by_day {
            let new = viewers.iter().filter(|viewer| known.insert(**viewer)).count() as i64;
            let visits = self.visits.iter().filter(|visit| visit.day == *day).count() as i64;
            let views: Vec<_> = self.views.iter().filter(|view| view.day == *day).collect();
            let watching: BTreeSet<_> = views.iter().map(|view| view.passport).collect();
            let seconds = views.iter().map(|view| view.seconds).sum();
            let counts = [
                within(*day, 1),
                within(*day, 7),
                within(*day, 30),
                new,
                visits,
                watching.len() as i64,
                seconds,
            ];
            actives.insert(*day, counts);
        }
        actives
    }

    /// By the week of the first visit and the weeks since: viewers who came.
    pub(super) fn cohorts(&self) -> BTreeMap<(NaiveDate, i64), i64> {
        let mut weeks: BTreeMap<i64, BTreeSet<NaiveDate>> = BTreeMap::new();
        for visit in &self.visits {
            let monday = visit.day - Days::new(u64::from(visit.day.weekday().num_days_from_monday()));
            weeks.entry(visit.passport).or_default().insert(monday);
        }
        let mut cohorts = BTreeMap::new();
        for weeks in weeks.values() {
            let first = *weeks.first().unwrap();
            for week in weeks {
                *cohorts.entry((first, (*week - first).num_days() / 7)).or_default() += 1;
            }
        }
        cohorts
    }

    /// By day and region of the first visit: visitors, trials, payers, payers with a trial, payers within thirty days.
    pub(super) fn conversion(&self) -> BTreeMap<(NaiveDate, Option<String>), [i64; 5]> {
        let mut first: BTreeMap<i64, (NaiveDate, i64)> = BTreeMap::new();
        for visit in &self.visits {
            let entry = first.entry(visit.passport).or_insert((visit.day, visit.region));
            *entry = (*entry).min((visit.day, visit.region));
        }
        let mut conversion: BTreeMap<(NaiveDate, Option<String>), [i64; 5]> = BTreeMap::new();
        for (passport, (day, region)) in first {
            let tried = self.subscriptions.iter().any(|one| one.passport == passport && one.trial_days > 0);
            let paid = self.payments.iter().filter(|one| one.passport == passport).map(|one| one.from).min();
            let soon = paid.is_some_and(|paid| (paid - day).num_days() < 30);
            let counts = conversion.entry((day, self.region(region, day))).or_default();
            let more = [true, tried, paid.is_some(), tried && paid.is_some(), soon];
            counts.iter_mut().zip(more).for_each(|(count, more)| *count += i64::from(more));
        }
        conversion
    }

    /// By month that is over: viewers with access when it began, those gained and lost, those with access when it ended.
    pub(super) fn churn(&self) -> BTreeMap<NaiveDate, [i64; 4]> {
        let with_access = |on: NaiveDate| -> BTreeSet<i64> {
            let holds = self.periods().into_iter().filter(|period| period.from <= on && period.until > on);
            holds.map(|period| period.passport).collect()
        };
        let days = || self.visits.iter().map(|visit| visit.day);
        let (mut month, this_month) = (month_of(days().min().unwrap()), month_of(days().max().unwrap()));
        let mut churn = BTreeMap::new();
        while month < this_month {
            let next = month + chrono::Months::new(1);
            let (before, after) = (with_access(month), with_access(next));
            let lost = before.difference(&after).count() as i64;
            let gained = after.difference(&before).count() as i64;
            churn.insert(month, [before.len() as i64, gained, lost, after.len() as i64]);
            month = next;
        }
        churn
    }

    /// What was watched in these days of each title.
    pub(super) fn watched(&self, days: impl Fn(NaiveDate) -> bool) -> BTreeMap<i64, Watched> {
        let mut titles = BTreeMap::<i64, Watched>::new();
        for view in self.views.iter().filter(|view| days(view.day)) {
            let title = titles.entry(view.tv).or_default();
            title.views += 1;
            title.long += i64::from(view.seconds >= 180);
            title.viewers.insert(view.passport);
            title.seconds += view.seconds;
        }
        for (place, shares) in self.allocated() {
            let Some(title) = place.and_then(|(_, tv, _)| titles.get_mut(&tv)) else { continue };
            title.kopecks +=
                shares.iter().filter(|(day, _)| days(**day)).map(|(_, share)| share.1).sum::<i64>();
        }
        titles
    }

    /// What a title is called now, and its genre and age.
    pub(super) fn called(&self, tv: i64) -> Option<(String, String, i64)> {
        self.title(tv, NaiveDate::MAX).map(|title| (title.name.clone(), title.genre.clone(), title.age))
    }
}

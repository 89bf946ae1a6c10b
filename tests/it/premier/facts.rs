//! The platform's rows, as plain values: days in Moscow, money in kopecks.

use chrono::{DateTime, FixedOffset, NaiveDate};
use serde_json::Value as Json;

pub(super) struct View {
    pub(super) passport: i64,
    pub(super) region: i64,
    pub(super) day: NaiveDate,
    pub(super) tv: i64,
    pub(super) season: i64,
    pub(super) episode: i64,
    pub(super) seconds: i64,
}

pub(super) struct Visit {
    pub(super) passport: i64,
    pub(super) region: i64,
    pub(super) day: NaiveDate,
}

pub(super) struct Subscription {
    pub(super) id: i64,
    pub(super) passport: i64,
    pub(super) kind: String,
    pub(super) start: NaiveDate,
    pub(super) trial_days: i64,
}

/// Days that somebody may watch, and what they paid for it less what went back.
#[derive(Clone)]
pub(super) struct Period {
    pub(super) subscription: i64,
    pub(super) passport: i64,
    pub(super) from: NaiveDate,
    pub(super) until: NaiveDate,
    pub(super) kopecks: i64,
}

/// Money that came or went back, in kopecks.
pub(super) struct Flow {
    pub(super) day: NaiveDate,
    pub(super) paid: i64,
    pub(super) refunded: i64,
}

/// A version of a title or of a region's name, from a day on.
pub(super) struct Version {
    key: i64,
    since: NaiveDate,
    pub(super) name: String,
    pub(super) genre: String,
    pub(super) age: i64,
}

/// All that the platform knows.
pub(super) struct Facts {
    pub(super) views: Vec<View>,
    pub(super) visits: Vec<Visit>,
    pub(super) subscriptions: Vec<Subscription>,
    pub(super) payments: Vec<Period>,
    /// Payments, and then refunds.
    pub(super) flows: Vec<Flow>,
    titles: Vec<Version>,
    regions: Vec<Version>,
}

impl Facts {
    pub(super) fn of(ask: impl Fn(&str) -> Vec<Json>) -> Self {
        let table = |name: &str| ask(&format!("SELECT * FROM platform.{name}"));
        let (payments, refunds) = (table("payments"), table("refunds"));
        let payment = |row: &Json| {
            let refunded = refunds.iter().filter(|refund| refund["payment_id"] == row["payment_id"]);
            Period {
                kopecks: kopecks(row, "amount")
                    - refunded.map(|refund| kopecks(refund, "amount")).sum::<i64>(),
                ..period(row, day(row, "paid_from"), day(row, "paid_until"))
            }
        };
        Self {
            views: table("views").iter().map(view).collect(),
            visits: table("visits").iter().map(visit).collect(),
            subscriptions: table("subscriptions").iter().map(subscription).collect(),
            flows: payments.iter().map(paid).chain(refunds.iter().map(refunded)).collect(),
            payments: payments.iter().map(payment).collect(),
            titles: table("titles").iter().map(title).collect(),
            regions: table("regions").iter().map(region).collect(),
        }
    }

    /// Trials and paid periods.
    pub(super) fn periods(&self) -> Vec<Period> {
        let trials = self.subscriptions.iter().filter(|subscription| subscription.trial_days > 0);
        let trial = |subscription: &Subscription| Period {
            subscription: subscription.id,
            passport: subscription.passport,
            from: subscription.start,
            until: subscription.start + chrono::Days::new(subscription.trial_days as u64),
            kopecks: 0,
        };
        trials.map(trial).chain(self.payments.iter().cloned()).collect()
    }

    /// What a subscription is called.
    pub(super) fn kind(&self, id: i64) -> String {
        let found = self.subscriptions.iter().find(|subscription| subscription.id == id);
        found.map(|subscription| subscription.kind.clone()).unwrap_or_default()
    }

    /// A title as it was on a day.
    pub(super) fn title(&self, tv: i64, on: NaiveDate) -> Option<&Version> {
        version(&self.titles, tv, on)
    }

    /// What a region was called on a day.
    pub(super) fn region(&self, region: i64, on: NaiveDate) -> Option<String> {
        version(&self.regions, region, on).map(|version| version.name.clone())
    }
}

fn version(versions: &[Version], key: i64, on: NaiveDate) -> Option<&Version> {
    let known = versions.iter().filter(|version| version.key == key && version.since <= on);
    known.max_by_key(|version| version.since)
}

fn paid(row: &Json) -> Flow {
    Flow { day: day(row, "paid_at"), paid: kopecks(row, "amount"), refunded: 0 }
}

fn refunded(row: &Json) -> Flow {
    Flow { day: day(row, "refunded_at"), paid: 0, refunded: kopecks(row, "amount") }
}

fn view(row: &Json) -> View {
    View {
        passport: int(row, "passport_id"),
        region: int(row, "geo_region_id"),
        day: day(row, "started_at"),
        tv: int(row, "tv_id"),
        season: int(row, "season_num"),
        episode: int(row, "episode_num"),
        seconds: int(row, "view_duration_s"),
    }
}

fn visit(row: &Json) -> Visit {
    Visit {
        passport: int(row, "passport_id"),
        region: int(row, "geo_region_id"),
        day: day(row, "started_at"),
    }
}

fn subscription(row: &Json) -> Subscription {
    Subscription {
        id: int(row, "subscription_id"),
        passport: int(row, "passport_id"),
        kind: text(row, "subscription_kind"),
        start: day(row, "started_at"),
        trial_days: int(row, "trial_days"),
    }
}

fn period(row: &Json, from: NaiveDate, until: NaiveDate) -> Period {
    let (subscription, passport) = (int(row, "subscription_id"), int(row, "passport_id"));
    Period { subscription, passport, from, until, kopecks: 0 }
}

fn title(row: &Json) -> Version {
    Version {
        key: int(row, "tv_id"),
        since: day(row, "changed_at"),
        name: text(row, "title_ru"),
        genre: text(row, "genre_name"),
        age: int(row, "age_restriction"),
    }
}

fn region(row: &Json) -> Version {
    Version {
        key: int(row, "geo_region_id"),
        since: day(row, "changed_at"),
        name: text(row, "geo_region_title_ru"),
        genre: String::new(),
        age: 0,
    }
}

/// A whole number.
pub(super) fn int(row: &Json, name: &str) -> i64 {
    row[name].as_i64().unwrap_or_else(|| panic!("{name} in {row}"))
}

/// A text.
pub(super) fn text(row: &Json, name: &str) -> String {
    row[name].as_str().unwrap_or_else(|| panic!("{name} in {row}")).to_owned()
}

/// Money, in kopecks; SQLite keeps it as text.
pub(super) fn kopecks(row: &Json, name: &str) -> i64 {
    let roubles = row[name].as_f64().or_else(|| row[name].as_str()?.parse().ok());
    (roubles.unwrap_or_else(|| panic!("{name} in {row}")) * 100.0).round() as i64
}

/// A day, or the day of an instant in Moscow.
pub(super) fn day(row: &Json, name: &str) -> NaiveDate {
    let text = text(row, name);
    let moscow = FixedOffset::east_opt(3 * 3600).unwrap();
    DateTime::parse_from_rfc3339(&text)
        .map_or_else(|_| text.parse().unwrap(), |at| at.with_timezone(&moscow).date_naive())
}

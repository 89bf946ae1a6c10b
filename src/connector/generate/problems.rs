//! What is wrong with a specification of synthetic rows: everything at once, without I/O.

use std::ops::Range;

use arrow::datatypes::{DataType, Field};
use indexmap::IndexMap;

use super::{
    condition::{Condition, Flaw},
    config::{Column, Curve, Delay, ExactDelay, Generate, Hours, ListedRow, Lookup, Normal, Parent},
    shape,
};
use crate::model::problem::nearest;

/// One mistake, and where in the table of [`Generate`] it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Keys from the table down: `["columns", "amount", "when"]`. The last one may be a key that is missing.
    pub path: Vec<String>,
    /// Bytes of the text that stands there, where it is about a part of it.
    pub within: Option<Range<usize>>,
    /// What is wrong, lower case.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

/// Rows on a day, and values a column may choose from, past which something else than a mistake is unlikely.
const MOST_PER_DAY: f64 = 100_000_000.0;
const MOST_ZIPF: i64 = 1_000_000;
const LONGEST_DELAY_DAYS: u64 = 366;

impl Generate {
    /// Every mistake. `parents` = the generators that it comes from, by pipeline name; a parent that is not there is not looked into.
    pub fn problems(&self, parents: &IndexMap<String, Self>) -> Vec<Finding> {
        let mut findings = Findings(vec![]);
        self.flow(&mut findings);
        if let Some(curve) = &self.curve {
            curve_problems(curve, self.parent.is_some(), &mut findings);
        }
        if let Some(parent) = &self.parent {
            self.parent_problems(parent, parents, &mut findings);
        }
        if let Some(rows) = &self.rows {
            self.rows_problems(rows, &mut findings);
        } else if self.columns.is_empty() {
            findings.add(&["columns"], "a generator needs at least one column");
        }
        let schema = self.schema(parents);
        let inherited = schema.fields().len() - self.columns.len();
        for (index, (name, column)) in self.columns.iter().enumerate() {
            let above: Vec<&Field> = schema.fields()[..inherited + index].iter().map(AsRef::as_ref).collect();
            let mut place = Place { findings: &mut findings, name, above: &above };
            self.column_problems(column, &mut place);
        }
        findings.0
    }

    fn flow(&self, findings: &mut Findings) {
        let given = [("start", self.start.is_some()), ("per_day", self.per_day.is_some())];
        let given = given.into_iter().filter(|(_, given)| *given).map(|(key, _)| key);
        if self.rows.is_some() {
            let others = [("curve", self.curve.is_some()), ("parent", self.parent.is_some())];
            let others = others.into_iter().filter(|(_, given)| *given).map(|(key, _)| key);
            for key in given.chain(others) {
                findings.add(&[key], format!("`{key}` means nothing beside `rows`"));
            }
            return;
        }
        if self.parent.is_some() {
            given.for_each(|key| findings.add(&[key], format!("`{key}` is decided by the parent")));
            return;
        }
        if self.start.is_none() {
            findings.add(&["start"], "a generator without a parent needs `start`, the day of its first rows");
        }
        match self.per_day {
            None => findings.add(&["per_day"], "a generator without a parent needs `per_day`"),
            Some(rows) if !(0.0..=MOST_PER_DAY).contains(&rows) => {
                findings.add(&["per_day"], "`per_day` must be between 0 and 100 million");
            }
            Some(_) => {}
        }
    }

    fn parent_problems(&self, parent: &Parent, parents: &IndexMap<String, Self>, findings: &mut Findings) {
        share(parent.chance, &["parent", "chance"], findings);
        let mut delays = vec![(&["parent", "delay"][..], &parent.delay)];
        if let Some(follow) = &parent.follow {
            share(Some(follow.chance), &["parent", "follow", "chance"], findings);
            delays.push((&["parent", "follow", "delay"], &follow.delay));
            if follow.most == Some(0) {
                findings.add(&["parent", "follow", "most"], "`most` must be at least 1");
            }
        }
        for (path, delay) in &delays {
            let (Delay::Around(span) | Delay::Exactly(ExactDelay { exactly: span })) = delay else {
                continue;
            };
            if span.get().as_secs() > LONGEST_DELAY_DAYS * 86_400 {
                findings.add(path, format!("`delay` must be at most {LONGEST_DELAY_DAYS}d"));
            }
        }
        for name in parent.columns.keys().filter(|name| self.columns.contains_key(*name)) {
            findings.add(&["parent", "columns", name], format!("column `{name}` is made below as well"));
        }
        let Some(theirs) = parents.get(&parent.pipeline) else {
            if let Some(when) = &parent.when
                && let Err(flaw) = Condition::parse(when)
            {
                findings.flaw(&["parent", "when"], flaw);
            }
            return;
        };
        let schema = theirs.schema(parents);
        let fields: Vec<&Field> = schema.fields().iter().map(AsRef::as_ref).collect();
        if let Some(when) = &parent.when {
            condition_problems(when, &["parent", "when"], &fields, findings);
        }
        for (path, delay) in delays {
            if let Delay::Days(delay) = delay {
                findings.days(&[path, &["days"]].concat(), &delay.days, &fields);
            }
        }
        for (name, taken) in &parent.columns {
            if !fields.iter().any(|field| field.name() == taken) {
                findings.unknown_column(&["parent", "columns", name], taken, &fields, None);
            }
        }
    }

    fn rows_problems(&self, rows: &[ListedRow], findings: &mut Findings) {
        if rows.is_empty() {
            findings.add(&["rows"], "`rows` must have one row at least");
        }
        let mut kinds: IndexMap<&str, DataType> = IndexMap::new();
        for (name, value) in rows.iter().flat_map(|row| &row.values) {
            let kind = shape::scalar_type(value);
            let first = kinds.entry(name).or_insert_with(|| kind.clone());
            if *first != kind && !(first.is_numeric() && kind.is_numeric()) {
                findings.add(&["rows"], format!("column `{name}` has values of several types"));
                return;
            }
        }
        for name in kinds.keys().filter(|name| self.columns.contains_key(**name)) {
            findings.add(&["columns", name], format!("column `{name}` stands in `rows` as well"));
        }
    }

    fn column_problems(&self, column: &Column, place: &mut Place<'_>) {
        let ways = ways(column);
        match ways.as_slice() {
            [_] => {}
            [] => {
                let hint = format!("one of {}", WAYS.join(", "));
                place.add(None, "does not say how it is made", Some(&hint));
            }
            [_, second, ..] => {
                place.add(
                    Some(second),
                    &format!("is made in {} ways: {}", ways.len(), ways.join(", ")),
                    None,
                );
            }
        }
        if let Some(when) = &column.when {
            let path = ["columns", place.name, "when"];
            condition_problems(when, &path, place.above, place.findings);
        }
        share(column.missing, &["columns", place.name, "missing"], place.findings);
        if column.missing.is_some() && (column.sequence.is_some() || column.event_time.is_some()) {
            place.add(Some("missing"), "is never missing: leave `missing` out, or use `when`", None);
        }
        if column.event_time == Some(false) {
            place.add(Some("event_time"), "is not made: `event_time` can only be true", None);
        }
        if column.anew.is_some() && (column.sequence.is_some() || column.event_time.is_some()) {
            place.add(Some("anew"), "is never the same: leave `anew` out", None);
        }
        value_problems(column, place);
        if let Some(lookup) = &column.lookup {
            lookup_problems(lookup, &self.columns, place);
        }
        if let Some(pick) = &column.pick {
            place.refers("pick", &pick.by);
            if pick.from.is_empty() {
                place.add(Some("pick"), "has nothing to pick from", None);
            }
        }
        if let Some(steps) = &column.step {
            let follow = self.parent.as_ref().and_then(|parent| parent.follow.as_ref());
            let most = 1 + follow.map_or(0, |follow| usize::from(follow.most.unwrap_or(1)));
            let due = most.min(2);
            if !(due..=most).contains(&steps.len()) {
                let hint = "a first row, and further ones where `parent.follow` makes them";
                place.add(Some("step"), &format!("has {} steps instead of {due}", steps.len()), Some(hint));
            }
        }
    }
}

const WAYS: [&str; 11] = [
    "sequence",
    "event_time",
    "zipf",
    "uniform",
    "normal",
    "choice",
    "constant",
    "lookup",
    "pick",
    "step",
    "nth",
];

fn ways(column: &Column) -> Vec<&'static str> {
    let given = [
        column.sequence.is_some(),
        column.event_time.is_some(),
        column.zipf.is_some(),
        column.uniform.is_some(),
        column.normal.is_some(),
        column.choice.is_some(),
        column.constant.is_some(),
        column.lookup.is_some(),
        column.pick.is_some(),
        column.step.is_some(),
        column.nth.is_some(),
    ];
    WAYS.iter().zip(given).filter(|(_, given)| *given).map(|(way, _)| *way).collect()
}

fn value_problems(column: &Column, place: &mut Place<'_>) {
    if let Some(zipf) = &column.zipf {
        if zipf.to < zipf.from || zipf.to.saturating_sub(zipf.from) >= MOST_ZIPF {
            place.add(Some("zipf"), "needs `to` from `from` on, and at most a million values", None);
        }
        if !(0.0..=10.0).contains(&zipf.exponent) {
            place.add(Some("zipf"), "needs an `exponent` between 0 and 10", None);
        }
    }
    if let Some(uniform) = &column.uniform
        && uniform.to < uniform.from
    {
        place.add(Some("uniform"), "needs `to` from `from` on", None);
    }
    if let Some(normal) = &column.normal {
        normal_problems(normal, place);
    }
    if let Some(choice) = &column.choice
        && !weights_are_good(choice.values())
    {
        place.add(Some("choice"), "needs weights from 0 on, one of them above it", None);
    }
}

fn normal_problems(normal: &Normal, place: &mut Place<'_>) {
    let (low, high) = (normal.min.unwrap_or(f64::MIN), normal.max.unwrap_or(f64::MAX));
    let spread = normal.sd.is_finite() && normal.sd > 0.0 && normal.mean.is_finite();
    if !spread || low >= high || low > normal.mean + 5.0 * normal.sd || high < normal.mean - 5.0 * normal.sd {
        let hint = "an `sd` above 0, and a `min` below `max`, both near the mean";
        place.add(Some("normal"), "cannot be drawn", Some(hint));
    }
    let digits = normal.decimals.unwrap_or(0);
    let widest = normal.mean.abs() + 8.0 * normal.sd.abs();
    if digits > 9 || (normal.decimals.is_some() && widest > 1e9) {
        place.add(Some("normal"), "needs at most 9 `decimals`, and amounts below a billion with them", None);
    }
}

fn lookup_problems(lookup: &Lookup, columns: &IndexMap<String, Column>, place: &mut Place<'_>) {
    place.refers("lookup", &lookup.by);
    let types: Vec<DataType> = lookup.values.values().map(shape::scalar_type).collect();
    let numbers = types.iter().all(DataType::is_numeric);
    if types.is_empty() || (!numbers && types.iter().any(|data_type| *data_type != types[0])) {
        place.add(Some("lookup"), "needs values of one type", None);
    }
    if lookup.decimals.is_some_and(|digits| !numbers || digits > 9) {
        place.add(Some("lookup"), "takes `decimals` up to 9, and for numbers alone", None);
    }
    let Some(texts) = shape::texts(columns, &lookup.by) else {
        return;
    };
    for value in lookup.values.keys().filter(|value| !texts.contains(&value.as_str())) {
        let nearest = nearest(value, texts.iter().copied()).map(|name| format!("did you mean `{name}`?"));
        let path = ["columns", place.name, "lookup", "values", value];
        let message = format!("column `{}` never has this value", lookup.by);
        place.findings.push(&path, None, message, nearest);
    }
}

fn curve_problems(curve: &Curve, child: bool, findings: &mut Findings) {
    if let Some(Hours::Weights(weights)) = &curve.hours
        && (weights.len() != 24 || !weights_are_good(weights))
    {
        findings.add(&["curve", "hours"], "`hours` must be 24 weights from 0 on, one of them above it");
    }
    if let Some(factors) = &curve.weekdays
        && (factors.len() != 7 || !weights_are_good(factors))
    {
        findings.add(&["curve", "weekdays"], "`weekdays` must be 7 factors from 0 on, one of them above it");
    }
    match curve.growth_per_year {
        Some(_) if child => {
            findings.add(&["curve", "growth_per_year"], "`growth_per_year` is decided by the parent");
        }
        Some(growth) if !(-0.99..=10.0).contains(&growth) => {
            findings.add(&["curve", "growth_per_year"], "`growth_per_year` must be between -0.99 and 10");
        }
        _ => {}
    }
}

fn weights_are_good<'a>(weights: impl IntoIterator<Item = &'a f64>) -> bool {
    let mut sum = 0.0;
    let good = weights.into_iter().all(|weight| {
        sum += weight;
        weight.is_finite() && *weight >= 0.0
    });
    good && sum > 0.0 && sum.is_finite()
}

fn share(share: Option<f64>, path: &[&str], findings: &mut Findings) {
    if share.is_some_and(|share| !(0.0..=1.0).contains(&share)) {
        let key = path.last().copied().unwrap_or_default();
        findings.add(path, format!("`{key}` must be between 0 and 1"));
    }
}

fn condition_problems(text: &str, path: &[&str], fields: &[&Field], findings: &mut Findings) {
    let condition = match Condition::parse(text) {
        Ok(condition) => condition,
        Err(flaw) => return findings.flaw(path, flaw),
    };
    condition.each_test(&mut |column, at, test| {
        let Some(field) = fields.iter().find(|field| field.name() == column) else {
            return findings.unknown_column(path, column, fields, Some(at.clone()));
        };
        if let Some(literal) = test.literals().iter().find(|literal| !literal.fits(field.data_type())) {
            let kind = crate::model::column::ColumnType::of(field.data_type());
            let message =
                format!("column `{column}` is {kind} and cannot be compared with {}", literal.kind());
            findings.push(path, Some(at.clone()), message, None);
        }
    });
}

/// A column under examination.
struct Place<'a> {
    findings: &'a mut Findings,
    name: &'a str,
    above: &'a [&'a Field],
}

impl Place<'_> {
    fn add(&mut self, key: Option<&str>, message: &str, hint: Option<&str>) {
        let path: Vec<&str> = ["columns", self.name].into_iter().chain(key).collect();
        self.findings.push(&path, None, format!("column `{}` {message}", self.name), hint.map(str::to_owned));
    }

    /// Checks the column that another one is made by.
    fn refers(&mut self, way: &str, by: &str) {
        let path = ["columns", self.name, way, "by"];
        match self.above.iter().find(|field| field.name() == by) {
            None => self.findings.unknown_column(&path, by, self.above, None),
            Some(field) if !matches!(field.data_type(), DataType::Utf8 | DataType::Int64) => {
                let message = format!("column `{by}` is neither text nor a whole number");
                self.findings.push(&path, None, message, None);
            }
            Some(_) => {}
        }
    }
}

struct Findings(Vec<Finding>);

impl Findings {
    fn push(&mut self, path: &[&str], within: Option<Range<usize>>, message: String, hint: Option<String>) {
        let path = path.iter().map(|key| (*key).to_owned()).collect();
        self.0.push(Finding { path, within, message, hint });
    }

    fn add(&mut self, path: &[&str], message: impl Into<String>) {
        self.push(path, None, message.into(), None);
    }

    fn flaw(&mut self, path: &[&str], flaw: Flaw) {
        self.push(path, Some(flaw.at), flaw.message, None);
    }

    /// Checks the parent's column that says how late children are.
    fn days(&mut self, path: &[&str], name: &str, fields: &[&Field]) {
        match fields.iter().find(|field| field.name() == name) {
            None => self.unknown_column(path, name, fields, None),
            Some(field) if *field.data_type() != DataType::Int64 => {
                self.add(path, format!("column `{name}` is no whole number of days"));
            }
            Some(_) => {}
        }
    }

    fn unknown_column(&mut self, path: &[&str], name: &str, known: &[&Field], within: Option<Range<usize>>) {
        let hint = match nearest(name, known.iter().map(|field| field.name().as_str())) {
            Some(name) => format!("did you mean `{name}`?"),
            None => "only columns that stand above can be used".to_owned(),
        };
        self.push(path, within, format!("unknown column `{name}`"), Some(hint));
    }
}

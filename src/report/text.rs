//! Words with numbers in them: minijinja templates over the columns of an answer.
//!
//! `{{ money | sum | rub }}`, `{{ money | change }} к прошлому периоду`, `{{ rows }} {{ rows | plural("день", "дня", "дней") }}`.
//! A column stands for all its rows. `**…**` in a template is bold; what comes out of a value never is, whatever letters it has.

use std::{collections::BTreeMap, fmt, sync::Arc};

use minijinja::{
    Environment, Error, ErrorKind, Output, State, UndefinedBehavior, Value,
    value::{Object, ObjectRepr},
};

use super::{
    cell::Cell,
    format,
    rows::{ColumnInfo, Rows, Tally},
};
use crate::{
    bot::{
        screen::{Markup, Span},
        words::Words,
    },
    config::bot::Format,
    model::time::Period,
};

/// Steps that a template may take.
const FUEL: u64 = 200_000;
/// Rows that a template may walk over.
const WALKED: usize = 100;
/// Letters of a text; the rest would be no answer any more.
pub const LONGEST: usize = 20_000;

/// What a template speaks of.
#[derive(Debug, Clone, Copy)]
pub struct Told<'a> {
    /// The rows.
    pub rows: &'a Rows,
    /// Their columns.
    pub columns: &'a [ColumnInfo],
    /// The rows of the period before.
    pub before: Option<&'a Rows>,
    /// The period asked for.
    pub period: Option<Period>,
    /// Of numbers and days.
    pub words: &'a Words,
}

/// Writes a text.
pub fn text(template: &str, told: &Told<'_>) -> Result<Markup, String> {
    let environment = environment(told.words);
    let rendered = environment
        .template_from_str(template)
        .and_then(|template| template.render(context(told)))
        .map_err(|error| said(&error))?;
    Ok(marked(&rendered, told.words))
}

fn said(error: &Error) -> String {
    let line = error.line().map_or(String::new(), |line| format!(", line {line}"));
    format!("{}{}{line}", error.kind(), error.detail().map_or(String::new(), |detail| format!(": {detail}")))
}

/// A star out of a value, while marks are looked for.
const STAR: char = '\u{e000}';

fn environment(words: &Words) -> Environment<'static> {
    let language = words.language();
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    let of = words.clone();
    environment.set_formatter(move |out: &mut Output, _: &mut State, value: &Value| {
        let shown = match value.downcast_object_ref::<Column>() {
            Some(column) => column.shown(&of),
            None => plain(value, &of),
        };
        out.write_str(&shown.replace('*', &STAR.to_string())).map_err(Error::from)
    });
    for (name, of) in [
        ("sum", of_sum as fn(&Tally) -> Option<f64>),
        ("avg", Tally::mean),
        ("last", of_last),
        ("first", of_first),
    ] {
        environment.add_filter(name, move |value: Value| column(&value, |tally| number(of(tally))));
    }
    environment.add_filter("max", |value: Value| column(&value, |tally| of_cell(&tally.most)));
    environment.add_filter("min", |value: Value| column(&value, |tally| of_cell(&tally.least)));
    environment.add_filter("count", |value: Value| column(&value, |tally| Value::from(tally.count)));
    let of = words.clone();
    environment.add_filter("rub", move |value: Value, places: Option<u8>| money(&value, places, &of));
    let of = words.clone();
    environment
        .add_filter("number", move |value: Value, places: Option<u8>| written(&value, places, None, &of));
    let of = words.clone();
    environment.add_filter("short", move |value: Value| {
        as_number(&value)
            .map(|number| number.map_or(format::NOTHING.to_owned(), |number| format::short(number, &of)))
    });
    environment.add_filter("percent", move |value: Value, places: Option<u8>| {
        as_number(&value).map(|number| {
            number.map_or(format::NOTHING.to_owned(), |number| {
                format::percent(number, places.unwrap_or(1), language)
            })
        })
    });
    let of = words.clone();
    environment.add_filter("date", move |value: Value| date(&value, &of));
    environment.add_filter("plural", move |value: Value, forms: minijinja::value::Rest<String>| {
        let forms: Vec<&str> = forms.iter().map(String::as_str).collect();
        let count = as_number(&value)?.unwrap_or_default() as i128;
        Ok::<_, Error>(format::plural(count, &forms, language).to_owned())
    });
    environment.add_filter("change", move |value: Value, what: Option<String>| {
        change(&value, what.as_deref(), language)
    });
    environment
}

fn of_sum(tally: &Tally) -> Option<f64> {
    tally.sum().number()
}

fn of_last(tally: &Tally) -> Option<f64> {
    tally.last.number()
}

fn of_first(tally: &Tally) -> Option<f64> {
    tally.first.number()
}

/// A column over all its rows.
#[derive(Debug)]
struct Column {
    name: String,
    format: Option<Format>,
    now: Tally,
    before: Option<Tally>,
}

impl Object for Column {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Column {
    /// By itself a column is its first value: most answers of one row are told so.
    fn shown(&self, words: &Words) -> String {
        format::shown(&self.now.first, self.format, words)
    }
}

fn context(told: &Told<'_>) -> Value {
    let mut known: BTreeMap<String, Value> = BTreeMap::new();
    known.insert("rows".to_owned(), Value::from(told.rows.count));
    known.insert("row".to_owned(), walked(told));
    if let Some(period) = told.period {
        let day = |day: chrono::NaiveDate| Value::from(format::date(day, told.words.language()));
        let days = format::days(period.from, period.last(), told.words);
        let parts = [("from", day(period.from)), ("last", day(period.last())), ("days", Value::from(days))];
        let parts: BTreeMap<String, Value> =
            parts.into_iter().map(|(name, part)| (name.to_owned(), part)).collect();
        known.insert("period".to_owned(), Value::from(parts));
    }
    // A column of such a name is the column.
    for (at, info) in told.columns.iter().enumerate() {
        let before = told.before.and_then(|rows| rows.tallies.get(at).cloned());
        let now = told.rows.tallies.get(at).cloned().unwrap_or_default();
        let column = Column { name: info.name.clone(), format: info.format, now, before };
        known.insert(info.name.clone(), Value::from_object(column));
    }
    Value::from(known)
}

/// The first rows, each a map of its cells.
fn walked(told: &Told<'_>) -> Value {
    let columns: Vec<Vec<Cell>> =
        (0..told.columns.len()).map(|column| told.rows.cells(column, WALKED).unwrap_or_default()).collect();
    let rows = columns.first().map_or(0, Vec::len);
    let row = |row: usize| {
        let cell = |(info, cells): (&ColumnInfo, &Vec<Cell>)| {
            (info.name.clone(), cell_value(&cells[row], info.format, told.words))
        };
        Value::from(told.columns.iter().zip(&columns).map(cell).collect::<BTreeMap<String, Value>>())
    };
    Value::from((0..rows).map(row).collect::<Vec<_>>())
}

fn cell_value(cell: &Cell, format: Option<Format>, words: &Words) -> Value {
    match cell {
        Cell::Empty => Value::from(()),
        Cell::Decimal { .. } | Cell::Float(_) => of_cell(cell),
        Cell::Bool(value) => Value::from(*value),
        other => Value::from(format::shown(other, format, words)),
    }
}

/// Whole numbers stay whole: a count is not `3.0`.
fn of_cell(cell: &Cell) -> Value {
    match cell {
        Cell::Decimal { unscaled, scale: 0 } => Value::from(*unscaled),
        Cell::Date(day) => Value::from(day.to_string()),
        Cell::Moment(at) => Value::from(at.date().to_string()),
        other => number(other.number()),
    }
}

fn number(value: Option<f64>) -> Value {
    match value {
        Some(value) if value.fract() == 0.0 && value.abs() < 9e15 => Value::from(value as i64),
        Some(value) => Value::from(value),
        None => Value::from(()),
    }
}

fn column(value: &Value, of: impl Fn(&Tally) -> Value) -> Result<Value, Error> {
    defined(value)?;
    match value.downcast_object_ref::<Column>() {
        Some(column) => Ok(of(&column.now)),
        None => Err(Error::new(
            ErrorKind::InvalidOperation,
            "only a column has this: it stands first behind its name",
        )),
    }
}

/// A name that nothing has.
fn defined(value: &Value) -> Result<(), Error> {
    if value.is_undefined() {
        return Err(Error::new(ErrorKind::UndefinedError, "there is no column of this name"));
    }
    Ok(())
}

fn as_number(value: &Value) -> Result<Option<f64>, Error> {
    defined(value)?;
    if let Some(column) = value.downcast_object_ref::<Column>() {
        return Ok(column.now.first.number());
    }
    if value.is_none() {
        return Ok(None);
    }
    f64::try_from(value.clone())
        .map(|number| Some(number).filter(|number| number.is_finite()))
        .map_err(|_| Error::new(ErrorKind::InvalidOperation, "this is no number"))
}

/// A value without a filter: numbers as people write them, nothing as a dash.
fn plain(value: &Value, words: &Words) -> String {
    if value.is_none() {
        return format::NOTHING.to_owned();
    }
    match f64::try_from(value.clone()) {
        Ok(number) if value.is_number() => format::shown(&Cell::Float(number), None, words),
        _ => value.to_string(),
    }
}

fn written(
    value: &Value,
    places: Option<u8>,
    format: Option<Format>,
    words: &Words,
) -> Result<String, Error> {
    let Some(number) = as_number(value)? else { return Ok(format::NOTHING.to_owned()) };
    let cell = Cell::Float(number);
    let places = places.unwrap_or_else(|| cell.places()).min(9);
    Ok(format::with_places(&cell, format, places, words))
}

/// Whole rubles; kopecks where they count, under a hundred, or where they are asked for.
fn money(value: &Value, places: Option<u8>, words: &Words) -> Result<String, Error> {
    let small = as_number(value)?.is_some_and(|number| number.abs() < 100.0 && number.fract() != 0.0);
    written(value, Some(places.unwrap_or(if small { 2 } else { 0 })), Some(Format::Rub), words)
}

fn date(value: &Value, words: &Words) -> Result<String, Error> {
    if let Some(column) = value.downcast_object_ref::<Column>() {
        return Ok(format::shown(&column.now.first, Some(Format::Date), words));
    }
    match value.as_str().map(str::parse::<chrono::NaiveDate>) {
        Some(Ok(day)) => Ok(format::date(day, words.language())),
        Some(Err(_)) | None if value.is_none() => Ok(format::NOTHING.to_owned()),
        _ => Ok(value.to_string()),
    }
}

/// Against the period before: of the sum, unless told otherwise.
fn change(
    value: &Value,
    what: Option<&str>,
    language: crate::config::project::Language,
) -> Result<String, Error> {
    let wrong = |what: &str| Error::new(ErrorKind::InvalidOperation, what.to_owned());
    let column = value.downcast_object_ref::<Column>().ok_or_else(|| wrong("only a column has changed"))?;
    let of = |tally: &Tally| match what.unwrap_or("sum") {
        "sum" => Ok(tally.sum().number()),
        "avg" => Ok(tally.mean()),
        "last" => Ok(tally.last.number()),
        "first" => Ok(tally.first.number()),
        "max" => Ok(tally.most.number()),
        "min" => Ok(tally.least.number()),
        "count" => Ok(Some(tally.count as f64)),
        _ => Err(wrong("a change is one of sum, avg, last, first, max, min, count")),
    };
    let before =
        column.before.as_ref().ok_or_else(|| wrong("`change` needs compare = \"previous_period\""))?;
    Ok(format::change(of(&column.now)?, of(before)?, language))
}

/// Marks of the template become spans; stars of values become stars again.
fn marked(text: &str, words: &Words) -> Markup {
    let mut letters = text.trim().chars();
    let text: String = letters.by_ref().take(LONGEST).collect();
    let parts: Vec<&str> = text.split("**").collect();
    let mut markup = Markup::new();
    for (at, part) in parts.iter().enumerate() {
        let plain = part.replace(STAR, "*");
        if plain.is_empty() {
            continue;
        }
        // The last mark of an odd number opens nothing.
        let bold = at % 2 == 1 && at + 1 < parts.len();
        markup = markup.with(if bold { Span::Bold(plain) } else { Span::Plain(plain) });
    }
    if letters.next().is_some() {
        markup = markup.with(Span::Italic(format!("\n{}", words.text_more())));
    }
    markup
}

#[cfg(test)]
mod tests {
    use arrow::array::{Date32Array, Decimal128Array, Float64Array, Int64Array, StringArray};

    use super::{super::rows::tests::rows_of, *};

    fn rows(money: &[Option<i128>]) -> Rows {
        let count = money.len();
        let money = Decimal128Array::from(money.to_vec()).with_precision_and_scale(18, 2).unwrap();
        rows_of(vec![
            ("money", Arc::new(money)),
            ("payers", Arc::new(Int64Array::from((0..count as i64).map(|at| at + 21).collect::<Vec<_>>()))),
            ("share", Arc::new(Float64Array::from(vec![0.1256; count]))),
            ("title", Arc::new(StringArray::from(vec!["**Жуки** <b>_x_</b> {{ money }}"; count]))),
            ("day", Arc::new(Date32Array::from((0..count as i32).map(|at| 20_454 + at).collect::<Vec<_>>()))),
        ])
    }

    fn say(template: &str) -> Result<Markup, String> {
        let (now, before) = (rows(&[Some(100_000_050), None, Some(150_000_000)]), rows(&[Some(200_000_000)]));
        let columns: Vec<ColumnInfo> = now
            .schema
            .fields()
            .iter()
            .map(|field| ColumnInfo {
                name: field.name().clone(),
                title: field.name().clone(),
                format: None,
                number: true,
            })
            .collect();
        let period = Period { from: "2026-01-01".parse().unwrap(), until: "2026-01-08".parse().unwrap() };
        let told = Told {
            rows: &now,
            columns: &columns,
            before: Some(&before),
            period: Some(period),
            words: &Words::plain(crate::config::project::Language::Ru),
        };
        text(template, &told)
    }

    fn said(template: &str) -> String {
        let text = say(template).map_or_else(|error| format!("! {error}"), |markup| markup.plain_text());
        text.replace(format::NARROW, "_")
    }

    #[test]
    fn numbers_are_written_as_people_do() {
        assert_eq!(said("Итого {{ money | sum | rub }}, {{ money | change }}"), "Итого 2_500_001_₽, +25_%");
        assert_eq!(said("{{ money | sum | rub(2) }}"), "2_500_000,50_₽");
        assert_eq!(
            said("{{ money | sum | short }}, {{ money | max | rub }}, {{ money | avg | rub }}"),
            "2,5_млн, 1_500_000_₽, 1_250_000_₽"
        );
        assert_eq!(said("{{ payers | last }} {{ payers | last | plural('день', 'дня', 'дней') }}"), "23 дня");
        assert_eq!(
            said("{{ rows }} {{ rows | plural('строка', 'строки', 'строк') }}, {{ share | percent }}"),
            "3 строки, 12,6_%"
        );
        assert_eq!(
            said("{{ day | max | date }}; {{ period.days }}; {{ period.from }}"),
            "03.01.2026; 1–7 янв 2026; 01.01.2026"
        );
        assert_eq!(said("{{ (money | sum) / (payers | sum) }}"), "37_878,8");
        assert_eq!(said("{% for r in row %}{{ r.payers }} {% endfor %}"), "21 22 23");
        assert_eq!(said("{{ money | count }} {{ row[1].money | rub }}"), "2 —");
    }

    #[test]
    fn cells_make_no_marks() {
        let markup = say("**Лучший**: {{ title }} **").unwrap();
        let expected =
            [Span::Bold("Лучший".into()), Span::Plain(": **Жуки** <b>_x_</b> {{ money }} ".into())];
        assert_eq!(markup.0, expected);
    }

    #[test]
    fn what_is_cut_off_a_text_is_said() {
        let whole = "я".repeat(LONGEST);
        assert_eq!(said(&format!("{whole} ")), whole);
        let cut = said(&format!("{whole}!"));
        assert!(cut.starts_with(&whole) && cut.ends_with("\n… Текст длиннее: показано его начало."));
    }

    #[test]
    fn mistakes_are_told_and_loops_end() {
        assert!(say("{{ mony | sum }}").unwrap_err().contains("undefined"));
        assert!(say("{{ 5 | sum }}").unwrap_err().contains("only a column"));
        assert!(say("{{ money | change('x') }}").unwrap_err().contains("a change is one of"));
        assert!(
            say("{% for a in range(99999) %}{% for b in range(99999) %}.{% endfor %}{% endfor %}").is_err()
        );
        assert!(say("{{ money ").is_err());
    }
}

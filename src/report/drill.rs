//! Where the rows of a table lead to: another report, its questions answered by what stands in the row.

use arrow::error::ArrowError;
use indexmap::IndexMap;

use super::{
    cell::Cell,
    format::{NARROW, NOTHING},
    options::{VALUE_LETTERS, can_be_chosen, value, value_of},
    rows::{ColumnInfo, Rows},
    table::{cut, written},
};
use crate::{
    bot::{
        event::{DrillTo, Given, Picked},
        words::Words,
    },
    config::bot::{AskKind, Choice, ChoiceFrom, Drill, Number, Report},
    model::value::Value,
};

/// Letters on a button.
const LABEL: usize = 60;

/// Where the first `shown` rows lead to in report `to`. A row whose cell is NULL, too long to be kept, or no answer to the question, leads nowhere.
pub(super) fn drills(
    drill: &Drill,
    to: &Report,
    shown: usize,
    rows: &Rows,
    columns: &[ColumnInfo],
    words: &Words,
) -> Result<Vec<DrillTo>, ArrowError> {
    let column = |name: &str| columns.iter().position(|info| info.name == name);
    let Some(label) = column(&drill.label) else { return Ok(vec![]) };
    let labels = written(&rows.cells(label, shown)?, &columns[label], words);
    // A label of its own is what the row is called, and so is the one value that it hands on.
    let titled = drill.with.len() == 1 && !drill.with.values().any(|name| *name == drill.label);
    let mut with: Vec<(&String, Vec<Option<Given>>)> = vec![];
    for (question, name) in &drill.with {
        let (Some(at), Some(ask)) = (column(name), to.ask.get(question)) else { return Ok(vec![]) };
        let title = |label: &String| if titled { cut(label, VALUE_LETTERS) } else { String::new() };
        let answer = |(cell, label): (&Cell, &String)| given(&ask.kind, cell, title(label));
        with.push((question, rows.cells(at, shown)?.iter().zip(&labels).map(answer).collect()));
    }
    let to = |(row, label): (usize, &String)| {
        let given = with.iter().map(|(question, answers)| Some(((*question).clone(), answers[row].clone()?)));
        let with = given.collect::<Option<IndexMap<String, Given>>>()?;
        let label = if label.trim().is_empty() { NOTHING } else { label };
        Some(DrillTo {
            label: cut(&label.replace(NARROW, "\u{a0}"), LABEL),
            report: drill.report.clone(),
            with,
        })
    };
    Ok(labels.iter().enumerate().filter_map(to).collect())
}

/// A cell as an answer of the kind that is asked for.
fn given(kind: &AskKind, cell: &Cell, title: String) -> Option<Given> {
    if !value(cell).is_some_and(|value| can_be_chosen(&value)) {
        return None;
    }
    match kind {
        AskKind::Date(_) | AskKind::DateRange(_) => match cell {
            Cell::Date(day) => Some(Given::Period(day.to_string())),
            Cell::Moment(at) => Some(Given::Period(at.date().to_string())),
            _ => None,
        },
        AskKind::Choice(choice) => Some(Given::Picked(vec![picked(choice, value(cell)?, title)?])),
        AskKind::Number(number) => counted(number, cell).map(Given::Value),
        AskKind::Text { .. } => Some(Given::Value(Value::Text(value(cell)?.to_string()))),
    }
}

/// One of a list; `None` = a list that is written down has no such value.
fn picked(choice: &Choice, value: Value, title: String) -> Option<Picked> {
    let value = value_of(choice, value);
    let title = match &choice.from {
        ChoiceFrom::Values(values) => values.get(&value.to_string())?.clone(),
        ChoiceFrom::Sql(_) => title,
    };
    let own = title != value.to_string() && title != NOTHING;
    Some(Picked { title: if own { title } else { String::new() }, value })
}

fn counted(number: &Number, cell: &Cell) -> Option<Value> {
    match (value(cell)?, cell.number()?) {
        (Value::Int(whole), _) => Some(Value::Int(whole)),
        (_, size) if number.whole => (size.fract() == 0.0).then_some(Value::Int(size as i64)),
        (_, size) => Some(Value::Float(size.into())),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::{
        array::{
            ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array, StringArray,
        },
        datatypes::DataType,
    };

    use super::{
        super::{rows::tests::rows_of, run::tests::report},
        *,
    };
    use crate::config::{
        bot::{Ask, Dates, Text},
        project::{Language, Sql},
    };

    fn rows() -> Rows {
        let share = Decimal128Array::from(vec![Some(250), Some(300), None]).with_precision_and_scale(9, 2);
        rows_of(vec![
            ("day", Arc::new(Date32Array::from(vec![Some(20_454), Some(20_455), None])) as ArrayRef),
            ("who", Arc::new(StringArray::from(vec![Some("Анна"), Some("Пётр"), None]))),
            ("id", Arc::new(Int64Array::from(vec![Some(7), Some(12), None]))),
            ("share", Arc::new(share.unwrap())),
            ("rate", Arc::new(Float64Array::from(vec![Some(0.5), Some(f64::NAN), None]))),
            ("new", Arc::new(BooleanArray::from(vec![Some(true), Some(false), None]))),
            ("long", Arc::new(StringArray::from(vec!["ж".repeat(201), "ж".repeat(200), String::new()]))),
        ])
    }

    fn choice(from: ChoiceFrom, value_type: Option<DataType>) -> AskKind {
        AskKind::Choice(Choice {
            from, any: Some(Text::one("все")), many: false, default: None, value_type
        })
    }

    fn listed(kind: DataType) -> AskKind {
        choice(ChoiceFrom::Sql(Sql { text: "SELECT 1".into(), path: "b".into(), native: false }), Some(kind))
    }

    /// What three rows lead to, where a column answers the one question.
    fn led(kind: AskKind, column: &str, label: &str) -> Vec<DrillTo> {
        let mut to = report(&[]);
        to.ask.insert("q".into(), Ask { title: Text::default(), kind, user: None });
        let with = [("q".to_owned(), column.to_owned())].into();
        let drill = Drill { report: "to".into(), with, label: label.into() };
        let rows = rows();
        let columns: Vec<ColumnInfo> = rows
            .schema
            .fields()
            .iter()
            .map(|field| ColumnInfo {
                name: field.name().clone(),
                title: field.name().clone(),
                format: None,
                number: false,
            })
            .collect();
        drills(&drill, &to, 3, &rows, &columns, &Words::plain(Language::Ru)).unwrap()
    }

    fn answers(kind: AskKind, column: &str) -> Vec<Given> {
        led(kind, column, column).iter().map(|to| to.with["q"].clone()).collect()
    }

    fn one(value: Value, title: &str) -> Given {
        Given::Picked(vec![Picked { value, title: title.to_owned() }])
    }

    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    #[test]
    fn a_cell_is_an_answer_of_the_kind_that_is_asked_for() {
        let day = |day: &str| Given::Period(day.to_owned());
        assert_eq!(
            answers(AskKind::Date(Dates::default()), "day"),
            [day("2026-01-01"), day("2026-01-02")],
            "NULL leads nowhere"
        );
        assert!(answers(AskKind::DateRange(Dates::default()), "who").is_empty(), "a name is no day");
        assert_eq!(answers(listed(DataType::Utf8), "who"), [one(text("Анна"), ""), one(text("Пётр"), "")]);
        assert_eq!(answers(listed(DataType::Int64), "id"), [one(Value::Int(7), ""), one(Value::Int(12), "")]);
        assert_eq!(answers(listed(DataType::Utf8View), "id")[0], one(text("7"), ""), "as the list has it");
        assert_eq!(answers(listed(DataType::Boolean), "new")[0], one(Value::Bool(true), ""));
        let words = |longest| AskKind::Text { default: None, longest };
        assert_eq!(answers(words(10), "id")[1], Given::Value(text("12")));
        assert_eq!(answers(words(10), "day")[0], Given::Value(text("2026-01-01")));
        assert_eq!(
            answers(words(1_000), "long"),
            [Given::Value(text(&"ж".repeat(200))), Given::Value(text(""))]
        );
    }

    #[test]
    fn numbers_keep_what_they_are() {
        let number = |whole| AskKind::Number(Number { whole, ..Number::default() });
        let float = |number: f64| Given::Value(Value::Float(number.into()));
        assert_eq!(answers(number(true), "id")[0], Given::Value(Value::Int(7)));
        assert_eq!(answers(number(false), "share"), [float(2.5), float(3.0)]);
        assert_eq!(answers(number(true), "share"), [Given::Value(Value::Int(3))], "2.5 is not whole");
        assert_eq!(answers(number(false), "rate"), [float(0.5)], "NaN is no number");
        assert!(answers(number(false), "who").is_empty());
    }

    #[test]
    fn a_list_that_is_written_down_knows_its_values() {
        let known = [("Анна".to_owned(), "Анна Иванова".to_owned()), ("7".to_owned(), "7".to_owned())];
        let written = || choice(ChoiceFrom::Values(known.clone().into()), Some(DataType::Utf8));
        assert_eq!(answers(written(), "who"), [one(text("Анна"), "Анна Иванова")], "no Пётр is in it");
        assert_eq!(answers(written(), "id"), [one(text("7"), "")]);
    }

    #[test]
    fn a_value_is_called_as_its_row_is() {
        let to = led(listed(DataType::Int64), "id", "who");
        assert_eq!(to.len(), 2);
        assert_eq!((to[1].label.as_str(), &to[1].with["q"]), ("Пётр", &one(Value::Int(12), "Пётр")));
    }
}

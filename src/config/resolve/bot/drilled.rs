//! What a row leads to: its columns must be of types that the other report's questions can take.

use arrow::datatypes::DataType;
use indexmap::IndexMap;

use super::Written;
use crate::{
    config::{
        bot::{AskKind, Bot, Show, Table},
        resolve::report::Report,
    },
    model::column::ColumnType,
};

/// Judges every column that is handed on, where both types can be told from the files alone.
pub(super) fn check(bot: &Bot, written: &IndexMap<String, Written<'_>>, report: &mut Report<'_>) {
    for (name, made) in &bot.reports {
        let list = written[name].node.at(&["show"]);
        for (show, node) in made.show.iter().zip(list.items()) {
            let (Show::Table(Table { drill: Some(drill), .. }), Some(schema)) = (show, &made.output) else {
                continue;
            };
            let Some(other) = bot.reports.get(&drill.report) else { continue };
            for (question, column) in &drill.with {
                let (Some(ask), Ok(field)) = (other.ask.get(question), schema.field_with_name(column)) else {
                    continue;
                };
                if let Some(asked) = misfit(&ask.kind, field.data_type()) {
                    let is = ColumnType::of(field.data_type());
                    let message = format!("`{question}` is {asked}, and column `{column}` is {is}");
                    report.value(node.at(&["table", "drill", "with", question]), "wrong-type", message, "");
                }
            }
        }
    }
}

/// Types whose values can stand for each other.
#[derive(Clone, Copy, PartialEq)]
enum Family {
    Day,
    Text,
    Whole,
    Fraction,
    Truth,
    Other,
}

impl Family {
    fn of(kind: &DataType) -> Self {
        match kind {
            DataType::Dictionary(_, value) => Self::of(value),
            DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => Self::Day,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Self::Text,
            DataType::Boolean => Self::Truth,
            kind if kind.is_integer() => Self::Whole,
            DataType::Decimal32(_, 0)
            | DataType::Decimal64(_, 0)
            | DataType::Decimal128(_, 0)
            | DataType::Decimal256(_, 0) => Self::Whole,
            kind if kind.is_numeric() => Self::Fraction,
            _ => Self::Other,
        }
    }
}

/// What is asked for, where a column's values cannot be it.
fn misfit(kind: &AskKind, column: &DataType) -> Option<String> {
    use Family::{Day, Fraction, Other, Text, Truth, Whole};
    let is = Family::of(column);
    let (taken, asked) = match kind {
        AskKind::Date(_) | AskKind::DateRange(_) => (is == Day, "a day".to_owned()),
        AskKind::Number(number) if number.whole => (is == Whole, "a whole number".to_owned()),
        AskKind::Number(_) => (matches!(is, Whole | Fraction), "a number".to_owned()),
        AskKind::Text { .. } => (is != Other, "a text".to_owned()),
        AskKind::Choice(choice) => {
            let values = choice.value_type.as_ref()?;
            let taken = match Family::of(values) {
                Text => matches!(is, Text | Whole | Truth | Day),
                Fraction => matches!(is, Whole | Fraction),
                Other => true,
                same => is == same,
            };
            (taken, format!("one of a list of {}", ColumnType::of(values)))
        }
    };
    (!taken).then_some(asked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::bot::{Choice, ChoiceFrom, Dates, Number};

    #[test]
    fn what_can_stand_for_what() {
        let list = |kind: DataType| {
            let from = ChoiceFrom::Values(IndexMap::new());
            AskKind::Choice(Choice { from, any: None, many: false, default: None, value_type: Some(kind) })
        };
        let number = |whole| AskKind::Number(Number { whole, ..Number::default() });
        let text = || AskKind::Text { default: None, longest: 9 };
        let money = || DataType::Decimal128(18, 2);
        for (kind, column, asked) in [
            (AskKind::Date(Dates::default()), DataType::Date32, None),
            (AskKind::DateRange(Dates::default()), DataType::Utf8, Some("a day")),
            (number(true), DataType::Int32, None),
            (number(true), money(), Some("a whole number")),
            (number(false), money(), None),
            (number(false), DataType::Utf8, Some("a number")),
            (text(), money(), None),
            (text(), DataType::new_list(DataType::Utf8, true), Some("a text")),
            (list(DataType::Utf8), DataType::Int64, None),
            (list(DataType::Utf8), DataType::Float64, Some("one of a list of text")),
            (list(DataType::Int64), DataType::Decimal128(20, 0), None),
            (list(DataType::Int64), DataType::Utf8, Some("one of a list of int64")),
            (list(DataType::Float64), DataType::Int64, None),
            (list(DataType::Date32), DataType::Date32, None),
        ] {
            assert_eq!(misfit(&kind, &column).as_deref(), asked, "{kind:?} of {column}");
        }
    }
}

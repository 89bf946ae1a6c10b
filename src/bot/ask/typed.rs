//! Answers that are typed.

use super::bounds;
use crate::{
    bot::{
        event::{Given, Wrong},
        said,
        scene::Scene,
    },
    config::bot::{Ask, AskKind},
    model::value::Value,
};

/// What a typed text answers; lists are searched instead.
pub(in crate::bot) fn typed(scene: &Scene<'_>, ask: &Ask, text: &str) -> Result<Given, Wrong> {
    let text = text.trim();
    match &ask.kind {
        AskKind::Date(_) | AskKind::DateRange(_) => {
            let period = said::period(text, scene.today).ok_or(Wrong::NoDate)?;
            bounds::judge(scene, ask, &period).map(|_| Given::Period(period))
        }
        AskKind::Number(number) => {
            let plain = text.replace([' ', '\u{a0}', '\u{202f}'], "").replace(',', ".");
            let value: f64 = plain.parse().map_err(|_| Wrong::NoNumber)?;
            bounds::number(number, value)?;
            if number.whole {
                return plain
                    .parse()
                    .map(|number| Given::Value(Value::Int(number)))
                    .map_err(|_| Wrong::NoNumber);
            }
            Ok(Given::Value(Value::Float(value.into())))
        }
        AskKind::Text { longest, .. } => {
            let count = text.chars().count();
            if count == 0 || count > *longest {
                return Err(Wrong::NoText);
            }
            Ok(Given::Value(Value::Text(text.to_owned())))
        }
        AskKind::Choice(_) => Err(Wrong::NoText),
    }
}

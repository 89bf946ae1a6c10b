//! What went wrong, for admins: reports that failed, messages that did not arrive, groups that moved.

use std::sync::PoisonError;

use super::{delivery::Trouble, html::escape, office::Office, parcel, requests};
use crate::state::{
    bot::{
        dialogs::{Also, Step},
        outbox::NewMessage,
        subscriptions::SubscriptionState,
    },
    error::Result,
};

/// Characters of a cause that admins are told; the log has all of it.
const CAUSE: usize = 600;

/// Tells admins of a message that did not arrive, and stops what would not arrive either.
pub(super) fn tell(office: &Office, trouble: Trouble) -> Result<()> {
    let messages = match trouble {
        Trouble::Moved { from, to } => office.to_admins(
            |words| format!("{}: <code>{from}</code> → <code>{to}</code>", escape(words.group_moved())),
            |_| vec![],
        )?,
        Trouble::Gone { chat, why, of_trouble } => {
            close(office, chat, &why)?;
            if of_trouble { vec![] } else { undelivered(office, chat, &why)? }
        }
        Trouble::Lost { chat, why } => undelivered(office, chat, &why)?,
    };
    office.put(&messages)
}

/// Nothing can be said in a chat any more: what waits for it has failed, and what is sent to it again and again stops.
pub(super) fn close(office: &Office, chat: i64, why: &str) -> Result<()> {
    office.records.chat_failed(chat, why, office.now())?;
    office.records.unreachable(chat, office.now())?;
    for subscription in office.records.subscriptions(None)? {
        if subscription.chat == Some(chat) && subscription.state != SubscriptionState::Stopped {
            let act = requests::stopped(&subscription, why, office.now());
            let (id, state, why) = (subscription.id, SubscriptionState::Stopped, Some(why.to_owned()));
            let also = vec![Also::Turn { id, state, why }, Also::Note(subscription.owner, act)];
            office.records.step(&Step { also, ..Step::default() }, office.now())?;
        }
    }
    office.records.sync()
}

/// Tells admins why a report failed that someone wanted; the same cause once in a while, with how often it came since.
pub(super) fn report_failed(office: &Office, reader: i64, report: &str, cause: &str) -> Result<()> {
    tracing::warn!("report `{report}` failed for {reader}: {cause}");
    let cause: String = cause.chars().take(CAUSE).collect();
    let mut failures = office.failures.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(since) = failures.tells(report, &cause, office.now()) else { return Ok(()) };
    drop(failures);
    let known = office.records.user(reader)?;
    let reader = known.map_or(reader.to_string(), |user| requests::called(&user));
    let messages = office.to_admins(
        |words| {
            let head = format!("<b>{}</b>: {}", escape(words.report_failed()), escape(report));
            let more =
                if since > 0 { format!("\n{}", escape(&words.failed_since(since))) } else { String::new() };
            format!("{head}\n{}\n<pre>{}</pre>{more}", escape(&reader), escape(&cause))
        },
        |_| vec![],
    )?;
    office.put(&messages)
}

/// Admins who cannot be written to are not told that they cannot; nor is anybody told that a notice of this kind did not arrive.
fn undelivered(office: &Office, chat: i64, why: &str) -> Result<Vec<NewMessage>> {
    let known = office.records.user(chat)?;
    let called = known.map_or(chat.to_string(), |user| requests::called(&user));
    let mut told = office.to_admins(|words| escape(&words.undelivered(&called, why)), |_| vec![])?;
    told.retain(|message| message.chat != chat);
    told.iter_mut().for_each(parcel::of_trouble);
    Ok(told)
}

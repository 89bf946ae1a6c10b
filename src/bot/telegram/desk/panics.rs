//! What panics fails once: it is told to whoever did it and to admins, and counts as handled, since trying it again would only panic again.

use super::{Desk, Did, Incoming};
use crate::{
    bot::{
        event::State,
        telegram::{guarded::unpanicked, html::escape, parcel, requests},
    },
    state::{bot::dialogs::Step, error::Result},
};

impl Desk {
    /// The program failed at what somebody did.
    pub(super) fn update_panicked(&mut self, incoming: &Incoming) -> Result<()> {
        if let Did::Pressed { callback, .. } = &incoming.did {
            self.answer(callback, None);
        }
        let anew = matches!(&incoming.did, Did::Command(name, _) if name == "start");
        self.panicked(Some(incoming.update), incoming.from.id, incoming.chat, anew)
    }

    /// The program failed at a step of somebody's dialog. It is over, even where the program fails at saying so.
    pub(super) fn panicked(&mut self, update: Option<u32>, user: i64, chat: i64, anew: bool) -> Result<()> {
        let said = unpanicked("an apology", || self.apologize(update, user, chat, anew));
        said.unwrap_or_else(|| {
            let handled = Step { update, user, chat, ..Step::default() };
            self.office.records.step(&handled, self.office.now())
        })
    }

    /// Says that a step was not done. Its place in the dialog is left, which may be what is wrong; where that is left already (`anew`), what was kept
    /// is forgotten as well.
    fn apologize(&mut self, update: Option<u32>, user: i64, chat: i64, anew: bool) -> Result<()> {
        let office = self.office.clone();
        let state = office.records.dialog(user, chat)?;
        let state: State = state.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        if let Some(running) = &state.running {
            let run = running.run;
            self.line.of(user, chat).iter().filter(|key| key.run == run).for_each(|key| self.cancel(key));
        }
        let kept = if anew { State::default() } else { state };
        let state = State { version: kept.version.wrapping_add(1), trail: vec![], running: None, ..kept };
        let known = office.records.user(user)?;
        let words = known
            .as_ref()
            .map_or_else(|| office.words(office.setting().language), |user| office.words_to(user));
        let called = known.map_or(user.to_string(), |user| requests::called(&user));
        let mut messages = vec![parcel::notice(chat, escape(words.crashed()), &[])];
        messages.extend(office.to_admins(
            |words| format!("<b>{}</b>\n{}", escape(words.step_failed()), escape(&called)),
            |_| vec![],
        )?);
        let state = Some(serde_json::to_string(&state).unwrap_or_default());
        let step = Step { update, user, chat, state, messages, also: vec![] };
        office.records.step(&step, office.now())?;
        office.news.notify_one();
        Ok(())
    }
}

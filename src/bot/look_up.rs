//! What is said in words: questions, and what stands behind a command or in a link. Where lists of the database may be named in it, whoever knows
//! them is asked first.

use super::{
    dialog::Step,
    event::{Action, Advice, Named, Place, Spot},
    find::{self, Link, Listed},
    meant::{self, Readings, Told},
};
use crate::config::bot::Report;

/// Characters of what is said.
const LONGEST: usize = 200;

impl Step<'_> {
    /// A question in words. Where a model is asked, its word may come later.
    pub(super) fn understand(&mut self, text: &str) {
        let words = short(text);
        let lists = meant::has_lists(&self.scene);
        let found = (!lists).then(|| meant::understand(&self.scene, &words, &[]));
        let (calls, left) = found.map_or((None, vec![]), |found| (Some(found.calls), found.left));
        let ticket = (!words.is_empty() && (lists || self.scene.bot.model.is_some())).then(|| self.next());
        let calls = if ticket.is_none() { calls.or(Some(vec![])) } else { calls };
        if matches!(self.state.trail.last(), Some(Spot::Understood { .. })) {
            self.state.trail.pop();
        }
        self.enter(Spot::Understood { words: words.clone(), calls, left, ticket }, Place::New);
        self.actions.extend(ticket.map(|ticket| Action::Understand { ticket, words, report: None }));
    }

    /// A report by its command, with words behind it.
    pub(super) fn told(&mut self, report: &Report, words: &str) {
        let words = short(words);
        let told = meant::told(&self.scene, report, &words, &[]);
        if told.whole {
            self.call(told.call, Place::New);
        } else if report.ask.values().any(meant::is_listed) {
            self.look_up(report, words, false, None);
        } else {
            self.offer(words, told, Place::New);
        }
    }

    /// What nobody knows is not passed over in silence: without it, the report runs once its reader says so.
    fn offer(&mut self, words: String, told: Told, place: Place) {
        let (calls, left) = (Some(vec![told.call]), told.left);
        self.enter(Spot::Understood { words, calls, left, ticket: None }, place);
    }

    /// A report by a link.
    pub(super) fn link(&mut self, link: &str) {
        match find::link(&self.scene, link) {
            Some(Link::Call(call)) => {
                self.state.trail.truncate(1);
                self.call(call, Place::New);
            }
            Some(Link::Listed(Listed { report, ask, value })) => {
                self.state.trail.truncate(1);
                self.look_up(report, short(value), true, ask);
            }
            None => self.unknown_link(Place::New),
        }
    }

    fn unknown_link(&mut self, place: Place) {
        self.note = Some(self.scene.words.unknown_link().to_owned());
        self.home(place);
    }

    fn look_up(&mut self, report: &Report, words: String, link: bool, ask: Option<&str>) {
        let (ticket, report) = (self.next(), report.name.clone());
        let ask = ask.map(str::to_owned);
        let spot = Spot::Told { report: report.clone(), words: words.clone(), link, ask, ticket };
        self.enter(spot, Place::New);
        self.actions.push(Action::Understand { ticket, words, report: Some(report) });
    }

    /// What words name, or what a model makes of them.
    pub(super) fn understood(&mut self, answered: u64, named: &[Named], advice: Option<&Advice>) {
        let Some((at, place)) = self.waits(answered) else { return };
        match self.state.trail.get(at).cloned() {
            Some(Spot::Told { report, words, link, ask, .. }) => {
                self.state.trail.remove(at);
                if link {
                    self.link_looked_up(&report, &words, ask.as_deref(), named, place);
                } else {
                    self.looked_up(&report, words, named, place);
                }
            }
            Some(Spot::Understood { words, calls, ticket, .. }) => {
                let Readings { calls: mut found, mut left } = meant::understand(&self.scene, &words, named);
                if let Some(advised) = advice.and_then(|advice| meant::advised(&self.scene, named, advice)) {
                    found.retain(|call| *call != advised);
                    found.insert(0, advised);
                    // What a model makes of which word is not known.
                    left.clear();
                }
                // The same readings are not shown twice: whoever is about to press one still can.
                if calls.as_ref() == Some(&found) {
                    return;
                }
                let waited = calls.is_none();
                let spot = Spot::Understood { words, calls: Some(found), left, ticket };
                if waited {
                    // A report that came first stands above it: what was asked last is shown last.
                    self.state.trail.remove(at);
                    self.state.trail.push(spot);
                } else {
                    self.state.trail[at] = spot;
                }
                if waited || place == Place::Same {
                    self.show(place);
                }
            }
            _ => {}
        }
    }

    /// What the words behind a report's name say, now that its lists are known.
    fn looked_up(&mut self, report: &str, words: String, named: &[Named], place: Place) {
        let Some(report) = self.scene.report(report) else { return self.show(place) };
        let told = meant::told(&self.scene, report, &words, named);
        if told.whole {
            self.call(told.call, place);
        } else {
            self.offer(words, told, place);
        }
    }

    /// Where a link leads, now that its report's lists are known: to the value itself; else to what its words name; else nowhere.
    fn link_looked_up(
        &mut self,
        report: &str,
        words: &str,
        ask: Option<&str>,
        named: &[Named],
        place: Place,
    ) {
        let Some(report) = self.scene.report(report) else { return self.show(place) };
        if let Some(call) = meant::linked(&self.scene, report, ask, words, named) {
            return self.call(call, place);
        }
        let told = meant::told(&self.scene, report, words, named);
        if told.whole && ask.is_none() { self.call(told.call, place) } else { self.unknown_link(place) }
    }
}

fn short(text: &str) -> String {
    text.trim().chars().take(LONGEST).collect()
}

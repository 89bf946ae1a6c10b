//! The dialog: `(state, event) → (state, actions)`.

use super::{
    ask, call,
    event::{
        Access, Action, Call, Draft, DrillTo, Event, Given, Outcome, Picked, Place, Running, Spot, State,
        Topic, Viewer, What,
    },
    press::Intent,
    scene::Scene,
    screen::{Block, Button, Markup, Screen},
    subscribe, token,
    view::{self, View},
};
use crate::config::bot::{Ask, Bot};

#[cfg(test)]
pub(crate) mod tests;

/// Places that are remembered; older ones between the first and these are forgotten.
const TRAIL: usize = 16;
/// Reports that are remembered as the last ones.
const RECENT: usize = 5;
/// Rows of an answer that lead on: as many as a table may show.
const DRILLS: usize = 100;
/// Those of all answers that are remembered: earlier ones lose theirs, and have them again when they are run again.
const ALL_DRILLS: usize = 200;

/// What becomes of a state by an event, and what is to be done about it. Pure: the same arguments give the same result.
pub fn step(bot: &Bot, viewer: &Viewer, state: State, event: &Event) -> (State, Vec<Action>) {
    let scene = Scene::new(bot, viewer, event.now);
    let now = u64::try_from(event.now.timestamp()).unwrap_or(0);
    let mut step = Step { scene, state, actions: vec![], note: None, now };
    step.prune();
    step.hear(&event.what);
    (step.state, step.actions)
}

/// One step under way.
pub(super) struct Step<'a> {
    pub(super) scene: Scene<'a>,
    pub(super) state: State,
    pub(super) actions: Vec<Action>,
    /// What the next screen says before anything else.
    pub(super) note: Option<String>,
    now: u64,
}

impl Step<'_> {
    /// Takes away what the state has of menus, reports and questions that this viewer does not have, now.
    fn prune(&mut self) {
        let scene = &self.scene;
        let member = matches!(scene.viewer.access, Access::Member { .. });
        let stranger = matches!(scene.viewer.access, Access::Stranger) && scene.bot.request;
        self.state.trail.retain(|spot| match spot {
            Spot::Request => stranger,
            _ if !member => false,
            Spot::Menu(path, _) => super::tree::entries(scene, path).is_some(),
            Spot::Report { call, .. } => scene.report(&call.report).is_some(),
            Spot::Told { report, .. } => scene.report(report).is_some(),
            Spot::Ask { call, name, draft } => {
                let report = scene.report(&call.report);
                report.and_then(|report| report.ask.get(name)).is_some_and(|ask| ask::fits(ask, draft))
            }
            Spot::Subscribe(topic) | Spot::Schedule { topic, .. } => subscribe::may(scene, topic),
            Spot::Found { .. } | Spot::Understood { .. } | Spot::Favourites(_) | Spot::Help(_) => true,
        });
        if member && !matches!(self.state.trail.first(), Some(Spot::Menu(path, _)) if path.is_empty()) {
            self.state.trail.insert(0, Spot::Menu(vec![], 0));
        }
        let excess = self.state.trail.len().saturating_sub(TRAIL);
        if excess > 0 {
            self.state.trail.drain(1..=excess);
        }
        let mut room = ALL_DRILLS;
        for spot in self.state.trail.iter_mut().rev() {
            if let Spot::Report { drills, .. } = spot {
                match room.checked_sub(drills.len()) {
                    Some(left) => room = left,
                    None => (room, *drills) = (0, vec![]),
                }
            }
        }
        let lost = self.state.running.take_if(|running| scene.report(&running.call.report).is_none());
        self.actions.extend(lost.map(|running| Action::Cancel { run: running.run }));
    }

    fn hear(&mut self, what: &What) {
        match what {
            What::Button { token } => self.button(token),
            What::Answer { run, outcome } => self.answer(*run, outcome),
            What::Options { ticket, found } => self.options(*ticket, found.as_deref()),
            What::Understood { ticket, named, advice } => self.understood(*ticket, named, advice.as_ref()),
            What::Command { .. } | What::Text(_)
                if !matches!(self.scene.viewer.access, Access::Member { .. }) =>
            {
                self.outsider(what);
            }
            What::Command { name, arguments } => self.command(name, arguments),
            What::Text(text) => self.text(text),
            What::Workbook { .. } if self.has_no_room() => self.show(Place::New),
            What::Workbook { mart, title } => {
                let topic = Topic::Workbook { mart: mart.clone(), title: title.clone() };
                self.enter(Spot::Subscribe(topic), Place::New);
            }
        }
    }

    fn button(&mut self, token: &str) {
        let pressed =
            token::read(token).filter(|token| token.version == self.state.version).and_then(|token| {
                let view = view::view(&self.scene, &self.state);
                let (_, intent) = view.rows.into_iter().flatten().nth(token.index)?;
                token.fits(self.scene.viewer, &intent).then_some(intent)
            });
        match pressed {
            Some(intent) => self.press(intent),
            None => {
                self.note = Some(self.scene.words.stale().to_owned());
                self.show(Place::New);
            }
        }
    }

    /// Words of someone who is not let in.
    fn outsider(&mut self, what: &What) {
        if let (What::Text(reason), Some(Spot::Request)) = (what, self.state.trail.last()) {
            let reason: String = reason.trim().chars().take(500).collect();
            if !reason.is_empty() {
                self.state.trail.clear();
                self.actions.push(Action::RequestAccess { reason });
                self.note = Some(self.scene.words.request_sent().to_owned());
                let note = View { blocks: vec![], rows: vec![] };
                return self.show_view(note, Place::New);
            }
        }
        self.show(Place::New);
    }

    fn command(&mut self, name: &str, arguments: &str) {
        let arguments = arguments.trim();
        match name {
            "start" if !arguments.is_empty() => self.link(arguments),
            "start" => self.home(Place::New),
            "help" => self.enter(Spot::Help(0), Place::New),
            "find" => self.enter(Spot::Found { words: arguments.to_owned(), page: 0 }, Place::New),
            "favourites" => self.enter(Spot::Favourites(0), Place::New),
            "again" => self.again(Place::New),
            "cancel" => {
                if self.state.running.is_some() {
                    return self.cancel();
                }
                self.note = Some(self.scene.words.cancelled_nothing().to_owned());
                self.show(Place::New);
            }
            "ask" => self.understand(arguments),
            _ => {
                let commanded = self.scene.reports().find(|report| report.command.as_deref() == Some(name));
                let is_alias = |alias: &String| alias.to_lowercase() == name;
                let report = commanded
                    .or_else(|| self.scene.reports().find(|report| report.aliases.iter().any(is_alias)));
                match report {
                    Some(report) => self.told(report, arguments),
                    None => {
                        self.note = Some(self.scene.words.unknown_command().to_owned());
                        self.show(Place::New);
                    }
                }
            }
        }
    }

    /// Words: the answer to the question at hand; else a question in words, but not in a group, where people talk to each other.
    fn text(&mut self, text: &str) {
        let spot = self.state.trail.last().cloned();
        if let Some(Spot::Subscribe(_) | Spot::Schedule { .. }) = spot {
            return self.schedule_typed(text);
        }
        let Some(Spot::Ask { call, name, draft }) = spot else {
            if self.scene.viewer.chat == self.scene.viewer.user {
                self.understand(text);
            }
            return;
        };
        let Some(ask) = self.scene.report(&call.report).and_then(|report| report.ask.get(&name)) else {
            return;
        };
        if let Draft::List { chosen, .. } = draft {
            let search: String = text.trim().chars().take(100).collect();
            return self.list(search, chosen, Place::New);
        }
        match ask::typed(&self.scene, ask, text) {
            Ok(given) => self.answered(given, Place::New),
            Err(wrong) => {
                self.set_draft(Draft::Start { wrong: Some(wrong) });
                self.show(Place::New);
                // It is said once.
                self.set_draft(Draft::Start { wrong: None });
            }
        }
    }

    /// To the first screen.
    pub(super) fn home(&mut self, place: Place) {
        self.state.trail.clear();
        self.prune();
        self.show(place);
    }

    /// To a place.
    pub(super) fn enter(&mut self, spot: Spot, place: Place) {
        self.leave();
        if self.state.trail.last() != Some(&spot) {
            self.state.trail.push(spot);
        }
        self.prune();
        self.show(place);
    }

    /// From a screen that only waits, which is no place to come back to.
    fn leave(&mut self) {
        if let Some(Spot::Told { .. } | Spot::Understood { calls: None, .. }) = self.state.trail.last() {
            self.state.trail.pop();
        }
    }

    /// The place that waits for an answer of this number, and where the answer is shown: whoever has been led elsewhere meanwhile is not led back.
    pub(super) fn waits(&self, answered: u64) -> Option<(usize, Place)> {
        let at = self.state.trail.iter().rposition(|spot| spot.ticket() == Some(answered))?;
        let last = at + 1 == self.state.trail.len();
        Some((at, if last { Place::Same } else { Place::New }))
    }

    /// A report: run where every question has an answer; else the first that has none is asked.
    pub(super) fn call(&mut self, call: Call, place: Place) {
        let kept = call::kept(&self.scene, &call);
        let Some((report, call)) = kept.and_then(|call| Some((self.scene.report(&call.report)?, call)))
        else {
            self.note = Some(self.refused_role());
            return self.show(place);
        };
        self.leave();
        let with = match call::complete(&self.scene, report, &call.with) {
            Ok(with) => with,
            Err(missing) => return self.ask(call, missing, place),
        };
        self.stop();
        let run = self.next();
        self.state.recent.retain(|recent| recent.report != call.report);
        self.state.recent.insert(0, call.clone());
        self.state.recent.truncate(RECENT);
        self.state.running = Some(Running { run, call: call.clone() });
        self.state.trail.push(Spot::Report { call: call.clone(), drills: vec![], page: 0, shown: false });
        self.prune();
        self.note = None;
        let mut view = view::view(&self.scene, &self.state);
        view.say(&format!("\n\n{}", self.scene.words.preparing()));
        self.show_view(view, place);
        self.actions.push(Action::Run { run, report: call.report, with });
    }

    /// A question of a report.
    pub(super) fn ask(&mut self, call: Call, name: String, place: Place) {
        let Some(ask) = self.scene.report(&call.report).and_then(|report| report.ask.get(&name)) else {
            return self.show(place);
        };
        let draft = ask::start(ask);
        let wants = view::wants_list(&draft);
        let now = self
            .scene
            .report(&call.report)
            .and_then(|report| call::answer(&self.scene, report, &call.with, &name));
        let chosen = match now {
            Some(Given::Picked(chosen)) if many(ask) => chosen,
            _ => vec![],
        };
        self.state.trail.push(Spot::Ask { call, name, draft });
        self.prune();
        if wants { self.list(String::new(), chosen, place) } else { self.show(place) }
    }

    /// The list of the question at hand, or the part of it that a search finds.
    pub(super) fn list(&mut self, search: String, chosen: Vec<Picked>, place: Place) {
        let Some(Spot::Ask { call, name, .. }) = self.state.trail.last().cloned() else {
            return self.show(place);
        };
        let ask = self.scene.report(&call.report).and_then(|report| report.ask.get(&name));
        let Some(crate::config::bot::AskKind::Choice(choice)) = ask.map(|ask| &ask.kind) else {
            return self.show(place);
        };
        let found = ask::list::written(choice, &search);
        let ticket = if found.is_none() { Some(self.next()) } else { None };
        self.set_draft(Draft::List { ticket, search: search.clone(), found, page: 0, chosen });
        self.show(place);
        if let Some(ticket) = ticket {
            let limit = ask::list::KEPT;
            self.actions.push(Action::Options { ticket, report: call.report, ask: name, search, limit });
        }
    }

    /// A list that was asked for.
    fn options(&mut self, answered: u64, values: Option<&[Picked]>) {
        let Some((at, place)) = self.waits(answered) else { return };
        if let Some(Spot::Ask { draft: Draft::List { ticket, found, .. }, .. }) = self.state.trail.get_mut(at)
        {
            *ticket = None;
            *found = values.map(|values| values.iter().take(ask::list::KEPT).cloned().collect());
            if place == Place::Same {
                self.show(place);
            }
        }
    }

    /// What became of a report.
    fn answer(&mut self, run: u64, outcome: &Outcome) {
        let Some(running) = self.state.running.take_if(|running| running.run == run) else {
            // Its reader has lost the role meanwhile, and was shown that it runs.
            if self.actions.contains(&Action::Cancel { run }) {
                self.note = Some(self.refused_role());
                self.show(Place::Same);
            }
            return;
        };
        let call = running.call.clone();
        let waits = matches!(self.state.trail.last(), Some(Spot::Report { call: at, .. }) if *at == call);
        let place = if waits { Place::Same } else { Place::New };
        if let Outcome::Queued(before) = outcome {
            self.state.running = Some(running);
            if waits {
                self.note = Some(self.scene.words.queued(before));
                self.show(Place::Same);
            }
            return;
        }
        let Some(report) = self.scene.report(&call.report) else { return self.show(place) };
        let words = &self.scene.words;
        let (blocks, drills, shown) = match outcome {
            Outcome::Done { blocks, drills } => (blocks.clone(), drills.clone(), true),
            Outcome::Queued(_) => return,
            Outcome::Full => (said(words.queue_full()), vec![], false),
            Outcome::TimedOut => (said(words.timed_out(report.timeout.as_secs())), vec![], false),
            Outcome::Cancelled => (said(words.cancelled()), vec![], false),
            Outcome::Failed => (said(words.failed()), vec![], false),
            Outcome::Refused(why) => (said(words.refused(why)), vec![], false),
        };
        // What the other report would not take leads nowhere, rather than to its defaults.
        let leads = |drill: &DrillTo| call::takes(&self.scene, &drill.report, &drill.with);
        let drills: Vec<DrillTo> = drills.into_iter().filter(leads).take(DRILLS).collect();
        if waits {
            self.state.trail.pop();
        }
        self.state.trail.push(Spot::Report { call, drills, page: 0, shown });
        self.prune();
        let mut view = view::view(&self.scene, &self.state);
        view.blocks.extend(blocks);
        self.show_view(view, place);
    }

    fn refused_role(&self) -> String {
        let words = &self.scene.words;
        words.refused(words.refused_role())
    }

    pub(super) fn again(&mut self, place: Place) {
        let last = self.state.recent.iter().find_map(|call| call::kept(&self.scene, call));
        match last {
            Some(call) => self.call(call, place),
            None => {
                self.note = Some(self.scene.words.again_none().to_owned());
                self.show(place);
            }
        }
    }

    /// Stops what runs, and says so.
    pub(super) fn cancel(&mut self) {
        self.stop();
        self.note = Some(self.scene.words.cancelled().to_owned());
        self.show(Place::Same);
    }

    fn stop(&mut self) {
        if let Some(running) = self.state.running.take() {
            self.actions.push(Action::Cancel { run: running.run });
        }
    }

    /// Moves within the question at hand.
    pub(super) fn draft(&mut self, draft: Draft) {
        self.set_draft(draft);
        self.show(Place::Same);
    }

    fn set_draft(&mut self, new: Draft) {
        if let Some(Spot::Ask { draft, .. }) = self.state.trail.last_mut() {
            *draft = new;
        }
    }

    pub(super) fn toast(&mut self, text: &str) {
        self.actions.push(Action::Toast(text.to_owned()));
    }

    /// A number that was not there before: later than every earlier one, even where the state was lost.
    pub(super) fn next(&mut self) -> u64 {
        self.state.version = self.now.max(self.state.version + 1);
        self.state.version
    }

    /// Shows where someone is.
    pub(super) fn show(&mut self, place: Place) {
        let view = view::view(&self.scene, &self.state);
        self.show_view(view, place);
    }

    /// Gives the buttons of the screen at hand anew, and leaves what it says.
    pub(super) fn redraw(&mut self) {
        let view = view::view(&self.scene, &self.state);
        let rows = self.rows(view.rows);
        self.actions.push(Action::Buttons(rows));
    }

    fn show_view(&mut self, mut view: View, place: Place) {
        if let Some(note) = self.note.take() {
            let gap = if view.blocks.is_empty() { "" } else { "\n\n" };
            view.head(Markup::new().italic(note).plain(gap));
        }
        let rows = self.rows(view.rows);
        self.actions.push(Action::Show { screen: Screen { blocks: view.blocks, rows }, place });
    }

    fn rows(&mut self, rows: Vec<Vec<(String, Intent)>>) -> Vec<Vec<Button>> {
        let version = self.next();
        let mut index = 0;
        let mut button = |(label, intent): (String, Intent)| {
            let token = token::write(self.scene.viewer, version, index, &intent);
            index += 1;
            Button { label, token }
        };
        rows.into_iter().map(|row| row.into_iter().map(&mut button).collect()).collect()
    }
}

fn said(text: impl Into<String>) -> Vec<Block> {
    vec![Block::Text(Markup::text(text))]
}

fn many(ask: &Ask) -> bool {
    matches!(&ask.kind, crate::config::bot::AskKind::Choice(choice) if choice.many)
}

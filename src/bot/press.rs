//! What buttons mean, and what becomes of the state when one is pressed.

use chrono::NaiveDate;

use super::{
    ask, call,
    dialog::Step,
    event::{Call, Draft, Given, Picked, Place, Spot, With},
    said,
};
use crate::{
    config::bot::{Ask, AskKind},
    model::time::Period,
};

/// What a button stands for.
#[derive(Debug, Clone, PartialEq, Hash)]
pub(super) enum Intent {
    /// To the first screen.
    Home,
    /// To where one came from.
    Back,
    /// Nothing: it fills a place.
    Still,
    /// To a menu among this one's items.
    Enter(usize),
    /// To another page of the list at hand.
    Page(usize),
    /// A report with its defaults.
    Open(String),
    /// A report with parameters.
    Call(Call),
    /// Runs the report at hand.
    Run,
    /// Stops it.
    Cancel,
    /// Another answer to one of its questions.
    Change(String),
    /// An answer.
    Give(Given),
    /// The calendar.
    Calendar,
    /// Its month.
    Month(NaiveDate),
    /// Its year.
    Year(i32),
    /// A day of it.
    Day(NaiveDate),
    /// Marks one of a list, or no longer.
    Toggle(Picked),
    /// The marked ones are it.
    Done,
    /// Asks for the list again.
    Retry,
    /// The list without a search.
    WholeList,
    /// Keeps the report at hand, or no longer.
    Favourite,
    /// What is kept.
    Favourites,
    /// The last report once more.
    Again,
    /// When the report at hand shall be sent.
    Subscribe,
    /// At times that are to be typed.
    OwnSchedule,
    /// At these times.
    SendAt(String),
    /// Asks to be let in.
    Request,
}

/// Reports that may be kept.
const FAVOURITES: usize = 30;

impl Step<'_> {
    /// Does what a button stands for. It stands on the screen at hand, so it fits the state.
    pub(super) fn press(&mut self, intent: Intent) {
        match intent {
            Intent::Home => self.home(Place::Same),
            Intent::Back => {
                self.state.trail.pop();
                self.show(Place::Same);
            }
            Intent::Still => self.toast(""),
            Intent::Enter(index) => {
                if let Some(Spot::Menu(path, _)) = self.state.trail.last() {
                    let path = path.iter().copied().chain([index]).collect();
                    self.enter(Spot::Menu(path, 0), Place::Same);
                }
            }
            Intent::Page(to) => self.page(to),
            Intent::Open(report) => self.call(Call { report, with: With::new() }, Place::Same),
            Intent::Call(call) => self.call(call, Place::Same),
            Intent::Run => {
                if let Some(Spot::Report { call, .. }) = self.state.trail.last().cloned() {
                    self.state.trail.pop();
                    self.call(call, Place::Same);
                }
            }
            Intent::Cancel => self.cancel(),
            Intent::Change(name) => {
                if let Some(Spot::Report { call, .. }) = self.state.trail.last().cloned() {
                    self.ask(call, name, Place::Same);
                }
            }
            Intent::Favourite => self.favourite(),
            Intent::Favourites => self.enter(Spot::Favourites(0), Place::Same),
            Intent::Again => self.again(Place::Same),
            Intent::Subscribe => self.subscribe(),
            Intent::OwnSchedule => self.own_schedule(),
            Intent::SendAt(cron) => self.send_at(cron),
            Intent::Request => self.enter(Spot::Request, Place::Same),
            Intent::Give(given) => self.give(given),
            of_question => self.press_in_question(of_question),
        }
    }

    /// Presses that move within a question.
    fn press_in_question(&mut self, intent: Intent) {
        let Some(Spot::Ask { call, name, draft }) = self.state.trail.last().cloned() else {
            return self.show(Place::Same);
        };
        let Some(ask) = self.scene.bot.reports.get(&call.report).and_then(|report| report.ask.get(&name))
        else {
            return self.show(Place::Same);
        };
        let today = self.scene.today;
        let from = match draft {
            Draft::Month { from, .. } | Draft::Year { from, .. } => from,
            _ => None,
        };
        match intent {
            Intent::Calendar => {
                let shown =
                    call::answer_days(&self.scene, &call, &name).map_or(today, |period| period.last());
                self.draft(Draft::Month { month: first_of(shown), from: None });
            }
            Intent::Month(month) => self.draft(Draft::Month { month, from }),
            Intent::Year(year) => self.draft(Draft::Year { year, from }),
            Intent::Day(day) => self.day(ask, day, from),
            Intent::Toggle(picked) => {
                if let Draft::List { ticket, search, found, page, mut chosen } = draft {
                    let before = chosen.len();
                    chosen.retain(|one| one.value != picked.value);
                    if chosen.len() == before {
                        if before >= ask::list::CHOSEN {
                            let full = self.scene.words.list_full(ask::list::CHOSEN);
                            return self.toast(&full);
                        }
                        chosen.push(picked);
                    }
                    self.draft(Draft::List { ticket, search, found, page, chosen });
                }
            }
            Intent::Done => {
                if let Draft::List { chosen, .. } = draft {
                    self.give(Given::Picked(chosen));
                }
            }
            Intent::Retry => self.list(String::new(), vec![], Place::Same),
            Intent::WholeList => {
                let chosen = match draft {
                    Draft::List { chosen, .. } => chosen,
                    _ => vec![],
                };
                self.list(String::new(), chosen, Place::Same);
            }
            _ => self.show(Place::Same),
        }
    }

    /// A day of the calendar: the answer, or the first or last one of a range.
    fn day(&mut self, ask: &Ask, day: NaiveDate, from: Option<NaiveDate>) {
        match (&ask.kind, from) {
            (AskKind::DateRange(_), None) => {
                self.draft(Draft::Month { month: first_of(day), from: Some(day) });
            }
            (_, None) => self.give(Given::Period(day.to_string())),
            (_, Some(from)) => {
                let (from, last) = (from.min(day), from.max(day));
                let period = Period { from, until: last.succ_opt().unwrap_or(last) };
                self.give(Given::Period(said::fixed(period)));
            }
        }
    }

    /// An answer to the question at hand: the report runs with it, or asks on.
    pub(super) fn give(&mut self, given: Given) {
        self.answered(given, Place::Same);
    }

    pub(super) fn answered(&mut self, given: Given, place: Place) {
        let Some(Spot::Ask { mut call, name, .. }) = self.state.trail.pop() else { return self.show(place) };
        call.with.insert(name, given);
        // The answer takes the place of the one that was changed.
        if matches!(self.state.trail.last(), Some(Spot::Report { call: shown, .. }) if shown.report == call.report)
        {
            self.state.trail.pop();
        }
        self.call(call, place);
    }

    fn page(&mut self, to: usize) {
        match self.state.trail.last_mut() {
            Some(
                Spot::Menu(_, page) | Spot::Found { page, .. } | Spot::Favourites(page) | Spot::Help(page),
            ) => *page = to,
            Some(Spot::Ask { draft: Draft::List { page, .. }, .. }) => *page = to,
            // The answer stays: it is not remembered, and would have to be asked for again.
            Some(Spot::Report { page, .. }) => {
                *page = to;
                return self.redraw();
            }
            _ => {}
        }
        self.show(Place::Same);
    }

    fn favourite(&mut self) {
        let Some(Spot::Report { call, .. }) = self.state.trail.last().cloned() else { return };
        let mine = &mut self.state.favourites;
        let text = if let Some(at) = mine.iter().position(|kept| *kept == call) {
            mine.remove(at);
            self.scene.words.favourite_removed().to_owned()
        } else if mine.len() >= FAVOURITES {
            let text = self.scene.words.favourites_full(FAVOURITES);
            return self.toast(&text);
        } else {
            mine.push(call);
            self.scene.words.favourite_added().to_owned()
        };
        self.toast(&text);
        self.redraw();
    }
}

fn first_of(day: NaiveDate) -> NaiveDate {
    chrono::Datelike::with_day(&day, 1).unwrap_or(day)
}

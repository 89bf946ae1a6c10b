//! Reports that run beside the desk, and what dialogs ask of the project: begun, stopped, begun anew after a restart.

use std::time::Duration;

use super::{Desk, News, Run, RunKey};
use crate::{
    bot::{
        access,
        event::{Call, Outcome, State, Viewer, What},
        telegram::{
            answers::Answered,
            line::Joined,
            outside::{self, Outside},
            troubles,
        },
    },
    state::error::Result,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// How long reports that run may take to stop when the bot does.
const GRACE: Duration = Duration::from_secs(3);
/// A database is told to stop by a task of its own, which gets this long.
const LAST_WORD: Duration = Duration::from_millis(300);

impl Desk {
    /// Stops reports that run, in their databases as well. Whoever waits for one gets it from the next process.
    pub(super) async fn end(&mut self, mut heard: mpsc::Receiver<News>) {
        if self.runs.is_empty() {
            return;
        }
        self.runs.values().for_each(|run| run.stop.cancel());
        let ended = async {
            while !self.runs.is_empty() {
                match heard.recv().await {
                    Some(News::Answer(key, _)) => drop(self.runs.remove(&key)),
                    Some(_) => {}
                    None => return,
                }
            }
        };
        let _ = tokio::time::timeout(GRACE, ended).await;
        tokio::time::sleep(LAST_WORD).await;
    }

    /// What ran or was asked for when the process ended is run and asked for again: whoever waits for it gets it.
    pub(super) fn resume(&mut self) -> Result<()> {
        for (user, chat, state) in self.office.records.dialogs()? {
            let state: State = serde_json::from_str(&state).unwrap_or_default();
            let waits_for = state.waits_for();
            if state.running.is_none() && waits_for.is_none() {
                continue;
            }
            let Some(known) = self.office.records.user(user)? else { continue };
            let viewer = self.office.viewer(&known, chat)?;
            if let Some(outside) = waits_for.and_then(Outside::of) {
                self.ask(&viewer, outside);
            }
            if let Some(running) = state.running {
                let key = RunKey { user, chat, run: running.run, report: running.call.report.clone() };
                self.begin(key, running.call, viewer);
            }
        }
        Ok(())
    }

    /// A report has an answer: its reader sees it with the rights of this moment, admins see why it failed. One whose reader has other rights by now than it ran
    /// with runs again: its rows may not be theirs any more.
    pub(super) fn answered(&mut self, key: &RunKey, answered: Answered) -> Result<()> {
        if !matches!(answered.outcome, Outcome::Queued(_)) {
            let ran = self.runs.remove(key);
            for (key, (call, viewer)) in self.line.ended(key) {
                let viewer = self.as_now(viewer)?;
                self.run_now(key, call, viewer);
            }
            if let Some(Run { stop, call, viewer: before }) = ran
                && matches!(answered.outcome, Outcome::Done { .. })
                && !stop.is_cancelled()
            {
                let now = self.as_now(before.clone())?;
                if now.access != before.access && self.may_run(&now, &key.report) {
                    self.begin(key.clone(), call, now);
                    return Ok(());
                }
            }
        }
        if let Some(cause) = &answered.cause {
            troubles::report_failed(&self.office, key.user, &key.report, cause)?;
        }
        self.happened(key.user, key.chat, What::Answer { run: key.run, outcome: answered.outcome })
    }

    /// Someone with the rights of this moment.
    fn as_now(&self, viewer: Viewer) -> Result<Viewer> {
        let known = self.office.records.user(viewer.user)?;
        known.map_or(Ok(viewer.clone()), |user| self.office.viewer(&user, viewer.chat))
    }

    fn may_run(&self, viewer: &Viewer, report: &str) -> bool {
        let setting = self.office.setting();
        setting.bot.reports.get(report).is_some_and(|report| access::may_run(&viewer.access, report))
    }

    /// Something was found that a dialog asked for. What was found with other rights than its user has by now is not told.
    pub(super) fn looked_up(&mut self, finder: &Viewer, what: What) -> Result<()> {
        let now = self.as_now(finder.clone())?;
        let what = if now.access == finder.access { what } else { outside::nothing(what) };
        self.happened(finder.user, finder.chat, what)
    }

    pub(super) fn do_after(
        &mut self,
        viewer: &Viewer,
        cancel: &[u64],
        begin: Vec<(RunKey, Call)>,
        outside: Vec<Outside>,
    ) {
        if !cancel.is_empty() {
            for key in self.line.of(viewer.user, viewer.chat) {
                if cancel.contains(&key.run) {
                    self.cancel(&key);
                }
            }
        }
        for (key, call) in begin {
            self.begin(key, call, viewer.clone());
        }
        for outside in outside {
            self.ask(viewer, outside);
        }
    }

    /// Asks the project beside the desk.
    pub(super) fn ask(&mut self, viewer: &Viewer, outside: Outside) {
        let unanswered = self.inquiries.ask(viewer, outside);
        self.own_news.extend(unanswered.map(|what| News::Heard(Box::new(viewer.clone()), what)));
    }

    /// Begins a report beside the desk, or puts it in line.
    fn begin(&mut self, key: RunKey, call: Call, viewer: Viewer) {
        match self.line.join(key.clone(), (call, viewer)) {
            Joined::Begins((call, viewer)) => self.run_now(key, call, viewer),
            Joined::Waits(0) => {}
            Joined::Waits(before) => self.tell(key, Outcome::Queued(before)),
            Joined::Full => self.tell(key, Outcome::Full),
        }
    }

    fn run_now(&mut self, key: RunKey, call: Call, viewer: Viewer) {
        let stop = CancellationToken::new();
        let run = Run { stop: stop.clone(), call: call.clone(), viewer: viewer.clone() };
        self.runs.insert(key.clone(), run);
        let (answers, news) = (std::sync::Arc::clone(&self.answers), self.news.clone());
        tokio::spawn(async move {
            let answered = answers.run(&viewer, &call.report, &call.with, &stop).await;
            let _ = news.send(News::Answer(key, Box::new(answered))).await;
        });
    }

    /// Stops a report that runs, or takes it out of the line.
    pub(super) fn cancel(&mut self, key: &RunKey) {
        if self.line.stop(key) {
            self.tell(key.clone(), Outcome::Cancelled);
        } else if let Some(run) = self.runs.get(key) {
            run.stop.cancel();
        }
    }

    fn tell(&mut self, key: RunKey, outcome: Outcome) {
        self.own_news.push_back(News::Answer(key, Box::new(Answered { outcome, cause: None })));
    }
}

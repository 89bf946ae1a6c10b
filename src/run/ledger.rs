//! Which windows of a mart are built, from what, and which of them a run builds: told by the records in its sink. What history keeps of it is a copy.

use std::{collections::BTreeMap, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};
use datafusion::scalar::ScalarValue;
use serde::Serialize;

use super::{Runtime, blocking, inputs::Inputs, mart::fingerprint, member::Found};
use crate::{
    config::project::{JobInfo, MartMember, MartOutput, Sql},
    connector::{error::Result, sink::Sink},
    engine::params::Params,
    model::{
        name::{JobName, Member, Track},
        unit::{Progress, Record},
        window::{OnChange, Window, Windows},
    },
};

/// Every window of a member that could be built, oldest first.
#[derive(Debug, Clone)]
pub struct Ledger {
    /// How the mart is cut.
    pub windows: Windows,
    /// One for each.
    pub states: Vec<WindowState>,
    /// Whether records say that there are rows, and the table is not there.
    pub vanished: bool,
}

/// Where a window stands.
#[derive(Debug, Clone)]
pub struct WindowState {
    /// The window.
    pub window: Window,
    /// What its last build left; `None` = it was never built.
    pub record: Option<Record>,
    /// Why it is to be built; `None` = it is as it should be.
    pub why: Option<Why>,
    /// Whether it touches the lookback.
    pub late: bool,
}

/// Why a window is to be built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum Why {
    /// It was never built.
    Missing,
    /// It had not ended when it was built.
    Unfinished,
    /// It was built in what is the future: by a clock that was wrong, so that nobody knows whether it had ended.
    Ahead,
    /// Rows may show up late for it.
    Lookback,
    /// It was built from another query.
    QueryChanged,
    /// A window that it was built from was built again.
    InputChanged {
        /// The mart's member.
        input: String,
    },
    /// Somebody asked for it.
    Asked,
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Missing => f.write_str("missing"),
            Self::Unfinished => f.write_str("built before it ended"),
            Self::Ahead => f.write_str("built by a clock that was ahead"),
            Self::Lookback => f.write_str("lookback"),
            Self::QueryChanged => f.write_str("query changed"),
            Self::InputChanged { input } => write!(f, "{input} changed"),
            Self::Asked => f.write_str("asked for"),
        }
    }
}

impl WindowState {
    /// Whether it was built from what it would not be built from now.
    pub fn is_stale(&self) -> bool {
        matches!(self.why, Some(Why::QueryChanged | Why::InputChanged { .. }))
    }
}

impl Ledger {
    /// The windows that a run builds by itself.
    pub fn due(&self) -> impl Iterator<Item = &WindowState> {
        self.states.iter().filter(|state| self.is_due(state))
    }

    /// Whether a run builds a window by itself: a stale one by the mart's policy, or since late rows are looked for in it anyway.
    pub fn is_due(&self, state: &WindowState) -> bool {
        let rebuild = self.windows.on_change == OnChange::Rebuild;
        state.why.is_some() && (rebuild || state.late || !state.is_stale())
    }

    /// Windows that are not built from what they would be built from now.
    pub fn stale(&self) -> impl Iterator<Item = &WindowState> {
        self.states.iter().filter(|state| state.is_stale())
    }

    /// Windows that were built.
    pub fn built(&self) -> impl Iterator<Item = &WindowState> {
        self.states.iter().filter(|state| state.record.is_some())
    }

    /// The end of the newest window that was built after it had ended.
    pub fn complete_until(&self) -> Option<DateTime<Utc>> {
        let ended = |state: &&WindowState| {
            state.record.as_ref().is_some_and(|record| record.at >= state.window.until)
        };
        self.states.iter().rev().find(ended).map(|state| state.window.until)
    }
}

/// The track of a member that was renamed, as it was before.
pub(super) fn renamed(track: &Track, info: &JobInfo) -> Option<Track> {
    Some(Track { job: info.was.clone()?, ..track.clone() })
}

/// How far the clocks of machines that build windows of one mart may be apart.
const SKEW: TimeDelta = TimeDelta::minutes(10);

/// Where every window stands. Pure.
pub(super) fn judge(
    windows: &Windows,
    now: DateTime<Utc>,
    records: &BTreeMap<Begin, Record>,
    fingerprint: &str,
    inputs: &Inputs,
) -> Vec<WindowState> {
    let late = TimeDelta::from_std(windows.lookback.get()).unwrap_or(TimeDelta::MAX);
    let since = now.checked_sub_signed(late).unwrap_or(DateTime::<Utc>::MIN_UTC);
    let state = |window: Window| {
        let record = records.get(&window.from).filter(|record| record.progress != Progress::Start);
        let late = window.until > since;
        let why = match record {
            None => Some(Why::Missing),
            Some(record) if record.at < window.until => Some(Why::Unfinished),
            Some(record) if record.at - now > SKEW => Some(Why::Ahead),
            Some(record) => {
                stale(windows, record, fingerprint, inputs, &window).or_else(|| late.then_some(Why::Lookback))
            }
        };
        WindowState { window, record: record.cloned(), why, late }
    };
    windows.all(now).into_iter().map(state).collect()
}

/// Where a window begins: what tells a mart's windows apart.
pub(super) type Begin = DateTime<Utc>;

fn stale(
    windows: &Windows,
    record: &Record,
    fingerprint: &str,
    inputs: &Inputs,
    window: &Window,
) -> Option<Why> {
    let Progress::Build(built) = &record.progress else { return None };
    if windows.on_change == OnChange::ForwardOnly {
        return None;
    }
    if built.fingerprint != fingerprint && built.fingerprint != ADOPTED {
        return Some(Why::QueryChanged);
    }
    if built.fingerprint == ADOPTED {
        return None;
    }
    inputs.changed(window, built).map(|input| Why::InputChanged { input })
}

/// The fingerprint of windows whose rows somebody else made.
pub(super) const ADOPTED: &str = "adopted";

/// Digest of what makes the rows of a member's windows, all of them alike.
pub(super) fn query_digest(sql: &Sql, member: &MartMember, windows: &Windows) -> String {
    let mut params = Params::of_facts(&member.facts);
    let text = |text: &str| ScalarValue::Utf8(Some(text.to_owned()));
    params.set("window.column", text(&windows.column));
    params.set("window.zone", text(windows.zone.name()));
    fingerprint(&sql.text, &params)
}

impl Runtime {
    /// Where every window of a mart's member stands; `None` = it is not built window by window. Disturbs no one.
    pub async fn ledger(&self, job: &JobName, member: &Member) -> Result<Option<Ledger>> {
        let Found::Mart(mart, found) = self.find(job, member)? else { return Ok(None) };
        let MartOutput::Table { sql, sink, windows: Some(windows), .. } = &found.output else {
            return Ok(None);
        };
        let inputs = self.inputs(job, member).await;
        let sink = self.sink(sink).await?;
        let digest = query_digest(sql, found, windows);
        let track = self.project.track(job, member);
        let was = renamed(&track, &mart.info);
        self.read_ledger((&track, was.as_ref()), windows, &digest, &inputs, &sink).await.map(Some)
    }

    pub(super) async fn read_ledger(
        &self,
        (track, was): (&Track, Option<&Track>),
        windows: &Windows,
        digest: &str,
        inputs: &Inputs,
        sink: &Arc<dyn Sink>,
    ) -> Result<Ledger> {
        let found = windows_in(track, was, windows, sink).await?;
        let vanished =
            found.values().any(|record| record.progress != Progress::Start) && sink.target().await?.is_none();
        let records = if vanished { BTreeMap::new() } else { found };
        self.remember_windows(track, windows, &records).await;
        let states = judge(windows, self.clock.now(), &records, digest, inputs);
        Ok(Ledger { windows: windows.clone(), states, vanished })
    }

    /// Copies what the sink says into the history, which may be lost.
    async fn remember_windows(&self, track: &Track, windows: &Windows, records: &BTreeMap<Begin, Record>) {
        let copy = records.iter().map(|(from, record)| (windows.at(*from).key(), record.clone())).collect();
        let (history, name) = (Arc::clone(&self.history), track.name());
        if let Err(error) = blocking(move || history.put_builds(&name, copy)).await {
            tracing::warn!("the copy of the ledger could not be written: {error}");
        }
    }

    /// The built windows of a member; `None` = it is not built window by window.
    pub(super) async fn windows_of(
        &self,
        job: &JobName,
        member: &Member,
    ) -> Result<Option<Vec<(Window, Record)>>> {
        let Found::Mart(mart, found) = self.find(job, member)? else { return Ok(None) };
        let MartOutput::Table { sink, windows: Some(windows), .. } = &found.output else { return Ok(None) };
        let (sink, track) = (self.sink(sink).await?, self.project.track(job, member));
        let records = windows_in(&track, renamed(&track, &mart.info).as_ref(), windows, &sink).await?;
        Ok(Some(records.into_iter().map(|(from, record)| (windows.at(from), record)).collect()))
    }

    /// One record for all windows of a member: when the newest was built, and how many builds and rows they are.
    pub(super) async fn record_of_windows(&self, job: &JobName, member: &Member) -> Result<Option<Record>> {
        let Some(windows) = self.windows_of(job, member).await? else { return Ok(None) };
        let newest = windows.iter().map(|(_, record)| record).max_by_key(|record| record.at).cloned();
        let sum = |of: fn(&Record) -> u64| windows.iter().map(|(_, record)| of(record)).sum();
        Ok(newest.map(|newest| Record { seq: sum(|r| r.seq), rows: sum(|r| r.rows), ..newest }))
    }
}

/// The records of a member's windows by their keys, once what somebody who died had decided of these ones is done.
pub(super) async fn settled(
    sink: &Arc<dyn Sink>,
    track: &Track,
    windows: &[String],
) -> Result<BTreeMap<String, Record>> {
    for window in windows {
        sink.recover(&track.of_window(window)).await?;
    }
    Ok(sink.records(&track.windows_prefix()).await?.into_iter().collect())
}

/// The records of a member's windows of this grain, by where the windows begin; of windows that it has none of, those of its old name.
async fn windows_in(
    track: &Track,
    was: Option<&Track>,
    windows: &Windows,
    sink: &Arc<dyn Sink>,
) -> Result<BTreeMap<Begin, Record>> {
    let mut all = BTreeMap::new();
    // The later ones win.
    for prefix in was.into_iter().chain([track]).map(Track::windows_prefix) {
        let found = sink.records(&prefix).await?.into_iter();
        all.extend(
            found.filter_map(|(key, record)| Some((windows.parse(key.strip_prefix(&prefix)?)?.from, record))),
        );
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::super::inputs::query_of;
    use super::*;
    use crate::model::{name::AttemptId, time::Span, unit::Build, window::Grain};

    fn at(text: &str) -> DateTime<Utc> {
        format!("2026-01-{text}:00:00Z").parse().unwrap()
    }

    fn windows(lookback: &str, on_change: OnChange) -> Windows {
        Windows {
            column: "dt".into(),
            grain: Grain::Day,
            zone: chrono_tz::UTC,
            start: at("01T00"),
            lookback: lookback.parse::<Span>().unwrap(),
            batch_size: 1,
            current: true,
            on_change,
        }
    }

    fn record(fingerprint: &str, inputs: &[(&str, u64)], built: DateTime<Utc>) -> Record {
        let inputs = inputs.iter().map(|(key, seq)| ((*key).to_owned(), *seq)).collect();
        let progress = Progress::Build(Build { fingerprint: fingerprint.into(), inputs });
        Record { seq: 1, progress, attempt: AttemptId::parse("a"), at: built, rows: 1 }
    }

    /// Why each window of the first five days is to be built, at ten on the fifth.
    fn told(windows: &Windows, records: &[(&str, Record)], inputs: &Inputs) -> Vec<String> {
        let records =
            records.iter().map(|(day, record)| (at(&format!("{day}T00")), record.clone())).collect();
        let states = judge(windows, at("05T10"), &records, "now", inputs);
        let ledger = Ledger { windows: windows.clone(), states, vanished: false };
        let due: Vec<_> = ledger.due().map(|state| state.window.from).collect();
        let shown = |state: &WindowState| match &state.why {
            None => "-".to_owned(),
            Some(why) if due.contains(&state.window.from) => why.to_string(),
            Some(why) => format!("({why})"),
        };
        ledger.states.iter().map(shown).collect()
    }

    #[test]
    fn what_is_built_and_why() {
        let late = at("05T10");
        let all = |fingerprint: &'static str| {
            ["01", "02", "03", "04"].map(|day| (day, record(fingerprint, &[], late)))
        };
        let none = Inputs::default();
        let mark = windows("0s", OnChange::Mark);
        assert_eq!(told(&mark, &[], &none), ["missing"; 5]);
        assert_eq!(told(&mark, &all("now"), &none), ["-", "-", "-", "-", "missing"]);
        let unfinished = [("05", record("now", &[], at("05T09"))), ("02", record("now", &[], at("02T23")))];
        assert_eq!(
            told(&mark, &unfinished, &none),
            ["missing", "built before it ended", "missing", "missing", "built before it ended"]
        );
        assert_eq!(
            told(&windows("34h", OnChange::Mark), &all("now"), &none),
            ["-", "-", "-", "lookback", "missing"]
        );
        assert_eq!(told(&windows("35h", OnChange::Mark), &all("now"), &none)[2], "lookback");
        assert_eq!(told(&mark, &all("old"), &none)[0], "(query changed)");
        assert_eq!(
            told(&windows("34h", OnChange::Mark), &all("old"), &none),
            ["(query changed)", "(query changed)", "(query changed)", "query changed", "missing"],
            "late rows are looked for, whatever else is known of the window"
        );
        assert_eq!(told(&windows("0s", OnChange::Rebuild), &all("old"), &none)[0], "query changed");
        assert_eq!(told(&windows("0s", OnChange::ForwardOnly), &all("old"), &none)[0], "-");
        assert_eq!(told(&mark, &all(ADOPTED), &none)[0], "-");
        // Now is ten on the fifth.
        let ahead = [("01", record("now", &[], at("05T11"))), ("02", record("now", &[], at("05T10")))];
        assert_eq!(told(&mark, &ahead, &none)[..2], ["built by a clock that was ahead", "-"]);
        let start = Record { progress: Progress::Start, ..record("now", &[], late) };
        assert_eq!(told(&mark, &[("01", start)], &none)[0], "missing");
    }

    #[test]
    fn a_window_is_held_against_those_that_it_was_built_from() {
        let rebuild = windows("0s", OnChange::Rebuild);
        let key = |day: &str| format!("p:views/mrf1@2026-01-{day}");
        let mut inputs = Inputs { fixed: [("p:content".to_owned(), 9)].into(), ..Inputs::default() };
        for (day, seq) in [("01", 1), ("02", 4)] {
            inputs.windows.push((rebuild.at(at(&format!("{day}T00"))), key(day), seq));
        }
        let built = |day: &str, seq| record("now", &[("p:content", 3), (&key(day), seq)], at("05T10"));
        let records = [("01", built("01", 1)), ("02", built("02", 3)), ("03", built("03", 1))];
        let why = told(&rebuild, &records, &inputs);
        assert_eq!(why[..3], ["-", "views/mrf1 changed", "-"], "what is whole moves on all the time");
        let second = rebuild.at(at("02T00"));
        assert_eq!(inputs.of(&second), [(key("02"), 4), ("p:content".to_owned(), 9)].into());
        // What was built from it under its old name was built from it.
        let renamed = |key: &str| key.replace("views/", "watched/");
        inputs.was = [("p:views/mrf1".to_owned(), renamed("p:views/mrf1"))].into();
        let old = record("now", &[("p:content", 3), (&renamed(&key("01")), 1)], at("05T10"));
        assert_eq!(told(&rebuild, &[("01", old.clone())], &inputs)[0], "-");
        inputs.was.clear();
        assert_eq!(told(&rebuild, &[("01", old)], &inputs)[0], "views/mrf1 changed");
        assert_eq!(inputs.whole(), [("p:views/mrf1".to_owned(), 5), ("p:content".to_owned(), 9)].into());
    }

    #[test]
    fn a_window_is_held_against_the_queries_of_whole_marts() {
        let rebuild = windows("0s", OnChange::Rebuild);
        let of_query = |fingerprint: &str| query_of(&record(fingerprint, &[], at("05T10")));
        let digest = of_query("00000000000f0000").unwrap();
        assert_eq!((digest, of_query(ADOPTED)), (15, None));
        let queries = [("p:content".to_owned(), digest)].into();
        let inputs = Inputs { queries, ..Inputs::default() };
        assert_eq!(inputs.of(&rebuild.at(at("01T00"))), [("p:content#query".to_owned(), 15)].into());
        let built = |inputs: &[(&str, u64)]| record("now", inputs, at("05T10"));
        let records = [
            ("01", built(&[("p:content#query", 15), ("p:content", 3)])),
            ("02", built(&[("p:content#query", 14)])),
            ("03", built(&[("p:content", 3)])),
        ];
        assert_eq!(told(&rebuild, &records, &inputs)[..3], ["-", "content changed", "-"]);
    }

    #[test]
    fn a_window_is_stale_once_a_pipeline_read_its_source_again() {
        let rebuild = windows("0s", OnChange::Rebuild);
        let anew = |key: &str| Inputs { anew: [(key.to_owned(), 5)].into(), ..Inputs::default() };
        let built = |seq| record("now", &[("p:views/mrf1", seq)], at("05T10"));
        let records =
            [("01", built(4)), ("02", built(5)), ("03", built(6)), ("04", record("now", &[], at("05T10")))];
        let why = told(&rebuild, &records, &anew("p:views/mrf1"));
        assert_eq!(
            why[..4],
            ["views/mrf1 changed", "-", "-", "-"],
            "the last was built before there was anything"
        );
        let was = [("p:watched/mrf1".to_owned(), "p:views/mrf1".to_owned())].into();
        let renamed = Inputs { was, ..anew("p:watched/mrf1") };
        assert_eq!(told(&rebuild, &records, &renamed)[..2], ["watched/mrf1 changed", "-"]);
    }
}

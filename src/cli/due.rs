//! When a member is due next, for people: by its own schedule, or by those of what it comes after.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use super::selection::name_of;
use crate::{
    config::{
        lineage::{Lineage, Node},
        project::Trigger,
    },
    model::name::JobName,
    schedule::{self, Timing},
};

/// Instants that are told.
const SHOWN: usize = 10;
/// Names that are told of one instant; of more, how many there are besides.
const NAMED: usize = 4;

/// The next instants of a member after `now`, and why each; `None` = it runs by hand. `trigger` says what starts a job.
pub(super) fn due_next<'p>(
    lineage: &Lineage,
    node: &Node,
    trigger: &dyn Fn(&JobName) -> Option<&'p Trigger>,
    zone: Tz,
    now: DateTime<Utc>,
) -> Option<String> {
    let own = trigger(&node.job)?;
    if let Some(timing) = schedule::timing(own) {
        let instants = schedule::upcoming(&timing, now, SHOWN).into_iter();
        return Some(lines(zone, instants.map(|at| (at, schedule::why(&timing, at)))));
    }
    if matches!(own, Trigger::Continuous) {
        return Some("always, under `vitrina serve`".to_owned());
    }
    let mut before = Before::default();
    before.find(lineage, node, trigger);
    let mut told = vec![];
    if !before.always.is_empty() {
        told.push(format!("{}, as often as that writes", list(&before.always)));
    }
    if !before.timed.is_empty() {
        told.push(lines(zone, before.instants(now).into_iter().map(|(at, names)| (at, list(&names)))));
    }
    if told.is_empty() {
        told.push("whenever somebody has run one of those, under `vitrina serve`".to_owned());
    }
    Some(told.join("\n"))
}

fn lines(zone: Tz, instants: impl Iterator<Item = (DateTime<Utc>, String)>) -> String {
    let line = |(at, why): (DateTime<Utc>, String)| {
        format!("{}  {why}", at.with_timezone(&zone).format("%a %Y-%m-%d %H:%M:%S %Z"))
    };
    instants.map(line).collect::<Vec<_>>().join("\n")
}

fn list(names: &BTreeSet<String>) -> String {
    let shown: Vec<&str> = names.iter().take(NAMED).map(String::as_str).collect();
    let more = names.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("after {}{more}", shown.join(", "))
}

/// What starts those that a member comes after, at any distance.
#[derive(Default)]
struct Before {
    timed: BTreeMap<String, Timing>,
    always: BTreeSet<String>,
}

impl Before {
    fn find<'p>(
        &mut self,
        lineage: &Lineage,
        node: &Node,
        trigger: &dyn Fn(&JobName) -> Option<&'p Trigger>,
    ) {
        let named = match trigger(&node.job) {
            Some(Trigger::After(jobs)) => Some(jobs),
            _ => None,
        };
        let upstream = node.upstream.iter().map(|at| &lineage.nodes[*at]);
        for other in upstream.filter(|other| named.is_none_or(|jobs| jobs.contains(&other.job))) {
            match trigger(&other.job) {
                None => {}
                Some(Trigger::Continuous) => {
                    self.always.insert(name_of(other));
                }
                // A checked project has no cycle.
                Some(Trigger::After(_) | Trigger::AfterInputs) => self.find(lineage, other, trigger),
                Some(timed) => {
                    self.timed.extend(schedule::timing(timed).map(|timing| (name_of(other), timing)));
                }
            }
        }
    }

    /// The next instants of all of them, each once.
    fn instants(&self, now: DateTime<Utc>) -> Vec<(DateTime<Utc>, BTreeSet<String>)> {
        let mut all: BTreeMap<DateTime<Utc>, BTreeSet<String>> = BTreeMap::new();
        for (name, timing) in &self.timed {
            for at in schedule::upcoming(timing, now, SHOWN) {
                all.entry(at).or_default().insert(name.clone());
            }
        }
        all.into_iter().take(SHOWN).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::name::{JobKind, Member};

    /// What is told of the last of these, each of which reads all before it.
    fn asked(triggers: &[Option<Trigger>], now: &str) -> Option<String> {
        let name = |at: usize| JobName::new(format!("j{at}"));
        let node = |at: usize| Node {
            job: name(at),
            kind: JobKind::Mart,
            member: Member::default(),
            writes: None,
            reads: vec![],
            upstream: (0..at).collect(),
        };
        let lineage = Lineage { nodes: (0..triggers.len()).map(node).collect() };
        let trigger = |job: &JobName| {
            let at = (0..triggers.len()).find(|at| name(*at) == *job)?;
            triggers[at].as_ref()
        };
        let last = lineage.nodes.last().unwrap();
        due_next(&lineage, last, &trigger, chrono_tz::Europe::Moscow, now.parse().unwrap())
    }

    fn due(triggers: &[Option<Trigger>], now: &str) -> String {
        asked(triggers, now).unwrap()
    }

    fn cron(expression: &str, zone: Tz) -> Option<Trigger> {
        Some(Trigger::Cron { expression: expression.to_owned(), zone })
    }

    const BERLIN: Tz = chrono_tz::Europe::Berlin;

    #[test]
    fn the_next_ten_instants_are_told_in_the_projects_zone() {
        let told = due(&[cron("30 2 * * *", BERLIN)], "2026-03-27T12:00:00Z");
        let lines: Vec<_> = told.lines().collect();
        assert_eq!(lines.len(), 10);
        assert_eq!(lines[0], "Sat 2026-03-28 04:30:00 MSK  `30 2 * * *` in Europe/Berlin");
        assert!(
            lines[1].starts_with("Sun 2026-03-29 04:00:00 MSK  ") && lines[1].contains("clocks go forward"),
            "{told}"
        );
        assert_eq!(lines[9], "Mon 2026-04-06 03:30:00 MSK  `30 2 * * *` in Europe/Berlin");
        let every = due(&[Some(Trigger::Every("6h".parse().unwrap()))], "2026-03-27T12:00:00Z");
        let times: Vec<_> = every.lines().map(|line| &line[..23]).collect();
        assert_eq!(times[..2], ["Fri 2026-03-27 21:00:00", "Sat 2026-03-28 03:00:00"]);
        assert_eq!((times.len(), times[9]), (10, "Mon 2026-03-30 03:00:00"));
    }

    #[test]
    fn what_comes_after_others_is_due_by_their_instants() {
        let inputs = || Some(Trigger::AfterInputs);
        let five = || cron("0 5 * * *", BERLIN);
        let seven = || cron("0 7 * * *", BERLIN);
        let told = |triggers: &[Option<Trigger>]| due(triggers, "2026-01-01T00:00:00Z");
        let hours = told(&[five(), seven(), five(), inputs()]);
        let lines: Vec<_> = hours.lines().collect();
        assert_eq!(lines.len(), 10);
        assert_eq!(lines[0], "Thu 2026-01-01 07:00:00 MSK  after j0, j2");
        assert_eq!(lines[1], "Thu 2026-01-01 09:00:00 MSK  after j1");
        let through = told(&[five(), inputs(), Some(Trigger::After(vec![JobName::new("j1")]))]);
        assert_eq!(through.lines().next(), Some("Thu 2026-01-01 07:00:00 MSK  after j0"));
        let last = told(&[five(), seven(), Some(Trigger::After(vec![JobName::new("j1")]))]);
        assert!(last.lines().all(|line| line.ends_with("09:00:00 MSK  after j1")), "{last}");
        let mixed = told(&[Some(Trigger::Continuous), five(), inputs()]);
        assert_eq!(mixed.lines().next(), Some("after j0, as often as that writes"));
        assert_eq!(mixed.lines().count(), 11);
    }

    #[test]
    fn what_no_time_tells() {
        let told = |triggers: &[Option<Trigger>]| due(triggers, "2026-01-01T00:00:00Z");
        assert_eq!(asked(&[None], "2026-01-01T00:00:00Z"), None);
        assert_eq!(told(&[Some(Trigger::Continuous)]), "always, under `vitrina serve`");
        let by_hand = told(&[None, Some(Trigger::AfterInputs)]);
        assert_eq!(by_hand, "whenever somebody has run one of those, under `vitrina serve`");
    }
}

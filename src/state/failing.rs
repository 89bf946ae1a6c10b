//! What the history says of how members are: whose last run failed, and when each ran well.

use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension, Row, params};

use super::{
    database::{instant_text, parse_instant},
    error::Result,
    history::History,
    process,
};
use crate::model::trouble::{Trouble, TroubleKind};

impl History {
    /// Members of these names whose last run that ended failed. A later run that goes in this process since before `settled` has got over it: one that
    /// follows its source never ends.
    pub fn failing(&self, names: &[String], settled: DateTime<Utc>) -> Result<Vec<Trouble>> {
        let sql = "SELECT id, name, finished, error,
                EXISTS (SELECT 1 FROM checks WHERE checks.run = runs.id AND blocks AND broken > 0)
            FROM runs WHERE state = 'failed' AND id IN (
                SELECT (SELECT id FROM runs WHERE name = value AND state IN ('done', 'failed') ORDER BY id DESC LIMIT 1)
                FROM json_each(?1))
            AND NOT EXISTS (SELECT 1 FROM runs AS later WHERE later.name = runs.name AND later.id > runs.id
                AND later.state = 'running' AND later.process = ?2 AND later.started < ?3)
            ORDER BY name";
        let names = serde_json::json!(names).to_string();
        let found = self.database.with(|connection| {
            let mut select = connection.prepare_cached(sql)?;
            let given = params![names, process::token(), instant_text(settled)];
            select.query_map(given, stored)?.collect::<rusqlite::Result<Vec<_>>>()
        })?;
        found
            .into_iter()
            .map(|(finished, trouble)| {
                let since =
                    parse_instant(&finished).ok_or_else(|| self.database.corrupt("the end of a run"))?;
                Ok(Trouble { since, ..trouble })
            })
            .collect()
    }

    /// When the last run of a member began that ended well.
    pub fn last_done(&self, name: &str) -> Result<Option<DateTime<Utc>>> {
        let sql = "SELECT started FROM runs WHERE name = ?1 AND state = 'done' ORDER BY id DESC LIMIT 1";
        let found = self.database.with(|connection| {
            connection.prepare_cached(sql)?.query_row([name], |row| row.get::<_, String>(0)).optional()
        })?;
        let corrupt = || self.database.corrupt("the start of a run");
        found.map(|text| parse_instant(&text).ok_or_else(corrupt)).transpose()
    }
}

fn stored(row: &Row<'_>) -> rusqlite::Result<(String, Trouble)> {
    let finished = row.get::<_, Option<String>>(2)?.unwrap_or_default();
    let kind = if row.get(4)? { TroubleKind::CheckBlocked } else { TroubleKind::RunFailed };
    let why = row.get::<_, Option<String>>(3)?.unwrap_or_default();
    let since = DateTime::UNIX_EPOCH;
    Ok((finished, Trouble { kind, name: row.get(1)?, since, why, run: Some(row.get(0)?) }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::name::{JobName, Member, Track},
        state::{
            builds::CheckResult,
            history::{Ending, RunCounts, RunStatus},
        },
    };

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_790_000_000 + second, 0).unwrap()
    }

    fn track(job: &str) -> Track {
        Track::new("p", &JobName::new(job), &Member::default())
    }

    fn run(history: &History, job: &str, second: i64, state: RunStatus) -> String {
        let id = history.begin(&track(job), at(second)).unwrap();
        let error = (state == RunStatus::Failed).then(|| format!("{job} at {second}"));
        let (finished, target) = (at(second + 1), String::new());
        history
            .finish(&id, &Ending { state, finished, counts: RunCounts::default(), error, target })
            .unwrap();
        id
    }

    fn told(history: &History, names: &[&str]) -> Vec<(TroubleKind, String)> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let failing = history.failing(&names, at(0)).unwrap();
        failing.into_iter().map(|trouble| (trouble.kind, trouble.why)).collect()
    }

    #[test]
    fn the_last_run_that_ended_says_how_a_member_is() {
        let folder = tempfile::tempdir().unwrap();
        let history = History::open(folder.path()).unwrap();
        run(&history, "a", 1, RunStatus::Failed);
        run(&history, "a", 3, RunStatus::Done);
        run(&history, "b", 5, RunStatus::Done);
        run(&history, "b", 7, RunStatus::Failed);
        run(&history, "b", 9, RunStatus::Cancelled);
        run(&history, "b", 11, RunStatus::Blocked);
        run(&history, "gone", 13, RunStatus::Failed);
        assert_eq!(told(&history, &["a", "b"]), [(TroubleKind::RunFailed, "b at 7".to_owned())]);
        assert_eq!(history.last_done("b").unwrap(), Some(at(5)));
        assert_eq!(history.last_done("gone").unwrap(), None);

        let id = run(&history, "a", 15, RunStatus::Failed);
        let broken = |blocks| CheckResult { name: "c".to_owned(), blocks, broken: 2 };
        history.put_checks(&id, &track("a"), at(15), &[broken(false)]).unwrap();
        assert_eq!(told(&history, &["a"])[0].0, TroubleKind::RunFailed, "a warning blocks nothing");
        history.put_checks(&id, &track("a"), at(15), &[broken(true)]).unwrap();
        assert_eq!(told(&history, &["a"])[0].0, TroubleKind::CheckBlocked);
    }

    #[test]
    fn what_follows_its_source_gets_over_a_failure_by_going_on() {
        let folder = tempfile::tempdir().unwrap();
        let history = History::open(folder.path()).unwrap();
        run(&history, "a", 1, RunStatus::Failed);
        history.begin(&track("a"), at(3)).unwrap();
        let names = ["a".to_owned()];
        assert_eq!(history.failing(&names, at(3)).unwrap().len(), 1);
        assert_eq!(history.failing(&names, at(4)).unwrap(), vec![]);
        let steal = "UPDATE runs SET process = 'another' WHERE state = 'running'";
        history.database.with(|connection| connection.execute(steal, [])).unwrap();
        assert_eq!(history.failing(&names, at(4)).unwrap().len(), 1, "its process is dead");
    }
}

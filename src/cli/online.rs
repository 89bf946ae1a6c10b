//! What `check --online` asks the places of a profile.

use indexmap::IndexMap;

use super::output::{count, counted};
use crate::{
    bot::event::With,
    clock::SystemClock,
    config::{
        live::{Estimate, Failed, Live, Told},
        lock::Lock,
        project::Sql,
    },
    connector::executor,
    engine::params::Params,
    model::{problem::Severity, time::Clock},
    report::params::bind,
    run::{Runtime, outside::Asked},
};

/// Asks for outside tables as they are, for those that are written, for rights, and for what queries would read.
pub(super) async fn ask(runtime: &Runtime) -> (Lock, Live) {
    let mut asked = runtime.outside(&[]).await;
    runtime.targets(&mut asked).await;
    let failed = asked.failed.iter().map(|(table, error)| Failed {
        table: table.clone(),
        whole: asked.silent.contains(&table.connection),
        message: error.to_string(),
        hint: error.advice().to_owned(),
    });
    let failed = failed.collect();
    let told = rights(runtime, &asked).await;
    // Where somebody gives no answer, queries would wait for it once more.
    let estimates = if asked.silent.is_empty() { estimates(runtime).await } else { vec![] };
    (Lock::of(asked.tables), Live { failed, targets: asked.targets, told, estimates })
}

/// Rights that are missing. A place that gave no answer is told at its connection; one that does not tell rights, by `connections test`.
async fn rights(runtime: &Runtime, asked: &Asked) -> Vec<Told> {
    let mut told: Vec<Told> = vec![];
    for name in runtime.connections().keys().filter(|name| !asked.silent.contains(*name)) {
        for (used, right) in runtime.rights(name).await.unwrap_or_default() {
            if right.held {
                continue;
            }
            let only = right.only.map(|only| format!(", {only}")).unwrap_or_default();
            told.push(Told {
                writing: used.writes(),
                table: used.table,
                code: "live-right",
                severity: if right.only.is_some() { Severity::Warning } else { Severity::Error },
                message: format!("the user of connection `{name}` lacks {}{only}", right.what),
                hint: right.mend,
            });
        }
    }
    told
}

/// What queries that go down to their places would read there: those of marts, of workbooks, and of reports whose questions all have defaults. A query that
/// cannot be planned is told otherwise.
async fn estimates(runtime: &Runtime) -> Vec<Estimate> {
    let now = SystemClock.now();
    let mut queries: Vec<(&Sql, Params)> =
        runtime.lineage().nodes.iter().flat_map(|node| runtime.queries(node, now)).collect();
    let today = now.with_timezone(&runtime.project().zone).date_naive();
    for report in runtime.project().bot.iter().flat_map(|bot| bot.reports.values()) {
        if let Ok(asked) = bind(report, &With::default(), &IndexMap::new(), today) {
            queries.push((&report.sql, asked.params));
        }
    }
    let mut most: Vec<(&Sql, u64, String)> = vec![];
    for (sql, params) in queries {
        let found = if sql.native {
            runtime.engine().estimate_native(&sql.text, &params).await
        } else {
            runtime.engine().estimate(&sql.text, &params, now).await
        };
        let found = found.unwrap_or_default();
        let rows = found.iter().map(|estimate| estimate.rows).sum();
        let message = found.iter().map(reads).collect::<Vec<_>>().join("; ");
        // Members share their SQL: the one that reads most is told.
        match most.iter_mut().find(|(known, ..)| *known == sql) {
            _ if found.is_empty() => {}
            Some(known) if known.1 < rows => *known = (sql, rows, message),
            Some(_) => {}
            None => most.push((sql, rows, message)),
        }
    }
    most.into_iter().map(|(sql, _, message)| Estimate { sql: sql.clone(), message }).collect()
}

fn reads(estimate: &executor::Estimate) -> String {
    let executor::Estimate { table, rows, parts } = estimate;
    format!("about {} rows of `{table}` are read, in {}", count(*rows), counted(*parts, "part"))
}

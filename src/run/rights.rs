//! What the project does with the tables of its connections, and the rights that this needs there.

use super::Runtime;
use crate::{
    config::{
        lineage::{Input, Table, read_by_bot, sink_table, table},
        project::{MartOutput, SourceKind},
    },
    connector::{
        error::Result,
        rights::{Right, Use},
        sink::SinkSpec,
    },
    model::name::{JobKind, JobName, Track},
};

/// A use of a table.
#[derive(Debug, Clone)]
pub struct Used {
    /// By whom: `pipeline orders`, `report revenue`; each once.
    pub by: Vec<String>,
    /// The table.
    pub table: Table,
    /// What for.
    pub what: Use,
}

impl Used {
    /// Whether it writes the table.
    pub fn writes(&self) -> bool {
        matches!(self.what, Use::Sink(..))
    }
}

impl Runtime {
    /// What the project does with the tables of a connection: its pipelines, its marts and the bot.
    pub fn uses(&self, connection: &str) -> Vec<Used> {
        let mut uses = vec![];
        self.written(&mut uses);
        self.followed(&mut uses);
        self.queried(&mut uses);
        uses.retain(|used| used.table.connection == connection);
        uses
    }

    /// The rights that this needs there, held and missing, with the uses that need them.
    pub async fn rights(&self, connection: &str) -> Result<Vec<(Used, Right)>> {
        let uses = self.uses(connection);
        let asked: Vec<Use> = uses.iter().map(|used| used.what.clone()).collect();
        if asked.is_empty() {
            return Ok(vec![]);
        }
        let rights = self.connection(connection)?.rights(&asked).await?;
        Ok(rights.into_iter().filter_map(|right| Some((uses.get(right.of)?.clone(), right))).collect())
    }

    fn written(&self, uses: &mut Vec<Used>) {
        let project = self.project();
        let mut add = |kind: JobKind, job: &JobName, spec: &SinkSpec, track: Track| {
            let (table, by) = (sink_table(project, spec), vec![format!("{kind} {job}")]);
            uses.push(Used { by, table, what: Use::Sink(Box::new(spec.clone()), track) });
        };
        for (job, pipeline) in &project.pipelines {
            for member in &pipeline.members {
                add(JobKind::Pipeline, job, &member.sink, project.track(job, &member.member));
            }
        }
        for (job, mart) in &project.marts {
            for member in &mart.members {
                if let MartOutput::Table { sink, .. } = &member.output {
                    add(JobKind::Mart, job, sink, project.track(job, &member.member));
                }
            }
        }
    }

    fn followed(&self, uses: &mut Vec<Used>) {
        let project = self.project();
        for (job, pipeline) in &project.pipelines {
            for member in &pipeline.members {
                let SourceKind::Table(spec) = &member.source else { continue };
                let table = table(project, &spec.connection, spec.schema.as_deref(), &spec.table);
                let by = vec![format!("{} {job}", JobKind::Pipeline)];
                uses.push(Used { by, table, what: Use::Source(Box::new(spec.clone())) });
            }
        }
    }

    fn queried(&self, uses: &mut Vec<Used>) {
        let jobs =
            self.lineage().nodes.iter().map(|node| (format!("{} {}", node.kind, node.job), &node.reads));
        let bot = read_by_bot(self.project());
        for (by, inputs) in jobs.chain(bot.iter().map(|(by, inputs)| (by.clone(), inputs))) {
            for input in inputs {
                if let Input::Table(table) = input {
                    query(uses, table, &by);
                }
            }
        }
    }
}

/// One use for all queries of a table; a pipeline's source is one already.
fn query(uses: &mut Vec<Used>, table: &Table, by: &str) {
    let reads = |used: &&mut Used| used.table == *table && !used.writes();
    if let Some(known) = uses.iter_mut().find(reads) {
        if !known.by.iter().any(|known| known == by) {
            known.by.push(by.to_owned());
        }
        return;
    }
    let what = Use::Query { schema: table.schema.clone(), table: table.table.clone() };
    uses.push(Used { by: vec![by.to_owned()], table: table.clone(), what });
}

//! `mart.NAME` and `pipeline.NAME` for the SQL engine: what those write, over all their members.

use std::sync::Arc;

use crate::{
    config::project::{MartOutput, Project},
    engine::relations::{Relation, RelationMember, Relations},
    model::name::{JobKind, JobName, Member},
};

/// The relations of one kind of job.
pub(super) struct ProjectRelations {
    pub project: Arc<Project>,
    pub kind: JobKind,
}

impl std::fmt::Debug for ProjectRelations {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ProjectRelations({})", self.kind)
    }
}

impl Relations for ProjectRelations {
    fn names(&self) -> Vec<String> {
        match self.kind {
            JobKind::Pipeline => self.project.pipelines.keys().map(ToString::to_string).collect(),
            JobKind::Mart => {
                let tables = self.project.marts.values().filter(|mart| {
                    mart.members.iter().any(|member| matches!(member.output, MartOutput::Table { .. }))
                });
                tables.map(|mart| mart.info.name.to_string()).collect()
            }
        }
    }

    fn get(&self, name: &str) -> Option<Relation> {
        let name = JobName::new(name);
        let members: Vec<RelationMember> = match self.kind {
            JobKind::Pipeline => {
                let members = &self.project.pipelines.get(&name)?.members;
                members.iter().map(|m| relation(&m.member, &m.sink, m.output.clone())).collect()
            }
            JobKind::Mart => {
                let members = &self.project.marts.get(&name)?.members;
                let tables = members.iter().filter_map(|m| match &m.output {
                    MartOutput::Table { sink, output, .. } => Some(relation(&m.member, sink, output.clone())),
                    MartOutput::Workbook(_) => None,
                });
                tables.collect()
            }
        };
        (!members.is_empty()).then_some(Relation { members })
    }
}

fn relation(
    member: &Member,
    sink: &crate::connector::sink::SinkSpec,
    planned: Option<arrow::datatypes::SchemaRef>,
) -> RelationMember {
    RelationMember {
        member: member.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        connection: sink.connection.clone(),
        schema: sink.schema.clone(),
        table: sink.table.clone(),
        planned,
    }
}

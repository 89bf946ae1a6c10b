//! What a test is given: tables by name, their columns' types, their rows.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use indexmap::IndexMap;

use super::{Case, Judge, Subject, relation};
use crate::{
    config::{
        lineage::{self, Input, sink_table, table},
        project::{MartMember, MartOutput, PipelineMember, SourceKind},
        raw::test::GivenRows,
        resolve::{matrix::meant, report::Report},
        tree::Node,
        unit_test::{Given, GivenPlace},
    },
    connector::source::SourceSpec,
    engine::typing::{Known, TableName},
    model::{
        column::{ColumnType, Contract, Unlisted},
        name::{JobKind, JobName},
        text_rows::TextRows,
    },
};

/// What tells the types of given columns.
struct Columns<'a> {
    contract: Option<&'a Contract>,
    /// As writers, generators and `schemas.lock` say.
    known: Option<SchemaRef>,
    /// As the test says.
    types: IndexMap<String, ColumnType>,
    /// Whether they would be known but for a mistake that was told.
    spoiled: bool,
}

impl Judge<'_> {
    /// Everything that is there before: what the test gives, and, empty, what the member reads besides.
    pub(super) fn given(&self, case: &Case<'_>, report: &mut Report<'_>) -> Vec<Given> {
        let mut given = vec![];
        for (name, rows) in &case.raw.given {
            let node = case.node.at(&["given", name]);
            let Some((place, known)) = self.place(case, name, node, report) else { continue };
            given.extend(self.table(case, (place, known), rows, node, report));
        }
        let needs_source = matches!(case.subject, Subject::Pipeline(_));
        if needs_source && !case.raw.given.contains_key("source") {
            let message = "the test of a pipeline needs `given.source`: the rows that it reads";
            let hint = "a header alone gives no rows";
            report.value(case.node.at(&["name"]), "missing-key", message, hint);
        }
        for input in &case.lineage.reads {
            given.extend(self.not_given(case, input, report));
        }
        given
    }

    /// Which table a name means, and what is known of its columns.
    fn place(
        &self,
        case: &Case<'_>,
        name: &str,
        node: &Node,
        report: &mut Report<'_>,
    ) -> Option<(GivenPlace, Option<SchemaRef>)> {
        if let (Subject::Pipeline(member), "source") = (case.subject, name) {
            let known = match &member.source {
                SourceKind::Table(spec) => self.relations.columns(&self.source_table(spec)),
                SourceKind::Generate { spec, parents } => Some(spec.schema(parents)),
            };
            return Some((GivenPlace::Source, known));
        }
        let parsed = TableName::parse(name);
        let place = parsed.as_ref().and_then(|parsed| match parsed.parts.as_slice() {
            [kind, job] if kind == "pipeline" => Some(GivenPlace::Job(JobKind::Pipeline, JobName::new(job))),
            [kind, job] if kind == "mart" => Some(GivenPlace::Job(JobKind::Mart, JobName::new(job))),
            _ => self.relations.place(parsed).map(GivenPlace::Table),
        });
        let (Some(parsed), Some(place)) = (parsed, place) else {
            let message = format!("`{name}` is no table's name");
            report.key(
                node,
                "bad-name",
                message,
                "as SQL names it: connection.table, mart.name, pipeline.name",
            );
            return None;
        };
        let known = match self.relations.known(&parsed, None) {
            Known::Schema(schema) => Some(schema),
            Known::Unknown => None,
            Known::Missing { hint } => {
                let message = format!("there is no table `{parsed}`");
                report.key(node, "unknown-table", message, hint.unwrap_or_default());
                return None;
            }
        };
        if let GivenPlace::Table(table) = &place
            && self.is_source(case, table)
        {
            let message = "the rows that the pipeline reads are given as `given.source`";
            report.key(node, "conflicting-keys", message, "");
            return None;
        }
        if !self.touches(case, &place) {
            let message = format!("this {} has nothing to do with `{parsed}`", case.lineage.kind);
            let reads = case.lineage.reads.iter().filter(|input| !self.is_source_input(case, input));
            let reads: Vec<String> = reads.map(|input| format!("`{}`", shown(input))).collect();
            let hint =
                if reads.is_empty() { String::new() } else { format!("it reads {}", reads.join(", ")) };
            report.key(node, "unread-table", message, hint);
            return None;
        }
        Some((place, known))
    }

    fn source_table(&self, spec: &SourceSpec) -> lineage::Table {
        table(self.project, &spec.connection, spec.schema.as_deref(), &spec.table)
    }

    fn is_source(&self, case: &Case<'_>, table: &lineage::Table) -> bool {
        match case.subject {
            Subject::Pipeline(member) => {
                matches!(&member.source, SourceKind::Table(spec) if self.source_table(spec) == *table)
            }
            Subject::Mart(_) => false,
        }
    }

    /// Whether a mistake that was told is why nothing is known of a table's columns.
    fn is_spoiled(&self, case: &Case<'_>, place: &GivenPlace) -> bool {
        let source = match (place, case.subject) {
            (
                GivenPlace::Source,
                Subject::Pipeline(PipelineMember { source: SourceKind::Table(spec), .. }),
            ) => Some(self.source_table(spec)),
            _ => None,
        };
        let mut spoiled = self.spoiled.iter().map(|at| &self.lineage.nodes[*at]);
        self.unmade
            || spoiled.any(|node| match place {
                GivenPlace::Job(kind, job) => (node.kind, &node.job) == (*kind, job),
                GivenPlace::Table(table) => node.writes.as_ref() == Some(table),
                GivenPlace::Source => source.is_some() && node.writes == source,
            })
    }

    fn is_source_input(&self, case: &Case<'_>, input: &Input) -> bool {
        matches!(input, Input::Table(table) if self.is_source(case, table))
    }

    /// Whether the member reads a table, itself or as a part of another job's, or writes it.
    fn touches(&self, case: &Case<'_>, place: &GivenPlace) -> bool {
        if case.lineage.reads.iter().any(|input| GivenPlace::from(input.clone()) == *place) {
            return true;
        }
        let GivenPlace::Table(table) = place else { return false };
        let target = match case.subject {
            Subject::Pipeline(member) => Some(&member.sink),
            Subject::Mart(MartMember { output: MartOutput::Table { sink, .. }, .. }) => Some(sink.as_ref()),
            Subject::Mart(_) => None,
        };
        let is_target = target.is_some_and(|sink| sink_table(self.project, sink) == *table);
        let is_part = self.lineage.nodes.iter().any(|node| {
            let read = |input: &Input| *input == Input::Job(node.kind, node.job.clone());
            node.writes.as_ref() == Some(table) && case.lineage.reads.iter().any(read)
        });
        is_target || is_part
    }

    fn table(
        &self,
        case: &Case<'_>,
        (place, known): (GivenPlace, Option<SchemaRef>),
        raw: &GivenRows,
        node: &Node,
        report: &mut Report<'_>,
    ) -> Option<Given> {
        let (text, types, node_of_rows) = match raw {
            GivenRows::Text(text) => (text, IndexMap::new(), node),
            GivenRows::Typed(typed) => (&typed.rows, typed.types.clone(), node.at(&["rows"])),
        };
        let contract = match (&place, case.subject) {
            (GivenPlace::Source, Subject::Pipeline(member)) => match &member.source {
                SourceKind::Table(spec) => spec.contract.as_ref(),
                SourceKind::Generate { .. } => None,
            },
            _ => None,
        };
        for name in types.keys().filter(|name| listed(contract, name).is_some()) {
            let message = format!("the contract has the type of `{name}`");
            report.key(node.at(&["types", name]), "conflicting-keys", message, "leave it out here");
        }
        let rows = Self::rows(text, node_of_rows, report)?;
        let spoiled = known.is_none() && self.is_spoiled(case, &place);
        let columns = Columns { contract, known, types, spoiled };
        let schema = columns.schema(&rows, node_of_rows, report);
        self.cells(&rows, &schema, node_of_rows, report);
        Some(Given { place, schema, rows })
    }

    /// A table that the member reads and the test does not give: empty.
    fn not_given(&self, case: &Case<'_>, input: &Input, report: &mut Report<'_>) -> Option<Given> {
        let own = GivenPlace::from(input.clone());
        let names = case.raw.given.keys().filter_map(|name| TableName::parse(name));
        let is_given = names.into_iter().any(|name| match (input, name.parts.as_slice()) {
            (Input::Job(kind, job), [of, given]) => kind.to_string() == *of && job.as_str() == given,
            (Input::Table(table), _) => self.relations.place(&name).as_ref() == Some(table),
            _ => false,
        });
        if is_given || self.is_source_input(case, input) {
            return None;
        }
        let known = match input {
            Input::Table(table) => self.relations.columns(table),
            Input::Job(kind, job) => match self.relations.known(&relation(*kind, job), None) {
                Known::Schema(schema) => Some(schema),
                // What is missing was reported where it is read.
                Known::Missing { .. } => return None,
                Known::Unknown => None,
            },
        };
        match (known, &own) {
            (Some(schema), GivenPlace::Table(_)) => {
                Some(Given { place: own, schema, rows: TextRows::default() })
            }
            // Its members' own tables are, empty or given.
            (Some(_), _) => None,
            (None, _) if self.is_spoiled(case, &own) => None,
            (None, _) => {
                let name = shown(input).to_string();
                let message = format!("nothing is known of the columns of `{name}`: the test must give it");
                let hint = format!(
                    "given.{name:?} = {{ types = {{ id = \"int64\" }}, rows = \"id\" }}; or ask its place once: `vitrina schema pull`"
                );
                report.value(case.node.at(&["name"]), "unknown-columns", message, hint);
                None
            }
        }
    }
}

impl Columns<'_> {
    /// The columns of given rows; what nothing tells is reported.
    fn schema(&self, rows: &TextRows, node: &Node, report: &mut Report<'_>) -> SchemaRef {
        let mut fields: Vec<Field> = vec![];
        if let Some(contract) = self.contract {
            for (name, column) in &contract.columns {
                if rows.position(name).is_none() && !column.nullable {
                    let header = rows.columns.first().map_or(0, |column| column.span.start)
                        ..rows.columns.last().map_or(0, |column| column.span.end);
                    let message = format!("column `{name}` allows no NULL, and is not given");
                    report.within(node, header, "missing-column", message, "");
                }
                fields.push(Field::new(name, DataType::Utf8, true));
            }
        }
        let others_count = self.contract.is_none_or(|contract| contract.unlisted == Unlisted::Keep);
        for field in self.known.iter().flat_map(|known| known.fields()).filter(|_| others_count) {
            if fields.iter().all(|known| known.name() != field.name()) {
                fields.push(self.typed(field.name()).unwrap_or_else(|| field.as_ref().clone()));
            }
        }
        for name in self.types.keys() {
            if fields.iter().all(|known| known.name() != name) {
                fields.extend(self.typed(name));
            }
        }
        for column in &rows.columns {
            if fields.iter().any(|known| *known.name() == column.name) {
                continue;
            }
            let known = self.known.as_ref().and_then(|known| known.field_with_name(&column.name).ok());
            if known.is_none() && !self.spoiled {
                let (message, hint) = self.nothing_tells(&column.name);
                report.within(node, column.span.clone(), "unknown-column", message, hint);
            }
            fields.push(known.cloned().unwrap_or_else(|| Field::new(&column.name, DataType::Utf8, true)));
        }
        Arc::new(Schema::new(fields))
    }

    fn typed(&self, name: &str) -> Option<Field> {
        self.types.get(name).map(|kind| Field::new(name, kind.arrow().clone(), true))
    }

    fn nothing_tells(&self, name: &str) -> (String, String) {
        if self.known.is_none() && self.contract.is_none() {
            let hint =
                format!("write `{{ types = {{ {name} = \"int64\" }}, rows = … }}`, or `vitrina schema pull`");
            return (format!("nothing tells the type of column `{name}`"), hint);
        }
        let known = self.known.iter().flat_map(|known| known.fields()).map(|field| field.name().as_str());
        let listed = self.contract.iter().flat_map(|contract| contract.columns.keys()).map(String::as_str);
        let names: Vec<&str> = listed.chain(known).collect();
        (format!("there is no column `{name}`"), meant(name, &names))
    }
}

fn listed<'c>(
    contract: Option<&'c Contract>,
    name: &str,
) -> Option<&'c crate::model::column::ContractColumn> {
    contract?.columns.get(name)
}

/// An input as SQL names it.
fn shown(input: &Input) -> TableName {
    match input {
        Input::Job(kind, job) => relation(*kind, job),
        Input::Table(table) => TableName::new([&table.connection, &table.table]),
    }
}

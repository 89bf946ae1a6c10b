//! SQL, contracts, keys and sheets judged by their columns, in order of dependency: what one job writes is known to those that read it.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use indexmap::IndexSet;

use super::{
    bot::BotFiles, live, matrix::meant, relations::Relations, report::Report, trees::Trees, windows,
};
use crate::{
    config::{
        lineage::{self, Lineage},
        live::Live,
        lock::Lock,
        project::{MartOutput, PipelineMember, Project, SourceKind, Sql, With, Workbook},
        tree::Node,
    },
    connector::{
        sink::{DeleteHow, SinkSpec},
        source::SourceSpec,
    },
    engine::{
        params::{period_types, value_type, window_types},
        typing::{Known, ParamTypes, Typed, check_condition, check_native, check_row_wise, check_sql},
    },
    model::{
        column::{ColumnType, Unlisted},
        name::{Facts, JobKind, JobName},
        unit::DELETED,
    },
    workbook::spec::{Chart, total_fits},
};

/// A member that cannot be made, because other keys of its file are wrong: its SQL is judged all the same.
pub(crate) enum Unmade {
    /// Of a pipeline whose source or sink lies nowhere.
    Pipeline(JobName, Box<PipelineMember>),
    /// Of a mart whose sink lies nowhere, or which is a workbook as well: what its parameters stand for, and its query.
    Mart(JobName, Facts, Option<Sql>),
}

impl Unmade {
    /// Whose member it is.
    pub(crate) fn job(&self) -> &JobName {
        match self {
            Self::Pipeline(job, _) | Self::Mart(job, ..) => job,
        }
    }
}

/// What is known besides the members that could be made.
pub(crate) struct KnownBefore<'a> {
    /// Members that could not.
    pub(crate) unmade: &'a [Unmade],
    /// Jobs that are wrong: nothing is said of what they write.
    pub(crate) wrong: IndexSet<JobName>,
    /// Tables that nobody here makes.
    pub(crate) lock: Option<&'a Lock>,
    /// What places answered.
    pub(crate) live: &'a Live,
}

/// Judges every member, tells each what it writes, and judges the bot by that.
pub(crate) fn check(
    project: &mut Project,
    lineage: &Lineage,
    known: &KnownBefore<'_>,
    trees: &Trees<'_>,
    mut bot: BotFiles<'_>,
    report: &mut Report<'_>,
) {
    // Where there is a circle, which was reported, what is not known yet stays unknown.
    let order = lineage.order().unwrap_or_else(|_| (0..lineage.nodes.len()).collect());
    let first = report.problems.len();
    let mut judge = Judge {
        project,
        relations: Relations::new(project, lineage, known.wrong.clone(), known.lock, known.live),
    };
    for at in order {
        let node = &lineage.nodes[at];
        let tree = trees.get(node.kind, &node.job);
        let output = report.member(first, |report| match node.kind {
            JobKind::Pipeline => {
                let pipeline = judge.project.pipelines.get(&node.job)?;
                let member = pipeline.members.iter().find(|member| member.member == node.member)?;
                judge.pipeline(member, tree, report)
            }
            JobKind::Mart => judge.mart(node, tree, report),
        });
        judge.relations.learn(at, output);
    }
    for unmade in known.unmade {
        report.member(first, |report| judge.unmade(unmade, trees, report));
    }
    if let Some(made) = &mut bot.bot {
        super::bot::typing::check(made, &bot.written, bot.tree, &judge, report);
    }
    let outputs = judge.relations.into_outputs();
    for (at, schema) in outputs {
        tell(project, &lineage.nodes[at], schema);
    }
}

fn tell(project: &mut Project, node: &lineage::Node, schema: SchemaRef) {
    match node.kind {
        JobKind::Pipeline => {
            let members = project.pipelines.get_mut(&node.job).into_iter().flat_map(|job| &mut job.members);
            members
                .filter(|member| member.member == node.member)
                .for_each(|member| member.output = Some(schema.clone()));
        }
        JobKind::Mart => {
            let members = project.marts.get_mut(&node.job).into_iter().flat_map(|job| &mut job.members);
            for member in members.filter(|member| member.member == node.member) {
                if let MartOutput::Table { output, .. } = &mut member.output {
                    *output = Some(schema.clone());
                }
            }
        }
    }
}

/// What judges SQL: the project, and what is known of tables by now.
pub(super) struct Judge<'a> {
    pub(super) project: &'a Project,
    pub(super) relations: Relations<'a>,
}

impl Judge<'_> {
    fn unmade(&self, unmade: &Unmade, trees: &Trees<'_>, report: &mut Report<'_>) {
        match unmade {
            Unmade::Pipeline(job, member) => {
                self.pipeline(member, trees.get(JobKind::Pipeline, job), report);
            }
            Unmade::Mart(job, facts, Some(sql)) => {
                let tree = trees.get(JobKind::Mart, job);
                let mut params = params(facts);
                if tree.find(&["window"]).is_some() {
                    params.extend(window_types());
                }
                self.query(sql, tree.at(&["sql"]), &params, report);
            }
            Unmade::Mart(_, _, None) => {}
        }
    }

    fn pipeline(&self, member: &PipelineMember, tree: &Node, report: &mut Report<'_>) -> Option<SchemaRef> {
        let source = self.source(member, tree.at(&["source"]), report);
        let params = params(&member.facts);
        let rows = match &member.transform {
            // Its file could not be read, which was reported.
            None if tree.find(&["transform", "sql"]).is_some() => None,
            None => source,
            Some(sql) => {
                let known = source.map_or(Known::Unknown, Known::Schema);
                let tables = |name: &_| self.relations.known(name, Some(&known));
                let typed = check_row_wise(&sql.text, &tables, &params, self.project.zone);
                self.findings(sql, tree.at(&["transform", "sql"]), &typed, report);
                typed.schema
            }
        };
        if let Some(condition) = &member.delete_when {
            let typed = check_condition(&condition.text, rows.as_ref(), &params, self.project.zone);
            self.findings(condition, tree.at(&["sink", "delete", "when"]), &typed, report);
        }
        self.sink(rows?, &member.sink, tree.at(&["sink"]), report)
    }

    /// The columns of a pipeline's source, where they can be told: not where what tells them is wrong itself.
    fn source(&self, member: &PipelineMember, node: &Node, report: &mut Report<'_>) -> Option<SchemaRef> {
        let told = ["connection", "schema", "table", "columns", "unlisted", "generate"];
        if !told.iter().all(|key| node.get(key).is_none_or(Node::as_written)) {
            return None;
        }
        let spec = match &member.source {
            SourceKind::Table(spec) => spec,
            SourceKind::Generate { spec, parents } => {
                let orphan = spec.parent.is_some() && parents.is_empty();
                return (!orphan).then(|| spec.schema(parents));
            }
        };
        let table = lineage::table(self.project, &spec.connection, spec.schema.as_deref(), &spec.table);
        let written = self.relations.columns(&table);
        let listed = spec.contract.as_ref().is_some_and(|contract| contract.unlisted != Unlisted::Keep);
        let failed = self.relations.failed(&table);
        if self.relations.is_unknown(&table) && (failed.is_some() || !listed) {
            live::unknown(&table, failed, node.at(&["table"]), None, report);
        }
        if let Some(written) = &written {
            source_columns(spec, written, node, report);
        }
        live::table_told(self.relations.live(), &table, false, node.at(&["table"]), None, report);
        live::cursor(self.project, &self.relations, spec, &table, node, report);
        let Some(contract) = &spec.contract else { return written };
        if contract.unlisted != Unlisted::Keep {
            return Some(contract.schema());
        }
        let listed = contract.schema();
        let kept = written?;
        let fields = kept.fields().iter().map(|field| match listed.field_with_name(field.name()) {
            Ok(listed) => Arc::new(listed.clone()),
            Err(_) => field.clone(),
        });
        Some(Arc::new(Schema::new(fields.collect::<Vec<FieldRef>>())))
    }

    fn mart(&self, node: &lineage::Node, tree: &Node, report: &mut Report<'_>) -> Option<SchemaRef> {
        let mart = self.project.marts.get(&node.job)?;
        let member = mart.members.iter().find(|member| member.member == node.member)?;
        match &member.output {
            MartOutput::Table { sql, sink, windows, checks, .. } => {
                let mut params = params(&member.facts);
                if windows.is_some() {
                    params.extend(window_types());
                }
                let typed = self.query(sql, tree.at(&["sql"]), &params, report);
                if windows.is_some() {
                    windows::check_sql(sql, &typed, tree.at(&["sql"]), report);
                }
                let rows = if sql.native { told_columns(sink) } else { typed.schema };
                let target = rows.and_then(|rows| self.sink(rows, sink, tree.at(&["sink"]), report));
                if let (Some(windows), Some(target)) = (windows, &target) {
                    windows::check_column(windows, target, tree.at(&["window"]), report);
                }
                self.checks(checks, target.as_ref(), &params, tree.at(&["check"]), report);
                target
            }
            MartOutput::Workbook(workbook) => {
                self.workbook(workbook, &member.facts, tree, report);
                None
            }
        }
    }

    fn workbook(&self, workbook: &Workbook, facts: &Facts, tree: &Node, report: &mut Report<'_>) {
        let params = workbook_params(workbook, facts);
        for (sheet, node) in workbook.sheets.iter().zip(tree.at(&["sheet"]).items()) {
            let typed = self.query(&sheet.sql, node.at(&["sql"]), &params, report);
            let Some(schema) = typed.schema else { continue };
            for (name, column) in &sheet.columns {
                let place = node.at(&["columns", name]);
                let Some(field) = column_of(name, &schema, place, Place::Key, report) else { continue };
                if let Some(Err(why)) = column.total.map(|total| total_fits(total, field.data_type())) {
                    report.value(place.at(&["total"]), "bad-total", format!("column `{name}`: {why}"), "");
                }
            }
            let charts = node.at(&["chart"]);
            for (at, chart) in sheet.charts.iter().enumerate() {
                chart_columns(chart, &schema, charts.items().get(at).unwrap_or(charts), report);
            }
        }
    }

    /// Judges a query and reports what is wrong with it.
    pub(super) fn query(
        &self,
        sql: &Sql,
        node: &Node,
        params: &ParamTypes,
        report: &mut Report<'_>,
    ) -> Typed {
        let typed = self.typed(sql, params);
        self.findings(sql, node, &typed, report);
        typed
    }

    /// Judges a query.
    pub(super) fn typed(&self, sql: &Sql, params: &ParamTypes) -> Typed {
        if sql.native {
            check_native(&sql.text, &|name| self.relations.runs(name), params)
        } else {
            let tables = |name: &_| self.relations.known(name, None);
            check_sql(&sql.text, &tables, params, self.project.zone)
        }
    }

    /// What the engine found, at its place in the file.
    pub(super) fn findings(&self, sql: &Sql, node: &Node, typed: &Typed, report: &mut Report<'_>) {
        for used in typed.tables.iter().filter(|_| !sql.native) {
            let place = self.relations.place(&used.name).filter(|place| self.relations.is_unknown(place));
            if let Some(table) = place {
                let failed = self.relations.failed(&table);
                live::unknown(&table, failed, node, Some((sql, used.span.clone())), report);
            }
        }
        live::query(&self.relations, sql, node, typed, report);
        for finding in &typed.findings {
            let mut hint = finding.hint.clone().unwrap_or_default();
            let parameter = typed.parameters.iter().find(|(_, span)| *span == finding.span);
            if let Some((name, _)) = parameter
                && let Some(matrix) =
                    self.project.matrix.keys().find(|matrix| name.split('.').next() == Some(matrix.as_str()))
                && finding.code == "sql-unknown-parameter"
                && !name.contains('.')
            {
                hint = format!("add `matrix = [\"{matrix}\"]` at the top of the file");
            }
            report.sql(sql, node, finding.span.clone(), finding.code, finding.message.clone(), hint);
        }
    }

    /// The target's columns, as far as this writer fills them; what the sink says of columns is checked against the rows'.
    fn sink(
        &self,
        rows: SchemaRef,
        sink: &SinkSpec,
        node: &Node,
        report: &mut Report<'_>,
    ) -> Option<SchemaRef> {
        for (at, name) in sink.key.iter().enumerate() {
            let key = node.at(&["key"]);
            column_of(name, &rows, key.items().get(at).unwrap_or(key), Place::Value, report);
        }
        for name in sink.columns.keys() {
            column_of(name, &rows, node.at(&["columns", name]), Place::Key, report);
        }
        for (key, names) in sink.options.columns() {
            let place = node.at(&key);
            for (at, name) in names.into_iter().enumerate() {
                let (told, as_what) = match place.get(name) {
                    Some(by_column) => (by_column, Place::Key),
                    None => (place.items().get(at).unwrap_or(place), Place::Value),
                };
                column_of(name, &rows, told, as_what, report);
            }
        }
        unfit_types(&rows, sink, node, report);
        for (matrix, _) in &sink.partition {
            if rows.field_with_name(matrix).is_err() {
                let message = format!(
                    "members share this table, and nothing tells whose rows are whose: there is no column `{matrix}`"
                );
                let hint = format!(
                    "add `:{matrix} AS {matrix}` to the SQL, or give each member a table: `{{{matrix}}}`"
                );
                report.value(node.get("mode").unwrap_or(node), "shared-replace", message, hint);
            }
        }
        for field in rows.fields().iter().filter(|field| field.name().to_lowercase().starts_with("_vitrina"))
        {
            let message = format!("column `{}`: names that begin with `_vitrina` are ours", field.name());
            report.value(node, "reserved-name", message, "rename it in the SQL");
        }
        if !node.get("columns").is_none_or(Node::as_written) {
            return None; // A type is wrong, and the target's with it.
        }
        let target = rows.fields().iter().map(|field| {
            let told = sink.columns.get(field.name()).and_then(|column| column.kind.as_ref());
            match told {
                Some(kind) => Arc::new(field.as_ref().clone().with_data_type(kind.arrow().clone())),
                None => field.clone(),
            }
        });
        let mut fields: Vec<FieldRef> = target.collect();
        if sink.delete == Some(DeleteHow::Soft) {
            fields.push(Arc::new(Field::new(DELETED, DataType::Boolean, true)));
        }
        Some(Arc::new(Schema::new(fields)))
    }
}

/// Types that the sink tells of columns, where the rows' can never become them.
fn unfit_types(rows: &SchemaRef, sink: &SinkSpec, node: &Node, report: &mut Report<'_>) {
    for (name, column) in &sink.columns {
        let (Some(kind), Ok(field)) = (&column.kind, rows.field_with_name(name)) else { continue };
        if !arrow::compute::can_cast_types(field.data_type(), kind.arrow()) {
            let column = node.at(&["columns", name]);
            let place = column.get("type").unwrap_or(column);
            let message = format!(
                "column `{name}` is {} in the rows, which cannot become {kind}",
                ColumnType::of(field.data_type())
            );
            report.value(
                place,
                "unfit-type",
                message,
                "convert it in the SQL, or give the column another type",
            );
        }
    }
}

/// The columns of SQL that only its place knows, where all that are told have types.
fn told_columns(sink: &SinkSpec) -> Option<SchemaRef> {
    let fields = sink.columns.iter().map(|(name, column)| {
        let kind = column.kind.as_ref()?;
        Some(Field::new(name, kind.arrow().clone(), true))
    });
    let fields = fields.collect::<Option<Vec<_>>>().filter(|fields| !fields.is_empty())?;
    Some(Arc::new(Schema::new(fields)))
}

/// Types of the parameters of a workbook's queries.
pub(super) fn workbook_params(workbook: &Workbook, facts: &Facts) -> ParamTypes {
    let mut params = params(facts);
    for (name, with) in &workbook.with {
        if params.contains_key(name) {
            continue; // A matrix of the same name, which was reported.
        }
        match with {
            With::Period(_) => params.extend(period_types(name)),
            With::Value(value) => {
                params.insert(name.clone(), value_type(value));
            }
        }
    }
    params
}

/// Types of the parameters that every query of a member has.
pub(super) fn params(facts: &Facts) -> ParamTypes {
    facts.keys().map(|name| (name.clone(), DataType::Utf8)).collect()
}

/// What a source says of columns, against those of the table that another job writes.
fn source_columns(spec: &SourceSpec, written: &SchemaRef, node: &Node, report: &mut Report<'_>) {
    if let Some(cursor) = &spec.cursor {
        column_of(&cursor.column, written, node.at(&["cursor", "column"]), Place::Value, report);
        if let Some(tie) = &cursor.tie {
            column_of(tie, written, node.at(&["cursor", "tie"]), Place::Value, report);
        }
    }
    for name in spec.contract.iter().flat_map(|contract| contract.columns.keys()) {
        column_of(name, written, node.at(&["columns", name]), Place::Key, report);
    }
}

fn chart_columns(chart: &Chart, schema: &SchemaRef, node: &Node, report: &mut Report<'_>) {
    column_of(&chart.x, schema, node.at(&["x"]), Place::Value, report);
    let y = node.at(&["y"]);
    for (at, name) in chart.y.iter().enumerate() {
        let place = y.items().get(at).unwrap_or(y);
        let Some(field) = column_of(name, schema, place, Place::Value, report) else { continue };
        if !field.data_type().is_numeric() {
            report.value(
                place,
                "bad-chart",
                format!("column `{name}` is {}: a chart draws numbers", ColumnType::of(field.data_type())),
                "",
            );
        }
    }
}

/// Where a name stands.
#[derive(Clone, Copy)]
pub(super) enum Place {
    /// It is the key.
    Key,
    /// It is the value.
    Value,
}

/// The column of a name; reported where there is none.
pub(super) fn column_of<'s>(
    name: &str,
    schema: &'s SchemaRef,
    node: &Node,
    place: Place,
    report: &mut Report<'_>,
) -> Option<&'s Field> {
    let found = schema.field_with_name(name).ok();
    if found.is_none() {
        let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        let (message, hint) = (format!("the rows have no column `{name}`"), meant(name, &names));
        match place {
            Place::Key => report.key(node, "unknown-column", message, hint),
            Place::Value => report.value(node, "unknown-column", message, hint),
        }
    }
    found
}

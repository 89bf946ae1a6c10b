//! One pipeline of one profile: its members, each with every name resolved.

use indexmap::{IndexMap, IndexSet};

use super::{
    Context,
    connections::{self, Connection},
    job::{self, Common},
    matrix::{Filler, How, members, used},
    options::{check_sink_options, check_source_options},
    report::Report,
    typing::Unmade,
};
use crate::{
    config::{
        files::JobFile,
        format,
        project::{BadRows, Pipeline, PipelineMember, SourceKind, Sql},
        raw::{
            SqlText,
            pipeline::{
                Column, Cursor, Overlap as RawOverlap, PipelineFile, PipelineMode,
                SinkColumn as RawSinkColumn, Source,
            },
        },
        tree::Node,
    },
    connector::{
        ConnectionConfig,
        generate::source_facts as generator_facts,
        sink::{SinkColumn, SinkOptions, SinkSpec},
        source::{CursorSpec, Overlap, SourceOptions, SourceSpec},
    },
    model::{
        column::{Contract, ContractColumn},
        delivery::{Delivery, LINGER, Mode, Order, Reading, SourceFacts, delivery},
        name::{Facts, Member},
        unit::SliceLimit,
    },
};

/// Resolves a pipeline. Members that cannot be made go to `unmade`.
pub(crate) fn pipeline(
    file: &JobFile<PipelineFile>,
    context: &Context<'_>,
    unmade: &mut Vec<Unmade>,
    report: &mut Report<'_>,
) -> Pipeline {
    let used = used(file.raw.matrix.as_ref(), &file.tree, context.matrices, report);
    let matrix: Vec<String> = used.keys().cloned().collect();
    let info = Common::of_pipeline(&file.raw).info(&file.name, &file.tree, context.zone, matrix, report);
    let first = report.problems.len();
    let mut resolved = vec![];
    let mut named = IndexSet::new();
    for (member, facts) in members(&used, context.matrices) {
        report.member(first, |report| {
            let mut filler =
                Filler { facts: &facts, matrices: context.matrices, used: IndexSet::new(), how: How::Job };
            let mut resolve = Resolve { file, context, report, filler: &mut filler };
            match resolve.member(member, facts.clone()) {
                Ok(member) => resolved.push(member),
                Err(member) => unmade.push(Unmade::Pipeline(file.name.clone(), member)),
            }
            named.extend(filler.used);
        });
    }
    let transform = file.raw.transform.as_ref();
    if let Some(sql) =
        transform.and_then(|raw| job::sql(&raw.sql, file.tree.at(&["transform", "sql"]), report))
    {
        named.extend(used.keys().filter(|matrix| job::names_parameter(&sql.text, matrix)).cloned());
    }
    unused_matrices(&file.tree, used.keys(), &named, report);
    Pipeline { info, members: resolved }
}

/// A matrix that nothing speaks of would do the same thing again and again.
pub(crate) fn unused_matrices<'m>(
    tree: &Node,
    used: impl Iterator<Item = &'m String>,
    named: &IndexSet<String>,
    report: &mut Report<'_>,
) {
    let node = tree.at(&["matrix"]);
    // What is wrong may have been where it was meant to be named.
    for (at, matrix) in used.enumerate().filter(|_| tree.as_written()) {
        if !named.contains(matrix) {
            let place = node.get(matrix).or_else(|| node.items().get(at)).unwrap_or(node);
            let message = format!("every member of `{matrix}` would do the same");
            let hint =
                format!("write `{{{matrix}}}` in a name or `:{matrix}` in the SQL, or leave the matrix out");
            report.key(place, "unused-matrix", message, hint);
        }
    }
}

struct Resolve<'a, 'r, 's, 'f> {
    file: &'a JobFile<PipelineFile>,
    context: &'a Context<'a>,
    report: &'r mut Report<'s>,
    filler: &'r mut Filler<'f>,
}

impl Resolve<'_, '_, '_, '_> {
    /// A member; `Err` = what there is of one whose source or sink lies nowhere, which was reported.
    fn member(&mut self, member: Member, facts: Facts) -> Result<PipelineMember, Box<PipelineMember>> {
        let raw = &self.file.raw;
        let tree = &self.file.tree;
        let sql = |text: &SqlText, at: &[&str]| job::sql(text, tree.at(at), self.report);
        let transform = raw.transform.as_ref().map(|transform| sql(&transform.sql, &["transform", "sql"]));
        let unread = matches!(transform, Some(None));
        let delete_when = raw.sink.delete.as_ref().map(|delete| Sql {
            text: delete.when.clone(),
            path: tree.file.to_path_buf(),
            native: false,
        });
        let (source, source_facts) = self.source();
        let (sink, connection) = self.sink();
        self.check_own_source(&source, &sink);
        self.check_mode(&sink, source_facts.as_ref());
        let config = connection.as_ref().map(|connection| &connection.config);
        check_sink_options(&sink, config, self.context.root, tree.at(&["sink"]), self.report);
        let delivery = match (&source_facts, &connection) {
            (Some(facts), Some(connection)) => Some(self.delivery(&sink, connection, facts)),
            _ => None,
        };
        let facts_of = |connection: &Connection| connection.config.sink_facts(&sink);
        let (usual, linger) = connection
            .as_ref()
            .map(facts_of)
            .map_or_else(|| (SliceLimit::default(), LINGER), |facts| (facts.slice, facts.linger));
        let whole = delivery.is_some() && !unread;
        let member = PipelineMember {
            member,
            facts,
            source,
            transform: transform.flatten(),
            sink,
            delete_when,
            bad_rows: BadRows {
                policy: raw.source.bad_rows,
                max_share: raw.source.max_bad.as_deref().and_then(format::percent),
            },
            slice: slice(raw, usual),
            linger,
            delivery: delivery.unwrap_or(Delivery::ExactlyOnce { assuming: vec![] }),
            output: None,
        };
        if whole { Ok(member) } else { Err(Box::new(member)) }
    }

    /// The source, and what it can promise: `None` where it lies nowhere.
    fn source(&mut self) -> (SourceKind, Option<SourceFacts>) {
        let raw = &self.file.raw.source;
        let node = self.file.tree.at(&["source"]);
        if let Some(spec) = &raw.generate {
            self.only_generate(node);
            let source = SourceKind::Generate { spec: Box::new(spec.clone()), parents: IndexMap::new() };
            return (source, Some(generator_facts()));
        }
        let mut place = Place::default();
        for (key, given) in [("connection", raw.connection.is_some()), ("table", raw.table.is_some())] {
            if !given {
                let message = format!("[source] needs `{key}`");
                self.report.value(node, "missing-key", message, "or [source.generate] for made-up rows");
            }
        }
        if raw.connection.is_some() && raw.table.is_some() {
            place = self.place(node);
        }
        let spec = SourceSpec {
            connection: place.connection,
            schema: place.schema,
            table: place.table,
            cursor: raw.cursor.as_ref().map(|cursor| self.cursor(cursor, node.at(&["cursor"]))),
            whole: raw.cursor.is_none() && self.file.raw.sink.mode == PipelineMode::Replace,
            contract: contract(raw),
            zone: self.context.zone,
            options: SourceOptions {
                files: raw.files.clone(),
                kafka: raw.kafka.clone(),
                greenplum: raw.greenplum.clone(),
            },
        };
        let config = place.found.as_ref().map(|found| &found.config);
        check_source_options(&spec, config, self.context.root, node, self.report);
        let Some(found) = place.found else { return (SourceKind::Table(spec), None) };
        if found.config.is_log() && spec.cursor.is_some() {
            let message =
                format!("`{}` is a log: it is read by offset, a cursor has no use there", spec.connection);
            self.report.key(node.at(&["cursor"]), "cursor-on-log", message, "leave `cursor` out");
        }
        let facts = found.config.source_facts(&spec);
        (SourceKind::Table(spec), Some(facts))
    }

    fn only_generate(&mut self, node: &Node) {
        for (key, child) in node.entries() {
            if !matches!(key, "generate" | "bad_rows" | "max_bad") {
                let message = format!("`source.{key}` has no use beside [source.generate]");
                self.report.key(child, "conflicting-keys", message, "leave one of them out");
            }
        }
    }

    fn cursor(&mut self, raw: &Cursor, node: &Node) -> CursorSpec {
        if raw.tie.as_ref() == Some(&raw.column) {
            let message = "the tie is the cursor itself: it tells nothing apart";
            self.report.value(
                node.at(&["tie"]),
                "bad-cursor",
                message,
                "name another column, or leave `tie` out",
            );
        }
        let start = raw.start.as_ref().map(super::value::value);
        CursorSpec {
            column: raw.column.clone(),
            tie: raw.tie.clone(),
            overlap: raw.overlap.map(|overlap| match overlap {
                RawOverlap::Steps(steps) => Overlap::Steps(steps),
                RawOverlap::Span(span) => Overlap::Span(span),
            }),
            start,
        }
    }

    /// The sink and its connection, where that is found.
    fn sink(&mut self) -> (SinkSpec, Option<Connection>) {
        let raw = &self.file.raw.sink;
        let node = self.file.tree.at(&["sink"]);
        let place = self.place(node);
        let spec = SinkSpec {
            connection: place.connection,
            schema: place.schema,
            table: place.table,
            mode: match raw.mode {
                PipelineMode::Append => Mode::Append,
                PipelineMode::Merge => Mode::Merge,
                PipelineMode::Replace => Mode::Replace,
            },
            key: raw.key.clone(),
            anew: false,
            delete: raw.delete.as_ref().map(|delete| delete.how),
            on_schema_change: raw.on_schema_change,
            columns: sink_columns(&raw.columns),
            partition: vec![],
            window: None,
            checked: false,
            options: SinkOptions {
                sqlite: raw.sqlite.clone(),
                delta: raw.delta.clone(),
                files: raw.files.clone(),
                kafka: raw.kafka.clone(),
                postgres: raw.postgres.clone(),
                greenplum: raw.greenplum.clone(),
                clickhouse: raw.clickhouse.clone(),
            },
        };
        (spec, place.found)
    }

    /// The table that `[source]` or `[sink]` names.
    fn place(&mut self, node: &Node) -> Place {
        place(node, None, self.filler, self.context, self.report)
    }

    fn check_own_source(&mut self, source: &SourceKind, sink: &SinkSpec) {
        let own = matches!(source, SourceKind::Table(table)
            if !table.table.is_empty() && (&table.connection, &table.schema, &table.table) == (&sink.connection, &sink.schema, &sink.table));
        if own {
            let node = self.file.tree.at(&["sink", "table"]);
            let message = format!("table `{}` would be read from and written to at once", sink.table);
            self.report.value(node, "own-source", message, "");
        }
    }

    fn check_mode(&mut self, sink: &SinkSpec, source: Option<&SourceFacts>) {
        let tree = &self.file.tree;
        let mode = tree.at(&["sink", "mode"]);
        if mode.stand_in {
            return;
        }
        check_key(sink, tree.at(&["sink"]), self.report);
        if sink.mode != Mode::Merge && sink.delete.is_some() {
            let message = format!("`delete` goes with `merge`, and the mode is `{}`", sink.mode);
            let hint = "leave `delete` out, or use `merge`";
            self.report.key(tree.at(&["sink", "delete"]), "conflicting-keys", message, hint);
        }
        let whole = source.map(|facts| facts.reading == Reading::Whole);
        if sink.mode == Mode::Append && whole == Some(true) {
            let message = "the whole table would be appended again by each run";
            let hint =
                "give the source a cursor: `cursor = { column = \"id\" }`, or use `replace` or `merge`";
            self.report.value(mode, "whole-append", message, hint);
        }
        if sink.mode == Mode::Replace && whole == Some(false) {
            let message = "`replace` takes the whole source at once, and this one is read in slices";
            let hint = if tree.find(&["source", "cursor"]).is_none() {
                "use `append` or `merge`"
            } else {
                "use `append` or `merge`, or leave `cursor` out"
            };
            self.report.value(mode, "slices-replace", message, hint);
        }
    }

    fn delivery(&mut self, sink: &SinkSpec, connection: &Connection, source: &SourceFacts) -> Delivery {
        let tree = &self.file.tree;
        let facts = connection.config.sink_facts(sink);
        let mode = tree.at(&["sink", "mode"]);
        check_modes(sink, &connection.config, &facts.modes, mode, self.report);
        let reached = delivery(source, sink.mode, &facts);
        let written = self.file.raw.sink.delivery;
        let place = tree.at(&["sink", "delivery"]);
        match written {
            _ if mode.stand_in => {}
            Some(level) if level < reached.level() => {
                let message = format!("`delivery` promises less than what is kept: {reached}");
                self.report.warning(place, "weaker-than-kept", message, "leave `delivery` out");
            }
            Some(level) if level > reached.level() => self.weak(place, source, &reached),
            None if !matches!(reached, Delivery::ExactlyOnce { .. }) => self.weak(mode, source, &reached),
            _ => {}
        }
        reached
    }

    fn weak(&mut self, place: &Node, source: &SourceFacts, reached: &Delivery) {
        let level = match reached {
            Delivery::MayMiss { .. } => "may_miss",
            _ => "at_least_once",
        };
        let better = match &source.reading {
            Reading::Ranges(Order::Overlap | Order::Again(_)) => "use `merge`, or ",
            _ => "",
        };
        let hint = format!("{better}write the weaker promise down: `delivery = \"{level}\"` in [sink]");
        self.report.value(place, "weak-delivery", format!("this is not exactly once: {reached}"), hint);
    }
}

/// A table of a connection.
#[derive(Default)]
pub(crate) struct Place {
    /// The connection's full name.
    pub(crate) connection: String,
    /// Checked against the connection.
    pub(crate) schema: Option<String>,
    /// Checked.
    pub(crate) table: String,
    /// The connection; `None` where there is none of this name, which was reported.
    pub(crate) found: Option<Connection>,
}

/// The table that a `[source]` or `[sink]` names; `default` where it names none.
pub(crate) fn place(
    node: &Node,
    default: Option<&str>,
    filler: &mut Filler<'_>,
    context: &Context<'_>,
    report: &mut Report<'_>,
) -> Place {
    let connection_node = node.at(&["connection"]);
    let connection = filler.fill(connection_node, report);
    let schema = node.get("schema").map(|schema| filler.fill(schema, report));
    let table = match (node.get("table"), default) {
        (Some(table), _) => {
            let name = filler.fill(table, report);
            check_table(&name, table, report);
            name
        }
        (None, default) => default.unwrap_or_default().to_owned(),
    };
    let found = connections::find(&connection, connection_node, context.connections, report);
    if let Some(found) = found {
        connections::check_schema(&connection, found, schema.as_deref(), node, report);
    }
    Place { connection, schema, table, found: found.cloned() }
}

fn check_table(name: &str, node: &Node, report: &mut Report<'_>) {
    if name.to_lowercase().starts_with("_vitrina") {
        report.value(
            node,
            "reserved-name",
            format!("table `{name}`: names that begin with `_vitrina` are ours"),
            "",
        );
    } else if name.is_empty() || name.len() > 255 || name.chars().any(char::is_control) {
        report.value(node, "bad-name", "this is no name of a table", "");
    }
}

/// `key` goes with merge, and merge with `key`.
pub(crate) fn check_key(sink: &SinkSpec, node: &Node, report: &mut Report<'_>) {
    if sink.mode == Mode::Merge && sink.key.is_empty() {
        let message = "`merge` needs `key`: the columns that tell rows apart";
        report.value(node.at(&["mode"]), "missing-key", message, "add `key = [\"id\"]`");
    } else if sink.mode != Mode::Merge && !sink.key.is_empty() {
        let message = format!("`key` goes with `merge`, and the mode is `{}`", sink.mode);
        report.key(node.at(&["key"]), "conflicting-keys", message, "leave `key` out, or use `merge`");
    }
}

/// Whether a kind of place can do a mode.
pub(crate) fn check_modes(
    sink: &SinkSpec,
    config: &ConnectionConfig,
    modes: &[Mode],
    node: &Node,
    report: &mut Report<'_>,
) {
    if !modes.contains(&sink.mode) {
        let kind = if config.is_log() { "a log" } else { config.kind() };
        let can: Vec<String> = modes.iter().map(ToString::to_string).collect();
        let can: Vec<&str> = can.iter().map(String::as_str).collect();
        let message = format!("`{}` is {kind}, which cannot {}", sink.connection, sink.mode);
        report.value(
            node,
            "unsupported-mode",
            message,
            format!("expected {}", crate::config::walk::list(&can)),
        );
    }
}

fn slice(raw: &PipelineFile, default: SliceLimit) -> SliceLimit {
    let slice = raw.slice.as_ref();
    SliceLimit {
        rows: slice.and_then(|slice| slice.rows).unwrap_or(default.rows),
        bytes: slice.and_then(|slice| slice.bytes.as_deref()).and_then(format::size).unwrap_or(default.bytes),
    }
}

fn contract(raw: &Source) -> Option<Contract> {
    let column = |(name, column): (&String, &Column)| {
        let column = match column {
            Column::Type(kind) => ContractColumn { kind: kind.clone(), nullable: false },
            Column::Full(full) => ContractColumn { kind: full.r#type.clone(), nullable: full.nullable },
        };
        (name.clone(), column)
    };
    let said = !raw.columns.is_empty() || !raw.null_values.is_empty() || raw.unlisted.is_some();
    said.then(|| Contract {
        columns: raw.columns.iter().map(column).collect(),
        // A contract that names no column promises nothing about columns: they are all kept.
        unlisted: raw.unlisted.unwrap_or(if raw.columns.is_empty() {
            crate::model::column::Unlisted::Keep
        } else {
            crate::model::column::Unlisted::Drop
        }),
        null_values: raw.null_values.clone(),
    })
}

/// `[sink.columns]`.
pub(crate) fn sink_columns(raw: &IndexMap<String, RawSinkColumn>) -> IndexMap<String, SinkColumn> {
    let column = |(name, column): (&String, &RawSinkColumn)| {
        let column = match column {
            RawSinkColumn::Type(kind) => SinkColumn { kind: Some(kind.clone()), description: None },
            RawSinkColumn::Full(full) => {
                SinkColumn { kind: full.r#type.clone(), description: full.description.clone() }
            }
        };
        (name.clone(), column)
    };
    raw.iter().map(column).collect()
}

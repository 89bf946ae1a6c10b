//! What a source or a sink says of one kind of place, where its keys depend on each other, on the connection or on files.

use std::path::Path;

use super::report::Report;
use crate::{
    config::tree::Node,
    connector::{
        ConnectionConfig, clickhouse::config as clickhouse, files::config as files, greenplum::config::Load,
        kafka::config::Misnamed, misfit::Misfit, sink::SinkSpec, source::SourceSpec,
    },
};

/// Checks the sub-tables of `[source]`; `config` is the connection's, where it is known, and `root` the project's folder.
pub(crate) fn check_source_options(
    source: &SourceSpec,
    config: Option<&ConnectionConfig>,
    root: &Path,
    node: &Node,
    report: &mut Report<'_>,
) {
    check_unload(source, config, node, report);
    for misfit in files::source_misfits(source) {
        check_files(misfit, node, report);
    }
    if let Some(ConnectionConfig::Files(_)) = config {
        if source.cursor.is_some() {
            let message = format!(
                "`{}` is of files: they are read file by file, a cursor has no use there",
                source.connection
            );
            report.key(node.at(&["cursor"]), "cursor-on-files", message, "leave `cursor` out");
        }
        check_files_table(files::source_table_misfit(source), &source.table, node, report);
    }
    let Some(options) = &source.options.kafka else {
        return;
    };
    check_registry(&source.connection, options.wants_registry(), config, node, report);
    let fields = match options.fields(root) {
        Ok(Some(fields)) => fields,
        Ok(None) => return,
        Err(wrong) => return misnamed(wrong, node, report),
    };
    let listed = source.contract.iter().flat_map(|contract| contract.columns.keys());
    let known = |name: &&String| fields.contains(name) || options.beside().any(|beside| beside == *name);
    for name in listed.filter(|name| !known(name)) {
        let message = format!("the message has no field `{name}`");
        let hint = format!("it has {}", fields.join(", "));
        report.key(node.at(&["columns", name]), "unknown-column", message, hint);
    }
}

/// Checks the sub-tables of `[sink]`, as [`check_source_options`].
pub(crate) fn check_sink_options(
    sink: &SinkSpec,
    config: Option<&ConnectionConfig>,
    root: &Path,
    node: &Node,
    report: &mut Report<'_>,
) {
    for misfit in files::sink_misfits(sink) {
        check_files(misfit, node, report);
    }
    if let Some(ConnectionConfig::Files(_)) = config {
        check_files_table(files::sink_table_misfit(sink), &sink.table, node, report);
    }
    if let Some(options) = &sink.options.kafka {
        check_registry(&sink.connection, options.wants_registry(), config, node, report);
        if let Err(wrong) = options.fields(root) {
            misnamed(wrong, node, report);
        }
    }
    check_greenplum(sink, config, node, report);
    check_clickhouse(sink, config, node, report);
}

/// A key of a sub-table `files` that cannot be so.
fn check_files(misfit: Misfit, node: &Node, report: &mut Report<'_>) {
    let at = node.at(&["files", misfit.key.unwrap_or_default()]);
    if misfit.code == "conflicting-keys" {
        report.key(at, misfit.code, misfit.message, misfit.hint);
    } else if !at.stand_in {
        report.value(at, misfit.code, misfit.message, misfit.hint);
    }
}

/// A table that names no files; one that a matrix still has to fill in is not judged.
fn check_files_table(misfit: Option<Misfit>, table: &str, node: &Node, report: &mut Report<'_>) {
    let at = node.at(&["table"]);
    if let Some(misfit) = misfit.filter(|_| !at.stand_in && !table.is_empty()) {
        report.value(at, misfit.code, misfit.message, misfit.hint);
    }
}

fn check_registry(
    connection: &str,
    wanted: bool,
    config: Option<&ConnectionConfig>,
    node: &Node,
    report: &mut Report<'_>,
) {
    if let (true, Some(ConnectionConfig::Kafka(kafka))) = (wanted, config)
        && kafka.registry.is_none()
    {
        let message = format!("connection `{connection}` has no schema registry, which the format wants");
        let hint = "add `registry.url` to the connection; `protobuf` can do with a file instead: `proto`";
        report.value(node.at(&["kafka", "format"]), "missing-key", message, hint);
    }
}

fn misnamed(wrong: Misnamed, node: &Node, report: &mut Report<'_>) {
    report.value(node.at(&["kafka", wrong.key]), "bad-message", wrong.message, wrong.hint);
}

fn check_greenplum(sink: &SinkSpec, config: Option<&ConnectionConfig>, node: &Node, report: &mut Report<'_>) {
    let Some(options) = &sink.options.greenplum else {
        return;
    };
    if let Some(key) = options.misplaced() {
        let message = format!("`{key}` is of append-optimized tables, and this one is none");
        let hint = "add `append_optimized = true`, or leave it out";
        report.key(node.at(&["greenplum", key]), "conflicting-keys", message, hint);
    }
    if let Some(partition) = options.partition.as_ref().filter(|partition| partition.from >= partition.until)
    {
        let message = format!("the partitions end on {}, before they begin", partition.until);
        let node = node.at(&["greenplum", "partition", "until"]);
        report.value(node, "bad-partition", message, "`until` is the first day behind the last range");
    }
    if options.load == Load::Gpfdist {
        check_gpfdist(&sink.connection, config, node.at(&["greenplum", "load"]), report);
    }
}

fn check_clickhouse(
    sink: &SinkSpec,
    config: Option<&ConnectionConfig>,
    node: &Node,
    report: &mut Report<'_>,
) {
    for misfit in clickhouse::sink_misfits(sink) {
        let at = node.at(&["clickhouse", misfit.key.unwrap_or_default()]);
        report.key(at, misfit.code, misfit.message, misfit.hint);
    }
    if let Some(ConnectionConfig::Clickhouse(config)) = config
        && let Some((why, hint)) = config.read_only()
    {
        let message = format!("connection `{}` {why}", sink.connection);
        report.value(node.at(&["connection"]), "read-only", message, hint);
    }
}

fn check_unload(
    source: &SourceSpec,
    config: Option<&ConnectionConfig>,
    node: &Node,
    report: &mut Report<'_>,
) {
    let unload = source.options.greenplum.as_ref().map(|options| options.unload);
    if unload != Some(Load::Gpfdist) {
        return;
    }
    let node = node.at(&["greenplum", "unload"]);
    if source.cursor.is_some() {
        let message = "rows by a cursor are read in its order, and segments bring them in none";
        report.key(node, "conflicting-keys", message.to_owned(), "leave `cursor` out, or `unload`");
    }
    check_gpfdist(&source.connection, config, node, report);
}

fn check_gpfdist(connection: &str, config: Option<&ConnectionConfig>, node: &Node, report: &mut Report<'_>) {
    if let Some(ConnectionConfig::Greenplum(greenplum)) = config
        && greenplum.gpfdist.is_none()
    {
        let message = format!("connection `{connection}` has no `gpfdist`, where segments come to");
        let hint = "add `gpfdist = { host = \"…\", port = 8080 }` to the connection, or use \"copy\"";
        report.value(node, "missing-key", message, hint);
    }
}

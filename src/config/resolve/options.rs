//! What a source or a sink says of one kind of place, where its keys depend on each other or on the connection.

use super::report::Report;
use crate::{
    config::tree::Node,
    connector::{ConnectionConfig, greenplum::config::Load, sink::SinkSpec, source::SourceSpec},
};

/// Checks the sub-tables of `[sink]`, whatever kind the connection is; `config` is the connection's, where it is known.
pub(crate) fn check_options(
    sink: &SinkSpec,
    config: Option<&ConnectionConfig>,
    node: &Node,
    report: &mut Report<'_>,
) {
    let Some(options) = &sink.options.greenplum else {
        return;
    };
    if let Some(key) = options.misplaced() {
        let message = format!("`{key}` is of append-optimized tables, and this one is none");
        let hint = "add `append_optimized = true`, or leave it out";
        report.key(node.at(&["greenplum", key]), "conflicting-keys", message, hint);
    }
    if options.load == Load::Gpfdist {
        check_gpfdist(&sink.connection, config, node.at(&["greenplum", "load"]), report);
    }
}

/// Checks the sub-tables of `[source]`, whatever kind the connection is.
pub(crate) fn check_source_options(
    source: &SourceSpec,
    config: &ConnectionConfig,
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
    check_gpfdist(&source.connection, Some(config), node, report);
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

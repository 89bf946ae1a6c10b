//! What a sink says of one kind of place, where its keys depend on each other or on the connection.

use super::report::Report;
use crate::{
    config::tree::Node,
    connector::{ConnectionConfig, greenplum::config::Load, sink::SinkSpec},
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
    if let (Load::Gpfdist, Some(ConnectionConfig::Greenplum(greenplum))) = (options.load, config)
        && greenplum.gpfdist.is_none()
    {
        let message = format!("connection `{}` has no `gpfdist`, where segments fetch rows", sink.connection);
        let hint =
            "add `gpfdist = { host = \"…\", port = 8080 }` to the connection, or use `load = \"copy\"`";
        report.value(node.at(&["greenplum", "load"]), "missing-key", message, hint);
    }
}

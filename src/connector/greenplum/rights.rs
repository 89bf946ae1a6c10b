//! Rights that gpfdist asks for, besides those that the tables themselves need: external tables are made in a schema, by a role that may make them.

use std::sync::Arc;

use super::{config::Load, sql};
use crate::connector::{
    error::Result,
    pg::{Server, failed, quote, rights},
    rights::{Right, Use},
};

/// Rows that segments move for a use.
struct Move<'a> {
    /// The use, by its number.
    of: usize,
    /// Where its external table is made.
    schema: &'a str,
    /// The type of external tables, as `ALTER ROLE` spells it.
    kind: &'static str,
    /// The cell of [`sql::may_move`] that tells of it.
    cell: usize,
}

/// The rights of the uses that segments move rows for. Nothing where a server is no Greenplum: it has no such rights, and a run says so.
pub(super) async fn of(server: &Arc<Server>, uses: &[Use]) -> Result<Vec<Right>> {
    let moves: Vec<Move<'_>> =
        uses.iter().enumerate().filter_map(|(of, used)| moved(of, used, &server.config.schema)).collect();
    if moves.is_empty() {
        return Ok(vec![]);
    }
    let lease = server.lease().await?;
    let mut found = vec![];
    if lease.product.greenplum.is_some() {
        let may = lease.row(sql::may_move()).await.map_err(|error| failed(&server.shown(), error))?;
        let may = may.unwrap_or_default();
        for Move { of, schema, kind, cell } in moves {
            found.extend(rights::making(&lease, of, schema).await?);
            let what = format!("CREATEEXTTABLE (type = '{kind}', protocol = 'gpfdist')");
            let mend = format!("ALTER ROLE {} {what}", quote(&server.config.user));
            let held = may.get(cell).and_then(Option::as_deref) == Some("t");
            found.push(Right::new(of, what, held, mend));
        }
    }
    lease.give_back();
    Ok(found)
}

fn moved<'a>(of: usize, used: &'a Use, default: &'a str) -> Option<Move<'a>> {
    match used {
        Use::Query { .. } => None,
        Use::Sink(spec, _) => {
            let load = spec.options.greenplum.as_ref()?.load;
            let schema = spec.schema.as_deref().unwrap_or(default);
            (load == Load::Gpfdist).then_some(Move { of, schema, kind: "readable", cell: 0 })
        }
        Use::Source(spec) => {
            let unload = spec.options.greenplum.as_ref()?.unload;
            (unload == Load::Gpfdist).then_some(Move { of, schema: default, kind: "writable", cell: 1 })
        }
    }
}

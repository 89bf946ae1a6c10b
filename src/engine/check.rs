//! The work behind [`typing`](super::typing): parse, look names up, plan, and put every error at its place.

use std::{ops::Range, sync::Arc};

use arrow::datatypes::{DataType, Schema, SchemaRef};
use chrono_tz::Tz;
use datafusion::{
    catalog::TableProvider,
    common::{DFSchema, tree_node::TreeNode},
    datasource::{empty::EmptyTable, provider_as_source},
    execution::SessionState,
    logical_expr::{Expr, ExprSchemable, LogicalPlan},
    sql::sqlparser::ast,
};

use super::{
    blame::{blame, replace_by_null},
    params::typed_nulls,
    parse::{self, Places},
    planner::{self, Tables},
    reads::{Reads, reads},
    row_wise::refuse,
    state,
    typing::{Finding, Known, ParamTypes, TableName, Typed},
};
use crate::model::problem::nearest;

/// Mistakes of one SQL text that are told at once.
const MOST_FINDINGS: usize = 20;

/// Judges a query.
pub(super) fn query(sql: &str, tables: &dyn Fn(&TableName) -> Known, params: &ParamTypes, zone: Tz) -> Typed {
    judge(sql, tables, params, zone, |_| vec![])
}

/// Judges a pipeline's query.
pub(super) fn row_wise(
    sql: &str,
    tables: &dyn Fn(&TableName) -> Known,
    params: &ParamTypes,
    zone: Tz,
) -> Typed {
    judge(sql, tables, params, zone, |plan| refuse(plan, sql))
}

fn judge(
    sql: &str,
    known: &dyn Fn(&TableName) -> Known,
    params: &ParamTypes,
    zone: Tz,
    further: impl Fn(&LogicalPlan) -> Vec<Finding>,
) -> Typed {
    let parsed = match parse::query(sql) {
        Ok(parsed) => parsed,
        Err(finding) => return Typed { findings: vec![finding], ..Typed::default() },
    };
    let state = state::offline(zone);
    let names = reads(&parsed.tree, sql);
    let mut findings = unknown_parameters(&parsed.parameters, params);
    findings.extend(unknown_functions(&names, &state));
    let (tables, complete) = sources(&names, known, &mut findings);
    let mut schema = None;
    if findings.is_empty() && complete {
        let planner = Planning { state: &state, zone, tables: &tables, params };
        match planner.plan(parsed.tree, sql, &mut findings) {
            Some(plan) => {
                findings.extend(further(&plan));
                schema = planner.result(&plan, sql, &mut findings);
            }
            None => schema = None,
        }
    }
    findings.sort_by_key(|finding| (finding.span.start, finding.span.end));
    findings.truncate(MOST_FINDINGS);
    if !findings.is_empty() {
        schema = None;
    }
    Typed { schema, tables: names.tables, parameters: parsed.parameters, findings }
}

/// Judges a condition.
pub(super) fn condition(sql: &str, schema: Option<&SchemaRef>, params: &ParamTypes, zone: Tz) -> Typed {
    let parsed = match parse::condition(sql) {
        Ok(parsed) => parsed,
        Err(finding) => return Typed { findings: vec![finding], ..Typed::default() },
    };
    let state = state::offline(zone);
    let names = reads(&parsed.tree, sql);
    let mut findings = unknown_parameters(&parsed.parameters, params);
    findings.extend(unknown_functions(&names, &state));
    if let Some(table) = names.tables.first() {
        let message = "a condition reads no tables: it sees one row";
        findings.push(Finding::new(table.span.clone(), "sql-not-row-wise", message));
    }
    if let Some(schema) = schema.filter(|_| findings.is_empty()) {
        findings.extend(judge_condition(sql, parsed.tree, schema, params, zone, &state));
    }
    Typed { schema: None, tables: names.tables, parameters: parsed.parameters, findings }
}

fn judge_condition(
    sql: &str,
    mut tree: ast::Expr,
    schema: &SchemaRef,
    params: &ParamTypes,
    zone: Tz,
    state: &SessionState,
) -> Vec<Finding> {
    let whole = Places::new(sql).whole();
    let columns = match DFSchema::try_from(Arc::clone(schema)) {
        Ok(columns) => columns,
        Err(error) => return vec![blame(&error, sql, &reads(&tree, sql))],
    };
    let mut findings: Vec<Finding> = vec![];
    loop {
        let values = typed_nulls(params);
        let planned = planner::condition(state, zone, &columns, tree.clone(), params, &values)
            .and_then(|expr| state.create_physical_expr(expr.clone(), &columns).map(|_| expr));
        match planned {
            Ok(expr) if findings.is_empty() => return wrong_condition(&expr, &columns, whole),
            Ok(_) => return findings,
            Err(error) => {
                let finding = blame(&error, sql, &reads(&tree, sql));
                let again = push_new(&mut findings, finding);
                if !again || !replace_by_null(&mut tree, sql, &findings) {
                    return findings;
                }
            }
        }
    }
}

fn wrong_condition(expr: &Expr, columns: &DFSchema, whole: Range<usize>) -> Vec<Finding> {
    let aggregates = expr.exists(|e| Ok(matches!(e, Expr::AggregateFunction(_) | Expr::WindowFunction(_))));
    if aggregates.unwrap_or(false) {
        let message = "a condition sees one row: no aggregates or window functions";
        return vec![Finding::new(whole, "sql-not-row-wise", message)];
    }
    if expr.is_volatile() {
        let message = "a condition must give the same answer each time";
        return vec![Finding::new(whole, "sql-not-row-wise", message)];
    }
    match expr.get_type(columns) {
        Ok(DataType::Boolean | DataType::Null) | Err(_) => vec![],
        Ok(other) => {
            let message = format!("a condition is true or false, and this is {other}");
            vec![Finding::new(whole, "sql-type", message)]
        }
    }
}

/// Keeps what is new; whether it is worth looking for more.
fn push_new(findings: &mut Vec<Finding>, finding: Finding) -> bool {
    let follows = !findings.is_empty() && !NAMES.contains(&finding.code);
    let known = findings.iter().any(|old| old.span == finding.span && old.code == finding.code);
    let more = !follows && !known && NAMES.contains(&finding.code) && findings.len() < MOST_FINDINGS;
    if !follows && !known {
        findings.push(finding);
    }
    more
}

/// Mistakes in names: the name can be thought away, and the next mistake be found. What else goes wrong after that
/// may follow from it, and is not told.
const NAMES: [&str; 2] = ["sql-unknown-column", "sql-ambiguous-column"];

struct Planning<'a> {
    state: &'a SessionState,
    zone: Tz,
    tables: &'a Tables,
    params: &'a ParamTypes,
}

impl Planning<'_> {
    /// The plan; or every mistake that can be found by thinking wrong names away.
    fn plan(&self, mut tree: ast::Query, sql: &str, findings: &mut Vec<Finding>) -> Option<LogicalPlan> {
        let mut found = vec![];
        loop {
            let values = typed_nulls(self.params);
            match planner::query(self.state, self.zone, self.tables, tree.clone(), self.params, &values) {
                Ok(plan) if found.is_empty() => return Some(plan),
                Ok(_) => break,
                Err(error) => {
                    let again = push_new(&mut found, blame(&error, sql, &reads(&tree, sql)));
                    if !again || !replace_by_null(&mut tree, sql, &found) {
                        break;
                    }
                }
            }
        }
        findings.extend(found);
        None
    }

    /// The columns of the result; what only the optimizer notices is told too.
    fn result(&self, plan: &LogicalPlan, sql: &str, findings: &mut Vec<Finding>) -> Option<SchemaRef> {
        let names = match parse::query(sql) {
            Ok(parsed) => reads(&parsed.tree, sql),
            Err(_) => Reads::default(),
        };
        let analyzed =
            self.state.analyzer().execute_and_check(plan.clone(), self.state.config_options(), |_, _| {});
        let plan = match analyzed.and_then(|plan| self.state.optimize(&plan).map(|_| plan)) {
            Ok(plan) => plan,
            Err(error) => {
                findings.push(blame(&error, sql, &names));
                return None;
            }
        };
        let schema = plan.schema().as_arrow();
        findings.extend(wrong_names(schema, Places::new(sql).whole()));
        Some(Arc::new(schema.clone()))
    }
}

/// Result columns that no table could have.
fn wrong_names(schema: &Schema, whole: Range<usize>) -> Vec<Finding> {
    let mut findings = vec![];
    for (at, field) in schema.fields().iter().enumerate() {
        let name = field.name();
        if schema.fields()[..at].iter().any(|other| other.name() == name) {
            let message = format!("the result has two columns `{name}`");
            let finding = Finding::new(whole.clone(), "sql-duplicate-column", message);
            findings.push(finding.hint("give one of them another name with AS"));
        }
        if name.to_lowercase().starts_with("_vitrina") {
            let message = format!("column `{name}`: names that begin with `_vitrina` are ours");
            findings.push(Finding::new(whole.clone(), "sql-invalid", message));
        }
    }
    findings
}

pub(super) fn unknown_parameters(used: &[(String, Range<usize>)], params: &ParamTypes) -> Vec<Finding> {
    let unknown = used.iter().filter(|(name, _)| !params.contains_key(name));
    unknown
        .map(|(name, span)| {
            let message = format!("there is no parameter `:{name}`");
            let finding = Finding::new(span.clone(), "sql-unknown-parameter", message);
            match nearest(name, params.keys().map(String::as_str)) {
                Some(near) => finding.hint(format!("did you mean `:{near}`?")),
                None if params.is_empty() => finding.hint("nothing declares parameters here"),
                None => {
                    let all: Vec<String> = params.keys().map(|name| format!("`:{name}`")).collect();
                    finding.hint(format!("there are {}", all.join(", ")))
                }
            }
        })
        .collect()
}

fn unknown_functions(names: &Reads, state: &SessionState) -> Vec<Finding> {
    /// What the planner takes care of itself.
    const SPECIAL: [&str; 3] = ["unnest", "map", "make_map"];
    let known = |name: &str| {
        SPECIAL.contains(&name)
            || state.scalar_functions().contains_key(name)
            || state.aggregate_functions().contains_key(name)
            || state.window_functions().contains_key(name)
            || state.higher_order_functions().contains_key(name)
    };
    let unknown = names.functions.iter().filter(|(name, _)| !known(name));
    unknown
        .map(|(name, span)| {
            let message = format!("there is no function `{name}`");
            let finding = Finding::new(span.clone(), "sql-unknown-function", message);
            let mut all: Vec<&str> = (state.scalar_functions().keys())
                .chain(state.aggregate_functions().keys())
                .chain(state.window_functions().keys())
                .map(String::as_str)
                .collect();
            all.sort_unstable();
            match nearest(name, all) {
                Some(near) => finding.hint(format!("did you mean `{near}`?")),
                None => finding,
            }
        })
        .collect()
}

/// Sources of every known table; whether nothing is unknown.
pub(super) fn sources(
    names: &Reads,
    known: &dyn Fn(&TableName) -> Known,
    findings: &mut Vec<Finding>,
) -> (Tables, bool) {
    let mut tables = Tables::new();
    let mut complete = true;
    for table in &names.tables {
        match known(&table.name) {
            Known::Schema(schema) => {
                let provider: Arc<dyn TableProvider> = Arc::new(EmptyTable::new(schema));
                tables.insert(table.name.clone(), provider_as_source(provider));
            }
            Known::Unknown => complete = false,
            Known::Missing { hint } => {
                let message = format!("there is no table {}", table.name);
                let mut finding = Finding::new(table.span.clone(), "sql-unknown-table", message);
                finding.hint = hint;
                findings.push(finding);
            }
        }
    }
    (tables, complete)
}

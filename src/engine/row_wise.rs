//! Whether a pipeline's SQL works row by row over `source`, so that its result never depends on where slices end.
//!
//! On the way from `source` to the result only projections, filters and joins that keep `source` may stand. Other tables are
//! taken as they are when a unit is read, so beside that way everything is allowed.

use std::ops::Range;

use datafusion::{
    common::{
        JoinType,
        tree_node::{TreeNode, TreeNodeRecursion},
    },
    logical_expr::{Expr, LogicalPlan},
};

use super::{
    parse::{self, Places},
    reads::reads,
    typing::Finding,
};

/// The name under which a pipeline's SQL reads its source.
pub(super) const SOURCE: &str = "source";

/// Every reason why a plan is not row by row, each with a place.
pub(super) fn refuse(plan: &LogicalPlan, sql: &str) -> Vec<Finding> {
    let spots = Spots::new(sql);
    let mut findings = volatile(plan, &spots);
    match scans(plan) {
        1 => {}
        0 => {
            let message = "a transform reads `source`, and this does not";
            findings.push(Finding::new(spots.whole(), "sql-not-row-wise", message));
            return findings;
        }
        times => {
            let message = format!("a transform reads `source` exactly once, and this reads it {times} times");
            findings.push(Finding::new(spots.source(1), "sql-not-row-wise", message));
            return findings;
        }
    }
    if let Err(refusal) = follow(plan) {
        let place = spots.of(refusal);
        let finding = Finding::new(place, "sql-not-row-wise", refusal.message());
        findings.push(finding.hint("do this in a mart, which sees all rows at once"));
    }
    findings
}

/// What stands between `source` and the result and must not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    Aggregate,
    Distinct,
    Sort,
    Limit,
    Window,
    Union,
    Unnest,
    Join(JoinType),
    Subquery,
    Other,
}

impl Refusal {
    pub(super) fn message(self) -> String {
        let what = match self {
            Self::Aggregate => "an aggregate over `source` would depend on where slices end",
            Self::Distinct => "DISTINCT over `source` would depend on where slices end",
            Self::Sort => "ORDER BY over `source` means nothing: rows keep the source's order",
            Self::Limit => "LIMIT over `source` would depend on where slices end",
            Self::Window => "a window function over `source` would depend on where slices end",
            Self::Union => "UNION would add rows that are no rows of `source`, in every slice again",
            Self::Unnest => "unnest over `source` is not possible in a transform",
            Self::Subquery => "`source` is read in FROM, not in a subquery of a condition or a column",
            Self::Other => "only filters, columns and joins may stand over `source`",
            Self::Join(kind) => {
                return format!(
                    "a {kind} join here does not keep `source`: its result would depend on where slices end"
                );
            }
        };
        what.to_owned()
    }
}

/// Follows the way from the result down to `source`; the plan as the planner made it, before any optimizer.
pub(super) fn follow(plan: &LogicalPlan) -> Result<(), Refusal> {
    match plan {
        LogicalPlan::TableScan(scan) if scan.fetch.is_none() => Ok(()),
        LogicalPlan::Projection(_) | LogicalPlan::Filter(_) | LogicalPlan::SubqueryAlias(_) => {
            below(plan, Refusal::Subquery)
        }
        LogicalPlan::Join(join) => {
            use JoinType::{Inner, Left, LeftAnti, LeftSemi, Right, RightAnti, RightSemi};
            let (left, right) = (scans(&join.left) > 0, scans(&join.right) > 0);
            match (left, right, join.join_type) {
                (true, _, Inner | Left | LeftSemi | LeftAnti) => follow(&join.left),
                (_, true, Inner | Right | RightSemi | RightAnti) => follow(&join.right),
                (false, false, _) => Err(Refusal::Subquery),
                (.., kind) => Err(Refusal::Join(kind)),
            }
        }
        LogicalPlan::Aggregate(_) => below(plan, Refusal::Aggregate).and(Err(Refusal::Aggregate)),
        LogicalPlan::Distinct(_) => Err(Refusal::Distinct),
        LogicalPlan::Sort(_) => Err(Refusal::Sort),
        LogicalPlan::Limit(_) => Err(Refusal::Limit),
        LogicalPlan::Window(_) => Err(Refusal::Window),
        LogicalPlan::Union(_) => Err(Refusal::Union),
        LogicalPlan::Unnest(_) => Err(Refusal::Unnest),
        _ => Err(Refusal::Other),
    }
}

fn below(plan: &LogicalPlan, otherwise: Refusal) -> Result<(), Refusal> {
    match plan.inputs().into_iter().find(|input| scans(input) > 0) {
        Some(input) => follow(input),
        None => Err(otherwise),
    }
}

/// How often a plan reads `source`, in subqueries too.
pub(super) fn scans(plan: &LogicalPlan) -> usize {
    let mut count = 0;
    let _ = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && is_source(scan.table_name.schema(), scan.table_name.table())
        {
            count += 1;
        }
        Ok(TreeNodeRecursion::Continue)
    });
    count
}

fn is_source(schema: Option<&str>, table: &str) -> bool {
    schema.is_none() && table == SOURCE
}

/// Functions that answer differently each time: a retry would write other rows.
fn volatile(plan: &LogicalPlan, spots: &Spots<'_>) -> Vec<Finding> {
    let mut names: Vec<String> = vec![];
    let _ = plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                if let (true, Expr::ScalarFunction(call)) = (expr.is_volatile_node(), expr) {
                    names.push(call.func.name().to_owned());
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    names.dedup();
    let finding = |name: &String| {
        let message =
            format!("`{name}` answers differently each time: a repeated slice would hold other rows");
        Finding::new(spots.function(|known| known == name), "sql-not-row-wise", message)
    };
    names.iter().map(finding).collect()
}

/// Places in the text, as well as they can be told.
struct Spots<'a> {
    sql: &'a str,
}

impl<'a> Spots<'a> {
    fn new(sql: &'a str) -> Self {
        Self { sql }
    }

    fn whole(&self) -> Range<usize> {
        Places::new(self.sql).whole()
    }

    /// The n-th mention of `source`, from 0.
    fn source(&self, n: usize) -> Range<usize> {
        let Ok(parsed) = parse::query(self.sql) else { return self.whole() };
        let names = reads(&parsed.tree, self.sql);
        let mut mentions = names.tables.into_iter().filter(|table| table.name.parts == [SOURCE]);
        mentions.nth(n).map_or_else(|| self.whole(), |table| table.span)
    }

    fn function(&self, which: impl Fn(&str) -> bool) -> Range<usize> {
        let Ok(parsed) = parse::query(self.sql) else { return self.whole() };
        let names = reads(&parsed.tree, self.sql);
        names
            .functions
            .into_iter()
            .find(|(name, _)| which(name))
            .map_or_else(|| self.whole(), |(_, place)| place)
    }

    fn of(&self, refusal: Refusal) -> Range<usize> {
        let keyword = |word: &str| parse::keyword(self.sql, word).unwrap_or_else(|| self.whole());
        match refusal {
            Refusal::Aggregate => parse::keyword(self.sql, "GROUP").unwrap_or_else(|| {
                let state = super::state::offline(chrono_tz::UTC);
                self.function(|name| state.aggregate_functions().contains_key(name))
            }),
            Refusal::Distinct => keyword("DISTINCT"),
            Refusal::Sort => keyword("ORDER"),
            Refusal::Limit => keyword("LIMIT"),
            Refusal::Window => keyword("OVER"),
            Refusal::Union => keyword("UNION"),
            Refusal::Unnest => self.function(|name| name == "unnest"),
            Refusal::Join(JoinType::Full) => keyword("FULL"),
            Refusal::Join(JoinType::Right) => keyword("RIGHT"),
            Refusal::Join(_) => keyword("JOIN"),
            Refusal::Subquery => self.source(0),
            Refusal::Other => self.whole(),
        }
    }
}

//! One rule on top of SQL: **a date is a day of the project's zone.** So a comparison of an instant with a date
//! compares with the instant at which that day begins there (`happened_at >= :period.from`), and a cast between
//! the two goes through the project's zone, as PostgreSQL does with a session's zone.
//!
//! Without it the engine would take midnight UTC, and every report would be hours off.

use std::sync::Arc;

use arrow::datatypes::DataType;
use chrono::DateTime;
use chrono_tz::Tz;
use datafusion::{
    common::{
        DFSchema, Result,
        tree_node::{Transformed, TreeNode},
    },
    logical_expr::{
        Between, BinaryExpr, Cast, Expr, ExprSchemable, LogicalPlan, Operator, ScalarUDF, TryCast,
        expr::InList, expr_rewriter::NamePreserver, utils::merge_schema,
    },
    scalar::ScalarValue,
};

use super::{
    day_range::day_that_begins,
    functions::{day_start_function, local_date_function},
};

/// Rewrites every expression of a plan.
pub(super) fn in_plan(plan: LogicalPlan, zone: Tz) -> Result<LogicalPlan> {
    let rule = Rule::new(zone);
    plan.transform_up_with_subqueries(|plan| {
        let inputs = plan.inputs();
        let schema = if inputs.is_empty() { plan.schema().as_ref().clone() } else { merge_schema(&inputs) };
        let names = NamePreserver::new(&plan);
        let rewritten = plan.map_expressions(|expr| {
            let name = names.save(&expr);
            Ok(rule.rewrite(expr, &schema)?.update_data(|expr| name.restore(expr)))
        })?;
        rewritten.map_data(LogicalPlan::recompute_schema)
    })
    .map(|plan| plan.data)
}

/// Rewrites one expression over columns of `schema`.
pub(super) fn in_expression(expr: Expr, schema: &DFSchema, zone: Tz) -> Result<Expr> {
    Ok(Rule::new(zone).rewrite(expr, schema)?.data)
}

struct Rule {
    zone: Tz,
    day_start: Arc<ScalarUDF>,
    local_date: Arc<ScalarUDF>,
}

impl Rule {
    fn new(zone: Tz) -> Self {
        Self {
            zone,
            day_start: Arc::new(day_start_function(zone)),
            local_date: Arc::new(local_date_function(zone)),
        }
    }

    fn rewrite(&self, expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
        expr.transform_up(|expr| {
            Ok(match expr {
                Expr::BinaryExpr(BinaryExpr { left, op, right }) if op.supports_propagation() => {
                    if let Some(days) = self.as_days(&left, op, &right, schema) {
                        return Ok(Transformed::yes(days));
                    }
                    let (before_left, before_right) = (Kind::of(&left, schema), Kind::of(&right, schema));
                    let left = if before_right == Kind::Instant {
                        self.start(*left, before_left)
                    } else {
                        no(*left)
                    };
                    let right = if before_left == Kind::Instant {
                        self.start(*right, before_right)
                    } else {
                        no(*right)
                    };
                    let changed = left.transformed || right.transformed;
                    let expr = BinaryExpr { left: Box::new(left.data), op, right: Box::new(right.data) };
                    Transformed::new_transformed(Expr::BinaryExpr(expr), changed)
                }
                Expr::Between(Between { expr, negated, low, high })
                    if Kind::of(&expr, schema) == Kind::Instant =>
                {
                    let (low_kind, high_kind) = (Kind::of(&low, schema), Kind::of(&high, schema));
                    let (low, high) = (self.start(*low, low_kind), self.start(*high, high_kind));
                    let changed = low.transformed || high.transformed;
                    let (low, high) = (Box::new(low.data), Box::new(high.data));
                    Transformed::new_transformed(Expr::Between(Between { expr, negated, low, high }), changed)
                }
                Expr::InList(InList { expr, list, negated }) if Kind::of(&expr, schema) == Kind::Instant => {
                    let start = |item: Expr| {
                        let kind = Kind::of(&item, schema);
                        self.start(item, kind).data
                    };
                    let list = list.into_iter().map(start).collect();
                    Transformed::yes(Expr::InList(InList { expr, list, negated }))
                }
                Expr::Cast(Cast { expr, field }) => match self.cast(&expr, field.data_type(), schema) {
                    Some(call) => Transformed::yes(call),
                    None => no(Expr::Cast(Cast { expr, field })),
                },
                Expr::TryCast(TryCast { expr, field }) => match self.cast(&expr, field.data_type(), schema) {
                    Some(call) => Transformed::yes(call),
                    None => no(Expr::TryCast(TryCast { expr, field })),
                },
                other => no(other),
            })
        })
    }

    /// A comparison of a date with an instant at which a day begins, as one of dates: places find rows by it (`dt >= :window.from`).
    fn as_days(&self, left: &Expr, op: Operator, right: &Expr, schema: &DFSchema) -> Option<Expr> {
        let day = |instant: &Expr| match instant {
            Expr::Literal(ScalarValue::TimestampMicrosecond(Some(micros), Some(_)), _) => {
                let day = day_that_begins(self.zone, DateTime::from_timestamp_micros(*micros)?)?;
                Some(Box::new(Expr::Literal(ScalarValue::Date32(Some(day)), None)))
            }
            _ => None,
        };
        let (left, right) = match (Kind::of(left, schema), Kind::of(right, schema)) {
            (Kind::Day, Kind::Instant) => (Box::new(left.clone()), day(right)?),
            (Kind::Instant, Kind::Day) => (day(left)?, Box::new(right.clone())),
            _ => return None,
        };
        Some(Expr::BinaryExpr(BinaryExpr { left, op, right }))
    }

    /// A day as the instant at which it begins; anything else as it is.
    fn start(&self, expr: Expr, kind: Kind) -> Transformed<Expr> {
        match kind {
            Kind::Day => Transformed::yes(self.day_start.call(vec![expr])),
            _ => no(expr),
        }
    }

    /// What stands for a cast between days and instants.
    fn cast(&self, expr: &Expr, target: &DataType, schema: &DFSchema) -> Option<Expr> {
        match (Kind::of(expr, schema), Kind::of_type(target)) {
            (Kind::Instant, Kind::Day) => Some(self.local_date.call(vec![expr.clone()])),
            (Kind::Day, Kind::Instant) => Some(self.day_start.call(vec![expr.clone()])),
            _ => None,
        }
    }
}

fn no(expr: Expr) -> Transformed<Expr> {
    Transformed::no(expr)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Instant,
    Day,
    Other,
}

impl Kind {
    fn of(expr: &Expr, schema: &DFSchema) -> Self {
        expr.get_type(schema).map_or(Self::Other, |kind| Self::of_type(&kind))
    }

    fn of_type(kind: &DataType) -> Self {
        match kind {
            DataType::Timestamp(_, Some(_)) => Self::Instant,
            DataType::Date32 | DataType::Date64 => Self::Day,
            _ => Self::Other,
        }
    }
}

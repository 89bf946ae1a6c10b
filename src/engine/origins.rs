//! Where the columns of a query's result come from, read off its logical plan as the planner made it.

use std::collections::BTreeMap;

use chrono_tz::Tz;
use datafusion::{
    common::{
        Column, DFSchema,
        tree_node::{TreeNode, TreeNodeRecursion},
    },
    logical_expr::{
        Aggregate, Distinct, Expr, Join, JoinType, Limit, LogicalPlan, RecursiveQuery, Subquery, TableScan,
        Window, utils::grouping_set_to_exprlist,
    },
};

use super::{
    check, params, parse, planner,
    reads::reads,
    state,
    typing::{ColumnUse, Known, Origin, Origins, ParamTypes, TableName},
};

/// The origins of a query's columns; `None` where it is wrong or a table's columns are not known.
pub(super) fn of_query(
    sql: &str,
    tables: &dyn Fn(&TableName) -> Known,
    types: &ParamTypes,
    zone: Tz,
) -> Option<Origins> {
    let parsed = parse::query(sql).ok()?;
    let names = reads(&parsed.tree, sql);
    let mut findings = vec![];
    let (tables, complete) = check::sources(&names, tables, &mut findings);
    if !complete || !findings.is_empty() {
        return None;
    }
    let values = params::typed_nulls(types);
    let plan = planner::query(&state::offline(zone), zone, &tables, parsed.tree, types, &values).ok()?;
    let mut walk = Walk { rows: Set::new(), work: vec![] };
    let columns = walk.plan(&plan);
    let names = plan.schema().fields().iter().map(|field| field.name().clone());
    let rows = walk.rows.into_keys().collect();
    Some(Origins { columns: names.zip(columns).collect(), rows })
}

/// Columns of tables that a value is made of.
type Set = BTreeMap<ColumnUse, Origin>;
/// What the inputs of a step look like, and what their columns are made of.
type Scope<'a> = &'a [(&'a DFSchema, &'a [Set])];

struct Walk {
    /// What decides which rows there are.
    rows: Set,
    /// Recursive queries that are being walked: what their columns are made of so far.
    work: Vec<(String, Vec<Set>)>,
}

impl Walk {
    /// For each column of a plan, what it is made of.
    fn plan(&mut self, plan: &LogicalPlan) -> Vec<Set> {
        match plan {
            LogicalPlan::TableScan(scan) => self.scan(scan),
            LogicalPlan::Projection(projection) => {
                let below = self.plan(&projection.input);
                self.expressions(&projection.expr, &[(projection.input.schema(), &below)])
            }
            LogicalPlan::Filter(filter) => {
                let below = self.plan(&filter.input);
                self.decides(&filter.predicate, &[(filter.input.schema(), &below)]);
                below
            }
            LogicalPlan::Aggregate(aggregate) => self.aggregate(aggregate),
            LogicalPlan::Window(window) => self.window(window),
            LogicalPlan::Join(join) => self.join(join),
            LogicalPlan::Limit(limit) => self.limit(limit),
            LogicalPlan::Distinct(Distinct::On(on)) => {
                let below = self.plan(&on.input);
                let scope: Scope<'_> = &[(on.input.schema(), &below)];
                let sorts = on.sort_expr.iter().flatten().map(|sort| &sort.expr);
                on.on_expr.iter().chain(sorts).for_each(|expr| self.decides(expr, scope));
                self.expressions(&on.select_expr, scope)
            }
            LogicalPlan::Union(union) => {
                let inputs: Vec<Vec<Set>> = union.inputs.iter().map(|input| self.plan(input)).collect();
                by_position(inputs)
            }
            LogicalPlan::Unnest(unnest) => {
                let below = self.plan(&unnest.input);
                unnest.dependency_indices.iter().map(|at| computed(below[*at].clone())).collect()
            }
            LogicalPlan::RecursiveQuery(query) => self.recursive(query),
            LogicalPlan::Subquery(subquery) => self.plan(&subquery.subquery),
            LogicalPlan::SubqueryAlias(alias) => self.plan(&alias.input),
            LogicalPlan::Sort(sort) => self.plan(&sort.input),
            LogicalPlan::Distinct(Distinct::All(input)) => self.plan(input),
            LogicalPlan::Repartition(repartition) => self.plan(&repartition.input),
            // What is left makes its rows by itself, or is no query.
            other => {
                let all = other.inputs().into_iter().flat_map(|input| self.plan(input));
                let all = all.fold(Set::new(), united);
                vec![computed(all); other.schema().fields().len()]
            }
        }
    }

    fn scan(&mut self, scan: &TableScan) -> Vec<Set> {
        let name = planner::table_name(&scan.table_name);
        if let [one] = name.parts.as_slice()
            && let Some((_, columns)) = self.work.iter().rev().find(|(work, _)| work == one)
        {
            return columns.clone();
        }
        let column = |column: &String| ColumnUse { table: name.clone(), column: column.clone() };
        let fields = scan.projected_schema.fields().iter();
        fields.map(|field| Set::from([(column(field.name()), Origin::Same)])).collect()
    }

    fn aggregate(&mut self, aggregate: &Aggregate) -> Vec<Set> {
        let below = self.plan(&aggregate.input);
        let scope: Scope<'_> = &[(aggregate.input.schema(), &below)];
        let groups = grouping_set_to_exprlist(&aggregate.group_expr).unwrap_or_default();
        let mut columns: Vec<Set> = groups.iter().map(|expr| self.expression(expr, scope)).collect();
        for expr in &groups {
            self.decides(expr, scope);
        }
        // GROUPING SETS have a column of their own between the two.
        let others = aggregate.schema.fields().len().saturating_sub(groups.len() + aggregate.aggr_expr.len());
        columns.extend(vec![Set::new(); others]);
        columns.extend(self.expressions(&aggregate.aggr_expr, scope));
        columns
    }

    fn window(&mut self, window: &Window) -> Vec<Set> {
        let mut columns = self.plan(&window.input);
        let made = self.expressions(&window.window_expr, &[(window.input.schema(), &columns)]);
        columns.extend(made);
        columns
    }

    fn join(&mut self, join: &Join) -> Vec<Set> {
        let (left, right) = (self.plan(&join.left), self.plan(&join.right));
        let scope: Scope<'_> = &[(join.left.schema(), &left), (join.right.schema(), &right)];
        let keys = join.on.iter().flat_map(|(left, right)| [left, right]);
        keys.chain(&join.filter).for_each(|expr| self.decides(expr, scope));
        match join.join_type {
            JoinType::LeftSemi | JoinType::LeftAnti => left,
            JoinType::RightSemi | JoinType::RightAnti => right,
            JoinType::LeftMark => left.into_iter().chain([Set::new()]).collect(),
            JoinType::RightMark => right.into_iter().chain([Set::new()]).collect(),
            JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => {
                left.into_iter().chain(right).collect()
            }
        }
    }

    /// The order decides which rows are the first.
    fn limit(&mut self, limit: &Limit) -> Vec<Set> {
        let below = self.plan(&limit.input);
        if let LogicalPlan::Sort(sort) = limit.input.as_ref() {
            let scope: Scope<'_> = &[(sort.input.schema(), &below)];
            sort.expr.iter().for_each(|sort| self.decides(&sort.expr, scope));
        }
        below
    }

    /// A recursive query's columns are made of what it begins with and of themselves, until nothing new comes.
    fn recursive(&mut self, query: &RecursiveQuery) -> Vec<Set> {
        let mut columns = self.plan(&query.static_term);
        loop {
            self.work.push((query.name.clone(), columns.clone()));
            let again = self.plan(&query.recursive_term);
            self.work.pop();
            let both = by_position(vec![columns.clone(), again]);
            if both == columns {
                return columns;
            }
            columns = both;
        }
    }

    fn expressions(&mut self, exprs: &[Expr], scope: Scope<'_>) -> Vec<Set> {
        exprs.iter().map(|expr| self.expression(expr, scope)).collect()
    }

    /// What an expression's value is made of.
    fn expression(&mut self, expr: &Expr, scope: Scope<'_>) -> Set {
        match expr {
            Expr::Alias(alias) => return self.expression(&alias.expr, scope),
            Expr::Column(column) => return found(column, scope),
            _ => {}
        }
        let mut all = Set::new();
        let _ = expr.apply(|part| {
            let more = match part {
                Expr::Column(column) => found(column, scope),
                Expr::ScalarSubquery(subquery) => self.subquery(subquery, scope),
                Expr::InSubquery(within) => self.subquery(&within.subquery, scope),
                Expr::Exists(exists) => self.subquery(&exists.subquery, scope),
                Expr::SetComparison(comparison) => self.subquery(&comparison.subquery, scope),
                _ => Set::new(),
            };
            all = united(std::mem::take(&mut all), more);
            Ok(TreeNodeRecursion::Continue)
        });
        computed(all)
    }

    /// The columns of a subquery, and those of the query around that it names.
    fn subquery(&mut self, subquery: &Subquery, scope: Scope<'_>) -> Set {
        let own = self.plan(&subquery.subquery).into_iter().fold(Set::new(), united);
        let outer = subquery.outer_ref_columns.iter().map(|expr| match expr {
            Expr::OuterReferenceColumn(_, column) => found(column, scope),
            other => self.expression(other, scope),
        });
        outer.collect::<Vec<_>>().into_iter().fold(own, united)
    }

    /// Notes what an expression that decides which rows there are is made of.
    fn decides(&mut self, expr: &Expr, scope: Scope<'_>) {
        let more = self.expression(expr, scope);
        self.rows.extend(more);
    }
}

fn found(column: &Column, scope: Scope<'_>) -> Set {
    let mut places =
        scope.iter().filter_map(|(schema, sets)| sets.get(schema.maybe_index_of_column(column)?));
    places.next().cloned().unwrap_or_default()
}

fn computed(set: Set) -> Set {
    set.into_keys().map(|column| (column, Origin::Computed)).collect()
}

/// Both; a column that is in both is computed where either computes it.
fn united(mut one: Set, other: Set) -> Set {
    for (column, origin) in other {
        let known = one.entry(column).or_insert(origin);
        *known = (*known).max(origin);
    }
    one
}

fn by_position(inputs: Vec<Vec<Set>>) -> Vec<Set> {
    let mut inputs = inputs.into_iter();
    let Some(mut columns) = inputs.next() else { return vec![] };
    for input in inputs {
        columns = columns.into_iter().zip(input).map(|(one, other)| united(one, other)).collect();
    }
    columns
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::{DataType, Field, Schema};

    use super::*;

    fn tables(name: &TableName) -> Known {
        let columns = match name.parts.last().map(String::as_str) {
            Some("orders") => vec!["id", "client", "amount", "day"],
            Some("clients") => vec!["id", "city"],
            _ => return Known::Unknown,
        };
        let field = |name: &str| Field::new(name, DataType::Int64, true);
        Known::Schema(Arc::new(Schema::new(columns.into_iter().map(field).collect::<Vec<_>>())))
    }

    /// `column = origins`, an origin that is computed in brackets; last what decides the rows.
    fn shown(sql: &str) -> Vec<String> {
        let origins = of_query(sql, &tables, &ParamTypes::default(), Tz::UTC).unwrap();
        let name = |used: &ColumnUse| format!("{}.{}", used.table.parts.last().unwrap(), used.column);
        let column = |(column, set): &(String, Set)| {
            let parts = set.iter().map(|(used, origin)| match origin {
                Origin::Same => name(used),
                Origin::Computed => format!("({})", name(used)),
            });
            format!("{column} = {}", parts.collect::<Vec<_>>().join(" "))
        };
        let mut lines: Vec<String> = origins.columns.iter().map(column).collect();
        lines.push(origins.rows.iter().map(name).collect::<Vec<_>>().join(" "));
        lines
    }

    #[test]
    fn projections_and_filters() {
        assert_eq!(
            shown("SELECT id AS number, amount * 2 AS twice, 1 AS one FROM shop.orders o WHERE day > 3"),
            ["number = orders.id", "twice = (orders.amount)", "one = ", "orders.day"]
        );
    }

    #[test]
    fn aggregates_and_windows() {
        assert_eq!(
            shown(
                "SELECT client, sum(amount) FILTER (WHERE day > 1) AS s, rank() OVER (PARTITION BY client ORDER BY count(*)) AS r \
                 FROM shop.orders GROUP BY client HAVING max(id) > 1"
            ),
            [
                "client = orders.client",
                "s = (orders.amount) (orders.day)",
                "r = (orders.client)",
                "orders.client orders.id"
            ]
        );
    }

    #[test]
    fn joins_and_subqueries() {
        assert_eq!(
            shown(
                "SELECT o.amount, c.city FROM shop.orders o JOIN shop.clients c ON c.id = o.client \
                 WHERE o.id IN (SELECT id FROM shop.clients WHERE city = 1)"
            ),
            [
                "amount = orders.amount",
                "city = clients.city",
                "clients.city clients.id orders.client orders.id"
            ]
        );
        assert_eq!(
            shown(
                "SELECT id, (SELECT max(amount) FROM shop.orders o WHERE o.client = c.id) AS best FROM shop.clients c"
            ),
            ["id = clients.id", "best = (clients.id) (orders.amount)", "orders.client"]
        );
    }

    #[test]
    fn with_union_and_limit() {
        assert_eq!(
            shown(
                "WITH both AS (SELECT id, amount FROM shop.orders UNION ALL SELECT id, city + 1 FROM shop.clients) \
                 SELECT amount AS x FROM both ORDER BY id LIMIT 3"
            ),
            ["x = (clients.city) orders.amount", "clients.id orders.id"]
        );
    }

    #[test]
    fn recursion_ends() {
        assert_eq!(
            shown(
                "WITH RECURSIVE r AS (SELECT id, client FROM shop.orders UNION ALL SELECT client, id + 1 FROM r WHERE id < 9) \
                 SELECT id FROM r"
            )[0],
            "id = (orders.client) (orders.id)"
        );
    }

    #[test]
    fn what_is_not_known_is_not_guessed() {
        assert!(of_query("SELECT * FROM a.b", &tables, &ParamTypes::default(), Tz::UTC).is_none());
        assert!(of_query("SELEC", &tables, &ParamTypes::default(), Tz::UTC).is_none());
    }
}

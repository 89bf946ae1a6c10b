//! Joins as SQL. A condition of one side stays on its side; what is kept or left out by whether the other side has a match asks just that.

use datafusion::{
    common::{DFSchema, JoinType, NullEquality},
    logical_expr::{Expr, Join, LogicalPlan, Operator},
};

use super::{
    scalar::{Scalars, Scope, compared},
    select::{Select, Writer},
};
use crate::connector::executor::{Agreement, Term, Truth};

/// A join's rows.
pub(super) fn join(writer: &mut Writer, join: &Join) -> Option<Select> {
    use JoinType::{Inner, Left, LeftAnti, LeftSemi, Right, RightAnti, RightSemi};
    let endless = join.on.is_empty() && join.filter.is_none();
    if join.null_aware || endless || join.null_equality != NullEquality::NullEqualsNothing {
        return None;
    }
    let pairs = Sides::of(join);
    match join.join_type {
        Inner | Left => rows(writer, &pairs, join.join_type == Inner, false),
        Right => rows(writer, &pairs.swapped(), false, true),
        LeftSemi | LeftAnti => kept(writer, &pairs, join.join_type == LeftSemi),
        RightSemi | RightAnti => kept(writer, &pairs.swapped(), join.join_type == RightSemi),
        _ => None,
    }
}

/// The two sides of a join: the one that is kept first.
struct Sides<'a> {
    first: &'a LogicalPlan,
    second: &'a LogicalPlan,
    on: Vec<(&'a Expr, &'a Expr)>,
    filter: Option<&'a Expr>,
}

impl<'a> Sides<'a> {
    fn of(join: &'a Join) -> Self {
        let on = join.on.iter().map(|(left, right)| (left, right)).collect();
        Self { first: &join.left, second: &join.right, on, filter: join.filter.as_ref() }
    }

    fn swapped(self) -> Self {
        let on = self.on.into_iter().map(|(left, right)| (right, left)).collect();
        Self { first: self.second, second: self.first, on, filter: self.filter }
    }

    /// The conditions of a match, between the columns of both.
    fn matching(
        &self,
        writer: &mut Writer,
        first: &Select,
        second: &Select,
        keys: &[(Term, Term)],
    ) -> Option<Vec<String>> {
        let mut conditions = vec![];
        for (left, right) in keys {
            conditions.push(compared(&writer.executor()?, left, Operator::Eq, right)?);
        }
        if let Some(filter) = self.filter {
            let schema: DFSchema = self.first.schema().join(self.second.schema()).ok()?;
            let outputs = first.outputs.iter().chain(&second.outputs);
            let scope = Scope { schema: &schema, terms: outputs.map(|output| output.term.clone()).collect() };
            conditions.push(Scalars::new(writer, &scope)?.condition(filter)?);
        }
        Some(conditions)
    }

    fn keys(&self, writer: &mut Writer, first: &Select, second: &Select) -> Option<Vec<(Term, Term)>> {
        let (left, right) = (first.scope(self.first.schema()), second.scope(self.second.schema()));
        let mut keys = vec![];
        for (one, other) in &self.on {
            let one = Scalars::new(writer, &left)?.term(one)?;
            let other = Scalars::new(writer, &right)?.term(other)?;
            if one.data_type != other.data_type || one.agrees.min(other.agrees) < Agreement::Equality {
                return None;
            }
            keys.push((one, other));
        }
        Some(keys)
    }
}

/// Rows of both sides; without `inner` those of the first side that match nothing too. `swapped` = the second side's columns come first.
fn rows(writer: &mut Writer, sides: &Sides<'_>, inner: bool, swapped: bool) -> Option<Select> {
    let first = writer.relation(sides.first)?;
    let first = writer.open(first);
    let second = writer.relation(sides.second)?;
    let mut second = writer.open(second);
    // What the second side leaves out must be left out before a match is looked for.
    if !second.single || !(inner || second.filters.is_empty()) {
        second = writer.wrapped(&second);
    }
    let keys = sides.keys(writer, &first, &second)?;
    let mut on = sides.matching(writer, &first, &second, &keys)?;
    let mut further = vec![];
    if !writer.executor()?.dialect().joins_by_any() {
        // Of what matches, an inner join may as well leave out afterwards.
        further = on.split_off(keys.len());
        if keys.is_empty() || !(inner || further.is_empty()) {
            return None;
        }
    }
    let how = if inner { "JOIN" } else { "LEFT JOIN" };
    let from = format!("{} {how} {} ON {}", first.from, second.from, on.join(" AND "));
    let (one, other) = if swapped { (&second, &first) } else { (&first, &second) };
    let outputs = one.outputs.iter().chain(&other.outputs).cloned().collect();
    let mut select = Select::over(from, outputs);
    select.single = false;
    select.filters = first.filters.into_iter().chain(second.filters).chain(further).collect();
    Some(select)
}

/// Rows of the first side that have a match, or that have none.
fn kept(writer: &mut Writer, sides: &Sides<'_>, having: bool) -> Option<Select> {
    let first = writer.relation(sides.first)?;
    let mut first = writer.open(first);
    let second = writer.relation(sides.second)?;
    let mut second = writer.open(second);
    let prefers_in = writer.executor()?.dialect().prefers_in();
    let keys = sides.keys(writer, &first, &second)?;
    let condition = match (sides.filter, keys.as_slice()) {
        (None, [(one, other)]) if prefers_in => {
            second.filters.push(format!("({} IS NOT NULL)", other.sql));
            let listed = format!("SELECT {} FROM {}", other.sql, second.from);
            let listed = format!("{listed} WHERE {}", second.filters.join(" AND "));
            // A NULL that is looked for is not in the list, and not unknown.
            let within = format!("({} IN ({listed}))", one.sql);
            if having { within } else { writer.executor()?.dialect().truth(&within, Truth::NotTrue) }
        }
        _ if !writer.executor()?.dialect().joins_by_any() => return None,
        _ => {
            let matching = sides.matching(writer, &first, &second, &keys)?;
            second.filters.extend(matching);
            let not = if having { "" } else { "NOT " };
            let (from, conditions) = (&second.from, second.filters.join(" AND "));
            format!("({not}EXISTS (SELECT 1 FROM {from} WHERE {conditions}))")
        }
    };
    first.filters.push(condition);
    Some(first)
}

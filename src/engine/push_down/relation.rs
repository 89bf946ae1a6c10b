//! Plans as SELECTs, where every step is one that the place computes as the engine does.

use arrow::datatypes::DataType;
use datafusion::{
    common::{DFSchema, tree_node::TreeNode},
    datasource::source_as_provider,
    logical_expr::{
        Aggregate, Expr, FetchType, Filter, Limit, LogicalPlan, Projection, SkipType, Sort, TableScan, Union,
        expr::AggregateFunction, utils::split_conjunction,
    },
};

use super::{
    join,
    scalar::{Scalars, Scope},
    select::{Output, Select, Writer},
};
use crate::connector::executor::{AggregateCall, Agreement, RemoteTable, Term, remote};

impl Writer {
    /// The plan's rows; `None` = the place would compute something otherwise, or not at all.
    pub(super) fn relation(&mut self, plan: &LogicalPlan) -> Option<Select> {
        match plan {
            LogicalPlan::TableScan(scan) => self.scan(scan),
            LogicalPlan::SubqueryAlias(alias) => self.relation(&alias.input),
            LogicalPlan::Projection(projection) => self.projection(projection),
            LogicalPlan::Filter(filter) => self.filter(filter),
            LogicalPlan::Aggregate(aggregate) => self.aggregate(aggregate),
            LogicalPlan::Sort(sort) => self.sort(sort),
            LogicalPlan::Limit(limit) => self.limit(limit),
            LogicalPlan::Join(join) => join::join(self, join),
            LogicalPlan::Union(union) => self.union(union),
            _ => None,
        }
    }

    fn scan(&mut self, scan: &TableScan) -> Option<Select> {
        let provider = source_as_provider(&scan.source).ok()?;
        let table = remote(provider.as_ref())?;
        self.reads(&table.executor)?;
        let alias = self.alias();
        let schema = scan.source.schema();
        let terms: Vec<Term> = (table.columns.iter().zip(schema.fields()))
            .map(|(column, field)| Term {
                sql: format!("{alias}.{}", column.sql),
                data_type: field.data_type().clone(),
                agrees: column.agrees,
            })
            .collect();
        let all: Vec<usize> = (0..terms.len()).collect();
        let chosen = scan.projection.as_ref().unwrap_or(&all);
        let plain = |at: &usize| Some(Output { term: terms.get(*at)?.clone(), plain: true });
        let outputs = chosen.iter().map(plain).collect::<Option<Vec<_>>>()?;
        let mut select = Select::over(format!("{} AS {alias}", table.name), outputs);
        select.filters = self.fitting(table, scan, chosen, &terms)?;
        let columns = DFSchema::try_from_qualified_schema(scan.table_name.clone(), &schema).ok()?;
        let scope = Scope { schema: &columns, terms };
        for filter in &scan.filters {
            select.filters.push(Scalars::new(self, &scope)?.condition(filter)?);
        }
        select.fetch = scan.fetch;
        Some(select)
    }

    /// Conditions that every cell which is used is of its column's type.
    fn fitting(
        &mut self,
        table: &RemoteTable,
        scan: &TableScan,
        chosen: &[usize],
        terms: &[Term],
    ) -> Option<Vec<String>> {
        let executor = self.executor()?;
        let schema = scan.source.schema();
        let mut used = chosen.to_vec();
        for column in scan.filters.iter().flat_map(Expr::column_refs) {
            used.push(schema.index_of(&column.name).ok()?);
        }
        used.sort_unstable();
        used.dedup();
        let unsure = used.into_iter().filter(|at| {
            let column = &table.columns[*at];
            !column.sure && column.agrees > Agreement::Nothing
        });
        unsure.map(|at| executor.dialect().fits(schema.field(at).name(), &terms[at])).collect()
    }

    fn projection(&mut self, projection: &Projection) -> Option<Select> {
        let mut select = self.relation(&projection.input)?;
        let schema = projection.input.schema();
        let moved: Option<Vec<usize>> = (projection.expr.iter())
            .map(|expr| match unnamed(expr) {
                Expr::Column(column) => schema.maybe_index_of_column(column),
                _ => None,
            })
            .collect();
        if let Some(moved) = moved {
            // Without its aggregates a query of one row would be one of many.
            if moved.is_empty() && select.groups.is_some() {
                select = self.wrapped(&select);
            }
            select.outputs = moved.into_iter().map(|at| select.outputs[at].clone()).collect();
            return Some(select);
        }
        let mut select = self.open(select);
        let scope = select.scope(schema);
        let mut outputs = vec![];
        for expr in &projection.expr {
            let plain = matches!(unnamed(expr), Expr::Column(_));
            outputs.push(Output { term: Scalars::new(self, &scope)?.term(expr)?, plain });
        }
        select.outputs = outputs;
        Some(select)
    }

    fn filter(&mut self, filter: &Filter) -> Option<Select> {
        let select = self.relation(&filter.input)?;
        let mut select = self.open(select);
        let scope = select.scope(filter.input.schema());
        for part in split_conjunction(&filter.predicate) {
            select.filters.push(Scalars::new(self, &scope)?.condition(part)?);
        }
        Some(select)
    }

    fn aggregate(&mut self, aggregate: &Aggregate) -> Option<Select> {
        let select = self.relation(&aggregate.input)?;
        let mut select = self.open(select);
        let scope = select.scope(aggregate.input.schema());
        let (mut groups, mut outputs) = (vec![], vec![]);
        for expr in &aggregate.group_expr {
            let term = Scalars::new(self, &scope)?.term(expr)?;
            if term.agrees < Agreement::Equality {
                return None;
            }
            groups.push(term.sql.clone());
            outputs.push(Output { term, plain: false });
        }
        for (at, expr) in aggregate.aggr_expr.iter().enumerate() {
            let Expr::AggregateFunction(call) = unnamed(expr) else { return None };
            let to = aggregate.schema.field(aggregate.group_expr.len() + at).data_type();
            outputs.push(Output { term: self.call(call, to, &scope)?, plain: false });
        }
        select.groups = Some(groups);
        select.outputs = outputs;
        Some(select)
    }

    fn call(&mut self, call: &AggregateFunction, to: &DataType, scope: &Scope<'_>) -> Option<Term> {
        let params = &call.params;
        if !params.order_by.is_empty() || params.null_treatment.is_some() {
            return None;
        }
        let argument = match params.args.as_slice() {
            // `count(*)` counts rows, as `count(1)`.
            [Expr::Literal(value, _)] if call.func.name() == "count" && !value.is_null() => None,
            [argument] => Some(Scalars::new(self, scope)?.term(argument)?),
            _ => return None,
        };
        let filter = match &params.filter {
            Some(filter) => format!(" FILTER (WHERE {})", Scalars::new(self, scope)?.condition(filter)?),
            None => String::new(),
        };
        let executor = self.executor()?;
        let call = AggregateCall {
            function: call.func.name(),
            argument: argument.as_ref(),
            distinct: params.distinct,
            filter: &filter,
            data_type: to,
        };
        let sql = executor.dialect().aggregate(&call)?;
        let agrees = argument.as_ref().filter(|_| call.function != "count").map(|term| term.agrees);
        let agrees = executor.dialect().agrees(to).min(agrees.unwrap_or(Agreement::Order));
        Some(Term { sql, data_type: to.clone(), agrees })
    }

    fn sort(&mut self, sort: &Sort) -> Option<Select> {
        let select = self.relation(&sort.input)?;
        let mut select = self.open(select);
        let scope = select.scope(sort.input.schema());
        let executor = self.executor()?;
        let mut order = vec![];
        for key in &sort.expr {
            let term = Scalars::new(self, &scope)?.term(&key.expr)?;
            if term.agrees < Agreement::Order {
                return None;
            }
            let way = if key.asc { "ASC" } else { "DESC" };
            let nulls = if key.nulls_first { "FIRST" } else { "LAST" };
            order.push(format!("{} {way} NULLS {nulls}", executor.dialect().ordered(&term)));
        }
        select.order = order;
        select.fetch = sort.fetch;
        Some(select)
    }

    fn limit(&mut self, limit: &Limit) -> Option<Select> {
        let (SkipType::Literal(skip), FetchType::Literal(fetch)) =
            (limit.get_skip_type().ok()?, limit.get_fetch_type().ok()?)
        else {
            return None;
        };
        let mut select = self.relation(&limit.input)?;
        if select.skip > 0 {
            select = self.wrapped(&select);
        }
        // Rows that are left out come off those that there are.
        let left = select.fetch.map(|rows| rows.saturating_sub(skip));
        select.fetch = match (left, fetch) {
            (Some(left), Some(fetch)) => Some(left.min(fetch)),
            (left, fetch) => left.or(fetch),
        };
        select.skip = skip;
        Some(select)
    }

    fn union(&mut self, union: &Union) -> Option<Select> {
        let mut parts: Vec<Select> = vec![];
        for input in &union.inputs {
            let part = self.relation(input)?;
            // A part of a UNION has no order and no limit of its own.
            let whole = part.order.is_empty() && part.fetch.is_none() && part.skip == 0;
            parts.push(if whole { part } else { self.wrapped(&part) });
        }
        let alias = self.alias();
        let mut outputs = vec![];
        for (at, field) in union.schema.fields().iter().enumerate() {
            let terms = parts.iter().map(|part| part.outputs.get(at).map(|output| &output.term));
            let terms: Vec<&Term> = terms.collect::<Option<_>>()?;
            if terms.iter().any(|term| term.data_type != *field.data_type()) {
                return None;
            }
            let agrees = terms.iter().map(|term| term.agrees).min()?;
            // Texts of several types become one of them there.
            if agrees == Agreement::Nothing && *field.data_type() == DataType::Utf8 {
                return None;
            }
            let sql = format!("{alias}.c{}", at + 1);
            let term = Term { sql, data_type: field.data_type().clone(), agrees };
            outputs.push(Output { term, plain: true });
        }
        let texts: Vec<String> = parts.iter().map(Select::sql).collect();
        Some(Select::over(format!("({}) AS {alias}", texts.join(" UNION ALL ")), outputs))
    }
}

impl Select {
    /// Its columns, as a plan of this schema names them.
    pub(super) fn scope<'a>(&self, schema: &'a DFSchema) -> Scope<'a> {
        Scope { schema, terms: self.outputs.iter().map(|output| output.term.clone()).collect() }
    }
}

/// An expression without the names it is given.
fn unnamed(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(alias) => unnamed(&alias.expr),
        other => other,
    }
}

/// Whether the place has more to do than to give columns, filtered rows or some rows of a table, which a scan does by itself.
pub(super) fn is_worth_sending(plan: &LogicalPlan) -> bool {
    let works = |node: &LogicalPlan| {
        matches!(
            node,
            LogicalPlan::Filter(_) | LogicalPlan::Aggregate(_) | LogicalPlan::Join(_) | LogicalPlan::Sort(_)
        )
    };
    plan.exists(|node| Ok(works(node))).unwrap_or(false)
}

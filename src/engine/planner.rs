//! Parsed SQL → logical plan: names of tables are looked up in what was resolved before, parameters get their
//! types, days become days of the project's zone. Typing offline and running go through the same door.

use std::{collections::HashMap, sync::Arc};

use arrow::datatypes::{DataType, SchemaRef};
use chrono_tz::Tz;
use datafusion::{
    catalog::{TableFunctionArgs, cte_worktable::CteWorkTable},
    common::{DFSchema, ParamValues, Result, TableReference, plan_datafusion_err, plan_err},
    config::ConfigOptions,
    datasource::provider_as_source,
    execution::{SessionState, context::SQLOptions},
    logical_expr::{
        AggregateUDF, Expr, HigherOrderUDF, LogicalPlan, ScalarUDF, TableSource, WindowUDF,
        planner::{ContextProvider, ExprPlanner},
    },
    sql::{
        planner::{ParserOptions, PlannerContext, SqlToRel},
        sqlparser::ast,
    },
};

use super::{
    dates, params,
    typing::{ParamTypes, TableName},
};

/// Tables that a query reads, found before it is planned.
pub(super) type Tables = HashMap<TableName, Arc<dyn TableSource>>;

/// Plans a query; only ever a query: whatever would change something is refused.
pub(super) fn query(
    state: &SessionState,
    zone: Tz,
    tables: &Tables,
    query: ast::Query,
    types: &ParamTypes,
    values: &ParamValues,
) -> Result<LogicalPlan> {
    let context = Context { state, tables };
    let planner = SqlToRel::new_with_options(&context, options(state));
    let mut typed = PlannerContext::new().with_prepare_param_data_types(params::fields(types));
    let statement = ast::Statement::Query(Box::new(query));
    let plan = planner.sql_statement_to_plan_with_context(statement, &mut typed)?;
    SQLOptions::new()
        .with_allow_ddl(false)
        .with_allow_dml(false)
        .with_allow_statements(false)
        .verify_plan(&plan)?;
    dates::in_plan(plan.with_param_values(values.clone())?, zone)
}

/// Plans a condition over the columns of `schema`.
pub(super) fn condition(
    state: &SessionState,
    zone: Tz,
    schema: &DFSchema,
    condition: ast::Expr,
    types: &ParamTypes,
    values: &ParamValues,
) -> Result<Expr> {
    use datafusion::common::tree_node::{Transformed, TreeNode};

    let tables = Tables::new();
    let context = Context { state, tables: &tables };
    let planner = SqlToRel::new_with_options(&context, options(state));
    let mut typed = PlannerContext::new().with_prepare_param_data_types(params::fields(types));
    let expr = planner.sql_to_expr(condition, schema, &mut typed)?;
    let bound = expr.transform_up(|expr| match expr {
        Expr::Placeholder(placeholder) => {
            let value = values.get_placeholders_with_values(&placeholder.id)?;
            Ok(Transformed::yes(Expr::Literal(value.value, None)))
        }
        other => Ok(Transformed::no(other)),
    })?;
    dates::in_expression(bound.data, schema, zone)
}

fn options(state: &SessionState) -> ParserOptions {
    ParserOptions::from(&state.config_options().sql_parser)
}

/// The name as the user wrote it.
pub(super) fn table_name(reference: &TableReference) -> TableName {
    let parts = [reference.catalog(), reference.schema(), Some(reference.table())];
    TableName::new(parts.into_iter().flatten())
}

struct Context<'a> {
    state: &'a SessionState,
    tables: &'a Tables,
}

impl ContextProvider for Context<'_> {
    fn get_table_source(&self, name: TableReference) -> Result<Arc<dyn TableSource>> {
        let name = table_name(&name);
        self.tables.get(&name).cloned().ok_or_else(|| plan_datafusion_err!("there is no table {name}"))
    }

    fn get_table_function_source(&self, name: &str, args: Vec<Expr>) -> Result<Arc<dyn TableSource>> {
        let Some(function) = self.state.table_functions().get(name) else {
            return plan_err!("there is no table function {name}");
        };
        let args = TableFunctionArgs::new(&args, self.state);
        Ok(provider_as_source(function.create_table_provider_with_args(args)?))
    }

    fn create_cte_work_table(&self, name: &str, schema: SchemaRef) -> Result<Arc<dyn TableSource>> {
        Ok(provider_as_source(Arc::new(CteWorkTable::new(name, schema))))
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        self.state.expr_planners()
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        self.state.scalar_functions().get(name).cloned()
    }

    fn get_higher_order_meta(&self, name: &str) -> Option<Arc<HigherOrderUDF>> {
        self.state.higher_order_functions().get(name).cloned()
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        self.state.aggregate_functions().get(name).cloned()
    }

    fn get_window_meta(&self, name: &str) -> Option<Arc<WindowUDF>> {
        self.state.window_functions().get(name).cloned()
    }

    fn get_variable_type(&self, _: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        self.state.config_options()
    }

    fn udf_names(&self) -> Vec<String> {
        self.state.scalar_functions().keys().cloned().collect()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        self.state.higher_order_functions().keys().cloned().collect()
    }

    fn udaf_names(&self) -> Vec<String> {
        self.state.aggregate_functions().keys().cloned().collect()
    }

    fn udwf_names(&self) -> Vec<String> {
        self.state.window_functions().keys().cloned().collect()
    }
}

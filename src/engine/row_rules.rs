//! Which rows a reader sees: filters right above every scan of a query, whoever wrote it.
//!
//! A guarded table takes the place of the table itself before the query is planned, so there is no way of naming one (join, subquery, CTE, relation,
//! twice) that passes by. Its shape is a view `Projection(Filter(scan))`: the planner takes it in as a relation of its own, so that no rule can mistake the
//! filter for a part of a join's condition. Values are literals of the column's type in the plan; what is sent to a database binds them.
//!
//! Invariant: what a role does not see is never read out of a scan; a table without the column is refused, not shown whole.

use std::{fmt, sync::Arc};

use arrow::datatypes::{DataType, Schema};
use datafusion::{
    catalog::TableProvider,
    common::{Column, TableReference},
    datasource::{ViewTable, provider_as_source},
    execution::SendableRecordBatchStream,
    logical_expr::{Expr, LogicalPlanBuilder, lit, utils::disjunction},
    physical_plan::stream::RecordBatchStreamAdapter,
    scalar::ScalarValue,
};
use futures::{StreamExt, stream};
use indexmap::IndexMap;

use super::{
    params::Params,
    parse,
    reads::{Reads, reads},
    session::{Engine, mistake},
    trusted::Trusted,
    typing::TableName,
};
use crate::connector::error::{Error, Result};

/// What a reader sees: the rows of any of their roles.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct RowRules {
    /// Each role on its own; none = nothing is seen.
    pub roles: Vec<RoleRows>,
}

/// What one role sees.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoleRows {
    /// Its name, for messages.
    pub role: String,
    /// By column: the values whose rows it sees. No columns = every row; a column without values = none.
    pub columns: IndexMap<String, Vec<String>>,
    /// Tables that it sees whole, as queries name them.
    pub free: Vec<TableName>,
}

impl std::hash::Hash for RoleRows {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.role.hash(state);
        self.columns.iter().for_each(|column| column.hash(state));
        self.free.hash(state);
    }
}

/// Why no role of a reader may run a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// For each role: the table, and the column that it lacks.
    pub missing: Vec<(String, TableName, String)>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((role, table, column)) = self.missing.first() else {
            return f.write_str("no role may see any of its rows");
        };
        write!(f, "role `{role}` sees rows by `{column}`, and table {table} has no such column")
    }
}

/// What came of asking for rows under rules.
pub enum Guarded {
    /// They are on their way.
    Rows(SendableRecordBatchStream),
    /// No role reaches that far.
    Refused(Refusal),
}

impl RowRules {
    /// Every row of every table.
    pub fn everything() -> Self {
        Self { roles: vec![RoleRows::default()] }
    }

    /// Whether a role sees every row of every table.
    pub fn sees_everything(&self) -> bool {
        self.roles.iter().any(|role| role.columns.is_empty())
    }

    /// The roles that may read all of these tables.
    pub fn over<'a>(&self, tables: &[(&'a TableName, &'a Schema)]) -> Result<Self, Refusal> {
        let mut missing = vec![];
        let mut roles = vec![];
        for role in &self.roles {
            let lacks = tables.iter().find_map(|(name, schema)| Some((*name, role.lacks(name, schema)?)));
            match lacks {
                Some((table, column)) => missing.push((role.role.clone(), table.clone(), column.to_owned())),
                None => roles.push(role.clone()),
            }
        }
        if roles.is_empty() { Err(Refusal { missing }) } else { Ok(Self { roles }) }
    }

    /// The condition on a table's rows; `None` = all of them.
    fn condition(&self, table: &TableName, schema: &Schema, reference: &TableReference) -> Option<Expr> {
        let conditions: Vec<Option<Expr>> =
            self.roles.iter().map(|role| role.condition(table, schema, reference)).collect();
        let conditions: Option<Vec<Expr>> = conditions.into_iter().collect();
        conditions.map(|conditions| disjunction(conditions).unwrap_or_else(|| lit(false)))
    }

    /// The table as the reader sees it.
    fn guard(&self, name: &TableName, table: Arc<dyn TableProvider>) -> Result<Arc<dyn TableProvider>> {
        let reference = TableReference::bare("seen");
        let schema = table.schema();
        let Some(condition) = self.condition(name, &schema, &reference) else { return Ok(table) };
        let columns = schema
            .fields()
            .iter()
            .map(|field| Expr::Column(Column::new(Some(reference.clone()), field.name())));
        let plan = LogicalPlanBuilder::scan(reference.clone(), provider_as_source(table), None)
            .and_then(|scan| scan.filter(condition))
            .and_then(|seen| seen.project(columns.collect::<Vec<_>>()))
            .and_then(LogicalPlanBuilder::build)
            .map_err(Error::from)?;
        Ok(Arc::new(ViewTable::new(plan, None)))
    }
}

impl RoleRows {
    fn lacks(&self, table: &TableName, schema: &Schema) -> Option<&str> {
        if self.free.contains(table) {
            return None;
        }
        self.columns.keys().find(|column| schema.field_with_name(column).is_err()).map(String::as_str)
    }

    fn condition(&self, table: &TableName, schema: &Schema, reference: &TableReference) -> Option<Expr> {
        if self.free.contains(table) || self.columns.is_empty() {
            return None;
        }
        let mut whole: Option<Expr> = None;
        for (name, values) in &self.columns {
            // A column that is not there was refused before; should it ever come here, nothing is seen.
            let kind = schema.field_with_name(name).map(arrow::datatypes::Field::data_type);
            let values = kind.map(|kind| literals(values, kind)).unwrap_or_default();
            let column = Expr::Column(Column::new(Some(reference.clone()), name));
            let part = if values.is_empty() { lit(false) } else { column.in_list(values, false) };
            whole = Some(match whole {
                Some(whole) => whole.and(part),
                None => part,
            });
        }
        whole
    }
}

/// Values as literals of a column's type; a text that is no value of it can equal no cell and is left out.
fn literals(values: &[String], kind: &DataType) -> Vec<Expr> {
    let of = |value: &String| -> Option<Expr> {
        let inner = match kind {
            DataType::Dictionary(_, inner) => inner.as_ref(),
            other => other,
        };
        let value = if inner.is_string() {
            ScalarValue::Utf8(Some(value.clone()))
        } else if inner.is_integer() {
            let number: i128 = value.parse().ok()?;
            // Not `01` for 1: what admins see is what counts.
            (number.to_string() == *value).then(|| ScalarValue::Decimal128(Some(number), 38, 0))?
        } else if matches!(inner, DataType::Boolean) {
            ScalarValue::Boolean(Some(value.parse().ok()?))
        } else {
            return None;
        };
        let value = value.cast_to(inner).ok().filter(|value| !value.is_null())?;
        Some(Expr::Literal(value, None))
    };
    values.iter().filter_map(of).collect()
}

impl Engine {
    /// Runs a query over the rows that a reader sees. Tables are taken for what they were, and asked for again beside it.
    pub async fn query_under(
        &self,
        sql: &str,
        params: &Params,
        now: chrono::DateTime<chrono::Utc>,
        rules: &RowRules,
    ) -> Result<Guarded> {
        let trusted = Trusted::default();
        let asked = self.guarded(sql, params, now, rules, Some(&trusted)).await;
        if trusted.tables().is_empty() {
            return asked;
        }
        if let Ok(Guarded::Rows(rows)) = asked
            && let Some(rows) = self.confirmed(rows, &trusted).await
        {
            return Ok(Guarded::Rows(rows));
        }
        self.guarded(sql, params, now, rules, None).await
    }

    async fn guarded(
        &self,
        sql: &str,
        params: &Params,
        now: chrono::DateTime<chrono::Utc>,
        rules: &RowRules,
        trusted: Option<&Trusted>,
    ) -> Result<Guarded> {
        let parsed = parse::query(sql).map_err(|finding| mistake(sql, &finding))?;
        let names = reads(&parsed.tree, sql);
        let tables = match self.guarded_tables(&names, rules, trusted).await? {
            Ok(tables) => tables,
            Err(refusal) => return Ok(Guarded::Refused(refusal)),
        };
        let state = self.state_at(now);
        let plan = self.plan(&state, sql, parsed, &tables, params)?;
        Ok(Guarded::Rows(self.rows_of(state, plan, sql, &names).await?))
    }

    /// The rows, once their tables are known to be what they were; `None` = they are not, or cannot be asked for: then none was given out.
    async fn confirmed(
        &self,
        rows: SendableRecordBatchStream,
        trusted: &Trusted,
    ) -> Option<SendableRecordBatchStream> {
        let schema = rows.schema();
        let mut rows = rows.fuse();
        let (first, same) = tokio::join!(rows.next(), self.lookup.confirms(trusted));
        if !same.unwrap_or_default() {
            return None;
        }
        let rows = stream::iter(first).chain(rows);
        Some(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
    }

    /// How such a query would be run, for people.
    pub async fn explain_under(
        &self,
        sql: &str,
        params: &Params,
        now: chrono::DateTime<chrono::Utc>,
        rules: &RowRules,
    ) -> Result<String> {
        let parsed = parse::query(sql).map_err(|finding| mistake(sql, &finding))?;
        let names = reads(&parsed.tree, sql);
        let tables = match self.guarded_tables(&names, rules, None).await? {
            Ok(tables) => tables,
            Err(refusal) => return Ok(refusal.to_string()),
        };
        let state = self.state_at(now);
        let plan = self.plan(&state, sql, parsed, &tables, params)?;
        let plan = self.physical_of(&state, plan, sql, &names).await?;
        Ok(datafusion::physical_plan::displayable(plan.as_ref()).indent(false).to_string())
    }

    async fn guarded_tables(
        &self,
        names: &Reads,
        rules: &RowRules,
        trusted: Option<&Trusted>,
    ) -> Result<Result<super::planner::Tables, Refusal>> {
        let mut found: IndexMap<TableName, Arc<dyn TableProvider>> = IndexMap::new();
        for table in &names.tables {
            if !found.contains_key(&table.name) {
                found.insert(table.name.clone(), self.lookup.found(&table.name, &[], trusted).await?);
            }
        }
        let schemas: Vec<_> = found.iter().map(|(name, table)| (name.clone(), table.schema())).collect();
        let schemas: Vec<(&TableName, &Schema)> =
            schemas.iter().map(|(name, schema)| (name, schema.as_ref())).collect();
        let rules = match rules.over(&schemas) {
            Ok(rules) => rules,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let mut tables = super::planner::Tables::new();
        for (name, table) in found {
            let guarded = rules.guard(&name, table)?;
            tables.insert(name, provider_as_source(guarded));
        }
        Ok(Ok(tables))
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::Field;

    use super::*;

    fn role(name: &str, columns: &[(&str, &[&str])], free: &[&[&str]]) -> RoleRows {
        let owned = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
        RoleRows {
            role: name.to_owned(),
            columns: columns.iter().map(|(column, values)| ((*column).to_owned(), owned(values))).collect(),
            free: free.iter().map(|parts| TableName::new(parts.iter().copied())).collect(),
        }
    }

    fn condition(rules: &[RoleRows]) -> Option<String> {
        let schema = Schema::new(vec![
            Field::new("region", DataType::Utf8View, true),
            Field::new("id", DataType::Int32, true),
            Field::new("at", DataType::Date32, true),
        ]);
        let rules = RowRules { roles: rules.to_vec() };
        let condition = rules.condition(&TableName::new(["wh", "t"]), &schema, &TableReference::bare("seen"));
        condition.map(|condition| condition.to_string())
    }

    #[test]
    fn a_role_sees_what_its_values_say() {
        let of = |columns: &[(&str, &[&str])]| condition(&[role("r", columns, &[])]);
        assert_eq!(of(&[]), None);
        assert_eq!(
            of(&[("region", &["mrf1", "x' OR 1=1 --"])]).unwrap(),
            "seen.region IN ([Utf8View(\"mrf1\"), Utf8View(\"x' OR 1=1 --\")])"
        );
        assert_eq!(
            of(&[("region", &["mrf1"]), ("id", &["7", "x", "07", "99999999999"])]).unwrap(),
            "seen.region IN ([Utf8View(\"mrf1\")]) AND seen.id IN ([Int32(7)])"
        );
        let nothing = Some("Boolean(false)".to_owned());
        assert_eq!(
            [of(&[("region", &[])]), of(&[("id", &["x"])]), of(&[("at", &["2026-01-01"])])],
            [nothing.clone(), nothing.clone(), nothing]
        );
    }

    #[test]
    fn several_roles_see_what_any_of_them_sees() {
        let one = role("one", &[("region", &["mrf1"])], &[]);
        let two = role("two", &[("id", &["7"])], &[]);
        assert_eq!(
            condition(&[one.clone(), two.clone()]).unwrap(),
            "seen.region IN ([Utf8View(\"mrf1\")]) OR seen.id IN ([Int32(7)])"
        );
        assert_eq!(condition(&[one.clone(), role("free", &[("region", &[])], &[&["wh", "t"]])]), None);
        assert_eq!(condition(&[one, role("all", &[], &[])]), None);
        assert_eq!(condition(&[]).unwrap(), "Boolean(false)");
    }

    #[test]
    fn a_table_without_the_column_is_refused() {
        let (with, without) = (TableName::new(["wh", "t"]), TableName::new(["wh", "c"]));
        let schema = Schema::new(vec![Field::new("region", DataType::Utf8, true)]);
        let empty = Schema::empty();
        let tables = [(&with, &schema), (&without, &empty)];
        let regional = role("regional", &[("region", &["mrf1"])], &[]);
        let refused = RowRules { roles: vec![regional.clone()] }.over(&tables).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "role `regional` sees rows by `region`, and table wh.c has no such column"
        );
        let free = role("free", &[("region", &["mrf2"])], &[&["wh", "c"]]);
        let kept = RowRules { roles: vec![regional, free.clone()] }.over(&tables).unwrap();
        assert_eq!(kept.roles, [free]);
        assert!(RowRules::default().over(&tables).is_err());
    }
}

//! `mart.NAME` and `pipeline.NAME`: what a mart or pipeline writes, over all its members, as one relation.
//!
//! Members are united by column name; a column that one of them lacks is NULL there. The matrix's names are columns too,
//! unless the table has such a column itself. A table that several members share is read once. A member whose table does
//! not exist yet is empty.

use std::{collections::HashMap, sync::Arc};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::{
    catalog::TableProvider,
    common::{Column, TableReference},
    datasource::{ViewTable, empty::EmptyTable, provider_as_source},
    logical_expr::{
        Expr, LogicalPlan, LogicalPlanBuilder, cast, lit, type_coercion::binary::type_union_resolution,
    },
    scalar::ScalarValue,
};

use crate::connector::error::{Error, ErrorKind, Result};

/// The marts or the pipelines of a project.
pub trait Relations: Send + Sync {
    /// Every name, for hints.
    fn names(&self) -> Vec<String>;

    /// One of them.
    fn get(&self, name: &str) -> Option<Relation>;
}

/// What a mart or pipeline writes.
#[derive(Debug, Clone)]
pub struct Relation {
    /// At least one.
    pub members: Vec<RelationMember>,
}

/// Where one member writes.
#[derive(Debug, Clone)]
pub struct RelationMember {
    /// `(matrix, value)` pairs; empty where the job has no matrix.
    pub member: Vec<(String, String)>,
    /// The connection's name.
    pub connection: String,
    /// The schema; `None` = the connection's default.
    pub schema: Option<String>,
    /// The table.
    pub table: String,
    /// The columns that it will have, where they are known before it exists.
    pub planned: Option<SchemaRef>,
}

/// One part of a relation: the columns of its table, where they are known, and its matrix values.
#[derive(Debug, Clone)]
pub struct Part {
    /// `None` = not known.
    pub columns: Option<SchemaRef>,
    /// Columns that it gets unless it has them.
    pub constants: Vec<(String, String)>,
}

/// The columns of a relation; `None` where no part's columns are known. Fails where two parts have a column of
/// one name and types that do not go together; the message names it.
pub fn united(parts: &[Part]) -> Result<Option<SchemaRef>, String> {
    let known: Vec<&Part> = parts.iter().filter(|part| part.columns.is_some()).collect();
    let mut fields: Vec<Field> = vec![];
    for field in known.iter().flat_map(|part| part_fields(part)) {
        match fields.iter_mut().find(|other| other.name() == field.name()) {
            None => fields.push(field),
            Some(other) => {
                let kind = common_type(other.data_type(), field.data_type()).ok_or_else(|| {
                    let (name, one, two) = (field.name(), other.data_type(), field.data_type());
                    format!("column `{name}` is {one} in one member and {two} in another")
                })?;
                let nullable = other.is_nullable() || field.is_nullable();
                *other = Field::new(field.name(), kind, nullable);
            }
        }
    }
    for field in &mut fields {
        let everywhere =
            known.iter().all(|part| part_fields(part).iter().any(|own| own.name() == field.name()));
        if !everywhere {
            *field = field.clone().with_nullable(true);
        }
    }
    Ok((!known.is_empty()).then(|| Arc::new(Schema::new(fields))))
}

fn part_fields(part: &Part) -> Vec<Field> {
    let Some(columns) = &part.columns else {
        return vec![];
    };
    let own = columns.fields().iter().map(|field| field.as_ref().clone().with_metadata(HashMap::new()));
    let constants = part.constants.iter().filter(|(name, _)| columns.column_with_name(name).is_none());
    own.chain(constants.map(|(name, _)| Field::new(name, DataType::Utf8, false))).collect()
}

/// The type that holds both without changing what a value says; text does not take in numbers.
fn common_type(one: &DataType, two: &DataType) -> Option<DataType> {
    if one == two {
        return Some(one.clone());
    }
    let text = |kind: &DataType| match kind {
        DataType::Dictionary(_, value) => value.is_string(),
        other => other.is_string(),
    };
    type_union_resolution(&[one.clone(), two.clone()]).filter(|_| text(one) == text(two))
}

/// One member's table: opened, or not there yet.
pub(super) struct Opened {
    pub(super) reference: TableReference,
    pub(super) part: Part,
    pub(super) table: Option<Arc<dyn TableProvider>>,
}

/// Unites the members' tables; `name` is for messages.
pub(super) fn unite(name: &str, opened: &[Opened]) -> Result<Arc<dyn TableProvider>> {
    let parts: Vec<Part> = opened.iter().map(|member| member.part.clone()).collect();
    let wrong = |message: String| Error::new(ErrorKind::SchemaChanged, format!("{name}: {message}"));
    let Some(schema) = united(&parts).map_err(wrong)? else {
        let message = format!("{name} was never built, and its columns are not known before");
        return Err(
            Error::new(ErrorKind::NotFound, message).hint(format!("run it first: `vitrina run {name}`"))
        );
    };
    let tables: Vec<&Opened> = opened.iter().filter(|member| member.table.is_some()).collect();
    if tables.is_empty() {
        return Ok(Arc::new(EmptyTable::new(schema)));
    }
    let plan = union(&tables, &schema).map_err(Error::from)?;
    Ok(Arc::new(ViewTable::new(plan, None)))
}

fn union(members: &[&Opened], schema: &SchemaRef) -> datafusion::common::Result<LogicalPlan> {
    let mut whole: Option<LogicalPlanBuilder> = None;
    for member in members {
        let Some(table) = &member.table else { continue };
        let scan =
            LogicalPlanBuilder::scan(member.reference.clone(), provider_as_source(Arc::clone(table)), None)?;
        let columns = schema
            .fields()
            .iter()
            .map(|field| column(member, table, field))
            .collect::<Result<Vec<_>, _>>()?;
        let part = scan.project(columns)?;
        whole = Some(match whole {
            None => part,
            Some(before) => before.union(part.build()?)?,
        });
    }
    whole.map_or_else(|| LogicalPlanBuilder::empty(false).build(), LogicalPlanBuilder::build)
}

/// One column of the whole, as this member has it.
fn column(
    member: &Opened,
    table: &Arc<dyn TableProvider>,
    field: &Field,
) -> datafusion::common::Result<Expr> {
    let name = field.name();
    let constant = member.part.constants.iter().find(|(constant, _)| constant == name);
    let expr = match (table.schema().column_with_name(name), constant) {
        (Some((_, own)), _) => {
            let column = Expr::Column(Column::new(Some(member.reference.clone()), name));
            if own.data_type() == field.data_type() {
                column
            } else {
                cast(column, field.data_type().clone())
            }
        }
        (None, Some((_, value))) if *field.data_type() == DataType::Utf8 => lit(value.clone()),
        (None, Some((_, value))) => cast(lit(value.clone()), field.data_type().clone()),
        (None, None) => Expr::Literal(ScalarValue::try_from(field.data_type())?, None),
    };
    Ok(expr.alias(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(columns: Option<&[(&str, DataType)]>, constants: &[(&str, &str)]) -> Part {
        let schema = |columns: &[(&str, DataType)]| {
            let fields = columns.iter().map(|(name, kind)| Field::new(*name, kind.clone(), false));
            Arc::new(Schema::new(fields.collect::<Vec<_>>()))
        };
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Part { columns: columns.map(schema), constants: constants.iter().map(owned).collect() }
    }

    fn shown(schema: &SchemaRef) -> Vec<String> {
        let null = |field: &Field| if field.is_nullable() { "?" } else { "" };
        schema.fields().iter().map(|f| format!("{} {}{}", f.name(), f.data_type(), null(f))).collect()
    }

    #[test]
    fn members_are_united_by_name() {
        let parts = [
            part(Some(&[("id", DataType::Int32), ("имя", DataType::Utf8)]), &[("region", "mrf1")]),
            part(Some(&[("id", DataType::Int64), ("sum", DataType::Float64)]), &[("region", "mrf2")]),
            part(None, &[("region", "mrf3")]),
        ];
        let schema = united(&parts).unwrap().unwrap();
        assert_eq!(shown(&schema), ["id Int64", "имя Utf8?", "region Utf8", "sum Float64?"]);
        assert!(united(&parts[2..]).unwrap().is_none());
    }

    #[test]
    fn a_matrix_column_of_the_table_wins() {
        let parts = [part(Some(&[("region", DataType::Utf8View)]), &[("region", "mrf1")])];
        assert_eq!(shown(&united(&parts).unwrap().unwrap()), ["region Utf8View"]);
    }

    #[test]
    fn text_and_numbers_do_not_mix() {
        let parts = [part(Some(&[("id", DataType::Int64)]), &[]), part(Some(&[("id", DataType::Utf8)]), &[])];
        let message = united(&parts).unwrap_err();
        assert_eq!(message, "column `id` is Int64 in one member and Utf8 in another");
    }
}

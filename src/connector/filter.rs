//! Filters of the SQL engine in a place's SQL, where both mean exactly the same: what is not translated, the engine filters itself.
//!
//! A filter is a column against literals of its own type, or such filters joined by AND, OR and NOT. LIKE is not among them.

use arrow::datatypes::DataType;
use datafusion::{
    error::{DataFusionError, Result as SqlResult},
    logical_expr::{BinaryExpr, Expr, Operator},
    scalar::ScalarValue,
};

/// A table of a place, as filters see it.
pub(crate) trait Filtered {
    /// What is known of a column.
    type Column;

    /// What a literal is sent as.
    type Value;

    /// A column by its name.
    fn column(&self, name: &str) -> Option<&Self::Column>;

    /// Its name in the place's SQL.
    fn name(&self, column: &Self::Column) -> String;

    /// The type that it is read as, if the place and the engine agree on the equality and the order of its values.
    fn agreed(&self, column: &Self::Column) -> Option<DataType>;

    /// The column where its order counts; `None` = the place has another one.
    fn ordered(&self, column: &Self::Column) -> Option<String> {
        Some(self.name(column))
    }

    /// A column of booleans as a condition.
    fn holds(&self, column: &Self::Column) -> String {
        self.name(column)
    }

    /// A literal of the column's own type, which is not NULL.
    fn value(&self, column: &Self::Column, given: &ScalarValue) -> Option<Self::Value>;

    /// Whether a column is one of some values, none of which is NULL.
    fn listed(&self, name: &str, items: &[String]) -> Option<String> {
        Some(format!("{name} IN ({})", items.join(", ")))
    }
}

/// What stands for values in SQL that is made with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Values {
    /// Themselves: what is sent.
    Literals,
    /// Placeholders: what people are shown.
    Marks,
}

impl Values {
    /// A value, or what stands for it.
    pub(crate) fn spell(self, literal: String) -> String {
        match self {
            Self::Literals => literal,
            Self::Marks => "?".to_owned(),
        }
    }
}

/// The condition, `spell` being asked for each of its values in their order; `None` = the place would answer otherwise.
pub(crate) fn translated<T: Filtered>(
    filter: &Expr,
    table: &T,
    spell: impl FnMut(T::Value) -> String,
) -> Option<String> {
    Translator { table, spell }.condition(filter)
}

/// Whether the place would answer as the engine does.
pub(crate) fn takes<T: Filtered>(filter: &Expr, table: &T) -> bool {
    translated(filter, table, |_| String::new()).is_some()
}

/// What holds of a scan's rows; `None` = there are no filters. They were all translated when the place was asked which it takes.
pub(crate) fn condition<T: Filtered>(
    filters: &[Expr],
    table: &T,
    mut spell: impl FnMut(T::Value) -> String,
) -> SqlResult<Option<String>> {
    let conditions = filters.iter().map(|filter| translated(filter, table, &mut spell));
    let conditions: Option<Vec<String>> = conditions.collect();
    let conditions = conditions
        .ok_or_else(|| DataFusionError::Internal("a filter was pushed that was not accepted".to_owned()))?;
    Ok((!conditions.is_empty()).then(|| conditions.join(" AND ")))
}

struct Translator<'a, T, S> {
    table: &'a T,
    spell: S,
}

impl<'a, T: Filtered, S: FnMut(T::Value) -> String> Translator<'a, T, S> {
    fn condition(&mut self, filter: &Expr) -> Option<String> {
        match filter {
            Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::And | Operator::Or), right }) => {
                Some(format!("({} {op} {})", self.condition(left)?, self.condition(right)?))
            }
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => self.comparison(left, *op, right),
            Expr::Not(inner) => Some(format!("(NOT {})", self.condition(inner)?)),
            Expr::IsNull(inner) => Some(format!("({} IS NULL)", self.table.name(self.any(inner)?))),
            Expr::IsNotNull(inner) => Some(format!("({} IS NOT NULL)", self.table.name(self.any(inner)?))),
            Expr::Between(between) => {
                let (column, kind) = self.column(&between.expr)?;
                let name = self.table.ordered(column)?;
                let (low, high) =
                    (self.value(column, &kind, &between.low)?, self.value(column, &kind, &between.high)?);
                let both = format!("({name} >= {low} AND {name} <= {high})");
                Some(if between.negated { format!("(NOT {both})") } else { both })
            }
            Expr::InList(list) if !list.list.is_empty() => {
                let (column, kind) = self.column(&list.expr)?;
                let items: Option<Vec<String>> =
                    list.list.iter().map(|item| self.value(column, &kind, item)).collect();
                let listed = self.table.listed(&self.table.name(column), &items?)?;
                Some(if list.negated { format!("(NOT ({listed}))") } else { format!("({listed})") })
            }
            Expr::Column(_) => {
                let (column, kind) = self.column(filter)?;
                (kind == DataType::Boolean).then(|| self.table.holds(column))
            }
            _ => None,
        }
    }

    fn comparison(&mut self, left: &Expr, operator: Operator, right: &Expr) -> Option<String> {
        let (found, operator, given) = match (left, right) {
            (Expr::Column(_), _) => (left, operator, right),
            (_, Expr::Column(_)) => (right, operator.swap()?, left),
            _ => return None,
        };
        let (column, kind) = self.column(found)?;
        let name = match operator {
            Operator::Eq | Operator::NotEq => self.table.name(column),
            Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq => self.table.ordered(column)?,
            _ => return None,
        };
        let sign = if operator == Operator::NotEq { "<>".to_owned() } else { operator.to_string() };
        Some(format!("({name} {sign} {})", self.value(column, &kind, given)?))
    }

    fn any(&self, expr: &Expr) -> Option<&'a T::Column> {
        match expr {
            Expr::Column(column) => self.table.column(&column.name),
            _ => None,
        }
    }

    /// A column that may be compared, and its type.
    fn column(&self, expr: &Expr) -> Option<(&'a T::Column, DataType)> {
        let column = self.any(expr)?;
        Some((column, self.table.agreed(column)?))
    }

    fn value(&mut self, column: &T::Column, kind: &DataType, given: &Expr) -> Option<String> {
        let Expr::Literal(given, _) = given else { return None };
        let same = match (given.data_type(), kind) {
            (DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8, DataType::Utf8) => true,
            // An instant is the same in whatever zone it is told.
            (DataType::Timestamp(a, x), DataType::Timestamp(b, y)) => a == *b && x.is_some() == y.is_some(),
            (given, has) => given == *has,
        };
        if !same || given.is_null() {
            return None;
        }
        self.table.value(column, given).map(&mut self.spell)
    }
}

/// Tests of places whose SQL holds values as literals in single quotes.
#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Holds each filter against its condition; what people are shown of it has no value.
    pub(crate) fn assert_translated<T: Filtered<Value = String>>(
        table: &T,
        cases: impl IntoIterator<Item = (Expr, Option<&'static str>)>,
    ) {
        for (filter, expected) in cases {
            let told = |values: Values| translated(&filter, table, |value| values.spell(value));
            assert_eq!(told(Values::Literals).as_deref(), expected, "{filter}");
            let shown = told(Values::Marks);
            assert_eq!(
                (shown.is_some(), takes(&filter, table)),
                (expected.is_some(), expected.is_some()),
                "{filter}"
            );
            assert!(shown.is_none_or(|shown| !shown.contains('\'')), "{filter}");
        }
    }
}

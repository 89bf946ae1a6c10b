//! Expressions as SQL, where the place computes them as the engine does.

use std::{fmt::Write as _, sync::Arc};

use arrow::datatypes::DataType;
use datafusion::{
    common::{DFSchema, ScalarValue},
    logical_expr::{BinaryExpr, Case, Expr, Like, Operator, expr::InList},
};

use super::select::Writer;
use crate::connector::executor::{Agreement, Executor, Term, Truth};

/// Columns that expressions may name, and what they are in the statement.
pub(super) struct Scope<'a> {
    pub(super) schema: &'a DFSchema,
    pub(super) terms: Vec<Term>,
}

impl Scope<'_> {
    /// A column, by its name and whose it is.
    pub(super) fn column(&self, column: &datafusion::common::Column) -> Option<&Term> {
        self.terms.get(self.schema.maybe_index_of_column(column)?)
    }
}

/// Writes expressions of one scope.
pub(super) struct Scalars<'a, 'w> {
    pub(super) writer: &'w mut Writer,
    pub(super) scope: &'a Scope<'a>,
    executor: Arc<dyn Executor>,
}

impl<'a, 'w> Scalars<'a, 'w> {
    pub(super) fn new(writer: &'w mut Writer, scope: &'a Scope<'a>) -> Option<Self> {
        let executor = writer.executor()?;
        Some(Self { writer, scope, executor })
    }

    /// A condition: where it is true.
    pub(super) fn condition(&mut self, expr: &Expr) -> Option<String> {
        let term = self.term(expr)?;
        (term.data_type == DataType::Boolean).then_some(term.sql)
    }

    /// A value.
    pub(super) fn term(&mut self, expr: &Expr) -> Option<Term> {
        match expr {
            Expr::Alias(alias) => self.term(&alias.expr),
            Expr::Column(column) => self.scope.column(column).cloned(),
            Expr::Literal(value, _) => self.literal(value),
            Expr::BinaryExpr(binary) => self.binary(binary),
            Expr::Not(inner) => {
                let inner = self.condition(inner)?;
                self.truth(format!("(NOT {inner})"))
            }
            Expr::IsNull(inner) | Expr::IsUnknown(inner) => self.suffixed(inner, "IS NULL"),
            Expr::IsNotNull(inner) | Expr::IsNotUnknown(inner) => self.suffixed(inner, "IS NOT NULL"),
            Expr::IsTrue(inner) => self.judged(inner, Truth::True),
            Expr::IsNotTrue(inner) => self.judged(inner, Truth::NotTrue),
            Expr::IsFalse(inner) => self.judged(inner, Truth::False),
            Expr::IsNotFalse(inner) => self.judged(inner, Truth::NotFalse),
            Expr::Between(between) => {
                let (low, high) = (Operator::GtEq, Operator::LtEq);
                let low = self.compared(&between.expr, low, &between.low)?;
                let high = self.compared(&between.expr, high, &between.high)?;
                let not = if between.negated { "NOT " } else { "" };
                self.truth(format!("({not}({low} AND {high}))"))
            }
            Expr::InList(list) => self.in_list(list),
            Expr::Like(like) => self.like(like),
            Expr::Case(case) => self.case(case),
            Expr::Cast(cast) => self.cast(&cast.expr, cast.field.data_type()),
            Expr::ScalarFunction(call) if call.func.name() == "coalesce" => self.coalesce(&call.args),
            _ => None,
        }
    }

    fn literal(&mut self, value: &ScalarValue) -> Option<Term> {
        let (sql, data_type) = (self.writer.bind(value)?, value.data_type());
        let agrees = self.executor.dialect().agrees(&data_type);
        Some(Term { sql, data_type, agrees })
    }

    fn truth(&self, sql: String) -> Option<Term> {
        let agrees = self.executor.dialect().agrees(&DataType::Boolean);
        Some(Term { sql, data_type: DataType::Boolean, agrees })
    }

    fn suffixed(&mut self, inner: &Expr, suffix: &str) -> Option<Term> {
        let inner = self.term(inner)?;
        self.truth(format!("({} {suffix})", inner.sql))
    }

    fn judged(&mut self, inner: &Expr, truth: Truth) -> Option<Term> {
        let inner = self.condition(inner)?;
        self.truth(self.executor.dialect().truth(&inner, truth))
    }

    fn binary(&mut self, binary: &BinaryExpr) -> Option<Term> {
        let BinaryExpr { left, op, right } = binary;
        match op {
            Operator::And | Operator::Or => {
                let (left, right) = (self.condition(left)?, self.condition(right)?);
                self.truth(format!("({left} {op} {right})"))
            }
            Operator::Plus | Operator::Minus | Operator::Multiply | Operator::StringConcat => {
                let (left, right) = (self.term(left)?, self.term(right)?);
                let to = arithmetic_type(&left.data_type, *op, &right.data_type)?;
                let dialect = self.executor.dialect();
                let sql = dialect.arithmetic(&left, *op, &right, &to)?;
                let agrees = dialect.agrees(&to).min(left.agrees).min(right.agrees);
                Some(Term { sql, data_type: to, agrees })
            }
            _ => {
                let compared = self.compared(left, *op, right)?;
                self.truth(compared)
            }
        }
    }

    fn compared(&mut self, left: &Expr, op: Operator, right: &Expr) -> Option<String> {
        let (left, right) = (self.term(left)?, self.term(right)?);
        compared(&self.executor, &left, op, &right)
    }

    fn in_list(&mut self, list: &InList) -> Option<Term> {
        let term = self.term(&list.expr)?;
        let mut items = vec![];
        for item in &list.list {
            let Expr::Literal(value, _) = item else { return None };
            if value.is_null() || value.data_type() != term.data_type {
                return None;
            }
            items.push(self.writer.bind(value)?);
        }
        if items.is_empty() || term.agrees < Agreement::Equality {
            return None;
        }
        let listed = self.executor.dialect().listed(&term, &items);
        self.truth(if list.negated { format!("(NOT {listed})") } else { listed })
    }

    fn like(&mut self, like: &Like) -> Option<Term> {
        // A backslash is an escape here and there, but not at the end of a pattern.
        let plain = match &*like.pattern {
            Expr::Literal(value, _) => !value.try_as_str()??.contains('\\'),
            _ => false,
        };
        if !plain || like.case_insensitive || like.escape_char.is_some() {
            return None;
        }
        let (term, pattern) = (self.term(&like.expr)?, self.term(&like.pattern)?);
        let texts = [&term, &pattern].iter().all(|t| t.data_type == DataType::Utf8);
        if !texts || term.agrees < Agreement::Equality {
            return None;
        }
        let sql = self.executor.dialect().like(&term, &pattern)?;
        self.truth(if like.negated { format!("(NOT {sql})") } else { sql })
    }

    fn case(&mut self, case: &Case) -> Option<Term> {
        let mut sql = "(CASE".to_owned();
        let mut results: Vec<Term> = vec![];
        for (when, then) in &case.when_then_expr {
            let when = match &case.expr {
                Some(of) => self.compared(of, Operator::Eq, when)?,
                None => self.condition(when)?,
            };
            let then = self.term(then)?;
            let _ = write!(sql, " WHEN {when} THEN {}", then.sql);
            results.push(then);
        }
        if let Some(otherwise) = &case.else_expr {
            let otherwise = self.term(otherwise)?;
            let _ = write!(sql, " ELSE {}", otherwise.sql);
            results.push(otherwise);
        }
        sql.push_str(" END)");
        united(sql, &results)
    }

    fn coalesce(&mut self, args: &[Expr]) -> Option<Term> {
        let terms: Vec<Term> = args.iter().map(|arg| self.term(arg)).collect::<Option<_>>()?;
        let texts: Vec<&str> = terms.iter().map(|term| term.sql.as_str()).collect();
        match terms.as_slice() {
            [one] => Some(one.clone()),
            _ => united(format!("coalesce({})", texts.join(", ")), &terms),
        }
    }

    fn cast(&mut self, inner: &Expr, to: &DataType) -> Option<Term> {
        let inner = self.term(inner)?;
        if inner.data_type == *to {
            return Some(inner);
        }
        let dialect = self.executor.dialect();
        let sql = dialect.cast(&inner, to)?;
        let agrees = dialect.agrees(to).min(inner.agrees);
        Some(Term { sql, data_type: to.clone(), agrees })
    }
}

/// One of several terms of one type.
fn united(sql: String, terms: &[Term]) -> Option<Term> {
    let first = terms.first()?;
    let same = terms.iter().all(|term| term.data_type == first.data_type);
    let agrees = terms.iter().map(|term| term.agrees).min().filter(|agrees| *agrees > Agreement::Nothing)?;
    same.then(|| Term { sql, data_type: first.data_type.clone(), agrees })
}

/// A comparison of two values of one type.
pub(super) fn compared(
    executor: &Arc<dyn Executor>,
    left: &Term,
    op: Operator,
    right: &Term,
) -> Option<String> {
    let (needed, sign) = match op {
        Operator::Eq => (Agreement::Equality, "="),
        Operator::NotEq => (Agreement::Equality, "<>"),
        Operator::IsDistinctFrom | Operator::IsNotDistinctFrom => (Agreement::Equality, ""),
        Operator::Lt => (Agreement::Order, "<"),
        Operator::LtEq => (Agreement::Order, "<="),
        Operator::Gt => (Agreement::Order, ">"),
        Operator::GtEq => (Agreement::Order, ">="),
        _ => return None,
    };
    if left.data_type != right.data_type || left.agrees.min(right.agrees) < needed {
        return None;
    }
    match op {
        Operator::IsNotDistinctFrom => return Some(executor.dialect().same(&left.sql, &right.sql)),
        Operator::IsDistinctFrom => {
            return Some(format!("(NOT {})", executor.dialect().same(&left.sql, &right.sql)));
        }
        _ => {}
    }
    let spelled = |term: &Term| match needed {
        Agreement::Order => executor.dialect().ordered(term),
        _ => term.sql.clone(),
    };
    Some(format!("({} {sign} {})", spelled(left), spelled(right)))
}

/// The type of a result, as the engine has it.
fn arithmetic_type(left: &DataType, op: Operator, right: &DataType) -> Option<DataType> {
    let types = datafusion::logical_expr::type_coercion::binary::BinaryTypeCoercer::new(left, &op, right);
    types.get_result_type().ok()
}

//! Conditions over made-up columns: a small part of SQL, read by DataFusion's own parser.

use std::ops::Range;

use arrow::{
    array::{ArrayRef, BooleanArray, Datum, Float64Array, Int64Array, StringArray},
    compute::{and_kleene, cast, is_null, kernels::cmp, not, or_kleene},
    datatypes::DataType,
    error::ArrowError,
};
use datafusion::sql::sqlparser::{
    ast::{BinaryOperator, Expr, Ident, Spanned, UnaryOperator, Value},
    dialect::GenericDialect,
    parser::Parser,
    tokenizer::{Location, Span, Token},
};

/// A condition as a tree of comparisons.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Condition {
    /// Both hold.
    And(Box<Condition>, Box<Condition>),
    /// One of them holds.
    Or(Box<Condition>, Box<Condition>),
    /// It does not hold.
    Not(Box<Condition>),
    /// A column compared with literals.
    Test {
        /// The column.
        column: String,
        /// Where its name stands, in bytes of the text.
        at: Range<usize>,
        /// What is asked of it.
        test: Test,
    },
}

/// What is asked of a column.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Test {
    /// `column < 5`.
    Compare(Operator, Literal),
    /// `column IN ('a', 'b')`.
    In(Vec<Literal>),
    /// `column IS NULL`.
    Null,
}

/// A comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Eq,
    NotEq,
    Less,
    LessEq,
    Greater,
    GreaterEq,
}

/// A literal of a condition.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Literal {
    Int(i64),
    Number(f64),
    Text(String),
    Bool(bool),
}

/// What is wrong with a condition, and where in its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Flaw {
    /// Bytes of the text.
    pub(super) at: Range<usize>,
    /// Lower case.
    pub(super) message: String,
}

const EXPECTED: &str =
    "expected columns compared with literals (=, <>, <, <=, >, >=, IN, IS NULL), joined by AND, OR, NOT";

impl Condition {
    /// Reads a condition.
    pub(super) fn parse(text: &str) -> Result<Self, Flaw> {
        let whole = |message: String| Flaw { at: 0..text.len(), message };
        let mut parser = Parser::new(&GenericDialect {})
            .try_with_sql(text)
            .map_err(|error| whole(format!("the condition does not parse: {error}")))?;
        let expression =
            parser.parse_expr().map_err(|error| whole(format!("the condition does not parse: {error}")))?;
        let next = parser.peek_token();
        if next.token != Token::EOF {
            let at = bytes(text, next.span);
            return Err(Flaw { message: format!("the condition ends before `{}`", next.token), at });
        }
        Reader { text }.condition(&expression)
    }

    /// Visits every comparison: column, place of its name, test.
    pub(super) fn each_test(&self, visit: &mut impl FnMut(&str, &Range<usize>, &Test)) {
        match self {
            Self::And(left, right) | Self::Or(left, right) => {
                left.each_test(visit);
                right.each_test(visit);
            }
            Self::Not(inner) => inner.each_test(visit),
            Self::Test { column, at, test } => visit(column, at, test),
        }
    }

    /// Whether each row meets it; NULL where SQL says so. `column` gives arrays by name.
    pub(super) fn evaluate(&self, column: &dyn Fn(&str) -> ArrayRef) -> Result<BooleanArray, ArrowError> {
        match self {
            Self::And(left, right) => and_kleene(&left.evaluate(column)?, &right.evaluate(column)?),
            Self::Or(left, right) => or_kleene(&left.evaluate(column)?, &right.evaluate(column)?),
            Self::Not(inner) => not(&inner.evaluate(column)?),
            Self::Test { column: name, test, .. } => test.evaluate(&column(name)),
        }
    }
}

impl Test {
    /// The literals in it.
    pub(super) fn literals(&self) -> &[Literal] {
        match self {
            Self::Compare(_, literal) => std::slice::from_ref(literal),
            Self::In(literals) => literals,
            Self::Null => &[],
        }
    }

    fn evaluate(&self, array: &ArrayRef) -> Result<BooleanArray, ArrowError> {
        match self {
            Self::Compare(operator, literal) => literal.compare(array, *operator),
            Self::In(literals) => {
                let none = BooleanArray::from(vec![false; array.len()]);
                literals
                    .iter()
                    .try_fold(none, |met, literal| or_kleene(&met, &literal.compare(array, Operator::Eq)?))
            }
            Self::Null => is_null(array),
        }
    }
}

impl Literal {
    /// What it is, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Int(_) | Self::Number(_) => "a number",
            Self::Text(_) => "text",
            Self::Bool(_) => "true or false",
        }
    }

    /// Whether it can be compared with a column of this type.
    pub(super) fn fits(&self, data_type: &DataType) -> bool {
        match self {
            Self::Int(_) | Self::Number(_) => data_type.is_numeric(),
            Self::Text(_) => *data_type == DataType::Utf8,
            Self::Bool(_) => *data_type == DataType::Boolean,
        }
    }

    fn compare(&self, array: &ArrayRef, operator: Operator) -> Result<BooleanArray, ArrowError> {
        use arrow::array::Scalar;
        match self {
            Self::Int(value) if *array.data_type() == DataType::Int64 => {
                operator.apply(array, &Scalar::new(Int64Array::from(vec![*value])))
            }
            Self::Int(value) => Self::Number(*value as f64).compare(array, operator),
            Self::Number(value) => {
                let numbers = cast(array, &DataType::Float64)?;
                operator.apply(&numbers, &Scalar::new(Float64Array::from(vec![*value])))
            }
            Self::Text(value) => operator.apply(array, &Scalar::new(StringArray::from(vec![value.as_str()]))),
            Self::Bool(value) => operator.apply(array, &Scalar::new(BooleanArray::from(vec![*value]))),
        }
    }
}

impl Operator {
    fn apply(self, left: &dyn Datum, right: &dyn Datum) -> Result<BooleanArray, ArrowError> {
        match self {
            Self::Eq => cmp::eq(left, right),
            Self::NotEq => cmp::neq(left, right),
            Self::Less => cmp::lt(left, right),
            Self::LessEq => cmp::lt_eq(left, right),
            Self::Greater => cmp::gt(left, right),
            Self::GreaterEq => cmp::gt_eq(left, right),
        }
    }

    /// The same comparison with its sides changed.
    fn mirrored(self) -> Self {
        match self {
            Self::Less => Self::Greater,
            Self::LessEq => Self::GreaterEq,
            Self::Greater => Self::Less,
            Self::GreaterEq => Self::LessEq,
            same => same,
        }
    }
}

/// Turns the parser's tree into ours, with places.
struct Reader<'a> {
    text: &'a str,
}

impl Reader<'_> {
    fn condition(&self, expression: &Expr) -> Result<Condition, Flaw> {
        match expression {
            Expr::Nested(inner) => self.condition(inner),
            Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
                Ok(Condition::And(Box::new(self.condition(left)?), Box::new(self.condition(right)?)))
            }
            Expr::BinaryOp { left, op: BinaryOperator::Or, right } => {
                Ok(Condition::Or(Box::new(self.condition(left)?), Box::new(self.condition(right)?)))
            }
            Expr::UnaryOp { op: UnaryOperator::Not, expr } => {
                Ok(Condition::Not(Box::new(self.condition(expr)?)))
            }
            Expr::BinaryOp { left, op, right } => {
                let operator = operator(op).ok_or_else(|| self.flaw(expression))?;
                match (left.as_ref(), right.as_ref()) {
                    (Expr::Identifier(name), _) => {
                        Ok(self.test(name, Test::Compare(operator, self.literal(right)?)))
                    }
                    (_, Expr::Identifier(name)) => {
                        Ok(self.test(name, Test::Compare(operator.mirrored(), self.literal(left)?)))
                    }
                    _ => Err(self.flaw(left)),
                }
            }
            Expr::InList { expr, list, negated } => {
                let literals = list.iter().map(|item| self.literal(item)).collect::<Result<_, _>>()?;
                self.negatable(expr, Test::In(literals), *negated)
            }
            Expr::IsNull(expr) => self.negatable(expr, Test::Null, false),
            Expr::IsNotNull(expr) => self.negatable(expr, Test::Null, true),
            other => Err(self.flaw(other)),
        }
    }

    fn negatable(&self, column: &Expr, test: Test, negated: bool) -> Result<Condition, Flaw> {
        let Expr::Identifier(name) = column else {
            return Err(self.flaw(column));
        };
        let test = self.test(name, test);
        Ok(if negated { Condition::Not(Box::new(test)) } else { test })
    }

    fn test(&self, name: &Ident, test: Test) -> Condition {
        Condition::Test { column: name.value.clone(), at: bytes(self.text, name.span), test }
    }

    fn literal(&self, expression: &Expr) -> Result<Literal, Flaw> {
        let flaw = || self.flaw(expression);
        match expression {
            Expr::Nested(inner) => self.literal(inner),
            Expr::UnaryOp { op: UnaryOperator::Minus, expr } => match self.literal(expr)? {
                Literal::Int(value) => Ok(Literal::Int(-value)),
                Literal::Number(value) => Ok(Literal::Number(-value)),
                _ => Err(flaw()),
            },
            Expr::Value(value) => match &value.value {
                Value::Number(digits, _) => match digits.parse() {
                    Ok(whole) => Ok(Literal::Int(whole)),
                    Err(_) => digits.parse().map(Literal::Number).map_err(|_| flaw()),
                },
                Value::SingleQuotedString(text) => Ok(Literal::Text(text.clone())),
                Value::Boolean(value) => Ok(Literal::Bool(*value)),
                _ => Err(flaw()),
            },
            _ => Err(flaw()),
        }
    }

    fn flaw(&self, expression: &Expr) -> Flaw {
        let span = bytes(self.text, expression.span());
        let at = if span.is_empty() { 0..self.text.len() } else { self.closed(span) };
        Flaw { at, message: format!("`{expression}` is more than a generator knows: {EXPECTED}") }
    }

    /// The parser's span of a call ends before its closing parenthesis: with it.
    fn closed(&self, mut at: Range<usize>) -> Range<usize> {
        let open = |text: &str| text.matches('(').count() > text.matches(')').count();
        while open(&self.text[at.clone()])
            && let Some(next) = self.text[at.end..].find(')')
        {
            at.end += next + 1;
        }
        at
    }
}

fn operator(op: &BinaryOperator) -> Option<Operator> {
    Some(match op {
        BinaryOperator::Eq => Operator::Eq,
        BinaryOperator::NotEq => Operator::NotEq,
        BinaryOperator::Lt => Operator::Less,
        BinaryOperator::LtEq => Operator::LessEq,
        BinaryOperator::Gt => Operator::Greater,
        BinaryOperator::GtEq => Operator::GreaterEq,
        _ => return None,
    })
}

/// The parser's lines and columns (characters, from 1) as bytes of the text.
fn bytes(text: &str, span: Span) -> Range<usize> {
    let byte = |place: Location| {
        let line_start: usize =
            text.split_inclusive('\n').take(place.line.saturating_sub(1) as usize).map(str::len).sum();
        let line = &text[line_start..];
        let column = place.column.saturating_sub(1) as usize;
        line_start + line.char_indices().nth(column).map_or(line.len(), |(at, _)| at)
    };
    byte(span.start)..byte(span.end)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn met(text: &str) -> Vec<Option<bool>> {
        let action: ArrayRef = Arc::new(StringArray::from(vec![Some("lead"), Some("call"), None]));
        let amount: ArrayRef = Arc::new(Int64Array::from(vec![Some(5), Some(-2), Some(7)]));
        let column = |name: &str| if name == "Действие" { action.clone() } else { amount.clone() };
        Condition::parse(text).unwrap().evaluate(&column).unwrap().iter().collect()
    }

    #[test]
    fn conditions_hold_as_sql_says() {
        let (yes, no) = (Some(true), Some(false));
        assert_eq!(met("Действие = 'lead'"), [yes, no, None]);
        assert_eq!(met("'lead' <> Действие OR amount > 6"), [no, yes, yes]);
        assert_eq!(met("\"Действие\" IN ('call', 'meeting')"), [no, yes, None]);
        assert_eq!(met("Действие NOT IN ('call') AND amount >= -2.5"), [yes, no, None]);
        assert_eq!(met("NOT (amount < 0) AND Действие IS NOT NULL"), [yes, no, no]);
        assert_eq!(met("Действие IS NULL"), [no, no, yes]);
        assert_eq!(met("4 < amount"), [yes, no, yes]);
    }

    #[test]
    fn flaws_have_their_place() {
        let flaw = |text: &str| {
            let flaw = Condition::parse(text).unwrap_err();
            text[flaw.at].to_owned()
        };
        assert_eq!(flaw("Действие = 'a' AND lower(x) = 'b'"), "lower(x)");
        assert_eq!(flaw("a = 'x' b"), "b");
        assert_eq!(flaw("a = "), "a = ");
        assert_eq!(flaw("a LIKE 'x%'"), "a LIKE 'x%'");
        assert!(Condition::parse("a = 'x").is_err());
    }
}

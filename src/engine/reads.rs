//! What parsed SQL names: tables (not its own WITH names) and functions, each with its place.

use std::ops::{ControlFlow, Range};

use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArguments, ObjectName, Query, Spanned, TableFactor, Visit, Visitor,
};

use super::{
    parse::Places,
    typing::{TableName, TableUse},
};

/// Tables and functions that a tree names.
#[derive(Debug, Default)]
pub(super) struct Reads {
    /// Tables, in the order they stand.
    pub(super) tables: Vec<TableUse>,
    /// Functions, lower case, in the order they stand.
    pub(super) functions: Vec<(String, Range<usize>)>,
}

/// Walks a query or an expression.
pub(super) fn reads(tree: &impl Visit, sql: &str) -> Reads {
    let mut walk = Walk { places: Places::new(sql), found: Reads::default(), scopes: vec![], calls: vec![] };
    let ControlFlow::Continue(()) = tree.visit(&mut walk);
    let mut found = walk.found;
    found.tables.sort_by_key(|table| table.span.start);
    found.tables.dedup();
    found.functions.sort_by_key(|(_, span)| span.start);
    found.functions.dedup();
    found
}

struct Walk<'a> {
    places: Places<'a>,
    found: Reads,
    /// WITH names of the queries around.
    scopes: Vec<String>,
    /// Table functions: names that are no tables.
    calls: Vec<ObjectName>,
}

impl Visitor for Walk<'_> {
    type Break = std::convert::Infallible;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Self::Break> {
        let Some(with) = &query.with else {
            return ControlFlow::Continue(());
        };
        for table in &with.cte_tables {
            // A WITH name may hide a table that its own query reads: visit it before the name counts.
            if !with.recursive {
                table.visit(self)?;
            }
            self.scopes.push(table.alias.name.value.clone());
        }
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<Self::Break> {
        let names = query.with.as_ref().map_or(0, |with| with.cte_tables.len());
        self.scopes.truncate(self.scopes.len() - names);
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Self::Break> {
        if let TableFactor::Table { name, args: Some(_), .. } = factor {
            self.calls.push(name.clone());
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, name: &ObjectName) -> ControlFlow<Self::Break> {
        let parts: Vec<String> =
            name.0.iter().filter_map(|part| part.as_ident()).map(|part| part.value.clone()).collect();
        let own = matches!(parts.as_slice(), [one] if self.scopes.contains(one));
        let call = self.calls.iter().any(|call| call.span() == name.span());
        if !own && !call {
            let span = self.places.range(name.span()).unwrap_or(0..0);
            self.found.tables.push(TableUse { name: TableName { parts }, span });
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Self::Break> {
        if let Expr::Function(function) = expr
            && !matches!(function.args, FunctionArguments::None)
        {
            let span = self.places.range(function.name.span()).unwrap_or(0..0);
            self.found.functions.push((function.name.to_string().to_lowercase(), span));
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::parse;

    fn tables(sql: &str) -> Vec<String> {
        let parsed = parse::query(sql).unwrap();
        let found = reads(&parsed.tree, sql).tables;
        for table in &found {
            assert!(sql[table.span.clone()].contains(table.name.parts.last().unwrap()));
        }
        found.iter().map(|table| table.name.to_string()).collect()
    }

    #[test]
    fn tables_in_order_without_with_names() {
        let sql = "WITH source AS (SELECT * FROM source), x AS (SELECT 1)\nSELECT * FROM stream.\"crm.actions.mrf1\" s \
                   JOIN source ON true JOIN \"витрина\".\"Таблица 1\" ON a IN (SELECT b FROM mart.y) JOIN x ON true, generate_series(1, 3)";
        assert_eq!(tables(sql), ["source", "stream.\"crm.actions.mrf1\"", "витрина.\"Таблица 1\"", "mart.y"]);
    }

    #[test]
    fn scopes_end() {
        assert_eq!(tables("SELECT * FROM (WITH a AS (SELECT 1) SELECT * FROM a) JOIN a ON true"), ["a"]);
    }

    #[test]
    fn functions_have_places() {
        let sql = "SELECT Count(*), current_date FROM t WHERE lower(x) = 'a'";
        let found = reads(&parse::query(sql).unwrap().tree, sql);
        let names: Vec<_> =
            found.functions.iter().map(|(name, span)| (name.as_str(), &sql[span.clone()])).collect();
        assert_eq!(names, [("count", "Count"), ("lower", "lower")]);
    }
}

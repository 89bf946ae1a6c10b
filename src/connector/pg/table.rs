//! What a table is like: its columns with their types, as the server's catalogs have them.

use arrow::datatypes::{Field, Schema, SchemaRef};

use super::{
    client::{Row, Session},
    name::{is_reserved, literal},
    types::Kind,
};

/// A table or view as it is now.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub(crate) schema: String,
    pub(crate) name: String,
    pub(crate) columns: Vec<TableColumn>,
    /// The columns that say where a row lies: views have none.
    pub(crate) row_place: Option<&'static str>,
    /// Whether COPY puts rows into it, and does there what an INSERT would.
    pub(crate) takes_copy: bool,
    /// Whether its database keeps texts as UTF-8: in other encodings the order of bytes is another one.
    pub(crate) utf8: bool,
    pub(crate) oid: u32,
}

/// One column.
#[derive(Debug, Clone)]
pub(crate) struct TableColumn {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// Its type as the server spells it.
    pub(crate) declared: String,
    pub(crate) not_null: bool,
    /// Whether the server fills it by itself when rows do not.
    pub(crate) fills_itself: bool,
    /// Computed by the server: cannot be written.
    pub(crate) generated: bool,
    /// Whether it is in the primary key.
    pub(crate) primary: bool,
    /// Whether texts are filled up with spaces, which are equal without them.
    pub(crate) padded: bool,
    /// Whether texts sort by their bytes.
    pub(crate) bytewise: bool,
    /// Whether equal texts are equal bytes.
    pub(crate) deterministic: bool,
}

impl TableColumn {
    /// How it is selected: what has no binary form of ours, as text.
    pub(crate) fn selected(&self) -> String {
        let name = super::name::quote(&self.name);
        if self.kind == Kind::Other { format!("{name}::text") } else { name }
    }
}

impl Table {
    /// The table of this very name; `None` = there is none.
    pub(crate) async fn find(
        session: &Session,
        schema: &str,
        name: &str,
    ) -> Result<Option<Self>, tokio_postgres::Error> {
        let sql = format!(
            "SELECT c.oid, c.relkind, coalesce(row_to_json(c) ->> 'relstorage', ''), \
             c.relhasrules OR coalesce(row_to_json(c) ->> 'relrowsecurity', '') = 'true', \
             getdatabaseencoding() = 'UTF8' FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
             WHERE n.nspname = {} AND c.relname = {} AND c.relkind IN ('r', 'p', 'v', 'm', 'f')",
            literal(schema),
            literal(name)
        );
        let Some(found) = session.row(&sql).await? else {
            return Ok(None);
        };
        let oid = text(&found, 0).parse().unwrap_or_default();
        let place = if session.product.greenplum.is_some() { "gp_segment_id, ctid" } else { "ctid" };
        // Greenplum's external tables are no place of rows.
        let external = text(&found, 2) == "x";
        let row_place = (matches!(text(&found, 1), "r" | "m") && !external).then_some(place);
        // Rules and policies are for INSERT.
        let takes_copy = matches!(text(&found, 1), "r" | "p") && !external && !flag(&found, 3);
        let columns = columns(session, oid).await?;
        let (schema, name, utf8) = (schema.to_owned(), name.to_owned(), flag(&found, 4));
        Ok(Some(Self { schema, name, columns, row_place, takes_copy, utf8, oid }))
    }

    /// Names of all tables and views of users in a schema, in order.
    pub(crate) async fn names(session: &Session, schema: &str) -> Result<Vec<String>, tokio_postgres::Error> {
        let sql = format!(
            "SELECT c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
             WHERE n.nspname = {} AND c.relkind IN ('r', 'p', 'v', 'm', 'f') ORDER BY c.relname COLLATE \"C\"",
            literal(schema)
        );
        let names = session.rows(&sql).await?.into_iter().filter_map(|row| row.into_iter().next().flatten());
        Ok(names.filter(|name| !is_reserved(name)).collect())
    }

    /// Names of all schemas that may be used.
    pub(crate) async fn schemas(session: &Session) -> Result<Vec<String>, tokio_postgres::Error> {
        let sql = "SELECT nspname FROM pg_catalog.pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' \
                   AND pg_catalog.has_schema_privilege(oid, 'USAGE') ORDER BY nspname COLLATE \"C\"";
        Ok(session.rows(sql).await?.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect())
    }

    /// A column by its name.
    pub(crate) fn column(&self, name: &str) -> Option<&TableColumn> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// Its columns as Arrow fields.
    pub(crate) fn arrow(&self) -> SchemaRef {
        let field = |column: &TableColumn| Field::new(&column.name, column.kind.arrow(), !column.not_null);
        Schema::new(self.columns.iter().map(field).collect::<Vec<_>>()).into()
    }

    /// Its name in SQL.
    pub(crate) fn sql(&self) -> String {
        qualified(&self.schema, &self.name)
    }
}

/// A table's name in SQL.
pub(crate) fn qualified(schema: &str, table: &str) -> String {
    format!("{}.{}", super::name::quote(schema), super::name::quote(table))
}

async fn columns(session: &Session, oid: u32) -> Result<Vec<TableColumn>, tokio_postgres::Error> {
    // A domain is what it is made over. What older servers' catalogs have no column for is NULL in the row's JSON.
    let sql = format!(
        "SELECT a.attname, CASE WHEN n.nspname = 'pg_catalog' AND b.typtype = 'b' THEN b.typname ELSE '' END, \
         CASE WHEN t.typtype = 'd' THEN t.typtypmod ELSE a.atttypmod END, pg_catalog.format_type(a.atttypid, a.atttypmod), \
         a.attnotnull, a.atthasdef OR coalesce(row_to_json(a) ->> 'attidentity', '') <> '', \
         coalesce(row_to_json(a) ->> 'attgenerated', '') <> '' OR coalesce(row_to_json(a) ->> 'attidentity', '') = 'a', \
         EXISTS (SELECT 1 FROM pg_catalog.pg_index i WHERE i.indrelid = a.attrelid AND i.indisprimary AND a.attnum = ANY (i.indkey)), \
         coalesce(c.collname IN ('C', 'POSIX') OR (c.collname = 'default' AND \
           (SELECT d.datcollate IN ('C', 'POSIX') FROM pg_catalog.pg_database d WHERE d.datname = current_database())), true), \
         coalesce((row_to_json(c) ->> 'collisdeterministic')::boolean, true) \
         FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid \
         JOIN pg_catalog.pg_type b ON b.oid = CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END \
         JOIN pg_catalog.pg_namespace n ON n.oid = b.typnamespace \
         LEFT JOIN pg_catalog.pg_collation c ON c.oid = a.attcollation \
         WHERE a.attrelid = {oid} AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"
    );
    let column = |row: Row| TableColumn {
        name: text(&row, 0).to_owned(),
        kind: Kind::of(text(&row, 1), text(&row, 2).parse().unwrap_or(-1)),
        padded: text(&row, 1) == "bpchar",
        declared: text(&row, 3).to_owned(),
        not_null: flag(&row, 4),
        fills_itself: flag(&row, 5),
        generated: flag(&row, 6),
        primary: flag(&row, 7),
        bytewise: flag(&row, 8),
        deterministic: flag(&row, 9),
    };
    Ok(session.rows(&sql).await?.into_iter().map(column).collect())
}

fn text(row: &Row, at: usize) -> &str {
    row.get(at).and_then(Option::as_deref).unwrap_or_default()
}

fn flag(row: &Row, at: usize) -> bool {
    text(row, at) == "t"
}

//! What a table is like: its columns with their types, its row ids, its collations.

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use rusqlite::{Connection, OptionalExtension, Result};

use super::{
    name::{has_table, quote},
    types::{Affinity, suggested},
};
use crate::model::column::ColumnType;

/// The side table that keeps Arrow types of the tables that we made.
pub(super) const COLUMNS: &str = "_vitrina_columns";

/// A table or view as it is now.
#[derive(Debug, Clone)]
pub(super) struct Table {
    /// Its name as it was declared.
    pub(super) name: String,
    /// Its columns, in order.
    pub(super) columns: Vec<TableColumn>,
    /// The name under which its row ids can be had; views and tables without row ids have none.
    pub(super) rowid: Option<String>,
    /// The column that is the row id.
    pub(super) key: Option<String>,
    /// Whether row ids are never given twice.
    pub(super) autoincrement: bool,
    /// Whether text is kept as UTF-8, so that BINARY order is the order of bytes.
    pub(super) utf8: bool,
}

/// One column.
#[derive(Debug, Clone)]
pub(super) struct TableColumn {
    pub(super) name: String,
    pub(super) affinity: Affinity,
    pub(super) data_type: DataType,
    /// Whether `data_type` comes from our side table.
    pub(super) ours: bool,
    pub(super) not_null: bool,
    /// Its place in the primary key, from 1; 0 = none.
    pub(super) primary: u32,
    /// Whether SQLite fills it by itself when rows do not.
    pub(super) fills_itself: bool,
    /// Computed by SQLite: cannot be written.
    pub(super) generated: bool,
    pub(super) collation: String,
}

impl Table {
    /// The table of this name, ignoring case as SQLite does; `None` = there is none.
    pub(super) fn find(connection: &Connection, name: &str) -> Result<Option<Self>> {
        let found = connection
            .prepare_cached(
                "SELECT name, type, wr FROM pragma_table_list WHERE schema = 'main' AND name = ?1 COLLATE NOCASE",
            )?
            .query_row([name], |row| Ok((row.get(0)?, row.get::<_, String>(1)?, row.get::<_, bool>(2)?)))
            .optional()?;
        let Some((name, sort, without_rowid)) = found else {
            return Ok(None);
        };
        let mut table = Self {
            name,
            columns: vec![],
            rowid: None,
            key: None,
            autoincrement: false,
            utf8: connection.pragma_query_value(None, "encoding", |row| row.get::<_, String>(0))? == "UTF-8",
        };
        table.columns = columns(connection, &table.name, sort == "view")?;
        if sort == "table" && !without_rowid {
            table.find_row_ids(connection)?;
        }
        Ok(Some(table))
    }

    /// Names of all tables and views of users, in order.
    pub(super) fn names(connection: &Connection) -> Result<Vec<String>> {
        let sql = "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') ORDER BY name";
        let mut statement = connection.prepare_cached(sql)?;
        let names = statement.query_map([], |row| row.get(0))?.collect::<Result<Vec<String>>>()?;
        Ok(names.into_iter().filter(|name| !super::name::is_reserved(name)).collect())
    }

    /// A column by its exact name: names keep their case everywhere, though SQLite ignores it.
    pub(super) fn column(&self, name: &str) -> Option<&TableColumn> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The columns that find a row again: the row id, or the primary key; none in views.
    pub(super) fn row_key(&self) -> Vec<String> {
        match &self.rowid {
            Some(rowid) => vec![rowid.clone()],
            None => self.primary_key(),
        }
    }

    /// The columns that lead an index in the order of bytes, and the row id; `None` = it is a view.
    pub(super) fn indexed(&self, connection: &Connection) -> Result<Option<Vec<String>>> {
        let view = "SELECT type = 'view' FROM pragma_table_list WHERE schema = 'main' AND name = ?1";
        if connection.query_row(view, [&self.name], |row| row.get(0))? {
            return Ok(None);
        }
        let mut statement = connection.prepare_cached(
            "SELECT DISTINCT info.name FROM pragma_index_list(?1) AS list, pragma_index_xinfo(list.name) AS info \
             WHERE list.partial = 0 AND info.seqno = 0 AND info.coll = 'BINARY' AND info.name IS NOT NULL",
        )?;
        let found = statement.query_map([&self.name], |row| row.get(0))?.collect::<Result<Vec<String>>>()?;
        let mut columns: Vec<String> = found.into_iter().chain(self.key.clone()).collect();
        columns.sort();
        columns.dedup();
        Ok(Some(columns))
    }

    /// The columns of its primary key, in the table's order.
    pub(super) fn primary_key(&self) -> Vec<String> {
        self.columns.iter().filter(|c| c.primary > 0).map(|c| c.name.clone()).collect()
    }

    /// Its columns as Arrow fields, without those of the given name.
    pub(super) fn schema_without(&self, hidden: Option<&str>) -> SchemaRef {
        let shown = |column: &&TableColumn| hidden.is_none_or(|hidden| column.name != hidden);
        let field =
            |column: &TableColumn| Field::new(&column.name, column.data_type.clone(), !column.not_null);
        Schema::new(self.columns.iter().filter(shown).map(field).collect::<Vec<_>>()).into()
    }

    fn find_row_ids(&mut self, connection: &Connection) -> Result<()> {
        let taken = |name: &str| self.columns.iter().any(|column| column.name.eq_ignore_ascii_case(name));
        let free = |name: &&&str| !taken(name);
        self.rowid = ["rowid", "_rowid_", "oid"].iter().find(free).map(|name| (*name).to_owned());
        // The row id has another name where exactly that column is the primary key and declared INTEGER, no more and no less;
        // SQLite itself knows best: no index is made for it.
        let [primary] = self.columns.iter().filter(|column| column.primary > 0).collect::<Vec<_>>()[..]
        else {
            return Ok(());
        };
        let sql = "SELECT count(*) FROM pragma_index_list(?1) WHERE origin = 'pk'";
        let indexes: i64 = connection.prepare_cached(sql)?.query_row([&self.name], |row| row.get(0))?;
        if indexes == 0 {
            let name = primary.name.clone();
            let (.., autoincrement) = connection.column_metadata(None, self.name.as_str(), name.as_str())?;
            self.autoincrement = autoincrement;
            self.rowid = Some(name.clone());
            self.columns.iter_mut().filter(|column| column.name == name).for_each(|key| {
                key.not_null = true;
                key.fills_itself = true;
            });
            self.key = Some(name);
        }
        Ok(())
    }
}

fn columns(connection: &Connection, table: &str, view: bool) -> Result<Vec<TableColumn>> {
    let sql = "SELECT name, type, \"notnull\", dflt_value IS NOT NULL, pk, hidden FROM pragma_table_xinfo(?1) WHERE hidden <> 1 ORDER BY cid";
    let mut statement = connection.prepare_cached(sql)?;
    let types = our_types(connection, table)?;
    let mut columns = statement
        .query_map([table], |row| {
            let (name, declared): (String, String) = (row.get(0)?, row.get(1)?);
            let (primary, hidden): (u32, i64) = (row.get(4)?, row.get(5)?);
            let ours = types.iter().find(|(column, _)| *column == name).map(|(_, kind)| kind.clone());
            Ok(TableColumn {
                affinity: Affinity::of(&declared),
                ours: ours.is_some(),
                data_type: ours.unwrap_or_else(|| suggested(&declared)),
                not_null: row.get(2)?,
                primary,
                fills_itself: row.get::<_, bool>(3)? || hidden > 1,
                generated: hidden > 1,
                collation: "BINARY".to_owned(),
                name,
            })
        })?
        .collect::<Result<Vec<_>>>()?;
    for column in columns.iter_mut().filter(|_| !view) {
        let (_, collation, ..) = connection.column_metadata(None, table, column.name.as_str())?;
        column.collation = collation.map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    }
    Ok(columns)
}

fn our_types(connection: &Connection, table: &str) -> Result<Vec<(String, DataType)>> {
    if !has_table(connection, COLUMNS)? {
        return Ok(vec![]);
    }
    let sql = format!("SELECT column_name, type FROM {} WHERE table_name = ?1", quote(COLUMNS));
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map([table], |row| Ok((row.get(0)?, row.get::<_, String>(1)?)))?;
    let parse =
        |(name, kind): (String, String)| Some((name, kind.parse::<ColumnType>().ok()?.arrow().clone()));
    Ok(rows.collect::<Result<Vec<_>>>()?.into_iter().filter_map(parse).collect())
}

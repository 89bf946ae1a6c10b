//! What a claim finds in the target, and what it has to make first: tables, columns, indexes.

use std::slice;

use arrow::datatypes::{DataType, Field, SchemaRef};
use rusqlite::{Connection, types::Value as Raw};

use super::{
    database::Database,
    error::failed,
    name::{OFFSET, check_name, check_table, quote, quote_all},
    record::{Records, create as create_records},
    table::{COLUMNS, Table, TableColumn},
    types::{storage, widened},
};
use crate::{
    connector::{
        error::{Error, ErrorKind, Result},
        fitting::{Fitting, Has, Place, Wanted},
        sink::{Claim, OnSchemaChange, SinkSpec},
    },
    model::{column::ColumnType, delivery::Mode, name::Track},
};

/// What a claim comes to.
pub(super) struct Settled {
    pub(super) claim: Claim,
    /// What has to be made first, in one transaction; empty = all is there.
    pub(super) make: Vec<(String, Vec<Raw>)>,
}

/// A target as a pipeline or mart wants it.
pub(super) struct Target<'a> {
    pub(super) database: &'a Database,
    pub(super) spec: &'a SinkSpec,
    pub(super) log: bool,
    pub(super) connection: &'a Connection,
}

impl Target<'_> {
    /// Compares what is there with what the track needs.
    pub(super) fn settle(&self, track: &Track, rows: &SchemaRef) -> Result<Settled> {
        let shown = self.shown();
        let fitting = Fitting { spec: self.spec, shown: &shown };
        let wanted = self.wanted(fitting, rows)?;
        let failed = |error| self.failed(error);
        let records = Records { connection: self.connection, target: &self.spec.table, failed: &failed };
        let record = records.of(track)?;
        let mut make = vec![];
        if !records.exist()? {
            make.push((create_records(), vec![]));
        }
        let found = Table::find(self.connection, &self.spec.table).map_err(failed)?;
        let mut left_out = vec![];
        let fields = match &found {
            Some(table) => {
                if self.is_unexplained(table, &records)? {
                    return Err(fitting.unexplained());
                }
                self.fit(fitting, table, &wanted, &mut make, &mut left_out)?
            }
            None => {
                fitting.check_vanished(track, record.as_ref())?;
                self.create(&wanted, &mut make)
            }
        };
        if self.spec.mode == Mode::Merge {
            self.index_key(found.as_ref(), &mut make)?;
        }
        self.index(found.as_ref(), &mut make)?;
        let schema = fitting.claimed(fields);
        Ok(Settled { claim: Claim { record, pending: None, schema, left_out, narrow: vec![] }, make })
    }

    pub(super) fn shown(&self) -> String {
        self.database.table_shown(&self.spec.table)
    }

    fn failed(&self, error: rusqlite::Error) -> Error {
        failed(&self.shown(), error)
    }

    /// The rows' columns with the types that the target is to have.
    fn wanted(&self, fitting: Fitting<'_>, rows: &SchemaRef) -> Result<Vec<Wanted>> {
        check_table(&self.spec.table)?;
        let wanted = fitting.wanted(rows);
        for (at, column) in wanted.iter().enumerate() {
            let name = &column.name;
            check_name("column", name)?;
            storage(&column.data_type).ok_or_else(|| fitting.not_kept(column, "SQLite"))?;
            let refuse = |why: &str| {
                let message = format!("column \"{name}\" of {}: {why}", fitting.shown);
                Err(Error::new(ErrorKind::Unsupported, message))
            };
            if self.log && name.eq_ignore_ascii_case(OFFSET) {
                return refuse("a log gives its offsets itself");
            }
            if let Some(twin) = wanted[..at].iter().find(|twin| twin.name.eq_ignore_ascii_case(name)) {
                return refuse(&format!("SQLite cannot tell it from \"{}\"", twin.name));
            }
        }
        fitting.check_brought(&wanted, &self.spec.key, "the key")?;
        fitting.check_brought(&wanted, self.told_indexes(), "an index")?;
        Ok(wanted)
    }

    /// Whether the table has rows and no record. Rows are looked for first: another track that commits its first unit at this moment shows its record together
    /// with them.
    fn is_unexplained(&self, table: &Table, records: &Records<'_>) -> Result<bool> {
        let sql = format!("SELECT 1 FROM {} LIMIT 1", quote(&table.name));
        let filled = self.connection.prepare(&sql).and_then(|mut statement| statement.exists([]));
        Ok(filled.map_err(|error| self.failed(error))? && !records.any()?)
    }

    fn create(&self, wanted: &[Wanted], make: &mut Vec<(String, Vec<Raw>)>) -> Vec<(Place, Field)> {
        let table = &self.spec.table;
        let fields: Vec<Field> = wanted.iter().map(made).collect();
        let offset = self.log.then(|| format!("{} INTEGER PRIMARY KEY AUTOINCREMENT", quote(OFFSET)));
        let columns = offset.into_iter().chain(fields.iter().map(declaration)).collect::<Vec<_>>();
        make.push((format!("CREATE TABLE {} ({})", quote(table), columns.join(", ")), vec![]));
        make.push((create_columns(), vec![]));
        let forget = format!("DELETE FROM {} WHERE table_name = ?1 COLLATE NOCASE", quote(COLUMNS));
        make.push((forget, vec![Raw::Text(table.clone())]));
        make.extend(fields.iter().map(|field| remember(table, field)));
        fields.into_iter().map(|field| (Place::Added, field)).collect()
    }

    /// The target's columns that the rows fill, after what `on_schema_change` makes of the differences.
    fn fit(
        &self,
        fitting: Fitting<'_>,
        table: &Table,
        wanted: &[Wanted],
        make: &mut Vec<(String, Vec<Raw>)>,
        left_out: &mut Vec<String>,
    ) -> Result<Vec<(Place, Field)>> {
        if self.log && (table.key.as_deref() != Some(OFFSET) || !table.autoincrement) {
            let what = format!("is no log: it has no `{OFFSET} INTEGER PRIMARY KEY AUTOINCREMENT`");
            return Err(Error::new(ErrorKind::Unsupported, format!("{} {what}", fitting.shown)));
        }
        let has = table.columns.iter().map(|column| Has {
            name: &column.name,
            not_null: column.not_null,
            fills_itself: column.fills_itself,
        });
        let places = fitting.places(&has.collect::<Vec<_>>(), wanted, str::eq_ignore_ascii_case)?;
        let mut fields = vec![];
        for (column, place) in wanted.iter().zip(places) {
            match place {
                Place::At(at) => {
                    let found = &table.columns[at];
                    fields.push((place, self.fit_column(fitting, table, found, column, make)?));
                }
                Place::Added => {
                    let field = made(column);
                    let add =
                        format!("ALTER TABLE {} ADD COLUMN {}", quote(&table.name), declaration(&field));
                    make.extend([(add, vec![]), (create_columns(), vec![]), remember(&table.name, &field)]);
                    fields.push((place, field));
                }
                Place::LeftOut => left_out.push(column.name.clone()),
            }
        }
        Ok(fields)
    }

    fn fit_column(
        &self,
        fitting: Fitting<'_>,
        table: &Table,
        column: &TableColumn,
        wanted: &Wanted,
        make: &mut Vec<(String, Vec<Raw>)>,
    ) -> Result<Field> {
        let (has, comes) = (&column.data_type, &wanted.data_type);
        let named = |data_type: &DataType| Field::new(&column.name, data_type.clone(), !column.not_null);
        let differs = || fitting.differs(&column.name, &ColumnType::of(has).to_string(), comes);
        if column.generated {
            return Err(fitting.computed(&column.name));
        }
        if !column.ours {
            // A declaration of others says how a cell is kept, not what it means.
            let number = |data_type: &DataType| data_type.is_numeric() && storage(data_type) != Some("TEXT");
            return match column.affinity.keeps(comes) {
                true => Ok(named(comes)),
                false if number(has) && number(comes) => Ok(named(has)),
                false => Err(differs()),
            };
        }
        let wide = widened(has, comes).ok_or_else(differs)?;
        if wide == *has || self.spec.on_schema_change == OnSchemaChange::Ignore {
            return Ok(named(has));
        }
        if self.spec.on_schema_change == OnSchemaChange::Fail {
            return Err(differs());
        }
        let field = named(&wide);
        make.push(remember(&table.name, &field));
        Ok(field)
    }

    /// A merge finds its rows by an index: one that is there, or one of ours.
    fn index_key(&self, table: Option<&Table>, make: &mut Vec<(String, Vec<Raw>)>) -> Result<()> {
        let key = &self.spec.key;
        let indexed = match table {
            Some(table) => self.is_indexed(table).map_err(|error| self.failed(error))?,
            None => false,
        };
        if !indexed {
            make.push(self.create_index("key", key));
        }
        Ok(())
    }

    /// The indexes that are told, where none begins with the column.
    fn index(&self, table: Option<&Table>, make: &mut Vec<(String, Vec<Raw>)>) -> Result<()> {
        let told = self.told_indexes();
        if told.is_empty() {
            return Ok(());
        }
        let led = table.map(|table| table.indexed(self.connection)).transpose();
        let mut led = led.map_err(|error| self.failed(error))?.flatten().unwrap_or_default();
        led.extend(self.spec.key.first().filter(|_| self.spec.mode == Mode::Merge).cloned());
        let missing = told.iter().filter(|column| !led.iter().any(|led| led.eq_ignore_ascii_case(column)));
        make.extend(missing.map(|column| self.create_index("index", slice::from_ref(column))));
        Ok(())
    }

    fn told_indexes(&self) -> &[String] {
        self.spec.options.sqlite.as_ref().map_or(&[], |options| &options.index)
    }

    fn create_index(&self, what: &str, columns: &[String]) -> (String, Vec<Raw>) {
        let (table, named) = (&self.spec.table, columns.join(" "));
        let name = quote(&format!("_vitrina_{what} {table} {named}"));
        let columns = quote_all(columns.iter().map(String::as_str));
        (format!("CREATE INDEX IF NOT EXISTS {name} ON {} ({columns})", quote(table)), vec![])
    }

    fn is_indexed(&self, table: &Table) -> rusqlite::Result<bool> {
        let key = &self.spec.key;
        let in_key = |name: &String| key.iter().any(|key| key.eq_ignore_ascii_case(name));
        if key.len() == 1 && table.key.as_ref().is_some_and(in_key) {
            return Ok(true);
        }
        let sql = "SELECT list.name, info.name FROM pragma_index_list(?1) AS list, pragma_index_info(list.name) AS info \
                   WHERE NOT list.partial AND info.seqno < ?2 ORDER BY 1, info.seqno";
        let mut statement = self.connection.prepare(sql)?;
        let columns = statement.query_map((&table.name, key.len() as i64), |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, Option<String>>(1)?))
        })?;
        let columns = columns.collect::<rusqlite::Result<Vec<_>>>()?;
        Ok(columns.chunk_by(|a, b| a.0 == b.0).any(|index| {
            index.len() == key.len() && index.iter().all(|(_, name)| name.as_ref().is_some_and(in_key))
        }))
    }
}

/// A column that is made.
fn made(column: &Wanted) -> Field {
    Field::new(&column.name, column.data_type.clone(), true)
}

fn declaration(field: &Field) -> String {
    format!("{} {}", quote(field.name()), storage(field.data_type()).unwrap_or_default())
}

fn create_columns() -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS {} (table_name TEXT NOT NULL, column_name TEXT NOT NULL, type TEXT NOT NULL, \
         PRIMARY KEY (table_name, column_name)) WITHOUT ROWID",
        quote(COLUMNS)
    )
}

fn remember(table: &str, field: &Field) -> (String, Vec<Raw>) {
    let sql = format!(
        "INSERT OR REPLACE INTO {} (table_name, column_name, type) VALUES (?1, ?2, ?3)",
        quote(COLUMNS)
    );
    let kind = ColumnType::of(field.data_type()).to_string();
    (sql, vec![Raw::Text(table.to_owned()), Raw::Text(field.name().clone()), Raw::Text(kind)])
}

//! What a claim finds in the target, and what it has to make first: tables, columns, an index over the key.

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
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
        sink::{Claim, DeleteHow, OnSchemaChange, SinkSpec},
    },
    model::{
        column::ColumnType,
        delivery::Mode,
        name::Track,
        unit::{DELETED, Progress},
    },
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
        let wanted = self.wanted(rows)?;
        let failed = |error| self.failed(error);
        let records = Records { connection: self.connection, target: &self.spec.table, failed: &failed };
        let record = records.of(track)?;
        let mut make = vec![];
        if !records.exist()? {
            make.push((create_records(), vec![]));
        }
        let found = Table::find(self.connection, &self.spec.table).map_err(failed)?;
        let mut left_out = vec![];
        let mut fields = match &found {
            Some(table) => {
                self.check_record(table, &records)?;
                self.fit(table, &wanted, &mut make, &mut left_out)?
            }
            None => {
                let fills = self.spec.mode != Mode::Replace && !self.spec.anew;
                if fills && record.as_ref().is_some_and(|record| record.progress != Progress::Start) {
                    return Err(self.vanished(track));
                }
                self.create(&wanted, &mut make)
            }
        };
        if self.spec.mode == Mode::Merge {
            self.index_key(found.as_ref(), &mut make)?;
        }
        if self.spec.delete == Some(DeleteHow::Hard) {
            fields.push(Field::new(DELETED, DataType::Boolean, true));
        }
        let schema = Schema::new(fields).into();
        Ok(Settled { claim: Claim { record, pending: None, schema, left_out }, make })
    }

    pub(super) fn shown(&self) -> String {
        self.database.table_shown(&self.spec.table)
    }

    fn failed(&self, error: rusqlite::Error) -> Error {
        failed(&self.shown(), error)
    }

    /// The rows' columns with the types that the target is to have, the deletion mark last where it is kept.
    fn wanted(&self, rows: &SchemaRef) -> Result<Vec<Field>> {
        check_table(&self.spec.table)?;
        let mut wanted: Vec<Field> = vec![];
        let mut columns: Vec<(&str, DataType)> = vec![];
        for field in
            rows.fields().iter().filter(|field| self.spec.delete.is_none() || field.name() != DELETED)
        {
            let told = self.spec.columns.get(field.name()).and_then(|column| column.kind.as_ref());
            let kind = told.cloned().unwrap_or_else(|| ColumnType::of(field.data_type()));
            columns.push((field.name(), kind.arrow().clone()));
        }
        if self.spec.delete == Some(DeleteHow::Soft) {
            columns.push((DELETED, DataType::Boolean));
        }
        for (name, data_type) in columns {
            check_name("column", name)?;
            let refuse = |why: String| {
                Err(Error::new(
                    ErrorKind::Unsupported,
                    format!("column \"{name}\" of {}: {why}", self.shown()),
                ))
            };
            if storage(&data_type).is_none() {
                return refuse(format!("SQLite cannot keep {}", ColumnType::of(&data_type)));
            }
            if self.log && name.eq_ignore_ascii_case(OFFSET) {
                return refuse("a log gives its offsets itself".to_owned());
            }
            if let Some(twin) = wanted.iter().find(|field| field.name().eq_ignore_ascii_case(name)) {
                return refuse(format!("SQLite cannot tell it from \"{}\"", twin.name()));
            }
            wanted.push(Field::new(name, data_type, true));
        }
        for key in &self.spec.key {
            if !wanted.iter().any(|field| field.name() == key) {
                let message =
                    format!("{}: the rows have no column \"{key}\", which is in the key", self.shown());
                return Err(Error::new(ErrorKind::BadData, message));
            }
        }
        Ok(wanted)
    }

    /// Rows that no record explains could be doubled or wiped: their owner has to say what they are. Rows are looked for first: another track
    /// that commits its first unit at this moment shows its record together with them.
    fn check_record(&self, table: &Table, records: &Records<'_>) -> Result<()> {
        let sql = format!("SELECT 1 FROM {} LIMIT 1", quote(&table.name));
        let filled = self.connection.prepare(&sql).and_then(|mut statement| statement.exists([]));
        if filled.map_err(|error| self.failed(error))? && !records.any()? {
            let message = format!("{} holds rows, and no record says where they came from", self.shown());
            return Err(Error::new(ErrorKind::NoRecord, message));
        }
        Ok(())
    }

    fn vanished(&self, track: &Track) -> Error {
        let message = format!("{} is gone, though {} was written into it", self.shown(), track.name());
        Error::new(ErrorKind::NotFound, message)
            .hint("restore it, or fill it again from the beginning: `vitrina position reset`")
    }

    fn create(&self, wanted: &[Field], make: &mut Vec<(String, Vec<Raw>)>) -> Vec<Field> {
        let table = &self.spec.table;
        let offset = self.log.then(|| format!("{} INTEGER PRIMARY KEY AUTOINCREMENT", quote(OFFSET)));
        let columns = offset.into_iter().chain(wanted.iter().map(declaration)).collect::<Vec<_>>();
        make.push((format!("CREATE TABLE {} ({})", quote(table), columns.join(", ")), vec![]));
        make.push((create_columns(), vec![]));
        let forget = format!("DELETE FROM {} WHERE table_name = ?1 COLLATE NOCASE", quote(COLUMNS));
        make.push((forget, vec![Raw::Text(table.clone())]));
        make.extend(wanted.iter().map(|field| remember(table, field)));
        wanted.to_vec()
    }

    /// The target's columns that the rows fill, after what `on_schema_change` makes of the differences.
    fn fit(
        &self,
        table: &Table,
        wanted: &[Field],
        make: &mut Vec<(String, Vec<Raw>)>,
        left_out: &mut Vec<String>,
    ) -> Result<Vec<Field>> {
        if self.log && (table.key.as_deref() != Some(OFFSET) || !table.autoincrement) {
            return Err(
                self.refused(&format!("is no log: it has no `{OFFSET} INTEGER PRIMARY KEY AUTOINCREMENT`"))
            );
        }
        let filled = |column: &&TableColumn| {
            wanted.iter().any(|field| field.name().eq_ignore_ascii_case(&column.name))
        };
        let evolves = self.spec.on_schema_change == OnSchemaChange::Evolve;
        let mut fields: Vec<(usize, Field)> = vec![];
        for field in wanted {
            let place =
                table.columns.iter().position(|column| column.name.eq_ignore_ascii_case(field.name()));
            match (place, self.spec.on_schema_change) {
                (Some(place), _) => {
                    fields.push((place, self.fit_column(table, &table.columns[place], field, make)?));
                }
                (None, OnSchemaChange::Evolve) => {
                    let add = format!("ALTER TABLE {} ADD COLUMN {}", quote(&table.name), declaration(field));
                    make.extend([(add, vec![]), (create_columns(), vec![]), remember(&table.name, field)]);
                    fields.push((usize::MAX, field.clone()));
                }
                (None, OnSchemaChange::Ignore) => left_out.push(field.name().clone()),
                (None, OnSchemaChange::Fail) => {
                    return Err(
                        self.changed(&format!("has no column \"{}\", which the rows have", field.name()))
                    );
                }
            }
        }
        for column in table.columns.iter().filter(|column| !filled(column) && !column.fills_itself) {
            let kept =
                evolves || self.spec.on_schema_change == OnSchemaChange::Ignore || column.name == DELETED;
            if !kept || column.not_null {
                return Err(
                    self.changed(&format!("has a column \"{}\", which the rows have not", column.name))
                );
            }
        }
        fields.sort_by_key(|(place, _)| *place);
        Ok(fields.into_iter().map(|(_, field)| field).collect())
    }

    fn fit_column(
        &self,
        table: &Table,
        column: &TableColumn,
        field: &Field,
        make: &mut Vec<(String, Vec<Raw>)>,
    ) -> Result<Field> {
        let (has, comes) = (&column.data_type, field.data_type());
        let named = |data_type: &DataType| Field::new(&column.name, data_type.clone(), !column.not_null);
        let differs = || {
            let (has, comes) = (ColumnType::of(has), ColumnType::of(comes));
            self.changed(&format!("has {has} in column \"{}\", and the rows have {comes}", column.name))
        };
        if column.generated {
            return Err(self.refused(&format!("computes its column \"{}\" by itself", column.name)));
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
            let name = format!("_vitrina_key {} {}", self.spec.table, key.join(" "));
            let columns = quote_all(key.iter().map(String::as_str));
            let sql = format!(
                "CREATE INDEX IF NOT EXISTS {} ON {} ({columns})",
                quote(&name),
                quote(&self.spec.table)
            );
            make.push((sql, vec![]));
        }
        Ok(())
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

    fn changed(&self, what: &str) -> Error {
        Error::new(ErrorKind::SchemaChanged, format!("{} {what}", self.shown()))
    }

    fn refused(&self, what: &str) -> Error {
        Error::new(ErrorKind::Unsupported, format!("{} {what}", self.shown()))
    }
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

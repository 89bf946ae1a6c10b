//! What a claim finds in the target, and what it has to make first: tables, columns, an index over the key.

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use sha2::{Digest, Sha256};

use super::{
    client::{Lease, Server},
    config::Grant,
    error::failed,
    name::{check_name, check_table, literal, quote, quote_all},
    record::Records,
    table::{Table, TableColumn, qualified},
    types::Kind,
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
pub(crate) struct Settled {
    pub(crate) claim: Claim,
    /// What has to be made first, in one transaction; empty = all is there.
    pub(crate) make: Vec<String>,
}

/// A target as a pipeline or mart wants it.
pub(crate) struct Target<'a> {
    pub(crate) server: &'a Server,
    pub(crate) session: &'a Lease,
    pub(crate) spec: &'a SinkSpec,
    pub(crate) schema: &'a str,
    pub(crate) grant: &'a Grant,
}

/// A column that the rows have, and what keeps it.
struct Wanted {
    name: String,
    kind: Kind,
    data_type: DataType,
}

impl Target<'_> {
    /// Compares what is there with what the track needs.
    pub(crate) async fn settle(&self, track: &Track, rows: &SchemaRef) -> Result<Settled> {
        let wanted = self.wanted(rows)?;
        let shown = self.shown();
        let records =
            Records { session: self.session, schema: self.schema, target: &self.spec.table, shown: &shown };
        let record = records.of(track).await?;
        let mut make = vec![];
        if !records.exist().await? {
            make.push(records.create());
        }
        let found = Table::find(self.session, self.schema, &self.spec.table).await;
        let found = found.map_err(|error| self.failed(error))?;
        let mut left_out = vec![];
        let mut fields = match &found {
            Some(table) => {
                self.check_record(table, &records).await?;
                self.fit(table, &wanted, &mut make, &mut left_out)?
            }
            None => {
                let fills = self.spec.mode != Mode::Replace && !self.spec.anew;
                if fills && record.as_ref().is_some_and(|record| record.progress != Progress::Start) {
                    return Err(self.vanished(track));
                }
                self.create(&wanted, &mut make)?
            }
        };
        if self.spec.mode == Mode::Merge {
            self.index_key(found.as_ref(), &mut make).await?;
        }
        self.grant(found.as_ref(), &mut make).await?;
        if self.spec.delete == Some(DeleteHow::Hard) {
            fields.push(Field::new(DELETED, DataType::Boolean, true));
        }
        let schema = Schema::new(fields).into();
        Ok(Settled { claim: Claim { record, pending: None, schema, left_out }, make })
    }

    fn shown(&self) -> String {
        self.server.table_shown(self.schema, &self.spec.table)
    }

    fn failed(&self, error: tokio_postgres::Error) -> Error {
        failed(&self.shown(), error)
    }

    fn sql(&self) -> String {
        qualified(self.schema, &self.spec.table)
    }

    /// The rows' columns with the types that the target is to have, the deletion mark last where it is kept.
    fn wanted(&self, rows: &SchemaRef) -> Result<Vec<Wanted>> {
        check_table(&self.spec.table)?;
        let rows = rows.fields().iter().filter(|field| self.spec.delete.is_none() || field.name() != DELETED);
        let mut columns: Vec<(&str, DataType)> = rows
            .map(|field| {
                let told = self.spec.columns.get(field.name()).and_then(|column| column.kind.as_ref());
                let kind = told.cloned().unwrap_or_else(|| ColumnType::of(field.data_type()));
                (field.name().as_str(), kind.arrow().clone())
            })
            .collect();
        if self.spec.delete == Some(DeleteHow::Soft) {
            columns.push((DELETED, DataType::Boolean));
        }
        let mut wanted = vec![];
        for (name, data_type) in columns {
            check_name("column", name)?;
            let Some(kind) = Kind::keeping(&data_type) else {
                let message = format!(
                    "column \"{name}\" of {}: PostgreSQL cannot keep {}",
                    self.shown(),
                    ColumnType::of(&data_type)
                );
                return Err(Error::new(ErrorKind::Unsupported, message)
                    .hint("name another type for it in the sink's `columns`"));
            };
            wanted.push(Wanted { name: name.to_owned(), kind, data_type });
        }
        for key in &self.spec.key {
            if !wanted.iter().any(|column| column.name == *key) {
                let message =
                    format!("{}: the rows have no column \"{key}\", which is in the key", self.shown());
                return Err(Error::new(ErrorKind::BadData, message));
            }
        }
        Ok(wanted)
    }

    /// Rows that no record explains could be doubled or wiped: their owner has to say what they are. Rows are looked for first: another track
    /// that commits its first unit at this moment shows its record together with them.
    async fn check_record(&self, table: &Table, records: &Records<'_>) -> Result<()> {
        let sql = format!("SELECT 1 FROM {} LIMIT 1", table.sql());
        let filled = self.session.row(&sql).await.map_err(|error| self.failed(error))?.is_some();
        if filled && !records.any().await? {
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

    fn create(&self, wanted: &[Wanted], make: &mut Vec<String>) -> Result<Vec<Field>> {
        let columns: Vec<_> = wanted.iter().map(|column| (quote(&column.name), column.kind.sql())).collect();
        let dialect = self.server.dialect;
        make.push(dialect.create_table(&self.session.product, self.spec, &self.sql(), &columns)?);
        for (name, column) in &self.spec.columns {
            if let (Some(told), true) =
                (&column.description, wanted.iter().any(|column| column.name == *name))
            {
                make.push(format!("COMMENT ON COLUMN {}.{} IS {}", self.sql(), quote(name), literal(told)));
            }
        }
        Ok(wanted.iter().map(|column| Field::new(&column.name, column.kind.arrow(), true)).collect())
    }

    /// The target's columns that the rows fill, after what `on_schema_change` makes of the differences.
    fn fit(
        &self,
        table: &Table,
        wanted: &[Wanted],
        make: &mut Vec<String>,
        left_out: &mut Vec<String>,
    ) -> Result<Vec<Field>> {
        let mut fields: Vec<(usize, Field)> = vec![];
        for column in wanted {
            let place = table.columns.iter().position(|found| found.name == column.name);
            match (place, self.spec.on_schema_change) {
                (Some(place), _) => {
                    fields.push((place, self.fit_column(&table.columns[place], column, make)?));
                }
                (None, OnSchemaChange::Evolve) => {
                    let (name, kind) = (quote(&column.name), column.kind.sql());
                    make.push(self.server.dialect.add_column(&table.sql(), &name, &kind));
                    fields.push((usize::MAX, Field::new(&column.name, column.kind.arrow(), true)));
                }
                (None, OnSchemaChange::Ignore) => left_out.push(column.name.clone()),
                (None, OnSchemaChange::Fail) => {
                    return Err(
                        self.changed(&format!("has no column \"{}\", which the rows have", column.name))
                    );
                }
            }
        }
        let filled = |name: &str| wanted.iter().any(|column| column.name == name);
        for column in table.columns.iter().filter(|column| !filled(&column.name) && !column.fills_itself) {
            let kept = self.spec.on_schema_change != OnSchemaChange::Fail || column.name == DELETED;
            if !kept || column.not_null {
                return Err(
                    self.changed(&format!("has a column \"{}\", which the rows have not", column.name))
                );
            }
        }
        fields.sort_by_key(|(place, _)| *place);
        Ok(fields.into_iter().map(|(_, field)| field).collect())
    }

    fn fit_column(&self, found: &TableColumn, column: &Wanted, make: &mut Vec<String>) -> Result<Field> {
        let named = |kind: Kind| Field::new(&found.name, kind.arrow(), !found.not_null);
        if found.generated {
            let message = format!("{} computes its column \"{}\" by itself", self.shown(), found.name);
            return Err(Error::new(ErrorKind::Unsupported, message).hint("leave it out of the rows"));
        }
        let differs = || {
            let comes = ColumnType::of(&column.data_type);
            let has = &found.declared;
            self.changed(&format!("has {has} in column \"{}\", and the rows have {comes}", found.name))
        };
        let wide = found.kind.widened(column.kind).ok_or_else(differs)?;
        if wide == found.kind || self.spec.on_schema_change == OnSchemaChange::Ignore {
            return Ok(named(found.kind));
        }
        if self.spec.on_schema_change == OnSchemaChange::Fail {
            return Err(differs());
        }
        make.push(format!(
            "ALTER TABLE {} ALTER COLUMN {} TYPE {}",
            self.sql(),
            quote(&found.name),
            wide.sql()
        ));
        Ok(named(wide))
    }

    /// A merge finds its rows by a unique index, where the server has use for it: one that is there, or one of ours.
    async fn index_key(&self, table: Option<&Table>, make: &mut Vec<String>) -> Result<()> {
        let columns = quote_all(self.spec.key.iter().map(String::as_str));
        // Names of indexes are cut at 63 bytes: a digest tells them apart.
        let digest = Sha256::digest(format!("{} ({columns})", self.sql()));
        let digest: String = digest[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        let name = quote(&format!("_vitrina_key_{digest}"));
        let Some(create) = self.server.dialect.create_key(&name, &self.sql(), &columns) else {
            return Ok(());
        };
        match table {
            Some(table) if self.is_indexed(table).await? => {}
            _ => make.push(create),
        }
        Ok(())
    }

    /// Whether a unique index over exactly the key is there, one that ON CONFLICT takes.
    async fn is_indexed(&self, table: &Table) -> Result<bool> {
        let sql = format!(
            "SELECT (SELECT string_agg(a.attname, E'\\n' ORDER BY a.attname COLLATE \"C\") FROM pg_catalog.pg_attribute a \
               WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey[0 : i.indnkeyatts - 1])) \
             FROM pg_catalog.pg_index i WHERE i.indrelid = {} AND i.indisunique AND i.indimmediate AND i.indisvalid \
             AND i.indpred IS NULL AND i.indexprs IS NULL",
            table.oid
        );
        let mut key: Vec<&str> = self.spec.key.iter().map(String::as_str).collect();
        key.sort_unstable();
        let key = key.join("\n");
        let rows = self.session.rows(&sql).await.map_err(|error| self.failed(error))?;
        Ok(rows.iter().any(|row| row.first().and_then(Option::as_deref) == Some(&key)))
    }

    /// Rights that are told and not held.
    async fn grant(&self, table: Option<&Table>, make: &mut Vec<String>) -> Result<()> {
        for role in &self.grant.select {
            let held = match table {
                Some(table) => {
                    let sql = format!(
                        "SELECT pg_catalog.has_table_privilege({}, {}::oid, 'SELECT')",
                        literal(role),
                        table.oid
                    );
                    let held = self.session.cell(&sql).await.map_err(|error| self.failed(error))?;
                    held.as_deref() == Some("t")
                }
                None => false,
            };
            if !held {
                make.push(format!("GRANT SELECT ON {} TO {}", self.sql(), quote(role)));
            }
        }
        Ok(())
    }

    fn changed(&self, what: &str) -> Error {
        Error::new(ErrorKind::SchemaChanged, format!("{} {what}", self.shown()))
    }
}

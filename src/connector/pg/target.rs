//! What a claim finds in the target, and what it has to make first: tables, columns, indexes.

use arrow::datatypes::{Field, SchemaRef};
use sha2::{Digest, Sha256};

use super::{
    client::{Lease, Server, Session},
    config::Grant,
    error::failed,
    name::{check_name, check_table, literal, quote, quote_all},
    record::Records,
    table::{Table, TableColumn, qualified},
    types::Kind,
};
use crate::{
    connector::{
        error::{Error, Result},
        fitting::{Fitting, Has, Place, Wanted},
        sink::{Claim, OnSchemaChange, SinkSpec},
    },
    model::{delivery::Mode, name::Track},
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
    pub(crate) index: &'a [String],
}

impl Target<'_> {
    /// Compares what is there with what the track needs.
    pub(crate) async fn settle(&self, track: &Track, rows: &SchemaRef) -> Result<Settled> {
        let shown = self.shown();
        let fitting = Fitting { spec: self.spec, shown: &shown };
        let wanted = self.wanted(fitting, rows)?;
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
        let fields = match &found {
            Some(table) => {
                if self.is_unexplained(table, &records).await? {
                    return Err(fitting.unexplained());
                }
                self.fit(fitting, table, &wanted, &mut make, &mut left_out)?
            }
            None => {
                fitting.check_vanished(track, record.as_ref())?;
                self.create(&wanted, &mut make)?
            }
        };
        if self.spec.mode == Mode::Merge {
            self.index_key(found.as_ref(), &mut make).await?;
        }
        self.index(found.as_ref(), &wanted, &mut make).await?;
        self.grant(found.as_ref(), &mut make).await?;
        let schema = fitting.claimed(fields);
        Ok(Settled { claim: Claim { record, pending: None, schema, left_out, narrow: vec![] }, make })
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

    /// The rows' columns with the types that the target is to have, and what keeps them.
    fn wanted(&self, fitting: Fitting<'_>, rows: &SchemaRef) -> Result<Vec<(Wanted, Kind)>> {
        check_table(&self.spec.table)?;
        let wanted = fitting.wanted(rows);
        fitting.check_brought(&wanted, &self.spec.key, "the key")?;
        fitting.check_brought(&wanted, self.index, "an index")?;
        let kept = |column: Wanted| {
            check_name("column", &column.name)?;
            let kind = Kind::keeping(&column.data_type);
            let kind = kind.ok_or_else(|| fitting.not_kept(&column, "PostgreSQL"))?;
            Ok((column, kind))
        };
        wanted.into_iter().map(kept).collect()
    }

    /// Whether the table has rows and no record. Rows are looked for first: another track that commits its first unit at this moment shows its record together
    /// with them.
    async fn is_unexplained(&self, table: &Table, records: &Records<'_>) -> Result<bool> {
        let sql = format!("SELECT 1 FROM {} LIMIT 1", table.sql());
        let filled = self.session.row(&sql).await.map_err(|error| self.failed(error))?.is_some();
        Ok(filled && !records.any().await?)
    }

    fn create(&self, wanted: &[(Wanted, Kind)], make: &mut Vec<String>) -> Result<Vec<(Place, Field)>> {
        let columns: Vec<_> = wanted.iter().map(|(column, kind)| (quote(&column.name), kind.sql())).collect();
        let dialect = self.server.dialect;
        make.push(dialect.create_table(&self.session.product, self.spec, &self.sql(), &columns)?);
        for (name, column) in &self.spec.columns {
            if let (Some(told), true) =
                (&column.description, wanted.iter().any(|(column, _)| column.name == *name))
            {
                make.push(format!("COMMENT ON COLUMN {}.{} IS {}", self.sql(), quote(name), literal(told)));
            }
        }
        let field =
            |(column, kind): &(Wanted, Kind)| (Place::Added, Field::new(&column.name, kind.arrow(), true));
        Ok(wanted.iter().map(field).collect())
    }

    /// The target's columns that the rows fill, after what `on_schema_change` makes of the differences.
    fn fit(
        &self,
        fitting: Fitting<'_>,
        table: &Table,
        wanted: &[(Wanted, Kind)],
        make: &mut Vec<String>,
        left_out: &mut Vec<String>,
    ) -> Result<Vec<(Place, Field)>> {
        let has = table.columns.iter().map(|column| Has {
            name: &column.name,
            not_null: column.not_null,
            fills_itself: column.fills_itself,
        });
        let names: Vec<Wanted> = wanted.iter().map(|(column, _)| column.clone()).collect();
        let places = fitting.places(&has.collect::<Vec<_>>(), &names, |a, b| a == b)?;
        let mut fields = vec![];
        for ((column, kind), place) in wanted.iter().zip(places) {
            match place {
                Place::At(at) => {
                    fields
                        .push((place, self.fit_column(fitting, &table.columns[at], (column, *kind), make)?));
                }
                Place::Added => {
                    let (name, declared) = (quote(&column.name), kind.sql());
                    make.push(self.server.dialect.add_column(&table.sql(), &name, &declared));
                    fields.push((place, Field::new(&column.name, kind.arrow(), true)));
                }
                Place::LeftOut => left_out.push(column.name.clone()),
            }
        }
        Ok(fields)
    }

    fn fit_column(
        &self,
        fitting: Fitting<'_>,
        found: &TableColumn,
        (column, kind): (&Wanted, Kind),
        make: &mut Vec<String>,
    ) -> Result<Field> {
        let named = |kind: Kind| Field::new(&found.name, kind.arrow(), !found.not_null);
        if found.generated {
            return Err(fitting.computed(&found.name));
        }
        let differs = || fitting.differs(&found.name, &found.declared, &column.data_type);
        let wide = found.kind.widened(kind).ok_or_else(differs)?;
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
        let name = self.index_name("key", &columns);
        let Some(create) = self.server.dialect.create_key(&name, &self.sql(), &columns) else {
            return Ok(());
        };
        match table {
            Some(table) if self.is_indexed(table).await? => {}
            _ => make.push(create),
        }
        Ok(())
    }

    /// The indexes that are told, where none serves cursors of the column: texts are compared by their bytes.
    async fn index(
        &self,
        table: Option<&Table>,
        wanted: &[(Wanted, Kind)],
        make: &mut Vec<String>,
    ) -> Result<()> {
        let led = match table {
            Some(table) if !self.index.is_empty() => leading(self.session, table).await,
            _ => Ok(vec![]),
        };
        let led = led.map_err(|error| self.failed(error))?;
        for column in self.index.iter().filter(|column| !led.contains(column)) {
            let text = |(wanted, _): &(Wanted, Kind)| wanted.name == *column && wanted.data_type.is_string();
            let text = wanted.iter().any(text);
            let column = quote(column) + if text { " COLLATE \"C\"" } else { "" };
            let name = self.index_name("index", &column);
            make.push(format!("CREATE INDEX IF NOT EXISTS {name} ON {} ({column})", self.sql()));
        }
        Ok(())
    }

    /// The name of an index of ours. Names are cut at 63 bytes: a digest tells them apart.
    fn index_name(&self, what: &str, columns: &str) -> String {
        let digest = Sha256::digest(format!("{} ({columns})", self.sql()));
        let digest: String = digest[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        quote(&format!("_vitrina_{what}_{digest}"))
    }

    async fn is_indexed(&self, table: &Table) -> Result<bool> {
        is_indexed(self.session, table, &self.spec.key).await.map_err(|error| self.failed(error))
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
}

/// The columns that lead an index by which rows are found in the order of cursors: that of bytes, for texts.
pub(crate) async fn leading(session: &Session, table: &Table) -> Result<Vec<String>, tokio_postgres::Error> {
    // Of collations, 950 and 951 are "C" and "POSIX" on every server.
    let sql = format!(
        "SELECT DISTINCT a.attname, i.indcollation[0] IN (0, 950, 951) FROM pg_catalog.pg_index i \
         JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid JOIN pg_catalog.pg_am m ON m.oid = c.relam \
         JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0] \
         WHERE i.indrelid = {} AND i.indisvalid AND i.indpred IS NULL AND m.amname = 'btree' ORDER BY a.attname",
        table.oid
    );
    let mut columns: Vec<String> = vec![];
    for row in session.rows(&sql).await? {
        let (Some(Some(name)), bytewise) =
            (row.first().cloned(), row.get(1).and_then(Option::as_deref) == Some("t"))
        else {
            continue;
        };
        let orders = bytewise || table.column(&name).is_some_and(|column| column.bytewise);
        if orders && !columns.contains(&name) {
            columns.push(name);
        }
    }
    columns.sort();
    Ok(columns)
}

/// Whether a unique index over exactly the key is there, one that ON CONFLICT takes.
pub(crate) async fn is_indexed(
    session: &Session,
    table: &Table,
    key: &[String],
) -> Result<bool, tokio_postgres::Error> {
    let sql = format!(
        "SELECT (SELECT string_agg(a.attname, E'\\n' ORDER BY a.attname COLLATE \"C\") FROM pg_catalog.pg_attribute a \
           WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey[0 : i.indnkeyatts - 1])) \
         FROM pg_catalog.pg_index i WHERE i.indrelid = {} AND i.indisunique AND i.indimmediate AND i.indisvalid \
         AND i.indpred IS NULL AND i.indexprs IS NULL",
        table.oid
    );
    let mut key: Vec<&str> = key.iter().map(String::as_str).collect();
    key.sort_unstable();
    let key = key.join("\n");
    let rows = session.rows(&sql).await?;
    Ok(rows.iter().any(|row| row.first().and_then(Option::as_deref) == Some(&key)))
}

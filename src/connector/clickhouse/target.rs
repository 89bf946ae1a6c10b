//! What a claim finds in the target, and what it makes first: the table, columns, the table of records.

use arrow::datatypes::{DataType, Field, SchemaRef};
use chrono_tz::Tz;

use super::{
    client::Server,
    config::SinkOptions,
    name::{check_name, check_table, literal, qualified, quote, quote_all},
    note::{Note, UNIT},
    record::Records,
    replacing::{self, Replacing},
    replicated::Replication,
    table::{Table, TableColumn, text},
    types,
};
use crate::{
    connector::{
        error::{Error, ErrorKind, Result},
        fitting::{Fitting, Has, Place, Wanted},
        records::RECORDS,
        sink::{Claim, OnSchemaChange, SinkSpec},
    },
    model::{delivery::Mode, name::Track, window::Grain},
};

/// A target as a pipeline or mart wants it.
pub(super) struct Target<'a> {
    pub(super) server: &'a Server,
    pub(super) spec: &'a SinkSpec,
    pub(super) database: &'a str,
    pub(super) shown: &'a str,
    pub(super) replication: &'a Replication,
}

/// What a table of windows is partitioned by, so that each lies in one partition: instants by the days of the windows' own zone. Hours lie in days, since a server bears
/// thousands of partitions and not tens of thousands.
pub(super) fn by_grain(column: &str, grain: Grain, zone: Tz, kind: &DataType) -> String {
    let name = quote(column);
    let told = match kind {
        DataType::Timestamp(_, Some(_)) => format!("{name}, {}", literal(zone.name())),
        _ => name.clone(),
    };
    match grain {
        Grain::Month => format!("toYYYYMM({told})"),
        Grain::Week => format!("toMonday({told})"),
        Grain::Hour | Grain::Day if *kind == DataType::Date32 => name,
        Grain::Hour | Grain::Day => format!("toDate({told})"),
    }
}

impl Target<'_> {
    fn records(&self) -> Records<'_> {
        Records {
            server: self.server,
            database: self.database,
            target: &self.spec.table,
            shown: self.shown,
            replication: self.replication,
        }
    }

    fn fitting(&self) -> Fitting<'_> {
        Fitting { spec: self.spec, shown: self.shown }
    }

    fn options(&self) -> SinkOptions {
        self.spec.options.clickhouse.clone().unwrap_or_default()
    }

    async fn run(&self, sql: &str) -> Result<()> {
        self.server.run(self.shown, sql).await
    }

    /// Makes the table of records; refuses what cannot be written exactly once before anything is made.
    pub(super) async fn prepare(&self, rows: Option<&SchemaRef>) -> Result<()> {
        check_table(&self.spec.table)?;
        if let Some(rows) = rows {
            self.wanted(rows)?;
        }
        let sql = format!("SELECT engine FROM system.databases WHERE name = {}", literal(self.database));
        let engine = self.server.cell(self.shown, &sql).await?.unwrap_or_default();
        if !is_written(&engine) {
            let message = format!("{}: the database \"{}\" is of engine {engine}", self.shown, self.database);
            return Err(Error::new(ErrorKind::Unsupported, message)
                .hint("tables are put in each other's place: write into a database that was made with ENGINE = Atomic or Replicated"));
        }
        self.replication.check_shards(self.server, self.database, self.shown).await?;
        self.run(&self.records().create()).await
    }

    /// Compares what is there with what the track needs, and makes what is missing.
    pub(super) async fn settle(&self, track: &Track, rows: &SchemaRef) -> Result<Claim> {
        let wanted = self.wanted(rows)?;
        let found = Table::find(self.server, self.database, &self.spec.table).await?;
        let mut left_out = vec![];
        let (table, fields) = match found {
            Some(table) => {
                self.check_engine(&table)?;
                self.check_explained(&table).await?;
                let fields = self.fit(&table, &wanted, &mut left_out).await?;
                (table, fields)
            }
            None => {
                let record = self.records().of(&track.key()).await?;
                self.fitting().check_vanished(track, record.as_ref())?;
                self.create(&wanted).await?
            }
        };
        let record = self.records().of(&track.key()).await?;
        let schema = self.fitting().claimed(fields);
        let filled = schema.fields().iter().filter_map(|field| table.column(field.name()));
        let narrow =
            filled.filter(|column| column.kind.is_narrow()).map(|column| column.name.clone()).collect();
        Ok(Claim { record, pending: None, schema, left_out, narrow })
    }

    fn sql(&self) -> String {
        qualified(self.database, &self.spec.table)
    }

    /// The rows' columns with the types that the target is to have.
    fn wanted(&self, rows: &SchemaRef) -> Result<Vec<Wanted>> {
        let fitting = self.fitting();
        let wanted = fitting.wanted(rows);
        for column in &wanted {
            check_name("column", &column.name)?;
            types::keeping(&column.data_type).ok_or_else(|| fitting.not_kept(column, "ClickHouse"))?;
        }
        fitting.check_brought(&wanted, &self.spec.key, "the key")?;
        let options = self.options();
        fitting.check_brought(&wanted, &options.order_by, "`order_by`")?;
        if let Some(engine) = options.engine.as_ref().filter(|engine| !self.replication.takes(engine)) {
            return Err(self.replication.refusal(engine, self.shown));
        }
        if let Some(replacing) = replacing::of(self.spec) {
            replacing.check_told(self.spec, &options, self.shown)?;
            fitting.check_brought(&wanted, options.version.as_slice(), "`version`")?;
        } else if self.spec.mode == Mode::Merge {
            self.replication.check_deleting(self.shown)?;
        }
        Ok(wanted)
    }

    /// Rows come as parts.
    fn check_engine(&self, table: &Table) -> Result<()> {
        if !self.replication.takes(&table.engine) {
            return Err(self.replication.refusal(&table.engine, self.shown));
        }
        if table.feeds_views {
            let message = format!("{} feeds materialized views", self.shown);
            return Err(Error::new(ErrorKind::Unsupported, message)
                .hint("they would not see rows that are moved in: make them refreshable ones, or marts"));
        }
        match replacing::of(self.spec) {
            Some(replacing) => replacing.check(table, &self.spec.key, self.shown),
            None => Ok(()),
        }
    }

    /// Rows that no record explains could be doubled or wiped: their owner has to say what they are. Asked in this order: whoever is just writing the first
    /// unit has its rows in the table before its record, and its record before the unit is gone.
    async fn check_explained(&self, table: &Table) -> Result<()> {
        let filled =
            self.server.row(self.shown, &format!("SELECT 1 FROM {} LIMIT 1", table.sql())).await?.is_some();
        if !filled {
            return Ok(());
        }
        let sql = format!(
            "SELECT comment FROM system.tables WHERE database = {} AND startsWith(name, '{UNIT}')",
            literal(self.database)
        );
        let units = self.server.rows(self.shown, &sql).await?;
        let own = |row| Note::parse(text(row, 0)).is_some_and(|note| note.target == self.spec.table);
        if units.iter().any(own) || self.records().any().await? {
            return Ok(());
        }
        Err(self.fitting().unexplained())
    }

    async fn create(&self, wanted: &[Wanted]) -> Result<(Table, Vec<(Place, Field)>)> {
        let mut options = self.options();
        options.partition_by = options.partition_by.or_else(|| self.by_grain(wanted));
        let order = if options.order_by.is_empty() { &self.spec.key } else { &options.order_by };
        let replacing = replacing::of(self.spec);
        let version = replacing.and_then(|replacing| replacing.version);
        let told = |name: &str| order.iter().chain(&self.spec.key).any(|column| column == name);
        let sorts = |name: &str| told(name) || version == Some(name);
        let columns: Vec<String> =
            wanted.iter().map(|column| self.declared(column, !sorts(&column.name), &options)).collect();
        let mut settings = vec!["fsync_after_insert = 1".to_owned(), "fsync_part_directory = 1".to_owned()];
        if options.partition_by.is_some() || options.ttl.is_some() {
            settings.push("allow_nullable_key = 1".to_owned());
        }
        settings.extend(options.settings.iter().map(|(name, value)| format!("{name} = {}", setting(value))));
        let clause = |word: &str, told: &Option<String>| {
            told.as_ref().map_or(String::new(), |told| format!(" {word} {told}"))
        };
        let order = order.iter().map(String::as_str);
        let family = replacing.map_or_else(|| "MergeTree".to_owned(), Replacing::engine);
        let engine = options.engine.clone().unwrap_or_else(|| self.replication.engine(&family));
        let sql = format!(
            "CREATE TABLE IF NOT EXISTS {} ({}) ENGINE = {}{} ORDER BY ({}){} SETTINGS {}",
            self.sql(),
            columns.join(", "),
            engine,
            clause("PARTITION BY", &options.partition_by),
            quote_all(order),
            clause("TTL", &options.ttl),
            settings.join(", "),
        );
        self.run(&sql).await?;
        // Somebody else may have made it first.
        let made = Table::must(self.server, self.database, &self.spec.table).await?;
        self.check_engine(&made)?;
        let fields = self.fit(&made, wanted, &mut vec![]).await?;
        Ok((made, fields))
    }

    /// The windows of a mart as partitions.
    fn by_grain(&self, wanted: &[Wanted]) -> Option<String> {
        let (name, grain, zone) = self.spec.window.as_ref()?;
        let column = wanted.iter().find(|column| column.name == *name)?;
        Some(by_grain(name, *grain, *zone, &column.data_type))
    }

    fn declared(&self, column: &Wanted, nullable: bool, options: &SinkOptions) -> String {
        let kind = types::keeping(&column.data_type).unwrap_or_default();
        let kind = if nullable { format!("Nullable({kind})") } else { kind };
        let told = self.spec.columns.get(&column.name).and_then(|column| column.description.as_deref());
        let comment = types::comment(&column.data_type, told);
        let comment = comment.map_or(String::new(), |comment| format!(" COMMENT {}", literal(&comment)));
        let codec = options.codec.get(&column.name).map_or(String::new(), |codec| format!(" CODEC({codec})"));
        format!("{} {kind}{comment}{codec}", quote(&column.name))
    }

    /// The target's columns that the rows fill, after what `on_schema_change` makes of the differences.
    async fn fit(
        &self,
        table: &Table,
        wanted: &[Wanted],
        left_out: &mut Vec<String>,
    ) -> Result<Vec<(Place, Field)>> {
        let has = table.columns.iter().map(|column| Has {
            name: &column.name,
            not_null: !column.kind.nullable,
            fills_itself: column.fills_itself,
        });
        let places = self.fitting().places(&has.collect::<Vec<_>>(), wanted, |a, b| a == b)?;
        let mut fields = vec![];
        for (column, place) in wanted.iter().zip(places) {
            match place {
                Place::At(at) => fields.push((place, self.fit_column(&table.columns[at], column).await?)),
                Place::Added => {
                    let declared = self.declared(column, true, &self.options());
                    self.run(&format!("ALTER TABLE {} ADD COLUMN IF NOT EXISTS {declared}", self.sql()))
                        .await?;
                    fields.push((place, Field::new(&column.name, column.data_type.clone(), true)));
                }
                Place::LeftOut => left_out.push(column.name.clone()),
            }
        }
        Ok(fields)
    }

    async fn fit_column(&self, found: &TableColumn, column: &Wanted) -> Result<Field> {
        if found.computed {
            return Err(self.fitting().computed(&found.name));
        }
        let differs = || self.fitting().differs(&found.name, &found.declared, &column.data_type);
        let has = found.kind.arrow().filter(|_| found.kind.is_written()).ok_or_else(differs)?;
        let wide = types::widened(&has, &column.data_type).ok_or_else(differs)?;
        let named = |data_type| Field::new(&found.name, data_type, found.kind.nullable);
        if wide == has || self.spec.on_schema_change == OnSchemaChange::Ignore {
            return Ok(named(has));
        }
        if self.spec.on_schema_change == OnSchemaChange::Fail || found.sorts {
            return Err(differs());
        }
        let kind = types::keeping(&wide).ok_or_else(differs)?;
        let kind = if found.kind.nullable { format!("Nullable({kind})") } else { kind };
        let told = self.spec.columns.get(&found.name).and_then(|column| column.description.as_deref());
        let comment = types::comment(&wide, told);
        let comment = comment.map_or(String::new(), |comment| format!(" COMMENT {}", literal(&comment)));
        self.run(&format!("ALTER TABLE {} MODIFY COLUMN {} {kind}{comment}", self.sql(), quote(&found.name)))
            .await?;
        Ok(named(wide))
    }
}

/// A setting's value: a number as it is, anything else as text.
fn setting(value: &str) -> String {
    if value.parse::<f64>().is_ok() { value.to_owned() } else { literal(value) }
}

/// Whether tables of a database of this engine can be put in each other's place.
pub(super) fn is_written(engine: &str) -> bool {
    matches!(engine, "Atomic" | "Replicated")
}

/// Whether the record table is there.
pub(super) async fn has_records(server: &Server, database: &str, shown: &str) -> Result<bool> {
    let sql =
        format!("SELECT 1 FROM system.tables WHERE database = {} AND name = '{RECORDS}'", literal(database));
    Ok(server.row(shown, &sql).await?.is_some())
}

//! Rows as results: a table for people, CSV, JSON or Parquet for programs.

use std::io::Write;

use arrow::{
    array::RecordBatch,
    csv,
    datatypes::{Schema, SchemaRef},
    error::ArrowError,
    json,
    util::display::{ArrayFormatter, FormatOptions},
};
use parquet::{
    arrow::ArrowWriter, basic::Compression, errors::ParquetError, file::properties::WriterProperties,
};

use super::{
    failure::{Exit, Failure, Result},
    output::{Output, Tone},
    table::{Cell, Table},
};

/// Rows that a table shows at most: it is for reading.
const TABLE_ROWS: usize = 1_000;

/// How rows are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum RowFormat {
    /// For reading; at most 1,000 rows
    Table,
    /// With a header
    Csv,
    /// One array of objects
    Json,
    /// An object a line
    Ndjson,
    /// Apache Parquet, compressed
    Parquet,
}

/// Takes rows, batch by batch.
pub(super) enum RowWriter<W: Write + Send> {
    /// Rows of a table, shown at the end.
    Table(TableRows),
    /// CSV.
    Csv(Box<csv::Writer<W>>),
    /// One JSON array.
    Json(json::ArrayWriter<W>),
    /// A JSON object a line.
    Ndjson(json::LineDelimitedWriter<W>),
    /// Parquet.
    Parquet(Box<ArrowWriter<W>>),
}

/// Rows of a table, as far as they are shown.
pub(super) struct TableRows {
    table: Table,
    output: Output,
    shown: usize,
    left_out: usize,
}

impl<W: Write + Send> RowWriter<W> {
    /// Begins with rows of this schema.
    pub(super) fn new(format: RowFormat, schema: &SchemaRef, output: Output, target: W) -> Result<Self> {
        Ok(match format {
            RowFormat::Table => Self::Table(TableRows::new(schema, output)),
            RowFormat::Csv => {
                let mut writer = csv::WriterBuilder::new().with_header(true).build(target);
                // An empty batch writes the header, which a result without rows has too.
                writer.write(&RecordBatch::new_empty(schema.clone())).map_err(arrow_failure)?;
                Self::Csv(Box::new(writer))
            }
            RowFormat::Json => Self::Json(
                json::WriterBuilder::new()
                    .with_explicit_nulls(true)
                    .build::<_, json::writer::JsonArray>(target),
            ),
            RowFormat::Ndjson => Self::Ndjson(
                json::WriterBuilder::new()
                    .with_explicit_nulls(true)
                    .build::<_, json::writer::LineDelimited>(target),
            ),
            RowFormat::Parquet => {
                let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
                let writer = ArrowWriter::try_new(target, schema.clone(), Some(properties));
                Self::Parquet(Box::new(writer.map_err(parquet_failure)?))
            }
        })
    }

    /// Takes rows.
    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result {
        match self {
            Self::Table(rows) => rows.take(batch),
            Self::Csv(writer) => writer.write(batch).map_err(arrow_failure),
            Self::Json(writer) => writer.write(batch).map_err(arrow_failure),
            Self::Ndjson(writer) => writer.write(batch).map_err(arrow_failure),
            Self::Parquet(writer) => writer.write(batch).map_err(parquet_failure),
        }
    }

    /// All rows were taken.
    pub(super) fn finish(self) -> Result {
        match self {
            Self::Table(rows) => rows.finish(),
            Self::Csv(writer) => Ok(writer.into_inner().flush()?),
            Self::Json(mut writer) => {
                writer.finish().map_err(arrow_failure)?;
                let mut target = writer.into_inner();
                target.write_all(b"\n")?;
                Ok(target.flush()?)
            }
            Self::Ndjson(mut writer) => {
                writer.finish().map_err(arrow_failure)?;
                Ok(writer.into_inner().flush()?)
            }
            Self::Parquet(writer) => Ok(writer.into_inner().map_err(parquet_failure)?.flush()?),
        }
    }
}

impl TableRows {
    fn new(schema: &Schema, output: Output) -> Self {
        let columns =
            schema.fields().iter().map(|field| (field.name().clone(), field.data_type().is_numeric()));
        Self { table: Table::of_columns(columns), output, shown: 0, left_out: 0 }
    }

    fn take(&mut self, batch: &RecordBatch) -> Result {
        let room = batch.num_rows().min(TABLE_ROWS - self.shown);
        self.left_out += batch.num_rows() - room;
        self.shown += room;
        let options = FormatOptions::default();
        let columns = batch.columns().iter().map(|column| ArrayFormatter::try_new(column.as_ref(), &options));
        let columns = columns.collect::<Result<Vec<_>, _>>().map_err(arrow_failure)?;
        for row in 0..room {
            let cells = columns.iter().zip(batch.columns()).map(|(formatter, column)| {
                if column.is_null(row) {
                    Cell::new("NULL", Tone::Dim)
                } else {
                    formatter.value(row).to_string().into()
                }
            });
            self.table.row(cells);
        }
        Ok(())
    }

    fn finish(self) -> Result {
        self.table.print(self.output)?;
        if self.left_out > 0 {
            self.output.say(&format!(
                "… and {} more; --format csv, json or parquet gives all",
                super::output::counted(self.left_out as u64, "row")
            ));
        }
        Ok(())
    }
}

fn arrow_failure(error: ArrowError) -> Failure {
    match error {
        ArrowError::IoError(_, error) => error.into(),
        // The CSV writer hides what happened to its target in a text.
        ArrowError::CsvError(text) if text.contains("Broken pipe") => Failure::told(Exit::Closed),
        other => Failure::problem(format!("these rows cannot be written so: {other}")),
    }
}

fn parquet_failure(error: ParquetError) -> Failure {
    match error {
        ParquetError::External(error) => match error.downcast::<std::io::Error>() {
            Ok(error) => (*error).into(),
            Err(other) => Failure::problem(format!("these rows cannot be written as Parquet: {other}")),
        },
        other => Failure::problem(format!("these rows cannot be written as Parquet: {other}")),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::{
        array::{Int64Array, StringArray},
        datatypes::{DataType, Field},
    };

    use super::*;
    use crate::cli::output::ColorWhen;

    fn batch(rows: usize) -> RecordBatch {
        let schema = Schema::new(vec![
            Field::new("Имя, \"x\"", DataType::Utf8, true),
            Field::new("n", DataType::Int64, true),
        ]);
        let names: StringArray = (0..rows).map(|i| (i != 1).then(|| format!("а\n{i}"))).collect();
        let numbers = Int64Array::from_iter_values((0..rows).map(|i| i as i64));
        RecordBatch::try_new(Arc::new(schema), vec![Arc::new(names), Arc::new(numbers)]).unwrap()
    }

    fn written(format: RowFormat, rows: usize) -> Vec<u8> {
        let mut target = Vec::new();
        let batch = batch(rows);
        let output = Output::new(ColorWhen::Never, true);
        let mut writer = RowWriter::new(format, &batch.schema(), output, &mut target).unwrap();
        if rows > 0 {
            writer.write(&batch).unwrap();
        }
        writer.finish().unwrap();
        target
    }

    #[test]
    fn csv_quotes_and_always_has_its_header() {
        assert_eq!(String::from_utf8(written(RowFormat::Csv, 0)).unwrap(), "\"Имя, \"\"x\"\"\",n\n");
        let text = String::from_utf8(written(RowFormat::Csv, 2)).unwrap();
        assert_eq!(text, "\"Имя, \"\"x\"\"\",n\n\"а\n0\",0\n,1\n");
    }

    #[test]
    fn json_says_null_and_is_valid_without_rows() {
        let parse = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).unwrap();
        assert_eq!(parse(&written(RowFormat::Json, 0)), serde_json::json!([]));
        let rows = parse(&written(RowFormat::Json, 2));
        assert_eq!(rows[1], serde_json::json!({ "Имя, \"x\"": null, "n": 1 }));
        let lines = String::from_utf8(written(RowFormat::Ndjson, 3)).unwrap();
        assert_eq!(lines.lines().count(), 3);
    }

    #[test]
    fn parquet_begins_and_ends_as_it_should() {
        let bytes = written(RowFormat::Parquet, 2);
        assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"));
    }

    #[test]
    fn a_table_is_bounded() {
        let output = Output::new(ColorWhen::Never, true);
        let batch = batch(TABLE_ROWS + 5);
        let mut rows = TableRows::new(&batch.schema(), output);
        rows.take(&batch).unwrap();
        rows.take(&batch).unwrap();
        assert_eq!((rows.shown, rows.left_out), (TABLE_ROWS, TABLE_ROWS + 10));
    }
}

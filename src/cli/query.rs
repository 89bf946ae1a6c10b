//! `query`: read-only SQL over all connections, pipelines and marts.

use std::{
    io::{BufWriter, IsTerminal, Write},
    path::{Path, PathBuf},
};

use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;

use super::{
    context::Context,
    failure::{Failure, Result},
    interrupt::unless_interrupted,
    output::{Output, counted},
    rows::{RowFormat, RowWriter},
    runner,
};
use crate::{clock::SystemClock, connector::error::Error, engine::params::Params, model::time::Clock};

const EXAMPLES: &str = r#"Examples:
  vitrina query 'SELECT * FROM mart.revenue LIMIT 10'
  vitrina query 'SELECT region, count(*) FROM pipeline.actions_to_warehouse GROUP BY region'
  vitrina query 'SELECT * FROM stream."crm.actions.mrf1"' --format csv -o actions.csv
  vitrina query 'SELECT * FROM warehouse.orders' -o orders.parquet
  echo 'SELECT 1' | vitrina query -

Names: connection.table (or connection.schema.table), pipeline.NAME and mart.NAME over all members.
Quote names with dots or other letters: stream."crm.actions.mrf1"."#;

/// Options of `query`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The query; `-` reads it from stdin
    #[arg(value_name = "SQL")]
    sql: String,

    /// How rows are told [default: table; with -o, what the file's name says]
    #[arg(long, value_enum)]
    format: Option<RowFormat>,

    /// Write rows into a file, which appears when it is whole
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Runs the command.
pub(super) async fn run(args: &Args, context: &Context) -> Result {
    let sql = text(&args.sql)?;
    let format = format(args)?;
    let project = context.project()?;
    let runtime = runner::open(&project)?;
    unless_interrupted(async {
        let rows = runtime.engine().query(&sql, &Params::default(), SystemClock.now()).await?;
        match &args.output {
            None => pour(rows, format, context.output, BufWriter::new(std::io::stdout())).await.map(drop),
            Some(path) => into_file(rows, format, path, context.output).await,
        }
    })
    .await
}

/// Every row into the target; gives how many there were.
async fn pour(
    mut rows: SendableRecordBatchStream,
    format: RowFormat,
    output: Output,
    target: impl Write + Send,
) -> Result<u64> {
    let mut writer = RowWriter::new(format, &rows.schema(), output, target)?;
    let mut written = 0;
    while let Some(batch) = rows.next().await {
        let batch = batch.map_err(Error::from)?;
        written += batch.num_rows() as u64;
        writer.write(&batch)?;
    }
    writer.finish()?;
    Ok(written)
}

/// The file appears whole, or not at all.
async fn into_file(
    rows: SendableRecordBatchStream,
    format: RowFormat,
    path: &Path,
    output: Output,
) -> Result {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)
        .map_err(|error| Failure::file("cannot write into", folder, &error))?;
    let written = pour(rows, format, output, BufWriter::new(file.as_file_mut())).await?;
    keep(file, path).map_err(|error| Failure::file("cannot write", path, &error))?;
    output.say(&format!("{} written to {}", counted(written, "row"), path.display()));
    Ok(())
}

fn text(argument: &str) -> Result<String> {
    if argument != "-" {
        return Ok(argument.to_owned());
    }
    std::io::read_to_string(std::io::stdin())
        .map_err(|error| Failure::file("cannot read the query from", Path::new("stdin"), &error))
}

fn format(args: &Args) -> Result<RowFormat> {
    let format = match (&args.output, args.format) {
        (_, Some(format)) => format,
        (None, None) => RowFormat::Table,
        (Some(path), None) => by_name(path).ok_or_else(|| {
            Failure::usage(format!("{}: its name does not tell the format", path.display()))
                .hint("say --format csv, json, ndjson or parquet")
        })?,
    };
    match (&args.output, format) {
        (Some(_), RowFormat::Table) => Err(Failure::usage("a table is for reading, not for a file")
            .hint("say --format csv, json, ndjson or parquet")),
        (None, RowFormat::Parquet) if std::io::stdout().is_terminal() => {
            Err(Failure::usage("Parquet cannot be shown on a terminal").hint("write it into a file: -o FILE"))
        }
        _ => Ok(format),
    }
}

fn by_name(path: &Path) -> Option<RowFormat> {
    match path.extension()?.to_str()? {
        "csv" => Some(RowFormat::Csv),
        "json" => Some(RowFormat::Json),
        "ndjson" | "jsonl" => Some(RowFormat::Ndjson),
        "parquet" => Some(RowFormat::Parquet),
        _ => None,
    }
}

/// Temporary files are for their owner alone; a result is as readable as any new file.
fn keep(file: tempfile::NamedTempFile, path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_tells_the_format() {
        assert_eq!(by_name(Path::new("отчёт.parquet")), Some(RowFormat::Parquet));
        assert_eq!(by_name(Path::new("a.tar.jsonl")), Some(RowFormat::Ndjson));
        assert_eq!(by_name(Path::new("rows")), None);
    }
}

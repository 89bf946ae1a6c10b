//! `schema`: JSON Schemas of the files that users write; `schema pull` asks for those of outside tables.

use std::path::PathBuf;

use super::{
    context::Context,
    failure::{Failure, Result},
    output::{self, counted},
    schema_pull,
};
use crate::config;

const EXAMPLES: &str = "\
Examples:
  vitrina schema --out .vitrina/schemas          one file for each kind of TOML file
  vitrina schema | jq 'keys'                      one JSON object of all
  vitrina schema pull                            columns of outside tables into schemas.lock

With taplo (Even Better TOML), begin a pipeline's file with
  #:schema ../.vitrina/schemas/pipeline.schema.json";

/// Options of `schema`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(super) struct Args {
    /// The folder to write them into; unless told, all are printed as one JSON object
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Ask connections for the columns of tables that the project reads and does not make; `check` types SQL by them
    Pull(schema_pull::Args),
}

/// Runs the command.
pub(super) async fn run(args: &Args, context: &Context) -> Result {
    if let Some(Action::Pull(args)) = &args.action {
        return schema_pull::run(args, context).await;
    }
    let schemas = config::schemas();
    let Some(folder) = &args.out else {
        let all: serde_json::Map<String, serde_json::Value> =
            schemas.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect();
        return output::print(&pretty(&serde_json::Value::Object(all)));
    };
    std::fs::create_dir_all(folder).map_err(|error| Failure::file("cannot make", folder, &error))?;
    let mut written = 0;
    for (name, schema) in schemas {
        let file = folder.join(name);
        std::fs::write(&file, pretty(&schema) + "\n")
            .map_err(|error| Failure::file("cannot write", &file, &error))?;
        output::print(&file.display().to_string())?;
        written += 1;
    }
    context.output.say(&format!("{} written", counted(written, "schema")));
    Ok(())
}

fn pretty(value: &serde_json::Value) -> String {
    format!("{value:#}")
}

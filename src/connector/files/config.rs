//! What users write about files.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{format::Spelling, name::Name};
pub use crate::connector::objects::config::Config;
use crate::{
    connector::{misfit::Misfit, sink::SinkSpec, source::SourceSpec},
    model::{
        delivery::{Mode, Order, Reading, SinkFacts, SourceFacts},
        time::Span,
        unit::SliceLimit,
    },
};

/// Every commit leaves a file and a manifest behind, so that news is gathered for longer.
const LINGER: Duration = Duration::from_secs(10);

/// What a file is made of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Apache Parquet.
    #[default]
    Parquet,
    /// Records of CSV (RFC 4180), in UTF-8.
    Csv,
    /// A JSON object a line, in UTF-8.
    Jsonl,
}

/// How a text file is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// gzip.
    Gz,
    /// Zstandard.
    Zst,
}

/// By what it is known which files have been read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Seen {
    /// Each of them is remembered: 5,000 at most.
    #[default]
    Each,
    /// The last one by name is remembered, any number of files; one whose name comes before it is not read any more.
    Name,
}

/// What becomes of a file that was read and is another one now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Changed {
    /// The run fails and names it.
    #[default]
    Refuse,
    /// It is read anew, all of it: for `merge`, whose keys take the place of the old rows.
    Read,
}

/// `[source.files]`: acts where the source's connection is of files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceOptions {
    /// What the files are made of; told by their names unless told here: `.parquet`, `.csv`, `.tsv`, `.jsonl`, `.ndjson`, `.json`, the text ones also with `.gz` or
    /// `.zst` behind.
    pub format: Option<Format>,
    /// `csv`: what stands between fields, one ASCII character; `","` unless told, a tab in `.tsv`.
    pub delimiter: Option<char>,
    /// `csv`: whether files begin with a line of column names; `true` unless told. Without one, the columns are the contract's, in its order.
    pub header: Option<bool>,
    /// By what it is known which files have been read.
    #[serde(default)]
    pub seen: Seen,
    /// What becomes of a file that was read and is another one now.
    #[serde(default)]
    pub changed: Changed,
    /// A file counts once it was the same at two looks so far apart: `"5s"`. For files that are written in place, so that their names show before they are
    /// whole. Not waited for unless told.
    pub settle: Option<Span>,
}

/// `[sink.files]`: acts where the sink's connection is of files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SinkOptions {
    /// What the files are made of; `"parquet"` unless told. It stays as the table was made.
    #[serde(default)]
    pub format: Format,
    /// `csv`: what stands between fields, one ASCII character; `","` unless told.
    pub delimiter: Option<char>,
    /// `csv` and `jsonl`: how files are packed; not at all unless told.
    pub compression: Option<Compression>,
}

/// A delimiter that cannot be, or that goes with another format.
fn bad_delimiter(format: Option<Format>, delimiter: Option<char>) -> Option<Misfit> {
    let delimiter = delimiter?;
    if format.is_some_and(|format| format != Format::Csv) {
        return Some(Misfit::of(
            "delimiter",
            "conflicting-keys",
            "`delimiter` goes with the format `csv`",
            "leave it out",
        ));
    }
    let good = delimiter.is_ascii() && !matches!(delimiter, '"' | '\n' | '\r');
    (!good).then(|| {
        let message = "`delimiter` must be one ASCII character, no quote";
        Misfit::of("delimiter", "bad-delimiter", message, "take `,`, `;`, `|` or a tab")
    })
}

/// What of a source cannot be; keys of `[source.files]` are named `files.…` by whoever shows them.
pub fn source_misfits(spec: &SourceSpec) -> Vec<Misfit> {
    let options = spec.options.files.clone().unwrap_or_default();
    let mut found: Vec<Misfit> = bad_delimiter(options.format, options.delimiter).into_iter().collect();
    if options.header == Some(false) && spec.contract.is_none() {
        let message = "files without a line of names need a contract, whose columns are theirs";
        found.push(Misfit::of("header", "missing-key", message, "write `columns`, in the files' order"));
    }
    found
}

/// What is wrong with the table of a source.
pub fn source_table_misfit(spec: &SourceSpec) -> Option<Misfit> {
    Name::parse(&spec.table).err().map(|wrong| Misfit::of("table", "bad-table", wrong, Name::HINT))
}

/// What of a sink cannot be.
pub fn sink_misfits(spec: &SinkSpec) -> Vec<Misfit> {
    let options = spec.options.files.clone().unwrap_or_default();
    let mut found: Vec<Misfit> = bad_delimiter(Some(options.format), options.delimiter).into_iter().collect();
    if options.format == Format::Parquet && options.compression.is_some() {
        let message = "`compression` goes with text: Parquet is compressed by itself";
        found.push(Misfit::of("compression", "conflicting-keys", message, "leave it out"));
    }
    found
}

/// What is wrong with the table of a sink.
pub fn sink_table_misfit(spec: &SinkSpec) -> Option<Misfit> {
    let wrong = match Name::parse(&spec.table) {
        Ok(name) => name.not_written()?,
        Err(wrong) => wrong,
    };
    Some(Misfit::of("table", "bad-table", wrong, "name a folder: `exports/payments`"))
}

/// What a source of files can promise.
pub fn source_facts(spec: &SourceSpec) -> SourceFacts {
    if spec.whole {
        return SourceFacts { reading: Reading::Whole, replays: true };
    }
    let options = spec.options.files.clone().unwrap_or_default();
    if options.changed == Changed::Read {
        let order = Order::Again("a file that was changed is read again, all of it".to_owned());
        return SourceFacts { reading: Reading::Ranges(order), replays: true };
    }
    let mut assumed = match options.settle {
        None => "a file is whole when its name shows".to_owned(),
        Some(span) => format!("a file is whole when it was the same for {span}"),
    };
    if options.seen == Seen::Name {
        assumed.push_str("; a new file's name comes behind those of all before it");
    }
    SourceFacts { reading: Reading::Ranges(Order::Assuming(assumed)), replays: true }
}

/// What a sink of files can promise.
pub fn sink_facts(_: &SinkSpec) -> SinkFacts {
    SinkFacts {
        weak: None,
        assuming: vec!["whoever reads the files takes those that the newest manifest names".to_owned()],
        modes: vec![Mode::Append, Mode::Replace, Mode::Window],
        slice: SliceLimit::default(),
        linger: LINGER,
    }
}

impl SinkOptions {
    /// How the files are spelled.
    pub(super) fn spelling(&self) -> Spelling {
        Spelling {
            format: self.format,
            compression: self.compression,
            delimiter: self.delimiter.unwrap_or(','),
            header: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delimiters() {
        assert_eq!(bad_delimiter(None, Some(';')), None);
        assert_eq!(bad_delimiter(Some(Format::Csv), Some('\t')), None);
        assert_eq!(bad_delimiter(Some(Format::Jsonl), Some(';')).unwrap().code, "conflicting-keys");
        for wrong in ['"', '\n', 'ж'] {
            assert_eq!(bad_delimiter(None, Some(wrong)).unwrap().code, "bad-delimiter");
        }
    }
}

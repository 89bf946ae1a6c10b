//! How a file is spelled, as its name says.

use serde::{Deserialize, Serialize};

use super::config::{Compression, Format, SourceOptions};

/// How the rows of a file are spelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Spelling {
    /// What it is made of.
    pub(super) format: Format,
    /// How it is packed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) compression: Option<Compression>,
    /// What stands between the fields of CSV.
    pub(super) delimiter: char,
    /// Whether CSV begins with names.
    pub(super) header: bool,
}

const SUFFIXES: [(&str, Format); 6] = [
    (".parquet", Format::Parquet),
    (".csv", Format::Csv),
    (".tsv", Format::Csv),
    (".jsonl", Format::Jsonl),
    (".ndjson", Format::Jsonl),
    (".json", Format::Jsonl),
];

const PACKED: [(&str, Compression); 2] = [(".gz", Compression::Gz), (".zst", Compression::Zst)];

impl Spelling {
    /// As a file's name and a source's options say; `None` = neither tells.
    pub(super) fn of(path: &str, options: &SourceOptions) -> Option<Self> {
        let lower = path.to_lowercase();
        let packed = PACKED.iter().find_map(|(suffix, how)| Some((lower.strip_suffix(suffix)?, *how)));
        let (plain, compression) = match packed {
            Some((plain, how)) => (plain, Some(how)),
            None => (lower.as_str(), None),
        };
        let by_name = SUFFIXES.iter().find(|(suffix, _)| plain.ends_with(suffix)).map(|(_, format)| *format);
        let format = options.format.or(by_name)?;
        let usual = if plain.ends_with(".tsv") { '\t' } else { ',' };
        Some(Self {
            format,
            compression: compression.filter(|_| format != Format::Parquet),
            delimiter: options.delimiter.unwrap_or(usual),
            header: options.header.unwrap_or(true),
        })
    }

    /// What stands between fields; one ASCII character, as `check` saw to.
    pub(super) fn delimiter(self) -> u8 {
        u8::try_from(self.delimiter).unwrap_or(b',')
    }

    /// How names of such files end.
    pub(super) fn suffix(self) -> &'static str {
        match (self.format, self.compression) {
            (Format::Parquet, _) => "parquet",
            (Format::Csv, None) => "csv",
            (Format::Csv, Some(Compression::Gz)) => "csv.gz",
            (Format::Csv, Some(Compression::Zst)) => "csv.zst",
            (Format::Jsonl, None) => "jsonl",
            (Format::Jsonl, Some(Compression::Gz)) => "jsonl.gz",
            (Format::Jsonl, Some(Compression::Zst)) => "jsonl.zst",
        }
    }

    /// For people.
    pub(super) fn shown(self) -> &'static str {
        match self.format {
            Format::Parquet => "Parquet",
            Format::Csv => "CSV",
            Format::Jsonl => "JSON Lines",
        }
    }

    /// How many bytes of Arrow a byte of such a file is, about: what slices are cut by.
    pub(super) fn swells(self) -> u64 {
        match (self.format, self.compression) {
            (Format::Parquet, _) => 4,
            (_, Some(_)) => 6,
            (_, None) => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell() {
        let of = |path: &str| Spelling::of(path, &SourceOptions::default());
        assert_eq!(of("a/b.PARQUET").unwrap().suffix(), "parquet");
        assert_eq!(of("a.csv.gz").unwrap().suffix(), "csv.gz");
        assert_eq!(of("a.ndjson.zst").unwrap().suffix(), "jsonl.zst");
        assert_eq!(of("a.tsv").unwrap().delimiter, '\t');
        assert_eq!(of("README.txt"), None);
        let told = SourceOptions { format: Some(Format::Csv), delimiter: Some(';'), ..Default::default() };
        let told = Spelling::of("выгрузка.txt", &told).unwrap();
        assert_eq!((told.format, told.delimiter), (Format::Csv, ';'));
    }
}

//! What counts in a folder that rows are written into: which files, of which columns, and the records of those who wrote them. Pure.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use arrow::datatypes::{Field, Schema, SchemaRef};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::format::Spelling;
use crate::model::{column::ColumnType, unit::Record, value::Value};

/// Files that a manifest names, at most: each commit writes all of their names.
pub(super) const NAMED: usize = 20_000;
/// What counted is not removed sooner: somebody may still read it.
pub(super) const READ: Duration = Duration::from_secs(3600);
/// How manifests are written down.
const VERSION: u32 = 1;

/// A manifest. The one of the highest number counts, and nothing else does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// How it is written down.
    pub(super) vitrina: u32,
    /// How the files are spelled.
    pub(super) spelling: Spelling,
    /// The target's columns; none where there are records alone.
    pub(super) columns: Vec<Column>,
    /// The files that count.
    pub(super) files: Vec<Named>,
    /// Files that counted before, and still lie there for those who read them.
    #[serde(default)]
    pub(super) replaced: Vec<Replaced>,
    /// Records by track.
    pub(super) records: BTreeMap<String, Record>,
}

/// A column of the target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Column {
    /// Its name.
    pub(super) name: String,
    /// Its type.
    pub(super) r#type: ColumnType,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) description: Option<String>,
}

/// A file that counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Named {
    /// Its name in the folder.
    pub(super) name: String,
    /// Its bytes.
    pub(super) bytes: u64,
    /// Its rows; unknown of files that were there before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) rows: Option<u64>,
    /// What of the table it holds; `None` = any rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) part: Option<Part>,
}

/// A part of a table that is replaced as one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Part {
    /// Rows that have these values.
    Of(BTreeMap<String, String>),
    /// Rows whose `column` lies in `from .. until`.
    Window { column: String, from: Value, until: Value },
}

/// A file that was replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Replaced {
    /// Its name in the folder.
    pub(super) name: String,
    /// When the commit was that replaced it, by its writer's clock.
    pub(super) at: DateTime<Utc>,
}

/// What new files take the place of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Replaces {
    Nothing,
    Everything,
    Part(Part),
}

/// Why new files cannot be named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Untaken {
    /// This file may hold rows of the part that is replaced, and of others.
    Mixed(String),
    /// There would be too many.
    TooMany,
}

impl Manifest {
    /// One of a folder where nothing counts yet.
    pub(super) fn new(spelling: Spelling) -> Self {
        Self {
            vitrina: VERSION,
            spelling,
            columns: vec![],
            files: vec![],
            replaced: vec![],
            records: BTreeMap::new(),
        }
    }

    /// From its text; the error says what is wrong.
    pub(super) fn parse(text: &[u8]) -> Result<Self, String> {
        let manifest: Self = serde_json::from_slice(text)
            .map_err(|error| format!("it is broken at line {}, column {}", error.line(), error.column()))?;
        if manifest.vitrina == VERSION {
            return Ok(manifest);
        }
        Err(format!("it was written by a newer Vitrina (version {} of manifests)", manifest.vitrina))
    }

    /// The target's columns.
    pub(super) fn schema(&self) -> SchemaRef {
        let field = |column: &Column| Field::new(&column.name, column.r#type.arrow().clone(), true);
        Arc::new(Schema::new(self.columns.iter().map(field).collect::<Vec<_>>()))
    }

    /// Names new files in the place of what they replace, and forgets those that were replaced long enough before; gives these, which may be removed. The error
    /// says why that cannot be.
    pub(super) fn take(
        &mut self,
        new: Vec<Named>,
        replaces: &Replaces,
        at: DateTime<Utc>,
    ) -> Result<Vec<Replaced>, Untaken> {
        let (gone, kept): (Vec<Named>, Vec<Named>) = match replaces {
            Replaces::Nothing => (vec![], std::mem::take(&mut self.files)),
            Replaces::Everything => (std::mem::take(&mut self.files), vec![]),
            Replaces::Part(part) => {
                if let Some(mixed) = self.files.iter().find(|file| !file.is_apart_from(part)) {
                    return Err(Untaken::Mixed(mixed.name.clone()));
                }
                std::mem::take(&mut self.files).into_iter().partition(|file| file.part.as_ref() == Some(part))
            }
        };
        self.files = kept;
        self.files.extend(new);
        let (old, young): (Vec<_>, Vec<_>) = self.replaced.drain(..).partition(|file| file.is_old(at));
        self.replaced = young;
        self.replaced.extend(gone.into_iter().map(|file| Replaced { name: file.name, at }));
        if self.files.len() + self.replaced.len() > NAMED {
            return Err(Untaken::TooMany);
        }
        Ok(old)
    }
}

impl Replaced {
    /// Whether nobody who began before it was replaced reads it any more.
    pub(super) fn is_old(&self, now: DateTime<Utc>) -> bool {
        self.at + READ < now
    }
}

impl Named {
    /// Whether it is of this part whole, or has none of its rows.
    fn is_apart_from(&self, part: &Part) -> bool {
        match (&self.part, part) {
            (Some(own), part) if own == part => true,
            (Some(Part::Of(own)), Part::Of(other)) => own.keys().eq(other.keys()),
            (
                Some(Part::Window { column, from, until }),
                Part::Window { column: other, from: begin, until: end },
            ) => {
                let before = |a: &Value, b: &Value| a.compare(b).is_some_and(std::cmp::Ordering::is_le);
                column == other && (before(until, begin) || before(end, from))
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::config::SinkOptions, *};

    fn named(name: &str, part: Option<Part>) -> Named {
        Named { name: name.to_owned(), bytes: 1, rows: Some(1), part }
    }

    fn window(from: i64, until: i64) -> Part {
        Part::Window { column: "id".to_owned(), from: Value::Int(from), until: Value::Int(until) }
    }

    fn of(region: &str) -> Part {
        Part::Of([("region".to_owned(), region.to_owned())].into())
    }

    fn manifest(files: Vec<Named>) -> Manifest {
        Manifest { files, ..Manifest::new(SinkOptions::default().spelling()) }
    }

    fn names(manifest: &Manifest) -> Vec<&str> {
        manifest.files.iter().map(|file| file.name.as_str()).collect()
    }

    #[test]
    fn parts_take_each_others_place() {
        let at = DateTime::UNIX_EPOCH;
        let mut table = manifest(vec![named("a", Some(window(0, 10))), named("b", Some(window(10, 20)))]);
        table.take(vec![named("c", Some(window(10, 20)))], &Replaces::Part(window(10, 20)), at).unwrap();
        assert_eq!(names(&table), ["a", "c"]);
        assert_eq!(table.replaced[0].name, "b");
        for other in [window(5, 15), window(0, 20)] {
            assert!(table.clone().take(vec![], &Replaces::Part(other), at).is_err());
        }
        assert!(table.clone().take(vec![], &Replaces::Part(of("mrf1")), at).is_err());
        table.take(vec![named("d", None)], &Replaces::Nothing, at).unwrap();
        assert!(
            table.clone().take(vec![], &Replaces::Part(window(10, 20)), at).is_err(),
            "d may hold any rows"
        );
        table.take(vec![named("e", None)], &Replaces::Everything, at).unwrap();
        assert_eq!((names(&table), table.replaced.len()), (vec!["e"], 4));
        let later = at + READ + Duration::from_secs(1);
        let old = table.take(vec![], &Replaces::Everything, later).unwrap();
        assert_eq!((old.len(), table.replaced.len()), (4, 1), "what was replaced long ago may go");

        let mut table = manifest(vec![named("a", Some(of("mrf1"))), named("b", Some(of("mrf2")))]);
        table.take(vec![], &Replaces::Part(of("mrf1")), at).unwrap();
        assert_eq!(names(&table), ["b"]);
    }

    #[test]
    fn files_have_a_limit() {
        let mut table = manifest((0..NAMED).map(|number| named(&number.to_string(), None)).collect());
        let refused = table.take(vec![named("x", None)], &Replaces::Nothing, DateTime::UNIX_EPOCH);
        assert_eq!(refused, Err(Untaken::TooMany));
    }

    #[test]
    fn manifests_come_back() {
        let mut table =
            manifest(vec![named("a", Some(window(0, 10))), named("b", Some(of("Ёж"))), named("c", None)]);
        let column = |name: &str, kind: &str| Column {
            name: name.to_owned(),
            r#type: kind.parse().unwrap(),
            description: Some("что это".to_owned()),
        };
        table.columns = vec![column("Имя", "text"), column("at", "timestamp(ms, UTC)")];
        let text = serde_json::to_vec(&table).unwrap();
        assert_eq!(Manifest::parse(&text).unwrap(), table);
        assert!(Manifest::parse(&text[..40]).unwrap_err().contains("broken"));
        let newer = String::from_utf8(text).unwrap().replace("\"vitrina\":1", "\"vitrina\":2");
        assert!(Manifest::parse(newer.as_bytes()).unwrap_err().contains("newer"));
    }
}

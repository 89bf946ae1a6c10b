//! How rows fit a target that is a table: which columns they bring, which of the target's they fill, and what is made of differences.

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::{
    error::{Error, ErrorKind, Result},
    sink::{DeleteHow, OnSchemaChange, SinkSpec},
};
use crate::model::{
    column::ColumnType,
    delivery::Mode,
    name::Track,
    unit::{DELETED, Progress, Record},
};

/// A sink and its target.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fitting<'a> {
    /// What is asked of it.
    pub(crate) spec: &'a SinkSpec,
    /// How messages name the target.
    pub(crate) shown: &'a str,
}

/// A column that the rows bring, with the type that the target is to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) name: String,
    pub(crate) data_type: DataType,
}

/// A column that the target has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Has<'a> {
    pub(crate) name: &'a str,
    /// Whether it takes no NULL.
    pub(crate) not_null: bool,
    /// Whether the place fills it by itself when rows do not.
    pub(crate) fills_itself: bool,
}

/// Where a column of the rows goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Into a column that is there.
    At(usize),
    /// Into one that is added.
    Added,
    /// Nowhere.
    LeftOut,
}

impl Fitting<'_> {
    /// The rows' columns, the deletion mark last where it is kept.
    pub(crate) fn wanted(self, rows: &SchemaRef) -> Vec<Wanted> {
        let rows = rows.fields().iter().filter(|field| self.spec.delete.is_none() || field.name() != DELETED);
        let told = |name: &str| self.spec.columns.get(name).and_then(|column| column.kind.clone());
        let mut wanted: Vec<Wanted> = rows
            .map(|field| {
                let kind = told(field.name()).unwrap_or_else(|| ColumnType::of(field.data_type()));
                Wanted { name: field.name().clone(), data_type: kind.arrow().clone() }
            })
            .collect();
        if self.spec.delete == Some(DeleteHow::Soft) {
            wanted.push(Wanted { name: DELETED.to_owned(), data_type: DataType::Boolean });
        }
        wanted
    }

    /// Refuses rows that lack one of the columns `names`, of which `what` is made.
    pub(crate) fn check_brought(self, wanted: &[Wanted], names: &[String], what: &str) -> Result<()> {
        match names.iter().find(|name| !wanted.iter().any(|column| column.name == **name)) {
            None => Ok(()),
            Some(name) => {
                let message =
                    format!("{}: the rows have no column \"{name}\", which is in {what}", self.shown);
                Err(Error::new(ErrorKind::BadData, message))
            }
        }
    }

    /// Where the rows' columns go, as `on_schema_change` says; `same` compares names as the place does.
    pub(crate) fn places(
        self,
        has: &[Has<'_>],
        wanted: &[Wanted],
        same: impl Fn(&str, &str) -> bool,
    ) -> Result<Vec<Place>> {
        let mut filled = vec![false; has.len()];
        let mut places = vec![];
        for Wanted { name, .. } in wanted {
            let there = has.iter().position(|column| same(column.name, name));
            places.push(match (there, self.spec.on_schema_change) {
                (Some(at), _) => {
                    filled[at] = true;
                    Place::At(at)
                }
                (None, OnSchemaChange::Evolve) => Place::Added,
                (None, OnSchemaChange::Ignore) => Place::LeftOut,
                (None, OnSchemaChange::Fail) => {
                    return Err(self.changed(&format!("has no column \"{name}\", which the rows have")));
                }
            });
        }
        let lacking = has.iter().zip(filled).filter(|(column, filled)| !filled && !column.fills_itself);
        for (column, _) in lacking {
            let kept = self.spec.on_schema_change != OnSchemaChange::Fail || column.name == DELETED;
            if !kept || column.not_null {
                let what = format!("has a column \"{}\", which the rows have not", column.name);
                return Err(self.changed(&what));
            }
        }
        Ok(places)
    }

    /// What staged rows look like: the columns that they fill, in the target's order, added ones behind the others.
    pub(crate) fn claimed(self, mut fields: Vec<(Place, Field)>) -> SchemaRef {
        fields.sort_by_key(|(place, _)| match place {
            Place::At(at) => *at,
            Place::Added | Place::LeftOut => usize::MAX,
        });
        let mut fields: Vec<Field> = fields.into_iter().map(|(_, field)| field).collect();
        if self.spec.delete == Some(DeleteHow::Hard) {
            fields.push(Field::new(DELETED, DataType::Boolean, true));
        }
        Schema::new(fields).into()
    }

    /// Refuses to make a table anew that a track has written into, unless all of it is written now.
    pub(crate) fn check_vanished(self, track: &Track, record: Option<&Record>) -> Result<()> {
        let fills = self.spec.mode != Mode::Replace && !self.spec.anew;
        if !fills || record.is_none_or(|record| record.progress == Progress::Start) {
            return Ok(());
        }
        let message = format!("{} is gone, though {} was written into it", self.shown, track.name());
        Err(Error::new(ErrorKind::NotFound, message)
            .hint("restore it, or fill it again from the beginning: `vitrina position reset`"))
    }

    /// The error of rows that no record explains: they could be doubled or wiped, so their owner has to say what they are.
    pub(crate) fn unexplained(self) -> Error {
        let message = format!("{} holds rows, and no record says where they came from", self.shown);
        Error::new(ErrorKind::NoRecord, message)
    }

    /// The error of a column that takes no values of ours.
    pub(crate) fn computed(self, name: &str) -> Error {
        let message = format!("{} computes its column \"{name}\" by itself", self.shown);
        Error::new(ErrorKind::Unsupported, message).hint("leave it out of the rows")
    }

    /// The error of a type that the place, whose name is `place`, does not have.
    pub(crate) fn not_kept(self, column: &Wanted, place: &str) -> Error {
        let kind = ColumnType::of(&column.data_type);
        let message = format!("column \"{}\" of {}: {place} cannot keep {kind}", column.name, self.shown);
        Error::new(ErrorKind::Unsupported, message).hint("name another type for it in the sink's `columns`")
    }

    /// The error of a column whose type, as `has` spells it, does not hold what the rows bring.
    pub(crate) fn differs(self, name: &str, has: &str, comes: &DataType) -> Error {
        let comes = ColumnType::of(comes);
        self.changed(&format!("has {has} in column \"{name}\", and the rows have {comes}"))
    }

    fn changed(self, what: &str) -> Error {
        Error::new(ErrorKind::SchemaChanged, format!("{} {what}", self.shown))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(on_schema_change: OnSchemaChange) -> SinkSpec {
        SinkSpec {
            connection: "c".to_owned(),
            schema: None,
            table: "t".to_owned(),
            mode: Mode::Append,
            key: vec![],
            anew: false,
            delete: None,
            on_schema_change,
            columns: indexmap::IndexMap::new(),
            partition: vec![],
            window: None,
            checked: false,
            options: super::super::sink::SinkOptions::default(),
        }
    }

    fn wanted(names: &[&str]) -> Vec<Wanted> {
        let wanted = |name: &&str| Wanted { name: (*name).to_owned(), data_type: DataType::Int64 };
        names.iter().map(wanted).collect()
    }

    #[test]
    fn differences_are_made_as_told() {
        let column = |name, not_null| Has { name, not_null, fills_itself: false };
        let has =
            [column("b", false), column("a", false), Has { name: "id", not_null: true, fills_itself: true }];
        let places = |change, names: &[&str]| {
            let spec = spec(change);
            let same = |a: &str, b: &str| a == b;
            Fitting { spec: &spec, shown: "the table" }.places(&has, &wanted(names), same)
        };
        assert_eq!(places(OnSchemaChange::Fail, &["a", "b"]).unwrap(), [Place::At(1), Place::At(0)]);
        assert_eq!(places(OnSchemaChange::Evolve, &["a", "c"]).unwrap(), [Place::At(1), Place::Added]);
        assert_eq!(places(OnSchemaChange::Ignore, &["c", "a"]).unwrap(), [Place::LeftOut, Place::At(1)]);
        for (names, told) in [(["a", "c"], "has no column \"c\""), (["a", "id"], "has a column \"b\"")] {
            let error = places(OnSchemaChange::Fail, &names).unwrap_err();
            assert_eq!(error.kind, ErrorKind::SchemaChanged);
            assert!(error.message.contains(told), "{error}");
        }
    }

    /// A column that takes no NULL cannot be left to itself, whatever is said of changes.
    #[test]
    fn what_must_be_filled_is() {
        let spec = spec(OnSchemaChange::Evolve);
        let has = [Has { name: "a", not_null: true, fills_itself: false }];
        let fitting = Fitting { spec: &spec, shown: "the table" };
        assert!(fitting.places(&has, &wanted(&["b"]), |a, b| a == b).is_err());
        assert!(fitting.places(&has, &wanted(&["A"]), str::eq_ignore_ascii_case).is_ok());
    }
}

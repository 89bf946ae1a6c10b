//! What pipelines and marts write, held against their targets as these are now: what a run would refuse, told before it runs.

use arrow::datatypes::{DataType, Field, Schema};

use super::{live::table_told, report::Report, trees::Trees};
use crate::{
    config::{
        lineage,
        live::{Live, Target},
        project::{JobInfo, MartOutput, Project},
    },
    connector::sink::{OnSchemaChange, SinkSpec},
    model::column::ColumnType,
};

/// Checks every member whose columns are known and whose target is there.
pub(crate) fn check(project: &Project, live: &Live, trees: &Trees<'_>, report: &mut Report<'_>) {
    let pipelines = project.pipelines.values().flat_map(|pipeline| {
        pipeline.members.iter().map(|member| (&pipeline.info, &member.sink, member.output.as_ref()))
    });
    let marts = project.marts.values().flat_map(|mart| {
        mart.members.iter().filter_map(|member| match &member.output {
            MartOutput::Table { sink, output, .. } => Some((&mart.info, sink.as_ref(), output.as_ref())),
            MartOutput::Workbook(_) => None,
        })
    });
    for (info, sink, output) in pipelines.chain(marts) {
        let table = lineage::sink_table(project, sink);
        let node = trees.of_job(info).at(&["sink", "table"]);
        table_told(live, &table, true, node, None, report);
        if let Some(target) = live.targets.iter().find(|target| target.table == table) {
            member(info, sink, output.map(AsRef::as_ref), target, trees, report);
        }
    }
}

fn member(
    info: &JobInfo,
    sink: &SinkSpec,
    output: Option<&Schema>,
    target: &Target,
    trees: &Trees<'_>,
    report: &mut Report<'_>,
) {
    let node = trees.of_job(info).at(&["sink", "table"]);
    let named = format!("table `{}` of connection `{}`", sink.table, sink.connection);
    if target.unclaimed {
        let message = format!("{named} holds rows and has no record: a run would refuse it");
        let hint = format!("say what the rows are: `vitrina position adopt|set|reset {}`", info.name);
        report.value(node, "live-no-record", message, hint);
    }
    for misfit in output.map(|output| misfits(output, &target.columns, sink)).unwrap_or_default() {
        match misfit {
            Misfit::Refused { what, hint } => {
                report.value(node, "live-target", format!("{named} {what}"), hint);
            }
            Misfit::Narrow { what } => {
                let hint = "rows that do not fit become bad rows: see `bad_rows`";
                report.warning(node, "live-narrow", format!("{named} {what}"), hint);
            }
        }
    }
}

/// One column that does not agree.
#[derive(Debug, PartialEq, Eq)]
enum Misfit {
    /// A run would stop.
    Refused { what: String, hint: &'static str },
    /// Some rows may not fit.
    Narrow { what: String },
}

fn misfits(output: &Schema, target: &Schema, sink: &SinkSpec) -> Vec<Misfit> {
    let mut found = vec![];
    for field in output.fields() {
        match target.field_with_name(field.name()) {
            Err(_) if sink.on_schema_change == OnSchemaChange::Fail => found.push(Misfit::Refused {
                what: format!("has no column `{}`", field.name()),
                hint: "add it there, leave it out of the SQL, or set `on_schema_change`",
            }),
            Err(_) => {}
            Ok(has) => found.extend(narrower(field, has, sink.on_schema_change)),
        }
    }
    let filled = |field: &Field| output.field_with_name(field.name()).is_ok();
    for field in target.fields().iter().filter(|field| !field.is_nullable() && !filled(field)) {
        found.push(Misfit::Narrow {
            what: format!("takes no NULL in `{}`, which is not written", field.name()),
        });
    }
    found
}

fn narrower(field: &Field, has: &Field, change: OnSchemaChange) -> Option<Misfit> {
    if change == OnSchemaChange::Evolve || holds(has.data_type(), field.data_type()) {
        return None;
    }
    let kind = |field: &Field| ColumnType::of(field.data_type());
    Some(Misfit::Narrow {
        what: format!("has `{}` as {}, and {} is written", field.name(), kind(has), kind(field)),
    })
}

/// Whether every value of `from` has its equal in `to`.
fn holds(to: &DataType, from: &DataType) -> bool {
    use DataType::{
        Date32, Decimal32, Decimal64, Decimal128, Decimal256, Float32, Float64, LargeUtf8, Timestamp, Utf8,
        Utf8View,
    };
    let digits = |kind: &DataType| match kind {
        Decimal32(precision, scale)
        | Decimal64(precision, scale)
        | Decimal128(precision, scale)
        | Decimal256(precision, scale) => {
            Some((i16::from(*precision) - i16::from(*scale), i16::from(*scale)))
        }
        _ => whole_digits(kind).map(|digits| (digits, 0)),
    };
    match (to, from) {
        (to, from) if to == from => true,
        (Utf8 | LargeUtf8 | Utf8View, _) => true,
        (Float64, Float32) => true,
        (Timestamp(to, a), Timestamp(from, b)) => a.is_some() == b.is_some() && to >= from,
        (Timestamp(_, None), Date32) => true,
        (to, from) if to.is_integer() && from.is_integer() => within(to, from),
        (to, from) => match (digits(to), digits(from)) {
            (Some((whole, scale)), Some((from_whole, from_scale))) => {
                whole >= from_whole && scale >= from_scale
            }
            _ => false,
        },
    }
}

/// Decimal digits that the largest value of an integer type has.
fn whole_digits(kind: &DataType) -> Option<i16> {
    use DataType::{Int8, Int16, Int32, Int64, UInt8, UInt16, UInt32, UInt64};
    Some(match kind {
        Int8 | UInt8 => 3,
        Int16 | UInt16 => 5,
        Int32 | UInt32 => 10,
        Int64 => 19,
        UInt64 => 20,
        _ => return None,
    })
}

fn within(to: &DataType, from: &DataType) -> bool {
    let bits = |kind: &DataType| kind.primitive_width().unwrap_or_default();
    match (to.is_signed_integer(), from.is_signed_integer()) {
        (true, true) | (false, false) => bits(to) >= bits(from),
        (true, false) => bits(to) > bits(from),
        (false, true) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(text: &str) -> DataType {
        text.parse::<ColumnType>().unwrap().arrow().clone()
    }

    #[test]
    fn what_holds_what() {
        for (to, from, expected) in [
            ("int64", "int32", true),
            ("int32", "int64", false),
            ("int64", "uint32", true),
            ("uint64", "int8", false),
            ("text", "int64", true),
            ("int64", "text", false),
            ("float64", "float32", true),
            ("float32", "float64", false),
            ("decimal(12,2)", "decimal(10,2)", true),
            ("decimal(12,2)", "decimal(12,4)", false),
            ("decimal(12,2)", "int32", true),
            ("decimal(12,2)", "int64", false),
            ("timestamp(us, UTC)", "timestamp(ms, UTC)", true),
            ("timestamp(ms, UTC)", "timestamp(us, UTC)", false),
            ("date", "timestamp(ms, UTC)", false),
        ] {
            assert_eq!(holds(&kind(to), &kind(from)), expected, "{to} ← {from}");
        }
    }
}

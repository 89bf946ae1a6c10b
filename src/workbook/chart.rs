//! Native Excel charts over the columns of a sheet.

use rust_xlsxwriter::{
    Chart as NativeChart, ChartAxis, ChartAxisLabelPosition, ChartDataLabel, ChartFont, ChartFormat,
    ChartLegendPosition, ChartLine, ChartRange, ChartSolidFill, ChartType, Color, Worksheet, XlsxError,
    column_number_to_name,
};

use super::{
    check::parse_cell,
    column::{Column, Nature},
    spec::{Chart, ChartKind},
    style,
};

const WIDTH: u32 = 760;
const HEIGHT: u32 = 380;

/// Where a chart's rows lie.
pub(super) struct Rows<'a> {
    /// The sheet.
    pub(super) sheet: &'a str,
    /// Row of the first one, from 0.
    pub(super) first: u32,
    /// Row of the last one.
    pub(super) last: u32,
    /// Whether rows are still in memory, so that the library can keep copies of the values for viewers that compute nothing.
    pub(super) kept: bool,
}

/// Whether a chart can be drawn over these columns; says why not.
pub(super) fn check(chart: &Chart, columns: &[Column]) -> Result<(), String> {
    parse_cell(&chart.at).map_err(|what| format!("a chart's `at`: {what}"))?;
    let find = |name: &str| {
        let found = columns.iter().find(|column| column.name == name);
        found.ok_or_else(|| format!("a chart names the column \"{name}\", which the query does not give"))
    };
    find(&chart.x)?;
    for y in &chart.y {
        if find(y)?.nature != Nature::Number {
            return Err(format!("a chart draws the column \"{y}\", which is no number"));
        }
    }
    match (chart.kind, chart.y.len()) {
        (_, 0) => Err("a chart needs a column to draw: `y`".into()),
        (ChartKind::Pie, 2..) => Err("a pie shows one column: `y`".into()),
        _ => Ok(()),
    }
}

/// Puts a chart on the sheet: never over the header, whatever `at` says.
pub(super) fn insert(
    sheet: &mut Worksheet,
    chart: &Chart,
    columns: &[Column],
    rows: &Rows<'_>,
) -> Result<(), XlsxError> {
    let Ok((row, column)) = parse_cell(&chart.at) else { return Ok(()) };
    sheet.insert_chart(row.max(rows.first), column, &draw(chart, columns, rows))?;
    Ok(())
}

fn draw(chart: &Chart, columns: &[Column], rows: &Rows<'_>) -> NativeChart {
    let place = |name: &str| columns.iter().position(|column| column.name == name).unwrap_or_default();
    let (x, first_y) = (place(&chart.x), place(chart.y.first().map_or("", String::as_str)));
    let mut native = NativeChart::new(native_kind(chart.kind));
    for (number, y) in chart.y.iter().enumerate() {
        let column = place(y);
        let series = native.add_series();
        series
            .set_categories(&range(rows, x))
            .set_values(&range(rows, column))
            .set_name(&columns[column].title);
        paint(series, chart.kind, style::SERIES[number % style::SERIES.len()]);
    }
    native.set_width(WIDTH).set_height(HEIGHT);
    match &chart.title {
        Some(title) => {
            native.title().set_name(title).set_font(ChartFont::new().set_size(14).set_color(style::ACCENT));
        }
        None if chart.y.len() > 1 => _ = native.title().set_hidden(),
        None => _ = native.title().set_font(ChartFont::new().set_size(14).set_color(style::ACCENT)),
    }
    legend(&mut native, chart);
    let value_format = columns[first_y].number_format.as_deref();
    match chart.kind {
        ChartKind::Pie => {}
        ChartKind::Bar => {
            // The library's x axis is the level one, whatever it shows. The first row belongs on top.
            category_axis(native.y_axis(), &columns[x], chart.kind);
            native.y_axis().set_reverse();
            value_axis(native.x_axis(), value_format);
            native.x_axis().set_label_position(ChartAxisLabelPosition::High);
        }
        _ => {
            category_axis(native.x_axis(), &columns[x], chart.kind);
            value_axis(native.y_axis(), value_format);
        }
    }
    native.chart_area().set_format(ChartFormat::new().set_border(ChartLine::new().set_color(style::LINE)));
    let about = chart.title.clone().unwrap_or_else(|| columns[first_y].title.clone());
    native.set_alt_text(about);
    native
}

fn native_kind(kind: ChartKind) -> ChartType {
    match kind {
        ChartKind::Column => ChartType::Column,
        ChartKind::StackedColumn => ChartType::ColumnStacked,
        ChartKind::Bar => ChartType::Bar,
        ChartKind::Line => ChartType::Line,
        ChartKind::Area => ChartType::Area,
        ChartKind::Pie => ChartType::Pie,
    }
}

/// The rows of a column. Over rows that are no longer in memory the library would keep an empty text per row as a
/// copy of its value; it does not for a union of ranges, so that is what it is given.
fn range(rows: &Rows<'_>, column: usize) -> ChartRange {
    if rows.kept || rows.first == rows.last {
        return ChartRange::new_from_range(rows.sheet, rows.first, column as u16, rows.last, column as u16);
    }
    let letters = column_number_to_name(column as u16);
    let sheet = rows.sheet.replace('\'', "''");
    let part = |first: u32, last: u32| format!("'{sheet}'!${letters}${}:${letters}${}", first + 1, last + 1);
    let middle = rows.first.midpoint(rows.last);
    let union = format!("=({},{})", part(rows.first, middle), part(middle + 1, rows.last));
    ChartRange::new_from_string(&union)
}

fn paint(series: &mut rust_xlsxwriter::ChartSeries, kind: ChartKind, colour: u32) {
    let colour = Color::RGB(colour);
    match kind {
        ChartKind::Line => {
            series
                .set_format(ChartFormat::new().set_line(ChartLine::new().set_color(colour).set_width(2.25)));
        }
        ChartKind::Pie => {
            series.set_point_colors(&style::SERIES.map(Color::RGB));
            let mut label = ChartDataLabel::new();
            label.show_percentage().show_leader_lines().set_num_format("0.0%");
            series.set_data_label(&label);
        }
        ChartKind::Area => {
            let mut fill = ChartSolidFill::new();
            fill.set_color(colour).set_transparency(30);
            series.set_format(&mut fill);
        }
        ChartKind::Column | ChartKind::StackedColumn | ChartKind::Bar => {
            series.set_format(ChartFormat::new().set_solid_fill(ChartSolidFill::new().set_color(colour)));
            series.set_gap(60);
        }
    }
}

fn legend(native: &mut NativeChart, chart: &Chart) {
    match (chart.kind, chart.y.len()) {
        (ChartKind::Pie, _) => _ = native.legend().set_position(ChartLegendPosition::Right),
        (_, 1) => _ = native.legend().set_hidden(),
        _ => _ = native.legend().set_position(ChartLegendPosition::Bottom),
    }
}

fn category_axis(axis: &mut ChartAxis, column: &Column, kind: ChartKind) {
    axis.set_name(&column.title).set_name_font(quiet_font().set_size(9));
    axis.set_font(quiet_font().set_size(9));
    axis.set_format(ChartLine::new().set_color(style::LINE));
    match column.nature {
        Nature::Date => {
            axis.set_date_axis(true);
            axis.set_num_format(column.number_format.as_deref().unwrap_or("dd.mm.yyyy"));
        }
        Nature::Moment | Nature::Number => {
            axis.set_text_axis(true);
            axis.set_num_format(column.number_format.as_deref().unwrap_or("General"));
        }
        Nature::Text => _ = axis.set_text_axis(true),
    }
    axis.set_major_gridlines(false);
    if kind == ChartKind::Area {
        axis.set_position_between_ticks(false);
    }
}

fn value_axis(axis: &mut ChartAxis, number_format: Option<&str>) {
    axis.set_font(quiet_font().set_size(9));
    axis.set_num_format(number_format.unwrap_or("General"));
    axis.set_major_gridlines(true)
        .set_major_gridlines_line(ChartLine::new().set_color(Color::RGB(0xE3_E3_E3)));
    axis.set_format(ChartLine::new().set_hidden(true));
}

fn quiet_font() -> ChartFont {
    let mut font = ChartFont::new();
    font.set_color(style::QUIET).unset_bold();
    font
}

//! Rows → the parts of an answer, in the order in which the report shows them.

use std::sync::Arc;

use chrono::{DateTime, NaiveDate, Utc};

use super::{
    access,
    cache::{Weighs, key},
    cell::Cell,
    drill,
    file::{self, Made},
    format, picture,
    rows::{ColumnInfo, Rows},
    run::{Answer, Failure, Work, unreadable},
    table,
    text::{self, Told},
    workbook,
};
use crate::{
    bot::{
        screen::{Block, Markup},
        words::Words,
    },
    config::bot::{Chart, FileKind, Format, Show, Table},
    connector::error::{Error, ErrorKind},
    model::name::JobName,
};

/// Bytes of pictures that are kept.
pub(super) const DRAWN_BYTES: usize = 16 << 20;

/// What was drawn: pictures, or a table that is narrow enough to be read.
pub(super) struct Drawn(Vec<Block>);

impl Weighs for Drawn {
    fn weighs(&self) -> usize {
        /// Of anything else than its pixels, about.
        const BLOCK: usize = 4 << 10;
        let size = |block: &Block| match block {
            Block::Picture(picture) => picture.png.len() + BLOCK,
            _ => BLOCK,
        };
        self.0.iter().map(size).sum()
    }
}

/// What was read for an answer.
pub(super) struct Found {
    pub(super) rows: Arc<Rows>,
    /// Of the period before.
    pub(super) before: Option<Arc<Rows>>,
    pub(super) files: Vec<(FileKind, Made)>,
}

/// Makes the answer of what was found.
pub(super) async fn answer(work: &Work<'_>, found: &Found) -> Result<Answer, Failure> {
    let columns = found.rows.infos(work.report, work.words.language());
    let mut answer = Answer { rows: found.rows.count, ..Answer::default() };
    answer.blocks.extend(work.stale().await);
    if found.rows.count == 0 {
        // Said once, however many parts there are; a text may speak of nothing, and a workbook has its own rows.
        answer.blocks.push(Block::Text(Markup::text(work.nothing())));
    }
    for show in &work.report.show {
        match show {
            Show::Text { template, .. } => {
                if found.rows.count > 0 {
                    answer.blocks.push(Block::Text(work.text(
                        template.get(work.words.language()),
                        found,
                        &columns,
                    )?));
                }
            }
            Show::Chart(chart) => answer.blocks.extend(work.chart(chart, found, &columns).await?),
            Show::Table(spec) => work.table(spec, found, &columns, &mut answer).await?,
            Show::File(kind) => answer.blocks.extend(file_block(*kind, found)),
            Show::Workbook(mart) => {
                let project = work.runtime.project();
                answer.blocks.extend(workbook::blocks(project, mart, &work.rules, &work.words, work.limits));
            }
        }
    }
    answer.blocks.extend(work.footer(found, &columns));
    Ok(answer)
}

impl Work<'_> {
    fn text(&self, template: &str, found: &Found, columns: &[ColumnInfo]) -> Result<Markup, Failure> {
        let told = Told {
            rows: &found.rows,
            columns,
            before: found.before.as_deref(),
            period: self.period().and_then(|name| self.asked.periods.get(name)).copied(),
            words: &self.words,
        };
        text::text(template, &told).map_err(|what| {
            let message = format!("report `{}`: a text cannot be written: {what}", self.report.name);
            Failure::Failed(Error::new(ErrorKind::BadData, message).hint("mend the text in bot.toml"))
        })
    }

    async fn chart(
        &self,
        spec: &Chart,
        found: &Found,
        columns: &[ColumnInfo],
    ) -> Result<Vec<Block>, Failure> {
        let title = spec.title.as_ref().unwrap_or(&self.report.title).get(self.words.language());
        let plot = picture::plot(spec, &found.rows, columns, (title, &self.days()), &self.words)
            .map_err(unreadable)?;
        let Some(plot) = plot else { return Ok(vec![]) };
        let name = self.file_name();
        let drawn_of = format!("{:?}", (plot.kind, &plot.axis, &plot.series, &plot.measure));
        let of = [title, &plot.subtitle, &name, &drawn_of].map(str::to_owned);
        let draw = move || Ok(picture::picture(&plot, &name)?.map(Block::Picture).into_iter().collect());
        self.drawn("a chart", &of, draw).await
    }

    async fn table(
        &self,
        spec: &Table,
        found: &Found,
        columns: &[ColumnInfo],
        answer: &mut Answer,
    ) -> Result<(), Failure> {
        if found.rows.count == 0 {
            return Ok(());
        }
        let shown = table::table(spec, &found.rows, columns, &self.words).map_err(unreadable)?;
        if self.pictures {
            let title = self.report.title.get(self.words.language()).to_owned();
            let (days, name, words) = (self.days(), self.file_name(), self.words.clone());
            let of = [title.clone(), days.clone(), name.clone(), format!("{shown:?}")];
            let draw = move || table::for_phone(shown, (&title, &days), &name, &words);
            answer.blocks.extend(self.drawn("a table", &of, draw).await?);
        } else {
            answer.blocks.push(Block::Table(shown));
        }
        let bot = self.runtime.project().bot.as_ref();
        let leads = spec.drill.as_ref().and_then(|drill| Some((drill, bot?.reports.get(&drill.report)?)));
        if let Some((drill, to)) = leads {
            let drills = drill::drills(drill, to, spec.rows, &found.rows, columns, &self.words);
            answer.drills.extend(drills.map_err(unreadable)?);
        }
        Ok(())
    }

    /// Draws what was not drawn for another a moment ago; `of` is all that it depends on besides the language. Pixels take tens of milliseconds, and
    /// others go on meanwhile.
    async fn drawn(
        &self,
        what: &str,
        of: &[String],
        draw: impl FnOnce() -> Result<Vec<Block>, String> + Send + 'static,
    ) -> Result<Vec<Block>, Failure> {
        let failed = |why: String| {
            Failure::Failed(Error::new(ErrorKind::Internal, format!("{what} cannot be drawn: {why}")))
        };
        let language = format!("{:?}", self.words.language());
        let place = self.drawn.place(key(&[&[what.to_owned(), language], of].concat()));
        let blocks = place.get_or_try_init(async || {
            let drawn = tokio::task::spawn_blocking(draw).await.map_err(|panic| failed(panic.to_string()))?;
            Ok::<_, Failure>(Arc::new(Drawn(drawn.map_err(failed)?)))
        });
        let blocks = blocks.await?.0.clone();
        self.drawn.trim();
        Ok(blocks)
    }

    /// The days that the answer is about; empty = it asks for none.
    fn days(&self) -> String {
        let period = self.period().and_then(|name| self.asked.periods.get(name));
        period.map_or(String::new(), |p| format::days(p.from, p.last(), &self.words))
    }

    /// What its pictures are called.
    fn file_name(&self) -> String {
        self.report.name.replace('/', "-")
    }

    /// What is older than it may be: said before anything else.
    async fn stale(&self) -> Option<Block> {
        let mut lines: Vec<String> = vec![];
        for job in &self.versions.jobs {
            // An age that cannot be told stops no answer.
            let Ok(Some(freshness)) = self.runtime.freshness(job).await else { continue };
            if freshness.is_stale() {
                lines.push(self.stale_line(job, freshness.until));
            }
        }
        (!lines.is_empty()).then(|| Block::Text(Markup::new().bold(lines.join("\n"))))
    }

    fn stale_line(&self, job: &JobName, until: Option<DateTime<Utc>>) -> String {
        let info = self.runtime.project().jobs().find(|info| info.name == *job);
        let name = info.and_then(|info| info.description.as_deref()).unwrap_or(job.as_str());
        match until {
            Some(until) => self.words.stale_since(name, self.moment(until)),
            None => self.words.stale_never(name),
        }
    }

    /// What the rows are of, and since when they stand.
    fn footer(&self, found: &Found, columns: &[ColumnInfo]) -> Option<Block> {
        let words = &self.words;
        let days = own_period(&found.rows, columns).map(|days| words.data_of(days.told(words)));
        let updated = self.versions.oldest.map(|oldest| self.moment(oldest));
        let said = match (days, updated) {
            (Some(days), Some(updated)) => format!("{days} · {}", words.updated(updated)),
            (Some(days), None) => days,
            (None, Some(updated)) => words.data_updated(updated),
            (None, None) => return None,
        };
        Some(Block::Text(Markup::new().italic(said)))
    }

    /// What is said where there is no row: that none fits, or that an admin has yet to tell whose rows the reader sees.
    fn nothing(&self) -> String {
        let bot = self.runtime.project().bot.as_ref();
        let unset = bot.and_then(|bot| bot.attributes.get_key_value(access::unset(bot, &self.rules)?));
        let Some((name, attribute)) = unset else { return self.words.nothing_found().to_owned() };
        let title = attribute.title.get(self.words.language());
        self.words.nothing_set(if title.is_empty() { name.as_str() } else { title })
    }

    /// A day and a time by the reader's clock.
    fn moment(&self, at: DateTime<Utc>) -> String {
        let at = at.with_timezone(&self.zone);
        format!("{} {}", format::date(at.date_naive(), self.words.language()), at.format("%H:%M"))
    }
}

/// The days or months that rows are of.
struct OwnPeriod {
    first: NaiveDate,
    last: NaiveDate,
    /// Each stands for its month.
    by_month: bool,
}

impl OwnPeriod {
    fn told(&self, words: &Words) -> String {
        let told = if self.by_month { format::months } else { format::days };
        told(self.first, self.last, words)
    }
}

/// The first and the last day of the first column of days.
fn own_period(rows: &Rows, columns: &[ColumnInfo]) -> Option<OwnPeriod> {
    let day = |cell: &Cell| match cell {
        Cell::Date(day) => Some(*day),
        Cell::Moment(at) => Some(at.date()),
        _ => None,
    };
    rows.tallies.iter().zip(columns).find_map(|(tally, column)| {
        let by_month = column.format == Some(Format::Month);
        Some(OwnPeriod { first: day(&tally.least)?, last: day(&tally.most)?, by_month })
    })
}

fn file_block(kind: FileKind, found: &Found) -> Option<Block> {
    if found.rows.count == 0 {
        return None;
    }
    let (_, made) = found.files.iter().find(|(made, _)| *made == kind)?;
    Some(match made {
        Made::File(path) => Block::File(file::screen_file(path.clone())),
        Made::TooLarge(said) => Block::Text(Markup::text(said.clone())),
    })
}

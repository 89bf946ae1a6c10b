//! What a run would build of marts and why, and who reads it.

use serde::Serialize;

use super::{
    Runtime,
    ledger::{ADOPTED, Ledger, Why},
    mart::{fingerprint, whole},
    member::Found,
    params,
};
use crate::{
    config::{
        lineage::{ReportNode, reports},
        project::MartOutput,
    },
    connector::error::Result,
    engine::params::Params,
    model::{
        name::{JobName, Member},
        unit::Progress,
        window::OnChange,
    },
};

/// What would become of one member of a mart.
#[derive(Debug, Clone, Serialize)]
pub struct Plan {
    /// The member, as users name it.
    pub name: String,
    /// What becomes of stale windows; `None` = the table is built whole.
    pub on_change: Option<OnChange>,
    /// Windows that are built.
    pub built: usize,
    /// All windows that there could be by now.
    pub windows: usize,
    /// What would be built, oldest first; nothing = all is as it should be.
    pub builds: Vec<PlannedBuild>,
    /// Pipelines and marts that read it, at any distance.
    pub read_by: Vec<String>,
    /// The bot's reports that read it, at any distance.
    pub reports: Vec<String>,
}

/// One window, or the whole table.
#[derive(Debug, Clone, Serialize)]
pub struct PlannedBuild {
    /// The window; `None` = the whole table.
    pub window: Option<String>,
    /// Why.
    #[serde(flatten)]
    pub why: Why,
    /// Whether the next run does it; otherwise `backfill` does.
    pub by_run: bool,
}

impl Runtime {
    /// What a run would build of a mart's member; `None` = it is no table of a mart.
    pub async fn plan(&self, job: &JobName, member: &Member) -> Result<Option<Plan>> {
        let Found::Mart(_, found) = self.find(job, member)? else { return Ok(None) };
        if matches!(found.output, MartOutput::Workbook(_)) {
            return Ok(None);
        }
        let name = self.project.track(job, member).name();
        let (read_by, reports) = (self.read_by(job, member), self.reports_of(job, member));
        Ok(Some(match self.ledger(job, member).await? {
            Some(ledger) => Plan {
                name,
                on_change: Some(ledger.windows.on_change),
                built: ledger.built().count(),
                windows: ledger.states.len(),
                builds: of_windows(&ledger),
                read_by,
                reports,
            },
            None => {
                let why = self.why_whole(job, member).await?;
                let built = usize::from(why != Some(Why::Missing));
                let builds = why.map(|why| PlannedBuild { window: None, why, by_run: true });
                Plan {
                    name,
                    on_change: None,
                    built,
                    windows: 0,
                    builds: builds.into_iter().collect(),
                    read_by,
                    reports,
                }
            }
        }))
    }

    /// Whether the rows of a mart's member never leave the place that they lie in and are computed in; `None` = it is no table of a mart.
    pub async fn stays_inside(&self, job: &JobName, member: &Member) -> Result<Option<bool>> {
        let Found::Mart(_, found) = self.find(job, member)? else { return Ok(None) };
        let MartOutput::Table { sql, sink, windows, .. } = &found.output else { return Ok(None) };
        let Some(place) = self.there(sink) else { return Ok(Some(false)) };
        let now = self.clock.now();
        let params = params::of_table(&found.facts, windows.as_ref(), None, now);
        Ok(Some(whole(&self.engine, sql, &params, now, place).await?.is_some()))
    }

    /// Why a table that is built whole would come out otherwise.
    async fn why_whole(&self, job: &JobName, member: &Member) -> Result<Option<Why>> {
        let Found::Mart(_, found) = self.find(job, member)? else { return Ok(None) };
        let MartOutput::Table { sql, .. } = &found.output else { return Ok(None) };
        let record = self.record_of(job, member).await?;
        let Some(Progress::Build(built)) = record.map(|record| record.progress) else {
            return Ok(Some(Why::Missing));
        };
        if built.fingerprint != fingerprint(&sql.text, &Params::of_facts(&found.facts))
            && built.fingerprint != ADOPTED
        {
            return Ok(Some(Why::QueryChanged));
        }
        let inputs = self.inputs(job, member).await;
        Ok(inputs.changed_of_whole(&built).map(|input| Why::InputChanged { input }))
    }

    /// Reports whose rows change with a member's.
    fn reports_of(&self, job: &JobName, member: &Member) -> Vec<String> {
        let Some(node) = self.lineage.find(job, member) else { return vec![] };
        let mut nodes = self.lineage.downstream(node);
        nodes.insert(node);
        let reads = |report: &ReportNode| {
            let mut writers = report.reads.iter().flat_map(|input| self.lineage.writers(input));
            writers.any(|writer| nodes.contains(&writer))
        };
        let reports = reports(&self.project).into_iter().filter(reads);
        reports.map(|report| report.name).collect()
    }

    fn read_by(&self, job: &JobName, member: &Member) -> Vec<String> {
        let Some(node) = self.lineage.find(job, member) else { return vec![] };
        let name = |at: usize| {
            let node = &self.lineage.nodes[at];
            self.project.track(&node.job, &node.member).name()
        };
        self.lineage.downstream(node).into_iter().map(name).collect()
    }
}

fn of_windows(ledger: &Ledger) -> Vec<PlannedBuild> {
    let planned = ledger.states.iter().filter_map(|state| {
        let why = state.why.clone()?;
        Some(PlannedBuild { window: Some(state.window.key()), why, by_run: ledger.is_due(state) })
    });
    planned.collect()
}

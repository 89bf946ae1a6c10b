//! The queries of a mart with the parameters that a run would give them now, for those who look at them without running it.

use chrono::{DateTime, Utc};

use super::Runtime;
use crate::{
    config::{
        lineage::Node,
        project::{MartMember, MartOutput, Sql, With, Workbook},
    },
    engine::params::Params,
    model::time::Period,
};

impl Runtime {
    /// Those of a member; none of a pipeline's.
    pub fn queries(&self, node: &Node, now: DateTime<Utc>) -> Vec<(&Sql, Params)> {
        let mart = self.project().marts.get(&node.job);
        let member = mart.and_then(|mart| mart.members.iter().find(|member| member.member == node.member));
        member.map(|member| self.queries_of(member, now)).unwrap_or_default()
    }

    fn queries_of<'a>(&'a self, member: &'a MartMember, now: DateTime<Utc>) -> Vec<(&'a Sql, Params)> {
        let mut params = Params::of_facts(&member.facts);
        match &member.output {
            MartOutput::Table { sql, windows, .. } => {
                if let Some(windows) = windows {
                    params.set_window(&windows.at(now));
                }
                vec![(sql, params)]
            }
            MartOutput::Workbook(workbook) => {
                self.defaults(workbook, &mut params, now);
                workbook.sheets.iter().map(|sheet| (&sheet.sql, params.clone())).collect()
            }
        }
    }

    fn defaults(&self, workbook: &Workbook, params: &mut Params, now: DateTime<Utc>) {
        let today = now.with_timezone(&self.project().zone).date_naive();
        for (name, default) in &workbook.with {
            match default {
                With::Value(value) => params.set_value(name, value),
                With::Period(text) => {
                    if let Some(period) = Period::parse(text, today) {
                        params.set_period(name, &period);
                    }
                }
            }
        }
    }
}

//! Lineage of columns through a project, and of the shipped one.

use super::{BASE, ORDERS, good, shipped};
use crate::{
    config::{
        self, TestsOf,
        columns::{ColumnLineage, How, columns},
        lineage::lineage,
        project::Trigger,
    },
    model::name::{JobName, Member},
};

fn of_shipped() -> ColumnLineage {
    let loaded = config::load_offline(shipped(), "default", TestsOf::NoJob, &|_| None);
    let project = loaded.project.unwrap();
    columns(&project, &lineage(&project), loaded.lock.as_ref())
}

/// What a column is made of, at once: `name how`.
fn upstream(found: &ColumnLineage, column: &str) -> Vec<String> {
    let edges = found.edges.iter().filter(|((_, to), _)| to.to_string() == column);
    edges.map(|((from, _), how)| format!("{from} {how:?}")).collect()
}

#[test]
fn the_shipped_columns_are_followed_from_sheet_to_generator() {
    let found = of_shipped();
    assert_eq!(found.unknown.len(), 0, "{:?}", found.unknown);
    assert_eq!(
        upstream(&found, "mart.actions_dashboard.\"По дням\".amount"),
        [
            "pipeline.actions_to_warehouse.amount Computed",
            "pipeline.actions_to_warehouse.happened_at Rows",
            "pipeline.actions_to_warehouse.region Rows"
        ]
    );
    assert_eq!(
        upstream(&found, "mart.actions_dashboard.\"По менеджерам\".manager")[1],
        "pipeline.actions_to_warehouse.manager Same"
    );
    assert_eq!(
        upstream(&found, "pipeline.actions_to_warehouse.amount"),
        ["pipeline.actions_to_stream.action Rows", "pipeline.actions_to_stream.amount Same"]
    );
    assert_eq!(upstream(&found, "pipeline.actions_to_stream.amount"), ["pipeline.crm_actions.amount Same"]);
    assert_eq!(upstream(&found, "pipeline.crm_actions.amount"), Vec::<String>::new());
    assert_eq!(
        upstream(&found, "pipeline.actions_to_warehouse.region"),
        ["pipeline.actions_to_stream.action Rows"]
    );
}

#[test]
fn matrix_columns_that_no_table_has_end_there() {
    let mart = "sql = 'SELECT region, sum(amount) AS total FROM pipeline.orders GROUP BY region'\n[sink]\nconnection = \"warehouse\"\n";
    let orders = format!(
        "matrix = [\"region\"]\n{}",
        ORDERS.replace("table = \"orders\"\nmode", "table = \"orders_{region}\"\nmode")
    );
    let project = good(&[("vitrina.toml", BASE), ("pipelines/orders.toml", &orders), ("marts/m.toml", mart)]);
    let found = columns(&project, &lineage(&project), None);
    assert_eq!(upstream(&found, "mart.m.total"), ["pipeline.orders.amount Computed"]);
    assert_eq!(upstream(&found, "mart.m.region"), Vec::<String>::new());
    assert_eq!(upstream(&found, "pipeline.orders.amount"), ["shop.main.orders.amount Same"]);
}

#[test]
fn what_cannot_be_followed_is_said() {
    let mart = "sql = 'SELECT id FROM shop.outside'\n[sink]\nconnection = \"warehouse\"\n";
    let project = good(&[("vitrina.toml", BASE), ("pipelines/orders.toml", ORDERS), ("marts/m.toml", mart)]);
    let found = columns(&project, &lineage(&project), None);
    let unknown: Vec<String> = found.unknown.iter().map(ToString::to_string).collect();
    assert_eq!(unknown, ["mart.m"]);
    assert!(found.edges.values().all(|how| *how == How::Same));
}

#[test]
fn members_wait_for_members() {
    let loaded = config::load_offline(shipped(), "default", TestsOf::NoJob, &|_| None);
    let project = loaded.project.unwrap();
    let lineage = lineage(&project);
    let waits = |job: &str, member: &str| -> Vec<String> {
        let member = Member::new(vec![("region".to_owned(), member.to_owned())]);
        let node = lineage.find(&JobName::new(job), &member).unwrap();
        let info = project.jobs().find(|info| info.name.as_str() == job).unwrap();
        let waits =
            info.schedule.as_ref().map(|schedule| lineage.waits_for(node, schedule)).unwrap_or_default();
        waits
            .into_iter()
            .map(|at| format!("{}/{}", lineage.nodes[at].job, lineage.nodes[at].member.key()))
            .collect()
    };
    assert_eq!(waits("actions_to_warehouse", "mrf2"), ["actions_to_stream/mrf2"]);
    assert_eq!(waits("actions_dashboard", "mrf2"), Vec::<String>::new(), "cron waits for nobody");
    let mut schedule =
        project.pipelines[&JobName::new("actions_to_warehouse")].info.schedule.clone().unwrap();
    let member = Member::new(vec![("region".to_owned(), "mrf2".to_owned())]);
    let dashboard = lineage.find(&JobName::new("actions_dashboard"), &member).unwrap();
    let names = |found: Vec<usize>| -> Vec<String> {
        found
            .into_iter()
            .map(|at| format!("{}/{}", lineage.nodes[at].job, lineage.nodes[at].member.key()))
            .collect()
    };
    assert_eq!(
        names(lineage.waits_for(dashboard, &schedule)),
        ["actions_to_warehouse/mrf2", "nature_to_warehouse/mrf2"]
    );
    schedule.trigger = Trigger::After(vec![JobName::new("crm_actions")]);
    assert_eq!(names(lineage.waits_for(dashboard, &schedule)), ["crm_actions/mrf2"]);
}

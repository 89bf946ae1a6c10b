//! The projects that `init` and `demo` write: the shipped one, which is this repository's own, whole or one of its systems, and an almost empty one.

use std::path::Path;

use chrono::NaiveDate;

/// A project to begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Template {
    /// Of the shipped project, the sales CRM in three regions, from bot databases to dashboards.
    Crm,
    /// Of the shipped project, the online cinema, from its platform to marts and dashboards.
    Premier,
    /// One made-up source, one pipeline, one workbook, with comments.
    Empty,
}

/// A file of a project: its path in the project's folder and its text.
pub type File = (&'static str, String);

/// The files of a template.
pub fn files(template: Template) -> Vec<File> {
    match template {
        Template::Crm => system(&CRM, &["Premier", "connections.platform]", "connections.analytics]"]),
        Template::Premier => {
            let others =
                ["sales CRM", "matrix.region]", "crm_", "connections.stream]", "connections.warehouse]"];
            system(&PREMIER, &others)
        }
        Template::Empty => owned(&EMPTY),
    }
}

/// The whole shipped project, its systems with activity from these days on.
pub fn demo_files(crm: NaiveDate, premier: NaiveDate) -> Vec<File> {
    let begun = |files: &[(&'static str, &str)], start| {
        let begun = |(path, text): (&'static str, String)| {
            (path, if Path::new(path).starts_with("pipelines") { with_start(&text, start) } else { text })
        };
        owned(files).into_iter().map(begun).collect::<Vec<_>>()
    };
    [owned(&PROJECT), begun(&CRM, crm), begun(&PREMIER, premier)].concat()
}

fn owned(files: &[(&'static str, &str)]) -> Vec<File> {
    files.iter().map(|(path, text)| (*path, (*text).to_owned())).collect()
}

/// One system of the shipped project: its files, and what the files of the whole project say of it.
fn system(files: &[(&'static str, &str)], others: &[&str]) -> Vec<File> {
    let shared = PROJECT.iter().map(|(path, text)| (*path, without(text, others)));
    shared.chain(owned(files)).collect()
}

/// The text without the paragraphs that have one of these words.
fn without(text: &str, words: &[&str]) -> String {
    let kept =
        text.trim_end().split("\n\n").filter(|paragraph| !words.iter().any(|word| paragraph.contains(word)));
    kept.collect::<Vec<_>>().join("\n\n") + "\n"
}

/// The text with another day behind `start =`; all else, comments too, stays as it is.
fn with_start(text: &str, start: NaiveDate) -> String {
    let line = |line: &str| match line.strip_prefix("start = ") {
        Some(rest) => {
            let end = rest.find(|c: char| c.is_whitespace() || c == '#').unwrap_or(rest.len());
            format!("start = {start}{}", &rest[end..])
        }
        None => line.to_owned(),
    };
    text.split_inclusive('\n').map(line).collect()
}

macro_rules! shipped {
    ($($path:literal),+ $(,)?) => {
        [$(($path, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/", $path)))),+]
    };
}

macro_rules! empty {
    ($($path:literal),+ $(,)?) => {
        [$(($path, include_str!(concat!("project_template/empty/", $path)))),+]
    };
}

const PROJECT: [(&str, &str); 1] = shipped!["vitrina.toml"];

const CRM: [(&str, &str); 21] = shipped![
    "bot.toml",
    "schemas.lock",
    "pipelines/crm_actions.toml",
    "pipelines/crm_nature.toml",
    "pipelines/actions_to_stream.toml",
    "pipelines/nature_to_stream.toml",
    "pipelines/actions_to_warehouse.toml",
    "pipelines/nature_to_warehouse.toml",
    "marts/actions_dashboard.toml",
    "marts/nature_dashboard.toml",
    "reports/activity.toml",
    "reports/leads.toml",
    "reports/managers.toml",
    "reports/manager.toml",
    "reports/conversion.toml",
    "reports/plan.toml",
    "reports/connections.toml",
    "reports/tariffs.toml",
    "reports/cancellations.toml",
    "reports/actions_book.toml",
    "reports/nature_book.toml",
];

const PREMIER: [(&str, &str); 33] = shipped![
    "pipelines/platform_viewers.toml",
    "pipelines/platform_visits.toml",
    "pipelines/platform_views.toml",
    "pipelines/platform_user_actions.toml",
    "pipelines/platform_subscriptions.toml",
    "pipelines/platform_payments.toml",
    "pipelines/platform_refunds.toml",
    "pipelines/platform_titles.toml",
    "pipelines/platform_seasons.toml",
    "pipelines/platform_regions.toml",
    "pipelines/billing_subscriptions.toml",
    "pipelines/billing_payments.toml",
    "pipelines/billing_refunds.toml",
    "pipelines/visits.toml",
    "pipelines/views.toml",
    "pipelines/user_actions.toml",
    "pipelines/content.toml",
    "pipelines/content_seasons.toml",
    "pipelines/content_regions.toml",
    "marts/content_history.toml",
    "marts/region_history.toml",
    "marts/subscription_periods.toml",
    "marts/episode_views_by_viewer.toml",
    "marts/extended_billing_aggregate.toml",
    "marts/content_dash_table_till_user_driver_allocation_from_2020_history.toml",
    "marts/daily_actives.toml",
    "marts/conversion.toml",
    "marts/retention_by_cohort.toml",
    "marts/top_titles.toml",
    "marts/churn.toml",
    "marts/premier_revenue.toml",
    "marts/premier_content.toml",
    "marts/premier_audience.toml",
];

const EMPTY: [(&str, &str); 4] = empty![
    "vitrina.toml",
    "pipelines/shop_orders.toml",
    "pipelines/orders_to_warehouse.toml",
    "marts/orders_dashboard.toml",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_file_is_in_the_template() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut found = ["vitrina.toml", "schemas.lock", "bot.toml"].map(str::to_owned).to_vec();
        for folder in ["pipelines", "marts", "reports"] {
            for entry in std::fs::read_dir(root.join(folder)).unwrap() {
                found.push(format!("{folder}/{}", entry.unwrap().file_name().into_string().unwrap()));
            }
        }
        let day = NaiveDate::MIN;
        let mut embedded: Vec<String> =
            demo_files(day, day).into_iter().map(|(path, _)| path.to_owned()).collect();
        found.sort();
        embedded.sort();
        assert_eq!(embedded, found);
    }

    #[test]
    fn every_file_is_toml() {
        for template in [Template::Crm, Template::Premier, Template::Empty] {
            for (path, text) in files(template) {
                assert!(toml::from_str::<toml::Table>(&text).is_ok(), "{path}");
            }
        }
    }

    #[test]
    fn a_system_stands_alone() {
        let names = |template| {
            let project = files(template).into_iter().find(|(path, _)| *path == "vitrina.toml").unwrap().1;
            let table: toml::Table = toml::from_str(&project).unwrap();
            let names = |table: &toml::Table| {
                table["connections"].as_table().unwrap().keys().cloned().collect::<Vec<_>>().join(" ")
            };
            let profiles = table["profile"].as_table().unwrap();
            let mut lines = vec![names(&table)];
            lines.extend(profiles.values().map(|profile| names(profile.as_table().unwrap())));
            (lines, table.contains_key("matrix"))
        };
        let (connections, matrix) = names(Template::Crm);
        assert!(matrix);
        assert_eq!(connections, ["crm_{region} stream warehouse", "stream warehouse", "stream warehouse"]);
        let (connections, matrix) = names(Template::Premier);
        assert!(!matrix);
        assert_eq!(connections, ["platform analytics"; 3]);
        assert_eq!(without("a 1\nb\n\nc\n\nd b\n", &["b"]), "c\n");
    }

    #[test]
    fn the_demo_begins_when_it_is_told_and_changes_nothing_else() {
        let day = |text: &str| text.parse::<NaiveDate>().unwrap();
        let shipped = [owned(&PROJECT), owned(&CRM), owned(&PREMIER)].concat();
        let changed: Vec<_> = demo_files(day("2026-10-01"), day("2025-10-01"))
            .into_iter()
            .zip(shipped)
            .filter(|(demo, shipped)| demo != shipped)
            .map(|((path, demo), (_, shipped))| {
                let back = demo.replace("2026-10-01", "2026-01-01").replace("2025-10-01", "2024-11-01");
                (path, back == shipped)
            })
            .collect();
        assert_eq!(
            changed,
            [("pipelines/crm_actions.toml", true), ("pipelines/platform_viewers.toml", true)]
        );
        assert_eq!(
            with_start("a\nstart = 2026-01-01   # day\n", day("2026-10-01")),
            "a\nstart = 2026-10-01   # day\n"
        );
    }
}

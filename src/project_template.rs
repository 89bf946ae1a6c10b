//! The projects that `init` and `demo` write: the shipped one, which is this repository's own, and an almost empty one.

use std::path::Path;

use chrono::NaiveDate;

/// A project to begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Template {
    /// The shipped project: a sales CRM in three regions, from bot databases to dashboards.
    Crm,
    /// One made-up source, one pipeline, one workbook, with comments.
    Empty,
}

/// A file of a project: its path in the project's folder and its text.
pub type File = (&'static str, String);

/// The files of a template.
pub fn files(template: Template) -> Vec<File> {
    let files: &[(&str, &str)] = match template {
        Template::Crm => &CRM,
        Template::Empty => &EMPTY,
    };
    files.iter().map(|(path, text)| (*path, (*text).to_owned())).collect()
}

/// The shipped project with activity from `start` on.
pub fn demo_files(start: NaiveDate) -> Vec<File> {
    let mut files = files(Template::Crm);
    for (path, text) in &mut files {
        if Path::new(path).starts_with("pipelines") {
            *text = with_start(text, start);
        }
    }
    files
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

const CRM: [(&str, &str); 22] = shipped![
    "vitrina.toml",
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
        let mut found = vec!["vitrina.toml".to_owned(), "schemas.lock".to_owned()];
        for folder in ["pipelines", "marts"] {
            for entry in std::fs::read_dir(root.join(folder)).unwrap() {
                found.push(format!("{folder}/{}", entry.unwrap().file_name().into_string().unwrap()));
            }
        }
        let mut embedded: Vec<String> = CRM.iter().map(|(path, _)| (*path).to_owned()).collect();
        found.sort();
        embedded.sort();
        assert_eq!(embedded, found);
    }

    #[test]
    fn every_file_is_toml() {
        for (path, text) in CRM.into_iter().chain(EMPTY) {
            assert!(toml::from_str::<toml::Table>(text).is_ok(), "{path}");
        }
    }

    #[test]
    fn the_demo_begins_when_it_is_told_and_changes_nothing_else() {
        let day: NaiveDate = "2026-10-01".parse().unwrap();
        let changed: Vec<_> = demo_files(day)
            .into_iter()
            .zip(files(Template::Crm))
            .filter(|(demo, shipped)| demo != shipped)
            .map(|((path, demo), (_, shipped))| (path, demo.replace("2026-10-01", "2026-01-01") == shipped))
            .collect();
        assert_eq!(changed, [("pipelines/crm_actions.toml", true)]);
        assert_eq!(with_start("a\nstart = 2026-01-01   # day\n", day), "a\nstart = 2026-10-01   # day\n");
    }
}

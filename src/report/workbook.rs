//! Workbooks of marts as they were last written: of the members that a reader may see.

use std::path::PathBuf;

use super::{
    access::{self, Reader},
    file::{self, Limits},
    format::word,
    run::{Failure, Reports},
};
use crate::{
    bot::screen::{Block, Markup},
    config::project::{Language, MartOutput, Project},
    engine::row_rules::RowRules,
    model::name::JobName,
};

impl Reports {
    /// The workbook of a mart, for one of the roles that may have it.
    pub fn workbook(&self, mart: &str, reader: &Reader, language: Language) -> Result<Vec<Block>, Failure> {
        let project = self.runtime().project();
        let bot = project.bot.as_ref().ok_or(Failure::Unknown)?;
        let refused = || Failure::Refused(format!("no role of the reader may have the workbook of `{mart}`"));
        let rules = access::rules(bot, &bot.workbook_roles(mart), reader).ok_or_else(refused)?;
        Ok(blocks(project, mart, &rules, language, self.limits()))
    }
}

/// A file for each member that these rules let through.
pub(super) fn blocks(
    project: &Project,
    mart: &str,
    rules: &RowRules,
    language: Language,
    limits: Limits,
) -> Vec<Block> {
    let members = project.marts.get(&JobName::new(mart)).map(|mart| mart.members.as_slice());
    let seen = members.unwrap_or_default().iter().filter(|member| access::sees_member(rules, &member.member));
    let files: Vec<PathBuf> = seen
        .filter_map(|member| match &member.output {
            MartOutput::Workbook(workbook) => Some(workbook.file.clone()),
            MartOutput::Table { .. } => None,
        })
        .collect();
    if files.is_empty() {
        let said =
            word(language, "Для ваших ролей рабочей книги нет.", "There is no workbook for your roles.");
        return vec![Block::Text(Markup::text(said))];
    }
    files.into_iter().map(|file| block(file, language, limits)).collect()
}

fn block(file: PathBuf, language: Language, limits: Limits) -> Block {
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let size = std::fs::metadata(&file).map(|data| data.len());
    let said = match (size, language) {
        (Ok(size), _) if size <= limits.file => return Block::File(file::screen_file(file)),
        (Ok(_), Language::Ru) => format!("{name}: больше 50 МБ, переслать нельзя."),
        (Ok(_), Language::En) => format!("{name}: larger than 50 MB, it cannot be sent."),
        (Err(_), Language::Ru) => format!("{name}: ещё не готова."),
        (Err(_), Language::En) => format!("{name}: not made yet."),
    };
    Block::Text(Markup::text(said))
}

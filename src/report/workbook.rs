//! Workbooks of marts as they were last written: of the members that a reader may see.

use std::path::PathBuf;

use super::{
    access::{self, Reader},
    file::{self, Limits},
    run::{Failure, Reports},
};
use crate::{
    bot::{
        screen::{Block, Markup},
        words::Words,
    },
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
        Ok(blocks(project, mart, &rules, &Words::new(&bot.texts, language), self.limits()))
    }
}

/// A file for each member that these rules let through.
pub(super) fn blocks(
    project: &Project,
    mart: &str,
    rules: &RowRules,
    words: &Words,
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
        return vec![Block::Text(Markup::text(words.workbook_none()))];
    }
    files.into_iter().map(|file| block(file, words, limits)).collect()
}

fn block(file: PathBuf, words: &Words, limits: Limits) -> Block {
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let said = match std::fs::metadata(&file).map(|data| data.len()) {
        Ok(size) if size <= limits.file => return Block::File(file::screen_file(file)),
        Ok(_) => words.workbook_large(name, limits.file / 1_000_000),
        Err(_) => words.workbook_missing(name),
    };
    Block::Text(Markup::text(said))
}

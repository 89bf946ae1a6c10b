//! What the bot says, in both languages: every text has a key, and `[bot.texts]` may put another in its place.
//!
//! [`texts`] lists them all; each is a method of [`Words`], which takes what stands in its braces. No text that people see stands elsewhere.

#[macro_use]
mod macros;
mod texts;

use std::{
    fmt::{Display, Write as _},
    sync::{Arc, LazyLock},
};

pub use self::texts::TEXTS;
use crate::{config::project::Language, report::format};

/// Stands between the forms of a text that counts, and between the names of a list.
pub const BETWEEN: char = '|';

/// A text as the bot comes with it.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    /// By which `[bot.texts]` names it.
    pub key: &'static str,
    /// What can be put in, by name, and whether the text says nothing without it.
    pub holes: &'static [(&'static str, bool)],
    /// Whether it has parts, and as many as these have: forms for numbers, or names of a list.
    pub parts: bool,
    /// In Russian.
    pub ru: &'static str,
    /// In English.
    pub en: &'static str,
}

impl Known {
    /// In one language.
    pub const fn get(&self, language: Language) -> &'static str {
        match language {
            Language::Ru => self.ru,
            Language::En => self.en,
        }
    }
}

/// The texts that one bot has in place of those that it comes with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Texts {
    /// By place among [`TEXTS`], in Russian and in English; empty where nothing was put in place of any.
    own: Vec<[Option<String>; 2]>,
}

impl Texts {
    /// Puts a text in the place of the one that stands at `at` among [`TEXTS`].
    pub fn put(&mut self, at: usize, language: Language, text: String) {
        self.own.resize(TEXTS.len(), [None, None]);
        self.own[at][index(language)] = Some(text);
    }

    fn get(&self, at: usize, language: Language) -> &str {
        let own = self.own.get(at).and_then(|own| own[index(language)].as_deref());
        own.unwrap_or(TEXTS[at].get(language))
    }
}

/// The words of one bot in one language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    texts: Arc<Texts>,
    language: Language,
}

impl Words {
    /// Of a bot.
    pub fn new(texts: &Arc<Texts>, language: Language) -> Self {
        Self { texts: Arc::clone(texts), language }
    }

    /// The texts that the bot comes with.
    pub fn plain(language: Language) -> Self {
        static PLAIN: LazyLock<Arc<Texts>> = LazyLock::new(Arc::default);
        Self::new(&PLAIN, language)
    }

    /// The language.
    pub fn language(&self) -> Language {
        self.language
    }

    /// A text, or all parts of one.
    fn text(&self, at: usize) -> &str {
        self.texts.get(at, self.language)
    }

    /// The names of a list.
    fn names(&self, at: usize) -> impl Iterator<Item = &str> {
        self.text(at).split(BETWEEN)
    }

    /// A text with its holes filled.
    fn filled(&self, at: usize, holes: &[(&str, &dyn Display)]) -> String {
        fill(self.text(at), holes)
    }

    /// The form of a text that goes with a number, which its first hole takes.
    fn counted(&self, at: usize, count: u64, holes: &[(&str, &dyn Display)]) -> String {
        let forms: Vec<&str> = self.names(at).collect();
        fill(format::plural(i128::from(count), &forms, self.language), holes)
    }
}

fn index(language: Language) -> usize {
    usize::from(language == Language::En)
}

/// A text with its holes filled, each once: what is put in has none.
fn fill(text: &str, holes: &[(&str, &dyn Display)]) -> String {
    let mut filled = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        let Some((name, behind)) = after.split_once('}') else {
            filled.push('{');
            rest = after;
            continue;
        };
        // Writing into a text cannot fail.
        let _ = match holes.iter().find(|(hole, _)| *hole == name) {
            Some((_, value)) => write!(filled, "{value}"),
            None => write!(filled, "{{{name}}}"),
        };
        rest = behind;
    }
    filled.push_str(rest);
    filled
}

/// The holes of a text.
pub fn holes(text: &str) -> impl Iterator<Item = &str> {
    text.split('{').skip(1).filter_map(|rest| rest.split_once('}').map(|(name, _)| name))
}

/// Says what a bot's own command does.
type About = fn(&Words) -> &str;

/// The bot's own commands, with what stands beside them in Telegram's list.
pub const COMMANDS: [(&str, About); 7] = [
    ("start", Words::command_start),
    ("help", Words::command_help),
    ("ask", Words::command_ask),
    ("find", Words::command_find),
    ("favourites", Words::command_favourites),
    ("again", Words::command_again),
    ("cancel", Words::command_cancel),
];

/// Commands of the front-ends besides those.
const OTHER_COMMANDS: [&str; 2] = ["subscriptions", "users"];
/// Letters of a command, as Telegram takes them.
pub const LONGEST_COMMAND: usize = 32;

/// Whether it is a command that Telegram takes.
pub fn is_command(name: &str) -> bool {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let first = name.starts_with(|c: char| c.is_ascii_lowercase());
    first && name.chars().all(good) && name.len() <= LONGEST_COMMAND
}

/// Whether it is a command of the bot itself, which no report can have.
pub fn is_own_command(name: &str) -> bool {
    OTHER_COMMANDS.contains(&name) || COMMANDS.iter().any(|(own, _)| *own == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_languages_have_the_same_holes_and_they_are_known() {
        for Known { key, holes: known, parts, ru, en } in TEXTS {
            let sorted = |text: &'static str| {
                let mut names: Vec<&str> = holes(text).collect();
                names.sort_unstable();
                names.dedup();
                names
            };
            let mut known: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
            known.sort_unstable();
            assert_eq!((sorted(ru), sorted(en)), (known.clone(), known), "{key}");
            assert_eq!((ru.contains(BETWEEN), en.contains(BETWEEN)), (*parts, *parts), "{key}");
        }
    }

    #[test]
    fn no_key_comes_twice() {
        let mut keys: Vec<&str> = TEXTS.iter().map(|known| known.key).collect();
        keys.sort_unstable();
        assert!(keys.windows(2).all(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn holes_are_filled_once() {
        let words = Words::plain(Language::En);
        assert_eq!(words.found("{words} {"), "Found for “{words} {”:");
    }

    #[test]
    fn texts_of_a_bot_stand_in_place_of_ours_in_their_language() {
        let mut texts = Texts::default();
        let at = TEXTS.iter().position(|known| known.key == "found").unwrap();
        texts.put(at, Language::Ru, "{words}? {".to_owned());
        let texts = Arc::new(texts);
        let [ru, en] = [Language::Ru, Language::En].map(|language| Words::new(&texts, language));
        assert_eq!((ru.found("а"), en.found("a").as_str()), ("а? {".to_owned(), "Found for “a”:"));
        assert_eq!(ru.home(), "🏠 В начало");
    }

    #[test]
    fn texts_that_count_have_the_form_of_their_number() {
        let of = |language| [1, 2, 5, 21, 1_234].map(|count| Words::plain(language).rows_more(count));
        assert_eq!(
            of(Language::Ru),
            [
                "… ещё 1 строка",
                "… ещё 2 строки",
                "… ещё 5 строк",
                "… ещё 21 строка",
                "… ещё 1\u{202f}234 строки"
            ]
        );
        assert_eq!(of(Language::En)[0], "… 1 more row");
        assert_eq!(of(Language::En)[4], "… 1,234 more rows");
    }
}

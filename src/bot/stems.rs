//! Words by their stems: forms of a word by Snowball's stemmers, slips of the pen by edit distance. Deterministic.

use std::sync::LazyLock;

use rust_stemmers::{Algorithm, Stemmer};

use super::said;

static RUSSIAN: LazyLock<Stemmer> = LazyLock::new(|| Stemmer::create(Algorithm::Russian));
static ENGLISH: LazyLock<Stemmer> = LazyLock::new(|| Stemmer::create(Algorithm::English));

/// Words that say nothing of what is wanted.
pub(super) const EMPTY: [&str; 44] = [
    "и",
    "а",
    "по",
    "за",
    "в",
    "во",
    "на",
    "с",
    "со",
    "из",
    "для",
    "о",
    "об",
    "у",
    "к",
    "от",
    "мне",
    "нам",
    "покажи",
    "показать",
    "дай",
    "пожалуйста",
    "сколько",
    "какой",
    "какая",
    "какие",
    "какое",
    "был",
    "была",
    "было",
    "были",
    "the",
    "a",
    "of",
    "for",
    "in",
    "by",
    "show",
    "me",
    "what",
    "how",
    "much",
    "many",
    "please",
];

/// A word without its ending.
fn stem(word: &str) -> String {
    let cyrillic = word.chars().any(|c| ('а'..='я').contains(&c));
    let stemmer = if cyrillic { &RUSSIAN } else { &ENGLISH };
    stemmer.stem(word).into_owned()
}

/// Stems of a text's words.
pub(super) fn stems(text: &str) -> Vec<String> {
    let words = said::tokens(text);
    let parts = words.iter().flat_map(|word| word.split(['-', '/', '_', '.', '+']));
    parts.filter(|part| part.chars().any(char::is_alphanumeric)).map(stem).collect()
}

/// How near a stem is to another: 1 = the same, 0 = another word.
pub(super) fn near(said: &str, meant: &str) -> f64 {
    if said == meant {
        return 1.0;
    }
    let (said_letters, meant_letters) = (said.chars().count(), meant.chars().count());
    let letters = said_letters.min(meant_letters);
    if letters >= 3 && meant.starts_with(said) {
        return 0.8;
    }
    let allowed = match letters {
        0..=3 => return 0.0,
        4..=6 => 1,
        _ => 2,
    };
    let may = said_letters.abs_diff(meant_letters) <= allowed;
    if may && strsim::osa_distance(said, meant) <= allowed { 0.7 } else { 0.0 }
}

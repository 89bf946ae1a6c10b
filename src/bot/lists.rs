//! A list of the database, by its words: which of its values a question names.

use std::collections::{BTreeSet, HashMap};

use super::{
    event::Picked,
    said,
    stems::{EMPTY, near, stems},
};

/// Values that one question may name of a list.
const NAMED: usize = 10;
/// Letters of a stem that may be said with a slip of the pen, or stand for a value of several words.
const LONG: usize = 4;

/// The values of a choice, in their order.
#[derive(Debug)]
pub struct List {
    values: Vec<Picked>,
    /// By value: of how many words its title is.
    words: Vec<usize>,
    /// Values by the stems of their titles.
    by_stem: HashMap<String, Vec<usize>>,
}

impl List {
    /// Of these values.
    pub fn new(values: Vec<Picked>) -> Self {
        let (mut words, mut by_stem) = (vec![], HashMap::<String, Vec<usize>>::new());
        for (at, value) in values.iter().enumerate() {
            let stems: BTreeSet<String> = stems(&super::call::title(value)).into_iter().collect();
            words.push(stems.len());
            for stem in stems {
                by_stem.entry(stem).or_default().push(at);
            }
        }
        Self { values, words, by_stem }
    }

    /// All of them.
    pub fn values(&self) -> &[Picked] {
        &self.values
    }

    /// Bytes that it takes, about.
    pub fn bytes(&self) -> usize {
        const OF_ONE: usize = 200;
        let titles: usize = self.values.iter().map(|value| value.title.len()).sum();
        self.values.len() * OF_ONE + 2 * titles
    }

    /// Those that the words behind a report's name mean: the one that they are, as it is bound; else those that stand among the words as they are bound,
    /// and those that the words name.
    pub fn told(&self, words: &str) -> Vec<Picked> {
        let (whole, said) = (words.trim().to_lowercase(), said::tokens(words));
        let bound = |one: &&Picked| one.value.to_string().to_lowercase();
        if let Some(one) = self.values.iter().find(|one| bound(one) == whole) {
            return vec![one.clone()];
        }
        let mut found: Vec<Picked> =
            self.values.iter().filter(|one| said.contains(&bound(one))).take(NAMED).cloned().collect();
        for one in self.named(words) {
            if !found.contains(&one) {
                found.push(one);
            }
        }
        found.truncate(NAMED);
        found
    }

    /// Those that a question names: by every word of their title; else the one that has a word that no other has.
    pub fn named(&self, question: &str) -> Vec<Picked> {
        let tokens = said::tokens(question);
        let said: Vec<&str> =
            tokens.iter().map(String::as_str).filter(|word| !EMPTY.contains(word)).collect();
        let said = stems(&said.join(" "));
        let mut heard: BTreeSet<&String> = BTreeSet::new();
        for word in &said {
            if let Some((stem, _)) = self.by_stem.get_key_value(word) {
                heard.insert(stem);
            } else {
                let meant = |stem: &&String| is_long(stem) && near(word, stem) > 0.0;
                heard.extend(self.by_stem.keys().filter(meant));
            }
        }
        let mut counts: HashMap<usize, usize> = HashMap::new();
        for at in heard.iter().flat_map(|stem| &self.by_stem[*stem]) {
            *counts.entry(*at).or_default() += 1;
        }
        let mut whole: Vec<usize> =
            counts.into_iter().filter(|(at, heard)| *heard == self.words[*at]).map(|(at, _)| at).collect();
        if whole.is_empty() {
            let alone =
                |stem: &&&String| is_long(stem) && said.contains(stem) && self.by_stem[**stem].len() == 1;
            whole = heard.iter().filter(alone).flat_map(|stem| self.by_stem[*stem].clone()).collect();
        }
        // A title of more words says more.
        whole.sort_by_key(|at| (std::cmp::Reverse(self.words[*at]), *at));
        whole.dedup();
        whole.into_iter().take(NAMED).map(|at| self.values[at].clone()).collect()
    }
}

fn is_long(stem: &str) -> bool {
    stem.chars().count() >= LONG
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::value::Value;

    fn list(titles: &[&str]) -> List {
        let picked = |title: &&str| Picked { value: Value::Text((*title).to_owned()), title: String::new() };
        List::new(titles.iter().map(picked).collect())
    }

    fn named(list: &List, question: &str) -> Vec<String> {
        list.named(question).iter().map(|picked| picked.value.to_string()).collect()
    }

    #[test]
    fn forms_of_words_and_slips_of_the_pen() {
        let genres = list(&["Комедия", "Драма", "Документальное кино", "ТВ"]);
        for (question, expected) in [
            ("сколько смотрят комедий за неделю", "Комедия"),
            ("зрители драмы", "Драма"),
            ("зрители драммы", "Драма"),
            ("кто смотрит документальное кино", "Документальное кино"),
            ("просмотры тв", "ТВ"),
        ] {
            assert_eq!(named(&genres, question), [expected], "{question}");
        }
        assert!(named(&genres, "выручка за прошлую неделю").is_empty());
        assert!(named(&genres, "").is_empty());
    }

    #[test]
    fn a_part_of_a_title_names_it_where_no_other_has_it() {
        let people = list(&["Анна Иванова", "Пётр Иванов", "Мария Сидорова", "Анна Петрова"]);
        assert_eq!(named(&people, "лиды Сидоровой"), ["Мария Сидорова"]);
        assert_eq!(named(&people, "лиды Анны Петровой"), ["Анна Петрова"]);
        assert!(named(&people, "лиды Анны").is_empty(), "there are two of them");
    }

    #[test]
    fn behind_a_reports_name_values_stand_as_they_are_bound_too() {
        let picked =
            |(value, title): (i64, &str)| Picked { value: Value::Int(value), title: title.to_owned() };
        let titles = List::new([(7, "Матрица"), (12, "Солярис"), (2025, "Восток 7")].map(picked).to_vec());
        let told =
            |words: &str| titles.told(words).iter().map(|one| one.value.to_string()).collect::<Vec<_>>();
        assert_eq!(told("7"), ["7"], "the value, and no title that has it");
        assert_eq!(told("12 вчера"), ["12"]);
        assert_eq!(told("матрица, солярис"), ["7", "12"]);
        assert!(told("13").is_empty() && told("").is_empty());
        assert!(titles.named("топ 12 фильмов").is_empty(), "in a question a number is not one of them");
        let codes = list(&["mrf_1", "North West"]);
        assert_eq!(codes.told("MRF_1")[0].value, Value::Text("mrf_1".to_owned()));
        assert_eq!(codes.told("north_west")[0].value, Value::Text("North West".to_owned()));
    }

    #[test]
    fn a_longer_title_comes_first() {
        let places = list(&["Центр", "Центр Москва"]);
        assert_eq!(named(&places, "лиды центр москва"), ["Центр Москва", "Центр"]);
    }

    #[test]
    fn a_hundred_thousand_values_are_looked_through_soon() {
        let many: Vec<String> = (0..100_000).map(|n| format!("Клиент номер{n} города{}", n % 977)).collect();
        let titles: Vec<&str> = many.iter().map(String::as_str).collect();
        let list = list(&titles);
        let began = std::time::Instant::now();
        let found = named(&list, "выручка по клиенту номер77777 города594 за прошлую неделю");
        assert_eq!(found.first().map(String::as_str), Some("Клиент номер77777 города594"));
        assert!(began.elapsed() < std::time::Duration::from_secs(5), "{:?}", began.elapsed());
    }
}

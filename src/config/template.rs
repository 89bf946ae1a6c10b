//! `{region}` and `{region.title}` in names and paths; `{{` and `}}` are braces.

use std::ops::Range;

use crate::model::name::Facts;

/// A text with slots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Slot(Slot),
}

/// A name in braces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Slot {
    /// `region` or `region.title`.
    pub(crate) name: String,
    /// Bytes of the text, braces included.
    pub(crate) span: Range<usize>,
}

impl Slot {
    /// The matrix that it speaks of.
    pub(crate) fn matrix(&self) -> &str {
        self.name.split('.').next().unwrap_or(&self.name)
    }
}

/// What is wrong with braces, and where in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BadTemplate {
    /// Bytes of the text.
    pub(crate) span: Range<usize>,
    /// Why.
    pub(crate) message: &'static str,
}

impl Template {
    /// Reads a text.
    pub(crate) fn parse(text: &str) -> Result<Self, BadTemplate> {
        let mut parts = vec![];
        let mut plain = String::new();
        let mut rest = text.char_indices().peekable();
        while let Some((at, c)) = rest.next() {
            let doubled = rest.peek().is_some_and(|(_, next)| *next == c);
            match c {
                '{' | '}' if doubled => {
                    plain.push(c);
                    rest.next();
                }
                '}' => {
                    return Err(BadTemplate {
                        span: at..at + 1,
                        message: "a `}` without `{`: write `}}` for a brace",
                    });
                }
                '{' => {
                    let length = text[at..].find('}').ok_or(BadTemplate {
                        span: at..text.len(),
                        message: "a `{` without `}`: write `{{` for a brace",
                    })?;
                    let name = &text[at + 1..at + length];
                    if !is_slot(name) {
                        let span = at..at + length + 1;
                        return Err(BadTemplate {
                            span,
                            message: "expected `{matrix}` or `{matrix.fact}` in braces",
                        });
                    }
                    if !plain.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut plain)));
                    }
                    parts.push(Part::Slot(Slot { name: name.to_owned(), span: at..at + length + 1 }));
                    while rest.next_if(|(next, _)| *next <= at + length).is_some() {}
                }
                _ => plain.push(c),
            }
        }
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Self { parts })
    }

    /// Its slots, in order.
    pub(crate) fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.parts.iter().filter_map(|part| match part {
            Part::Slot(slot) => Some(slot),
            Part::Text(_) => None,
        })
    }

    /// The text with every slot filled; the first slot that `facts` does not know otherwise.
    pub(crate) fn fill(&self, facts: &Facts) -> Result<String, &Slot> {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Text(plain) => text.push_str(plain),
                Part::Slot(slot) => text.push_str(facts.get(&slot.name).ok_or(slot)?),
            }
        }
        Ok(text)
    }
}

/// Whether a name can stand in braces and behind a colon: letters, digits and `_`, not a digit first.
pub(crate) fn is_word(name: &str) -> bool {
    name.chars().next().is_some_and(|c| c.is_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_alphanumeric() || c == '_')
}

fn is_slot(name: &str) -> bool {
    let mut words = name.split('.');
    words.next().is_some_and(is_word) && words.next().is_none_or(is_word) && words.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(text: &str) -> Result<String, String> {
        let facts = Facts::from([
            ("region".to_owned(), "mrf1".to_owned()),
            ("region.title".to_owned(), "Центр".to_owned()),
        ]);
        let template = Template::parse(text).map_err(|bad| text[bad.span].to_owned())?;
        template.fill(&facts).map_err(|slot| slot.name.clone())
    }

    #[test]
    fn slots_and_braces() {
        assert_eq!(fill("crm_{region}"), Ok("crm_mrf1".into()));
        assert_eq!(fill("{region.title} ({region})"), Ok("Центр (mrf1)".into()));
        assert_eq!(fill("a{{b}}c"), Ok("a{b}c".into()));
        assert_eq!(fill("{{{region}}}"), Ok("{mrf1}".into()));
        assert_eq!(fill("{zone}"), Err("zone".into()));
        assert_eq!(fill("{region"), Err("{region".into()));
        assert_eq!(fill("region}"), Err("}".into()));
        assert_eq!(fill("{}"), Err("{}".into()));
        assert_eq!(fill("{ region }"), Err("{ region }".into()));
        assert_eq!(fill("{region.title.x}"), Err("{region.title.x}".into()));
    }
}

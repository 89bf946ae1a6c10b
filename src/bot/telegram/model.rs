//! A language model that is asked what words mean, behind an endpoint that speaks as OpenAI's does. It is told which reports the viewer may run and the lists
//! that are written down, and answers with one of them; the dialog takes of that only what the viewer may ask. It is shown no row, no value of a
//! database's list and no SQL.

use std::path::Path;

use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::{
    bot::{
        access,
        event::{Advice, Viewer},
    },
    config::bot::{Ask, AskKind, Bot, ChoiceFrom, Model, Report},
    connector::secret,
};

/// Questions that are asked at once; who comes then does without.
const AT_ONCE: usize = 4;
/// Bytes of an answer.
const ANSWER: usize = 64 << 10;
/// Reports that it is told of.
const REPORTS: usize = 200;
/// Values of a list that it is told of.
const VALUES: usize = 100;
/// Words of its answer, about.
const TOKENS: u32 = 500;

const TASK: &str = "You turn a manager's question into one report with parameters. Choose only among the reports below. Answer with JSON alone: \
    {\"report\": NAME, \"with\": {QUESTION: ANSWER}}. Leave out questions that the manager says nothing about. \
    An answer is: of a date or date_range a day (2026-01-31), a month (2026-01), a year, two days (2026-01-01..2026-01-31) or one of \
    today, yesterday, last_7_days, this_week, last_week, this_month, last_month, this_quarter, last_quarter, this_year, last_year; of a choice one of its \
    values, or the name as the manager wrote it where no values are listed; of a number digits. If no report fits, answer {}.";

/// Asks models.
pub(super) struct Adviser {
    http: reqwest::Client,
    places: Semaphore,
}

impl Adviser {
    pub(super) fn new() -> Self {
        // Followed nowhere else: the key is for this address.
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build();
        Self { http: http.unwrap_or_default(), places: Semaphore::new(AT_ONCE) }
    }

    /// What a model makes of words; `None` = nothing that can be read, in its time.
    pub(super) async fn advice(
        &self,
        bot: &Bot,
        root: &Path,
        viewer: &Viewer,
        words: &str,
    ) -> Option<Advice> {
        let model = bot.model.as_ref()?;
        let _place = self.places.try_acquire().ok()?;
        let asked =
            tokio::time::timeout(model.timeout, self.ask(model, root, question(model, bot, viewer, words)));
        let why = match asked.await {
            Ok(Ok(text)) => match read(&text) {
                Some(advice) => return Some(advice),
                None => "its answer is no report".to_owned(),
            },
            Ok(Err(why)) => why,
            Err(_) => "no answer in time".to_owned(),
        };
        tracing::info!("the model `{}` gave no advice: {why}", model.name);
        None
    }

    async fn ask(&self, model: &Model, root: &Path, question: Value) -> Result<String, String> {
        let mut request = self.http.post(&model.url).header("content-type", "application/json");
        if let Some(key) = &model.key {
            let key = secret::read(key, "the model's key", root).await.map_err(|error| error.to_string())?;
            request = request.bearer_auth(key.expose_secret());
        }
        let broken = |error: reqwest::Error| error.without_url().to_string();
        let mut answer = request.body(question.to_string()).send().await.map_err(broken)?;
        if !answer.status().is_success() {
            return Err(format!("status {}", answer.status().as_u16()));
        }
        let mut body = vec![];
        while let Some(part) = answer.chunk().await.map_err(broken)? {
            body.extend_from_slice(&part);
            if body.len() > ANSWER {
                return Err("its answer has no end".to_owned());
            }
        }
        let body: Value = serde_json::from_slice(&body).map_err(|_| "its answer is no JSON".to_owned())?;
        let said = body["choices"][0]["message"]["content"].as_str();
        said.map(str::to_owned).ok_or_else(|| "its answer says nothing".to_owned())
    }
}

/// The advice in an answer, which may stand among other words.
fn read(said: &str) -> Option<Advice> {
    let object = said.get(said.find('{')?..=said.rfind('}')?)?;
    serde_json::from_str(object).ok()
}

fn question(model: &Model, bot: &Bot, viewer: &Viewer, words: &str) -> Value {
    let own = bot.reports.values().filter(|report| access::may_run(&viewer.access, report));
    let reports: Vec<Value> = own.take(REPORTS).map(|report| told(report, viewer)).collect();
    json!({
        "model": model.name,
        "temperature": 0,
        "max_tokens": TOKENS,
        "response_format": { "type": "json_object" },
        "messages": [
            { "role": "system", "content": format!("{TASK}\n\n{}", json!(reports)) },
            { "role": "user", "content": words },
        ],
    })
}

fn told(report: &Report, viewer: &Viewer) -> Value {
    let language = viewer.language;
    let asks: serde_json::Map<String, Value> =
        report.ask.iter().map(|(name, ask)| (name.clone(), asked(ask, viewer))).collect();
    json!({
        "report": report.name,
        "title": report.title.get(language),
        "description": report.description.as_ref().map(|text| text.get(language)),
        "aliases": report.aliases,
        "questions": asks,
    })
}

fn asked(ask: &Ask, viewer: &Viewer) -> Value {
    let kind = match &ask.kind {
        AskKind::Date(_) => "date",
        AskKind::DateRange(_) => "date_range",
        AskKind::Choice(_) => "choice",
        AskKind::Number(_) => "number",
        AskKind::Text { .. } => "text",
    };
    let mut asked = json!({ "title": ask.title.get(viewer.language), "kind": kind });
    if let AskKind::Choice(choice) = &ask.kind
        && let ChoiceFrom::Values(values) = &choice.from
    {
        let listed =
            values.iter().take(VALUES).map(|(value, title)| json!({ "value": value, "title": title }));
        asked["values"] = listed.collect();
    }
    asked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_and_nonsense_is_not() {
        let advice =
            read("```json\n{\"report\": \"leads\", \"with\": {\"period\": \"last_week\"}}\n```").unwrap();
        assert_eq!((advice.report.as_str(), advice.with["period"].as_str()), ("leads", "last_week"));
        for nonsense in [
            "",
            "}{",
            "{}",
            "leads",
            "{\"report\": 1}",
            "{\"report\": \"leads\", \"sql\": \"SELECT 1\"}",
            "{\"report\": \"leads\", \"with\": [1]}",
        ] {
            assert_eq!(read(nonsense), None, "{nonsense}");
        }
    }
}

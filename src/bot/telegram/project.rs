//! A project's bot, as it is edited: whoever serves it asks for the project as it is now.

use std::sync::{Arc, Mutex, PoisonError};

use super::{
    LOOK, Parts, Webhook,
    office::Setting,
    reports::{ProjectReports, Runtimes},
};
use crate::{bot::outbox::TELEGRAM, run::Runtime};

impl Parts {
    /// The bot of a project, with Telegram's token; `None` = the project has none. What says how Telegram is reached is read once.
    pub fn of_project(runtimes: Runtimes, token: String) -> Option<Self> {
        let runtime = runtimes();
        let project = runtime.project();
        let bot = project.bot.as_ref()?;
        let (api_url, webhook) = (bot.api_url.clone(), bot.webhook.clone());
        let now = Mutex::new((Arc::clone(&runtime), setting(&runtime)?));
        let answers = Arc::new(ProjectReports::new(Arc::clone(&runtimes), true));
        let settings = move || {
            let runtime = runtimes();
            let mut now = now.lock().unwrap_or_else(PoisonError::into_inner);
            if !Arc::ptr_eq(&now.0, &runtime)
                // An edited project without bot.toml leaves this bot as it was until it is begun again.
                && let Some(setting) = setting(&runtime)
            {
                *now = (runtime, setting);
            }
            Arc::clone(&now.1)
        };
        Some(Self {
            settings: Arc::new(settings),
            state: project.state.clone(),
            token,
            api_url,
            webhook: webhook.map(|webhook| Webhook { url: webhook.url, listen: webhook.listen }),
            answers,
            clock: Arc::clone(runtime.clock()),
            limits: TELEGRAM,
            look: LOOK,
        })
    }
}

fn setting(runtime: &Runtime) -> Option<Arc<Setting>> {
    Setting::of(runtime.project()).map(Arc::new)
}

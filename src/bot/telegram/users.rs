//! Users for the command line: the same changes as `/users` makes, with the same consequences. A bot that runs in another process sees them at its next
//! step, since rights are read anew for each; and it sends what is told here.

use std::{path::Path, sync::Arc};

use tokio::sync::Notify;

use super::{
    BotError, LOOK, Setting,
    files::Files,
    office::{Office, Settings},
    requests,
};
use crate::{
    bot::users_csv::Listed,
    model::time::Clock,
    state::bot::{
        BotRecords,
        dialogs::Step,
        users::{Act, Entry, Standing, User, UserFilter},
    },
};

/// Who does it, in the audit.
pub(super) const ACTOR: &str = "command line";

/// The bot's users.
pub struct Users {
    office: Office,
}

impl Users {
    /// Opens them beside the state files.
    pub fn open(setting: Arc<Setting>, state: &Path, clock: Arc<dyn Clock>) -> Result<Self, BotError> {
        let settings: Settings = Arc::new(move || Arc::clone(&setting));
        let (records, files) = (Arc::new(BotRecords::open(state)?), Files::open(state)?);
        Ok(Self {
            office: Office {
                settings,
                records,
                files,
                clock,
                news: Arc::new(Notify::new()),
                look: LOOK,
                failures: Arc::default(),
            },
        })
    }

    /// Those whose name, user name, id or role fits; all where nothing is searched for.
    pub fn list(&self, search: &str) -> Result<Vec<User>, BotError> {
        let filter = UserFilter { search: search.to_owned(), standing: None };
        Ok(self.office.records.users(&filter, 0, usize::MAX)?)
    }

    /// Whether this person ever wrote to the bot, or was told of by somebody.
    pub fn knows(&self, id: i64) -> Result<bool, BotError> {
        Ok(self.office.records.user(id)?.is_some())
    }

    /// All of them, for a table that leaves the bot: that stands in the audit.
    pub fn export(&self) -> Result<Vec<User>, BotError> {
        let users = self.list("")?;
        let detail = users.len().to_string();
        let act = Act { at: self.office.now(), actor: ACTOR.to_owned(), act: "export".to_owned(), detail };
        self.office.records.note(None, &act)?;
        Ok(users)
    }

    /// What was done to someone, or to everyone, the newest first.
    pub fn history(&self, id: Option<i64>, limit: usize) -> Result<Vec<Entry>, BotError> {
        Ok(self.office.records.audit(id, 0, limit)?)
    }

    /// Changes someone, who is told what follows.
    pub fn change(
        &self,
        id: i64,
        act: &str,
        detail: &str,
        change: impl Fn(&mut User),
    ) -> Result<User, BotError> {
        let act = Act {
            at: self.office.now(),
            actor: ACTOR.to_owned(),
            act: act.to_owned(),
            detail: detail.to_owned(),
        };
        let decided = requests::change(&self.office, id, act, change)?;
        decided.deed.write(&self.office, Step { messages: decided.told, ..Step::default() })?;
        Ok(decided.user)
    }

    /// Makes someone what a table says.
    pub fn import(&self, listed: &Listed) -> Result<User, BotError> {
        let detail = format!("{}: {}", listed.standing.as_str(), listed.roles.join(", "));
        self.change(listed.id, "import", &detail, |user| {
            if !listed.name.is_empty() {
                user.name.clone_from(&listed.name);
            }
            user.standing = listed.standing;
            user.roles.clone_from(&listed.roles);
            user.attributes.clone_from(&listed.attributes);
            user.expires = listed.expires;
            user.zone.clone_from(&listed.zone);
        })
    }

    /// Gives roles; whoever has one is in, unless they are blocked: that is taken back by `revoke` first.
    pub fn grant(&self, id: i64, roles: &[String], more: impl Fn(&mut User)) -> Result<User, BotError> {
        self.change(id, "grant", &roles.join(", "), |user| {
            for role in roles {
                if !user.roles.contains(role) {
                    user.roles.push(role.clone());
                }
            }
            if user.standing != Standing::Blocked {
                user.standing = Standing::Member;
            }
            more(user);
        })
    }

    /// Takes roles away; all of them, and the access itself, where none is named.
    pub fn revoke(&self, id: i64, roles: &[String]) -> Result<User, BotError> {
        self.change(id, "revoke", &roles.join(", "), |user| {
            user.roles.retain(|role| !roles.is_empty() && !roles.contains(role));
            if user.roles.is_empty() {
                user.standing = Standing::Seen;
            }
        })
    }

    /// Shuts someone out for good.
    pub fn block(&self, id: i64) -> Result<User, BotError> {
        self.change(id, "block", "", |user| user.standing = Standing::Blocked)
    }
}

//! What the fake knows: chats, their messages, updates that wait, calls that came.

use std::collections::{BTreeMap, HashSet, VecDeque};

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{
    faults::Fault,
    reply::Refusal,
    uploads::{CalledFile, Uploads},
    webhook::Webhook,
};

/// Calls kept; past it the oldest are forgotten.
const CALLS: usize = 100_000;
/// Messages kept of a chat; past it the oldest are forgotten.
const MESSAGES: usize = 10_000;

/// The bot's own id.
pub(super) const BOT_ID: i64 = 1_234_567;

/// A call that came.
#[derive(Debug, Clone, Serialize)]
pub struct Call {
    /// Milliseconds since the fake was started.
    pub at_ms: u64,
    /// The method's name as it was written.
    pub method: String,
    /// Its parameters.
    pub params: Value,
    /// Its files.
    pub files: Vec<CalledFile>,
    /// Whether it was done.
    pub done: bool,
    /// What it was refused with, or which fault it met.
    pub refusal: Option<String>,
}

/// What became of a chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ChatState {
    /// The bot may write.
    #[default]
    Open,
    /// The user blocked the bot.
    Blocked,
    /// The user's account is no more.
    Deactivated,
    /// The bot was put out of the group.
    Kicked,
    /// The group is a supergroup now, under this id.
    MovedTo(i64),
}

/// A chat.
#[derive(Debug)]
pub(super) struct Chat {
    /// As messages carry it.
    pub(super) json: Value,
    pub(super) state: ChatState,
    pub(super) messages: BTreeMap<i32, Value>,
}

/// Everything.
#[derive(Debug)]
pub(super) struct World {
    started: std::time::Instant,
    pub(super) users: BTreeMap<i64, Value>,
    pub(super) chats: BTreeMap<i64, Chat>,
    /// Updates that the bot did not confirm yet.
    pub(super) updates: Vec<Value>,
    /// Updates wait for the test's word.
    pub(super) held: bool,
    /// Rises with every `getUpdates`: an older one that still waits is ended.
    pub(super) poll: u64,
    pub(super) webhook: Option<Webhook>,
    /// Callback queries that were not answered.
    pub(super) callbacks: HashSet<String>,
    pub(super) calls: VecDeque<Call>,
    /// How many calls came before those.
    pub(super) calls_before: usize,
    pub(super) faults: Vec<Fault>,
    pub(super) uploads: Uploads,
    /// By scope, as JSON, and language.
    pub(super) commands: BTreeMap<(String, String), Value>,
    next_message: i32,
    next_update: u32,
    pub(super) next_callback: u64,
}

impl World {
    pub(super) fn new() -> Self {
        Self {
            started: std::time::Instant::now(),
            users: BTreeMap::new(),
            chats: BTreeMap::new(),
            updates: vec![],
            held: false,
            poll: 0,
            webhook: None,
            callbacks: HashSet::new(),
            calls: VecDeque::new(),
            calls_before: 0,
            faults: vec![],
            uploads: Uploads::default(),
            commands: BTreeMap::new(),
            next_message: 1,
            next_update: 1000,
            next_callback: 1,
        }
    }

    /// The bot, as `getMe` gives it.
    pub(super) fn me() -> Value {
        json!({
            "id": BOT_ID, "is_bot": true, "first_name": "Vitrina", "username": "vitrina_fake_bot",
            "can_join_groups": true, "can_read_all_group_messages": false, "supports_inline_queries": false,
            "can_connect_to_business": false, "has_main_web_app": false, "has_topics_enabled": false,
            "allows_users_to_create_topics": false,
        })
    }

    /// The bot, as messages carry it.
    pub(super) fn bot() -> Value {
        json!({ "id": BOT_ID, "is_bot": true, "first_name": "Vitrina", "username": "vitrina_fake_bot" })
    }

    /// Writes a call down.
    pub(super) fn log(&mut self, call: Call) {
        self.calls.push_back(Call { at_ms: self.started.elapsed().as_millis() as u64, ..call });
        while self.calls.len() > CALLS {
            self.calls.pop_front();
            self.calls_before += 1;
        }
    }

    /// What is numbered from now on has this number and those after it.
    pub(super) fn number_from(&mut self, number: i64) {
        let number = number.clamp(1, i64::from(i32::MAX));
        self.next_message = i32::try_from(number).unwrap_or(i32::MAX);
        self.next_update = u32::try_from(number).unwrap_or(u32::MAX);
    }

    /// Puts an update in the queue under a number of its own.
    pub(super) fn push(&mut self, mut update: Value) {
        update["update_id"] = json!(self.next_update);
        self.next_update += 1;
        self.updates.push(update);
    }

    /// Changes the updates that wait, and gives them their numbers in the order that they have then.
    pub(super) fn stir(&mut self, work: impl FnOnce(&mut Vec<Value>)) {
        work(&mut self.updates);
    }

    /// The chat that the bot may write to, or Telegram's word for why not.
    pub(super) fn open_chat(&mut self, id: i64) -> Result<&mut Chat, Refusal> {
        let chat = self.chats.get_mut(&id).ok_or_else(|| Refusal::bad("chat not found"))?;
        match chat.state {
            ChatState::Open => Ok(chat),
            ChatState::Blocked => Err(Refusal::new(403, "Forbidden: bot was blocked by the user")),
            ChatState::Deactivated => Err(Refusal::new(403, "Forbidden: user is deactivated")),
            ChatState::Kicked => Err(Refusal::new(403, "Forbidden: bot was kicked from the group chat")),
            ChatState::MovedTo(to) => Err(Refusal::migrated(to)),
        }
    }

    /// Adds a message to a chat, from the bot or a user; gives it as it stands.
    pub(super) fn add_message(&mut self, chat: i64, from: Value, content: Map<String, Value>) -> Value {
        let number = self.next_message;
        self.next_message += 1;
        let Some(chat) = self.chats.get_mut(&chat) else { return Value::Null };
        let date = 1_790_000_000 + self.started.elapsed().as_secs();
        let mut message = json!({ "message_id": number, "date": date, "chat": chat.json, "from": from });
        for (key, value) in content {
            message[key] = value;
        }
        chat.messages.insert(number, message.clone());
        while chat.messages.len() > MESSAGES {
            chat.messages.pop_first();
        }
        message
    }

    /// The messages of a chat, oldest first.
    pub(super) fn messages(&self, chat: i64) -> Vec<Value> {
        self.chats.get(&chat).map(|chat| chat.messages.values().cloned().collect()).unwrap_or_default()
    }

    /// Takes a message away. Whether there was one.
    pub(super) fn delete(&mut self, chat: i64, message: i32) -> bool {
        self.chats.get_mut(&chat).is_some_and(|chat| chat.messages.remove(&message).is_some())
    }
}

//! What people do: write, tap, block the bot, put it out of a group.

use serde_json::{Map, Value, json};

use super::world::{Chat, ChatState, World};

impl World {
    /// A user who may write to the bot, and their private chat.
    pub(super) fn add_user(&mut self, id: i64, first_name: &str, language: &str) {
        let user = json!({
            "id": id, "is_bot": false, "first_name": first_name, "username": format!("user_{id}"), "language_code": language,
        });
        let chat = json!({ "id": id, "type": "private", "first_name": first_name, "username": format!("user_{id}") });
        self.users.insert(id, user);
        self.add_chat(id, chat);
    }

    /// A group that the bot is in.
    pub(super) fn add_group(&mut self, id: i64, title: &str) {
        self.add_chat(id, json!({ "id": id, "type": "group", "title": title }));
    }

    /// A chat changes its state; one that moves gets its new self, and the bot hears of that, of blocks and of kicks as from Telegram.
    pub(super) fn set_state(&mut self, id: i64, state: ChatState) {
        let Some(chat) = self.chats.get_mut(&id) else { return };
        let was_out = !matches!(chat.state, ChatState::Open);
        chat.state = state;
        let json = chat.json.clone();
        let out = |status: &str| json!({ "user": Self::bot(), "status": status, "until_date": 0 });
        let (old, new) = match state {
            ChatState::MovedTo(to) => {
                let title = json["title"].clone();
                self.add_chat(to, json!({ "id": to, "type": "supergroup", "title": title }));
                let from = self.users.values().next().cloned().unwrap_or_else(Self::bot);
                for (chat, key, other) in [(id, "migrate_to_chat_id", to), (to, "migrate_from_chat_id", id)] {
                    let content = Map::from_iter([(key.to_owned(), json!(other))]);
                    let message = self.add_message(chat, from.clone(), content);
                    self.push(json!({ "message": message }));
                }
                return;
            }
            ChatState::Open if !was_out => return,
            ChatState::Open => (out("kicked"), json!({ "user": Self::bot(), "status": "member" })),
            ChatState::Deactivated => return,
            ChatState::Blocked | ChatState::Kicked => {
                (json!({ "user": Self::bot(), "status": "member" }), out("kicked"))
            }
        };
        let user = self.users.get(&id).or(self.users.values().next()).cloned().unwrap_or_else(Self::bot);
        self.push(json!({ "my_chat_member": {
            "chat": json, "from": user, "date": 1_790_000_000, "old_chat_member": old, "new_chat_member": new,
        }}));
    }

    /// A user writes. Gives the message's number, 0 where the chat is unknown.
    pub(super) fn write(&mut self, user: i64, chat: i64, text: &str) -> i32 {
        let Some(from) = self.users.get(&user).cloned() else { return 0 };
        let mut content = Map::new();
        content.insert("text".to_owned(), json!(text));
        if text.starts_with('/') {
            let length = text.split_whitespace().next().unwrap_or_default().encode_utf16().count();
            let entity = json!([{ "type": "bot_command", "offset": 0, "length": length }]);
            content.insert("entities".to_owned(), entity);
        }
        let message = self.add_message(chat, from, content);
        let number = message["message_id"].as_i64().unwrap_or_default() as i32;
        if number > 0 {
            self.push(json!({ "message": message }));
        }
        number
    }

    /// A user taps a button, or sends bytes that none has. Gives the callback's id.
    pub(super) fn tap(&mut self, user: i64, chat: i64, message: i32, data: &str) -> String {
        let id = format!("{}", 4_000_000_000 + self.next_callback);
        self.next_callback += 1;
        self.callbacks.insert(id.clone());
        let from = self.users.get(&user).cloned().unwrap_or(Value::Null);
        let shown = self.chats.get(&chat).and_then(|chat| chat.messages.get(&message)).cloned();
        let gone = json!({ "chat": { "id": chat, "type": "private", "first_name": "?" }, "message_id": message, "date": 0 });
        self.push(json!({ "callback_query": {
            "id": id, "from": from, "message": shown.unwrap_or(gone), "chat_instance": chat.to_string(), "data": data,
        }}));
        id
    }

    /// The newest button of a chat whose title is, or else contains, this: its message and its data.
    pub(super) fn button(&self, chat: i64, title: &str) -> Option<(i32, String)> {
        let find = |fits: &dyn Fn(&str) -> bool| {
            let messages = self.chats.get(&chat)?.messages.iter().rev();
            messages.flat_map(|(number, message)| buttons(message).map(|button| (*number, button))).find_map(
                |(number, button)| {
                    let data = button["callback_data"].as_str()?;
                    fits(button["text"].as_str()?).then(|| (number, data.to_owned()))
                },
            )
        };
        find(&|text| text == title).or_else(|| find(&|text| text.contains(title)))
    }

    fn add_chat(&mut self, id: i64, json: Value) {
        let chat = Chat { json, state: ChatState::Open, messages: std::collections::BTreeMap::new() };
        self.chats.insert(id, chat);
    }
}

/// The buttons under a message.
fn buttons(message: &Value) -> impl Iterator<Item = &Value> {
    let rows = message["reply_markup"]["inline_keyboard"].as_array();
    rows.into_iter().flatten().filter_map(Value::as_array).flatten()
}

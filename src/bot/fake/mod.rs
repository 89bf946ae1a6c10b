//! A Telegram of our own, on loopback: what the bot's tests talk to over HTTP, and what `vitrina bot fake` starts for whoever
//! wants to try a bot.toml without an account.
//!
//! It does what the Bot API does as far as the bot can notice: method names in any case, parameters as JSON, form or multipart,
//! long polls confirmed by `offset` or updates posted to a webhook, refusals at Telegram's limits and in its words,
//! callback queries that are answered once. Tests see every call with its body, and may have any of them fail.

mod body;
mod edits;
mod faults;
mod html;
mod limits;
mod methods;
mod page;
mod people;
mod reply;
mod server;
mod uploads;
mod webhook;
mod world;

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use serde_json::Value;
use tokio::{sync::Notify, task::JoinHandle};

pub use faults::{Fault, Harm};
pub use uploads::CalledFile;
use world::World;
pub use world::{Call, ChatState};

/// A token of the form that Telegram gives; this one opens nothing.
pub const TOKEN: &str = "1234567:a-token-of-the-fake-telegram-only";

/// A running fake. Clones share it; it stops with [`Fake::stop`] or with the process.
#[derive(Debug, Clone)]
pub struct Fake {
    shared: Arc<Shared>,
    address: SocketAddr,
    server: Arc<JoinHandle<()>>,
}

/// What the server and its owner share.
#[derive(Debug)]
struct Shared {
    world: Mutex<World>,
    /// Told at every change: of updates, messages, calls.
    changed: Notify,
    token: String,
}

impl Shared {
    fn world(&self) -> MutexGuard<'_, World> {
        // Every change is whole before anything can panic, so a poisoned world is a sound one.
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the world and wakes who waits for that.
    fn change<T>(&self, work: impl FnOnce(&mut World) -> T) -> T {
        let result = work(&mut self.world());
        self.changed.notify_waiters();
        result
    }
}

impl Fake {
    /// Starts one on a loopback port (0 = any free one) that serves this bot token.
    pub async fn start(port: u16, token: &str) -> std::io::Result<Self> {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            world: Mutex::new(World::new()),
            changed: Notify::new(),
            token: token.to_owned(),
        });
        let server = tokio::spawn(server::serve(listener, Arc::clone(&shared)));
        tokio::spawn(webhook::post_updates(Arc::downgrade(&shared)));
        Ok(Self { shared, address, server: Arc::new(server) })
    }

    /// Where the Bot API is: `http://127.0.0.1:PORT`. The page for people lies there, too.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Updates and messages have this number and those after it, at most `i32::MAX`: a bot that was served before remembers theirs, and hears none twice.
    pub fn number_from(&self, number: i64) {
        self.shared.change(|world| world.number_from(number));
    }

    /// Hears nobody from now on.
    pub fn stop(&self) {
        self.server.abort();
    }

    /// A user who may write to the bot, and their private chat.
    pub fn user(&self, id: i64, first_name: &str, language: &str) {
        self.shared.change(|world| world.add_user(id, first_name, language));
    }

    /// A group that the bot is in.
    pub fn group(&self, id: i64, title: &str) {
        self.shared.change(|world| world.add_group(id, title));
    }

    /// What befell a chat: blocked, kicked, moved.
    pub fn set_state(&self, chat: i64, state: ChatState) {
        self.shared.change(|world| world.set_state(chat, state));
    }

    /// A user writes. Gives the message's number.
    pub fn write(&self, user: i64, chat: i64, text: &str) -> i32 {
        self.shared.change(|world| world.write(user, chat, text))
    }

    /// A user taps the button with this title, on the newest message of the chat that has one. Gives the callback's id.
    pub fn press(&self, user: i64, chat: i64, title: &str) -> Option<String> {
        // Looking changes nothing, and wakes nobody: whoever waits for a button looks again and again.
        let (message, data) = self.shared.world().button(chat, title)?;
        Some(self.tap(user, chat, message, &data))
    }

    /// A user sends these bytes as a button's data, forged or not. Gives the callback's id.
    pub fn tap(&self, user: i64, chat: i64, message: i32, data: &str) -> String {
        self.shared.change(|world| world.tap(user, chat, message, data))
    }

    /// Any update, as it stands; its `update_id` is given here.
    pub fn push(&self, update: Value) {
        self.shared.change(|world| world.push(update));
    }

    /// How many updates the bot did not confirm yet.
    pub fn pending(&self) -> usize {
        self.shared.world().updates.len()
    }

    /// Changes the updates that wait: doubles them, turns them round.
    pub fn stir(&self, work: impl FnOnce(&mut Vec<Value>)) {
        self.shared.change(|world| world.stir(work));
    }

    /// Updates wait until [`Fake::release`].
    pub fn hold(&self) {
        self.shared.change(|world| world.held = true);
    }

    /// Updates flow again.
    pub fn release(&self) {
        self.shared.change(|world| world.held = false);
    }

    /// A call will go wrong. Faults are met in the order they were given.
    pub fn fault(&self, fault: Fault) {
        self.shared.change(|world| world.faults.push(fault));
    }

    /// Every call so far, oldest first.
    pub fn calls(&self) -> Vec<Call> {
        self.shared.world().calls.iter().cloned().collect()
    }

    /// How many calls came so far.
    pub fn call_count(&self) -> usize {
        let world = self.shared.world();
        world.calls_before + world.calls.len()
    }

    /// The calls after the first so many, oldest first, as far as they are kept; and how many have come with them.
    pub fn calls_after(&self, count: usize) -> (Vec<Call>, usize) {
        let world = self.shared.world();
        let left = count.saturating_sub(world.calls_before);
        (world.calls.iter().skip(left).cloned().collect(), world.calls_before + world.calls.len())
    }

    /// The calls of a method so far, oldest first; its name in any case.
    pub fn calls_of(&self, method: &str) -> Vec<Call> {
        self.calls().into_iter().filter(|call| call.method.eq_ignore_ascii_case(method)).collect()
    }

    /// The messages of a chat as they stand, oldest first.
    pub fn messages(&self, chat: i64) -> Vec<Value> {
        self.shared.world().messages(chat)
    }

    /// A message is taken away by its chat's people.
    pub fn forget(&self, chat: i64, message: i32) {
        self.shared.change(|world| world.delete(chat, message));
    }

    /// What was uploaded under this file id.
    pub fn upload(&self, file_id: &str) -> Option<Bytes> {
        self.shared.world().uploads.get(file_id)
    }

    /// Commands that were set for a scope (its JSON) and a language (empty = any).
    pub fn commands(&self, scope: &Value, language: &str) -> Option<Value> {
        self.shared.world().commands.get(&(scope.to_string(), language.to_owned())).cloned()
    }

    /// Waits until `found` gives something, for as long as that may take at most.
    pub async fn wait_for<T>(&self, limit: Duration, mut found: impl FnMut(&Self) -> Option<T>) -> Option<T> {
        let deadline = tokio::time::Instant::now() + limit;
        loop {
            // Asked for before looking, so that no change falls between.
            let changed = self.shared.changed.notified();
            if let Some(result) = found(self) {
                return Some(result);
            }
            tokio::time::timeout_at(deadline, changed).await.ok()?;
        }
    }
}

#[cfg(test)]
mod tests;

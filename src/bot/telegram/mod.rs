//! The bot in Telegram.

mod delivery;
mod files;
mod html;
mod parcel;
mod parts;
mod send;

/// What is said where Telegram does not know the token.
const WRONG_TOKEN: &str = "Telegram does not know the bot's token: it is wrong, or was revoked; take the present one from @BotFather";

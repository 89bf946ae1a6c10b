//! The fake, as teloxide sees it.

use std::time::Duration;

use serde_json::json;
use teloxide::{
    ApiError, Bot, RequestError,
    payloads::{EditMessageTextSetters, GetUpdatesSetters, SendMessageSetters},
    prelude::Requester,
    types::{
        CallbackQueryId, ChatId, InlineKeyboardButton, InlineKeyboardMarkup, InputFile, ParseMode, UpdateKind,
    },
};

use super::{ChatState, Fake, Fault, Harm, TOKEN};

const ANNA: i64 = 7;

async fn started() -> (Fake, Bot) {
    let fake = Fake::start(0, TOKEN).await.unwrap();
    fake.user(ANNA, "Анна", "ru");
    let bot = bot(&fake, TOKEN);
    (fake, bot)
}

fn bot(fake: &Fake, token: &str) -> Bot {
    Bot::new(token).set_api_url(fake.url().parse().unwrap())
}

fn refusal<T: std::fmt::Debug>(result: Result<T, RequestError>) -> ApiError {
    match result {
        Err(RequestError::Api(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn updates_stay_until_they_are_confirmed() {
    let (fake, bot) = started().await;
    fake.write(ANNA, ANNA, "/start revenue");
    fake.push(json!({ "a_kind_of_tomorrow": { "x": 1 } }));
    for _ in 0..2 {
        let updates = bot.get_updates().await.unwrap();
        assert_eq!(updates.len(), 2);
        let UpdateKind::Message(message) = &updates[0].kind else { panic!("{updates:?}") };
        assert_eq!(message.text(), Some("/start revenue"));
        assert!(matches!(updates[1].kind, UpdateKind::Error(_)));
    }
    let offset = bot.get_updates().await.unwrap()[1].id.as_offset();
    let waiting = tokio::spawn(async move { bot.get_updates().offset(offset).timeout(5).await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    fake.write(ANNA, ANNA, "ещё");
    assert_eq!(waiting.await.unwrap().unwrap().len(), 1);
}

#[tokio::test]
async fn limits_are_telegrams() {
    let (_fake, bot) = started().await;
    let anna = ChatId(ANNA);
    let exact = "🙂".repeat(2048);
    assert!(bot.send_message(anna, exact.clone()).await.is_ok());
    assert_eq!(refusal(bot.send_message(anna, exact + "!").await), ApiError::MessageIsTooLong);
    assert_eq!(refusal(bot.send_message(anna, " \n").await), ApiError::MessageTextIsEmpty);
    let broken = bot.send_message(anna, "<b>a").parse_mode(ParseMode::Html).await;
    assert!(matches!(refusal(broken), ApiError::CantParseEntities(_)));
    let keyboard = |data: String| InlineKeyboardMarkup::new([[InlineKeyboardButton::callback("a", data)]]);
    assert!(bot.send_message(anna, "x").reply_markup(keyboard("d".repeat(64))).await.is_ok());
    let long = bot.send_message(anna, "x").reply_markup(keyboard("d".repeat(65))).await;
    assert_eq!(refusal(long), ApiError::ButtonDataInvalid);
    assert_eq!(refusal(bot.send_message(ChatId(99), "x").await), ApiError::ChatNotFound);
    let no_picture = bot.send_photo(anna, InputFile::memory("no picture").file_name("a.png")).await;
    assert_eq!(refusal(no_picture), ApiError::ImageProcessFailed);
    let large = InputFile::memory(vec![0_u8; (50 << 20) + 1]).file_name("a.bin");
    assert_eq!(refusal(bot.send_document(anna, large).await), ApiError::RequestEntityTooLarge);
}

#[tokio::test]
async fn edits_and_callbacks_are_answered_once() {
    let (fake, bot) = started().await;
    let sent = bot.send_message(ChatId(ANNA), "one").await.unwrap();
    bot.edit_message_text(sent.chat.id, sent.id, "<b>two</b>").parse_mode(ParseMode::Html).await.unwrap();
    let again = bot.edit_message_text(sent.chat.id, sent.id, "<b>two</b>").parse_mode(ParseMode::Html).await;
    assert_eq!(refusal(again), ApiError::MessageNotModified);
    fake.forget(ANNA, sent.id.0);
    let gone = bot.edit_message_text(sent.chat.id, sent.id, "three").await;
    assert_eq!(refusal(gone), ApiError::MessageToEditNotFound);

    let id = CallbackQueryId(fake.tap(ANNA, ANNA, sent.id.0, "data"));
    bot.answer_callback_query(id.clone()).await.unwrap();
    assert_eq!(refusal(bot.answer_callback_query(id).await), ApiError::InvalidQueryId);
}

#[tokio::test]
async fn files_are_kept() {
    let (fake, bot) = started().await;
    let file = InputFile::memory("a;b\n1;2\n").file_name("Отчёт.csv");
    let sent = bot.send_document(ChatId(ANNA), file).await.unwrap();
    let document = sent.document().unwrap();
    assert_eq!(document.file_name.as_deref(), Some("Отчёт.csv"));
    assert_eq!(fake.upload(&document.file.id.0).unwrap(), "a;b\n1;2\n");
    assert_eq!(fake.calls_of("sendDocument")[0].files[0].size, 8);
    let (all, count) = fake.calls_after(0);
    assert_eq!((all.len(), count), (fake.calls().len(), fake.call_count()));
    let (last, _) = fake.calls_after(count - 1);
    assert_eq!((last.len(), last[0].at_ms), (1, all[count - 1].at_ms));
}

#[tokio::test]
async fn calls_fail_as_asked() {
    let (fake, bot) = started().await;
    let anna = ChatId(ANNA);
    fake.fault(Fault::of("sendMessage", 1, Harm::TooMany { retry_after: 3 }));
    assert!(
        matches!(bot.send_message(anna, "1").await, Err(RequestError::RetryAfter(s)) if s.seconds() == 3)
    );
    fake.fault(Fault::of("sendMessage", 1, Harm::DropReply));
    assert!(matches!(bot.send_message(anna, "2").await, Err(RequestError::Network(_))));
    fake.fault(Fault::of("sendMessage", 1, Harm::DropRequest).in_chat(ANNA));
    assert!(matches!(bot.send_message(anna, "3").await, Err(RequestError::Network(_))));
    assert_eq!(fake.messages(ANNA).len(), 1, "the second was done, only its answer was lost");
    fake.group(-5, "Продажи");
    fake.set_state(-5, ChatState::MovedTo(-1005));
    let moved = bot.send_message(ChatId(-5), "x").await;
    assert!(matches!(moved, Err(RequestError::MigrateToChatId(ChatId(-1005)))));
    fake.set_state(ANNA, ChatState::Blocked);
    assert_eq!(refusal(bot.send_message(anna, "x").await), ApiError::BotBlocked);
}

#[tokio::test]
async fn one_token_one_bot() {
    let (fake, first) = started().await;
    assert_eq!(refusal(bot(&fake, "1:wrong").get_me().await), ApiError::InvalidToken);
    let second = first.clone();
    let waiting = tokio::spawn(async move { first.get_updates().timeout(60).await });
    let polls = |fake: &Fake| (fake.shared.world().poll > 0).then_some(());
    fake.wait_for(Duration::from_mins(1), polls).await.expect("the first one asks");
    let _other = tokio::spawn(async move { second.get_updates().timeout(1).await });
    assert_eq!(refusal(waiting.await.unwrap()), ApiError::TerminatedByOtherGetUpdates);
}

//! The bot's records, as they lie in the file.

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    BotRecords,
    alerts::Raised,
    dialogs::Step,
    outbox::NewMessage,
    subscriptions::{Subscription, SubscriptionState},
    users::{Act, Name, Standing, UserFilter},
};

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000, 0).unwrap()
}

fn records() -> (tempfile::TempDir, BotRecords) {
    let folder = tempfile::tempdir().unwrap();
    let records = BotRecords::open(folder.path()).unwrap();
    (folder, records)
}

fn name(id: i64, name: &str) -> Name {
    Name { id, name: name.to_owned(), username: Some(format!("u{id}")), language: Some("ru".to_owned()) }
}

fn act(what: &str) -> Act {
    Act { at: now(), actor: "1".to_owned(), act: what.to_owned(), detail: "executive".to_owned() }
}

fn to(chat: i64, content: &str) -> NewMessage {
    NewMessage { chat, content: content.to_owned() }
}

#[test]
fn records_of_the_first_format_get_the_bots_tables_and_keep_their_letters() {
    let folder = tempfile::tempdir().unwrap();
    let old = rusqlite::Connection::open(folder.path().join("records.db")).unwrap();
    old.execute_batch(include_str!("records_format_1.sql")).unwrap();
    drop(old);
    let records = BotRecords::open(folder.path()).unwrap();
    assert_eq!(records.users(&UserFilter::default(), 0, 10).unwrap(), []);
    let letters = crate::state::records::Records::open(folder.path()).unwrap().list(None, 10).unwrap();
    assert_eq!((letters.len(), letters[0].reason.as_str()), (1, "text in an int64 column"));
}

#[test]
fn records_of_the_second_format_keep_users_subscriptions_and_alerts() {
    let folder = tempfile::tempdir().unwrap();
    let old = rusqlite::Connection::open(folder.path().join("records.db")).unwrap();
    old.execute_batch(include_str!("records_format_2.sql")).unwrap();
    drop(old);
    let records = BotRecords::open(folder.path()).unwrap();
    assert_eq!(records.user(7).unwrap().unwrap().roles, ["executive"]);
    assert!(records.alert("drop").unwrap().is_some());
    records.move_chat(-5, -1005).unwrap();
    assert_eq!(records.subscription(3).unwrap().unwrap().chat, Some(-1005));
}

#[test]
fn records_of_the_third_format_keep_where_groups_moved() {
    let folder = tempfile::tempdir().unwrap();
    let old = rusqlite::Connection::open(folder.path().join("records.db")).unwrap();
    old.execute_batch(include_str!("records_format_3.sql")).unwrap();
    drop(old);
    let records = BotRecords::open(folder.path()).unwrap();
    assert_eq!(records.present_id(-9).unwrap(), -1009);
    records.set_looked("drop", now()).unwrap();
    assert_eq!(records.looked("drop", now() + chrono::TimeDelta::hours(1)).unwrap(), now());
}

#[test]
fn every_change_of_a_user_is_in_the_audit_and_a_refused_one_is_not() {
    let (_folder, records) = records();
    records.meet(&name(7, "Анна"), now()).unwrap();
    let granted = records.change_user::<()>(7, &act("grant"), &Step::default(), |user| {
        user.standing = Standing::Member;
        user.roles.push("executive".to_owned());
        Ok(())
    });
    assert_eq!(granted.unwrap().unwrap().roles, ["executive"]);
    let sent = Step { update: Some(5), messages: vec![to(7, "refused")], ..Step::default() };
    assert_eq!(records.change_user(7, &act("grant"), &sent, |_| Err("no")).unwrap(), Err("no"));
    assert!(!records.is_handled(5).unwrap() && records.waiting_after(0).unwrap().is_empty());
    let audit = records.audit(Some(7), 0, 10).unwrap();
    assert_eq!((audit.len(), audit[0].act.clone()), (1, act("grant")));
    // A new name is kept, and takes nothing away.
    let met = records.meet(&name(7, "Анна Иванова"), now()).unwrap();
    assert_eq!((met.name.as_str(), met.roles.len(), met.standing), ("Анна Иванова", 1, Standing::Member));
    let found = |search: &str| {
        let filter = UserFilter { search: search.to_owned(), standing: None };
        records.users(&filter, 0, 10).unwrap().len()
    };
    assert_eq!(
        (found("иванова"), found("@U7"), found("7"), found("пётр"), found("executive")),
        (1, 1, 1, 0, 1)
    );
}

#[test]
fn a_step_is_all_or_nothing_and_known_again() {
    let (_folder, records) = records();
    let step = Step {
        update: Some(1001),
        user: 7,
        chat: 7,
        state: Some("{}".to_owned()),
        messages: vec![to(7, "a"), to(7, "b")],
        also: vec![],
    };
    assert!(!records.is_handled(1001).unwrap());
    records.step(&step, now()).unwrap();
    assert!(records.is_handled(1001).unwrap());
    assert_eq!(records.dialog(7, 7).unwrap().as_deref(), Some("{}"));
    assert_eq!(records.waiting_after(0).unwrap(), [(1, 7), (2, 7)]);
    records.arrived(1, Some((7, 7, "[5]"))).unwrap();
    assert_eq!((records.waiting(1).unwrap(), records.shown(7, 7).unwrap().as_deref()), (None, Some("[5]")));
    assert_eq!(records.waiting(2).unwrap().unwrap().content, "b");
}

/// Steps leave the disk to whoever syncs; what else is written waits for it by itself, also right behind them.
#[test]
fn steps_share_one_wait_for_the_disk() {
    let waits = |connection: &mut rusqlite::Connection| {
        connection.query_row("PRAGMA synchronous", [], |row| row.get::<_, i64>(0))
    };
    let (_folder, records) = records();
    records.step(&Step { user: 7, chat: 7, state: Some("{}".to_owned()), ..Step::default() }, now()).unwrap();
    records.arrived(1, None).unwrap();
    assert_eq!(records.database.with(waits).unwrap(), 2, "FULL");
    assert_eq!(records.database.with_eased(waits).unwrap(), 1, "NORMAL");
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        records.database.with_eased(|_| -> rusqlite::Result<()> { panic!("in between") })
    }));
    assert!(panicked.is_err());
    assert_eq!(records.database.with(waits).unwrap(), 2, "FULL, whatever happened");
    records.sync().unwrap();
    assert_eq!(records.dialog(7, 7).unwrap().as_deref(), Some("{}"));
}

#[test]
fn a_group_that_moves_takes_everything_along() {
    let (_folder, records) = records();
    records.put_messages(&[to(-5, "a"), to(7, "b")], now()).unwrap();
    let step = Step { user: 7, chat: -5, state: Some("x".to_owned()), ..Step::default() };
    records.step(&step, now()).unwrap();
    assert!(records.move_chat(-5, -1005).unwrap());
    assert!(!records.move_chat(-5, -1005).unwrap(), "it is known");
    records.move_chat(-4, -5).unwrap();
    records.move_chat(-5, -1005).unwrap();
    assert_eq!((records.present_id(-4).unwrap(), records.present_id(-1005).unwrap()), (-1005, -1005));
    assert_eq!(records.ids_of(-1005).unwrap(), [-1005, -5, -4]);
    assert_eq!(records.ids_of(7).unwrap(), [7]);
    assert_eq!(records.waiting_after(0).unwrap(), [(1, -1005), (2, 7)]);
    assert_eq!(records.dialog(7, -1005).unwrap().as_deref(), Some("x"));
    records.chat_failed(-1005, "kicked", now()).unwrap();
    assert_eq!(records.waiting_after(0).unwrap(), [(2, 7)]);
    let failures = records.failures(10).unwrap();
    assert_eq!((failures.len(), failures[0].chat, failures[0].why.as_str()), (1, -1005, "kicked"));
}

fn given(name: &str, cron: &str) -> Subscription {
    Subscription {
        id: 0,
        name: Some(name.to_owned()),
        owner: None,
        chat: None,
        report: "revenue".to_owned(),
        asks: "{}".to_owned(),
        cron: cron.to_owned(),
        zone: "Europe/Moscow".to_owned(),
        state: SubscriptionState::On,
        why: None,
        fired_at: now(),
    }
}

#[test]
fn given_subscriptions_keep_their_place_by_name() {
    let (_folder, records) = records();
    records
        .give_subscriptions(&[given("morning", "0 9 * * *"), given("evening", "0 18 * * *")], now())
        .unwrap();
    let first = records.subscriptions(None).unwrap();
    let due = now() + TimeDelta::hours(3);
    records.fired(&[first[0].id], due, &[to(7, "report")], due).unwrap();
    records.give_subscriptions(&[given("morning", "0 10 * * *")], now()).unwrap();
    let second = records.subscriptions(None).unwrap();
    assert_eq!(second.len(), 1);
    assert_eq!((second[0].id, second[0].fired_at, second[0].cron.as_str()), (first[0].id, due, "0 10 * * *"));
    assert_eq!(records.waiting_after(0).unwrap().len(), 1);
}

#[test]
fn a_subscription_that_is_turned_on_again_is_not_sent_for_the_time_between() {
    let (_folder, records) = records();
    let own = Subscription { name: None, owner: Some(7), chat: Some(7), ..given("", "0 9 * * *") };
    let id = records.subscribe(&own, now()).unwrap();
    records.set_subscription(id, SubscriptionState::Paused, None, now()).unwrap();
    let later = now() + TimeDelta::days(3);
    records.set_subscription(id, SubscriptionState::On, None, later).unwrap();
    assert_eq!(records.subscription(id).unwrap().unwrap().fired_at, later);
    records.unsubscribe(id).unwrap();
    assert_eq!(records.subscriptions(Some(7)).unwrap(), []);
}

#[test]
fn alerts_are_raised_told_and_over() {
    let (_folder, records) = records();
    let raised = Raised { raised_at: now(), told_at: None };
    records.set_alert("drop", Some(raised), &[], now()).unwrap();
    assert_eq!(records.alert("drop").unwrap(), Some(raised));
    assert_eq!(
        (records.raised("dr").unwrap(), records.raised("x").unwrap()),
        (vec!["drop".to_owned()], vec![])
    );
    records.set_alert("drop", None, &[to(7, "over")], now()).unwrap();
    assert_eq!((records.alert("drop").unwrap(), records.waiting_after(0).unwrap().len()), (None, 1));
}

#[test]
fn an_alert_is_looked_for_from_where_it_was() {
    let (_folder, records) = records();
    assert_eq!(records.looked("drop", now()).unwrap(), now());
    let later = now() + TimeDelta::hours(1);
    assert_eq!(records.looked("drop", later).unwrap(), now(), "it stays as it was");
    records.set_looked("drop", later).unwrap();
    records.looked("other", now()).unwrap();
    let raised = Raised { raised_at: now(), told_at: None };
    for name in ["drop", "other", " failed"] {
        records.set_alert(name, Some(raised), &[], now()).unwrap();
    }
    records.keep_alerts(&["drop"], " ").unwrap();
    let raised = [" ", "drop", "other"].map(|prefix| records.raised(prefix).unwrap().len());
    assert_eq!(raised, [1, 1, 0], "one that comes back is told anew");
    assert_eq!(records.looked("drop", now()).unwrap(), later);
    assert_eq!(records.looked("other", later).unwrap(), later, "it was forgotten");
}

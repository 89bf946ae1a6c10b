//! Webhooks are told of what goes wrong: once, and once more when it is over.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
};

use serde_json::{Value as Json, json};

use super::serving::{BUSY, CALLS, PROJECT, Serving, arrived, number, project, runs};
use crate::support::project::Sandbox;

/// Whoever knows it may write there.
const SECRET: &str = "T0K3N-of-the-hook";

/// Somebody who takes notices.
struct Receiver {
    port: u16,
    heard: Arc<Mutex<Vec<Json>>>,
}

impl Receiver {
    /// Answers each of the first posts by one of these codes, all others by 200.
    fn at(listener: TcpListener, codes: &'static [u16]) -> Self {
        let (port, heard) = (listener.local_addr().unwrap().port(), Arc::<Mutex<Vec<Json>>>::default());
        let told = Arc::clone(&heard);
        std::thread::spawn(move || {
            for (at, stream) in listener.incoming().enumerate() {
                let code = codes.get(at).copied().unwrap_or(200);
                let mut told = told.lock().unwrap();
                told.push(take(stream.unwrap(), code));
            }
        });
        Self { port, heard }
    }

    fn new(codes: &'static [u16]) -> Self {
        Self::at(TcpListener::bind("127.0.0.1:0").unwrap(), codes)
    }

    /// What was posted so far: event, state and name of each.
    fn heard(&self) -> Vec<[String; 3]> {
        let text = |notice: &Json, key: &str| notice[key].as_str().unwrap().to_owned();
        let heard = self.heard.lock().unwrap();
        heard.iter().map(|notice| ["event", "state", "name"].map(|key| text(notice, key))).collect()
    }

    fn count(&self) -> usize {
        self.heard.lock().unwrap().len()
    }

    fn notice(&self, at: usize) -> Json {
        self.heard.lock().unwrap()[at].clone()
    }
}

/// The JSON of a request, which is answered by a code.
fn take(stream: TcpStream, code: u16) -> Json {
    let mut reader = BufReader::new(&stream);
    let (mut length, mut first) = (0, true);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if std::mem::take(&mut first) {
            assert_eq!(line.trim_end(), format!("POST /{SECRET} HTTP/1.1"));
        }
        let line = line.to_ascii_lowercase();
        if let Some(told) = line.strip_prefix("content-length:") {
            length = told.trim().parse().unwrap();
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let mut stream = &stream;
    let answer = format!("HTTP/1.1 {code} So\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    stream.write_all(answer.as_bytes()).unwrap();
    serde_json::from_slice(&body).unwrap()
}

fn notified(more: &str) -> Sandbox {
    let sandbox = project();
    sandbox
        .write("vitrina.toml", &format!("{PROJECT}\n[notify.ops]\nwebhook = {{ env = \"HOOK\" }}\n{more}"));
    sandbox
}

fn start(sandbox: &Sandbox, port: u16) -> Serving<'_> {
    Serving::start_with(sandbox, &[("HOOK", &format!("http://127.0.0.1:{port}/{SECRET}"))])
}

fn of(event: &str, state: &str, name: &str) -> [String; 3] {
    [event.to_owned(), state.to_owned(), name.to_owned()]
}

#[test]
fn a_failure_and_a_blocked_check_are_told_once_until_they_recover() {
    let sandbox = notified("");
    let check = "\n[[check]]\nname = \"enough\"\nsql = \"SELECT * FROM this WHERE n < 2\"\n";
    sandbox.write("marts/busy.toml", &format!("{BUSY}{check}"));
    let receiver = Receiver::new(&[]);
    // Before the first run: one that finds no rows makes no table, and the mart behind it would fail.
    sandbox.sqlite("bot.db", "INSERT INTO calls (seconds) VALUES (7)");
    let serving = start(&sandbox, receiver.port);
    serving.until("a check blocks", || receiver.count() == 1);
    let notice = receiver.notice(0);
    assert_eq!(receiver.heard(), [of("check_blocked", "failing", "busy")], "{notice}");
    assert_eq!((&notice["project"], &notice["profile"]), (&json!("served"), &json!("default")));
    let why = notice["why"].as_str().unwrap();
    assert!(why.contains("check \"enough\" does not hold: 1 row breaks it"), "{why}");
    let text = notice["text"].as_str().unwrap();
    assert!(text.starts_with("🔴 served: `busy` is blocked by its checks: "), "{text}");
    let told = sandbox.must(&["logs", notice["run"].as_str().unwrap()]);
    assert!(told.contains("enough"), "{told}");

    sandbox.sqlite("bot.db", "INSERT INTO calls (seconds) VALUES (8)");
    serving.until("the check holds", || receiver.count() == 2);
    assert_eq!(receiver.heard()[1], of("check_blocked", "recovered", "busy"));

    sandbox.sqlite("bot.db", "ALTER TABLE calls RENAME TO gone");
    serving.until("a run fails", || receiver.count() == 3);
    let failed = runs(&sandbox, "calls", "failed");
    serving.until("more runs fail", || runs(&sandbox, "calls", "failed") >= failed + 2);
    assert_eq!(receiver.heard()[2..], [of("run_failed", "failing", "calls")], "the mart is blocked only");
    sandbox.sqlite("bot.db", "ALTER TABLE gone RENAME TO calls");
    serving.until("it works again", || receiver.count() == 4);
    assert_eq!(receiver.heard()[3], of("run_failed", "recovered", "calls"));
    let log = serving.stop().done().stderr;
    assert!(!log.contains(SECRET), "{log}");
}

#[test]
fn what_is_stale_is_told_and_when_it_is_fresh_again() {
    let sandbox = notified("on = [\"stale\"]\n");
    sandbox.write("marts/busy.toml", &format!("{BUSY}\n[freshness]\nwarn_after = \"25s\"\n"));
    sandbox.write(
        "pipelines/calls.toml",
        &format!(
            "{}\n[freshness]\nwarn_after = \"3s\"\n",
            CALLS.replace("every = \"1s\"", "every = \"100d\"")
        ),
    );
    let receiver = Receiver::new(&[]);
    sandbox.sqlite("bot.db", "INSERT INTO calls (seconds) VALUES (7)");
    let serving = start(&sandbox, receiver.port);
    std::thread::sleep(std::time::Duration::from_secs(6));
    assert_eq!(receiver.count(), 0, "what never ran is no trouble");
    sandbox.must(&["run", "calls", "busy"]);
    serving.until("both are stale", || receiver.count() == 2);
    assert_eq!(receiver.heard(), [of("stale", "failing", "calls"), of("stale", "failing", "busy")]);
    let why = receiver.notice(1)["why"].as_str().unwrap().to_owned();
    assert!(why.starts_with("it is complete up to 20") && why.ends_with("and may be 25s old"), "{why}");
    assert!(sandbox.must(&["status"]).contains("not fresh"));
    sandbox.sqlite("bot.db", "INSERT INTO calls (seconds) VALUES (8)");
    sandbox.must(&["run", "calls", "busy"]);
    serving.until("the mart is fresh", || receiver.heard().contains(&of("stale", "recovered", "busy")));
    serving.stop().done();
}

#[test]
fn a_webhook_that_is_down_harms_nothing_and_hears_of_it_later() {
    let sandbox = notified("on = [\"run_failed\"]\n");
    let broken = BUSY.replace("store.calls", "store.calls WHERE 1 / (seconds - 7) > 0");
    sandbox.write("marts/broken.toml", &broken.replace("\"busy\"", "\"broken\""));
    // A port that was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let serving = start(&sandbox, port);
    sandbox.sqlite("bot.db", "INSERT INTO calls (seconds) VALUES (7)");
    serving.until("it is not taken", || !serving.lines("a notice to `ops` was not taken").is_empty());
    sandbox.sqlite("bot.db", "INSERT INTO calls (seconds) VALUES (8)");
    serving.until("rows move all the same", || arrived(&sandbox) == 2);
    serving.until("the other mart follows", || number(&sandbox, "store.db", "SELECT n FROM busy") == Some(2));
    let log = serving.log();
    assert!(!log.contains(SECRET), "{log}");
    serving.kill();

    let serving = start(&sandbox, port);
    serving.until("it is not taken again", || serving.lines("a notice to `ops` was not taken").len() == 2);
    let receiver = Receiver::at(TcpListener::bind(("127.0.0.1", port)).unwrap(), &[500, 302]);
    serving.until("it is taken", || receiver.count() == 3);
    assert_eq!(receiver.heard()[0], of("run_failed", "failing", "broken"));
    let ids = [0, 1, 2].map(|at| receiver.notice(at)["id"].clone());
    assert!(ids.iter().all(|id| *id == ids[0]), "one notice, posted until it is taken: {ids:?}");
    serving.until("that is told", || !serving.lines("`ops` takes notices again").is_empty());
    std::thread::sleep(std::time::Duration::from_secs(2));
    assert_eq!(receiver.count(), 3, "told once");
    let log = serving.stop().done().stderr;
    assert!(!log.contains(SECRET), "{log}");
}

#[test]
fn nobody_is_told_where_the_address_is_not_set() {
    let sandbox = notified("");
    sandbox.must(&["check"]);
    sandbox.write("marts/busy.toml", &BUSY.replace("count(*)", "1 / (count(*) - count(*))"));
    sandbox.sqlite("bot.db", "INSERT INTO calls (seconds) VALUES (7)");
    let serving = Serving::start(&sandbox);
    serving.until("it says so", || !serving.lines("[notify.ops] is told nothing").is_empty());
    assert_eq!(serving.status().unwrap()["tasks"]["notify"], "runs");
    serving.stop().done();
    let wrong = "\n[notify.ops]\nwebhook = \"http://127.0.0.1/x\"\non = []\n";
    sandbox.write("vitrina.toml", &format!("{PROJECT}{wrong}"));
    let ran = sandbox.vitrina(&["check"]).ended(1);
    let said = ran.stdout + &ran.stderr;
    assert!(
        said.contains("`notify.ops` is told of nothing") && said.contains("stands in this file"),
        "{said}"
    );
    sandbox.write("vitrina.toml", &format!("{PROJECT}{}", wrong.replace("[]", "[\"stall\"]")));
    let said = sandbox.vitrina(&["check"]).ended(1);
    assert!((said.stdout + &said.stderr).contains("stale"), "the nearest name");
}

//! Commands beside a running daemon go through it.

use std::{
    io::{Read, Write},
    os::unix::{fs::PermissionsExt, net::UnixStream},
};

use super::serving::{CALLS, Serving, arrived, number, project};

#[test]
fn commands_act_through_the_daemon() {
    let sandbox = project();
    sandbox.write("pipelines/calls.toml", &CALLS.replace("schedule = { every = \"1s\" }", ""));
    sandbox.sqlite("bot.db", "INSERT INTO calls (seconds) VALUES (7), (8)");
    let serving = Serving::start(&sandbox);
    let ran = sandbox.vitrina(&["run", "calls", "--format", "json"]).done();
    assert_eq!((&ran.json()[0]["state"], &ran.json()[0]["written"]), (&"done".into(), &2.into()));
    assert!(ran.stderr.contains("calls: 2 rows written"), "progress is drawn by the command: {ran:#?}");
    serving.until("the mart follows", || number(&sandbox, "store.db", "SELECT n FROM busy") == Some(2));

    let moved = sandbox.must(&["position", "set", "calls", "1"]);
    assert!(moved.starts_with("calls: ") && moved.contains(" → "), "{moved}");
    let failed = sandbox.vitrina(&["position", "set", "calls", "soon"]);
    assert!(failed.code > Some(0) && failed.stderr.contains("calls"), "{failed:#?}");
    assert_eq!(sandbox.must(&["dead-letters", "drop", "calls", "--all"]).trim(), "0 dead letters dropped");
    sandbox.sqlite("store.db", "DROP TABLE calls");
    let failed = sandbox.vitrina(&["run", "busy"]);
    assert_eq!(failed.code, Some(1), "{failed:#?}");
    assert!(failed.stderr.contains("hint:"), "{failed:#?}");
    serving.stop().done();
}

#[test]
fn a_command_that_is_interrupted_stops_its_run() {
    let sandbox = project();
    sandbox.write("pipelines/calls.toml", &CALLS.replace("schedule = { every = \"1s\" }", ""));
    let serving = Serving::start(&sandbox);
    let command = sandbox.command(&["run", "--follow", "calls"]).spawn().unwrap();
    serving.until("the run goes", || super::serving::runs(&sandbox, "calls", "running") == 1);
    sandbox.sqlite("bot.db", "INSERT INTO calls (seconds) VALUES (7)");
    serving.until("a row arrives", || arrived(&sandbox) == 1);
    let told = std::process::Command::new("kill").args(["-INT", &command.id().to_string()]).status().unwrap();
    assert!(told.success());
    assert_eq!(command.wait_with_output().unwrap().status.code(), Some(0));
    assert_eq!(super::serving::runs(&sandbox, "calls", "done"), 1);
    serving.stop().done();
}

#[test]
fn the_socket_is_its_users_alone_and_understands_one_version() {
    let sandbox = project();
    let serving = Serving::start(&sandbox);
    let path = sandbox.path("data/state/daemon.sock");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let ask = |line: &str| {
        let mut stream = UnixStream::connect(&path).unwrap();
        stream.write_all(line.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    assert!(
        ask("{\"version\":2,\"profile\":\"default\",\"request\":{\"fly\":1}}\n").contains("another version")
    );
    assert!(ask("no json\n").contains("another version"));
    assert!(
        ask("{\"version\":1,\"profile\":\"default\",\"request\":{\"fly\":1}}\n").contains("not understood")
    );
    let other = "{\"version\":1,\"profile\":\"production\",\"request\":{\"drop_letters\":{\"tracks\":[],\"ids\":null}}}\n";
    assert!(ask(other).contains("the daemon serves profile `default`"));
    serving.stop().done();
}

//! How it tells others that it is well: over HTTP, and to systemd.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::net::UnixDatagram,
};

use super::serving::{PROJECT, Serving, project};

/// A port that nobody is given by chance: those that the system gives lie above.
pub(super) fn free_port() -> u16 {
    let first = 10_000 + u16::try_from(std::process::id() % 9_000).unwrap();
    (first..20_000).find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).unwrap()
}

/// The status and body of a page.
pub(super) fn page(port: u16, path: &str) -> Option<(String, serde_json::Value)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.to_owned();
    Some((status, serde_json::from_str(body).unwrap_or_default()))
}

#[test]
fn health_and_readiness_are_told_over_http() {
    let sandbox = project();
    let port = free_port();
    sandbox.write("vitrina.toml", &format!("{PROJECT}\n[daemon]\nlisten = \"127.0.0.1:{port}\"\n"));
    let serving = Serving::start(&sandbox);
    let (status, body) = page(port, "/health").unwrap();
    assert_eq!((status.as_str(), &body["healthy"]), ("200", &true.into()));
    let (status, body) = page(port, "/ready").unwrap();
    assert_eq!(status, "200");
    assert_eq!(body["tasks"]["conductor"], "runs");
    assert_eq!(page(port, "/other").unwrap().0, "404");
    let other = project();
    other.write("vitrina.toml", &format!("{PROJECT}\n[daemon]\nlisten = \"127.0.0.1:{port}\"\n"));
    other.vitrina(&["serve"]).says(3, &["cannot listen on 127.0.0.1"]);
    serving.stop().done();
    sandbox.write("vitrina.toml", &format!("{PROJECT}\n[daemon]\nlisten = \"here\"\n"));
    sandbox.vitrina(&["check"]).ended(1);
}

#[test]
fn systemd_is_told_when_it_is_ready_reloads_and_stops() {
    let sandbox = project();
    let path = sandbox.path("notify.sock");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(super::serving::PATIENCE)).unwrap();
    let hears = |part: &str| {
        let mut text = vec![0; 4096];
        loop {
            let length = manager.recv(&mut text).unwrap();
            let heard = String::from_utf8_lossy(&text[..length]).into_owned();
            if heard.contains(part) {
                return heard;
            }
        }
    };
    let serving = Serving::start_with(
        &sandbox,
        &[("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "400000")],
    );
    hears("READY=1");
    hears("WATCHDOG=1");
    serving.signal("-HUP");
    assert!(hears("RELOADING=1").contains("MONOTONIC_USEC="));
    hears("READY=1");
    serving.signal("-TERM");
    hears("STOPPING=1");
    serving.ended().done();
}

//! A line to an HTTP server on which single requests meet a fate of their own.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, Mutex},
};

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is answered.
    Pass,
    /// The server hears and does it; the connection breaks before the answer.
    LoseAnswer,
    /// The server hears and does it; the answer never comes.
    HoldAnswer,
    /// The server hears and does it; this is the answer.
    Instead(&'static str),
    /// The server never hears of it; this is the answer.
    Answer(&'static str),
}

/// Listens on loopback; every connection is of one request.
pub(crate) struct Line {
    /// `http://127.0.0.1:PORT`
    pub(crate) url: String,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Line {
    /// A line to a server; `judge` is asked about each request: its method, a space, its path.
    pub(crate) fn to(server: &str, judge: impl Fn(&str) -> Fate + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(vec![]));
        let (server, known, judge) = (address(server), seen.clone(), Arc::new(judge));
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (server, known, judge) = (server.clone(), known.clone(), judge.clone());
                std::thread::spawn(move || {
                    let _ = serve(client, &server, &known, judge.as_ref());
                });
            }
        });
        Self { url, seen }
    }

    /// The requests so far: method, a space, path.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

fn address(url: &str) -> String {
    url.trim_start_matches("http://").trim_end_matches('/').to_owned()
}

fn serve(
    mut client: TcpStream,
    server: &str,
    seen: &Mutex<Vec<String>>,
    judge: &(impl Fn(&str) -> Fate + ?Sized),
) -> std::io::Result<()> {
    let request = request_of(&mut client)?;
    let head = String::from_utf8_lossy(&request);
    let asked: String = head.split(' ').take(2).collect::<Vec<_>>().join(" ");
    seen.lock().unwrap().push(asked.clone());
    let fate = judge(&asked);
    if let Fate::Answer(answer) = fate {
        client.write_all(answer.as_bytes())?;
        return client.shutdown(Shutdown::Both);
    }
    let mut line = TcpStream::connect(server)?;
    line.write_all(&request)?;
    let mut answer = vec![];
    line.read_to_end(&mut answer)?;
    match fate {
        Fate::LoseAnswer => {}
        Fate::Instead(other) => client.write_all(other.as_bytes())?,
        // Until the client gives up.
        Fate::HoldAnswer => drop(client.read(&mut [0])?),
        Fate::Pass | Fate::Answer(_) => client.write_all(&answer)?,
    }
    client.shutdown(Shutdown::Both)
}

/// One request, whole.
fn request_of(client: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let (mut request, mut part) = (vec![], vec![0; 64 << 10]);
    loop {
        let count = client.read(&mut part)?;
        if count == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        request.extend_from_slice(&part[..count]);
        let Some(end) = request.windows(4).position(|found| found == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&request[..end]).to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
        if request.len() >= end + 4 + length.unwrap_or(0_usize) {
            return Ok(request);
        }
    }
}

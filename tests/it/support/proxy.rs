//! A network that can be cut: a TCP proxy on loopback.

use std::{
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, Mutex},
};

/// Passes connections on, while it is not cut.
pub(crate) struct Proxy {
    pub(crate) address: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    to: String,
    cut: bool,
    open: Vec<TcpStream>,
}

impl Proxy {
    /// Listens; where it leads is said later.
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let state = Arc::new(Mutex::new(State::default()));
        let known = state.clone();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let Ok(client) = client else { return };
                let mut state = known.lock().unwrap();
                let server = (!state.cut && !state.to.is_empty()).then(|| TcpStream::connect(&state.to).ok());
                if let Some(server) = server.flatten() {
                    state.open.push(client.try_clone().unwrap());
                    state.open.push(server.try_clone().unwrap());
                    pass(client.try_clone().unwrap(), server.try_clone().unwrap());
                    pass(server, client);
                }
            }
        });
        Self { address, state }
    }

    pub(crate) fn lead_to(&self, address: &str) {
        self.state.lock().unwrap().to = address.to_owned();
    }

    /// Breaks every connection, and every new one.
    pub(crate) fn cut(&self) {
        let mut state = self.state.lock().unwrap();
        state.cut = true;
        for stream in state.open.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    pub(crate) fn mend(&self) {
        self.state.lock().unwrap().cut = false;
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream) {
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Both);
    });
}

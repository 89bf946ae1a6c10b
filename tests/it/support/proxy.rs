//! A network that can be cut, and where a message can be waited for: a TCP proxy on loopback.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

/// Passes connections on, while it is not cut.
pub(crate) struct Proxy {
    pub(crate) address: String,
    state: Arc<Mutex<State>>,
}

/// What becomes of a message that was waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is passed on, and its answer back.
    Passes,
    /// It is passed on, and the connection breaks when its answer comes: the client never hears it.
    AnswerLost,
    /// The connection breaks before the server has it.
    Lost,
}

#[derive(Default)]
struct State {
    to: String,
    cut: bool,
    /// Both ends of each connection, by its number.
    open: BTreeMap<u64, [TcpStream; 2]>,
    begun: u64,
    trap: Option<Trap>,
}

type Sees = dyn FnMut(&[u8]) -> bool + Send;

struct Trap {
    sees: Box<Sees>,
    then: Box<dyn FnOnce() -> Fate + Send>,
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
                connect(client, &known);
            }
        });
        Self { address, state }
    }

    /// Where it listens, on loopback.
    pub(crate) fn port(&self) -> u16 {
        self.address.rsplit_once(':').unwrap().1.parse().unwrap()
    }

    pub(crate) fn lead_to(&self, address: &str) {
        held(&self.state).to = address.to_owned();
    }

    /// Breaks every connection, and every new one.
    pub(crate) fn cut(&self) {
        let mut state = held(&self.state);
        state.cut = true;
        for ends in std::mem::take(&mut state.open).into_values() {
            shut(&ends);
        }
    }

    /// How many connections were passed on so far.
    pub(crate) fn connections(&self) -> u64 {
        held(&self.state).begun
    }

    pub(crate) fn mend(&self) {
        held(&self.state).cut = false;
    }

    /// Waits for what `sees` knows among the bytes that clients send; then does `then` before they are passed on, once.
    pub(crate) fn trap(
        &self,
        sees: impl FnMut(&[u8]) -> bool + Send + 'static,
        then: impl FnOnce() -> Fate + Send + 'static,
    ) {
        held(&self.state).trap = Some(Trap { sees: Box::new(sees), then: Box::new(then) });
    }

    /// Waits no longer; whether it was still waiting.
    pub(crate) fn untrap(&self) -> bool {
        held(&self.state).trap.take().is_some()
    }
}

fn held(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn shut(ends: &[TcpStream; 2]) {
    for end in ends {
        let _ = end.shutdown(Shutdown::Both);
    }
}

fn connect(client: TcpStream, known: &Arc<Mutex<State>>) {
    let to = {
        let state = held(known);
        if state.cut { String::new() } else { state.to.clone() }
    };
    let Ok(server) = TcpStream::connect(to) else { return };
    let both = || [client.try_clone().unwrap(), server.try_clone().unwrap()];
    let (number, asking, answering) = {
        let mut state = held(known);
        // Cut while it was made.
        if state.cut {
            return;
        }
        state.begun += 1;
        let number = state.begun;
        state.open.insert(number, both());
        (number, both(), both())
    };
    let (known, losing) = (known.clone(), Arc::new(AtomicBool::new(false)));
    let lost = losing.clone();
    std::thread::spawn(move || {
        let traps = known.clone();
        let asked = std::thread::spawn(move || ask(asking, &traps, &losing));
        answer(answering, &lost);
        let _ = asked.join();
        held(&known).open.remove(&number);
    });
}

/// Passes on what the client sends.
fn ask(ends: [TcpStream; 2], state: &Mutex<State>, losing: &AtomicBool) {
    let [mut client, mut server] = ends.each_ref();
    let mut buffer = vec![0; 64 << 10];
    while let Ok(count @ 1..) = client.read(&mut buffer) {
        let sent = &buffer[..count];
        let sprung = held(state).trap.take_if(|trap| (trap.sees)(sent));
        match sprung.map_or(Fate::Passes, |trap| (trap.then)()) {
            Fate::Passes => {}
            Fate::AnswerLost => losing.store(true, Ordering::SeqCst),
            Fate::Lost => break,
        }
        if server.write_all(sent).is_err() {
            break;
        }
    }
    shut(&ends);
}

/// Passes on what the server answers, until an answer is to be lost.
fn answer(ends: [TcpStream; 2], losing: &AtomicBool) {
    let [mut client, mut server] = ends.each_ref();
    let mut buffer = vec![0; 64 << 10];
    while let Ok(count @ 1..) = server.read(&mut buffer) {
        if losing.load(Ordering::SeqCst) || client.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    shut(&ends);
}

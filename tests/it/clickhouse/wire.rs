//! What travels to the server: how it is compressed, and where the password stands.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use vitrina::{
    connector::{
        clickhouse::config::{Compression, Config, Urls},
        connection::Connection,
    },
    model::delivery::Mode,
};

use crate::{
    contract::writing::{stage, target_through},
    support::{
        clickhouse::{Place, open, setting},
        proxy::{Fate, Proxy},
        rows::{people, sorted_text},
        specs::{self, attempt, track, unit},
    },
};

/// What clients sent to the server.
struct Wire {
    proxy: Proxy,
    bytes: Arc<AtomicU64>,
    /// Whether the password stood in a header, and whether it or the user stood in an address.
    in_header: Arc<AtomicBool>,
    in_address: Arc<AtomicBool>,
}

impl Wire {
    fn new(place: &Place) -> Self {
        let Urls::One(url) = &place.config.url else { panic!("one url") };
        let wire = Self {
            proxy: Proxy::new(),
            bytes: Arc::default(),
            in_header: Arc::default(),
            in_address: Arc::default(),
        };
        wire.proxy.lead_to(url.trim_start_matches("http://"));
        let (bytes, in_header, in_address) =
            (Arc::clone(&wire.bytes), Arc::clone(&wire.in_header), Arc::clone(&wire.in_address));
        let (user, password) = (setting("USER"), setting("PASSWORD"));
        let sees = move |sent: &[u8]| {
            bytes.fetch_add(sent.len() as u64, Ordering::SeqCst);
            let text = String::from_utf8_lossy(sent);
            let address = text.lines().find(|line| line.starts_with("POST ") || line.starts_with("GET "));
            let told = |line: &str| line.contains(&password) || line.contains(&format!("user={user}"));
            in_address.fetch_or(address.is_some_and(told), Ordering::SeqCst);
            let header = format!("x-clickhouse-key: {password}");
            in_header.fetch_or(text.to_lowercase().contains(&header), Ordering::SeqCst);
            false
        };
        wire.proxy.trap(sees, || Fate::Passes);
        wire
    }

    fn open(&self, place: &Place, compression: Compression) -> Arc<dyn Connection> {
        let url = Urls::One(format!("http://{}", self.proxy.address));
        open(Config { url, compression: Some(compression), ..place.config.clone() })
    }
}

/// Rows are the same however they are compressed on the way, and fewer bytes where they are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_travel_compressed_or_not() {
    let place = Place::new();
    let mut sent = vec![];
    for (at, compression) in [(1, Compression::None), (2, Compression::Lz4), (3, Compression::Zstd)] {
        let wire = Wire::new(&place);
        let connection = wire.open(&place, compression);
        let rows = people(at * 100_000..at * 100_000 + 20_000);
        let sink = connection.sink(&specs::sink("way", Mode::Replace)).await.unwrap();
        let unit = unit(Mode::Replace, at, &rows);
        let staged = stage(sink.as_ref(), &track("mrf1"), &unit, &attempt(), &rows).await.unwrap();
        staged.commit().await.unwrap();
        sent.push(wire.bytes.load(Ordering::SeqCst));
        let found = target_through(connection.as_ref(), "way").await;
        assert_eq!(found, Some(sorted_text(&rows)), "{compression:?}");
    }
    let [plain, lz4, zstd] = sent[..] else { panic!("three ways") };
    assert!(lz4 * 3 < plain * 2 && zstd < lz4, "{sent:?}");
}

/// Addresses end up in the logs of servers and proxies.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_password_is_a_header() {
    let place = Place::new();
    let wire = Wire::new(&place);
    wire.open(&place, Compression::Lz4).probe().await.unwrap();
    assert!(wire.in_header.load(Ordering::SeqCst), "it is sent");
    assert!(!wire.in_address.load(Ordering::SeqCst), "and never in an address");
}

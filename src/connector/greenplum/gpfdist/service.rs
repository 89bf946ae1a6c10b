//! Where segments come to: one desk of this process for each address and port, whichever connection names it.
//!
//! Connections of several names share it, and so do those of the project before and after a reload: runs that began before it go on at the desk at which
//! those of the edited project begin.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::{net::TcpListener, sync::OnceCell, task::AbortHandle};

use super::{digest, server::Desk};
use crate::connector::{
    error::{Error, ErrorKind, Result},
    greenplum::config::Gpfdist,
    pg::Settings,
};

/// What the segments of one connection come to. Begins to listen when the first rows are moved.
pub(in crate::connector::greenplum) struct Service {
    config: Gpfdist,
    /// How messages name the connection.
    shown: String,
    /// Which database it is, among those whose segments come to the same door.
    database: String,
    door: Arc<Door>,
}

/// An address and a port of this machine.
struct Door {
    listen: String,
    port: u16,
    listening: OnceCell<Listening>,
}

/// A desk that is listened at, until it is dropped.
struct Listening {
    desk: Desk,
    task: AbortHandle,
}

/// Doors in use in this process. They live as long as somebody holds them.
static DOORS: Mutex<Vec<Weak<Door>>> = Mutex::new(vec![]);

impl Drop for Listening {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Service {
    /// For a connection with these settings; `shown` = how messages name it. Nothing is listened to yet.
    pub(in crate::connector::greenplum) fn new(config: Gpfdist, server: &Settings, shown: String) -> Self {
        let database = format!("{}:{}/{}", server.host, server.port, server.database);
        let door = door(&config);
        Self { config, shown, database, door }
    }

    /// Where rows are handed out and taken. Fails where it cannot be listened on.
    pub(super) async fn desk(&self) -> Result<&Desk> {
        let Door { listen, port, listening } = &*self.door;
        let listening = listening.get_or_try_init(async || {
            let listener = TcpListener::bind((listen.as_str(), *port)).await.map_err(|error| {
                let message = format!("{}: gpfdist cannot listen on {listen}:{port}", self.shown);
                Error::new(ErrorKind::of_io(&error), message)
                    .caused_by(error)
                    .hint("choose another `port` in the connection's `gpfdist`, or end who listens there")
            })?;
            let desk = Desk::default();
            let task = tokio::spawn(desk.clone().serve(listener)).abort_handle();
            Ok::<_, Error>(Listening { desk, task })
        });
        Ok(&listening.await?.desk)
    }

    /// The path of what has this key in the connection's database: other databases may use the same key.
    pub(super) fn path(&self, key: &str) -> String {
        format!("/{}", digest(&format!("{} {key}", self.database)))
    }

    /// Where segments find a path.
    pub(super) fn location(&self, path: &str) -> String {
        let host = &self.config.host;
        // An IPv6 address stands in brackets.
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        format!("gpfdist://{host}:{}{path}", self.config.port)
    }
}

fn door(config: &Gpfdist) -> Arc<Door> {
    let Gpfdist { listen, port, .. } = config;
    let mut doors = DOORS.lock().unwrap_or_else(PoisonError::into_inner);
    doors.retain(|door| door.strong_count() > 0);
    let mut known = doors.iter().filter_map(Weak::upgrade);
    if let Some(door) = known.find(|door| door.listen == *listen && door.port == *port) {
        return door;
    }
    let door = Arc::new(Door { listen: listen.clone(), port: *port, listening: OnceCell::new() });
    doors.push(Arc::downgrade(&door));
    door
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::connector::greenplum::config::Config;

    fn service(host: &str, port: u16, database: &str) -> Service {
        let config = Gpfdist { host: host.to_owned(), port, listen: "127.0.0.1".to_owned() };
        Service::new(config, &Config::new(database, "vitrina").settings(), "connection \"dwh\"".to_owned())
    }

    /// A port that nobody listens on just now.
    async fn port() -> u16 {
        TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
    }

    /// As after a reload: the connection that was edited loads while a run of the older one goes on.
    #[tokio::test]
    async fn connections_with_one_port_share_a_desk() {
        let port = port().await;
        let before = service("etl", port, "dwh");
        let feed = before.desk().await.unwrap().loads.open("/rows").unwrap();
        let after = service("etl.example.internal", port, "dwh");
        let desk = after.desk().await.expect("the port is ours already");
        assert!(desk.loads.open("/rows").is_none(), "both see the loads that are under way");
        drop((feed, before));
        assert!(after.desk().await.unwrap().loads.open("/rows").is_some());
        let there = tokio::net::TcpStream::connect(("127.0.0.1", port));
        there.await.expect("it is listened on as long as somebody may load");

        drop(after);
        let free = async {
            while TcpListener::bind(("127.0.0.1", port)).await.is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), free).await.expect("nobody needs the port any more");
        service("etl", port, "dwh").desk().await.expect("it is listened on anew");
    }

    /// A port that somebody else has is told, and tried again.
    #[tokio::test]
    async fn a_port_of_another_program_is_told() {
        let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let service = service("etl", other.local_addr().unwrap().port(), "dwh");
        let error = service.desk().await.map(|_| ()).unwrap_err();
        assert!(error.kind.policy().retry && error.to_string().contains("gpfdist cannot listen"), "{error}");
        drop(other);
        service.desk().await.expect("the port is free");
    }

    #[test]
    fn databases_that_share_a_port_have_paths_of_their_own() {
        let [one, same, other] =
            [("a", "dwh"), ("b", "dwh"), ("a", "dwh2")].map(|(host, base)| service(host, 8_080, base));
        assert_eq!(one.path("key"), same.path("key"));
        assert_ne!(one.path("key"), other.path("key"));
        assert_eq!(one.location("/x"), "gpfdist://a:8080/x");
        assert_eq!(service("::1", 8_080, "dwh").location("/x"), "gpfdist://[::1]:8080/x");
    }
}

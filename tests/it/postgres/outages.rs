//! Servers that go away and come back: a run waits, goes on from what was committed, and every row is there once.

use std::{
    io::{Read, Write},
    net::TcpListener,
    process::{Child, Stdio},
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::Duration,
};

use vitrina::{connector::postgres::config::Config, model::secret::Secret};

use crate::support::{
    own::Own,
    postgres::{Place, setting},
    project::{Ran, Sandbox},
    proxy::{Fate, Proxy},
};

/// From a file into a schema, in slices, with time to come through.
fn copying(into: &Config) -> Sandbox {
    let Config { host, port, database, user, schema, .. } = into;
    let Some(Secret::Literal(password)) = &into.password else { panic!("a password") };
    let config = format!(
        "[project]\nname = \"shop\"\n[connections.bot]\nkind = \"sqlite\"\npath = \"bot.db\"\n[connections.store]\nkind = \"postgres\"\n\
         host = \"{host}\"\nport = {port}\ndatabase = \"{database}\"\nuser = \"{user}\"\npassword = \"{password}\"\n\
         schema = '{schema}'\nsslmode = \"disable\"\n",
    );
    let copy = "slice = { rows = 50 }\nretry = { attempts = 30, wait = \"1s\", timeout = \"5m\" }\n[source]\nconnection = \"bot\"\ntable = \"t\"\n\
                cursor = { column = \"id\" }\n[sink]\nconnection = \"store\"\ntable = \"t\"\nmode = \"append\"\n";
    let project = Sandbox::new(&[("vitrina.toml", &config), ("pipelines/copy.toml", copy)]);
    project.sqlite("bot.db", "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT)");
    project
}

/// Adds 2,000 rows: forty slices.
fn add(project: &Sandbox) {
    let rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) INSERT INTO t (name) SELECT 'x' FROM n";
    project.sqlite("bot.db", rows);
}

/// How many rows arrived; each is there once.
#[track_caller]
fn arrived(project: &Sandbox) -> Option<i64> {
    let counted = project.query("SELECT count(*) AS n, count(DISTINCT id) AS ids FROM store.t");
    assert_eq!(counted[0]["n"], counted[0]["ids"], "each row once");
    counted[0]["n"].as_i64()
}

/// Starts a run whose third commit waits in the network: once the first channel says so, the second one tells what becomes of it.
fn at_third_commit(project: &Sandbox, network: &Proxy) -> (Child, Receiver<()>, Sender<Fate>) {
    let mut commits = 0;
    let third = move |sent: &[u8]| {
        commits += usize::from(sent.windows(7).any(|part| part == b"COMMIT\0"));
        commits == 3
    };
    let ((reached, heard), (decide, fate)) = (channel(), channel());
    network.trap(third, move || {
        reached.send(()).unwrap();
        fate.recv().unwrap()
    });
    let run = project.command(&["run", "copy"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    (run, heard, decide)
}

/// The network is away for a minute, and so is the answer to a commit.
#[test]
fn a_run_outlives_a_minute_without_network() {
    let (place, network) = (Place::new(), Proxy::new());
    network.lead_to(&format!("{}:{}", setting("HOST"), setting("PORT")));
    let project = copying(&through(&network, &place));
    add(&project);
    let (mut run, heard, decide) = at_third_commit(&project, &network);
    heard.recv_timeout(Duration::from_mins(1)).expect("the run commits");
    decide.send(Fate::AnswerLost).unwrap();
    network.cut();
    thread::sleep(Duration::from_secs(61));
    assert!(run.try_wait().unwrap().is_none(), "the run did not wait");
    network.mend();
    Ran::from(run.wait_with_output().unwrap()).done();
    assert_eq!(arrived(&project), Some(2000));
}

fn through(network: &Proxy, place: &Place) -> Config {
    Config { host: "127.0.0.1".to_owned(), port: network.port(), ..place.config() }
}

/// How a server ends.
type End = fn(&Own);

/// The server ends in the middle of a run, right before a commit: stopped in order, and killed; and starts again over what it left.
#[test]
fn a_run_outlives_a_server_that_restarts() {
    let server = Own::postgres();
    let place = Place::on(server.as_postgres());
    let project = copying(&place.config());
    let ways: [(&str, End); 2] = [("stopped", Own::stop), ("killed", Own::kill)];
    for (rows, (how, end)) in (1..).map(|times| times * 2000).zip(ways) {
        add(&project);
        let (mut run, heard, decide) = at_third_commit(&project, &server.network);
        heard.recv_timeout(Duration::from_mins(1)).expect("the run commits");
        end(&server);
        decide.send(Fate::Passes).unwrap();
        thread::sleep(Duration::from_secs(3));
        assert!(run.try_wait().unwrap().is_none(), "{how}: the run did not wait");
        server.start();
        Ran::from(run.wait_with_output().unwrap()).done();
        assert_eq!(arrived(&project), Some(rows), "{how}");
    }
}

/// What a server answers while it starts: SQLSTATE 57P03.
fn starting_up() -> Vec<u8> {
    let fields = b"SFATAL\0VFATAL\0C57P03\0Mthe database system is starting up\0\0";
    let length = (fields.len() as u32 + 4).to_be_bytes();
    [b"E", &length[..], fields].concat()
}

/// A server that has not started yet says so for a while, and is asked again.
#[test]
fn a_server_that_is_starting_up_is_asked_again() {
    let (place, network) = (Place::new(), Arc::new(Proxy::new()));
    let starting = TcpListener::bind("127.0.0.1:0").unwrap();
    network.lead_to(&starting.local_addr().unwrap().to_string());
    let project = copying(&through(&network, &place));
    add(&project);
    let leading = network.clone();
    let answers = thread::spawn(move || {
        for asked in 1..=3 {
            let (mut client, _) = starting.accept().unwrap();
            assert!(client.read(&mut [0; 1024]).unwrap() > 0);
            if asked == 3 {
                leading.lead_to(&format!("{}:{}", setting("HOST"), setting("PORT")));
            }
            client.write_all(&starting_up()).unwrap();
        }
    });
    let ran = project.vitrina(&["run", "copy"]).done();
    assert!(ran.stderr.contains("57P03"), "{ran:#?}");
    answers.join().unwrap();
    assert_eq!(arrived(&project), Some(2000));
}

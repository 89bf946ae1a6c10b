//! What happens inside, on stderr: warnings, more with `-v`, nothing with `-q`.

use std::io::Write;

use tracing::Subscriber;
use tracing_subscriber::{EnvFilter, fmt::MakeWriter, util::SubscriberInitExt};

use super::output::{Stream, write_around_bars};

/// The variable that chooses what is logged, in the syntax of tracing's filters.
const VARIABLE: &str = "VITRINA_LOG";

/// All that is told of what Vitrina does. Below `info`, libraries quote what servers answer, with cells in it, and the watcher of files tells of the log itself: that only [`VARIABLE`] lets in.
const EVERYTHING: &str = "vitrina=trace,info";

/// Begins to log.
pub(super) fn start(verbose: u8, quiet: bool, color: bool) {
    let level = match verbose {
        _ if quiet => "off",
        // What a run tells is drawn by whoever asked for it.
        0 => &quietly("warn,vitrina::run::log=off"),
        1 => &quietly("vitrina=info,warn"),
        2 => "vitrina=debug,info",
        _ => EVERYTHING,
    };
    let filter = EnvFilter::try_from_env(VARIABLE).unwrap_or_else(|_| EnvFilter::new(level));
    let logged = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(color)
        .with_target(verbose > 1)
        .with_writer(AroundBars)
        .try_init();
    // A second start in one process keeps the first one's settings.
    drop(logged);
}

/// Begins to log as a daemon does: what its runs do without being asked, people's lines on a terminal, JSON elsewhere.
pub(super) fn start_daemon(verbose: u8, quiet: bool, messages: Stream) {
    let level = match verbose {
        _ if quiet => "warn",
        0 => &quietly("vitrina=info,warn"),
        1 => "vitrina=debug,info",
        _ => EVERYTHING,
    };
    let filter = EnvFilter::try_from_env(VARIABLE).unwrap_or_else(|_| EnvFilter::new(level));
    // A second start in one process keeps the first one's settings.
    drop(of_daemon(filter, verbose, messages, AroundBars).try_init());
}

fn of_daemon<W>(
    filter: EnvFilter,
    verbose: u8,
    messages: Stream,
    writer: W,
) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    if messages.is_terminal {
        Box::new(lines.with_ansi(messages.color).with_target(verbose > 1).finish())
    } else {
        Box::new(lines.json().flatten_event(true).with_current_span(true).with_span_list(false).finish())
    }
}

/// A filter under which libraries tell no more than they must. Delta's log as errors what they also give back, such as a version that somebody else took, which is no
/// error at all.
fn quietly(filter: &str) -> String {
    format!("{filter},datafusion=error,deltalake=off,deltalake_core=off,buoyant_kernel=off")
}

/// Writes whole messages above the progress bars.
struct AroundBars;

impl<'a> MakeWriter<'a> for AroundBars {
    type Writer = Message;

    fn make_writer(&'a self) -> Message {
        Message(Vec::new())
    }
}

struct Message(Vec<u8>);

impl Write for Message {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        if !self.0.is_empty() {
            write_around_bars(&String::from_utf8_lossy(&self.0));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use serde_json::json;

    use super::*;

    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// What a daemon's log says of a run.
    fn logged(messages: Stream) -> String {
        let kept: Arc<Mutex<Vec<u8>>> = Arc::default();
        let into = Arc::clone(&kept);
        let subscriber = of_daemon(EnvFilter::new("info"), 0, messages, move || Kept(Arc::clone(&into)));
        tracing::subscriber::with_default(subscriber, || {
            let span = tracing::info_span!("run", id = "r7", track = "calls");
            tracing::info!(parent: &span, "done: 3 read");
        });
        String::from_utf8(kept.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn people_read_lines_and_programs_json() {
        let told = logged(Stream { is_terminal: true, color: false });
        assert!(told.ends_with(" INFO run{id=\"r7\" track=\"calls\"}: done: 3 read\n"), "{told}");
        let colored = logged(Stream { is_terminal: true, color: true });
        assert!(colored.contains("\u{1b}[") && colored.contains("done: 3 read"), "{colored}");
        let json: serde_json::Value =
            serde_json::from_str(&logged(Stream { is_terminal: false, color: false })).unwrap();
        assert_eq!((&json["level"], &json["message"]), (&json!("INFO"), &json!("done: 3 read")));
        assert_eq!((&json["span"]["id"], &json["span"]["track"]), (&json!("r7"), &json!("calls")));
    }
}

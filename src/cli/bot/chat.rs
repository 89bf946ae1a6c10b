//! `bot chat`: the whole bot in the terminal, where arrows choose among its buttons. In a pipe its lines are plain, and each is read once the one
//! before it is answered, so that scripts can talk to it.

use std::{
    collections::VecDeque,
    io::{BufRead, IsTerminal, Write},
    ops::ControlFlow,
    path::PathBuf,
    sync::Arc,
};

use futures::future::BoxFuture;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{
    draw,
    keys::{self, Key, Keyboard},
    pad::{self, Done, Pad},
    who::Who,
};
use crate::{
    bot::{
        dialog::step,
        event::{Action, Event, State, Viewer, What, With},
        screen::{Block, Screen},
        telegram::{
            answers::{self, Answered, Answers, Question, Words},
            reports::ProjectReports,
        },
        words::Words as Own,
    },
    cli::{
        context::Context,
        failure::{Failure, Result},
        output::{self, Tone},
        runner,
    },
    clock::SystemClock,
    config::{bot::Bot, project::Language},
    model::time::Clock,
};

const EXAMPLES: &str = "\
Examples:
  vitrina bot chat                                        everything, as an admin
  vitrina bot chat --role regional --user region=mrf1     as a manager of one region
  vitrina bot chat --as @anna                             as a user of the bot: `vitrina users list` shows them
  printf '/leads yesterday\\n' | vitrina bot chat          one question, plain lines

Choose a button by the arrows and Enter, or type its number, a command (/help) or words: `лиды за прошлую неделю`. Ctrl-D ends.";

/// Lines that may wait while a report runs.
const WAITING: usize = 64;

/// Options of `bot chat`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    who: Who,

    /// The bot's language [default: the project's]
    #[arg(long, value_name = "ru|en", value_parser = language)]
    language: Option<Language>,

    /// Where pictures and files are saved
    #[arg(long, value_name = "DIR", default_value = "bot-files")]
    save: PathBuf,
}

fn language(text: &str) -> std::result::Result<Language, String> {
    match text {
        "ru" => Ok(Language::Ru),
        "en" => Ok(Language::En),
        _ => Err("expected ru or en".to_owned()),
    }
}

/// Runs the command.
pub(super) async fn run(args: &Args, context: &Context) -> Result {
    let project = context.project()?;
    let bot = project.bot.as_ref().ok_or_else(|| {
        Failure::usage("this project has no bot").hint("write a bot.toml; the guide is docs/bot.md")
    })?;
    let viewer = args.who.viewer(&project, bot, args.language)?;
    let runtime = runner::open(&project)?;
    let reports = ProjectReports::new(Arc::new(move || Arc::clone(&runtime)), false);
    let answers: Arc<dyn Answers> = Arc::new(reports);
    let interactive = std::io::stdin().is_terminal();
    let keyboard = if context.output.results.is_terminal { Keyboard::take() } else { None };
    let mut chat = Chat {
        bot,
        viewer,
        answers,
        context,
        save: args.save.clone(),
        saved: 0,
        state: State::default(),
        screen: Screen::default(),
        pad: keyboard.is_some().then(Pad::default),
    };
    let first = What::Command { name: "start".to_owned(), arguments: String::new() };
    let mut running = chat.hear(first).await?;
    let mut said = match keyboard {
        Some(keyboard) => Said::Keys { keys: keys::keys(), _keyboard: keyboard },
        None => Said::Lines(lines()),
    };
    loop {
        if interactive && (running.is_none() || chat.pad.is_some()) {
            chat.prompt()?;
        }
        // In a pipe a line waits for the answer to the one before it; at a terminal one may stop a report.
        tokio::select! {
            heard = said.next(), if interactive || running.is_none() => {
                let next = match heard {
                    None => return Ok(()),
                    Some(Heard::Line(line)) => chat.line(&line).await?,
                    Some(Heard::Key(key)) => match chat.key(key).await? {
                        ControlFlow::Continue(next) => next,
                        ControlFlow::Break(()) => return Ok(()),
                    },
                };
                running = next.or(running.take().filter(|_| chat.state.running.is_some()));
            },
            Some((run, Answered { outcome, cause })) = finished(&mut running) => {
                running = None;
                if let Some(cause) = cause {
                    chat.complain(&cause)?;
                }
                running = chat.hear(What::Answer { run, outcome }).await?.or(running);
            }
        }
    }
}

/// Where words come from.
enum Said {
    Lines(mpsc::Receiver<String>),
    /// From a terminal, which is given back with it.
    Keys {
        keys: mpsc::Receiver<Key>,
        _keyboard: Keyboard,
    },
}

/// What came of it.
enum Heard {
    Line(String),
    Key(Key),
}

impl Said {
    /// The next of it; `None` = it has ended.
    async fn next(&mut self) -> Option<Heard> {
        match self {
            Self::Lines(lines) => lines.recv().await.map(Heard::Line),
            Self::Keys { keys, .. } => keys.recv().await.map(Heard::Key),
        }
    }
}

/// A report under way.
struct Under {
    run: u64,
    answer: BoxFuture<'static, Answered>,
}

async fn finished(running: &mut Option<Under>) -> Option<(u64, Answered)> {
    match running {
        Some(under) => {
            let answered = (&mut under.answer).await;
            Some((under.run, answered))
        }
        None => std::future::pending().await,
    }
}

struct Chat<'a> {
    bot: &'a Bot,
    viewer: Viewer,
    answers: Arc<dyn Answers>,
    context: &'a Context,
    save: PathBuf,
    /// Files saved so far.
    saved: usize,
    state: State,
    screen: Screen,
    /// The buttons and the line of a terminal.
    pad: Option<Pad>,
}

impl Chat<'_> {
    /// What a key does, and the report that it wants run; it breaks off where no more comes.
    async fn key(&mut self, key: Key) -> Result<ControlFlow<(), Option<Under>>> {
        let Some(pad) = &mut self.pad else { return Ok(ControlFlow::Continue(None)) };
        let line = pad.line(self.context.output.results);
        let done = pad.key(key);
        if done == Done::Drawn {
            return Ok(ControlFlow::Continue(None));
        }
        self.print(&line)?;
        let next = match done {
            Done::Pressed(at) => {
                let token = self.screen.buttons().nth(at).map(|button| button.token.clone());
                match token {
                    Some(token) => self.hear(What::Button { token }).await?,
                    None => None,
                }
            }
            Done::Typed(line) => self.line(&line).await?,
            Done::Drawn | Done::Ended => return Ok(ControlFlow::Break(())),
        };
        Ok(ControlFlow::Continue(next))
    }

    /// What was typed: a button's number, a command, words.
    async fn line(&mut self, line: &str) -> Result<Option<Under>> {
        let line = line.trim();
        if line.is_empty() {
            return Ok(None);
        }
        let what = if let Ok(number) = line.parse::<usize>()
            && let Some(button) = number.checked_sub(1).and_then(|at| self.screen.buttons().nth(at))
        {
            What::Button { token: button.token.clone() }
        } else if let Some(command) = line.strip_prefix('/') {
            let (name, arguments) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
            What::Command { name: name.to_lowercase(), arguments: arguments.trim().to_owned() }
        } else {
            What::Text(line.to_owned())
        };
        self.hear(what).await
    }

    /// One step of the dialog and what it wants done; the report that it wants run.
    async fn hear(&mut self, what: What) -> Result<Option<Under>> {
        let mut heard = VecDeque::from([what]);
        let mut under = None;
        while let Some(what) = heard.pop_front() {
            let event = Event { now: SystemClock.now(), what };
            let (state, actions) = step(self.bot, &self.viewer, std::mem::take(&mut self.state), &event);
            self.state = state;
            for action in actions {
                match action {
                    Action::Show { screen, .. } => self.show(screen)?,
                    Action::Buttons(rows) => {
                        self.screen.rows = rows;
                        self.show_buttons();
                    }
                    Action::Toast(text) if text.is_empty() => {}
                    Action::Toast(text) => {
                        let text = self.paint(&text, Tone::Dim);
                        self.print(&text)?;
                    }
                    Action::Run { run, report, with } => {
                        under = Some(Under { run, answer: self.run(report, with) });
                    }
                    Action::Options { ticket, report, ask, search, limit } => {
                        let question = Question { report, ask, search, limit };
                        let found = self.answers.options(&self.viewer, &question).await;
                        let found =
                            found.inspect_err(|why| tracing::warn!("`{}`: {why}", question.report)).ok();
                        heard.push_back(What::Options { ticket, found });
                    }
                    Action::Understand { ticket, words, report } => {
                        let (answers, words) = (self.answers.as_ref(), Words { ticket, words, report });
                        heard.push_back(answers::understood(answers, &self.viewer, &words).await);
                        heard.extend(answers::advised(answers, &self.viewer, &words).await);
                    }
                    // Dropping the report stops it; nobody can ask for access or subscribe here.
                    Action::Cancel { .. } | Action::RequestAccess { .. } | Action::Subscribe { .. } => {}
                }
            }
        }
        Ok(under)
    }

    /// A report; dropping it stops it.
    fn run(&self, report: String, with: With) -> BoxFuture<'static, Answered> {
        let (answers, viewer) = (Arc::clone(&self.answers), self.viewer.clone());
        Box::pin(async move {
            let answered = answers.run(&viewer, &report, &with, &CancellationToken::new()).await;
            let cause = answered.cause.map(|cause| format!("report `{report}`: {cause}"));
            Answered { cause, ..answered }
        })
    }

    /// Tells on stderr why a report failed, where an admin reads.
    fn complain(&mut self, cause: &str) -> Result {
        if let Some(pad) = &mut self.pad {
            pad.left_behind();
            let mut stdout = std::io::stdout().lock();
            write!(stdout, "{}", pad::CLEAR)?;
            stdout.flush()?;
        }
        output::complain(cause);
        Ok(())
    }

    fn show(&mut self, mut screen: Screen) -> Result {
        let mut places = vec![];
        for block in &screen.blocks {
            match block {
                Block::Picture(picture) => {
                    places.push(self.keep(&picture.name, |path| std::fs::write(path, &picture.png))?);
                }
                Block::File(file) => {
                    places.push(
                        self.keep(&file.name, |path| std::fs::copy(file.path.as_path(), path).map(drop))?,
                    );
                }
                Block::Text(_) | Block::Table(_) => {}
            }
        }
        let own = Own::new(&self.bot.texts, self.viewer.language);
        // On a terminal the buttons are drawn by themselves, again and again.
        let rows = if self.pad.is_some() { std::mem::take(&mut screen.rows) } else { vec![] };
        self.print(&draw::screen(&screen, &places, self.context.output, &own))?;
        if self.pad.is_some() {
            screen.rows = rows;
        }
        self.screen = screen;
        self.show_buttons();
        Ok(())
    }

    /// Puts the screen's buttons under it, on a terminal.
    fn show_buttons(&mut self) {
        if let Some(pad) = &mut self.pad {
            pad.show(&self.screen.rows, keys::size());
        }
    }

    /// Writes something out, in place of the line at hand.
    fn print(&mut self, text: &str) -> Result {
        match &mut self.pad {
            Some(pad) => {
                pad.left_behind();
                output::print(&format!("{}{text}", pad::CLEAR))
            }
            None => output::print(text),
        }
    }

    fn prompt(&mut self) -> Result {
        let stream = self.context.output.results;
        let prompt = match &mut self.pad {
            Some(pad) => pad.drawn(stream),
            None => format!("{} ", stream.paint("›", Tone::Strong)),
        };
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(prompt.as_bytes())?;
        stdout.flush()?;
        Ok(())
    }

    /// Saves a picture or a file under a name of its own.
    fn keep(
        &mut self,
        name: &str,
        write: impl Fn(&std::path::Path) -> std::io::Result<()>,
    ) -> Result<String> {
        self.saved += 1;
        std::fs::create_dir_all(&self.save)
            .map_err(|error| Failure::file("cannot make", &self.save, &error))?;
        let safe: String = name.chars().map(|c| if c == '/' || c.is_control() { '_' } else { c }).collect();
        let path = self.save.join(format!("{:03}_{safe}", self.saved));
        write(&path).map_err(|error| Failure::file("cannot write", &path, &error))?;
        Ok(path.display().to_string())
    }

    fn paint(&self, text: &str, tone: Tone) -> String {
        self.context.output.results.paint(&output::printable(text), tone)
    }
}

/// Lines of stdin, until it ends.
fn lines() -> mpsc::Receiver<String> {
    let (send, receive) = mpsc::channel(WAITING);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let Ok(line) = line else { break };
            if send.blocking_send(line).is_err() {
                break;
            }
        }
    });
    receive
}

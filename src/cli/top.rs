//! `top`: what the daemon does, again and again.

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, Utc};

use super::{
    context::Context,
    failure::{Exit, Failure, Result},
    interrupt::unless_interrupted,
    output::{self, count, counted, took},
    status::{next_run, tell_of},
    table::Table,
};
use crate::{
    clock::SystemClock,
    config::project::Project,
    daemon::{Going, SlotState, SlotView, protocol::Status},
    model::time::Clock,
};

const EXAMPLES: &str = "\
Examples:
  vitrina top
  vitrina top --once                             one look, also into a pipe

What runs comes first, then what is due, tried again or blocked, then what is due next. Ctrl-C ends it; the daemon goes on.";

/// Between two looks.
const EVERY: Duration = Duration::from_secs(1);

/// Members that are shown.
const SHOWN: usize = 40;

/// To the top of the terminal, which is emptied.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// Options of `top`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Look once
    #[arg(long)]
    once: bool,
}

/// Runs the command.
pub(super) async fn run(args: &Args, context: &Context) -> Result {
    let project = context.project()?;
    let once = args.once || !context.output.results.is_terminal;
    let mut before = BTreeMap::new();
    loop {
        let status = look(&project, context).await?;
        if !once {
            output::print(CLEAR)?;
        }
        tell_of(&status, project.zone, context);
        table(&status, &before, &project).print(context.output)?;
        if status.members.len() > SHOWN {
            context.output.say(&format!("… of {}", counted(status.members.len() as u64, "member")));
        }
        if once {
            return Ok(());
        }
        before = status.going;
        let wait = async {
            tokio::time::sleep(EVERY).await;
            Ok(())
        };
        match unless_interrupted(wait).await {
            Err(failure) if failure.exit == Exit::Interrupted => return Ok(()),
            other => other?,
        }
    }
}

async fn look(project: &Project, context: &Context) -> Result<Status> {
    let Some(daemon) = context.daemon(project).await else {
        return Err(Failure::usage("no daemon serves this project").hint("`vitrina serve` is one"));
    };
    Ok(daemon.status().await?)
}

fn table(status: &Status, before: &BTreeMap<String, Going>, project: &Project) -> Table {
    let mut table = Table::new(["name", "does", ">for", ">read", ">rows/s", ">written", ">bad"]);
    let local = |at: DateTime<Utc>| at.with_timezone(&project.zone).format("%Y-%m-%d %H:%M:%S").to_string();
    let mut members: Vec<&SlotView> = status.members.iter().collect();
    members.sort_by_key(|member| (rank(member), member.next));
    for member in members.into_iter().take(SHOWN) {
        let does = next_run(member, &local);
        let Some(going) = status.going.get(&member.name) else {
            let nothing = || "".into();
            table.row([
                member.name.as_str().into(),
                does,
                nothing(),
                nothing(),
                nothing(),
                nothing(),
                nothing(),
            ]);
            continue;
        };
        let took = took((SystemClock.now() - going.since).to_std().unwrap_or_default());
        let rate = before.get(&member.name).filter(|before| before.since == going.since);
        let rate = rate.map_or(String::new(), |before| count(going.read.saturating_sub(before.read)));
        table.row([
            member.name.as_str().into(),
            does,
            took.into(),
            count(going.read).into(),
            rate.into(),
            count(going.written).into(),
            count(going.bad).into(),
        ]);
    }
    table
}

/// What somebody wants to see first.
fn rank(member: &SlotView) -> u8 {
    match member.state {
        SlotState::Runs => 0,
        SlotState::Follows => 1,
        SlotState::Due => 2,
        SlotState::Retries(_) => 3,
        SlotState::BlockedBy(_) => 4,
        SlotState::Waits if member.next.is_some() => 5,
        SlotState::Waits => 6,
        SlotState::ByHand => 7,
    }
}

//! `havipctl drill`: planned moves there and back, each measured, until the first doubt.

mod measure;
mod plan;

use super::say::{self, print};
use crate::clock;
use crate::control::client::{Client, ClientError};
use crate::control::protocol::{Code, Request, Response};
use crate::journal::{Entry, Step};
use crate::process::audience::{self, Watched};
use crate::process::ignores;
use crate::status::Status;
use clap::Args;
use havipd_core::model::role::Role;
use havipd_core::status::{GroupSnapshot, Snapshot};
use measure::{Outage, distributions};
use plan::{Direction, Plan};
use rustix::process::Signal;
use serde::Serialize;
use serde_json::json;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::fmt::Write as _;
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Shown below `--help`.
pub(super) const HELP: &str = "\
Examples:
  havipctl drill web
      once there and back; asks first
  havipctl drill web --repeat 3 --yes
      three times, and the distribution of six moves
  havipctl drill web --yes --json
      for programs

Run it on any node that may be active. The moves are real: make before
break, as havipctl switchover. Packets are watched from every node that
does not have the address, where heartbeat.fabric-probe is on.
Preemption is off afterwards until the next unplanned move, as after any
switchover. An interrupt ends it after the move under way, and so does a
terminal that is closed or a reader that goes; a second interrupt ends
it at once. Moves count against the group's max-moves (6 within 10
minutes, unless the file says otherwise), and a drill that would go
beyond it is refused: --repeat 3 is what fits into the default, once in
10 minutes.

Exit codes: 0 every move was made and the address is where it was, 1
refused, or stopped at a doubt, 64 wrong arguments, or --yes is missing
without a terminal, 69 havipd does not answer, 75 try again, 77 not
allowed. An answer of the daemon's that forbids the first move ends it
with the daemon's own code.";

/// Between two looks at a move.
const PAUSE: Duration = Duration::from_millis(10);
/// Longest that a move may take; the daemon's `handover-timeout` is usually shorter.
const PATIENCE: Duration = Duration::from_secs(60);
/// Longest that everything may take to agree after a move.
const SETTLE: Duration = Duration::from_secs(20);
/// Longest that the end waits for a look at the cloud that is newer than the last move.
const LOOK: Duration = Duration::from_secs(5);
/// How long packets are watched before a move.
const BASELINE: Duration = Duration::from_millis(500);

/// What to move, and how often.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// Which group; may be left out where there is one.
    pub(super) group: Option<String>,
    /// How many times there and back; two moves each, and no more moves than the group's max-moves leaves.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = say::whole::<u32>(1, 1000))]
    repeat: u32,
    /// Move without asking.
    #[arg(long)]
    yes: bool,
}

impl Options {
    /// The group that is drilled; it is known before the drill begins.
    fn group(&self) -> &str {
        self.group.as_deref().unwrap_or_default()
    }
}

/// One move that was made.
#[derive(Debug, Serialize)]
struct Move {
    from: String,
    to: String,
    /// From the order until the new node serves and the cloud has confirmed it.
    took_ms: f64,
    /// What each node that watched missed.
    outages: Vec<Outage>,
    /// This node's part of it.
    steps: Vec<Step>,
}

/// Why it went no further.
#[derive(Debug, thiserror::Error)]
enum Stop {
    /// The daemon.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// It cannot work, or nobody agreed to it: nothing was moved.
    #[error("{0}")]
    Refused(String, Code),
    /// Something is not as it should be.
    #[error("{0}")]
    Doubt(String),
    /// An operator.
    #[error("interrupted: the move under way was finished, and no other begun")]
    Interrupted,
}

impl Stop {
    fn code(&self) -> Code {
        match self {
            Self::Client(error) => error.code(),
            Self::Refused(_, code) => *code,
            Self::Doubt(_) | Self::Interrupted => Code::No,
        }
    }
}

struct Drill<'a> {
    client: Client,
    options: &'a Options,
    json: bool,
    interrupted: Arc<AtomicBool>,
    moves: Vec<Move>,
    /// Why packets are not watched.
    blind: Option<String>,
    /// When the last move was over.
    over: Option<havipd_core::model::time::Instant>,
}

/// Does it, prints, and says how it ended.
pub(super) fn run(socket: &Path, options: &Options, json: bool) -> Code {
    let connected = Client::connect(socket, super::PATIENCE).and_then(|mut client| client.introduce().map(|()| client));
    let client = match connected {
        Ok(client) => client,
        Err(error) => return say::failed(&error, json),
    };
    let interrupted = Arc::new(AtomicBool::new(false));
    let mut drill = Drill { client, options, json, interrupted, moves: Vec::new(), blind: None, over: None };
    let stop = drill.all().err();
    drill.report(stop.as_ref())
}

impl Drill<'_> {
    fn all(&mut self) -> Result<(), Stop> {
        let plan = Plan::of(&self.status()?, self.options.group(), self.options.repeat)?;
        if plan.first == Direction::Away {
            let request = Request::Switchover { group: self.options.group().to_owned(), to: None, dry_run: true };
            done(self.client.call(&request)?).map_err(|r| Stop::Refused(r.message, r.code))?;
        }
        self.confirm(&plan)?;
        self.listen().map_err(|e| Stop::Refused(format!("cannot take signals: {e}"), Code::TryAgain))?;
        // The way back leads to where the first move began.
        let mut other = plan.other.clone();
        for number in 0..self.options.repeat * 2 {
            if self.interrupted.load(Ordering::Relaxed) {
                return Err(Stop::Interrupted);
            }
            let direction = if number.is_multiple_of(2) { plan.first } else { plan.first.back() };
            let before = self.status()?;
            plan::settled(&before, self.group(&before)?, direction).map_err(Stop::Doubt)?;
            let made = self.make(direction, &plan.here, other.as_deref())?;
            other = Some(if direction == Direction::Away { made.to.clone() } else { made.from.clone() });
            self.tell(&made, number + 1);
            self.moves.push(made);
        }
        Ok(())
    }

    /// From here on whatever asks for the end waits for the move under way: its address would be left between two nodes.
    fn listen(&self) -> io::Result<()> {
        for signal in [SIGINT, SIGTERM] {
            // In this order: the first one sets the flag, and only the next finds it set.
            signal_hook::flag::register_conditional_default(signal, Arc::clone(&self.interrupted))?;
            signal_hook::flag::register(signal, Arc::clone(&self.interrupted))?;
        }
        if !ignores(Signal::HUP) {
            // Of a terminal that is closed several may be told of it.
            signal_hook::flag::register(SIGHUP, Arc::clone(&self.interrupted))?;
        }
        let interrupted = Arc::clone(&self.interrupted);
        audience::watch(Watched::Output, move |_| interrupted.store(true, Ordering::Relaxed));
        Ok(())
    }

    fn status(&mut self) -> Result<Snapshot, Stop> {
        let response = done(self.client.call(&Request::Status)?).map_err(|r| Stop::Refused(r.message, r.code))?;
        let status: Status = response.read().map_err(ClientError::from)?;
        Ok(status.core.election)
    }

    fn group<'a>(&self, status: &'a Snapshot) -> Result<&'a GroupSnapshot, Stop> {
        plan::group(status, self.options.group())
    }

    /// The status, once the cloud was looked at after the last move; as it is where that takes too long.
    fn status_after_moves(&mut self) -> Result<Snapshot, Stop> {
        let deadline = clock::now() + LOOK;
        loop {
            let status = self.status()?;
            let read = self.group(&status)?.havips.first().and_then(|havip| havip.read_ms);
            let looked = |over| read.is_some_and(|ms| Duration::from_millis(ms) < clock::now().since(over));
            if self.over.is_none_or(looked) || clock::left(deadline).is_none() {
                return Ok(status);
            }
            pause();
        }
    }

    fn confirm(&self, plan: &Plan) -> Result<(), Stop> {
        if self.options.yes {
            return Ok(());
        }
        if !io::stdin().is_terminal() {
            let text = "a drill really moves the address: say --yes where nobody can be asked";
            return Err(Stop::Refused(text.to_owned(), Code::Usage));
        }
        let (group, moves) = (self.options.group(), self.options.repeat * 2);
        let _ =
            write!(io::stderr(), "{group} is active on {} and will be moved {moves} times. Go on? [y/N] ", plan.active);
        let mut answer = String::new();
        let read = io::stdin().lock().read_line(&mut answer);
        match (read, answer.trim()) {
            (Ok(_), "y" | "Y" | "yes") => Ok(()),
            _ => Err(Stop::Refused("nothing was moved".to_owned(), Code::No)),
        }
    }

    /// One move, from the order until everything agrees.
    fn make(&mut self, direction: Direction, here: &str, other: Option<&str>) -> Result<Move, Stop> {
        let group = self.options.group().to_owned();
        let traced = self.watch_packets()?;
        let began = clock::now();
        // The node that has the group hears of either.
        let to = if direction == Direction::Away { other } else { Some(here) };
        let order = Request::Switchover { group, to: to.map(str::to_owned), dry_run: false };
        // Until something has moved, a no is the daemon's answer and not a doubt.
        let untouched = self.moves.is_empty();
        let no = |r: Response| if untouched { Stop::Refused(r.message, r.code) } else { Stop::Doubt(r.message) };
        done(self.client.call(&order)?).map_err(no)?;
        let (took, to) = self.until_over(direction, here, began)?;
        self.over = Some(clock::now());
        let from = if direction == Direction::Away { here } else { other.unwrap_or_default() };
        let outages = if traced { self.until_packets_follow(from, &to)? } else { Vec::new() };
        self.until_settled(direction.back())?;
        let steps = self.steps(direction)?;
        Ok(Move { from: from.to_owned(), to, took_ms: took.as_secs_f64() * 1e3, outages, steps })
    }

    /// Whether packets can be watched; gives the watchers time to see where they go now.
    fn watch_packets(&mut self) -> Result<bool, Stop> {
        let response = self.client.call(&Request::Trace { group: self.options.group().to_owned() })?;
        match response.code {
            Code::Done => {}
            // A user who may not watch may not move either.
            Code::Permission => return Err(Stop::Refused(response.message, response.code)),
            _ => {
                self.blind = Some(response.message);
                return Ok(false);
            }
        }
        let until = clock::now() + BASELINE;
        while clock::left(until).is_some() {
            pause();
        }
        Ok(true)
    }

    /// How long the move took, and where to.
    fn until_over(
        &mut self,
        direction: Direction,
        here: &str,
        began: havipd_core::model::time::Instant,
    ) -> Result<(Duration, String), Stop> {
        let mut moving = false;
        loop {
            let status = self.status()?;
            let took = clock::now().since(began);
            let group = self.group(&status)?;
            let (active, why) = (group.active.as_deref(), &group.detail);
            moving |= matches!(group.role, Role::Releasing | Role::Claiming);
            match (direction, group.role, active) {
                (Direction::Back, Role::Active, _) => return Ok((took, here.to_owned())),
                (Direction::Away, Role::Backup, Some(active)) if active != here => {
                    return Ok((took, active.to_owned()));
                }
                (Direction::Away, Role::Active, _) if moving => {
                    return Err(Stop::Doubt(format!("the move failed, and {here} has leadership again: {why}")));
                }
                (Direction::Back, Role::Backup, active) if moving => {
                    let active = active.unwrap_or("nobody");
                    return Err(Stop::Doubt(format!("the move failed, and {active} has leadership: {why}")));
                }
                (_, Role::Fault, _) => return Err(Stop::Doubt(format!("{here} is in fault: {why}"))),
                _ if took > PATIENCE => {
                    return Err(Stop::Doubt(format!("the move was not over after {} s", PATIENCE.as_secs())));
                }
                _ => pause(),
            }
        }
    }

    /// What each watcher missed, once all of them see the new node.
    fn until_packets_follow(&mut self, from: &str, to: &str) -> Result<Vec<Outage>, Stop> {
        let deadline = clock::now() + SETTLE;
        loop {
            let status = self.status()?;
            let seen = self.group(&status)?.trace.as_ref().map_or(&[][..], |trace| &trace.seen);
            match measure::outages(seen, from, to) {
                Ok(outages) => return Ok(outages),
                Err(blind) if clock::left(deadline).is_none() => {
                    return Err(Stop::Doubt(format!("{to} is active, but packets of {blind} do not arrive there")));
                }
                Err(_) => pause(),
            }
        }
    }

    fn until_settled(&mut self, next: Direction) -> Result<(), Stop> {
        let deadline = clock::now() + SETTLE;
        loop {
            let status = self.status()?;
            match plan::settled(&status, self.group(&status)?, next) {
                Ok(()) => return Ok(()),
                Err(doubt) if clock::left(deadline).is_none() => return Err(Stop::Doubt(doubt)),
                Err(_) => pause(),
            }
        }
    }

    /// This node's own timeline of the move.
    fn steps(&mut self, direction: Direction) -> Result<Vec<Step>, Stop> {
        let response =
            self.client.call(&Request::History { group: Some(self.options.group().to_owned()), node: None })?;
        let entries: Vec<Entry> = response.read().unwrap_or_default();
        let role = if direction == Direction::Away { Role::Backup } else { Role::Active }.as_str();
        Ok(entries.into_iter().rev().find(|e| e.to == role).map(|e| e.steps).unwrap_or_default())
    }

    fn tell(&self, made: &Move, number: u32) {
        if self.json {
            return;
        }
        let mut text = format!(
            "move {number} of {}: {} -> {} in {:.1} ms",
            self.options.repeat * 2,
            made.from,
            made.to,
            made.took_ms
        );
        for outage in &made.outages {
            let _ = write!(text, ", {} missed {:.1} ms", outage.from, outage.ms);
        }
        for step in &made.steps {
            let _ = write!(text, "\n  {:>9.1} ms  {}", step.ms, step.what);
        }
        print(&text);
    }

    /// The end: how the moves were, why it stopped, and where the address is now.
    fn report(&mut self, stop: Option<&Stop>) -> Code {
        let code = stop.map_or(Code::Done, Stop::code);
        let stopped = stop.map(ToString::to_string);
        if let (Some(Stop::Refused(text, _)), false) = (stop, self.json) {
            return say::tell(&Response::new(code, text), false);
        }
        let place = self.place();
        let figures = distributions(self.moves.iter().map(|m| (m.took_ms, m.outages.as_slice())));
        let (made, wanted) = (self.moves.len(), self.options.repeat * 2);
        let message = stopped.clone().unwrap_or_else(|| format!("{} made", say::plural(made, "move")));
        let data = json!({
            "moves": self.moves, "summary": figures, "stopped": stopped, "now": place, "not_watched": self.blind,
        });
        say::show(&Response::new(code, message).with_data(data), self.json, || {
            let mut text = String::new();
            if let Some(why) = self.blind.as_ref().filter(|_| made > 0) {
                let _ = writeln!(text, "packets were not watched: {why}");
            }
            text.push_str(&measure::table(&figures));
            if let Some(stopped) = stopped {
                let _ = writeln!(text, "stopped after {made} of {wanted} moves: {stopped}");
            }
            format!("{text}{}", place.text(self.options.group()))
        })
    }

    fn place(&mut self) -> Place {
        let Ok(status) = self.status_after_moves() else { return Place::default() };
        let Ok(group) = self.group(&status) else { return Place::default() };
        let holder = group.havips.first().and_then(|havip| havip.holder.clone());
        Place { known: true, active: group.active.clone(), holder }
    }
}

/// Where the address is, at the end.
#[derive(Debug, Default, Serialize)]
struct Place {
    /// The daemon still answers.
    known: bool,
    /// The node that is active, of those that are heard.
    active: Option<String>,
    /// The target that the cloud named when it was last read here.
    holder: Option<String>,
}

impl Place {
    fn text(&self, group: &str) -> String {
        if !self.known {
            return "where the address is now is not known".to_owned();
        }
        let active = self.active.as_deref().unwrap_or("no node that is heard");
        let holder = self.holder.as_deref().unwrap_or("nobody");
        format!("{group} is active on {active}; the cloud, as last read here, names {holder}")
    }
}

fn done(response: Response) -> Result<Response, Response> {
    if response.code == Code::Done { Ok(response) } else { Err(response) }
}

#[expect(clippy::disallowed_methods, reason = "between two looks at a fact, with a deadline")]
fn pause() {
    std::thread::sleep(PAUSE);
}

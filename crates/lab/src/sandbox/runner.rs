//! Runs a script on a cluster, and says how it goes.

use super::act::Act;
use super::cluster::{ActError, Cluster, News};
use super::output::Output;
use super::script::{Command, Fact, Line, NodeRef};
use super::timeline::Move;
use havipd_core::model::plural::lasting;
use serde::Serialize;
use std::io::{self, Write as _};
use std::time::Duration;
use tokio::time::Instant;

/// Time between two tries of an order that was refused.
const TRY_AGAIN: Duration = Duration::from_millis(200);

/// Why a script did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A line could not be done, or what it expects is not so.
    #[error("line {number}: {text}: {why}")]
    Failed {
        /// Number of the line.
        number: usize,
        /// What it says.
        text: String,
        /// What is the case instead.
        why: String,
    },
    /// Nobody reads what is printed.
    #[error("cannot print: {0}")]
    Output(#[from] io::Error),
}

/// Where it is said how things go: for people, or as one JSON object a line.
#[derive(Debug)]
pub struct Printer {
    out: Output,
    json: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
enum Record<'a> {
    Note(&'a str),
    Event(&'a str),
    Move(&'a Move),
    Failed(&'a str),
}

impl Printer {
    /// Prints to `out`.
    pub const fn new(out: Output, json: bool) -> Self {
        Self { out, json }
    }

    async fn print(&mut self, record: &Record<'_>) -> io::Result<()> {
        let mut text = Vec::new();
        if self.json {
            serde_json::to_writer(&mut text, record)?;
            writeln!(text)?;
        } else {
            match record {
                Record::Note(note) => writeln!(text, "\n== {note}")?,
                Record::Event(event) => writeln!(text, "   {event}")?,
                Record::Move(told) => writeln!(text, "\n{told}\n")?,
                Record::Failed(why) => writeln!(text, "\nFAILED: {why}")?,
            }
        }
        self.out.write(text).await
    }

    /// Waits until everything is printed.
    ///
    /// # Errors
    /// Nobody reads it.
    pub async fn finish(self) -> io::Result<()> {
        self.out.finish().await
    }

    /// Something that a script, or the sandbox itself, has to say.
    ///
    /// # Errors
    /// Nobody reads it.
    pub async fn note(&mut self, text: &str) -> io::Result<()> {
        self.print(&Record::Note(text)).await
    }

    /// News of the cluster.
    ///
    /// # Errors
    /// Nobody reads it.
    pub async fn news(&mut self, news: &[News]) -> io::Result<()> {
        for one in news {
            match one {
                News::Line(text) => self.print(&Record::Event(text)).await?,
                News::Moved(told) => self.print(&Record::Move(told)).await?,
            }
        }
        Ok(())
    }

    /// The end of a script that failed, with the end of every daemon's log.
    ///
    /// # Errors
    /// Nobody reads it.
    pub async fn failed(&mut self, error: &RunError, cluster: &Cluster) -> io::Result<()> {
        self.print(&Record::Failed(&error.to_string())).await?;
        for (name, tail) in cluster.tails() {
            self.note(&format!("end of the log of {name}")).await?;
            for line in tail {
                self.print(&Record::Event(line)).await?;
            }
        }
        Ok(())
    }
}

/// Runs all lines, one after the other.
///
/// # Errors
/// The first line that failed.
pub async fn run(cluster: &mut Cluster, script: &[Line], printer: &mut Printer) -> Result<(), RunError> {
    for line in script {
        let failed = |why: String| RunError::Failed { number: line.number, text: line.text.clone(), why };
        match &line.command {
            Command::Note(text) => printer.note(text).await?,
            Command::Pause(pause) => {
                let deadline = Instant::now() + *pause;
                while turn(cluster, printer, deadline).await? {}
            }
            Command::Wait(fact) | Command::Expect(fact) => {
                let fact = resolve(cluster, fact).map_err(failed)?;
                if !until(cluster, printer, line.within, &fact).await? {
                    return Err(failed(not_so(cluster, line.within)));
                }
            }
            Command::Do(act) => {
                let act = act.try_map(|n| cluster.facts().resolve(n)).map_err(failed)?;
                carry_out(cluster, printer, line.within, &act).await?.map_err(failed)?;
            }
        }
    }
    Ok(())
}

fn resolve(cluster: &Cluster, fact: &Fact<NodeRef>) -> Result<Fact<usize>, String> {
    let facts = cluster.facts();
    fact.try_map(|n| facts.resolve(n))
}

fn not_so(cluster: &Cluster, within: Duration) -> String {
    let instead = cluster.facts().instead();
    if within.is_zero() {
        format!("is not so: {instead}")
    } else {
        format!("was not so within {}: {instead}", lasting(within))
    }
}

/// Takes in what happens next. False once the deadline has passed.
async fn turn(cluster: &mut Cluster, printer: &mut Printer, deadline: Instant) -> io::Result<bool> {
    match tokio::time::timeout_at(deadline, cluster.turn()).await {
        Ok(news) => printer.news(&news).await.map(|()| true),
        Err(_) => Ok(false),
    }
}

/// Waits for something to be so; says whether it is.
async fn until(cluster: &mut Cluster, printer: &mut Printer, within: Duration, fact: &Fact<usize>) -> io::Result<bool> {
    let deadline = Instant::now() + within;
    loop {
        if cluster.facts().holds(fact) {
            return Ok(true);
        }
        if !turn(cluster, printer, deadline).await? {
            return Ok(cluster.facts().holds(fact));
        }
    }
}

/// Does something; tries again while a daemon refuses, and waits for a switchover to be complete.
async fn carry_out(
    cluster: &mut Cluster,
    printer: &mut Printer,
    within: Duration,
    act: &Act<usize>,
) -> Result<Result<(), String>, RunError> {
    let deadline = Instant::now() + within;
    loop {
        match cluster.act(act).await {
            Ok(news) => {
                printer.news(&news).await?;
                break;
            }
            Err(ActError::Refused { .. } | ActError::Unanswered { .. }) if Instant::now() < deadline => {
                let again = deadline.min(Instant::now() + TRY_AGAIN);
                while turn(cluster, printer, again).await? {}
            }
            Err(error) => return Ok(Err(error.to_string())),
        }
    }
    if let Act::Switchover(node) = act {
        let left = deadline.saturating_duration_since(Instant::now());
        if !until(cluster, printer, left, &Fact::Active(Some(*node))).await? {
            return Ok(Err(format!("was not complete within {}: {}", lasting(within), cluster.facts().instead())));
        }
    }
    Ok(Ok(()))
}

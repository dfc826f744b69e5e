//! Follows keepalived: every source of its states, and its process, become one stream of reports.

use super::fifo::Fifo;
use super::kept::{Kept, Record};
use super::process::Process;
use super::stamp::Stamp;
use havipd_core::model::leader::{VrrpReport, VrrpSource};
use havipd_core::model::vrrp::{Notice, State, Vrrp};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

/// While no process is known: how often it is looked for, and for states that others kept.
const LOOK: Duration = Duration::from_millis(250);

/// What is followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Followed {
    /// The instances and sync groups that count.
    pub names: BTreeSet<Vrrp>,
    /// keepalived's `vrrp_notify_fifo`.
    pub fifo: Option<PathBuf>,
    /// keepalived's pid file.
    pub pid_file: PathBuf,
    /// Where states are kept.
    pub state_directory: PathBuf,
}

/// One notify command.
#[derive(Debug)]
pub struct Told {
    /// What keepalived said.
    pub notice: Notice,
    /// When.
    pub stamp: Stamp,
    /// Where it is told what became of it.
    pub answer: oneshot::Sender<Taken>,
}

/// What became of a notify command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// It is the state now.
    Yes,
    /// No group follows that name.
    NotFollowed,
    /// keepalived has said something newer: this.
    Older(State),
    /// keepalived does not run; why that is so. The state counts if the process that said it turns out to live.
    NotRunning(String),
}

/// A state that counts now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// Of whom.
    pub vrrp: Vrrp,
    /// The state.
    pub report: VrrpReport,
}

/// The newest of one name.
#[derive(Debug, Clone)]
struct Known {
    notice: Notice,
    stamp: Stamp,
    source: VrrpSource,
    decided: bool,
}

/// When the directory changed last, and what is in it if that is news.
type Look = Option<(Option<SystemTime>, Vec<Record>)>;

struct Follow {
    names: BTreeSet<Vrrp>,
    pid_file: PathBuf,
    kept: Kept,
    kept_directory: PathBuf,
    /// Of the directory, when it was last read; `None` before that.
    looked: Option<Option<SystemTime>>,
    looking: Option<JoinHandle<Look>>,
    process: Option<Process>,
    known: BTreeMap<Vrrp, Known>,
    /// Why there is no process, as last told.
    said: String,
    out: mpsc::Sender<News>,
    unsaved: BTreeMap<Vrrp, (Notice, Stamp)>,
    saving: Option<JoinHandle<()>>,
}

/// Follows until `out` is closed. `told` brings notify commands.
pub async fn follow(followed: Followed, mut told: mpsc::Receiver<Told>, out: mpsc::Sender<News>) {
    let mut fifo = followed.fifo.as_deref().map(Fifo::new);
    let mut this = Follow {
        names: followed.names,
        pid_file: followed.pid_file,
        kept: Kept::new(&followed.state_directory),
        kept_directory: followed.state_directory.join(super::kept::DIRECTORY),
        looked: None,
        looking: None,
        process: None,
        known: BTreeMap::new(),
        said: String::new(),
        out,
        unsaved: BTreeMap::new(),
        saving: None,
    };
    this.look_at_kept();
    this.find().await;
    if this.process.is_none() {
        this.stopped().await;
    }
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !this.out.is_closed() {
        tokio::select! {
            () = ended(this.process.as_ref()) => {
                // What it wrote before it ended was said before it ended.
                let _ = fifo.as_mut().map(Fifo::drain);
                this.died().await;
            }
            notices = next(fifo.as_mut()) => this.read(notices).await,
            Some(told) = told.recv() => {
                let taken = this.take(told.notice, told.stamp, VrrpSource::Notify).await;
                // The one who asked may have gone.
                let _ = told.answer.send(taken);
            }
            () = saved(&mut this.saving) => this.save(),
            look = looked(&mut this.looking) => this.take_kept(look).await,
            _ = look.tick() => {
                this.look_at_kept();
                if this.process.is_none() {
                    this.find().await;
                }
            }
        }
    }
}

async fn ended(process: Option<&Process>) {
    match process {
        Some(process) => process.ended().await,
        None => std::future::pending().await,
    }
}

async fn next(fifo: Option<&mut Fifo>) -> Vec<Notice> {
    match fifo {
        Some(fifo) => fifo.next().await,
        None => std::future::pending().await,
    }
}

async fn saved(saving: &mut Option<JoinHandle<()>>) {
    match saving {
        Some(task) => {
            // It has said itself what went wrong.
            let _ = task.await;
            *saving = None;
        }
        None => std::future::pending().await,
    }
}

async fn looked(looking: &mut Option<JoinHandle<Look>>) -> Look {
    match looking {
        Some(task) => {
            let look = task.await.unwrap_or_default();
            *looking = None;
            look
        }
        None => std::future::pending().await,
    }
}

impl Follow {
    /// Of several lines for one name only the newest counts; a decision among them for the same state stays one.
    async fn read(&mut self, notices: Vec<Notice>) {
        let mut newest: BTreeMap<Vrrp, Notice> = BTreeMap::new();
        for mut notice in notices {
            if let Some(before) = newest.get(&notice.vrrp)
                && before.word.state() == notice.word.state()
                && before.word.decides()
            {
                notice.word = before.word;
            }
            newest.insert(notice.vrrp.clone(), notice);
        }
        for notice in newest.into_values() {
            let _ = self.take(notice, Stamp::now(), VrrpSource::Fifo).await;
        }
    }

    async fn take(&mut self, notice: Notice, stamp: Stamp, source: VrrpSource) -> Taken {
        if !self.names.contains(&notice.vrrp) {
            tracing::debug!("keepalived says {}, which no group follows", notice.line());
            return Taken::NotFollowed;
        }
        if let Some(known) = self.known.get(&notice.vrrp).filter(|known| stamp.is_before(known.stamp)) {
            tracing::debug!("keepalived says {}, but has said something newer", notice.line());
            return Taken::Older(known.notice.word.state());
        }
        tracing::debug!("keepalived says {} ({source})", notice.line());
        let vrrp = notice.vrrp.clone();
        let (decided, state) = (notice.word.decides(), notice.word.state());
        self.known.insert(vrrp.clone(), Known { notice, stamp, source, decided });
        if self.process.is_none() {
            // It tells all that it knows.
            self.find().await;
        } else {
            self.tell(&vrrp).await;
        }
        // Without a process every name is stopped already.
        let counts = state == State::Stop || (self.process.is_some() && self.known.contains_key(&vrrp));
        if counts { Taken::Yes } else { Taken::NotRunning(self.said.clone()) }
    }

    /// Reports a state, and keeps it as one that was acted on.
    async fn tell(&mut self, vrrp: &Vrrp) {
        let Some(known) = self.known.get_mut(vrrp) else { return };
        let state = known.notice.word.state();
        let report = VrrpReport { state, decided: known.decided, source: known.source };
        // Told once, it is what was decided before.
        known.decided = false;
        self.unsaved.insert(vrrp.clone(), (known.notice.clone(), known.stamp));
        let _ = self.out.send(News { vrrp: vrrp.clone(), report }).await;
        self.save();
    }

    /// Stores what is not stored, unless something is just being stored.
    fn save(&mut self) {
        if self.saving.is_some() || self.unsaved.is_empty() {
            return;
        }
        let (kept, unsaved) = (self.kept.clone(), std::mem::take(&mut self.unsaved));
        self.saving = Some(tokio::task::spawn_blocking(move || {
            for (notice, stamp) in unsaved.into_values() {
                if let Err(error) = kept.keep(&notice, stamp, true) {
                    tracing::warn!("after a restart keepalived's state would not be known: {error}");
                }
            }
        }));
    }

    /// Has somebody look what others, or an earlier run, have kept. The disk may take its time.
    fn look_at_kept(&mut self) {
        if self.looking.is_some() {
            return;
        }
        let (kept, directory, before) = (self.kept.clone(), self.kept_directory.clone(), self.looked);
        self.looking = Some(tokio::task::spawn_blocking(move || {
            let changed = std::fs::metadata(directory).and_then(|m| m.modified()).ok();
            (before != Some(changed)).then(|| (changed, kept.read()))
        }));
    }

    async fn take_kept(&mut self, look: Look) {
        let Some((changed, records)) = look else { return };
        let first = self.looked.replace(changed).is_none();
        for record in records {
            let vrrp = record.notice.vrrp.clone();
            let newer = self.known.get(&vrrp).is_none_or(|known| known.stamp.is_before(record.stamp));
            let of_another = self.process.as_ref().is_some_and(|p| record.stamp.ticks < p.began);
            if !newer || of_another || !self.names.contains(&vrrp) || (record.acted_on && !first) {
                continue;
            }
            let decided = record.notice.word.decides() && !record.acted_on;
            let known = Known { notice: record.notice, stamp: record.stamp, source: VrrpSource::Kept, decided };
            self.known.insert(vrrp.clone(), known);
            if self.process.is_some() {
                self.tell(&vrrp).await;
            }
        }
    }

    /// Looks for the process. What was said before it began was said by another.
    async fn find(&mut self) {
        match Process::find(&self.pid_file) {
            Ok(process) => {
                tracing::info!(pid = process.pid, "keepalived runs");
                self.known.retain(|_, known| known.stamp.ticks >= process.began);
                self.process = Some(process);
                self.said.clear();
                let all: Vec<Vrrp> = self.known.keys().cloned().collect();
                for vrrp in all {
                    self.tell(&vrrp).await;
                }
            }
            Err(why) => {
                let said = format!("keepalived does not run: {}: {why}", self.pid_file.display());
                if said != self.said {
                    tracing::warn!("{said}");
                    self.said = said;
                }
            }
        }
    }

    async fn died(&mut self) {
        self.process = None;
        self.known.clear();
        self.stopped().await;
        // Another may have begun already.
        self.find().await;
    }

    /// Nobody says anything any more: that counts as STOP.
    async fn stopped(&mut self) {
        let report = VrrpReport { state: State::Stop, decided: true, source: VrrpSource::Process };
        for vrrp in &self.names {
            let _ = self.out.send(News { vrrp: vrrp.clone(), report }).await;
        }
    }
}

#[cfg(test)]
mod tests;

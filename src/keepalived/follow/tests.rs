use super::*;
use crate::keepalived::idle::{Idle, idle};
use std::path::Path;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(30);

struct Bench {
    directory: tempfile::TempDir,
    told: mpsc::Sender<Told>,
    news: mpsc::Receiver<News>,
    keepalived: Option<Idle>,
}

fn notice(line: &str) -> Notice {
    Notice::from_line(line.as_bytes()).expect("a line")
}

fn started(directory: &Path) -> Idle {
    std::fs::create_dir_all(directory.join("bin")).expect("made");
    let process = idle(&directory.join("bin/keepalived"));
    std::fs::write(directory.join("pid"), process.0.id().to_string()).expect("written");
    process
}

impl Bench {
    /// Follows VI_1 with a keepalived that runs, after `before` was done with the directory.
    fn new(before: impl FnOnce(&Path)) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let keepalived = Some(started(directory.path()));
        before(directory.path());
        let (told, news) = follow_in(directory.path());
        Self { directory, told, news, keepalived }
    }

    fn end(&mut self) {
        self.keepalived = None;
    }

    async fn say(&self, line: &str, stamp: Stamp) {
        let _ = self.ask(line, stamp).await;
    }

    async fn ask(&self, line: &str, stamp: Stamp) -> Taken {
        let (answer, taken) = oneshot::channel();
        self.told.send(Told { notice: notice(line), stamp, answer }).await.expect("listens");
        timeout(PATIENCE, taken).await.expect("in time").expect("an answer")
    }

    async fn next(&mut self) -> (State, bool, VrrpSource) {
        let news = timeout(PATIENCE, self.news.recv()).await.expect("in time").expect("goes on");
        assert_eq!(news.vrrp.name, "VI_1");
        (news.report.state, news.report.decided, news.report.source)
    }
}

fn follow_in(directory: &Path) -> (mpsc::Sender<Told>, mpsc::Receiver<News>) {
    let (told, commands) = mpsc::channel(8);
    let (out, news) = mpsc::channel(8);
    let followed = Followed {
        names: BTreeSet::from(["VI_1".parse().expect("a name")]),
        fifo: None,
        pid_file: directory.join("pid"),
        state_directory: directory.to_owned(),
    };
    tokio::spawn(follow(followed, commands, out));
    (told, news)
}

const MASTER: &str = "INSTANCE \"VI_1\" MASTER 150";
const BACKUP: &str = "INSTANCE \"VI_1\" BACKUP 150";

#[tokio::test]
async fn the_newest_counts_whichever_comes_last() {
    let mut bench = Bench::new(|_| {});
    let ticks = Stamp::now().ticks + 10;
    bench.say("INSTANCE \"another\" MASTER 1", Stamp { ticks, pid: 1 }).await;
    bench.say(BACKUP, Stamp { ticks, pid: 8 }).await;
    assert_eq!(bench.next().await, (State::Backup, true, VrrpSource::Notify));
    bench.say(MASTER, Stamp { ticks, pid: 7 }).await;
    bench.say("INSTANCE \"VI_1\" FAULT 0", Stamp { ticks, pid: 9 }).await;
    assert_eq!(bench.next().await.0, State::Fault, "the older one came too late");
    bench.say("INSTANCE \"VI_1\" MASTER_PRIORITY 9", Stamp { ticks, pid: 10 }).await;
    assert_eq!(bench.next().await, (State::Master, false, VrrpSource::Notify));
}

#[tokio::test]
async fn its_death_is_a_stop_and_what_it_said_dies_with_it() {
    let mut bench = Bench::new(|_| {});
    bench.say(MASTER, Stamp::now()).await;
    assert_eq!(bench.next().await.0, State::Master);
    bench.end();
    assert_eq!(bench.next().await, (State::Stop, true, VrrpSource::Process));
    // What was started by it and comes late has nothing to say for the next one.
    let late = Stamp { ticks: Stamp::now().ticks.saturating_sub(200), pid: 5 };
    bench.say(MASTER, late).await;
    bench.keepalived = Some(started(bench.directory.path()));
    bench.say(BACKUP, Stamp { ticks: Stamp::now().ticks + 10, pid: 6 }).await;
    assert_eq!(bench.next().await, (State::Backup, true, VrrpSource::Notify));
}

#[tokio::test]
async fn a_start_goes_on_from_what_was_kept() {
    let keep = |acted_on| {
        move |state: &Path| {
            let stamp = Stamp { pid: 3, ..Stamp::now() };
            Kept::new(state).keep(&notice(MASTER), stamp, acted_on).expect("kept");
        }
    };
    let mut decided = Bench::new(keep(false));
    assert_eq!(decided.next().await, (State::Master, true, VrrpSource::Kept), "nobody has acted on it");
    let mut known = Bench::new(keep(true));
    assert_eq!(known.next().await, (State::Master, false, VrrpSource::Kept));
    // The one that was acted on by the first is known to the second.
    let (_told, mut news) = follow_in(decided.directory.path());
    let again = timeout(PATIENCE, news.recv()).await.expect("in time").expect("goes on");
    assert_eq!((again.report.state, again.report.decided), (State::Master, false));
}

#[tokio::test]
async fn a_state_of_an_earlier_keepalived_and_one_without_any_count_for_nothing() {
    let mut bench = Bench::new(|state| {
        let stale = Stamp { ticks: Stamp::now().ticks.saturating_sub(500), pid: 3 };
        Kept::new(state).keep(&notice(MASTER), stale, false).expect("kept");
    });
    bench.say(BACKUP, Stamp { ticks: Stamp::now().ticks + 10, pid: 4 }).await;
    assert_eq!(bench.next().await.0, State::Backup);
    let directory = tempfile::tempdir().expect("a directory");
    // Long enough before the next one begins: a tick says nothing of what is first within it.
    let before = Stamp { ticks: Stamp::now().ticks.saturating_sub(50), pid: 2 };
    Kept::new(directory.path()).keep(&notice(MASTER), before, false).expect("kept");
    let (_told, mut news) = follow_in(directory.path());
    let first = timeout(PATIENCE, news.recv()).await.expect("in time").expect("goes on");
    assert_eq!((first.report.state, first.report.source), (State::Stop, VrrpSource::Process));
    // What another keeps meanwhile is found, once there is a keepalived.
    let _keepalived = started(directory.path());
    Kept::new(directory.path()).keep(&notice(BACKUP), Stamp::now(), false).expect("kept");
    let next = timeout(PATIENCE, news.recv()).await.expect("in time").expect("goes on");
    assert_eq!(next.report.state, State::Backup);
}

#[tokio::test]
async fn a_caller_that_tells_a_state_hears_what_became_of_it() {
    let mut bench = Bench::new(|_| {});
    let now = Stamp { pid: 9, ..Stamp::now() };
    assert_eq!(bench.ask(MASTER, now).await, Taken::Yes);
    assert_eq!(bench.ask(BACKUP, Stamp { pid: 8, ..now }).await, Taken::Older(State::Master));
    assert_eq!(bench.ask("INSTANCE \"another\" MASTER 1", now).await, Taken::NotFollowed);
    assert_eq!(bench.next().await.0, State::Master);
    bench.end();
    assert_eq!(bench.next().await, (State::Stop, true, VrrpSource::Process));
    let taken = bench.ask(MASTER, Stamp { pid: 10, ..Stamp::now() }).await;
    assert!(matches!(&taken, Taken::NotRunning(why) if why.contains("keepalived does not run")), "{taken:?}");
    assert_eq!(bench.ask("INSTANCE \"VI_1\" STOP 0", Stamp { pid: 11, ..Stamp::now() }).await, Taken::Yes);
}

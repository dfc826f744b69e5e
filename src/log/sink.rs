//! The queue and the thread between those who log and the reader.

use crate::clock;
use crate::plain;
use std::io::{self, Write};
use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tracing::{Level, Metadata};
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::fmt::MakeWriter;

/// Lines that wait for the writer. When full: further ones are dropped, and the log says how many once it is read again.
pub const QUEUE_LINES: usize = 4096;
/// A text line is cut here, so that the queue is bounded in bytes as well.
const MAX_TEXT: usize = 8 * 1024;

/// Counts what went in, came out and was lost.
pub(super) struct Sink {
    submitted: AtomicU64,
    progress: Mutex<Progress>,
    progressed: Condvar,
    lost: OnceLock<ErrorCounter>,
    /// Never dropped: see the module above.
    guard: OnceLock<ManuallyDrop<WorkerGuard>>,
}

/// How far the writing thread is.
#[derive(Default)]
struct Progress {
    written: u64,
    /// Lost lines that were reported.
    reported: u64,
}

impl std::fmt::Debug for Sink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sink").field("dropped", &self.dropped()).finish_non_exhaustive()
    }
}

impl Sink {
    /// Starts the thread that writes to `writer`.
    pub(super) fn start<W: Write + Send + 'static>(
        writer: W,
        json: Arc<AtomicBool>,
        journal: bool,
    ) -> (Arc<Self>, NonBlocking) {
        let sink = Arc::new(Self {
            submitted: AtomicU64::new(0),
            progress: Mutex::default(),
            progressed: Condvar::new(),
            lost: OnceLock::new(),
            guard: OnceLock::new(),
        });
        let drain = Drain { writer, sink: Arc::clone(&sink), json, journal };
        let (non_blocking, guard) = NonBlockingBuilder::default()
            .lossy(true)
            .buffered_lines_limit(QUEUE_LINES)
            .thread_name("havipd-log")
            .finish(drain);
        // Both cells are fresh: setting them cannot fail.
        let _ = sink.lost.set(non_blocking.error_counter());
        let _ = sink.guard.set(ManuallyDrop::new(guard));
        (sink, non_blocking)
    }

    pub(super) fn dropped(&self) -> u64 {
        self.lost.get().map_or(0, |lost| lost.dropped_lines() as u64)
    }

    pub(super) fn flush(&self, patience: Duration) -> bool {
        let wanted = self.submitted.load(Ordering::Acquire);
        let deadline = clock::now() + patience;
        let mut progress = self.progress();
        loop {
            let lost = self.dropped();
            if progress.written + lost >= wanted && progress.reported >= lost {
                return true;
            }
            let Some(left) = clock::left(deadline) else {
                return false;
            };
            progress = self.progressed.wait_timeout(progress, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The far end of the queue: writes, and says what was lost once the queue is empty.
struct Drain<W> {
    writer: W,
    sink: Arc<Sink>,
    json: Arc<AtomicBool>,
    journal: bool,
}

impl<W: Write> Write for Drain<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let result = self.writer.write_all(line);
        // A line that could not be written is over and done with as well: nobody may wait for it.
        self.sink.progress().written += 1;
        self.sink.progressed.notify_all();
        result.map(|()| line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let lost = self.sink.dropped();
        let reported = self.sink.progress().reported;
        if lost > reported {
            let report = loss_report(lost - reported, self.json.load(Ordering::Relaxed), self.journal);
            self.writer.write_all(report.as_bytes())?;
            self.sink.progress().reported = lost;
            self.sink.progressed.notify_all();
        }
        self.writer.flush()
    }
}

fn loss_report(lost: u64, json: bool, journal: bool) -> String {
    let now = jiff::Timestamp::now();
    let (were, they) = if lost == 1 { ("line was", "it was") } else { ("lines were", "they were") };
    let text = format!("log {were} dropped: {they} not read fast enough");
    let prefix = if journal { priority(Level::WARN) } else { "" };
    if !json {
        let time = if journal { String::new() } else { format!("{now} ") };
        return format!("{prefix}{time} WARN {lost} {text}\n");
    }
    let fields = serde_json::json!({ "message": text, "dropped": lost });
    let line =
        serde_json::json!({ "timestamp": now.to_string(), "level": "WARN", "fields": fields, "target": "havipd::log" });
    format!("{prefix}{line}\n")
}

/// What systemd's journal takes off the beginning of a line, as its priority (sd-daemon(3)).
const fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "<3>",
        Level::WARN => "<4>",
        Level::INFO => "<6>",
        _ => "<7>",
    }
}

/// Makes the writer of each line.
pub(super) struct LineMaker {
    queue: NonBlocking,
    sink: Arc<Sink>,
    json: Arc<AtomicBool>,
    journal: bool,
}

impl LineMaker {
    pub(super) const fn new(queue: NonBlocking, sink: Arc<Sink>, json: Arc<AtomicBool>, journal: bool) -> Self {
        Self { queue, sink, json, journal }
    }
}

impl<'a> MakeWriter<'a> for LineMaker {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { maker: self, level: Level::INFO }
    }

    fn make_writer_for(&'a self, meta: &Metadata<'_>) -> Line<'a> {
        Line { maker: self, level: *meta.level() }
    }
}

/// Puts one event into the queue as exactly one line.
pub(super) struct Line<'a> {
    maker: &'a LineMaker,
    level: Level,
}

impl Line<'_> {
    fn prefix(&self) -> &'static [u8] {
        if self.maker.journal { priority(self.level).as_bytes() } else { b"" }
    }
}

impl Write for Line<'_> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        self.maker.sink.submitted.fetch_add(1, Ordering::Release);
        let mut queue = self.maker.queue.clone();
        // In one piece: two would be two lines of the queue.
        let mut line = self.prefix().to_vec();
        if self.maker.json.load(Ordering::Relaxed) {
            line.extend_from_slice(escaped(event).as_bytes());
            queue.write_all(&line)?;
        } else {
            let body = event.strip_suffix(b"\n").unwrap_or(event);
            let cut = cut(body);
            // Quoted text must not be able to forge a line or to drive a terminal.
            line.extend(plain::line(&plain::in_words(&String::from_utf8_lossy(cut))).into_bytes());
            line.push(b'\n');
            queue.write_all(&line)?;
        }
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A line of JSON in which the rest of what could drive a terminal is escaped, too: JSON itself asks for that only below 0x20.
fn escaped(event: &[u8]) -> String {
    let text = String::from_utf8_lossy(event);
    let text = plain::in_words(&text);
    let (body, end) = text.strip_suffix('\n').map_or((&*text, ""), |body| (body, "\n"));
    let mut line = String::with_capacity(text.len());
    for c in body.chars() {
        if plain::is_odd(c) {
            // All of them are in the basic plane.
            line.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            line.push(c);
        }
    }
    line + end
}

/// The first [`MAX_TEXT`] bytes, without half a character at the end.
fn cut(text: &[u8]) -> &[u8] {
    let mut end = text.len().min(MAX_TEXT);
    while end < text.len() && text[end] & 0xC0 == 0x80 {
        end -= 1;
    }
    &text[..end]
}

/// Whether stderr is the journal's socket: systemd names it in `JOURNAL_STREAM` by device and inode
/// (systemd.exec(5)).
pub(super) fn stderr_is_journal() -> bool {
    let Ok(named) = std::env::var("JOURNAL_STREAM") else { return false };
    let stat = rustix::fs::fstat(io::stderr());
    stat.is_ok_and(|stat| named == format!("{}:{}", stat.st_dev, stat.st_ino))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_json_stays_one_and_drives_no_terminal() {
        let line = escaped("{\"message\":\"a\u{9b}2J\u{202e}b\"}\n".as_bytes());
        assert_eq!(line, "{\"message\":\"a\\u009b2J\\u202eb\"}\n");
        assert_eq!(escaped(b"{\"error\":\"no such file (os error 2)\"}\n"), "{\"error\":\"no such file\"}\n");
    }

    #[test]
    fn what_was_lost_is_told_with_the_priority_of_a_warning() {
        assert!(loss_report(3, false, true).starts_with("<4> WARN 3 log lines were dropped"));
        assert!(loss_report(3, true, true).starts_with("<4>{"));
        let elsewhere = loss_report(3, false, false);
        assert!(elsewhere.contains("Z  WARN 3 log lines") && !elsewhere.starts_with('<'), "{elsewhere}");
        assert!(loss_report(3, true, false).starts_with('{'));
    }
}

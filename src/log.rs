//! Logging: text or JSON to stderr, through a queue that loses lines rather than time.
//!
//! Nothing that logs may ever wait for what reads the log (a stopped journal, a full pipe).
//! Lines go into a bounded queue, one thread writes them, and what does not fit is counted and
//! reported once there is room again. Neither a panic nor the end of the process waits either:
//! [`Logging::flush`] has a deadline, and tracing-appender's own guard is deliberately never
//! dropped, because its drop prints to stdout, which may be the very same full pipe.
//!
//! Level and format can change at any time; what the command line said wins over the file.

mod rate_limit;
mod sink;

pub use rate_limit::RateLimit;
pub use sink::QUEUE_LINES;

use crate::plain::quote;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use havipd_core::model::settings::{Log, LogFormat, LogLevel};
use sink::{LineMaker, Sink};
use std::fmt;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::{Format, Json, Writer};
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Registry, reload};

/// Why logging cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// Another subscriber is already in place.
    #[error("logging is already set up")]
    AlreadySet(#[from] tracing::subscriber::SetGlobalDefaultError),
    /// Not one of the five levels.
    #[error("{} is not a log level: use error, warn, info, debug or trace", quote(.0))]
    Level(String),
}

/// `--log-level` and `--log-format`: they win over the file.
#[derive(Debug, Clone, Copy, Default)]
pub struct Overrides {
    /// `--log-level`.
    pub level: Option<LogLevel>,
    /// `--log-format`.
    pub format: Option<LogFormat>,
}

/// The running log: changes level and format, tells what was lost.
#[derive(Debug, Clone)]
pub struct Logging {
    overrides: Overrides,
    level: reload::Handle<Targets, Registry>,
    json: Arc<AtomicBool>,
    sink: Arc<Sink>,
}

impl Logging {
    /// Sets up logging to stderr for the whole process, including what panics say.
    ///
    /// Until the file has been read, pass `Log { level: Info, format: Text }`.
    ///
    /// # Errors
    /// It is already set up.
    pub fn init(overrides: Overrides, log: Log) -> Result<Self, LogError> {
        let journal = sink::stderr_is_journal();
        let (logging, subscriber) = Self::build(overrides, log, std::io::stderr(), journal);
        tracing::subscriber::set_global_default(subscriber)?;
        logging.log_panics();
        Ok(logging)
    }

    /// The same for any writer, without installing it. With `journal`, lines begin with the priority
    /// that systemd's journal understands (`<4>`) and takes off, and text leaves the time to it.
    pub fn build<W: Write + Send + 'static>(
        overrides: Overrides,
        log: Log,
        writer: W,
        journal: bool,
    ) -> (Self, impl Subscriber + Send + Sync + 'static) {
        let json = Arc::new(AtomicBool::new(false));
        let (sink, non_blocking) = Sink::start(writer, Arc::clone(&json), journal);
        let (filter, level) = reload::Layer::new(targets(LogLevel::Info));
        let format = Switch {
            json: Arc::clone(&json),
            journal,
            as_json: Format::default().json().with_current_span(false).with_span_list(false),
        };
        let lines = LineMaker::new(non_blocking, Arc::clone(&sink), Arc::clone(&json), journal);
        let layer = tracing_subscriber::fmt::layer().event_format(format).with_ansi(false).with_writer(lines);
        let logging = Self { overrides, level, json, sink };
        logging.apply(&log);
        (logging, tracing_subscriber::registry().with(filter).with(layer))
    }

    /// Takes over `[log]` of a configuration file, as far as the command line did not decide.
    /// A level set by [`Self::set_level`] ends here.
    pub fn apply(&self, log: &Log) {
        self.json.store(self.overrides.format.unwrap_or(log.format) == LogFormat::Json, Ordering::Relaxed);
        self.set_level(self.overrides.level.unwrap_or(log.level));
    }

    /// Sets the level until the next reload or restart (`havipctl log-level`).
    pub fn set_level(&self, level: LogLevel) {
        // Fails only when the subscriber is gone, and then there is nothing left to filter.
        let _ = self.level.reload(targets(level));
    }

    /// Lines lost since the start, because nobody read the log fast enough.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.sink.dropped()
    }

    /// Waits until everything logged so far is written, and every loss reported, but not longer than `patience`.
    /// Says whether it was.
    #[must_use]
    pub fn flush(&self, patience: Duration) -> bool {
        self.sink.flush(patience)
    }

    /// The default panic message is written straight to stderr, and can hang there.
    fn log_panics(&self) {
        let sink = Arc::clone(&self.sink);
        std::panic::set_hook(Box::new(move |info| {
            let place = info.location().map(ToString::to_string).unwrap_or_default();
            let thread = std::thread::current();
            let text = info.payload_as_str().unwrap_or("no message");
            tracing::error!(thread = thread.name().unwrap_or("?"), place, "panicked: {text}");
            let _ = sink.flush(Duration::from_millis(200));
        }));
    }
}

/// Reads a level as an operator types it.
///
/// # Errors
/// [`LogError::Level`] with what was typed.
pub fn parse_level(text: &str) -> Result<LogLevel, LogError> {
    LogLevel::named(text).ok_or_else(|| LogError::Level(text.to_owned()))
}

/// A level on a command line.
#[must_use]
pub fn level_argument() -> impl TypedValueParser<Value = LogLevel> {
    PossibleValuesParser::new(LogLevel::NAMES).try_map(|word| parse_level(&word))
}

/// A format on a command line.
#[must_use]
pub fn format_argument() -> impl TypedValueParser<Value = LogFormat> {
    PossibleValuesParser::new(LogFormat::NAMES).map(|word| LogFormat::named(&word).unwrap_or(LogFormat::Text))
}

/// Our own level, and never more than `info` from libraries: what they say at `debug` can quote
/// headers, and those carry credentials.
fn targets(level: LogLevel) -> Targets {
    let (ours, libraries) = match level {
        LogLevel::Error => (LevelFilter::ERROR, LevelFilter::ERROR),
        LogLevel::Warn => (LevelFilter::WARN, LevelFilter::WARN),
        LogLevel::Info => (LevelFilter::INFO, LevelFilter::WARN),
        LogLevel::Debug => (LevelFilter::DEBUG, LevelFilter::INFO),
        LogLevel::Trace => (LevelFilter::TRACE, LevelFilter::INFO),
    };
    Targets::new().with_default(libraries).with_target("havipd", ours).with_target("havipctl", ours)
}

/// Text or JSON, decided for each line.
struct Switch {
    json: Arc<AtomicBool>,
    journal: bool,
    as_json: Format<Json>,
}

impl<S, N> FormatEvent<S, N> for Switch
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, ctx: &FmtContext<'_, S, N>, mut line: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        if self.json.load(Ordering::Relaxed) {
            return self.as_json.format_event(ctx, line, event);
        }
        if !self.journal {
            SystemTime.format_time(&mut line)?;
            line.write_char(' ')?;
        }
        write!(line, "{:>5} ", event.metadata().level())?;
        let target = event.metadata().target();
        if !target.starts_with("havipd") {
            write!(line, "{target}: ")?;
        }
        ctx.field_format().format_fields(line.by_ref(), event)?;
        writeln!(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use tracing::{debug, info, warn};

    const PATIENCE: Duration = Duration::from_secs(20);
    const LOG: Log = Log { level: LogLevel::Info, format: LogFormat::Text };

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Page {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().expect("not poisoned").clone()).expect("text")
        }
    }

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("not poisoned").extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(overrides: Overrides, journal: bool, talk: impl FnOnce(&Logging)) -> String {
        let page = Page::default();
        let (logging, subscriber) = Logging::build(overrides, LOG, page.clone(), journal);
        tracing::subscriber::with_default(subscriber, || talk(&logging));
        assert!(logging.flush(PATIENCE));
        page.text()
    }

    #[test]
    fn level_and_format_change_while_running() {
        let text = logged(Overrides::default(), false, |logging| {
            debug!("one");
            logging.set_level(LogLevel::Debug);
            debug!("two");
            logging.apply(&Log { level: LogLevel::Warn, format: LogFormat::Json });
            info!("three");
            warn!(group = "web", "four");
        });
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert!(lines[0].ends_with("DEBUG two"), "{text}");
        let json: serde_json::Value = serde_json::from_str(lines[1]).expect("JSON");
        assert_eq!(json["fields"]["message"], "four");
        assert_eq!(json["fields"]["group"], "web");
    }

    #[test]
    fn the_command_line_wins_over_the_file() {
        let overrides = Overrides { level: Some(LogLevel::Error), format: Some(LogFormat::Text) };
        let text = logged(overrides, false, |logging| {
            logging.apply(&Log { level: LogLevel::Trace, format: LogFormat::Json });
            warn!("hidden");
            tracing::error!("shown");
        });
        assert!(text.ends_with("ERROR shown\n") && !text.contains("hidden"), "{text}");
    }

    #[test]
    fn one_event_is_one_line_whatever_it_quotes() {
        let text = logged(Overrides::default(), true, |_| warn!("a\nb\x1b[31m {}", "x".repeat(100_000)));
        assert_eq!(text.lines().count(), 1, "{text:.200}");
        assert!(text.starts_with("<4> WARN a"), "{text:.200}");
        assert!(!text.contains('\x1b') && text.len() < 10_000);
    }

    #[test]
    fn an_error_is_logged_in_words() {
        let text = logged(Overrides::default(), false, |_| warn!("lost: {}", std::io::Error::from_raw_os_error(2)));
        assert!(text.ends_with("lost: No such file or directory\n"), "{text}");
    }

    #[test]
    fn json_for_the_journal_has_priorities_too() {
        let overrides = Overrides { format: Some(LogFormat::Json), level: Some(LogLevel::Debug) };
        let text = logged(overrides, true, |_| {
            tracing::error!("one");
            warn!("two");
            info!("three");
            debug!("four");
        });
        for (line, (prefix, word)) in
            text.lines().zip([("<3>", "one"), ("<4>", "two"), ("<6>", "three"), ("<7>", "four")])
        {
            let json = line.strip_prefix(prefix).unwrap_or_else(|| panic!("{prefix} is not before {line}"));
            let json: serde_json::Value = serde_json::from_str(json).expect("JSON");
            assert_eq!(json["fields"]["message"], word);
        }
        assert_eq!(text.lines().count(), 4, "{text}");
    }

    #[test]
    fn libraries_cannot_talk_about_headers() {
        let text = logged(Overrides::default(), false, |logging| {
            logging.set_level(LogLevel::Trace);
            tracing::debug!(target: "hyper::proto", "authorization: secret");
            tracing::trace!("ours");
        });
        assert!(text.contains("ours") && !text.contains("secret"), "{text}");
    }

    #[test]
    fn levels_are_read_and_refused() {
        assert_eq!(parse_level("Debug").ok(), Some(LogLevel::Debug));
        assert_eq!(
            parse_level("loud").expect_err("not a level").to_string(),
            "\"loud\" is not a log level: use error, warn, info, debug or trace"
        );
    }
}

//! keepalived's `vrrp_notify_fifo`, read for ever: it may not be there yet, end, or be made anew.

use havipd_core::model::vrrp::{Lines, Notice};
use std::collections::VecDeque;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::unix::pipe::{OpenOptions, Receiver};
use tokio::time::{sleep, timeout};

/// Time between two attempts to open it.
const RETRY: Duration = Duration::from_millis(250);
/// How often it is looked whether the name leads to another FIFO now.
const LOOK: Duration = Duration::from_secs(1);
/// Read at a time; what is left is read next.
const CHUNK: usize = 16 * 1024;

/// The reading end.
#[derive(Debug)]
pub(super) struct Fifo {
    path: PathBuf,
    open: Option<Open>,
    lines: Lines,
    /// The last trouble that was told of.
    said: String,
    /// After the end: open it again at once, so that nothing gets lost, but not in a circle.
    rest: bool,
}

#[derive(Debug)]
struct Open {
    receiver: Receiver,
    id: (u64, u64),
}

impl Fifo {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), open: None, lines: Lines::default(), said: String::new(), rest: false }
    }

    /// The next lines that say something, in order; at least one. May be dropped while it waits.
    pub(super) async fn next(&mut self) -> Vec<Notice> {
        loop {
            if std::mem::take(&mut self.rest) {
                sleep(RETRY).await;
            }
            let Some(open) = &self.open else {
                match open(&self.path) {
                    Ok(open) => {
                        self.said.clear();
                        self.open = Some(open);
                    }
                    Err(error) => {
                        self.complain(&error);
                        self.rest = true;
                    }
                }
                continue;
            };
            match timeout(LOOK, open.receiver.readable()).await {
                Err(_) if id(&self.path).ok() != Some(open.id) => self.close(),
                Err(_) => {}
                Ok(ready) => {
                    let notices = ready.and_then(|()| self.read()).unwrap_or_else(|error| {
                        self.complain(&error);
                        self.close();
                        Vec::new()
                    });
                    if !notices.is_empty() {
                        return notices;
                    }
                }
            }
        }
    }

    /// What is there now, without waiting.
    pub(super) fn drain(&mut self) -> Vec<Notice> {
        let mut all = Vec::new();
        while let Ok(more) = self.read()
            && !more.is_empty()
        {
            all.extend(more);
        }
        all
    }

    /// One read. An empty answer: nothing there, nothing of interest, or the end.
    fn read(&mut self) -> io::Result<Vec<Notice>> {
        let Some(open) = &self.open else { return Ok(Vec::new()) };
        let mut chunk = [0; CHUNK];
        match open.receiver.try_read(&mut chunk) {
            // keepalived has closed it: it ends, or begins again.
            Ok(0) => {
                self.close();
                Ok(Vec::new())
            }
            Ok(n) => Ok(self.understand(&chunk[..n])),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(Vec::new()),
            Err(e) => Err(e),
        }
    }

    fn understand(&mut self, bytes: &[u8]) -> Vec<Notice> {
        let mut notices = VecDeque::new();
        for line in self.lines.push(bytes) {
            match line.as_deref().map(Notice::from_line) {
                Some(Ok(notice)) => notices.push_back(notice),
                Some(Err(why)) => tracing::debug!("{}: a line says nothing to us: {why}", self.path.display()),
                None => tracing::debug!("{}: a line is too long", self.path.display()),
            }
        }
        notices.into()
    }

    fn close(&mut self) {
        if self.lines.ended() {
            tracing::debug!("{}: half a line at its end", self.path.display());
        }
        self.open = None;
        self.rest = true;
    }

    fn complain(&mut self, error: &io::Error) {
        let said = match error.kind() {
            // keepalived makes it when it starts.
            io::ErrorKind::NotFound => String::new(),
            io::ErrorKind::PermissionDenied => {
                format!(
                    "{error}; in keepalived.conf give it to us: vrrp_notify_fifo {} havipd havipd",
                    self.path.display()
                )
            }
            _ => error.to_string(),
        };
        if !said.is_empty() && said != self.said {
            tracing::warn!("cannot read keepalived's FIFO {}: {said}", self.path.display());
        }
        self.said = said;
    }
}

fn open(path: &Path) -> io::Result<Open> {
    let receiver = OpenOptions::new().open_receiver(path)?;
    Ok(Open { receiver, id: id(path)? })
}

fn id(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = std::fs::metadata(path)?;
    if !metadata.file_type().is_fifo() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a FIFO"));
    }
    Ok((metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use havipd_core::model::vrrp::{State, Word};
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    use std::fs::File;
    use std::io::Write as _;

    fn make(path: &Path) {
        mknodat(CWD, path, FileType::Fifo, Mode::from(0o600), 0).expect("a FIFO");
    }

    /// As keepalived opens it.
    fn writer(path: &Path) -> File {
        std::fs::OpenOptions::new().read(true).write(true).open(path).expect("open")
    }

    async fn words(fifo: &mut Fifo) -> Vec<Word> {
        let notices = timeout(Duration::from_secs(30), fifo.next()).await.expect("lines");
        notices.iter().map(|n| n.word).collect()
    }

    const MASTER: &[u8] = b"INSTANCE \"VI_1\" MASTER 150\n";
    const BACKUP: &[u8] = b"INSTANCE \"VI_1\" BACKUP 150\n";

    #[tokio::test]
    async fn lines_that_waited_half_lines_an_end_and_a_new_one() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("fifo");
        make(&path);
        let mut keepalived = writer(&path);
        keepalived.write_all(b"VS x UP\n").expect("written");
        keepalived.write_all(MASTER).expect("written");
        keepalived.write_all(&BACKUP[..12]).expect("written");
        let mut fifo = Fifo::new(&path);
        assert_eq!(words(&mut fifo).await, [Word::Is(State::Master)], "written before anybody read");
        keepalived.write_all(&BACKUP[12..]).expect("written");
        keepalived.write_all(MASTER).expect("written");
        let mut read = words(&mut fifo).await;
        if read.len() == 1 {
            read.extend(words(&mut fifo).await);
        }
        assert_eq!(read, [Word::Is(State::Backup), Word::Is(State::Master)]);
        // Half a line, the end, and keepalived begins again.
        keepalived.write_all(&MASTER[..20]).expect("written");
        drop(keepalived);
        let nothing = timeout(Duration::from_millis(50), fifo.next()).await;
        assert!(nothing.is_err(), "{nothing:?}");
        writer(&path).write_all(BACKUP).expect("written");
        // Whether the line came before the end was seen or after: what was written while nobody had it open is lost.
        let mut keepalived = writer(&path);
        keepalived.write_all(BACKUP).expect("written");
        assert_eq!(words(&mut fifo).await.last(), Some(&Word::Is(State::Backup)));
        // Made anew under the same name, while the old one still has a writer.
        std::fs::remove_file(&path).expect("removed");
        make(&path);
        let mut anew = writer(&path);
        anew.write_all(MASTER).expect("written");
        assert_eq!(words(&mut fifo).await, [Word::Is(State::Master)]);
        drop(keepalived);
    }

    #[tokio::test]
    async fn one_that_is_not_there_yet() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("fifo");
        let mut fifo = Fifo::new(&path);
        assert!(timeout(Duration::from_millis(10), fifo.next()).await.is_err());
        std::fs::write(&path, "INSTANCE \"VI_1\" MASTER 1\n").expect("written");
        assert!(timeout(RETRY * 2, fifo.next()).await.is_err(), "a file is no FIFO");
        std::fs::remove_file(&path).expect("removed");
        make(&path);
        let mut keepalived = writer(&path);
        keepalived.write_all(MASTER).expect("written");
        assert_eq!(words(&mut fifo).await, [Word::Is(State::Master)]);
    }
}

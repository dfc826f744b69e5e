//! Standard output, written by a thread of its own: a reader that does not read, or a terminal that stands still, keeps
//! nobody waiting who has a signal to obey.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::thread;
use tokio::sync::{mpsc, oneshot};

/// Pieces of text that wait to be written.
const PIECES: usize = 16;

/// Where the sandbox prints.
#[derive(Debug)]
pub struct Output {
    pieces: mpsc::Sender<Vec<u8>>,
    /// How the thread ended.
    ended: oneshot::Receiver<io::Error>,
}

impl Output {
    /// Standard output.
    ///
    /// # Errors
    /// No descriptor or no thread can be had.
    pub fn stdout() -> io::Result<Self> {
        let mut file = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        let (pieces, mut waiting) = mpsc::channel::<Vec<u8>>(PIECES);
        let (end, ended) = oneshot::channel();
        thread::Builder::new().name("output".to_owned()).spawn(move || {
            while let Some(piece) = waiting.blocking_recv() {
                if let Err(error) = file.write_all(&piece) {
                    // Told before the channel closes: a reader that finds it closed also finds why.
                    let _ = end.send(error);
                    return;
                }
            }
        })?;
        Ok(Self { pieces, ended })
    }

    /// Writes, after what is written already. Can be given up at any time: then it is written whole or not at all.
    ///
    /// # Errors
    /// Nobody reads it, or there is no room for it.
    pub async fn write(&mut self, piece: Vec<u8>) -> io::Result<()> {
        match self.pieces.send(piece).await {
            Ok(()) => Ok(()),
            Err(_) => Err(self.why()),
        }
    }

    /// Writes unless others wait to be written: for pictures, of which the next one will do.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub fn offer(&mut self, piece: Vec<u8>) -> io::Result<()> {
        match self.pieces.try_send(piece) {
            Ok(()) | Err(mpsc::error::TrySendError::Full(_)) => Ok(()),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(self.why()),
        }
    }

    fn why(&mut self) -> io::Error {
        self.ended.try_recv().unwrap_or_else(|_| io::ErrorKind::BrokenPipe.into())
    }

    /// Waits until everything is written.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub async fn finish(self) -> io::Result<()> {
        let Self { pieces, ended } = self;
        drop(pieces);
        // Without an error the thread drops its end.
        ended.await.map_or(Ok(()), Err)
    }
}

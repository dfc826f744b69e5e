//! The keys of a terminal in raw mode, out of the bytes that it sends.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::io;
use std::os::fd::AsFd as _;
use std::thread;
use tokio::sync::mpsc;

/// Keys that wait.
const KEYS: usize = 32;
/// How long the rest of a sequence may take after its Escape: a slow line may bring them apart.
const REST: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
const ESCAPE: u8 = 0x1b;

/// A key that means something here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Char(char),
    Up,
    Down,
    Escape,
    /// Ctrl-C, or Ctrl-D for the end of input.
    End,
}

/// Keys as they are pressed, from a thread of its own; closed once standard input is at its end.
pub(super) fn start() -> io::Result<mpsc::Receiver<Key>> {
    let (sender, receiver) = mpsc::channel(KEYS);
    // It waits for a key when this process ends: nobody joins it.
    thread::Builder::new().name("keys".to_owned()).spawn(move || {
        while let Ok(bytes) = read() {
            if bytes.is_empty() || keys(&bytes).into_iter().any(|key| sender.blocking_send(key).is_err()) {
                return;
            }
        }
    })?;
    Ok(receiver)
}

/// What was typed, sequences in one piece; nothing at the end.
fn read() -> io::Result<Vec<u8>> {
    let stdin = io::stdin();
    let mut bytes = Vec::new();
    let mut buffer = [0; 256];
    loop {
        let length = match rustix::io::read(&stdin, &mut buffer) {
            Err(Errno::INTR) => continue,
            other => other?,
        };
        bytes.extend_from_slice(&buffer[..length]);
        let mut fds = [PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::IN)];
        if length == 0 || !is_partial(&bytes) || poll(&mut fds, Some(&REST)).unwrap_or(0) == 0 {
            return Ok(bytes);
        }
    }
}

/// Whether the last sequence may go on.
fn is_partial(bytes: &[u8]) -> bool {
    let Some(at) = bytes.iter().rposition(|&byte| byte == ESCAPE) else { return false };
    match &bytes[at + 1..] {
        [] | [b'O' | b'['] => true,
        [b'[', rest @ ..] => !rest.iter().any(|byte| (0x40..=0x7e).contains(byte)),
        _ => false,
    }
}

fn keys(bytes: &[u8]) -> Vec<Key> {
    let mut found = Vec::new();
    let mut rest = bytes;
    while let [first, after @ ..] = rest {
        rest = after;
        match (*first, after) {
            (ESCAPE, []) => found.push(Key::Escape),
            (ESCAPE, [b'[' | b'O', sequence @ ..]) => {
                let length =
                    sequence.iter().position(|byte| (0x40..=0x7e).contains(byte)).map_or(sequence.len(), |at| at + 1);
                match &sequence[..length] {
                    [b'A'] => found.push(Key::Up),
                    [b'B'] => found.push(Key::Down),
                    _ => {}
                }
                rest = &sequence[length..];
            }
            (ESCAPE, [ESCAPE, ..]) => found.push(Key::Escape),
            // A key together with Alt.
            (ESCAPE, [_, others @ ..]) => rest = others,
            (0x03 | 0x04, _) => found.push(Key::End),
            (0x20..=0x7e, _) => found.push(Key::Char(char::from(*first))),
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_out_of_what_a_terminal_sends() {
        use Key::{Char, Down, End, Escape, Up};
        for (bytes, expected) in [
            (&b"1kP"[..], vec![Char('1'), Char('k'), Char('P')]),
            (b"\x1b[A\x1b[B\x1bOA\x1bOBq", vec![Up, Down, Up, Down, Char('q')]),
            (b"\x1b", vec![Escape]),
            (b"\x1b\x1b", vec![Escape, Escape]),
            (b"\x03\x04", vec![End, End]),
            // Neither other sequences nor Alt nor letters beyond ASCII are taken apart.
            (b"\x1b[15~k\x1b[1;5Ak\x1bqk\xc3\xa9k", vec![Char('k'); 4]),
            (b"\x1b[20", vec![]),
        ] {
            assert_eq!(keys(bytes), expected, "{bytes:?}");
        }
    }

    #[test]
    fn a_sequence_that_comes_in_two_pieces_is_one_key() {
        for bytes in [&b"\x1b"[..], b"k\x1b[", b"\x1bO", b"\x1b[1;5"] {
            assert!(is_partial(bytes), "{bytes:?}");
        }
        for bytes in [&b""[..], b"k", b"\x1b[A", b"\x1bq", b"\x1b[15~"] {
            assert!(!is_partial(bytes), "{bytes:?}");
        }
    }
}

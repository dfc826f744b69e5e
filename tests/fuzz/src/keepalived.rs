//! keepalived's FIFO: the first byte says into how long pieces the rest is cut, as reads may come.
//!
//! No bytes bring the parser down, how they are cut changes nothing, what is understood says the same when it is
//! written again, and a line that follows anything at all is read as if it stood alone.

use havipd_core::model::vrrp::{Lines, MAX_LINE, Notice, Vrrp};

const NEXT: &str = "INSTANCE \"VI_1\" BACKUP 100";

fn read(bytes: &[u8], piece: usize) -> Vec<Option<Vec<u8>>> {
    let mut lines = Lines::default();
    let read = bytes.chunks(piece).flat_map(|piece| lines.push(piece)).collect();
    lines.ended();
    assert!(!lines.ended(), "the end is the end");
    read
}

/// The body.
pub fn run(data: &[u8]) {
    let Some((piece, bytes)) = data.split_first() else { return };
    let lines = read(bytes, usize::from(*piece).max(1));
    assert_eq!(lines, read(bytes, usize::MAX), "how it is cut changes nothing");
    for line in lines.iter().flatten() {
        assert!(line.len() <= MAX_LINE && !line.contains(&b'\n'));
        if let Ok(notice) = Notice::from_line(line) {
            assert_eq!(Notice::from_line(notice.line().as_bytes()).as_ref(), Ok(&notice));
            // An instance whose name begins so is a sync group in our file, or, with nothing after it, no name at all.
            if !notice.vrrp.name.starts_with("GROUP:") {
                let configured: Vrrp = notice.vrrp.to_string().parse().expect("a name of keepalived's is one of ours");
                assert_eq!(configured, notice.vrrp);
            }
        }
    }
    let mut ended = bytes.to_vec();
    ended.extend_from_slice(b"\n");
    ended.extend_from_slice(NEXT.as_bytes());
    ended.push(b'\n');
    let last = read(&ended, usize::MAX).pop().flatten().expect("a line");
    assert_eq!(Notice::from_line(&last).expect("a notice").line(), NEXT);
    // Cut off in its middle, and the next one follows.
    if let Some(line) = lines.iter().flatten().next_back().filter(|l| l.len() + NEXT.len() <= MAX_LINE) {
        let both = [line.as_slice(), NEXT.as_bytes()].concat();
        if std::str::from_utf8(line).is_ok() {
            let _ = Notice::from_line(&both).map(|n| assert!(!n.vrrp.name.contains('"')));
        }
    }
}

//! The files of the history: appended to, bounded, and read from the end.
//!
//! Half of the bound belongs to each of two files. The newest entries are in [`FILE`]; before it would grow beyond
//! its half it becomes [`OLD_FILE`], whose place it takes. Everything that takes something away is one rename, so
//! that neither a crash nor a reader ever finds half of it.

use super::{Entry, Late, Line, Step};
use serde::Serialize;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

/// The file in the state directory.
pub const FILE: &str = "history.jsonl";
/// Where it goes when it is full.
pub const OLD_FILE: &str = "history.old.jsonl";
/// The newest entries that are ever shown at once.
pub const MOST_SHOWN: usize = 500;
/// What becomes of the old file when the bound is lowered, until it takes its place.
const CUT_FILE: &str = "history.cut.jsonl";
/// The newest bytes that are looked through for them; what is older is there for other tools.
const MOST_SOUGHT: u64 = 64 << 20;
/// Read at once, bytes.
const BLOCK: u64 = 256 << 10;
/// No line of ours is longer, bytes.
const LONGEST: usize = 1 << 20;

/// Adds a line, and keeps both files together within `most` bytes.
pub(super) fn append(directory: &Path, entry: &impl Serialize, most: u64) -> io::Result<()> {
    let path = directory.join(FILE);
    let mut line = serde_json::to_vec(entry)?;
    line.push(b'\n');
    let mut file = open(&path)?;
    let mut size = file.seek(SeekFrom::End(0))?;
    // A line that was cut short must not swallow this one.
    if size > 0 {
        let mut last = [0];
        file.read_exact_at(&mut last, size - 1)?;
        if last != *b"\n" {
            line.insert(0, b'\n');
        }
    }
    if size > 0 && size + line.len() as u64 > most / 2 {
        std::fs::rename(&path, directory.join(OLD_FILE))?;
        file = open(&path)?;
        size = 0;
    }
    if size == 0 && line.first() == Some(&b'\n') {
        line.remove(0);
    }
    file.write_all(&line)
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).append(true).create(true).mode(0o640).open(path)
}

/// Brings what is there within a bound that may be lower than the one it was written under: the oldest lines go.
pub(super) fn fit(directory: &Path, most: u64) -> io::Result<()> {
    let (path, old, cut) = (directory.join(FILE), directory.join(OLD_FILE), directory.join(CUT_FILE));
    // Left by a crash.
    absent_is_fine(std::fs::remove_file(&cut))?;
    if length(&path)? > most / 2 {
        std::fs::rename(&path, &old)?;
    }
    let size = length(&old)?;
    if size <= most / 2 {
        return Ok(());
    }
    let mut from = File::open(&old)?;
    from.seek(SeekFrom::Start(line_at(&from, size - most / 2, size)?))?;
    let to = OpenOptions::new().write(true).create_new(true).mode(0o640).open(&cut)?;
    let mut to = BufWriter::new(to);
    io::copy(&mut from, &mut to)?;
    // The name may reach the disk before the content: then a loss of power would take all of it.
    to.into_inner().map_err(io::IntoInnerError::into_error)?.sync_data()?;
    std::fs::rename(&cut, &old)
}

fn length(path: &Path) -> io::Result<u64> {
    match std::fs::metadata(path) {
        Ok(found) => Ok(found.len()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}

fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Where the first line begins that begins at `at` or later; `end` if none does.
fn line_at(file: &File, at: u64, end: u64) -> io::Result<u64> {
    let mut block = vec![0; 4096];
    // The byte before tells whether a line begins right there.
    let mut seen = at.saturating_sub(1);
    while at > 0 && seen < end {
        let read = file.read_at(&mut block, seen)?;
        if read == 0 {
            return Ok(end);
        }
        if let Some(found) = block[..read].iter().position(|b| *b == b'\n') {
            return Ok(seen + found as u64 + 1);
        }
        seen += read as u64;
    }
    Ok(seen)
}

/// The newest entries, oldest first, of one group or of all; at most [`MOST_SHOWN`]. Blocks as long as the
/// disk does.
///
/// # Errors
/// A file that is there cannot be read.
pub fn read(directory: &Path, group: Option<&str>) -> io::Result<Vec<Entry>> {
    let mut found = Found { group, entries: Vec::new(), late: Vec::new() };
    let mut left = MOST_SOUGHT;
    for file in both(directory)?.into_iter().flatten() {
        left = backwards(&file, left, &mut |line| found.take(line))?;
    }
    found.entries.reverse();
    Ok(found.entries)
}

/// The newer and the older file, as they are at one moment.
fn both(directory: &Path) -> io::Result<[Option<File>; 2]> {
    let open = |name| match File::open(directory.join(name)) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    };
    let [new, old] = [open(FILE)?, open(OLD_FILE)?];
    let inode = |file: &Option<File>| file.as_ref().map(|f| f.metadata().map(|m| m.ino())).transpose();
    // The one became the other in between: then it is all there is but for what came since.
    if new.is_some() && inode(&new)? == inode(&old)? { Ok([open(FILE)?, old]) } else { Ok([new, old]) }
}

/// What is kept of the lines, newest first.
struct Found<'g> {
    group: Option<&'g str>,
    entries: Vec<Entry>,
    /// Steps whose move comes further back.
    late: Vec<Late>,
}

impl Found<'_> {
    /// One line further back. `false`: enough.
    fn take(&mut self, line: &[u8]) -> bool {
        match serde_json::from_slice(line) {
            Ok(Line::Entry(mut entry)) if self.group.is_none_or(|g| g == entry.group) => {
                if entry.to == "active" {
                    let its = |l: &mut Late| l.group == entry.group && l.epoch == entry.epoch;
                    let mut late: Vec<Step> = self.late.extract_if(.., its).map(|l| l.late).collect();
                    late.reverse();
                    entry.steps.append(&mut late);
                    entry.steps.sort_by(|a, b| a.ms.total_cmp(&b.ms));
                }
                self.entries.push(entry);
            }
            Ok(Line::Late(late)) if self.group.is_none_or(|g| g == late.group) => self.late.push(late),
            _ => {}
        }
        self.entries.len() < MOST_SHOWN
    }
}

/// Shows every line, the last one first, until `take` has enough or `left` bytes are read; gives what is left of them.
fn backwards(file: &File, mut left: u64, take: &mut impl FnMut(&[u8]) -> bool) -> io::Result<u64> {
    let mut end = file.metadata()?.len();
    // The beginning of it is in a block that is not read yet.
    let mut tail: Vec<u8> = Vec::new();
    while end > 0 {
        let begin = end.saturating_sub(BLOCK.min(left));
        if begin == end {
            return Ok(0);
        }
        let mut block = vec![0; usize::try_from(end - begin).expect("a block fits into memory")];
        file.read_exact_at(&mut block, begin)?;
        left -= end - begin;
        end = begin;
        block.append(&mut tail);
        let whole = match block.iter().position(|b| *b == b'\n') {
            Some(first) if begin > 0 => first + 1,
            _ if begin == 0 => 0,
            // Not even one end of a line. Whatever wrote that, it is not ours.
            _ => block.len(),
        };
        for line in block[whole..].split(|b| *b == b'\n').rev().filter(|line| !line.is_empty()) {
            if !take(line) {
                return Ok(0);
            }
        }
        block.truncate(whole.min(LONGEST));
        tail = block;
    }
    Ok(left)
}

#[cfg(test)]
mod tests {
    use super::super::tests::entry;
    use super::*;
    use havipd_core::model::ids::GroupName;

    const MOST: u64 = 16 << 20;

    fn epochs(directory: &Path, group: Option<&str>) -> Vec<u64> {
        read(directory, group).expect("readable").iter().map(|e| e.epoch).collect()
    }

    fn size(directory: &Path) -> u64 {
        let names = std::fs::read_dir(directory).expect("a directory");
        names.map(|e| e.expect("an entry").metadata().expect("there").len()).sum()
    }

    /// The epochs up to `last` without a gap, and no fewer than `least` of them.
    #[track_caller]
    fn newest(directory: &Path, last: u64, least: usize) {
        let kept = epochs(directory, None);
        assert_eq!(kept.last(), Some(&last));
        assert!(kept.len() >= least && kept.windows(2).all(|w| w[1] == w[0] + 1), "{kept:?}");
    }

    /// Every byte of both files belongs to a whole line.
    #[track_caller]
    fn whole(directory: &Path) {
        for name in [OLD_FILE, FILE] {
            let text = std::fs::read_to_string(directory.join(name)).unwrap_or_default();
            assert!(text.is_empty() || text.ends_with('\n'), "{name} ends within a line");
            for line in text.lines() {
                serde_json::from_str::<Line>(line).unwrap_or_else(|e| panic!("{name}: {e}: {line}"));
            }
        }
    }

    #[test]
    fn entries_come_back_as_they_were_written() {
        let directory = tempfile::tempdir().expect("a directory");
        assert_eq!(read(directory.path(), None).expect("an empty history"), []);
        (1..=5).for_each(|n| append(directory.path(), &entry(n), MOST).expect("appended"));
        assert_eq!(read(directory.path(), Some("odd")).expect("readable"), [entry(1), entry(3), entry(5)]);
        assert_eq!(epochs(directory.path(), None), [1, 2, 3, 4, 5]);
    }

    #[test]
    fn a_step_that_comes_late_is_part_of_its_move() {
        let directory = tempfile::tempdir().expect("a directory");
        let name: GroupName = "odd".parse().expect("a name");
        let active = || Entry { to: "active".into(), ..entry(1) };
        append(directory.path(), &active(), MOST).expect("appended");
        append(directory.path(), &active(), MOST).expect("appended");
        append(directory.path(), &entry(3), MOST).expect("appended");
        let late =
            [(1, 7.5, "hooks done"), (1, 7.5, "then"), (1, 2.0, "sooner"), (3, 1.0, "no move"), (9, 1.0, "none")];
        for (epoch, ms, what) in late {
            let line = Line::Late(Late::new(&name, epoch, ms, what.to_owned()));
            append(directory.path(), &line, MOST).expect("appended");
        }
        let read = read(directory.path(), Some("odd")).expect("readable");
        let steps = |e: &Entry| e.steps.iter().map(|s| s.what.clone()).collect::<Vec<_>>();
        assert_eq!(read.iter().map(|e| e.steps.len()).collect::<Vec<_>>(), [1, 4, 1], "the newest one");
        assert_eq!(steps(&read[1])[1..], ["sooner", "hooks done", "then"]);
    }

    #[test]
    fn a_torn_line_costs_only_itself() {
        let directory = tempfile::tempdir().expect("a directory");
        append(directory.path(), &entry(1), MOST).expect("appended");
        append(directory.path(), &entry(2), MOST).expect("appended");
        let path = directory.path().join(FILE);
        let length = std::fs::metadata(&path).expect("there").len();
        OpenOptions::new().write(true).open(&path).expect("opened").set_len(length - 20).expect("cut");
        assert_eq!(epochs(directory.path(), None), [1]);
        append(directory.path(), &entry(3), MOST).expect("appended");
        assert_eq!(epochs(directory.path(), None), [1, 3]);
    }

    #[test]
    fn it_never_grows_beyond_its_bound() {
        let directory = tempfile::tempdir().expect("a directory");
        for n in 1..=60 {
            append(directory.path(), &entry(n), 4_000).expect("appended");
            assert!(size(directory.path()) <= 4_000, "{} after {n}", size(directory.path()));
        }
        newest(directory.path(), 60, 7);
        whole(directory.path());
    }

    #[test]
    fn a_lower_bound_takes_the_oldest_only_wherever_it_falls() {
        for most in 1_500..1_900 {
            let directory = tempfile::tempdir().expect("a directory");
            (1..=30).for_each(|n| append(directory.path(), &entry(n), 9_000).expect("appended"));
            fit(directory.path(), most).expect("cut");
            assert!(size(directory.path()) <= most, "{} of {most}", size(directory.path()));
            newest(directory.path(), 30, 2);
            whole(directory.path());
            append(directory.path(), &entry(31), most).expect("appended");
            newest(directory.path(), 31, 2);
            assert!(size(directory.path()) <= most, "{} of {most}", size(directory.path()));
        }
    }

    #[test]
    fn a_bound_that_is_not_lower_takes_nothing() {
        let directory = tempfile::tempdir().expect("a directory");
        fit(directory.path(), 4_000).expect("nothing there");
        (1..=60).for_each(|n| append(directory.path(), &entry(n), 4_000).expect("appended"));
        let before = epochs(directory.path(), None);
        std::fs::write(directory.path().join(CUT_FILE), "left by a crash").expect("written");
        for most in [4_000, 8_000] {
            fit(directory.path(), most).expect("fits");
            assert_eq!(epochs(directory.path(), None), before);
        }
        assert!(!directory.path().join(CUT_FILE).exists());
    }

    #[test]
    fn what_cannot_be_cut_stays_as_it_was() {
        let directory = tempfile::tempdir().expect("a directory");
        (1..=30).for_each(|n| append(directory.path(), &entry(n), 60_000).expect("appended"));
        std::fs::create_dir(directory.path().join(CUT_FILE)).expect("in the way");
        fit(directory.path(), 2_000).expect_err("no place for what stays");
        newest(directory.path(), 30, 30);
    }

    #[test]
    fn the_newest_of_many_are_found_block_by_block() {
        let directory = tempfile::tempdir().expect("a directory");
        let many = 3_000;
        (1..=many).for_each(|n| append(directory.path(), &entry(n), MOST).expect("appended"));
        assert!(size(directory.path()) > 2 * BLOCK, "more than two blocks");
        assert_eq!(epochs(directory.path(), None), (many - MOST_SHOWN as u64 + 1..=many).collect::<Vec<_>>());
        let odd = epochs(directory.path(), Some("odd"));
        assert_eq!((odd.len(), odd.first(), odd.last()), (MOST_SHOWN, Some(&2_001), Some(&2_999)));
        // A group that was quiet for long.
        let first = Entry { group: "first".into(), ..entry(1) };
        let rest: Vec<u8> = std::fs::read(directory.path().join(FILE)).expect("read");
        let text = [serde_json::to_vec(&first).expect("JSON"), b"\n".to_vec(), rest].concat();
        std::fs::write(directory.path().join(FILE), text).expect("written");
        assert_eq!(read(directory.path(), Some("first")).expect("readable"), [first]);
    }
}

//! The ledger of long runs, docs/simulation-ledger.md, is what tests/simulation-ledger writes: rows that
//! follow each other without a gap, and figures that add up.

use std::path::Path;

/// One row: seeds from, up to, and violations.
fn row(line: &str) -> Option<(u64, u64, u64)> {
    let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
    let [_, _, seeds, _, violations, _, _] = cells[..] else { return None };
    let (from, to) = seeds.split_once("..")?;
    Some((from.parse().ok()?, to.parse().ok()?, violations.split(' ').next()?.parse().ok()?))
}

#[test]
fn rows_follow_each_other() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/simulation-ledger.md");
    if !Path::new(path).exists() {
        return;
    }
    let text = std::fs::read_to_string(path).expect("a readable ledger");
    let rows: Vec<_> = text.lines().filter(|l| l.starts_with('|')).skip(2).map(|l| row(l).expect(l)).collect();
    let mut next = rows.first().map_or(0, |r| r.0);
    for (from, to, _) in &rows {
        assert_eq!(*from, next, "seeds are played once each, in order");
        assert!(to > from, "{from}..{to}");
        next = *to;
    }
    let played: u64 = rows.iter().map(|(from, to, _)| to - from).sum();
    assert!(text.contains(&format!("{played} seeds in all")), "the sum is {played}");
}

//! docs/failure-matrix.md is what tests/failure-matrix wrote, of the rows that there are now.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn rows() -> Vec<toml::Table> {
    let table: toml::Table = toml::from_str(&read("tests/data/failure-matrix.toml")).expect("TOML");
    let rows = table["row"].as_array().expect("rows");
    rows.iter().map(|row| row.as_table().expect("a table").clone()).collect()
}

fn list<'a>(row: &'a toml::Table, key: &str) -> Vec<&'a str> {
    row.get(key).and_then(|v| v.as_array()).into_iter().flatten().filter_map(|v| v.as_str()).collect()
}

fn sources(dir: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("a directory").flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|e| e == "rs") {
            into.push(path);
        }
    }
}

/// Whether the binary of a case has a test of that name in a module of that name.
fn exists(case: &str) -> bool {
    let parts: Vec<&str> = case.split("::").collect();
    let (Some(binary), Some(name)) = (parts.first(), parts.last()) else { return false };
    let mut files = vec![];
    for package in ["", "crates/core", "crates/lab"].map(|name| root().join(name)) {
        let tests = package.join("tests");
        match *binary {
            "lib" => sources(&package.join("src"), &mut files),
            binary if tests.join(binary).is_dir() => sources(&tests.join(binary), &mut files),
            binary => files.extend(Some(tests.join(format!("{binary}.rs"))).filter(|path| path.is_file())),
        }
    }
    // The module is a file, or `tests` at the end of one.
    let module = parts[1..parts.len() - 1].iter().rev().find(|m| **m != "tests").copied();
    let right = |path: &PathBuf| module.is_none_or(|m| path.file_stem().is_some_and(|stem| stem == m));
    // A case of the liveness suite has its name in words.
    let words = [format!("fn {name}("), format!("(\"{}\",", name.replace('_', " "))];
    let named = |path: PathBuf| fs::read_to_string(path).is_ok_and(|text| words.iter().any(|w| text.contains(w)));
    files.into_iter().filter(right).any(named)
}

#[test]
fn every_case_exists() {
    for row in rows() {
        let fault = row["fault"].as_str().expect("fault");
        let (cases, lab) = (list(&row, "cases"), list(&row, "lab"));
        let played = !cases.is_empty() || !lab.is_empty();
        assert!(played || row.contains_key("missing"), "{fault}: neither cases nor what is missing");
        for case in cases {
            assert!(exists(case), "{fault}: there is no test {case}");
        }
        let mut files = vec![];
        sources(&root().join("tests/netns/cases"), &mut files);
        let all: String = files.iter().map(|f| fs::read_to_string(f).expect("readable")).collect();
        for name in lab {
            assert!(all.contains(&format!("\"{name}\"")), "{fault}: the lab has no case {name:?}");
        }
    }
}

#[test]
fn the_document_has_the_rows_that_there_are() {
    let document = read("docs/failure-matrix.md");
    let written: Vec<&str> = document.lines().filter(|l| l.starts_with("| ")).skip(1).collect();
    let rows = rows();
    assert_eq!(written.len(), rows.len(), "stale: tests/failure-matrix --write");
    for ((row, line), number) in rows.iter().zip(written).zip(1..) {
        let (fault, passes) = (row["fault"].as_str().expect("fault"), row["passes"].as_str().expect("passes"));
        let cases: Vec<String> = list(row, "cases").iter().map(|case| format!("`{case}`")).collect();
        let by = if cases.is_empty() { "–".to_owned() } else { cases.join("<br>") };
        let begin = format!("| {number} | {fault} | {passes} | {by} | ");
        assert!(line.starts_with(&begin), "stale, run tests/failure-matrix --write:\n{line}\n{begin}");
        assert!(!line.contains("FAILED"), "{line}");
    }
}

/// What the lab found stands in its own document; the matrix says the same.
#[test]
fn the_labs_results_are_those_of_its_document() {
    let document = read("docs/failure-matrix.md");
    let lab = fs::read_to_string(root().join("docs/lab-results.md")).unwrap_or_default();
    for name in rows().iter().flat_map(|row| list(row, "lab").into_iter().map(str::to_owned).collect::<Vec<_>>()) {
        let played = lab.lines().find(|l| l.starts_with(&format!("| {name} |")));
        let profiles = played.map_or(0, |l| l.split('|').skip(2).filter(|cell| !cell.trim().is_empty()).count());
        let said = if profiles == 0 { "not run".to_owned() } else { format!("passed under {profiles} profile(s)") };
        let text = format!("lab, {name}: {said}");
        assert!(document.contains(&text), "stale, run tests/failure-matrix --write: {text:?} is not there");
    }
}

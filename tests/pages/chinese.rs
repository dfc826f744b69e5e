//! The Chinese pages have the sections, code blocks, names in backticks, figures, links and rows of the English ones.
//!
//! What is not compared: prose; comments in code blocks; a block of kind `text`, which is a picture in words.

use crate::links::resolve;
use crate::page::{self, Page, Part};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Pages that have a Chinese one, besides those of docs/zh-CN, which have the name of theirs.
const README: (&str, &str) = ("README.md", "README.zh-CN.md");

/// What one section of a page has.
#[derive(Debug, Default, PartialEq, Eq)]
struct Section {
    level: usize,
    blocks: Vec<String>,
    codes: BTreeSet<String>,
    figures: BTreeSet<String>,
    links: BTreeSet<String>,
    rows: usize,
}

#[test]
fn chinese_pages_say_what_the_english_ones_say() {
    let mut differences = Vec::new();
    for (english, chinese) in pairs() {
        differences.extend(compare(&page::at(&english), &page::at(&chinese)));
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// English page, Chinese page.
fn pairs() -> Vec<(String, String)> {
    let directory = Path::new(page::ROOT).join("docs/zh-CN");
    let mut pairs = vec![(README.0.to_owned(), README.1.to_owned())];
    for entry in fs::read_dir(directory).expect("docs/zh-CN").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        pairs.push((format!("docs/{name}"), format!("docs/zh-CN/{name}")));
    }
    pairs.sort();
    pairs
}

/// The page that a Chinese one is of, else the path itself.
fn original(path: &str) -> String {
    if path == README.1 { README.0.to_owned() } else { path.replace("docs/zh-CN/", "docs/") }
}

fn compare(english: &Page, chinese: &Page) -> Vec<String> {
    let (a, b) = (sections(english), sections(chinese));
    let name = &chinese.path;
    let levels = |all: &[(String, Section)]| all.iter().map(|(_, s)| s.level).collect::<Vec<_>>();
    if levels(&a) != levels(&b) {
        let headings = |all: &[(String, Section)]| all.iter().map(|(h, _)| h.clone()).collect::<Vec<_>>().join(" | ");
        return vec![format!("{name}: other sections than {}:\n  {}\n  {}", english.path, headings(&a), headings(&b))];
    }
    let mut differences = Vec::new();
    for ((heading, a), (_, b)) in a.iter().zip(&b) {
        let at = format!("{name}, {heading:?}");
        for (x, y) in a.blocks.iter().zip(&b.blocks).filter(|(x, y)| x != y) {
            let line = x.lines().zip(y.lines()).find(|(x, y)| x != y).unwrap_or((x, y));
            differences.push(format!("{at}: another block: {:?} is {:?}", line.0, line.1));
        }
        if a.blocks.len() != b.blocks.len() {
            differences.push(format!("{at}: {} blocks, not {}", b.blocks.len(), a.blocks.len()));
        }
        for (what, a, b) in
            [("names", &a.codes, &b.codes), ("figures", &a.figures, &b.figures), ("links", &a.links, &b.links)]
        {
            let of = |x: &BTreeSet<String>, y: &BTreeSet<String>| x.difference(y).cloned().collect::<Vec<_>>();
            if a != b {
                differences.push(format!("{at}: {what}: lacks {:?}, has besides {:?}", of(a, b), of(b, a)));
            }
        }
        if a.rows != b.rows {
            differences.push(format!("{at}: {} rows, not {}", b.rows, a.rows));
        }
    }
    differences
}

fn sections(page: &Page) -> Vec<(String, Section)> {
    let mut all: Vec<(String, Section, String)> = vec![(String::new(), Section::default(), String::new())];
    for part in page::parts(&page.text) {
        if let Part::Line(_, line) = part
            && line.starts_with('#')
        {
            let level = line.len() - line.trim_start_matches('#').len();
            let heading = line.trim_start_matches('#').trim().to_owned();
            all.push((heading, Section { level, ..Section::default() }, String::new()));
        }
        let (_, section, text) = all.last_mut().expect("one at least");
        match part {
            Part::Block("text", _) => {}
            Part::Block(kind, lines) => section.blocks.push(without_comments(kind, &lines)),
            Part::Line(_, line) => {
                section.rows += usize::from(line.starts_with('|'));
                // What is in backticks may go on in the next line.
                text.push_str(line);
                text.push(' ');
            }
        }
    }
    all.into_iter().map(|(heading, section, text)| (heading, filled(section, &text, &page.path))).collect()
}

/// The section with what its text has.
fn filled(section: Section, text: &str, path: &str) -> Section {
    let (codes, plain) = page::code_of(text);
    let links = page::links_of(text);
    // Of a link its text counts, and which page it leads to: a heading there has another name.
    let prose = links.iter().fold(plain, |text, link| text.replace(&format!("]({link})"), "]"));
    Section {
        codes: codes.into_iter().map(|code| code.split_whitespace().collect::<Vec<_>>().join(" ")).collect(),
        figures: figures(&prose).into_iter().collect(),
        links: links.iter().map(|link| resolve(path, link).map_or(link.clone(), |p| original(&p))).collect(),
        ..section
    }
}

/// The numbers in a text.
fn figures(text: &str) -> Vec<String> {
    let number = |c: char| c.is_ascii_digit() || c == '.' || c == ',';
    let pieces = text.split(|c: char| !number(c)).map(|piece| piece.trim_matches(['.', ',']));
    pieces.filter(|piece| piece.contains(|c: char| c.is_ascii_digit())).map(str::to_owned).collect()
}

/// Comments are prose; what is left are commands, keys and values. What a program prints has none.
fn without_comments(kind: &str, lines: &[&str]) -> String {
    let code = |line: &&str| -> String {
        let from = line.find(" #").into_iter().chain(line.starts_with('#').then_some(0)).min();
        let kept = if kind == "console" { line } else { &line[..from.unwrap_or(line.len())] };
        kept.trim_end().to_owned()
    };
    lines.iter().map(code).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}

#[test]
fn what_differs_is_told() {
    let page = |path: &str, text: &str| Page { path: path.to_owned(), text: text.to_owned() };
    let english = "# A\n`x` in 3 s, [b](b.md).\n```sh\nx --y   # why\n```\n| 1 |\n";
    let compare = |chinese: &str| compare(&page("docs/a.md", english), &page("docs/zh-CN/a.md", chinese));
    assert_eq!(compare("# 甲\n3 秒内 `x`,[乙](b.md)。\n```sh\nx --y   # 为何\n```\n| 1 |\n"), Vec::<String>::new());
    for (chinese, told) in [
        ("# 甲\n4 秒内 `x`,[乙](b.md)。\n```sh\nx --y\n```\n| 1 |\n", "figures: lacks [\"3\"], has besides [\"4\"]"),
        ("# 甲\n3 秒内 `z`,[乙](b.md)。\n```sh\nx --y\n```\n| 1 |\n", "names: lacks [\"x\"], has besides [\"z\"]"),
        ("# 甲\n3 秒内 `x`,[乙](c.md)。\n```sh\nx --y\n```\n| 1 |\n", "links: lacks [\"docs/b.md\"]"),
        ("# 甲\n3 秒内 `x`,[乙](b.md)。\n```sh\nx --z\n```\n| 1 |\n", "another block: \"x --y\" is \"x --z\""),
        ("# 甲\n3 秒内 `x`,[乙](b.md)。\n| 1 |\n", "0 blocks, not 1"),
        ("# 甲\n3 秒内 `x`,[乙](b.md)。\n```sh\nx --y\n```\n", "0 rows, not 1"),
        ("# 甲\n## 乙\n", "other sections"),
    ] {
        let found = compare(chinese).join("\n");
        assert!(found.contains(told), "{told}: {found}");
    }
}

//! The Markdown pages of the repository, and the parts of one.

use std::fs;
use std::path::{Path, PathBuf};

/// The repository.
pub(crate) const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// One page.
pub(crate) struct Page {
    /// From the repository, as in `docs/index.md`.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// Every page, in the order of their paths.
pub(crate) fn all() -> Vec<Page> {
    let mut found = Vec::new();
    for top in ["docs", "config", "packaging", "crates", "tests", "src"] {
        gather(&Path::new(ROOT).join(top), &mut found);
    }
    for entry in fs::read_dir(ROOT).expect("the repository").flatten() {
        found.extend(Some(entry.path()).filter(|path| is_page(path)));
    }
    found.sort();
    found.iter().map(|path| read(path)).collect()
}

/// The page at that path of the repository.
pub(crate) fn at(path: &str) -> Page {
    read(&Path::new(ROOT).join(path))
}

fn gather(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let (path, kind) = (entry.path(), entry.file_type().expect("a type"));
        // Fuzzing has a target directory of its own, and a link may lead in a circle.
        if kind.is_dir() && entry.file_name() != "target" {
            gather(&path, found);
        } else if kind.is_file() && is_page(&path) {
            found.push(path);
        }
    }
}

fn is_page(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "md")
}

fn read(path: &Path) -> Page {
    let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let path = path.strip_prefix(ROOT).expect("in the repository").to_string_lossy().into_owned();
    Page { path, text }
}

/// A line of a page, or a fenced block as a whole.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Part<'a> {
    /// With its number.
    Line(usize, &'a str),
    /// What follows the fence (`sh`, `toml`), and the lines within.
    Block(&'a str, Vec<&'a str>),
}

/// The page in its parts.
pub(crate) fn parts(text: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut block: Option<(&str, usize, Vec<&str>)> = None;
    for (number, line) in (1..).zip(text.lines()) {
        let indent = line.len() - line.trim_start().len();
        match (&mut block, line.trim_start().strip_prefix("```")) {
            (None, Some(kind)) => block = Some((kind.trim(), indent, Vec::new())),
            (None, None) => parts.push(Part::Line(number, line)),
            (Some(_), Some("")) => parts.extend(block.take().map(|(kind, _, lines)| Part::Block(kind, lines))),
            // A block in a list is as far in as its fence.
            (Some((_, fence, lines)), _) => lines.push(line.get(indent.min(*fence)..).unwrap_or(line)),
        }
    }
    assert!(block.is_none(), "a fence is open at the end");
    parts
}

/// The texts in backticks of one line, and the line without them.
pub(crate) fn code_of(line: &str) -> (Vec<&str>, String) {
    let (mut codes, mut rest) = (Vec::new(), String::new());
    for (number, piece) in line.split('`').enumerate() {
        if number % 2 == 1 {
            codes.push(piece);
            rest.push(' ');
        } else {
            rest.push_str(piece);
        }
    }
    (codes, rest)
}

/// Where the links of one line lead. What is in backticks is no link.
pub(crate) fn links_of(line: &str) -> Vec<String> {
    let (_, rest) = code_of(line);
    let ends = rest.split("](").skip(1);
    ends.filter_map(|after| after.split_once(')').map(|(target, _)| target.to_owned())).collect()
}

/// A heading's name in a link, as the usual renderers make it: letters, digits, `-` and `_`, in lower case, blanks as `-`.
pub(crate) fn anchor(heading: &str) -> String {
    let plain = heading.replace('`', "");
    let kept = plain.trim().chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | ' '));
    kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn a_page_is_taken_apart() {
    let text = "# A\nb `c` [d](e.md#f)\n```sh\ng # h\n```\n- i\n  ```\n  j\n    k\n  ```\n";
    let expected = [
        Part::Line(1, "# A"),
        Part::Line(2, "b `c` [d](e.md#f)"),
        Part::Block("sh", vec!["g # h"]),
        Part::Line(6, "- i"),
        Part::Block("", vec!["j", "  k"]),
    ];
    assert_eq!(parts(text), expected);
    assert_eq!(code_of("b `c` [d](e.md#f)").0, ["c"]);
    assert_eq!(links_of("b `[x](y)` [d](e.md#f), [g](h)"), ["e.md#f", "h"]);
    assert_eq!(anchor(" 3. The key, or `role`: why?"), "3-the-key-or-role-why");
    assert_eq!(anchor("高可用虚拟IP（HAVIP）"), "高可用虚拟iphavip");
}

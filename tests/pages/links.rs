//! Links within the repository lead to a file that is there, and to a heading that it has.

use crate::page::{self, Page, Part, ROOT};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

#[test]
fn every_link_within_the_repository_leads_somewhere() {
    let pages = page::all();
    let anchors: BTreeMap<&str, BTreeSet<String>> = pages.iter().map(|p| (p.path.as_str(), anchors(&p.text))).collect();
    let dead: Vec<String> = pages.iter().flat_map(|page| dead_links(page, &anchors)).collect();
    assert!(dead.is_empty(), "dead links:\n{}", dead.join("\n"));
}

/// From `docs/index.md` and README.md on, every page for users can be reached.
#[test]
fn every_page_for_users_is_linked_from_the_index() {
    let index = page::at("docs/index.md");
    let linked: BTreeSet<String> = links(&index).filter_map(|(_, target)| resolve(&index.path, &target)).collect();
    let top = |path: &str| path.strip_prefix("docs/").is_some_and(|name| !name.contains('/'));
    let missing: Vec<String> = page::all()
        .into_iter()
        .map(|page| page.path)
        .filter(|path| {
            (top(path) || path.starts_with("docs/recipes/")) && *path != index.path && !linked.contains(path)
        })
        .collect();
    assert!(missing.is_empty(), "docs/index.md leads to none of {missing:?}");
}

fn links(page: &Page) -> impl Iterator<Item = (usize, String)> {
    page::parts(&page.text).into_iter().flat_map(|part| match part {
        Part::Line(number, line) => page::links_of(line).into_iter().map(|target| (number, target)).collect(),
        Part::Block(..) => Vec::new(),
    })
}

/// The path that a link of a page leads to, from the repository; `None` for one that leads out of it.
pub(crate) fn resolve(from: &str, target: &str) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (file, _) = target.split_once('#').unwrap_or((target, ""));
    let mut path = PathBuf::from(from);
    if !file.is_empty() {
        path.pop();
        for component in Path::new(file).components() {
            match component {
                Component::ParentDir => drop(path.pop()),
                Component::CurDir => {}
                other => path.push(other),
            }
        }
    }
    Some(path.to_string_lossy().into_owned())
}

fn dead_links(page: &Page, anchors: &BTreeMap<&str, BTreeSet<String>>) -> Vec<String> {
    let mut dead = Vec::new();
    for (line, target) in links(page) {
        let Some(path) = resolve(&page.path, &target) else { continue };
        let at = format!("{}:{line}: {target}", page.path);
        if !Path::new(ROOT).join(&path).exists() {
            dead.push(format!("{at}: there is no {path}"));
        } else if let Some((_, heading)) = target.split_once('#')
            && !anchors.get(path.as_str()).is_some_and(|known| known.contains(heading))
        {
            dead.push(format!("{at}: {path} has no such heading"));
        }
    }
    dead
}

/// What links into a page may name: its headings; the second of the same name ends with `-1`.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut found = BTreeSet::new();
    for part in page::parts(text) {
        let Part::Line(_, line) = part else { continue };
        let heading = line.trim_start_matches('#');
        if heading.len() == line.len() || !heading.starts_with(' ') {
            continue;
        }
        let anchor = page::anchor(heading);
        let before = counts.entry(anchor.clone()).or_default();
        found.insert(if *before == 0 { anchor } else { format!("{anchor}-{before}") });
        *before += 1;
    }
    found
}

#[test]
fn a_dead_link_is_found() {
    let page = |text: &str| Page { path: "docs/index.md".to_owned(), text: text.to_owned() };
    let text = "# A b\n## A b\n[1](#a-b-1) [2](../README.md) [3](https://example.com/x) `[4](no)`\n";
    let good = page(text);
    let known = BTreeMap::from([("docs/index.md", anchors(text))]);
    assert_eq!(dead_links(&good, &known), Vec::<String>::new());
    let bad = page("[1](#a-b-2)\n[2](../no.md)\n");
    let expected =
        ["docs/index.md:1: #a-b-2: docs/index.md has no such heading", "docs/index.md:2: ../no.md: there is no no.md"];
    assert_eq!(dead_links(&bad, &known), expected);
}

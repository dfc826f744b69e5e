//! Words that the project does not use for what has another name.

use crate::page::{self, Part};

/// The word, and what is written instead.
const REPLACED: [(&str, &str); 8] = [
    ("whoever", "the node that, the one that"),
    ("deed", "action"),
    ("deeds", "actions"),
    ("reign", "term"),
    ("reigns", "terms"),
    ("a look", "a read, a check"),
    ("looks at the cloud", "reads the cloud's record"),
    ("may look", "have read-only access"),
];

#[test]
fn pages_use_the_words_of_the_glossary() {
    let mut found = Vec::new();
    for page in page::all() {
        for part in page::parts(&page.text) {
            let Part::Line(number, line) = part else { continue };
            let (_, plain) = page::code_of(line);
            let plain = format!(
                " {} ",
                plain.to_lowercase().replace(|c: char| !c.is_alphanumeric() && !matches!(c, '-' | '_' | ':'), " ")
            );
            for (word, instead) in REPLACED {
                if plain.contains(&format!(" {word} ")) {
                    found.push(format!("{}:{number}: {word:?}: write {instead}", page.path));
                }
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

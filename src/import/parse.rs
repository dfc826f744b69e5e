//! From words and braces to statements, as keepalived takes them: a brace too many or too few is reported and does not
//! stop it, so what it goes on to make of the rest is made here too, with a note.

use super::grammar::{Level, ROOT, Shape};
use super::note::{Kind, Notes};
use super::source::{Piece, What};
use std::collections::HashSet;
use std::rc::Rc;

/// A keyword with its values, and a block if it has one; or a line of a block that has no keywords.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Statement {
    /// Never empty.
    pub(super) words: Vec<String>,
    /// What the words are read from.
    pub(super) line: String,
    pub(super) block: Option<Vec<Self>>,
    /// `file:line`.
    pub(super) place: Rc<str>,
}

impl Statement {
    /// The keyword.
    pub(super) fn key(&self) -> &str {
        &self.words[0]
    }

    /// The word behind the keyword.
    pub(super) fn value(&self) -> Option<&str> {
        self.words.get(1).map(String::as_str)
    }

    /// What is in its block.
    pub(super) fn inside(&self) -> &[Self] {
        self.block.as_deref().unwrap_or_default()
    }

    /// For notes.
    pub(super) fn at(&self) -> Option<String> {
        Some(self.place.to_string())
    }
}

/// Blocks that have a name, one each.
const NAMED: [&str; 9] = [
    "vrrp_instance",
    "vrrp_sync_group",
    "track_group",
    "vrrp_script",
    "vrrp_track_process",
    "track_process",
    "vrrp_track_file",
    "track_file",
    "bfd_instance",
];

/// The statements of a node, outermost first.
pub(super) fn statements(pieces: Vec<Piece>, notes: &mut Notes) -> Vec<Statement> {
    let mut parser = Parser { pieces: pieces.into_iter().peekable(), known: HashSet::new(), notes };
    let mut all = Vec::new();
    parser.level(&ROOT, None, &mut all);
    all
}

struct Parser<'a> {
    pieces: std::iter::Peekable<std::vec::IntoIter<Piece>>,
    /// Keyword and name of each named block so far.
    known: HashSet<(String, String)>,
    notes: &'a mut Notes,
}

impl Parser<'_> {
    /// A block with keywords, after its opening brace; `None` is the file itself.
    fn level(&mut self, level: &Level, of: Option<(&str, &Rc<str>)>, all: &mut Vec<Statement>) {
        while let Some(Piece { what, place }) = self.pieces.next() {
            match (what, of) {
                (What::Words(words, line), _) => self.keyword(level, words, line, place, all),
                (What::Close, Some(_)) => return,
                (What::Close, None) => {
                    self.note(
                        Kind::Assumed,
                        &place,
                        "}",
                        "it closes nothing: keepalived reports it and passes over it",
                    );
                }
                (What::Open, _) => {
                    let why = "it stands where keepalived expects no block: it passes over this brace, so that the next } closes the block around it";
                    self.note(Kind::Assumed, &place, "{", why);
                }
            }
        }
        self.unclosed(of);
    }

    fn keyword(&mut self, level: &Level, words: Vec<String>, line: String, place: Rc<str>, all: &mut Vec<Statement>) {
        let key = words[0].clone();
        let Some(shape) = level.shape(&key) else {
            self.note(Kind::Lost, &place, &key, "keepalived knows no such keyword here, and passes over it");
            return;
        };
        if level.needs_value(&key) && words.len() == 1 {
            let why = "keepalived does not start with this file: nothing stands behind it";
            self.note(Kind::Assumed, &place, &key, why);
            if matches!(shape, Shape::Line) {
                return;
            }
        }
        let name = words[1..].join(" ");
        let title = format!("{key} {name}").trim_end().to_owned();
        let mut block = Vec::new();
        let taken = match shape {
            Shape::Line => {
                all.push(Statement { words, line, block: None, place });
                return;
            }
            Shape::Other => {
                self.open(&title, &place);
                self.skip(&title, &place);
                true
            }
            Shape::Values => {
                self.open(&title, &place);
                self.values(&title, &place, &mut block);
                true
            }
            Shape::Block(inner) => {
                let refused = self.refused(&key, &words[1..]);
                self.open(&title, &place);
                match refused {
                    Some(why) => {
                        self.note(Kind::Lost, &place, &title, why);
                        self.skip(&title, &place);
                    }
                    None => self.level(inner, Some((&title, &place)), &mut block),
                }
                refused.is_none()
            }
        };
        if taken {
            all.push(Statement { words, line, block: Some(block), place });
        }
    }

    /// Why keepalived does not take a block.
    fn refused(&mut self, key: &str, names: &[String]) -> Option<&'static str> {
        if !NAMED.contains(&key) {
            return None;
        }
        let [name] = names else {
            return Some("keepalived wants one name, in double quotes if it has blanks, and passes over the block");
        };
        // A file and a process have two keywords for the same thing.
        let key = key.strip_prefix("vrrp_track").map_or(key.to_owned(), |rest| format!("track{rest}"));
        (!self.known.insert((key, name.clone())))
            .then_some("it is defined already: keepalived takes the first, and passes over this one")
    }

    /// The opening brace of a block, if it is there.
    fn open(&mut self, title: &str, place: &Rc<str>) {
        if self.pieces.next_if(|piece| piece.what == What::Open).is_none() {
            let why = "it is missing: keepalived reports it and goes on as if it were there";
            self.note(Kind::Assumed, place, &format!("{{ of {title}"), why);
        }
    }

    /// A block without keywords.
    fn values(&mut self, title: &str, place: &Rc<str>, all: &mut Vec<Statement>) {
        for Piece { what, place } in self.pieces.by_ref() {
            match what {
                What::Close => return,
                What::Open => {
                    all.push(Statement { words: vec!["{".to_owned()], line: "{".to_owned(), block: None, place })
                }
                What::Words(words, line) => all.push(Statement { words, line, block: None, place }),
            }
        }
        self.unclosed(Some((title, place)));
    }

    /// A block that nobody reads here; braces in it come in pairs.
    fn skip(&mut self, title: &str, place: &Rc<str>) {
        let mut depth = 1_usize;
        for piece in self.pieces.by_ref() {
            match piece.what {
                What::Open => depth += 1,
                What::Close => depth -= 1,
                What::Words(..) => {}
            }
            if depth == 0 {
                return;
            }
        }
        self.unclosed(Some((title, place)));
    }

    fn unclosed(&mut self, of: Option<(&str, &Rc<str>)>) {
        if let Some((title, place)) = of {
            let why = "it is missing: keepalived reports it and takes the end of the file for it";
            self.note(Kind::Assumed, place, &format!("}} of {title}"), why);
        }
    }

    fn note(&mut self, kind: Kind, place: &Rc<str>, what: &str, why: &str) {
        self.notes.add(kind, Some(place.to_string()), what, why);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::{Input, source};

    fn parsed(text: &str) -> (String, Vec<String>) {
        fn show(all: &[Statement]) -> String {
            let one = |s: &Statement| {
                let block = s.block.as_ref().map(|b| format!("[{}]", show(b))).unwrap_or_default();
                format!("{}{block}", s.words.join(" "))
            };
            all.iter().map(one).collect::<Vec<_>>().join("; ")
        }
        let mut notes = Notes::default();
        let input = Input { path: "k.conf".into(), text: text.into(), ..Input::default() };
        let source = source::read(&input, &mut |_| Err(String::new()), &mut notes).expect("right");
        let all = statements(source.pieces, &mut notes);
        (show(&all), notes.0.iter().map(|n| format!("{} {}", n.what, n.places.join(","))).collect())
    }

    #[test]
    fn blocks_nest_however_the_braces_stand() {
        for text in [
            "vrrp_instance V {\n authentication {\n auth_type PASS\n }\n}\nuse_pid_dir",
            "vrrp_instance V\n{\n authentication { auth_type PASS }\n}\nuse_pid_dir",
            "vrrp_instance V{authentication{auth_type PASS}}use_pid_dir",
        ] {
            let (shown, notes) = parsed(text);
            assert_eq!(shown, "vrrp_instance V[authentication[auth_type PASS]]; use_pid_dir", "{text}");
            assert!(notes.is_empty(), "{notes:?}");
        }
    }

    /// What keepalived 2.2.7 makes of them.
    #[test]
    fn braces_too_many_or_too_few_do_what_they_do_in_keepalived() {
        for (text, wanted, note) in [
            ("vrrp_instance V\n state x\n}", "vrrp_instance V[state x]", "{ of vrrp_instance V k.conf:1"),
            ("vrrp_instance V {\n state x\n", "vrrp_instance V[state x]", "} of vrrp_instance V k.conf:1"),
            ("vrrp_instance V {\n}\n}\nuse_pid_dir", "vrrp_instance V[]; use_pid_dir", "} k.conf:3"),
            ("vrrp_instance V {\n foo {\n x\n }\n state y\n}", "vrrp_instance V[]", "foo k.conf:2"),
            ("vrrp_instance V {\n nopreempt {\n 7\n }", "vrrp_instance V[nopreempt]", "{ k.conf:2"),
            ("vrrp_instance V {\n priority {\n 7\n }", "vrrp_instance V[]", "priority k.conf:2"),
            (
                "vrrp_instance V {\n vrrp_instance W {\n state x\n }",
                "vrrp_instance V[state x]",
                "vrrp_instance k.conf:2",
            ),
            ("virtual_server x {\n y { z }\n}\nuse_pid_dir", "virtual_server x[]; use_pid_dir", ""),
            ("vrrp_instance V W {\n state x\n}\nuse_pid_dir", "use_pid_dir", "vrrp_instance V W k.conf:1"),
            ("vrrp_instance V {\n}\nvrrp_instance V {\n state x\n}", "vrrp_instance V[]", "vrrp_instance V k.conf:3"),
            ("vrrp_sync_group G {\n group\n {\n A B }\n}", "vrrp_sync_group G[group[A B]]", ""),
        ] {
            let (shown, notes) = parsed(text);
            assert_eq!(shown, wanted, "{text}");
            assert_eq!(notes.first().map(String::as_str).unwrap_or_default(), note, "{text}: {notes:?}");
        }
    }
}

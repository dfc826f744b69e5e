//! From files to words and braces, in the order in which keepalived does it: lines, comments, definitions that go on,
//! conditions, definitions, sequences, includes, braces.
//!
//! keepalived's main process writes the lines, without their comments, into a copy that its VRRP process reads: comments
//! are taken away twice, and a line that only has a comment ends a definition, as an empty one does.
//!
//! Everything here is bounded: bytes and files of a node, lines that come of one line, pieces. What keepalived would never
//! end with is an error.

use super::define::{Definitions, LONGEST, Sequence};
use super::lex;
use super::note::{Kind, Notes};
use super::{ImportError, Include, Includes, Input};
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

/// Deepest include: a file that includes itself ends here.
const DEEPEST: usize = 16;
/// Most files of one node.
const MOST_FILES: usize = 256;
/// Most bytes of one node's files.
const MOST_BYTES: usize = 16 << 20;
/// Most lines that one line may become.
const MOST_LINES: usize = 20_000;
/// Most lines that come of others, and definitions that are put in, of one node.
const MOST_WORK: usize = 500_000;
/// Most words and braces of one node, counted in groups that stand between braces.
const MOST_PIECES: usize = 200_000;
/// Deepest nesting of definitions and sequences.
const DEEPEST_LINES: usize = 1000;

/// What a line is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    Open,
    Close,
    /// Words, and the text that they are read from.
    Words(Vec<String>, String),
}

/// With its `file:line`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) what: What,
    pub(super) place: Rc<str>,
}

/// Everything that a node's files hold.
#[derive(Debug, Default)]
pub(super) struct Source {
    pub(super) pieces: Vec<Piece>,
    /// Each config-id that lines are only for, or not for (`@NAME`, `@^NAME`), with the places.
    pub(super) conditions: BTreeMap<String, Vec<Rc<str>>>,
}

/// Reads the file of a node, with what it includes.
pub(super) fn read(input: &Input, includes: Includes<'_>, notes: &mut Notes) -> Result<Source, ImportError> {
    let mut reader = Reader {
        id: &input.id,
        input,
        definitions: Definitions::new(&input.id),
        source: Source::default(),
        includes,
        notes,
        files: 0,
        bytes: 0,
        work: 0,
    };
    reader.file(&input.path, &input.text, 0)?;
    Ok(reader.source)
}

struct Reader<'a, 'b> {
    id: &'a str,
    input: &'a Input,
    definitions: Definitions,
    source: Source,
    includes: Includes<'b>,
    notes: &'a mut Notes,
    files: usize,
    bytes: usize,
    work: usize,
}

/// Lines that are yet to be read, before the next one of the file.
enum Pending {
    Line(String),
    Sequence(Sequence),
}

impl Reader<'_, '_> {
    fn file(&mut self, file: &str, text: &str, depth: usize) -> Result<(), ImportError> {
        self.files += 1;
        self.bytes += text.len();
        let at = |line: usize, text: String| ImportError::Syntax { file: file.to_owned(), line, text };
        if self.bytes > MOST_BYTES {
            return Err(at(1, format!("the files of this node have more than {} MiB", MOST_BYTES >> 20)));
        }
        let directory = directory(self.input, file);
        self.definitions.set("_PWD", &directory);
        for (index, whole) in text.lines().enumerate() {
            let number = index + 1;
            if whole.contains('\0') {
                // keepalived would read no further in this line; and no program has it in its arguments.
                return Err(at(number, "a NUL character: this is no text".to_owned()));
            }
            let place: Rc<str> = format!("{file}:{number}").into();
            let mut rest = whole.trim_end_matches('\r');
            loop {
                let (line, more) = rest.split_at(rest.floor_char_boundary(LONGEST.min(rest.len())));
                let found = self.line(line, &place).map_err(|text| at(number, text))?;
                for pattern in found.into_iter().rev() {
                    self.include(file, &pattern, &place, depth)?;
                    self.definitions.set("_PWD", &directory);
                }
                if more.is_empty() {
                    break;
                }
                let why =
                    format!("it is longer than {LONGEST} characters: keepalived reads it in pieces of that length");
                self.note(Kind::Assumed, &place, "line", why);
                rest = more;
            }
            if self.source.pieces.len() > MOST_PIECES {
                return Err(at(number, format!("more than {MOST_PIECES} statements")));
            }
        }
        Ok(())
    }

    /// One line of a file, with all lines that come of it; gives what it includes.
    fn line(&mut self, line: &str, place: &Rc<str>) -> Result<Vec<String>, String> {
        let stripped = lex::strip(line);
        if stripped.open_quote {
            let why = "a double quote is not closed in this line: a # or ! behind it begins no comment";
            self.note(Kind::Assumed, place, "\"", why);
        }
        let text = lex::strip(&stripped.text).text;
        if self.definitions.is_open() {
            if text.is_empty() && !line.is_empty() {
                let why = "it stands in a definition that goes on: keepalived's VRRP process ends the definition there, and \
                           its main process reads on: take the line out";
                self.note(Kind::Assumed, place, "line without a word", why);
            }
            self.definitions.go_on(&text);
            return Ok(Vec::new());
        }
        let (mut pending, mut includes, mut count) = (vec![Pending::Line(text)], Vec::new(), 0);
        while let Some(next) = pending.pop() {
            let line = match next {
                Pending::Line(line) => line,
                Pending::Sequence(mut sequence) => {
                    let Some(line) = sequence.next(&mut self.definitions) else { continue };
                    pending.push(Pending::Sequence(sequence));
                    line
                }
            };
            count += 1;
            self.work += usize::from(count > 1);
            if self.work > MOST_WORK {
                return Err(format!("definitions and sequences stand for more than {MOST_WORK} lines"));
            }
            if count > MOST_LINES || pending.len() > DEEPEST_LINES {
                return Err(format!("this line stands for more than {MOST_LINES} lines, or for lines without end"));
            }
            if self.definitions.is_open() {
                self.definitions.go_on(&line);
            } else if let Some(line) = self.meant(line, place, &mut pending)? {
                match included(&line) {
                    Some(pattern) => includes.push(pattern.to_owned()),
                    None => self.put(line, place, &mut pending),
                }
            }
        }
        Ok(includes)
    }

    /// The line as it counts, with its definitions put in; `None` if nothing is left of it. What comes of it besides is
    /// pending.
    fn meant(&mut self, line: String, place: &Rc<str>, pending: &mut Vec<Pending>) -> Result<Option<String>, String> {
        let mut line = line;
        loop {
            if line.starts_with('@') {
                let Some(rest) = self.condition(&line, place) else { return Ok(None) };
                line = rest;
            }
            if self.definitions.define(&line) {
                return Ok(None);
            }
            if line.starts_with("~SEQ") || line.starts_with("~LST") {
                match Sequence::read(&line, &self.definitions) {
                    Some(sequence) => pending.push(Pending::Sequence(sequence)),
                    None => {
                        let why = "keepalived cannot read it as a sequence, and passes over the line";
                        self.note(Kind::Lost, place, &line, why);
                    }
                }
                return Ok(None);
            }
            if line.starts_with('~') || !line.contains('$') {
                break;
            }
            let endless = |_| "the definitions in this line hold each other: keepalived never ends with it".to_owned();
            let Some(replaced) = self.definitions.replace(&line).map_err(endless)? else { break };
            self.work += replaced.count;
            self.own_definitions(&line, place);
            for (written, taken) in replaced.random {
                let why = format!(
                    "keepalived draws it anew at each start, so it has no value here; {taken} is taken: write it out"
                );
                self.note(Kind::Assumed, place, &written, why);
            }
            if replaced.too_long {
                let why = format!(
                    "a definition would make it longer than {LONGEST} characters, so keepalived does not put it in"
                );
                self.note(Kind::Lost, place, "line", why);
                break;
            }
            pending.extend(replaced.rest.into_iter().rev().map(Pending::Line));
            if pending.len() > DEEPEST_LINES {
                return Err("the definitions in this line hold each other: keepalived never ends with it".to_owned());
            }
            line = lex::strip(&replaced.text).text;
            if !line.starts_with('@') && !line.contains('$') {
                break;
            }
        }
        for (name, why) in self.definitions.undefined(&line) {
            self.note(Kind::Lost, place, &format!("${name}"), why);
        }
        Ok((!line.is_empty()).then_some(line))
    }

    /// Says where keepalived's own definitions have values that the node may not have.
    fn own_definitions(&mut self, line: &str, place: &Rc<str>) {
        let uses = |name: &str| line.contains(&format!("${name}")) || line.contains(&format!("${{{name}}}"));
        if self.input.root.is_none() && uses("_PWD") {
            let why = "it is the directory that the file was read from; on the node it may be another";
            self.note(Kind::Assumed, place, "$_PWD", why);
        }
        if self.input.node.is_none() && uses("_INSTANCE") {
            let why = format!("it is {}, this host's name: no NAME= was given before the file", self.id);
            self.note(Kind::Assumed, place, "$_INSTANCE", why);
        }
    }

    /// The line behind `@NAME` or `@^NAME`; `None` if it is for another node.
    fn condition(&mut self, line: &str, place: &Rc<str>) -> Option<String> {
        let (negated, rest) = line.strip_prefix("@^").map_or((false, &line[1..]), |rest| (true, rest));
        let (name, rest) = rest.split_once([' ', '\t'])?;
        let places = self.source.conditions.entry(name.to_owned()).or_default();
        if places.len() < super::note::PLACES {
            places.push(Rc::clone(place));
        }
        (negated != (name == self.id)).then(|| rest.trim_start_matches([' ', '\t']).to_owned())
    }

    /// Splits the line at its first brace; the rest is a line of its own for keepalived too.
    fn put(&mut self, line: String, place: &Rc<str>, pending: &mut Vec<Pending>) {
        let (line, what) = match lex::brace(&line) {
            None => (line, None),
            Some(0) => {
                let rest = line[1..].trim_matches([' ', '\t']).to_owned();
                let what = if line.starts_with('{') { What::Open } else { What::Close };
                (rest, Some(what))
            }
            Some(at) => {
                pending.push(Pending::Line(line[at..].trim_end_matches([' ', '\t']).to_owned()));
                (line[..at].trim_end_matches([' ', '\t']).to_owned(), None)
            }
        };
        let place = Rc::clone(place);
        if let Some(what) = what {
            self.source.pieces.push(Piece { what, place });
            if !line.is_empty() {
                pending.push(Pending::Line(line));
            }
            return;
        }
        let (words, open) = lex::words(&line);
        if open {
            let why = "a double quote is not closed in this line: keepalived takes the words before it";
            self.note(Kind::Lost, &place, &line, why);
        }
        if !words.is_empty() {
            self.source.pieces.push(Piece { what: What::Words(words, line), place });
        }
    }

    fn include(&mut self, from: &str, pattern: &str, place: &Rc<str>, depth: usize) -> Result<(), ImportError> {
        let what = format!("include {pattern}");
        if depth >= DEEPEST {
            self.note(Kind::Lost, place, &what, format!("includes more than {DEEPEST} deep"));
            return Ok(());
        }
        let found = match (self.includes)(Include { main: &self.input.path, from, pattern, program: false }) {
            Ok(found) => found,
            Err(why) => {
                self.note(Kind::Lost, place, &what, why);
                return Ok(());
            }
        };
        for remark in found.remarks {
            self.note(Kind::Lost, place, &what, remark);
        }
        for file in found.files {
            if self.files >= MOST_FILES {
                self.note(Kind::Lost, place, &what, format!("more than {MOST_FILES} files"));
                break;
            }
            if file.of_this_host {
                let of = self.input.node.as_deref().map_or_else(String::new, |node| format!(", for node {node} too"));
                let why = format!(
                    "{} was read from this host{of}: if the node has another one there, fetch it, and give a directory \
                     with the node's files as in NAME=DIRECTORY",
                    file.path
                );
                self.note(Kind::Assumed, place, &what, why);
            }
            self.file(&file.path, &file.text, depth + 1)?;
        }
        Ok(())
    }

    fn note(&mut self, kind: Kind, place: &Rc<str>, what: &str, why: impl Into<String>) {
        self.notes.add(kind, Some(place.to_string()), what, why);
    }
}

/// What a line includes.
fn included(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("include")?;
    let rest =
        rest.strip_prefix(['r', 'm', 'w', 'b', 'a']).filter(|rest| rest.starts_with([' ', '\t'])).unwrap_or(rest);
    let pattern = rest.trim_start_matches([' ', '\t']);
    (pattern.len() < rest.len() && !pattern.is_empty()).then_some(pattern)
}

/// The directory of a file on its node: where the current directory is, and without the node's root.
fn directory(input: &Input, file: &str) -> String {
    let whole = Path::new(&input.directory).join(file);
    let parent = whole.parent().unwrap_or(Path::new("/"));
    let inside = input.root.as_ref().and_then(|root| parent.strip_prefix(Path::new(&input.directory).join(root)).ok());
    inside.map_or_else(|| parent.to_path_buf(), |inside| Path::new("/").join(inside)).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::{Found, Included};

    fn input(text: &str) -> Input {
        Input { node: Some("a".into()), id: "a".into(), path: "k.conf".into(), text: text.into(), ..Input::default() }
    }

    fn read_with(text: &str, files: &[(&str, &str)]) -> Result<(String, Notes), ImportError> {
        let mut notes = Notes::default();
        let mut find = |include: Include<'_>| match files.iter().find(|(name, _)| *name == include.pattern) {
            Some((name, text)) => {
                let file = Included { path: (*name).into(), text: (*text).into(), of_this_host: false };
                Ok(Found { files: vec![file], remarks: Vec::new() })
            }
            None => Err("no such file".to_owned()),
        };
        let source = read(&input(text), &mut find, &mut notes)?;
        let show = |piece: &Piece| match &piece.what {
            What::Open => "{".to_owned(),
            What::Close => "}".to_owned(),
            What::Words(words, _) => words.join(" "),
        };
        Ok((source.pieces.iter().map(show).collect::<Vec<_>>().join("; "), notes))
    }

    fn text(text: &str) -> String {
        read_with(text, &[]).expect("right").0
    }

    #[test]
    fn braces_stand_alone() {
        assert_eq!(text("a x{b{c d}}e"), "a x; {; b; {; c d; }; }; e");
        assert_eq!(text("a \"{\" { # {"), "a {; {");
    }

    #[test]
    fn comments_go_before_definitions_are_read() {
        assert_eq!(text("$A= \\\nx \\\ny\n#$A\n! $A\nb #$A\n"), "b");
        assert_eq!(text("$A= \\\nx \\ # why\ny # why \\\nz\n$A\nb"), "x; y; z; b");
        assert_eq!(text("$A= \\\nx \\\n# ends it\ny\n$A"), "y; x");
        assert_eq!(text("a $_HASH b\n$_BANG c"), "a");
    }

    #[test]
    fn lines_for_other_nodes_are_passed_over() {
        assert_eq!(text("@a x\n@b y\n@^a z\n@^b v\n@a\nw { @a x\n@b }"), "x; v; w; {; x");
    }

    #[test]
    fn what_a_definition_holds_is_a_line_like_any_other() {
        assert_eq!(text("$ONLY=@b\n$ONLY x\n$BLOCK=v {\n$BLOCK w }"), "v; {; w; }");
        assert_eq!(text("$A= \\\n$B=7 \\\n@a x ${B} \\\n@b y\n$A\nz $B"), "x 7; z 7");
        assert_eq!(text("$N=~SEQ(K,1,2) x$K\nv { $N\n}"), "v; {; x1; x2; }");
        assert_eq!(text("~SEQ(A,1,2) ~SEQ(B,3,4) ${A}.${B}/32"), "1.3/32; 1.4/32; 2.3/32; 2.4/32");
    }

    #[test]
    fn what_would_never_end_is_an_error() {
        for text in
            ["$A=$A\n$A", "$A= \\\nx \\\n$A\n$A", "~SEQ(A, 1, 99999999) x", "~SEQ(A, 1, 3000) ~SEQ(B, 1, 3000) x"]
        {
            assert!(read_with(text, &[]).is_err(), "{text}");
        }
        assert_eq!(
            read_with("a\n\0", &[]).expect_err("refused").to_string(),
            "k.conf:2: a NUL character: this is no text"
        );
    }

    #[test]
    fn includes_stand_where_they_are_written_and_end() {
        let files =
            [("b c.conf", "b 1\n"), ("self", "c\ninclude self\n"), ("open", "d {\n"), ("close", "}\n"), ("{a,b}", "x")];
        let read = |text: &str| read_with(text, &files).expect("right");
        let (text, notes) = read("a {\n include b c.conf # why\n}\ninclude nowhere\n");
        assert_eq!(text, "a; {; b 1; }");
        assert_eq!(notes.of(Kind::Lost), ["include nowhere (k.conf:4): no such file"]);
        let (text, notes) = read("include self");
        assert_eq!(text.matches('c').count(), 16);
        assert_eq!(notes.of(Kind::Lost), ["include self (self:2): includes more than 16 deep"]);
        assert_eq!(read("include open\ne\nincludea close\n@a includer {a,b}").0, "d; {; e; }; x");
    }

    #[test]
    fn a_long_line_is_several() {
        let (text, notes) = read_with(&format!("# {} a", "x".repeat(1020)), &[]).expect("right");
        assert_eq!(text, "a");
        assert!(notes.of(Kind::Assumed)[0].contains("longer than 1023 characters"));
    }
}

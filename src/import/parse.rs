//! From words to blocks, with the included files in their places.

use super::lex::{Lexer, Token, Word};
use super::note::{Kind, Notes};
use super::{ImportError, Include, Includes, Input};

/// Deepest include: a file that includes itself ends here.
const DEEPEST: usize = 16;
/// Most files of one node.
const MOST_FILES: usize = 256;
/// Most statements of one node.
const MOST_STATEMENTS: usize = 100_000;
/// Deepest block; keepalived has four.
const DEEPEST_BLOCK: usize = 16;

/// A keyword with its values, and a block if it has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Statement {
    /// Never empty.
    pub(super) words: Vec<Word>,
    pub(super) block: Option<Vec<Statement>>,
    /// `file:line`.
    pub(super) place: String,
}

impl Statement {
    /// The keyword.
    pub(super) fn key(&self) -> &str {
        &self.words[0].text
    }

    /// The word behind the keyword.
    pub(super) fn value(&self) -> Option<&str> {
        self.words.get(1).map(|w| w.text.as_str())
    }

    /// What is in its block.
    pub(super) fn inside(&self) -> &[Self] {
        self.block.as_deref().unwrap_or_default()
    }
}

/// Reads the file of a node, with what it includes.
pub(super) fn file(input: &Input, includes: Includes<'_>, notes: &mut Notes) -> Result<Vec<Statement>, ImportError> {
    let mut parser = Parser {
        lexer: Lexer::new(input.node.as_deref()),
        includes,
        notes,
        open: vec![(Vec::new(), String::new())],
        statements: 0,
        files: 0,
    };
    parser.read(&input.path, &input.text, 0)?;
    Ok(parser.open.pop().map(|(all, _)| all).unwrap_or_default())
}

struct Parser<'a, 'b> {
    lexer: Lexer<'a>,
    includes: Includes<'b>,
    notes: &'a mut Notes,
    /// Blocks that are open, outermost first, each with the place of its brace; the first is the file.
    open: Vec<(Vec<Statement>, String)>,
    statements: usize,
    files: usize,
}

impl Parser<'_, '_> {
    fn read(&mut self, file: &str, text: &str, depth: usize) -> Result<(), ImportError> {
        self.files += 1;
        let level = self.open.len();
        for (index, line) in text.lines().enumerate() {
            let at = |column: usize, text: String| ImportError::Syntax {
                file: file.to_owned(),
                line: index + 1,
                column,
                text,
            };
            let place = format!("{file}:{}", index + 1);
            let lines = self.lexer.line(line).map_err(|w| at(w.column, w.text))?;
            for name in std::mem::take(&mut self.lexer.undefined) {
                let why = match name.strip_prefix('_') {
                    Some(_) => "keepalived has a value for it, and this import has not: write it out",
                    None => "it is not defined in these files: what stands there is taken as it is",
                };
                self.notes.add(Kind::Lost, Some(place.clone()), format!("${name}"), why);
            }
            for tokens in lines {
                let mut words: Vec<Word> = Vec::new();
                for token in tokens {
                    match token {
                        Token::Word(word) => words.push(word),
                        Token::Open(column) => {
                            self.begin(std::mem::take(&mut words), &place).map_err(|text| at(column, text))?;
                        }
                        Token::Close(column) => {
                            self.put(std::mem::take(&mut words), file, &place, depth)?;
                            if self.open.len() <= level {
                                return Err(at(column, "a } that closes nothing".to_owned()));
                            }
                            self.end();
                        }
                    }
                }
                self.put(words, file, &place, depth)?;
            }
            if self.statements > MOST_STATEMENTS {
                return Err(at(1, format!("more than {MOST_STATEMENTS} statements")));
            }
        }
        if self.open.len() > level {
            let place = self.open.last().map(|(_, place)| place.clone()).unwrap_or_default();
            let line = text.lines().count().max(1);
            let text = format!("the block that begins at {place} is not closed");
            return Err(ImportError::Syntax { file: file.to_owned(), line, column: 1, text });
        }
        Ok(())
    }

    /// A brace opens the block of these words, or of the statement in the line above.
    fn begin(&mut self, words: Vec<Word>, place: &str) -> Result<(), String> {
        if self.open.len() > DEEPEST_BLOCK {
            return Err(format!("blocks more than {DEEPEST_BLOCK} deep"));
        }
        let Some((current, _)) = self.open.last_mut() else { return Ok(()) };
        if words.is_empty() {
            match current.last() {
                Some(last) if last.block.is_none() => {}
                _ => return Err("a { without a keyword".to_owned()),
            }
        } else {
            self.statements += 1;
            current.push(Statement { words, block: None, place: place.to_owned() });
        }
        self.open.push((Vec::new(), place.to_owned()));
        Ok(())
    }

    fn end(&mut self) {
        let closed = self.open.pop().map(|(all, _)| all);
        if let Some(statement) = self.open.last_mut().and_then(|(all, _)| all.last_mut()) {
            statement.block = closed;
        }
    }

    fn put(&mut self, words: Vec<Word>, file: &str, place: &str, depth: usize) -> Result<(), ImportError> {
        let Some(first) = words.first() else { return Ok(()) };
        let includes = ["include", "includer", "includem", "includew", "includeb", "includea"];
        if let (true, Some(pattern)) = (includes.contains(&first.text.as_str()), words.get(1)) {
            return self.include(file, &pattern.text.clone(), place, depth);
        }
        if first.text.starts_with('~') {
            let why = "sequences of lines are not unrolled here: write the lines out";
            self.notes.add(Kind::Lost, Some(place.to_owned()), first.text.clone(), why);
            return Ok(());
        }
        self.statements += 1;
        if let Some((current, _)) = self.open.last_mut() {
            current.push(Statement { words, block: None, place: place.to_owned() });
        }
        Ok(())
    }

    fn include(&mut self, from: &str, pattern: &str, place: &str, depth: usize) -> Result<(), ImportError> {
        let mut leave = |why: String| {
            self.notes.add(Kind::Lost, Some(place.to_owned()), format!("include {pattern}"), why);
        };
        if depth >= DEEPEST {
            leave(format!("includes more than {DEEPEST} deep"));
            return Ok(());
        }
        match (self.includes)(Include { from, pattern }) {
            Err(why) => leave(why),
            Ok(all) => {
                for (path, text) in all {
                    if self.files >= MOST_FILES {
                        let why = format!("more than {MOST_FILES} files");
                        self.notes.add(Kind::Lost, Some(place.to_owned()), format!("include {pattern}"), why);
                        break;
                    }
                    self.read(&path, &text, depth + 1)?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str, files: &[(&str, &str)]) -> Result<(String, Notes), ImportError> {
        fn show(all: &[Statement]) -> String {
            let one = |s: &Statement| {
                let words: Vec<&str> = s.words.iter().map(|w| w.text.as_str()).collect();
                let block = s.block.as_ref().map(|b| format!("[{}]", show(b))).unwrap_or_default();
                format!("{}{block}", words.join(" "))
            };
            all.iter().map(one).collect::<Vec<_>>().join("; ")
        }
        let mut notes = Notes::default();
        let input = Input { node: None, path: "k.conf".into(), text: text.into() };
        let mut find = |include: Include<'_>| match files.iter().find(|(name, _)| *name == include.pattern) {
            Some((name, text)) => Ok(vec![((*name).to_owned(), (*text).to_owned())]),
            None => Err("no such file".to_owned()),
        };
        let all = file(&input, &mut find, &mut notes)?;
        Ok((show(&all), notes))
    }

    #[test]
    fn blocks_nest_however_the_braces_stand() {
        for text in ["a x {\n b {\n c d\n }\n}\ne", "a x\n{\n b { c d }\n}\ne\n", "a x { b { c d }}\ne"] {
            assert_eq!(parsed(text, &[]).expect("right").0, "a x[b[c d]]; e", "{text}");
        }
    }

    #[test]
    fn errors_have_a_place() {
        for (text, wrong) in [
            ("a {\n b\n", "k.conf:2:1: the block that begins at k.conf:1 is not closed"),
            ("a\n  }\n", "k.conf:2:3: a } that closes nothing"),
            ("{", "k.conf:1:1: a { without a keyword"),
            ("a {\n}\n{\n}", "k.conf:3:1: a { without a keyword"),
            ("a 'b", "k.conf:1:3: the quote ' is not closed in this line"),
        ] {
            assert_eq!(parsed(text, &[]).expect_err("wrong").to_string(), wrong, "{text}");
        }
        assert!(parsed(&"a {\n".repeat(50), &[]).expect_err("deep").to_string().contains("blocks more than 16 deep"));
    }

    #[test]
    fn includes_stand_where_they_are_written_and_end() {
        let files = [("b.conf", "b 1\n"), ("self", "c\ninclude self\n"), ("open", "d {\n"), ("close", "}\n")];
        let (text, notes) = parsed("a {\n include b.conf\n}\ninclude nowhere\n", &files).expect("right");
        assert_eq!(text, "a[b 1]");
        assert_eq!(notes.of(Kind::Lost), ["include nowhere (k.conf:4): no such file"]);
        let (text, notes) = parsed("include self", &files).expect("right");
        assert_eq!(text.matches('c').count(), 16);
        assert_eq!(notes.of(Kind::Lost), ["include self (self:2): includes more than 16 deep"]);
        assert!(parsed("include open\n}", &files).is_err() && parsed("a {\ninclude close", &files).is_err());
    }
}

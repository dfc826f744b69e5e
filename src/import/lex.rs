//! From the text of a file to words: comments, quotes, escapes, definitions, conditional lines.

use std::collections::{BTreeMap, VecDeque};

/// Longest line, in characters, after definitions are put in: they may hold each other.
const LONGEST: usize = 16 * 1024;
/// Most lines that one line may become.
const MOST_LINES: usize = 1000;
/// Most definitions that are put into one line.
const MOST_REPLACED: usize = 1000;

/// A word, or a brace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    Word(Word),
    /// With its column.
    Open(usize),
    /// With its column.
    Close(usize),
}

/// A word, unquoted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) text: String,
    /// In characters, from 1.
    pub(super) column: usize,
    pub(super) quoted: bool,
}

/// What is wrong, and in which column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) column: usize,
    pub(super) text: String,
}

/// A character and the column that it came from.
type Placed = (char, usize);

/// What lines mean depends on those before them.
#[derive(Debug)]
pub(super) struct Lexer<'a> {
    /// `@NAME` lines are for this one.
    id: Option<&'a str>,
    definitions: BTreeMap<String, String>,
    /// Names that were used and never defined, of this line.
    pub(super) undefined: Vec<String>,
    /// A definition that goes on in the next line.
    open: Option<(String, String)>,
}

impl<'a> Lexer<'a> {
    /// For the node with that config-id.
    pub(super) fn new(id: Option<&'a str>) -> Self {
        Self { id, definitions: BTreeMap::new(), undefined: Vec::new(), open: None }
    }

    /// The words of a line of the file, as one or more lines: a definition may hold several.
    ///
    /// As keepalived does it, definitions are put in when they are used, and what they hold is a line like any other:
    /// with a condition, with other definitions, or itself a definition.
    pub(super) fn line(&mut self, line: &str) -> Result<Vec<Vec<Token>>, Wrong> {
        self.undefined.clear();
        if let Some(at) = line.chars().position(|c| c == '\0') {
            // keepalived would read no further; and no program has it in its arguments.
            return Err(Wrong { column: at + 1, text: "a NUL character: this is no text".to_owned() });
        }
        if let Some((name, mut value)) = self.open.take() {
            value.push('\n');
            return self.define(name, value, line).map(|()| Vec::new());
        }
        let whole: Vec<Placed> = line.trim_end().chars().enumerate().map(|(i, c)| (c, i + 1)).collect();
        let (mut queue, mut all, mut replaced) = (VecDeque::from([whole]), Vec::new(), 0);
        while let Some(line) = queue.pop_front() {
            let start = line.iter().position(|(c, _)| !c.is_whitespace()).unwrap_or(line.len());
            let Some(rest) = self.meant(&line[start..]) else { continue };
            if let Some((name, value)) = definition(rest) {
                let value: String = value.iter().map(|(c, _)| c).collect();
                self.define(name, String::new(), &value)?;
                continue;
            }
            let Some(new) = self.replace(rest)? else {
                self.undefined.extend(references(rest).map(|(_, name, _)| name));
                all.push(tokens(rest)?);
                continue;
            };
            replaced += 1;
            if replaced > MOST_REPLACED || all.len() + queue.len() > MOST_LINES {
                return Err(Wrong { column: 1, text: "the definitions in this line hold each other".to_owned() });
            }
            for line in new.split(|(c, _)| *c == '\n').rev() {
                queue.push_front(line.to_vec());
            }
        }
        Ok(all)
    }

    /// The line without its condition; `None` if it is for another node.
    fn meant<'b>(&self, line: &'b [Placed]) -> Option<&'b [Placed]> {
        let Some((('@', _), rest)) = line.split_first() else { return Some(line) };
        let negated = matches!(rest.first(), Some(('^', _)));
        let rest = if negated { &rest[1..] } else { rest };
        let end = rest.iter().position(|(c, _)| c.is_whitespace()).unwrap_or(rest.len());
        let id: String = rest[..end].iter().map(|(c, _)| c).collect();
        (negated != (self.id == Some(id.as_str()))).then_some(&rest[end..]).map(|line| {
            let start = line.iter().position(|(c, _)| !c.is_whitespace()).unwrap_or(line.len());
            &line[start..]
        })
    }

    fn define(&mut self, name: String, mut value: String, text: &str) -> Result<(), Wrong> {
        let text = text.trim();
        let (text, more) = text.strip_suffix('\\').map_or((text, false), |text| (text.trim_end(), true));
        value.push_str(text);
        if value.chars().count() > LONGEST {
            return Err(Wrong { column: 1, text: format!("${name} is longer than {LONGEST} characters") });
        }
        if more {
            self.open = Some((name, value));
        } else {
            self.definitions.insert(name, value);
        }
        Ok(())
    }

    /// The line with the first definition put in; `None` if there is none in it.
    fn replace(&self, line: &[Placed]) -> Result<Option<Vec<Placed>>, Wrong> {
        let found = references(line).find_map(|(at, name, length)| Some((at, length, self.definitions.get(&name)?)));
        let Some((at, length, value)) = found else { return Ok(None) };
        let column = line[at].1;
        let new: Vec<Placed> = line[..at]
            .iter()
            .copied()
            .chain(value.chars().map(|c| (c, column)))
            .chain(line[at + 1 + length..].iter().copied())
            .collect();
        if new.len() > LONGEST {
            return Err(Wrong { column, text: format!("the line is longer than {LONGEST} characters") });
        }
        Ok(Some(new))
    }
}

/// Everything in a line that looks like a definition in use: where its dollar stands, its name, its length behind that.
fn references(line: &[Placed]) -> impl Iterator<Item = (usize, String, usize)> {
    let dollars = line.iter().enumerate().filter(|(_, (c, _))| *c == '$');
    dollars.filter_map(|(at, _)| reference(&line[at + 1..]).map(|(name, length)| (at, name, length)))
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// `$NAME=value`.
fn definition(line: &[Placed]) -> Option<(String, &[Placed])> {
    let (('$', _), rest) = line.split_first()? else { return None };
    let end = rest.iter().position(|(c, _)| !is_name(*c))?;
    let name: String = rest[..end].iter().map(|(c, _)| c).collect();
    (!name.is_empty() && rest[end].0 == '=').then_some((name, &rest[end + 1..]))
}

/// `NAME` or `{NAME}` behind a dollar: the name, and how many characters it takes.
fn reference(rest: &[Placed]) -> Option<(String, usize)> {
    let braced = matches!(rest.first(), Some(('{', _)));
    let inner = if braced { &rest[1..] } else { rest };
    let end = inner.iter().position(|(c, _)| !is_name(*c)).unwrap_or(inner.len());
    let name: String = inner[..end].iter().map(|(c, _)| c).collect();
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    match (braced, inner.get(end)) {
        (true, Some(('}', _))) => Some((name, end + 2)),
        (true, _) => None,
        (false, _) => Some((name, end)),
    }
}

/// Takes a line apart. `!` and `#` begin a comment outside quotes.
fn tokens(line: &[Placed]) -> Result<Vec<Token>, Wrong> {
    let mut all = Vec::new();
    let mut word: Option<Word> = None;
    let mut quote: Option<Placed> = None;
    let mut rest = line.iter().copied().peekable();
    while let Some((c, column)) = rest.next() {
        let dollar = word.as_ref().is_some_and(|w| w.text.ends_with('$'));
        let braced = word.as_ref().is_some_and(|w| w.text.contains("${") && !w.text.contains('}'));
        let mut put = |c: char, quoted: bool| {
            let word = word.get_or_insert_with(|| Word { text: String::new(), column, quoted: false });
            word.text.push(c);
            word.quoted |= quoted;
        };
        match (quote, c) {
            (Some((open, _)), c) if c == open => quote = None,
            (_, '\\') => match rest.next() {
                Some(('n', _)) if quote.is_some() => put('\n', true),
                Some(('t', _)) if quote.is_some() => put('\t', true),
                Some((escaped, _)) => put(escaped, quote.is_some()),
                // The last of a line: it would go on in the next one, which is as good as a new line here.
                None => {}
            },
            (Some(_), c) => put(c, true),
            (None, '"' | '\'') => {
                quote = Some((c, column));
                word.get_or_insert_with(|| Word { text: String::new(), column, quoted: true }).quoted = true;
            }
            (None, '!' | '#') => break,
            (None, '{') if dollar => put(c, false),
            (None, '}') if braced => put(c, false),
            (None, '{' | '}') => {
                all.extend(word.take().map(Token::Word));
                all.push(if c == '{' { Token::Open(column) } else { Token::Close(column) });
            }
            (None, c) if c.is_whitespace() => all.extend(word.take().map(Token::Word)),
            (None, c) => put(c, false),
        }
    }
    if let Some((open, column)) = quote {
        return Err(Wrong { column, text: format!("the quote {open} is not closed in this line") });
    }
    all.extend(word.map(Token::Word));
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(lexer: &mut Lexer<'_>, line: &str) -> Vec<Vec<String>> {
        let show = |token: &Token| match token {
            Token::Word(word) if word.quoted => format!("{:?}@{}", word.text, word.column),
            Token::Word(word) => format!("{}@{}", word.text, word.column),
            Token::Open(column) => format!("{{@{column}"),
            Token::Close(column) => format!("}}@{column}"),
        };
        lexer.line(line).expect("right").iter().map(|line| line.iter().map(show).collect()).collect()
    }

    #[test]
    fn words_quotes_braces_and_comments() {
        let mut lexer = Lexer::new(None);
        assert_eq!(words(&mut lexer, "global_defs{"), [["global_defs@1", "{@12"]]);
        assert_eq!(
            words(&mut lexer, "  unicast_peer { 10.0.0.1 } # c"),
            [["unicast_peer@3", "{@16", "10.0.0.1@18", "}@27"]]
        );
        assert_eq!(words(&mut lexer, r#"script "/a b 'c' \"d\"" !x"#), [["script@1", r#""/a b 'c' \"d\""@8"#]]);
        assert_eq!(words(&mut lexer, r"a 'b # c' d\ e"), [["a@1", "\"b # c\"@3", "d e@11"]]);
        assert_eq!(words(&mut lexer, "! only a comment"), [[""; 0]]);
        assert_eq!(words(&mut lexer, "auth_pass \"\""), [["auth_pass@1", "\"\"@11"]]);
        let wrong = lexer.line("script \"/a b").expect_err("open");
        assert_eq!((wrong.column, wrong.text.as_str()), (8, "the quote \" is not closed in this line"));
    }

    #[test]
    fn definitions_are_put_in_and_may_hold_lines() {
        let mut lexer = Lexer::new(Some("a"));
        assert!(words(&mut lexer, "$IF=eth0").is_empty());
        assert!(words(&mut lexer, "  $PEERS= 10.0.0.1 \\").is_empty());
        assert!(words(&mut lexer, "     10.0.0.2 dev $IF").is_empty());
        assert_eq!(words(&mut lexer, "interface ${IF}.7"), [["interface@1", "eth0.7@11"]]);
        assert_eq!(words(&mut lexer, "$PEERS"), [vec!["10.0.0.1@1"], vec!["10.0.0.2@1", "dev@1", "eth0@1"]]);
        assert_eq!(
            words(&mut lexer, "priority $NONE ${_ENV} $1 $"),
            [["priority@1", "$NONE@10", "${_ENV}@16", "$1@24", "$@27"]]
        );
        assert_eq!(lexer.undefined, ["NONE", "_ENV"]);
    }

    /// The example of keepalived.conf(5), in other words.
    #[test]
    fn what_a_definition_holds_is_put_in_when_it_is_used() {
        let mut lexer = Lexer::new(Some("a"));
        for line in
            ["$BASE=10.2.${SUB}", "$SUB=0", "$ONLY=@b", "$BLOCK= \\", "  $SUB=7 \\", "  @a x ${BASE}.1 \\", "  @b y"]
        {
            assert!(words(&mut lexer, line).is_empty(), "{line}");
        }
        assert_eq!(words(&mut lexer, "${BASE}.100/32"), [["10.2.0.100/32@1"]]);
        assert_eq!(words(&mut lexer, "$BLOCK"), [vec![], vec!["x@1", "10.2.7.1@1"]]);
        assert_eq!(words(&mut lexer, "${BASE}.100/32"), [["10.2.7.100/32@1"]]);
        assert!(words(&mut lexer, "$ONLY priority 1").is_empty());
    }

    #[test]
    fn definitions_that_hold_each_other_end() {
        let mut lexer = Lexer::new(None);
        for line in ["$A=$A$A", "$B=$C", "$C=$B", "$D= x \\", "$D"] {
            assert!(words(&mut lexer, line).is_empty());
        }
        for line in ["$A", "$B", "$D"] {
            assert!(lexer.line(line).is_err(), "{line}");
        }
    }

    #[test]
    fn a_nul_is_no_text() {
        let wrong = Lexer::new(None).line("notify_master /x\0y").expect_err("refused");
        assert_eq!((wrong.column, wrong.text.as_str()), (17, "a NUL character: this is no text"));
    }

    #[test]
    fn lines_for_other_nodes_are_passed_over() {
        let mut a = Lexer::new(Some("a"));
        assert_eq!(words(&mut a, "@a priority 150"), [["priority@4", "150@13"]]);
        assert_eq!(words(&mut a, "@^b  priority 150"), [["priority@6", "150@15"]]);
        assert!(words(&mut a, "@b priority 100").is_empty());
        assert!(words(&mut a, "@^a priority 100").is_empty());
        let mut nobody = Lexer::new(None);
        assert!(words(&mut nobody, "@a priority 150").is_empty());
        assert_eq!(words(&mut nobody, "@^a priority 150").len(), 1);
    }
}

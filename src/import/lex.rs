//! The text of one line, as keepalived takes it apart: comments, words and braces, and the words of a command.
//!
//! These are three grammars. Comments know only the double quote; words know only a double quote at their beginning, so
//! an apostrophe is a letter; the command of a hook or a check knows both quotes and escapes.

/// Where words end.
const BLANKS: [char; 6] = [' ', '\t', '\u{c}', '\n', '\r', '\u{b}'];

/// A line without its comment, and without blanks at both ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stripped {
    pub(super) text: String,
    /// A double quote is not closed: a `#` or `!` behind it begins no comment.
    pub(super) open_quote: bool,
}

/// Takes a comment away. A backslash at the end stays where it is behind a comment too: it says that a definition goes
/// on in the next line. `\#` and `\!` begin no comment.
pub(super) fn strip(line: &str) -> Stripped {
    let mut text = String::with_capacity(line.len());
    let (mut quoted, mut comment, mut goes_on) = (false, None, false);
    let mut rest = line.trim_start_matches([' ', '\t']).chars();
    while let Some(c) = rest.next() {
        match c {
            '\\' => match rest.next() {
                None => goes_on = true,
                Some(next @ ('#' | '!')) if !quoted => text.push(next),
                Some(next) => text.extend([c, next]),
            },
            '"' => {
                quoted ^= comment.is_none();
                text.push(c);
            }
            '!' | '#' if !quoted && comment.is_none() => {
                comment = Some(text.len());
                text.push(c);
            }
            c => text.push(c),
        }
    }
    text.truncate(comment.unwrap_or(text.len()));
    text.truncate(text.trim_end_matches([' ', '\t']).len());
    if goes_on {
        text.push('\\');
    }
    Stripped { text, open_quote: quoted }
}

/// Where the first brace stands that is not in double quotes.
pub(super) fn brace(line: &str) -> Option<usize> {
    if line.starts_with(['{', '}']) {
        return Some(0);
    }
    let mut at = 0;
    loop {
        at += line[at..].find(['{', '}', '"'])?;
        if !line[at..].starts_with('"') {
            return Some(at);
        }
        at += line[at + 1..].find('"')? + 2;
    }
}

/// The words of a line without braces, and whether a double quote is not closed: the words before it count.
pub(super) fn words(line: &str) -> (Vec<String>, bool) {
    let mut all = Vec::new();
    let mut rest = line.trim_start_matches(BLANKS);
    while !rest.is_empty() {
        let (word, behind) = match rest.strip_prefix('"') {
            Some(inside) => match inside.split_once('"') {
                Some(both) => both,
                None => return (all, true),
            },
            None => rest.split_at(rest.find(|c| BLANKS.contains(&c) || c == '"').unwrap_or(rest.len())),
        };
        all.push(word.to_owned());
        rest = behind.trim_start_matches(BLANKS);
    }
    (all, false)
}

/// A line as the words of a command: both quotes, and escapes like a shell's. `None` if it ends in the middle of a quote
/// or an escape: keepalived then takes nothing of it.
pub(super) fn command(line: &str) -> Option<Vec<String>> {
    let (mut all, mut word, mut quote) = (Vec::new(), None::<String>, None::<char>);
    let mut rest = line.chars().peekable();
    while let Some(c) = rest.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (_, '\\') => word.get_or_insert_default().push(escaped(&mut rest)?),
            (None, c) if BLANKS.contains(&c) => all.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    all.extend(word);
    quote.is_none().then_some(all)
}

/// What stands behind a backslash.
fn escaped(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<char> {
    let c = rest.next()?;
    let digits = |rest: &mut std::iter::Peekable<std::str::Chars<'_>>, radix: u32, most: usize, first: u32| {
        let mut value = first;
        for _ in 0..most {
            let Some(digit) = rest.peek().and_then(|c| c.to_digit(radix)) else { break };
            value = (value * radix + digit) & 0xff;
            rest.next();
        }
        char::from_u32(value)
    };
    match c {
        'x' if rest.peek().is_some_and(char::is_ascii_hexdigit) => digits(rest, 16, usize::MAX, 0),
        'c' => Some(rest.next().map_or('c', |c| char::from(u8::try_from(u32::from(c) & 0x1f).unwrap_or_default()))),
        '0'..='7' => digits(rest, 8, 2, c.to_digit(8)?),
        'a' => Some('\u{7}'),
        'b' => Some('\u{8}'),
        'E' => Some('\u{1b}'),
        'f' => Some('\u{c}'),
        'n' => Some('\n'),
        'r' => Some('\r'),
        't' => Some('\t'),
        'v' => Some('\u{b}'),
        c => Some(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_go_and_a_backslash_at_the_end_stays() {
        for (line, text) in [
            ("  interface eth0   ! the only one", "interface eth0"),
            ("# nothing", ""),
            ("script \"/a # b\" # c", "script \"/a # b\""),
            ("it's # here", "it's"),
            (r"a \# b", "a # b"),
            (r"$A= x \", r"$A= x\"),
            (r"$A= x # why \", r"$A= x\"),
            (r"$A= x \ # why", r"$A= x \"),
        ] {
            assert_eq!(strip(line).text, text, "{line}");
        }
        assert!(strip("script \"/a # b").open_quote && !strip("a 'b").open_quote && !strip("a # \"").open_quote);
    }

    #[test]
    fn words_know_only_the_double_quote() {
        let text = |line: &str| words(line).0.join("|");
        assert_eq!(text("state  MASTER\tx"), "state|MASTER|x");
        assert_eq!(text("label it's 'a b'"), "label|it's|'a|b'");
        assert_eq!(text(r#"script "/a b 'c'" user"#), "script|/a b 'c'|user");
        assert_eq!(text(r#"abcd" efg" """#), "abcd| efg|");
        assert_eq!(words("a \"b c"), (vec!["a".to_owned()], true));
        assert_eq!((brace("a b{c"), brace("a \"{\" }"), brace("{"), brace("a \"{")), (Some(3), Some(6), Some(0), None));
    }

    #[test]
    fn commands_know_quotes_and_escapes() {
        let text = |line: &str| command(line).map(|words| words.join("|"));
        assert_eq!(text(r#"/bin/sh -c "a 'b'" c\ d ''"#).as_deref(), Some("/bin/sh|-c|a 'b'|c d|"));
        assert_eq!(text(r#"'a"b' \x41\101\cA\n\'"#).as_deref(), Some("a\"b|AA\u{1}\n'"));
        assert_eq!((text("it's"), text("a\\")), (None, None));
    }
}

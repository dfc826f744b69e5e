//! Definitions (`$NAME=value`), where they are put in, and lines that stand for several (`~SEQ`, `~LST`).

use std::collections::{BTreeMap, VecDeque};

/// Longest line, in bytes: keepalived's buffer. A definition that would make a line longer is not put in.
pub(super) const LONGEST: usize = 1023;
/// Most definitions that are put into one line. keepalived itself never ends with `$A=$A`.
const MOST_REPLACED: usize = 1000;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    Text(String),
    /// Of a definition over several lines; none is empty.
    Lines(Vec<String>),
    /// A number from the first to the second, another one each time.
    Random,
}

/// All definitions of a node.
#[derive(Debug)]
pub(super) struct Definitions {
    all: BTreeMap<String, Value>,
    /// A definition that goes on in the next line.
    open: Option<String>,
}

/// A line with definitions put in.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Replaced {
    pub(super) text: String,
    /// What else the last definition holds: lines that follow.
    pub(super) rest: Vec<String>,
    /// Uses of `_RANDOM`, as they were written, and the number that was taken.
    pub(super) random: Vec<(String, String)>,
    /// How many were put in.
    pub(super) count: usize,
    /// The line was too long for one of them.
    pub(super) too_long: bool,
}

/// Definitions that hold each other.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Endless;

impl Definitions {
    /// Those that keepalived brings along; `id` is its config-id.
    pub(super) fn new(id: &str) -> Self {
        let text = |name: &str, value: &str| (name.to_owned(), Value::Text(value.to_owned()));
        let mut all = BTreeMap::from([text("_HASH", "#"), text("_BANG", "!"), text("_INSTANCE", id)]);
        all.insert("_RANDOM".to_owned(), Value::Random);
        Self { all, open: None }
    }

    /// Sets one, as `$NAME=value` does.
    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.all.insert(name.to_owned(), Value::Text(value.to_owned()));
    }

    /// Whether the next line belongs to a definition.
    pub(super) const fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// A line of the definition that is open; an empty one ends it.
    pub(super) fn go_on(&mut self, line: &str) {
        let Some(name) = self.open.take() else { return };
        let (text, more) = unfinished(line);
        if let (Some(Value::Lines(lines)), false) = (self.all.get_mut(&name), text.is_empty()) {
            lines.push(text.to_owned());
        }
        if more {
            self.open = Some(name);
        } else if matches!(self.all.get(&name), Some(Value::Lines(lines)) if lines.is_empty()) {
            self.set(&name, "");
        }
    }

    /// Takes `$NAME=value`; `false` if the line is none.
    pub(super) fn define(&mut self, line: &str) -> bool {
        let Some((name, value)) = line.strip_prefix('$').and_then(|rest| rest.split_once('=')) else { return false };
        if !is_name(name) {
            return false;
        }
        let value = value.trim_start_matches([' ', '\t']);
        let (text, more) = unfinished(value);
        if more {
            let lines = if text.is_empty() { Vec::new() } else { vec![text.to_owned()] };
            self.all.insert(name.to_owned(), Value::Lines(lines));
            self.open = Some(name.to_owned());
        } else {
            self.set(name, value);
        }
        true
    }

    /// The line with definitions put in; what they hold may hold others. `None` if there is none in it.
    pub(super) fn replace(&self, line: &str) -> Result<Option<Replaced>, Endless> {
        let mut done =
            Replaced { text: line.to_owned(), rest: Vec::new(), random: Vec::new(), count: 0, too_long: false };
        let mut from = 0;
        while let Some(dollar) = done.text[from..].find('$').map(|at| from + at) {
            let Some((value, length, more)) = self.used(&done.text[dollar + 1..]) else {
                from = dollar + 1;
                continue;
            };
            if done.text.len() + value.len() - length > LONGEST {
                done.too_long = true;
                return Ok(Some(done));
            }
            done.count += 1;
            if done.count > MOST_REPLACED {
                return Err(Endless);
            }
            let written = &done.text[dollar..=dollar + length];
            if written.starts_with("${_RANDOM") || written == "$_RANDOM" {
                done.random.push((written.to_owned(), value.clone()));
            }
            done.text.replace_range(dollar..=dollar + length, &value);
            done.rest.splice(0..0, more);
            if value.trim_start_matches([' ', '\t']).starts_with('~') {
                break;
            }
            from = dollar;
        }
        Ok((done.count > 0).then_some(done))
    }

    /// What stands behind a dollar, if it is defined: its value, its length, and the lines that follow.
    fn used(&self, behind: &str) -> Option<(String, usize, Vec<String>)> {
        let reference = Reference::read(behind)?;
        let at_end = reference.length == behind.len();
        match self.all.get(reference.name)? {
            Value::Random => Some((
                reference.parameters.split(' ').find(|p| !p.is_empty()).unwrap_or("0").to_owned(),
                reference.length,
                Vec::new(),
            )),
            _ if !reference.parameters.is_empty() => None,
            Value::Text(text) => Some((text.clone(), reference.length, Vec::new())),
            Value::Lines(lines) if at_end => {
                let (first, rest) = lines.split_first()?;
                Some((first.clone(), reference.length, rest.to_vec()))
            }
            Value::Lines(_) => None,
        }
    }

    /// Names that a line uses and that are not put in, each with why.
    pub(super) fn undefined(&self, line: &str) -> Vec<(String, &'static str)> {
        let mut all = Vec::new();
        for (at, _) in line.match_indices('$') {
            let behind = line[at + 1..].trim_start_matches('{');
            let name = &behind[..behind.find(|c| !is_letter(c)).unwrap_or(behind.len())];
            if !is_name(name) {
                continue;
            }
            all.push((
                name.to_owned(),
                match self.all.get(name) {
                    None => "it is not defined in these files: what stands there is taken as it is",
                    Some(Value::Lines(_)) => "it has several lines, so keepalived puts it in at the end of a line only",
                    Some(_) => "keepalived puts it in only where a blank, a comma, a ) or the end follows: write it as in ${NAME}",
                },
            ));
        }
        all
    }
}

/// A definition in use.
struct Reference<'a> {
    name: &'a str,
    /// Of `${NAME 1 2}`.
    parameters: &'a str,
    /// Behind the dollar.
    length: usize,
}

impl<'a> Reference<'a> {
    fn read(behind: &'a str) -> Option<Self> {
        let inner = behind.strip_prefix('{').unwrap_or(behind);
        let end = inner.find(|c| !is_letter(c)).unwrap_or(inner.len());
        let (name, rest) = inner.split_at(end);
        if !is_name(name) {
            return None;
        }
        if inner.len() == behind.len() {
            let ends = rest.is_empty() || rest.starts_with([' ', '\t', ',', ')']);
            return ends.then_some(Self { name, parameters: "", length: end });
        }
        let (parameters, _) = rest.split_once('}')?;
        let plain = parameters.chars().all(|c| c == ' ' || c.is_ascii_digit());
        let digits = parameters.trim_start_matches(' ');
        let length = end + parameters.len() + 2;
        (plain && !digits.ends_with(' ')).then_some(Self { name, parameters: digits, length })
    }
}

const fn is_letter(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn is_name(text: &str) -> bool {
    text.chars().all(is_letter) && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
}

/// The text before a backslash at the end, and whether there is one.
fn unfinished(line: &str) -> (&str, bool) {
    line.strip_suffix('\\').map_or((line, false), |text| (text.trim_end_matches([' ', '\t']), true))
}

#[derive(Debug)]
enum Values {
    Range { next: i64, step: i64, last: i64, hexadecimal: bool },
    Sets(VecDeque<Vec<String>>),
}

/// A line that is repeated, with definitions that change.
#[derive(Debug)]
pub(super) struct Sequence {
    names: Vec<String>,
    values: Values,
    /// The line.
    text: String,
}

impl Sequence {
    /// `~SEQ(NAME, FROM, STEP, TO) line` and `~LST({NAMES}, {VALUES}, ...) line`; `None` if it is not written like that.
    pub(super) fn read(line: &str, definitions: &Definitions) -> Option<Self> {
        match line.strip_prefix("~SEQ") {
            Some(rest) => Self::range(rest, definitions),
            None => Self::list(line.strip_prefix("~LST")?),
        }
    }

    fn range(rest: &str, definitions: &Definitions) -> Option<Self> {
        let (hexadecimal, rest) = rest.strip_prefix('x').map_or((false, rest), |rest| (true, rest));
        let rest = rest.trim_start_matches([' ', '\t']).strip_prefix('(')?.trim_start_matches([' ', '\t']);
        let (name, rest) = rest.split_once(',')?;
        let name = name.trim_end_matches([' ', '\t']);
        let (inside, text) = rest.split_once(')')?;
        if name.is_empty() || name.contains([' ', '\t', ')']) {
            return None;
        }
        // keepalived puts definitions into the numbers before it reads them.
        let inside = match definitions.replace(&format!("{inside})")).ok()? {
            Some(replaced) if replaced.rest.is_empty() => replaced.text,
            Some(_) => return None,
            None => format!("{inside})"),
        };
        let numbers = inside.strip_suffix(')')?.split(',').map(integer).collect::<Option<Vec<i64>>>()?;
        let (next, step, last) = match *numbers.as_slice() {
            [end] => (if end < 0 { -1 } else { 1 }, if end < 1 { -1 } else { 1 }, end),
            [from, to] => (from, if from <= to { 1 } else { -1 }, to),
            [from, step, to] => (from, step, to),
            _ => return None,
        };
        let wrong_way = step == 0 || (next < last && step < 0) || (next > last && step > 0);
        if wrong_way || (hexadecimal && (next < 0 || last < 0)) {
            return None;
        }
        let text = text.trim_start_matches([' ', '\t']).to_owned();
        Some(Self { names: vec![name.to_owned()], values: Values::Range { next, step, last, hexadecimal }, text })
    }

    fn list(rest: &str) -> Option<Self> {
        let mut rest = rest.trim_start_matches([' ', '\t']).strip_prefix('(')?;
        let names = set(&mut rest)?;
        let mut sets = VecDeque::new();
        while let Some(more) = rest.strip_prefix(',') {
            rest = more;
            let mut values = set(&mut rest)?;
            if values.len() > names.len() {
                return None;
            }
            values.resize(names.len(), String::new());
            sets.push_back(values);
        }
        let text = rest.strip_prefix(')')?.trim_start_matches([' ', '\t']).to_owned();
        (!sets.is_empty()).then_some(Self { names, values: Values::Sets(sets), text })
    }

    /// The next line, with the definitions that it is to be read with.
    pub(super) fn next(&mut self, definitions: &mut Definitions) -> Option<String> {
        match &mut self.values {
            Values::Range { next, step, last, hexadecimal } => {
                if (*step > 0 && *next > *last) || (*step < 0 && *next < *last) {
                    return None;
                }
                let value = if *hexadecimal { format!("{next:x}") } else { next.to_string() };
                definitions.set(&self.names[0], &value);
                // Where the numbers end so do the lines.
                match next.checked_add(*step) {
                    Some(after) => *next = after,
                    None => (*next, *last) = (1, 0),
                }
            }
            Values::Sets(sets) => {
                for (name, value) in self.names.iter().zip(sets.pop_front()?) {
                    definitions.set(name, &value);
                }
            }
        }
        Some(self.text.clone())
    }
}

/// `{A, B}` or `A`, up to the comma or parenthesis that follows.
fn set(rest: &mut &str) -> Option<Vec<String>> {
    let text = rest.trim_start_matches([' ', '\t']);
    let (inside, behind) = match text.strip_prefix('{') {
        Some(inside) => inside.split_once('}')?,
        None => text.split_at(text.find([',', ')'])?),
    };
    *rest = behind.trim_start_matches([' ', '\t']);
    Some(inside.split(',').map(|value| value.trim_matches([' ', '\t']).to_owned()).collect())
}

/// As C reads it: decimal, octal behind a zero, hexadecimal behind 0x.
fn integer(text: &str) -> Option<i64> {
    let text = text.trim_matches([' ', '\t']);
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (digits, radix) = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None if digits.len() > 1 && digits.starts_with('0') => (&digits[1..], 8),
        None => (digits, 10),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let value = i64::from_str_radix(digits, radix).ok()?;
    Some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(definitions: &Definitions, line: &str) -> Option<String> {
        definitions.replace(line).expect("ends").map(|r| r.text)
    }

    #[test]
    fn definitions_are_put_in_where_keepalived_puts_them_in() {
        let mut all = Definitions::new("a");
        for line in ["$IF=eth0", "$NET= 10.0.${SUB}", "$SUB=7"] {
            assert!(all.define(line), "{line}");
        }
        assert!(!all.define("$A B=x") && !all.define("$1=x") && !all.define("A=x"));
        for (line, wanted) in [
            ("interface ${IF}.7", Some("interface eth0.7")),
            ("interface $IF", Some("interface eth0")),
            ("${NET}.1 dev $IF label ${IF}:1", Some("10.0.7.1 dev eth0 label eth0:1")),
            ("node $_INSTANCE", Some("node a")),
            ("$IF.7 $NONE ${NONE} $", None),
        ] {
            assert_eq!(text(&all, line).as_deref(), wanted, "{line}");
        }
        let undefined: Vec<String> = all.undefined("$IF.7 ${NONE} $1").into_iter().map(|(name, _)| name).collect();
        assert_eq!(undefined, ["IF", "NONE"]);
        let random = all.replace("id ${_RANDOM 5 9} $_RANDOM").expect("ends").expect("defined");
        assert_eq!(random.text, "id 5 0");
        assert_eq!(random.random.len(), 2);
    }

    #[test]
    fn a_definition_of_several_lines_stands_at_the_end_of_a_line() {
        let mut all = Definitions::new("a");
        assert!(all.define(r"$B= \") && all.is_open());
        all.go_on(r"x  \");
        all.go_on("y");
        assert!(!all.is_open());
        let replaced = all.replace("in $B").expect("ends").expect("defined");
        assert_eq!((replaced.text.as_str(), replaced.rest), ("in x", vec!["y".to_owned()]));
        assert_eq!(all.replace("$B z"), Ok(None));
        assert!(all.define(r"$C= a\"));
        all.go_on("");
        assert_eq!(text(&all, "$C").as_deref(), Some("a"));
    }

    #[test]
    fn definitions_that_hold_each_other_end() {
        let mut all = Definitions::new("a");
        for line in ["$A=$A", "$B=$C", "$C=$B", "$D=x ${D}"] {
            assert!(all.define(line), "{line}");
        }
        assert_eq!((all.replace("$A"), all.replace("$B")), (Err(Endless), Err(Endless)));
        assert!(all.replace("$D").expect("ends").expect("defined").too_long);
    }

    #[test]
    fn sequences_are_the_lines_that_they_stand_for() {
        for (line, wanted) in [
            ("~SEQ(A, 3) x${A}", "x1 x2 x3"),
            ("~SEQ(A, 9, 1, 11) x${A}", "x9 x10 x11"),
            ("~SEQ(A,3,1) x${A}", "x3 x2 x1"),
            ("~SEQ(A, 1, 4, 6) x${A}", "x1 x5"),
            ("~SEQx(A, 9, 11) x${A}", "x9 xa xb"),
            ("~LST({A, B}, {1,2}, {3}) ${A}-${B}", "1-2 3-"),
            ("~LST(A, 1, 2) x$A", "x1 x2"),
        ] {
            let mut all = Definitions::new("a");
            let mut sequence = Sequence::read(line, &all).expect(line);
            let mut lines = Vec::new();
            while let Some(next) = sequence.next(&mut all) {
                lines.push(text(&all, &next).unwrap_or(next));
            }
            assert_eq!(lines.join(" "), wanted, "{line}");
        }
        let all = Definitions::new("a");
        for line in ["~SEQ(A)", "~SEQ(A, 1, 0, 2) x", "~SEQ(A, x) y", "~LST(A) x", "~LST({A}, {1,2}) x", "~SEQ A, 1"] {
            assert!(Sequence::read(line, &all).is_none(), "{line}");
        }
    }
}

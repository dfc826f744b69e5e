//! Reads a script.

use super::{Command, Fact, Line, NodeRef, PATIENCE, ScriptError};
use crate::sandbox::act::{Act, ApiFault};
use crate::simulation::cloud::Profile;
use havipd::config::parse_duration;
use havipd_core::model::plain::quote;
use havipd_core::model::plural::there_are;
use std::time::Duration;

/// First words of commands, for the nearest one to a mistake.
const COMMANDS: &[&str] = &[
    "note",
    "pause",
    "wait",
    "expect",
    "within",
    "kill",
    "stop",
    "cont",
    "term",
    "start",
    "partition",
    "heal",
    "api",
    "profile",
    "switchover",
    "drain",
    "undrain",
];
const FACTS: &[&str] = &["active", "holder", "packets", "up", "moves"];
const ROLES: &[&str] = &["active", "previous", "standby"];

/// Column and message.
type Wrong = (usize, String);

/// Reads a script for a cluster of these nodes.
///
/// # Errors
/// Everything that is wrong with it.
pub fn parse(text: &str, nodes: &[String]) -> Result<Vec<Line>, Vec<ScriptError>> {
    let (mut lines, mut errors) = (Vec::new(), Vec::new());
    for (number, text) in (1..).zip(text.lines()) {
        match read_line(text, nodes) {
            Ok(Some((command, within, text))) => lines.push(Line { number, text, within, command }),
            Ok(None) => {}
            Err((column, message)) => errors.push(ScriptError { line: number, column, message }),
        }
    }
    if errors.is_empty() { Ok(lines) } else { Err(errors) }
}

/// A word and the column that it begins in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Word<'a> {
    text: &'a str,
    column: usize,
}

/// Words are divided by space; `,` and `->` are words of their own; `#` ends the line.
fn words(line: &str) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    let (mut column, mut rest) = (1, line);
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '#' => break,
            ',' => 1,
            _ if rest.starts_with("->") => 2,
            _ if first.is_whitespace() => first.len_utf8(),
            _ => {
                let end =
                    |(i, c): (usize, char)| c.is_whitespace() || matches!(c, ',' | '#') || rest[i..].starts_with("->");
                rest.char_indices().find(|&at| end(at)).map_or(rest.len(), |(i, _)| i)
            }
        };
        let (text, after) = rest.split_at(length);
        if !first.is_whitespace() {
            words.push(Word { text, column });
        }
        column += text.chars().count();
        rest = after;
    }
    words
}

fn read_line(line: &str, nodes: &[String]) -> Result<Option<(Command, Duration, String)>, Wrong> {
    let trimmed = line.trim();
    // A note is free text: what looks like a comment in it is part of it.
    if let Some(text) = trimmed.strip_prefix("note").filter(|t| t.is_empty() || t.starts_with(char::is_whitespace)) {
        return Ok(Some((Command::Note(text.trim().to_owned()), Duration::ZERO, trimmed.to_owned())));
    }
    let words = words(line);
    let Some(last) = words.last() else { return Ok(None) };
    let end = last.column + last.text.chars().count();
    let mut reader = Reader { words: &words, at: 0, end, nodes };
    let within = reader.within()?;
    let (command, usual) = reader.command()?;
    reader.nothing_more()?;
    let within = match (within, usual) {
        (Some((_, given)), Some(_)) => given,
        (Some((column, _)), None) => {
            return Err((column, "\"within\" goes with wait, expect, switchover, drain and undrain only".to_owned()));
        }
        (None, usual) => usual.unwrap_or_default(),
    };
    let text = line.chars().take(end - 1).collect::<String>().trim().to_owned();
    Ok(Some((command, within, text)))
}

struct Reader<'a> {
    words: &'a [Word<'a>],
    at: usize,
    /// Column behind the last word.
    end: usize,
    nodes: &'a [String],
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<Word<'a>> {
        self.words.get(self.at).copied()
    }

    fn next(&mut self, what: &str) -> Result<Word<'a>, Wrong> {
        let word = self.peek().ok_or_else(|| (self.end, format!("expected {what} here")))?;
        self.at += 1;
        Ok(word)
    }

    fn take(&mut self, text: &str) -> bool {
        let taken = self.peek().is_some_and(|w| w.text == text);
        self.at += usize::from(taken);
        taken
    }

    fn nothing_more(&self) -> Result<(), Wrong> {
        match self.peek() {
            Some(word) => Err((word.column, format!("expected the end of the line, not {}", quote(word.text)))),
            None => Ok(()),
        }
    }

    fn duration(&mut self) -> Result<Duration, Wrong> {
        let word = self.next("a duration like 500ms, 10s or 2m")?;
        parse_duration(word.text)
            .ok_or_else(|| (word.column, format!("{} is no duration like 500ms, 10s or 2m", quote(word.text))))
    }

    /// `within DURATION`, with the column of the word.
    fn within(&mut self) -> Result<Option<(usize, Duration)>, Wrong> {
        let Some(word) = self.peek().filter(|w| w.text == "within") else { return Ok(None) };
        self.at += 1;
        Ok(Some((word.column, self.duration()?)))
    }

    /// A command, and how long it may take if it is one that waits.
    fn command(&mut self) -> Result<(Command, Option<Duration>), Wrong> {
        let word = self.next("a command")?;
        let at_once = |act| Ok((Command::Do(act), None));
        let patient = |act| Ok((Command::Do(act), Some(PATIENCE)));
        match word.text {
            "pause" => Ok((Command::Pause(self.duration()?), None)),
            "wait" => Ok((Command::Wait(self.fact()?), Some(PATIENCE))),
            "expect" => Ok((Command::Expect(self.fact()?), Some(Duration::ZERO))),
            "kill" => at_once(Act::Kill(self.node()?)),
            "stop" => at_once(Act::Stop(self.node()?)),
            "cont" => at_once(Act::Continue(self.node()?)),
            "term" => at_once(Act::Terminate(self.node()?)),
            "start" => at_once(Act::Start(self.node()?)),
            "partition" => at_once(self.partition()?),
            "heal" => at_once(Act::Heal),
            "api" => at_once(self.api()?),
            "profile" => at_once(self.profile()?),
            "switchover" => patient(Act::Switchover(self.node()?)),
            "drain" => patient(Act::Drain(self.node()?)),
            "undrain" => patient(Act::Undrain(self.node()?)),
            other => Err((word.column, unknown("command", other, COMMANDS.iter().copied()))),
        }
    }

    fn fact(&mut self) -> Result<Fact<NodeRef>, Wrong> {
        let word = self.next("active, holder, packets, up or moves")?;
        match word.text {
            "active" if self.peek().is_none() => Ok(Fact::Active(None)),
            "active" => Ok(Fact::Active(Some(self.node()?))),
            "holder" => Ok(Fact::Holder(self.node()?)),
            "packets" => Ok(Fact::Packets(self.node()?)),
            "up" => Ok(Fact::Up(self.node()?)),
            "moves" => {
                let number = self.next("a number")?;
                let wrong = |_| (number.column, format!("{} is no number", quote(number.text)));
                number.text.parse().map(Fact::Moves).map_err(wrong)
            }
            other => Err((word.column, unknown("fact", other, FACTS.iter().copied()))),
        }
    }

    fn node(&mut self) -> Result<NodeRef, Wrong> {
        let word = self.next("a node")?;
        match word.text {
            name if self.nodes.iter().any(|n| n == name) => Ok(NodeRef::Named(name.to_owned())),
            "active" => Ok(NodeRef::Active),
            "previous" => Ok(NodeRef::Previous),
            "standby" => Ok(NodeRef::Standby),
            other => {
                let known = self.nodes.iter().map(String::as_str).chain(ROLES.iter().copied());
                Err((word.column, unknown("node", other, known)))
            }
        }
    }

    fn nodes(&mut self) -> Result<Vec<NodeRef>, Wrong> {
        let mut nodes = vec![self.node()?];
        while self.take(",") {
            nodes.push(self.node()?);
        }
        Ok(nodes)
    }

    fn partition(&mut self) -> Result<Act<NodeRef>, Wrong> {
        let mut nodes = self.nodes()?;
        let arrow = self.peek().map(|w| w.column);
        if !self.take("->") {
            return Ok(Act::Partition(nodes));
        }
        match (nodes.pop(), nodes.is_empty()) {
            (Some(from), true) => Ok(Act::OneWay { from, to: self.nodes()? }),
            _ => Err((arrow.unwrap_or(self.end), "only one node can be on the left of ->".to_owned())),
        }
    }

    fn api(&mut self) -> Result<Act<NodeRef>, Wrong> {
        let node = if self.take("all") { None } else { Some(self.node()?) };
        let word = self.next("a status, hang, throttle or ok")?;
        let fault = match word.text {
            "ok" => None,
            "hang" => Some(ApiFault::Hang),
            "throttle" => Some(ApiFault::Throttle),
            other => match other.parse() {
                Ok(status @ 400..=599) => Some(ApiFault::Status(status)),
                _ => {
                    let text = format!("{} is none of hang, throttle, ok and no status from 400 to 599", quote(other));
                    return Err((word.column, text));
                }
            },
        };
        Ok(Act::Api { node, fault })
    }

    fn profile(&mut self) -> Result<Act<NodeRef>, Wrong> {
        let word = self.next("the name of a profile")?;
        let profile = word.text.parse::<Profile>().map_err(|e| (word.column, e.to_string()))?;
        Ok(Act::Profile(profile.name))
    }
}

fn unknown<'a>(what: &str, given: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    let near = known.clone().map(|k| (strsim::damerau_levenshtein(k, given), k)).min();
    match near {
        Some((distance, nearest)) if distance <= 2 && distance < given.chars().count() => {
            format!("there is no {what} {}; did you mean {}?", quote(given), quote(nearest))
        }
        _ => format!("there is no {what} {}; {}", quote(given), there_are(known)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::FAILOVER;
    use super::*;

    fn nodes() -> Vec<String> {
        ["a", "b", "c"].map(str::to_owned).to_vec()
    }

    fn one(text: &str) -> Command {
        let lines = parse(text, &nodes()).unwrap();
        assert_eq!(lines.len(), 1, "{text}");
        lines[0].command.clone()
    }

    fn named(name: &str) -> NodeRef {
        NodeRef::Named(name.to_owned())
    }

    #[test]
    fn every_command_is_read() {
        let (a, b) = (|| named("a"), || named("b"));
        for (text, command) in [
            ("note  it is # said ", Command::Note("it is # said".to_owned())),
            ("pause 500ms", Command::Pause(Duration::from_millis(500))),
            ("wait active", Command::Wait(Fact::Active(None))),
            ("wait active b # soon", Command::Wait(Fact::Active(Some(b())))),
            ("expect holder previous", Command::Expect(Fact::Holder(NodeRef::Previous))),
            ("expect packets active", Command::Expect(Fact::Packets(NodeRef::Active))),
            ("wait up standby", Command::Wait(Fact::Up(NodeRef::Standby))),
            ("expect moves 3", Command::Expect(Fact::Moves(3))),
            ("\tkill a", Command::Do(Act::Kill(a()))),
            ("stop a", Command::Do(Act::Stop(a()))),
            ("cont a", Command::Do(Act::Continue(a()))),
            ("term a", Command::Do(Act::Terminate(a()))),
            ("start a", Command::Do(Act::Start(a()))),
            ("partition a", Command::Do(Act::Partition(vec![a()]))),
            ("partition a,b", Command::Do(Act::Partition(vec![a(), b()]))),
            ("partition a->b", Command::Do(Act::OneWay { from: a(), to: vec![b()] })),
            ("partition a -> b, active", Command::Do(Act::OneWay { from: a(), to: vec![b(), NodeRef::Active] })),
            ("heal", Command::Do(Act::Heal)),
            ("api all 503", Command::Do(Act::Api { node: None, fault: Some(ApiFault::Status(503)) })),
            ("api a hang", Command::Do(Act::Api { node: Some(a()), fault: Some(ApiFault::Hang) })),
            ("api b throttle", Command::Do(Act::Api { node: Some(b()), fault: Some(ApiFault::Throttle) })),
            ("api b ok", Command::Do(Act::Api { node: Some(b()), fault: None })),
            ("profile garp-moves", Command::Do(Act::Profile("garp-moves".to_owned()))),
            ("switchover b", Command::Do(Act::Switchover(b()))),
            ("drain b", Command::Do(Act::Drain(b()))),
            ("undrain b", Command::Do(Act::Undrain(b()))),
        ] {
            assert_eq!(one(text), command, "{text}");
        }
    }

    #[test]
    fn what_waits_has_a_deadline() {
        let within = |text: &str| parse(text, &nodes()).unwrap()[0].within;
        assert_eq!(within("wait active"), PATIENCE);
        assert_eq!(within("within 10s wait active"), Duration::from_secs(10));
        assert_eq!(within("expect active a"), Duration::ZERO);
        assert_eq!(within("within 2s expect active a"), Duration::from_secs(2));
        assert_eq!(within("switchover a"), PATIENCE);
    }

    #[test]
    fn a_line_keeps_its_number_and_text() {
        let lines = parse("\n# nothing\n  wait active a  # comment\nheal\n", &nodes()).unwrap();
        let shown: Vec<(usize, &str)> = lines.iter().map(|l| (l.number, l.text.as_str())).collect();
        assert_eq!(shown, [(3, "wait active a"), (4, "heal")]);
    }

    #[test]
    fn everything_wrong_is_said_with_line_and_column() {
        let text = "klil a\nkill d\nkill\nwait\nwait aktive\nwithin soon wait active\n  within 3s kill a\n\
                    partition a,b -> c\napi a 200\nprofile x\nheal now\nexpect moves many\nstart ä b";
        let errors = parse(text, &nodes()).unwrap_err();
        let shown: Vec<String> = errors.iter().map(ToString::to_string).collect();
        let expected = [
            "1:1: there is no command \"klil\"; did you mean \"kill\"?",
            "2:6: there is no node \"d\"; there are a, b, c, active, previous, standby",
            "3:5: expected a node here",
            "4:5: expected active, holder, packets, up or moves here",
            "5:6: there is no fact \"aktive\"; did you mean \"active\"?",
            "6:8: \"soon\" is no duration like 500ms, 10s or 2m",
            "7:3: \"within\" goes with wait, expect, switchover, drain and undrain only",
            "8:15: only one node can be on the left of ->",
            "9:7: \"200\" is none of hang, throttle, ok and no status from 400 to 599",
            "10:9: no profile \"x\"; there are",
            "11:6: expected the end of the line, not \"now\"",
            "12:14: \"many\" is no number",
            "13:7: there is no node \"ä\"; there are a, b, c, active, previous, standby",
        ];
        assert_eq!(shown.len(), expected.len(), "{shown:#?}");
        for (shown, expected) in shown.iter().zip(expected) {
            assert!(shown.starts_with(expected), "{shown:?}, not {expected:?}");
        }
    }

    #[test]
    fn the_built_in_script_is_right() {
        let lines = parse(FAILOVER, &nodes()).unwrap();
        assert!(lines.iter().any(|l| l.command == Command::Do(Act::Kill(NodeRef::Active))));
    }
}

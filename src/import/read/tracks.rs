//! What instances and sync groups track: scripts, processes, files, links.
//!
//! Source: what keepalived 2.2.7 says that it loaded, also of values that it refuses.

use crate::import::lex;
use crate::import::note::{Kind, Notes};
use crate::import::parse::Statement;
use crate::import::words;
use crate::plain::quote;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

/// What a weight may be with us and, but for files and processes, with keepalived.
const MOST: i32 = 253;
/// What keepalived lets a file or a process have.
const MOST_OF_FILES: i32 = 254;
/// Seconds; havipd's longest interval.
const LONGEST: u32 = 3600;
/// havipd's most failures, or good results, in a row.
const MOST_IN_A_ROW: u32 = 100;
/// The kernel cuts names of processes.
const COMM: usize = 15;

const UNDEFINED: &str = "it is not defined in the lines before: keepalived goes on without it";

/// A program that is run again and again.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::import) struct Script {
    pub(in crate::import) argv: Vec<String>,
    /// Seconds.
    pub(in crate::import) interval: u32,
    /// Seconds; `None` is the interval.
    pub(in crate::import) timeout: Option<u32>,
    pub(in crate::import) rise: u32,
    pub(in crate::import) fall: u32,
    /// What it is before its first verdict, if that is said.
    pub(in crate::import) initial: Option<&'static str>,
}

/// What is looked at.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::import) enum Watch {
    Script(Script),
    Process(String),
    File(String),
    Link(String),
}

/// What it does to the priority; 0 is fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(in crate::import) struct Weight {
    pub(in crate::import) value: i32,
    pub(in crate::import) reverse: bool,
}

/// Something that is tracked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::import) struct Track {
    pub(in crate::import) name: String,
    pub(in crate::import) watch: Watch,
    pub(in crate::import) weight: Weight,
    pub(in crate::import) place: Rc<str>,
}

/// What can be tracked by its name.
#[derive(Debug)]
struct Definition {
    watch: Watch,
    weight: Weight,
    /// What of it has no counterpart: told where it is tracked.
    remarks: Vec<(Kind, Rc<str>, String, String)>,
    /// What is no name of a program: keepalived finds none and goes on without it.
    missing: Option<String>,
}

/// What an instance or a sync group tracks, in the order of its lines.
#[derive(Debug, Default)]
pub(super) struct Tracks {
    /// The interface that the instance speaks VRRP on. keepalived watches it anyway: down is FAULT, whatever weight is
    /// written.
    pub(super) primary: Option<String>,
    pub(super) all: Vec<Track>,
    /// The keyword and the name of each.
    known: HashSet<(String, String)>,
}

impl Tracks {
    pub(super) fn beside(primary: Option<String>) -> Self {
        Self { primary, ..Self::default() }
    }
}

/// What the lines so far define, by the keyword that tracks it and its name; the first of a name counts.
#[derive(Debug, Default)]
pub(super) struct Definitions(HashMap<&'static str, HashMap<String, Definition>>);

impl Definitions {
    /// Takes one in, if the statement defines something.
    pub(super) fn add(&mut self, statement: &Statement, notes: &mut Notes) {
        let by = match statement.key() {
            "vrrp_script" => "track_script",
            "vrrp_track_process" | "track_process" => "track_process",
            "vrrp_track_file" | "track_file" => "track_file",
            _ => return,
        };
        let Some(name) = statement.value().map(str::to_owned) else { return };
        let mut made = Made { weight: Weight::default(), remarks: Vec::new(), missing: None };
        let watch = match by {
            "track_script" => made.script(statement),
            "track_process" => made.process(statement),
            _ => made.file(statement),
        };
        let Made { weight, remarks, missing } = made;
        match watch {
            Some(watch) => {
                let of_its_kind = self.0.entry(by).or_default();
                of_its_kind.entry(name).or_insert(Definition { watch, weight, remarks, missing });
            }
            None => {
                let why = "it does not say what is looked at: keepalived goes on without it";
                notes.add(Kind::Lost, statement.at(), format!("{} {name}", statement.key()), why);
            }
        }
    }

    fn find(&self, by: &str, name: &str) -> Option<&Definition> {
        self.0.get(by)?.get(name)
    }

    /// Takes what is tracked; `false` if the statement tracks nothing.
    pub(super) fn tracked(&self, statement: &Statement, tracks: &mut Tracks, notes: &mut Notes) -> bool {
        let by = statement.key();
        if !matches!(by, "track_script" | "track_process" | "track_file" | "track_interface" | "track_bfd") {
            return false;
        }
        for entry in statement.inside() {
            let name = entry.key();
            let mut leave = |kind: Kind, why: &str| notes.add(kind, entry.at(), format!("{by} {name}"), why);
            if by == "track_bfd" {
                leave(
                    Kind::Lost,
                    "havipd has no BFD: heartbeat.interval and dead-multiplier say how soon a peer is dead; for another host a \
                     [[check]] with ping",
                );
                continue;
            }
            let definition = self.find(by, name);
            let watch = match (by, definition) {
                ("track_interface", _) if words::is_interface(name) => Watch::Link(name.to_owned()),
                ("track_interface", _) => {
                    leave(Kind::Lost, "it is not the name of an interface");
                    continue;
                }
                (_, Some(definition)) => definition.watch.clone(),
                (_, None) => {
                    leave(Kind::Lost, UNDEFINED);
                    continue;
                }
            };
            let key = (by.to_owned(), name.to_owned());
            if tracks.known.contains(&key) {
                leave(Kind::Lost, "it is there twice: keepalived takes the first");
                continue;
            }
            let most = if matches!(by, "track_file" | "track_process") { MOST_OF_FILES } else { MOST };
            let default = definition.map(|d| d.weight).unwrap_or_default();
            let weight = match options(&entry.words[1..], default, most) {
                Ok((weight, None)) => weight,
                Ok((weight, Some(why))) => {
                    leave(Kind::Lost, &why);
                    weight
                }
                Err(why) => {
                    leave(Kind::Lost, &format!("{why}: keepalived goes on without it"));
                    continue;
                }
            };
            if let Some(word) = definition.and_then(|d| d.missing.as_ref()) {
                leave(Kind::Lost, &words::no_shell(word));
                continue;
            }
            let primary = matches!(&watch, Watch::Link(link) if tracks.primary.as_ref() == Some(link));
            let weight = if primary { Weight::default() } else { weight };
            for (kind, place, what, why) in definition.into_iter().flat_map(|d| &d.remarks) {
                notes.add(*kind, Some(place.to_string()), what.as_str(), why.as_str());
            }
            tracks.known.insert(key);
            tracks.all.push(Track { name: name.to_owned(), watch, weight, place: Rc::clone(&entry.place) });
        }
        true
    }
}

/// What stands behind a name that is tracked: the weight, and what is to be said of it. The error is why keepalived does not
/// track it.
fn options(words: &[String], default: Weight, most: i32) -> Result<(Weight, Option<String>), String> {
    let refused =
        |word: &str| format!("it has {word} where keepalived expects weight and a number", word = quote(word));
    match words {
        [] => Ok((default, None)),
        [word] if word == "weight" => Err("its weight has no number".to_owned()),
        [word, number, rest @ ..] if word == "weight" => {
            let Some(value) = integer(number, most) else {
                let why =
                    format!("weight {number} is not a number from -{most} to {most}: keepalived goes on without that");
                return Ok((default, Some(why)));
            };
            match rest {
                [] => Ok((Weight { value, reverse: false }, None)),
                [word, ..] if word == "reverse" => Ok((Weight { value, reverse: true }, None)),
                [word, ..] => Ok((
                    Weight { value, reverse: false },
                    Some(format!("keepalived passes over {word}", word = quote(word))),
                )),
            }
        }
        [word, ..] => Err(refused(word)),
    }
}

/// A whole number, letters behind it passed over.
fn integer(text: &str, most: i32) -> Option<i32> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    let number: i32 = digits[..end].parse().ok()?;
    let number = if text.starts_with('-') { -number } else { number };
    (-most..=most).contains(&number).then_some(number)
}

/// A definition in the making.
struct Made {
    weight: Weight,
    remarks: Vec<(Kind, Rc<str>, String, String)>,
    missing: Option<String>,
}

impl Made {
    fn remark(&mut self, kind: Kind, at: &Statement, why: impl Into<String>) {
        let what = crate::plain::line(&at.line);
        self.remarks.push((kind, Rc::clone(&at.place), what.trim().to_owned(), why.into()));
    }

    fn weight(&mut self, statement: &Statement, most: i32) {
        let value = statement.value().unwrap_or_default();
        match integer(value, most) {
            Some(value) => {
                let reverse = statement.words.get(2).is_some_and(|word| word == "reverse");
                self.weight = Weight { value, reverse };
            }
            None => self.remark(
                Kind::Lost,
                statement,
                format!("it is not a number from -{most} to {most}: keepalived goes on without it"),
            ),
        }
    }

    /// A number as keepalived takes it, and as havipd can have it.
    fn number(&mut self, statement: &Statement, most: u32) -> u32 {
        let value = statement.value().unwrap_or_default();
        let Some(number) = words::number(value, 1, i32::MAX.unsigned_abs(), true) else {
            self.remark(Kind::Lost, statement, "it is not a number above 0: keepalived takes 1");
            return 1;
        };
        if number > most {
            self.remark(Kind::OwnWay, statement, format!("{most} is the most that can be had"));
        }
        number.min(most)
    }

    fn script(&mut self, statement: &Statement) -> Option<Watch> {
        let mut argv = None;
        let mut script = Script { argv: Vec::new(), interval: 1, timeout: None, rise: 1, fall: 1, initial: None };
        for inside in statement.inside() {
            match inside.key() {
                // One word, which is a command line: in quotes if it has arguments.
                "script" => argv = inside.value().and_then(lex::command).filter(|argv| !argv.is_empty()).or(argv),
                "interval" => script.interval = self.number(inside, LONGEST),
                "timeout" => script.timeout = Some(self.number(inside, LONGEST)),
                "rise" => script.rise = self.number(inside, MOST_IN_A_ROW),
                "fall" => script.fall = self.number(inside, MOST_IN_A_ROW),
                "weight" => self.weight(inside, MOST),
                "init_fail" => script.initial = Some("down"),
                "user" => self.remark(
                    Kind::OwnWay,
                    inside,
                    "a check runs as the user of the daemon, and without its capabilities",
                ),
                _ => {}
            }
        }
        self.missing = argv.as_ref().and_then(|argv| argv.first()).filter(|word| words::is_assignment(word)).cloned();
        script.argv =
            argv.filter(|argv| argv.first().is_some_and(|p| !p.is_empty()) && !argv.iter().any(|w| w.contains('\0')))?;
        if script.timeout.is_some_and(|timeout| timeout > script.interval)
            && let Some(inside) = statement.inside().iter().find(|s| s.key() == "timeout")
        {
            let why = "a run is ended before the next begins: as long as interval is the most";
            self.remark(Kind::OwnWay, inside, why);
            script.timeout = None;
        }
        Some(Watch::Script(script))
    }

    fn process(&mut self, statement: &Statement) -> Option<Watch> {
        let mut process = None;
        for inside in statement.inside() {
            match inside.key() {
                "process" => {
                    process = inside.value().map(str::to_owned).or(process);
                    if inside.words.len() > 2 {
                        self.remark(
                            Kind::Lost,
                            inside,
                            "havipd looks for a process by its name, whatever its arguments",
                        );
                    }
                }
                "weight" => self.weight(inside, MOST_OF_FILES),
                "quorum" if inside.value() == Some("1") => {}
                "quorum" | "quorum_max" | "param_match" | "full_command" => {
                    self.remark(Kind::Lost, inside, "one process of that name is enough");
                }
                "delay" | "terminate_delay" | "fork_delay" => {
                    self.remark(Kind::Lost, inside, "its end, and its beginning, are noticed at once");
                }
                _ => {}
            }
        }
        let path = process?;
        let name = path.rsplit('/').next().unwrap_or_default();
        let end = (0..=COMM.min(name.len())).rfind(|&end| name.is_char_boundary(end)).unwrap_or_default();
        let name = name[..end].trim();
        (!name.is_empty() && !name.chars().any(crate::plain::is_odd)).then(|| Watch::Process(name.to_owned()))
    }

    fn file(&mut self, statement: &Statement) -> Option<Watch> {
        let mut file = None;
        // keepalived's default here, and nowhere else.
        self.weight = Weight { value: 1, reverse: false };
        for inside in statement.inside() {
            match inside.key() {
                "file" => file = inside.value().map(str::to_owned).or(file),
                "weight" => self.weight(inside, MOST_OF_FILES),
                "init_file" => {
                    self.remark(Kind::Lost, inside, "havipd writes no file: none at all, and an empty one, are 0");
                }
                _ => {}
            }
        }
        file.filter(|f| !f.is_empty() && !f.contains('\0')).map(Watch::File)
    }
}

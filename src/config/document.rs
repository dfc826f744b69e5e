//! Walks a parsed TOML document by the table of keys. Serde stops at the first error; walking by
//! hand finds every unknown key and every wrong value at once, each with its place.

use super::diagnostic::{Report, Span, quote};
use super::schema::{self, Key, Kind, Preset, Section};
use super::value::{Address, parse_duration};
use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A value and where it stands; for a default, where its table begins.
#[derive(Debug, Clone)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) span: Span,
    /// The file has it; otherwise it is the default.
    pub(super) written: bool,
}

impl<T> At<T> {
    fn written(value: T, span: Span) -> Self {
        Self { value, span, written: true }
    }

    pub(super) fn map<U>(self, f: impl FnOnce(T) -> U) -> At<U> {
        At { value: f(self.value), span: self.span, written: self.written }
    }
}

/// A program as the file gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    /// A path, resolved like every path of the file.
    Path(String),
    /// A program and its arguments, as they are.
    Argv(Vec<String>),
}

/// Why a value cannot be taken.
enum Wrong {
    /// It is not what the table of keys says; the text is what it is.
    Not(String),
    /// It is, but this is wrong with it.
    Because(String),
    /// Already reported, with a better place.
    Reported,
}

struct Entry<'d> {
    name: &'d str,
    key: Span,
    value: &'d Spanned<DeValue<'d>>,
}

/// One table of the document.
pub(super) struct Table<'d> {
    section: Section,
    header: &'static str,
    span: Span,
    entries: Vec<Entry<'d>>,
    report: &'d Report,
    /// Whether a required key that is missing is an error: not where the whole table is missing, nor
    /// after a syntax error, which may have hidden it.
    complete: bool,
}

impl<'d> Table<'d> {
    /// The top level.
    pub(super) fn root(document: &'d Spanned<DeTable<'d>>, report: &'d Report, complete: bool) -> Self {
        Self::open(Section::Root, Section::Root.header(), document.span(), document.get_ref(), report, complete)
    }

    fn open(
        section: Section,
        header: &'static str,
        span: Span,
        table: &'d DeTable<'d>,
        report: &'d Report,
        complete: bool,
    ) -> Self {
        let entries: Vec<Entry<'d>> =
            table.iter().map(|(key, value)| Entry { name: key.get_ref(), key: key.span(), value }).collect();
        let this = Self { section, header, span, entries, report, complete };
        this.check_names();
        this
    }

    fn check_names(&self) {
        for entry in &self.entries {
            let place = if self.section == Section::Root { String::new() } else { format!(" in {}", self.header) };
            match schema::key(self.section, entry.name).map(|k| k.kind) {
                None => self.report.error_with(
                    &entry.key,
                    format!("unknown key {}{place}", quote(entry.name)),
                    schema::advice(self.section, entry.name),
                ),
                Some(Kind::Later) => {
                    self.report.error(&entry.key, format!("{:?}{place} is not available in this version", entry.name))
                }
                Some(Kind::LaterUnless(word)) if text_of(entry.value.get_ref()) != Some(word) => {
                    self.report.error_with(
                        &entry.key,
                        format!("{:?}{place} is not available in this version", entry.name),
                        format!("leave it out, or write {word:?}"),
                    );
                }
                Some(_) => {}
            }
        }
    }

    /// Where it begins.
    pub(super) fn span(&self) -> &Span {
        &self.span
    }

    /// Where the name of a key stands, if the table has it.
    pub(super) fn key_span(&self, name: &str) -> Option<Span> {
        self.entries.iter().find(|e| e.name == name).map(|e| e.key.clone())
    }

    fn row(&self, name: &str) -> &'static Key {
        schema::key(self.section, name).expect("the table of keys has every key that is read")
    }

    fn missing(&self, name: &str) {
        if !self.complete {
            return;
        }
        if self.section == Section::Root {
            let header = match self.row(name).kind {
                Kind::Table(section) | Kind::Tables(section, ..) => section.header(),
                _ => name,
            };
            self.report.error_nowhere(format!("{header} is missing"), None);
        } else {
            let expects = format!("it takes {}", self.row(name).kind.expects());
            self.report.error_with(&self.span, format!("{name:?} is missing in {}", self.header), expects);
        }
    }

    fn read<T>(&self, name: &str, parse: impl Fn(&Kind, &Spanned<DeValue<'_>>) -> Result<T, Wrong>) -> Option<At<T>> {
        let row = self.row(name);
        let Some(entry) = self.entries.iter().find(|e| e.name == name) else {
            return match row.preset {
                Preset::Absent => None,
                Preset::Required => {
                    self.missing(name);
                    None
                }
                Preset::Value(text) => {
                    let value = DeValue::parse(text).expect("defaults are TOML");
                    let value = parse(&row.kind, &value).ok().expect("defaults are in range");
                    Some(At { value, span: self.span.clone(), written: false })
                }
            };
        };
        let span = entry.value.span();
        match parse(&row.kind, entry.value) {
            Ok(value) => return Some(At::written(value, span)),
            Err(Wrong::Not(found)) => {
                self.report.error(&span, format!("{name:?} must be {}, not {found}", row.kind.expects()));
            }
            Err(Wrong::Because(why)) => self.report.error(&span, format!("{name:?}: {why}")),
            Err(Wrong::Reported) => {}
        }
        None
    }

    /// A string that its own type reads.
    pub(super) fn text<T: FromStr<Err: Display>>(&self, name: &str) -> Option<At<T>> {
        self.read(name, |_, value| {
            let text = text_of(value.get_ref()).ok_or_else(|| not(value))?;
            text.parse().map_err(|e: T::Err| Wrong::Because(e.to_string()))
        })
    }

    /// A path, not yet resolved.
    pub(super) fn path(&self, name: &str) -> Option<At<String>> {
        self.read(name, |_, value| match text_of(value.get_ref()) {
            None => Err(not(value)),
            Some(text) if text.is_empty() || text.contains('\0') => Err(not(value)),
            Some(text) => Ok(text.to_owned()),
        })
    }

    pub(super) fn bool(&self, name: &str) -> Option<At<bool>> {
        self.read(name, |_, value| match value.get_ref() {
            DeValue::Boolean(b) => Ok(*b),
            _ => Err(not(value)),
        })
    }

    pub(super) fn integer<T: TryFrom<i64>>(&self, name: &str) -> Option<At<T>> {
        self.read(name, |kind, value| {
            let Kind::Integer(min, max) = kind else { unreachable!("{name} is a whole number") };
            match integer_of(value.get_ref()) {
                Some(n) if (*min..=*max).contains(&n) => T::try_from(n).map_err(|_| not(value)),
                _ => Err(not(value)),
            }
        })
    }

    pub(super) fn number(&self, name: &str) -> Option<At<f64>> {
        self.read(name, |kind, value| {
            let Kind::Number(min, max) = kind else { unreachable!("{name} is a number") };
            let number = match value.get_ref() {
                DeValue::Float(f) => f.as_str().parse::<f64>().ok(),
                DeValue::Integer(n) => n.as_str().parse::<f64>().ok().filter(|_| n.radix() == 10),
                _ => None,
            };
            number.filter(|n| (*min..=*max).contains(n)).ok_or_else(|| not(value))
        })
    }

    /// A duration; `None` inside is `"forever"`, where the key takes it.
    fn span_or_forever(&self, name: &str) -> Option<At<Option<Duration>>> {
        self.read(name, |kind, value| {
            let text = text_of(value.get_ref()).ok_or_else(|| not(value))?;
            let (min, max, whole) = match kind {
                Kind::Duration(min, max) => (min, max, false),
                Kind::Seconds(min, max) => (min, max, true),
                Kind::SecondsOrForever(..) if text == "forever" => return Ok(None),
                Kind::SecondsOrForever(min, max) => (min, max, true),
                _ => unreachable!("{name} is a duration"),
            };
            let Some(span) = parse_duration(text) else {
                let how = "write a whole number and one of ms, s, m, h, as in \"500ms\"";
                return Err(Wrong::Because(format!("{} is not a duration: {how}", quote(text))));
            };
            let fits = (min..=max).contains(&&span) && !(whole && span.subsec_nanos() != 0);
            if fits { Ok(Some(span)) } else { Err(not(value)) }
        })
    }

    pub(super) fn duration(&self, name: &str) -> Option<At<Duration>> {
        let at = self.span_or_forever(name)?;
        let span = at.value.expect("only a lifetime takes \"forever\"");
        Some(at.map(|_| span))
    }

    /// The lifetime of an address; `None` inside is `"forever"`.
    pub(super) fn lifetime(&self, name: &str) -> Option<At<Option<Duration>>> {
        self.span_or_forever(name)
    }

    /// One of the words that the table of keys lists.
    pub(super) fn choice(&self, name: &str) -> Option<At<&'static str>> {
        self.read(name, |kind, value| {
            let Kind::Choice(words) = kind else { unreachable!("{name} is a choice") };
            let text = text_of(value.get_ref());
            words.iter().find(|w| Some(**w) == text).copied().ok_or_else(|| not(value))
        })
    }

    pub(super) fn command(&self, name: &str) -> Option<At<Command>> {
        self.read(name, |_, value| {
            let usable = |text: &str| !text.contains('\0');
            match value.get_ref() {
                DeValue::String(path) if !path.is_empty() && usable(path) => Ok(Command::Path(path.to_string())),
                DeValue::Array(items) => {
                    let argv: Option<Vec<String>> =
                        items.iter().map(|i| text_of(i.get_ref()).filter(|t| usable(t)).map(str::to_owned)).collect();
                    match argv {
                        Some(argv) if argv.first().is_some_and(|program| !program.is_empty()) => {
                            Ok(Command::Argv(argv))
                        }
                        _ => Err(not(value)),
                    }
                }
                _ => Err(not(value)),
            }
        })
    }

    /// One address or a list of them, each with its place.
    pub(super) fn addresses(&self, name: &str) -> Option<At<Vec<At<Address>>>> {
        self.read(name, |_, value| {
            let items: Vec<&Spanned<DeValue<'_>>> = match value.get_ref() {
                DeValue::Array(items) if (1..=4).contains(&items.len()) => items.iter().collect(),
                DeValue::String(_) => vec![value],
                _ => return Err(not(value)),
            };
            self.each(name, &items, |text| text.parse::<Address>())
        })
    }

    /// A list of names, each with its place.
    pub(super) fn names(&self, name: &str) -> Option<At<Vec<At<String>>>> {
        self.read(name, |_, value| {
            let DeValue::Array(items) = value.get_ref() else { return Err(not(value)) };
            self.each(name, &items.iter().collect::<Vec<_>>(), |text| Ok(text.to_owned()))
        })
    }

    fn each<T>(
        &self,
        name: &str,
        items: &[&Spanned<DeValue<'_>>],
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Vec<At<T>>, Wrong> {
        let mut good = Vec::with_capacity(items.len());
        for item in items {
            let parsed = match text_of(item.get_ref()) {
                Some(text) => parse(text),
                None => Err(format!("every item must be a string, not {}", found(item.get_ref()))),
            };
            match parsed {
                Ok(value) => good.push(At::written(value, item.span())),
                Err(why) => self.report.error(&item.span(), format!("{name:?}: {why}")),
            }
        }
        if good.len() == items.len() { Ok(good) } else { Err(Wrong::Reported) }
    }

    /// A table from names to priorities, in the order of the file.
    pub(super) fn priorities(&self, name: &str) -> Vec<(At<String>, u8)> {
        let read = self.read(name, |_, value| {
            let DeValue::Table(table) = value.get_ref() else { return Err(not(value)) };
            let mut all = Vec::with_capacity(table.len());
            for (node, priority) in table {
                let number = integer_of(priority.get_ref()).and_then(|n| u8::try_from(n).ok());
                match number.filter(|n| (1..=254).contains(n)) {
                    Some(n) => all.push((At::written(node.get_ref().to_string(), node.span()), n)),
                    None => {
                        let found = found(priority.get_ref());
                        let text = format!("a priority must be a whole number from 1 to 254, not {found}");
                        self.report.error(&priority.span(), text);
                    }
                }
            }
            all.sort_by_key(|(node, _)| node.span.start);
            Ok(all)
        });
        read.map(|at| at.value).unwrap_or_default()
    }

    /// A table inside this one; an empty one if the file does not have it.
    pub(super) fn table(&self, name: &'static str) -> Table<'d> {
        let row = self.row(name);
        let Kind::Table(section) = row.kind else { unreachable!("{name} is a table") };
        let header = if self.section == Section::Group { "[group.hooks]" } else { section.header() };
        let empty =
            |span: Span| Table { section, header, span, entries: Vec::new(), report: self.report, complete: false };
        let Some(entry) = self.entries.iter().find(|e| e.name == name) else {
            if row.preset == Preset::Required {
                self.missing(name);
            }
            return empty(self.span.clone());
        };
        match entry.value.get_ref() {
            DeValue::Table(table) => Self::open(section, header, entry.value.span(), table, self.report, self.complete),
            DeValue::Array(items) if items.iter().any(|i| matches!(i.get_ref(), DeValue::Table(_))) => {
                self.report.error(&entry.key, format!("write {header} with single brackets: there is only one"));
                empty(entry.key.clone())
            }
            other => {
                self.report.error(&entry.value.span(), format!("{name:?} must be a table, not {}", found(other)));
                empty(entry.key.clone())
            }
        }
    }

    /// The tables of a list inside this one, and whether their number was right.
    pub(super) fn tables(&self, name: &'static str) -> Vec<Table<'d>> {
        let row = self.row(name);
        let (section, min, max) = match row.kind {
            Kind::Tables(section, min, max) => (section, min, max),
            Kind::Keys => (Section::HeartbeatKey, 1, 8),
            _ => unreachable!("{name} is a list of tables"),
        };
        let header = section.header();
        let Some(entry) = self.entries.iter().find(|e| e.name == name) else {
            self.missing(name);
            return Vec::new();
        };
        let mut tables = Vec::new();
        match entry.value.get_ref() {
            DeValue::Array(items) => {
                for item in items {
                    match item.get_ref() {
                        DeValue::Table(table) => {
                            tables.push(Self::open(section, header, item.span(), table, self.report, self.complete));
                        }
                        other => self
                            .report
                            .error(&item.span(), format!("{name:?} is a list of tables, not of {}", found(other))),
                    }
                }
            }
            DeValue::Table(table) if row.kind != Kind::Keys => {
                let text = format!("write {header} with double brackets: there may be more than one");
                self.report.error(&entry.key, text);
                tables.push(Self::open(section, header, entry.key.clone(), table, self.report, self.complete));
                return tables;
            }
            other => {
                let text = format!("{name:?} must be {}, not {}", row.kind.expects(), found(other));
                self.report.error(&entry.value.span(), text);
                return tables;
            }
        }
        let many = tables.len();
        if many > max || (many < min && self.complete) {
            let span = tables.get(max).map_or_else(|| entry.key.clone(), |t| t.span.clone());
            self.report.error(&span, format!("{header} must be there {min} to {max} times, not {many}"));
        }
        tables
    }
}

fn text_of<'a>(value: &'a DeValue<'_>) -> Option<&'a str> {
    if let DeValue::String(text) = value { Some(text) } else { None }
}

fn integer_of(value: &DeValue<'_>) -> Option<i64> {
    if let DeValue::Integer(n) = value { i64::from_str_radix(n.as_str(), n.radix()).ok() } else { None }
}

fn not(value: &Spanned<DeValue<'_>>) -> Wrong {
    Wrong::Not(found(value.get_ref()))
}

/// A value as an error names it.
fn found(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => quote(text),
        DeValue::Integer(n) => cut(&n.to_string()),
        DeValue::Float(f) => cut(&f.to_string()),
        DeValue::Boolean(b) => b.to_string(),
        DeValue::Datetime(_) => "a date".to_owned(),
        DeValue::Array(items) => format!("a list of {}", items.len()),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

fn cut(number: &str) -> String {
    const LONGEST: usize = 40;
    if number.len() <= LONGEST { number.to_owned() } else { "a number that long".to_owned() }
}

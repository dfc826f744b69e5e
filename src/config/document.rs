//! Walks a parsed TOML document by the table of keys. Serde stops at the first error; walking by
//! hand finds every unknown key and every wrong value at once, each with its place.

use super::diagnostic::{Report, Span, quote};
use super::schema::{self, Key, Kind, Preset, Section};
use std::ops::Deref;
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
    pub(super) fn written(value: T, span: Span) -> Self {
        Self { value, span, written: true }
    }

    pub(super) fn map<U>(self, f: impl FnOnce(T) -> U) -> At<U> {
        At { value: f(self.value), span: self.span, written: self.written }
    }
}

/// A table is read as what is in it; where it stands is asked for seldom.
impl<T> Deref for At<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// Why a value cannot be taken.
pub(super) enum Wrong {
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
    pub(super) report: &'d Report,
    /// The file has it.
    written: bool,
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
        let this = Self { section, header, span, entries, report, written: true, complete };
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
                Some(Kind::Later) => self
                    .report
                    .error(&entry.key, format!("{}{place} is not available in this version", quote(&entry.name))),
                Some(_) => {}
            }
        }
    }

    /// What was read of it, and where it begins.
    pub(super) fn at<T>(&self, value: T) -> At<T> {
        At { value, span: self.span.clone(), written: self.written }
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
            self.report.error_with(
                &self.span,
                format!("{name} is missing in {}", self.header, name = quote(name)),
                expects,
            );
        }
    }

    /// Reads a key, or its default; what is wrong is reported.
    pub(super) fn read<T>(
        &self,
        name: &str,
        parse: impl Fn(&Kind, &Spanned<DeValue<'_>>) -> Result<T, Wrong>,
    ) -> Option<At<T>> {
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
                self.report
                    .error(&span, format!("{name} must be {}, not {found}", row.kind.expects(), name = quote(name)));
            }
            Err(Wrong::Because(why)) => self.report.error(&span, format!("{name}: {why}", name = quote(name))),
            Err(Wrong::Reported) => {}
        }
        None
    }

    /// A table inside this one; an empty one if the file does not have it.
    pub(super) fn table(&self, name: &'static str) -> Table<'d> {
        let row = self.row(name);
        let Kind::Table(section) = row.kind else { unreachable!("{name} is a table") };
        let header = if self.section == Section::Group { "[group.hooks]" } else { section.header() };
        let empty = |span: Span, written: bool| {
            let (entries, report) = (Vec::new(), self.report);
            Table { section, header, span, entries, report, written, complete: false }
        };
        let Some(entry) = self.entries.iter().find(|e| e.name == name) else {
            if row.preset == Preset::Required {
                self.missing(name);
            }
            return empty(self.span.clone(), false);
        };
        match entry.value.get_ref() {
            DeValue::Table(table) => Self::open(section, header, entry.value.span(), table, self.report, self.complete),
            DeValue::Array(items) if items.iter().any(|i| matches!(i.get_ref(), DeValue::Table(_))) => {
                self.report.error(&entry.key, format!("write {header} with single brackets: there is only one"));
                empty(entry.key.clone(), true)
            }
            other => {
                self.report.error(
                    &entry.value.span(),
                    format!("{name} must be a table, not {}", found(other), name = quote(name)),
                );
                empty(entry.key.clone(), true)
            }
        }
    }

    /// The tables of a list inside this one, and whether their number was right.
    pub(super) fn tables(&self, name: &str) -> Vec<Table<'d>> {
        let row = self.row(name);
        let (section, min, max) = match row.kind {
            Kind::Tables(section, min, max) => (section, min, max),
            Kind::Keys => (Section::HeartbeatKey, 1, 8),
            _ => unreachable!("{name} is a list of tables"),
        };
        let header = section.header();
        let Some(entry) = self.entries.iter().find(|e| e.name == name) else {
            if row.preset == Preset::Required {
                self.missing(name);
            }
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
                        other => self.report.error(
                            &item.span(),
                            format!("{name} is a list of tables, not of {}", found(other), name = quote(name)),
                        ),
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
                let text = format!("{name} must be {}, not {}", row.kind.expects(), found(other), name = quote(name));
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

pub(super) fn text_of<'a>(value: &'a DeValue<'_>) -> Option<&'a str> {
    if let DeValue::String(text) = value { Some(text) } else { None }
}

/// A value as an error names it.
pub(super) fn found(value: &DeValue<'_>) -> String {
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

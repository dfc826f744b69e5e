//! What each kind of key takes: readers of single keys of a [`Table`].

use super::diagnostic::quote;
use super::document::{At, Table, Wrong, found, text_of};
use super::schema::Kind;
use super::value::{Address, parse_duration, parse_size};
use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;
use toml::Spanned;
use toml::de::DeValue;

/// A program as the file gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    /// A path, resolved like every path of the file.
    Path(String),
    /// A program and its arguments, as they are.
    Argv(Vec<String>),
}

impl Table<'_> {
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

    /// A number; `None` inside is `"adaptive"`.
    pub(super) fn number_or_adaptive(&self, name: &str) -> Option<At<Option<f64>>> {
        self.read(name, |kind, value| {
            let Kind::NumberOrAdaptive(min, max) = kind else { unreachable!("{name} is a number") };
            if text_of(value.get_ref()) == Some("adaptive") {
                return Ok(None);
            }
            let number = match value.get_ref() {
                DeValue::Float(f) => f.as_str().parse::<f64>().ok(),
                DeValue::Integer(n) => n.as_str().parse::<f64>().ok().filter(|_| n.radix() == 10),
                _ => None,
            };
            number.filter(|n| (*min..=*max).contains(n)).map(Some).ok_or_else(|| not(value))
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

    /// A size, in bytes.
    pub(super) fn size(&self, name: &str) -> Option<At<u64>> {
        self.read(name, |kind, value| {
            let Kind::Size(min, max) = kind else { unreachable!("{name} is a size") };
            let text = text_of(value.get_ref()).ok_or_else(|| not(value))?;
            let Some(bytes) = parse_size(text) else {
                let how = "write a whole number and one of KiB, MiB, GiB, as in \"16MiB\"";
                return Err(Wrong::Because(format!("{} is not a size: {how}", quote(text))));
            };
            if (*min..=*max).contains(&bytes) { Ok(bytes) } else { Err(not(value)) }
        })
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
}

fn integer_of(value: &DeValue<'_>) -> Option<i64> {
    if let DeValue::Integer(n) = value { i64::from_str_radix(n.as_str(), n.radix()).ok() } else { None }
}

fn not(value: &Spanned<DeValue<'_>>) -> Wrong {
    Wrong::Not(found(value.get_ref()))
}

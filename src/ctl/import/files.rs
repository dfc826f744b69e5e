//! The files of an import: one or a directory for each node, and those that they include, found as keepalived finds them.

use crate::control::protocol::{Code, Response};
use crate::import::{Found, Include, Included, Input};
use crate::plain::quote;
use glob::MatchOptions;
use std::fs::{self, File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};

/// No configuration is longer; a mistaken path may lead to anything.
const LONGEST: u64 = 4 * 1024 * 1024;
/// Most files that one include may name.
const MOST_FILES: usize = 1000;
/// Most patterns that the braces of one include may make.
const MOST_PATTERNS: usize = 1000;
/// Where a node has its configuration.
const USUAL: &str = "etc/keepalived/keepalived.conf";

/// The nodes of the command line.
pub(super) struct Nodes {
    pub(super) inputs: Vec<Input>,
}

impl Nodes {
    /// Reads the file of each node.
    pub(super) fn read(arguments: &[String]) -> Result<Self, Response> {
        let host = rustix::system::uname();
        let host = host.nodename().to_string_lossy();
        // keepalived leaves the domain out.
        let host = host.split('.').next().unwrap_or_default();
        let directory = std::env::current_dir().unwrap_or_default().display().to_string();
        let inputs =
            arguments.iter().map(|argument| input(argument, host, &directory)).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { inputs })
    }

    /// The files that an include names, in keepalived's order: by the alternatives in braces, then by name.
    pub(super) fn included(&self, include: Include<'_>) -> Result<Found, String> {
        let input = self.inputs.iter().find(|input| input.path == include.main);
        let root = input.and_then(|input| input.root.as_deref());
        let own = Path::new(include.main).parent().unwrap_or(Path::new(""));
        let own = if own.as_os_str().is_empty() { Path::new(".") } else { own };
        let own = fs::canonicalize(root.map_or(own, Path::new)).map_err(|e| e.to_string())?;
        let directory = Path::new(include.from).parent().unwrap_or(Path::new(""));
        let mut found = Found::default();
        let patterns = if include.program { vec![include.pattern.to_owned()] } else { alternatives(include.pattern)? };
        for pattern in patterns {
            let pattern = match (root, pattern.strip_prefix('/')) {
                (Some(root), Some(absolute)) => Path::new(root).join(absolute),
                _ => directory.join(&pattern),
            };
            let paths = if include.program { vec![pattern] } else { matching(&pattern, &mut found.remarks)? };
            for path in paths {
                let inside = fs::canonicalize(&path).is_ok_and(|path| path.starts_with(&own));
                match (root, inside) {
                    (Some(root), false) => {
                        found.remarks.push(format!(
                            "{} leads out of {root}, to a file of this host: it is left out",
                            path.display()
                        ));
                    }
                    _ => match read(&path, include.program) {
                        Ok(text) => {
                            found.files.push(Included { path: path.display().to_string(), text, of_this_host: !inside })
                        }
                        Err(why) => found.remarks.push(format!("{} is left out: {why}", path.display())),
                    },
                }
            }
        }
        if found.files.is_empty() && found.remarks.is_empty() {
            let wanted = match root {
                Some(root) if include.pattern.starts_with('/') => format!("{root}{}", include.pattern),
                _ => directory.join(include.pattern).display().to_string(),
            };
            return Err(format!("there is no file {wanted}"));
        }
        Ok(found)
    }
}

/// `NAME=FILE`, or the file alone; a path may have an equals sign behind a slash.
fn input(argument: &str, host: &str, directory: &str) -> Result<Input, Response> {
    let (node, path) = match argument.split_once('=') {
        Some((name, path)) if !name.contains('/') => (Some(name.to_owned()), path),
        _ => (None, argument),
    };
    if path.is_empty() {
        return Err(Response::new(Code::Usage, format!("{} names no file", crate::plain::line(argument))));
    }
    let fail = |path: &Path, error: &io::Error| {
        let code = if error.kind() == io::ErrorKind::PermissionDenied { Code::Permission } else { Code::Configuration };
        Response::new(code, format!("cannot read {}: {error}", path.display()))
    };
    let root = fs::metadata(path).is_ok_and(|metadata| metadata.is_dir()).then(|| path.to_owned());
    let file = root.as_ref().map_or_else(|| PathBuf::from(path), |root| Path::new(root).join(USUAL));
    if let Some(root) = &root {
        let inside = fs::canonicalize(root).and_then(|root| Ok(fs::canonicalize(&file)?.starts_with(root)));
        if !inside.map_err(|error| fail(&file, &error))? {
            let why = format!("cannot read {}: it leads out of {root}, to a file of this host", file.display());
            return Err(Response::new(Code::Configuration, why));
        }
    }
    let text = text(&file).map_err(|error| fail(&file, &error))?;
    let id = node.clone().unwrap_or_else(|| host.to_owned());
    Ok(Input { node, id, directory: directory.to_owned(), root, path: file.display().to_string(), text })
}

/// Bytes that are no text are shown as such: keepalived takes any.
fn text(path: &Path) -> io::Result<String> {
    let other = |text: &str| io::Error::other(text.to_owned());
    if !fs::metadata(path)?.is_file() {
        return Err(other("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(LONGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LONGEST {
        return Err(other("it is longer than any configuration"));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// An included file, of which keepalived takes none that could be run; or a program.
fn read(path: &Path, program: bool) -> Result<String, String> {
    let executable = |metadata: Metadata| metadata.permissions().mode() & 0o111 != 0;
    if !program && fs::metadata(path).is_ok_and(executable) {
        return Err("it is executable, and keepalived includes no such file".to_owned());
    }
    text(path).map_err(|error| error.to_string())
}

/// The files of a pattern without braces, by name.
fn matching(pattern: &Path, remarks: &mut Vec<String>) -> Result<Vec<PathBuf>, String> {
    let pattern = pattern.to_str().ok_or("its path is not text")?;
    // `**` is nothing special for keepalived, and `*` does not match a dot at the beginning.
    let mut plain = String::new();
    for c in pattern.chars() {
        if !(c == '*' && plain.ends_with('*')) {
            plain.push(c);
        }
    }
    let options = MatchOptions { require_literal_leading_dot: true, ..MatchOptions::new() };
    let mut all = Vec::new();
    let found = glob::glob_with(&plain, options).map_err(|error| {
        let at = plain.char_indices().nth(error.pos).map_or("", |(at, _)| &plain[at..]);
        format!("{plain} is no pattern of file names: {at} is not what it could go on with", at = quote(at))
    })?;
    for path in found.take(MOST_FILES) {
        match path {
            // A pattern may match a directory, which keepalived passes over too.
            Ok(path) if !path.is_dir() => all.push(without_dots(&path)),
            Ok(_) => {}
            Err(error) => remarks.push(format!("{} is left out: {}", error.path().display(), error.error())),
        }
    }
    Ok(all)
}

/// A path without `.` in it, for messages.
fn without_dots(path: &Path) -> PathBuf {
    path.components().filter(|part| !matches!(part, Component::CurDir)).collect()
}

/// The patterns that braces stand for, as a shell has them: `{a,b{c,d}}` is `a`, `bc`, `bd`.
fn alternatives(pattern: &str) -> Result<Vec<String>, String> {
    let (mut done, mut open) = (Vec::new(), vec![pattern.to_owned()]);
    while let Some(pattern) = open.pop() {
        if done.len() + open.len() > MOST_PATTERNS {
            return Err(format!("its braces stand for more than {MOST_PATTERNS} names"));
        }
        match braces(&pattern) {
            None => done.push(pattern),
            Some((before, parts, behind)) => {
                open.extend(parts.iter().rev().map(|part| format!("{before}{part}{behind}")));
            }
        }
    }
    Ok(done)
}

/// The first pair of braces with a comma: what stands before it, its parts, what stands behind it.
fn braces(pattern: &str) -> Option<(&str, Vec<&str>, &str)> {
    for (begin, _) in pattern.match_indices('{') {
        let (mut depth, mut parts, mut from) = (0_usize, Vec::new(), begin + 1);
        for (at, c) in pattern[begin..].char_indices().map(|(at, c)| (begin + at, c)) {
            match c {
                '{' => depth += 1,
                ',' if depth == 1 => {
                    parts.push(&pattern[from..at]);
                    from = at + 1;
                }
                '}' if depth == 1 => {
                    parts.push(&pattern[from..at]);
                    return Some((&pattern[..begin], parts, &pattern[at + 1..]));
                }
                '}' => depth -= 1,
                _ => {}
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_are_alternatives() {
        for (pattern, wanted) in [
            ("a.conf", "a.conf"),
            ("sub/{one,two}.conf", "sub/one.conf sub/two.conf"),
            ("{a,b{c,d}}/{x,}", "a/x a/ bc/x bc/ bd/x bd/"),
            ("{a", "{a"),
        ] {
            assert_eq!(alternatives(pattern).expect("few").join(" "), wanted, "{pattern}");
        }
        assert!(alternatives(&"{a,b}".repeat(20)).is_err());
    }
}

//! A havipd.toml from the configurations of keepalived on one or more nodes of a cluster.
//!
//! From text to text, in five steps: `source` makes words and braces of files (`lex` takes a line apart, `define` has the
//! definitions and sequences) and follows includes, `parse` makes statements of them by the keywords in `grammar`, `read`
//! knows what keepalived means by those, `merge` makes one cluster of several nodes, `render` writes it down. Nothing is
//! read from a disk here: included files come from a function that the caller passes in.
//!
//! keepalived itself is the standard: what it reports and goes on with is taken as it takes it, with a note.
//!
//! What could not be taken over is part of the result: a [`Note`] for every keyword that was left behind, with the
//! reason, so that nobody finds out in the night of a failover.
//!
//! Source: keepalived.conf(5) of keepalived 2.2, and what 2.2.7 says that it loaded.

mod define;
mod grammar;
mod lex;
mod merge;
mod note;
mod parse;
mod read;
mod render;
pub(crate) use render::quote;
mod source;
pub mod vip_manager;
mod words;

pub use note::{Kind, Note, Notes};
use std::collections::BTreeMap;
use std::rc::Rc;

/// The configuration of one node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Input {
    /// What the node is to be called; `None` is whatever the file suggests.
    pub node: Option<String>,
    /// keepalived's config-id, for lines that begin with `@NAME`: the node's name if it was told one, else the host's.
    pub id: String,
    /// The directory that the path begins at, if it is relative.
    pub directory: String,
    /// The directory that stands for the node's `/`, if its files were fetched.
    pub root: Option<String>,
    /// The file's path, for messages, for names of nodes, and for relative includes.
    pub path: String,
    /// What is in it.
    pub text: String,
}

/// What is written besides what the files say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// `cluster.name`.
    pub cluster: String,
    /// `arbiter = "keepalived"`: havipd follows keepalived's election.
    pub beside: bool,
    /// `observe = true`: havipd elects, reports, and touches nothing.
    pub observe: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { cluster: "imported".to_owned(), beside: false, observe: false }
    }
}

/// An `include` of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Include<'a> {
    /// The path of the [`Input`] that it belongs to.
    pub main: &'a str,
    /// The file that it stands in.
    pub from: &'a str,
    /// What it asks for: a path with or without wildcards and braces; relative ones begin at the directory of `from`.
    pub pattern: &'a str,
    /// It is no include but a program of a hook: the path of one file, which may be executable.
    pub program: bool,
}

/// One file that an include names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Included {
    /// Where it is.
    pub path: String,
    /// What is in it.
    pub text: String,
    /// It does not lie with the node's other files: it is this host's, and the node may have another one.
    pub of_this_host: bool,
}

/// Everything that an include names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// In keepalived's order.
    pub files: Vec<Included>,
    /// Why others are missing, one for each.
    pub remarks: Vec<String>,
}

/// Finds the files that an include names; else says why there are none.
pub type Includes<'a> = &'a mut dyn FnMut(Include<'_>) -> Result<Found, String>;

/// What came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// The whole havipd.toml. Values to be filled in are `"..."`, `"i-..."` and `"havip-..."`; it is refused with them.
    pub toml: String,
    /// What was not carried over, done in another way, assumed, or is to be filled in.
    pub notes: Notes,
}

/// Why there is no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// A file is not a configuration of what it is to be one of.
    #[error("{file}:{line}: {text}")]
    Syntax {
        /// The file.
        file: String,
        /// From 1.
        line: usize,
        /// What is wrong there.
        text: String,
    },
    /// There is nothing that could become a group.
    #[error("{why}: there is nothing for havipd to do")]
    Nothing {
        /// The reason, in words.
        why: String,
        /// What was found out on the way.
        notes: Notes,
    },
    /// Two files are to be the same node.
    #[error("two files for a node {0}: name them as in a=first.conf b=second.conf")]
    SameName(String),
    /// A name that cannot be one.
    #[error("\"{}\" is not a name: use 1 to 63 of a-z A-Z 0-9 - _ .", crate::plain::line(.0))]
    Name(String),
}

/// Imports the files of a cluster, one for each node.
///
/// # Errors
/// [`ImportError`]. What is merely unknown or cannot be carried over is a [`Note`].
pub fn import(inputs: &[Input], options: &Options, includes: Includes<'_>) -> Result<Imported, ImportError> {
    let mut notes = Notes::default();
    let cluster: havipd_core::model::ids::ClusterName =
        options.cluster.parse().map_err(|_| ImportError::Name(options.cluster.clone()))?;
    for (i, input) in inputs.iter().enumerate() {
        if let Some(node) = &input.node {
            if node.parse::<havipd_core::model::ids::NodeName>().is_err() {
                return Err(ImportError::Name(node.clone()));
            }
            if inputs[..i].iter().any(|other| other.node.as_ref() == Some(node)) {
                return Err(ImportError::SameName(node.clone()));
            }
        }
    }
    let mut nodes = Vec::new();
    let mut conditions = Vec::new();
    for input in inputs {
        let source = source::read(input, includes, &mut notes)?;
        conditions.push(source.conditions);
        let statements = parse::statements(source.pieces, &mut notes);
        let mut node = read::node(input, &statements, &mut notes);
        scripts(input, &mut node, includes);
        nodes.push(node);
    }
    conditional_lines(inputs, &conditions, &mut notes);
    let merged = merge::cluster(&nodes, options, &mut notes);
    if merged.groups.is_empty() {
        // There is no file to fill anything into.
        notes.0.retain(|note| note.kind != Kind::FillIn);
        return Err(ImportError::Nothing { why: nothing(inputs, &nodes, &notes), notes });
    }
    let toml = render::toml(&cluster, &merged, inputs, options, &notes);
    Ok(Imported { toml, notes })
}

/// Most scripts of a node that are looked into.
const MOST_SCRIPTS: usize = 64;

/// Most words of a command that are tried as the path of a script.
const MOST_WORDS: usize = 8;

/// Looks into the scripts of instances that have no address, for the HAVIPs that they move.
fn scripts(input: &Input, node: &mut read::Node, includes: Includes<'_>) {
    let silent = node.hooks_without_address().filter(|hook| hook.havips.is_empty());
    for hook in silent.take(MOST_SCRIPTS) {
        // The script itself, or that of an interpreter or of what runs it with other rights or for a while, or in a command
        // for a shell: whatever begins with a slash and is one.
        let separates = |c: char| c.is_whitespace() || matches!(c, ';' | '&' | '|' | '(' | ')' | '"' | '\'');
        let paths: Vec<String> = hook.argv.iter().flat_map(|word| word.split(separates)).map(str::to_owned).collect();
        let mut remarks = Vec::new();
        let mut scripts = 0;
        for path in paths.iter().filter(|word| word.starts_with('/')).take(MOST_WORDS) {
            let wanted = Include { main: &input.path, from: &input.path, pattern: path, program: true };
            let found = match includes(wanted) {
                Ok(found) => found,
                Err(why) => {
                    remarks.push(why);
                    continue;
                }
            };
            remarks.extend(found.remarks);
            let is_script = |file: &&Included| {
                let named = [".sh", ".py", ".pl"].iter().any(|end| file.path.ends_with(end));
                named || file.text.starts_with("#!")
            };
            for file in found.files.iter().filter(is_script) {
                scripts += 1;
                let (host, comma) = if file.of_this_host { (", as it is on this host", ",") } else { ("", "") };
                let stands = format!("the script {}{host}", file.path);
                let ids = words::havip_ids_of_script(&file.text);
                if ids.is_empty() {
                    let almost = words::almost_havip_ids(&file.text);
                    hook.seen.push(match almost.is_empty() {
                        true => format!("{stands}{comma} names none"),
                        false => format!("{stands}{comma} has {}, which may be one", almost.join(", ")),
                    });
                }
                hook.havips.extend(ids.into_iter().map(|id| (id, stands.clone())));
                hook.moves |= file.text.lines().map(words::without_comment).any(words::speaks_of_a_havip);
            }
        }
        if scripts == 0 {
            // What a program does that is no script cannot be read.
            let program = hook.argv.first().map(String::as_str).unwrap_or_default();
            remarks.push(format!(
                "{} of {} is no script that could be read",
                crate::plain::quote(program),
                hook.key.replace('-', "_")
            ));
            hook.seen.append(&mut remarks);
        }
    }
}

/// Says for whom lines were meant that no node of these is.
fn conditional_lines(inputs: &[Input], conditions: &[BTreeMap<String, Vec<Rc<str>>>], notes: &mut Notes) {
    for (input, conditions) in inputs.iter().zip(conditions) {
        for (id, places) in conditions {
            let here = inputs.iter().find(|other| other.id == *id);
            let (kind, why) = match here {
                Some(of) if of.node.is_none() => (
                    Kind::Assumed,
                    format!(
                        "{} was given without NAME=, so its config-id is this host's name, as it is for keepalived",
                        input.path
                    ),
                ),
                Some(_) => continue,
                None => (
                    Kind::Lost,
                    format!(
                        "none of the nodes has that config-id; a node's is the NAME= before its file, as in {id}=FILE, else this host's name"
                    ),
                ),
            };
            for place in places {
                notes.add(kind, Some(place.to_string()), format!("lines for @{id}"), why.as_str());
            }
        }
    }
}

/// Why no group came out.
fn nothing(inputs: &[Input], nodes: &[read::Node], notes: &Notes) -> String {
    let files: Vec<&str> = inputs.iter().map(|i| i.path.as_str()).collect();
    let files = files.join(", ");
    if nodes.iter().all(|n| n.instances.is_empty()) {
        let missing: Vec<String> =
            notes.of(Kind::Lost).into_iter().filter(|note| note.starts_with("include ")).collect();
        return match missing.first() {
            Some(first) => format!("{files} has no vrrp_instance, and not all that it includes could be read: {first}"),
            None => format!("{files} has no vrrp_instance"),
        };
    }
    let lost: Vec<String> = notes.of(Kind::Lost).into_iter().filter(|note| note.starts_with("address ")).collect();
    match lost.as_slice() {
        [] => format!("{files} has no vrrp_instance with an IPv4 address, nor with a hook that names a HAVIP"),
        [first] => format!("{files} has no vrrp_instance with an address that a HAVIP could have: {first}"),
        [first, rest @ ..] => {
            format!(
                "{files} has no vrrp_instance with an address that a HAVIP could have: {first}; and {} more",
                rest.len()
            )
        }
    }
}

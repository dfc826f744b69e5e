//! A havipd.toml from the configurations of keepalived on one or more nodes of a cluster.
//!
//! From text to text, in four steps: `lex` makes words of lines (comments, quotes, `$VAR`), `parse` makes
//! blocks of words and follows includes, `read` knows what keepalived means by them, `merge` makes one cluster
//! of several nodes, `render` writes it down. Nothing is read from a disk here: included files come from a
//! function that the caller passes in.
//!
//! What could not be taken over is part of the result: a [`Note`] for every keyword that was left behind, with the
//! reason, so that nobody finds out in the night of a failover.
//!
//! Source for the grammar: keepalived.conf(5) of keepalived 2.2.

mod lex;
mod merge;
mod note;
mod parse;
mod read;
mod render;
mod words;

pub use note::{Kind, Note, Notes};

/// The configuration of one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// What the node is to be called; `None` is whatever the file suggests. It is also keepalived's config-id, for
    /// lines that begin with `@NAME`.
    pub node: Option<String>,
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
    /// The file that it stands in.
    pub from: &'a str,
    /// What it asks for: a path with or without wildcards; relative ones begin at the directory of `from`.
    pub pattern: &'a str,
}

/// Gives the files that an include names, path and text of each; else why there are none.
pub type Includes<'a> = &'a mut dyn FnMut(Include<'_>) -> Result<Vec<(String, String)>, String>;

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
    /// A file is not a configuration of keepalived.
    #[error("{file}:{line}:{column}: {text}")]
    Syntax {
        /// The file.
        file: String,
        /// From 1.
        line: usize,
        /// In characters, from 1.
        column: usize,
        /// What is wrong there.
        text: String,
    },
    /// There is nothing that could become a group.
    #[error("{0} has no vrrp_instance with an IPv4 address: there is nothing for havipd to do")]
    Nothing(String),
    /// Two files are to be the same node.
    #[error("two files for a node {0:?}: name them as in a=first.conf b=second.conf")]
    SameName(String),
    /// A name that cannot be one.
    #[error(transparent)]
    Name(#[from] crate::ids::IdError),
}

/// Imports the files of a cluster, one for each node.
///
/// # Errors
/// [`ImportError`]. What is merely unknown or cannot be carried over is a [`Note`].
pub fn import(inputs: &[Input], options: &Options, includes: Includes<'_>) -> Result<Imported, ImportError> {
    let mut notes = Notes::default();
    let cluster: crate::ids::ClusterName = options.cluster.parse()?;
    for (i, input) in inputs.iter().enumerate() {
        if let Some(node) = &input.node {
            node.parse::<crate::ids::NodeName>()?;
            if inputs[..i].iter().any(|other| other.node.as_ref() == Some(node)) {
                return Err(ImportError::SameName(node.clone()));
            }
        }
    }
    let mut nodes = Vec::new();
    for input in inputs {
        let parsed = parse::file(input, includes, &mut notes)?;
        nodes.push(read::node(input, &parsed, &mut notes));
    }
    let merged = merge::cluster(&nodes, options, &mut notes);
    if merged.groups.is_empty() {
        let files: Vec<&str> = inputs.iter().map(|i| i.path.as_str()).collect();
        return Err(ImportError::Nothing(files.join(", ")));
    }
    let toml = render::toml(&cluster, &merged, inputs, options, &notes);
    Ok(Imported { toml, notes })
}

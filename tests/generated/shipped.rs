//! `config/havipd.toml`: every key with its text; what is required is set, the rest is commented out.

use havipd::config::example::{self, Tables};
use havipd::config::schema::Section;

pub(crate) fn file() -> String {
    // A cluster has two nodes, and all keys of one are shown once.
    let second = vec![("name", "\"b\"".to_owned()), ("address", "\"10.0.0.12\"".to_owned())];
    let set = Tables::default().with(Section::Node, Vec::new()).with(Section::Node, second);
    example::file(include_str!("havipd.toml.in"), &set)
}

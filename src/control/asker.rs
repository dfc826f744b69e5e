//! Who gave a command: told in the log and in the history of every group that it concerns.

use crate::plain;
use serde::{Deserialize, Serialize};

/// Longest name that is kept of what a client, or another node, says of itself.
const LONGEST: usize = 64;

/// Who gave a command, and from where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asker {
    /// The user, as the node where the command was given calls it.
    pub user: String,
    /// How it came there.
    pub through: Through,
    /// The node where it was given; `None`: this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
}

/// How a command came to the daemon that it was given to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Through {
    /// `havipctl` with a terminal.
    Terminal,
    /// `havipctl` without one: a script, cron, another program.
    Script,
    /// Another program that speaks the control protocol.
    Api,
    /// One that this release does not know.
    #[serde(other)]
    Unknown,
}

/// What `havipctl` says of itself, before a command that changes something. Only told on: what is allowed goes by the user that
/// the kernel names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Introduction {
    /// It has a terminal.
    pub terminal: bool,
    /// Who became root to say it.
    pub login: Option<String>,
}

impl Asker {
    /// The client at the other end of a connection, whose user the kernel names.
    #[must_use]
    pub fn local(uid: Option<u32>, introduction: Option<&Introduction>) -> Self {
        let user = match uid {
            None => "a user that the kernel does not name".to_owned(),
            Some(0) => "root".to_owned(),
            Some(uid) => name_of(uid).unwrap_or_else(|| format!("uid {uid}")),
        };
        let login = introduction.and_then(|i| i.login.as_deref()).map(short).filter(|l| !l.is_empty() && *l != user);
        Self {
            user: login.map_or_else(|| user.clone(), |login| format!("{login} as {user}")),
            through: match introduction {
                None => Through::Api,
                Some(Introduction { terminal: true, .. }) => Through::Terminal,
                Some(Introduction { terminal: false, .. }) => Through::Script,
            },
            node: None,
        }
    }

    /// One that another node tells of: fit to be shown, whatever it says.
    #[must_use]
    pub fn told(self, node: &str) -> Self {
        let node = self.node.as_deref().map(short).filter(|node| !node.is_empty()).unwrap_or_else(|| node.to_owned());
        Self { user: short(&self.user), through: self.through, node: Some(node) }
    }

    /// For people: `alice as root on b, at a terminal`.
    #[must_use]
    pub fn in_words(&self) -> String {
        let node = self.node.as_ref().map_or_else(String::new, |node| format!(" on {node}"));
        let through = match self.through {
            Through::Terminal => ", at a terminal",
            Through::Script => ", with havipctl from a script",
            Through::Api => ", over the control socket",
            Through::Unknown => "",
        };
        format!("{}{node}{through}", self.user)
    }
}

/// A name on one line, without anything that does something to a terminal.
fn short(name: &str) -> String {
    plain::line(name).chars().take(LONGEST).collect()
}

/// As passwd(5) has it; users of a directory service alone keep their number.
fn name_of(uid: u32) -> Option<String> {
    name_in(&std::fs::read_to_string("/etc/passwd").ok()?, uid)
}

fn name_in(users: &str, uid: u32) -> Option<String> {
    let number = uid.to_string();
    let of = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == number).then(|| short(name))
    };
    users.lines().find_map(of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_who_where_and_how() {
        let at = |terminal, login: Option<&str>| Introduction { terminal, login: login.map(str::to_owned) };
        let words = |i: Option<&Introduction>| Asker::local(Some(0), i).in_words();
        assert_eq!(words(None), "root, over the control socket");
        assert_eq!(words(Some(&at(true, Some("alice")))), "alice as root, at a terminal");
        assert_eq!(words(Some(&at(false, Some("root")))), "root, with havipctl from a script");
        let told = Asker::local(Some(0), Some(&at(true, None))).told("b");
        assert_eq!(told.in_words(), "root on b, at a terminal");
        // On by way of a third node: the first one stays named.
        assert_eq!(told.told("c").in_words(), "root on b, at a terminal");
    }

    #[test]
    fn what_another_node_says_of_it_drives_no_terminal_and_has_an_end() {
        let odd = Asker {
            user: format!("a\u{1b}[2J\n{}", "x".repeat(500)),
            through: Through::Api,
            node: Some(String::new()),
        };
        let told = odd.told("b");
        assert!(told.user.chars().count() <= LONGEST && !told.user.contains(['\u{1b}', '\n']), "{told:?}");
        assert_eq!(told.node.as_deref(), Some("b"));
        let later: Asker = serde_json::from_str(r#"{"user":"root","through":"page"}"#).expect("a later release's");
        assert_eq!(later.told("b").in_words(), "root on b");
    }

    #[test]
    fn a_number_has_the_name_that_the_host_gives_it() {
        let users = "root:x:0:0::/root:/bin/sh\nhavipd:x:997:997::/:/usr/sbin/nologin\nbroken\n";
        assert_eq!(name_in(users, 997).as_deref(), Some("havipd"));
        assert_eq!(name_in(users, 7), None);
    }
}

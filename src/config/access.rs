//! Who may read a file: permission bits, access control list, and the directories on the way.
//!
//! The kernel answers that for this process. Here it is answered for another user: root checks a file for a unit that runs as
//! somebody else.

use rustix::fs::fgetxattr;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Where the kernel keeps the list (acl(5)).
const NAME: &str = "system.posix_acl_access";
/// No list is longer.
const LONGEST: usize = 64 * 1024;

/// What a user or a group may do, as bits of `rwx`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Grant {
    pub(super) whom: Whom,
    pub(super) bits: u32,
}

/// Whom a grant is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whom {
    User(u32),
    Group(u32),
}

/// Everybody besides the owner and the rest of the world who is granted something.
pub(super) fn grants(file: impl AsFd, mode: u32, group: u32) -> Vec<Grant> {
    let mut buffer = vec![0; LONGEST];
    match fgetxattr(file, NAME, &mut buffer[..]) {
        Ok(length) => in_list(&buffer[..length], group),
        // Most files have none, and some file systems know of none.
        Err(_) => None,
    }
    .unwrap_or_else(|| vec![Grant { whom: Whom::Group(group), bits: mode >> 3 & 7 }])
}

/// Reads a list in the kernel's form: version 2, then entries of tag, permission and id.
fn in_list(bytes: &[u8], group: u32) -> Option<Vec<Grant>> {
    const USER: u16 = 0x02;
    const GROUP_OBJ: u16 = 0x04;
    const GROUP: u16 = 0x08;
    const MASK: u16 = 0x10;
    let entries = bytes.strip_prefix(&2_u32.to_le_bytes())?.chunks_exact(8);
    let entries: Vec<(u16, u32, u32)> = entries
        .map(|e| {
            let short = |at: usize| u16::from_le_bytes([e[at], e[at + 1]]);
            (short(0), u32::from(short(2)), u32::from_le_bytes([e[4], e[5], e[6], e[7]]))
        })
        .collect();
    let mask = entries.iter().find(|(tag, ..)| *tag == MASK).map_or(7, |(_, bits, _)| *bits);
    let grant = |(tag, bits, id): &(u16, u32, u32)| {
        let whom = match *tag {
            USER => Whom::User(*id),
            GROUP => Whom::Group(*id),
            GROUP_OBJ => Whom::Group(group),
            _ => return None,
        };
        Some(Grant { whom, bits: bits & mask })
    };
    Some(entries.iter().filter_map(grant).collect())
}

/// Another user than the one of this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct User {
    name: String,
    uid: u32,
    groups: Vec<u32>,
}

impl User {
    /// The one of that number. Users that only a directory service has are not looked for.
    pub(super) fn of_host(uid: u32) -> Option<Self> {
        let read = |path| std::fs::read_to_string(path).ok();
        Self::in_files(uid, &read("/etc/passwd")?, &read("/etc/group")?)
    }

    fn in_files(uid: u32, users: &str, groups: &str) -> Option<Self> {
        let mut users = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
        let found = users.find(|fields| fields.get(2).and_then(|id| id.parse().ok()) == Some(uid))?;
        let (name, own) = ((*found.first()?).to_owned(), found.get(3)?.parse().ok()?);
        let member = |line: &str| {
            let fields: Vec<&str> = line.split(':').collect();
            fields.get(3)?.split(',').any(|n| n == name).then(|| fields.get(2)?.parse().ok())?
        };
        let groups = std::iter::once(own).chain(groups.lines().filter_map(member)).collect();
        Some(Self { name, uid, groups })
    }

    /// Why this user cannot read that file, and what to do; without the path.
    pub(super) fn obstacle(&self, path: &Path) -> Option<String> {
        let name = &self.name;
        let real = path.canonicalize().ok()?;
        let closed = real.ancestors().skip(1).find(|directory| !self.may(directory, 1));
        if let Some(directory) = closed {
            return Some(format!(
                "cannot be reached by user {name}, as which the unit runs: chmod o+x {}",
                directory.display()
            ));
        }
        (!self.may(&real, 4)).then(|| {
            format!(
                "cannot be read by user {name}, as which the unit runs: chgrp {name} and chmod 0640, or chown {name}"
            )
        })
    }

    fn may(&self, path: &Path, wanted: u32) -> bool {
        // What cannot be looked at has been told of already.
        let Ok(file) = std::fs::File::open(path) else { return true };
        let Ok(facts) = file.metadata() else { return true };
        self.granted(facts.mode(), facts.uid(), &grants(&file, facts.mode(), facts.gid())) & wanted == wanted
    }

    /// As the kernel decides: the owner's bits, else a grant of the user, else those of the groups, else everybody's.
    fn granted(&self, mode: u32, owner: u32, grants: &[Grant]) -> u32 {
        if self.uid == owner {
            return mode >> 6 & 7;
        }
        if let Some(own) = grants.iter().find(|g| g.whom == Whom::User(self.uid)) {
            return own.bits;
        }
        let of_groups: Vec<u32> = grants
            .iter()
            .filter(|g| matches!(g.whom, Whom::Group(id) if self.groups.contains(&id)))
            .map(|g| g.bits)
            .collect();
        if of_groups.is_empty() { mode & 7 } else { of_groups.into_iter().fold(0, |all, bits| all | bits) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `setfacl -m u:990:r,g:991:rw` with a mask of `r`, on a file of group 5 that may do nothing.
    fn list() -> Vec<u8> {
        let mut bytes = 2_u32.to_le_bytes().to_vec();
        for (tag, bits, id) in
            [(1, 6, u32::MAX), (2, 4, 990), (4, 0, u32::MAX), (8, 6, 991), (0x10, 4, u32::MAX), (0x20, 0, u32::MAX)]
        {
            bytes.extend(u16::to_le_bytes(tag));
            bytes.extend(u16::to_le_bytes(bits));
            bytes.extend(u32::to_le_bytes(id));
        }
        bytes
    }

    #[test]
    fn a_list_grants_what_its_mask_lets_through() {
        let grants = in_list(&list(), 5).expect("a list");
        let of = |whom, bits| Grant { whom, bits };
        assert_eq!(grants, [of(Whom::User(990), 4), of(Whom::Group(5), 0), of(Whom::Group(991), 4)]);
        assert_eq!(in_list(b"\x01\0\0\0", 5), None);
    }

    #[test]
    fn a_user_may_what_the_kernel_lets_it() {
        let users = "root:x:0:0::/root:/bin/sh\nhavipd:x:990:980::/:/usr/sbin/nologin\n";
        let groups = "havipd:x:980:\nssl:x:5:havipd,x\nother:x:6:x\n";
        let user = User::in_files(990, users, groups).expect("there");
        assert_eq!((user.name.as_str(), user.groups.as_slice()), ("havipd", [980, 5].as_slice()));
        assert_eq!(User::in_files(991, users, groups), None);
        let plain = |mode: u32, owner, group| {
            user.granted(mode, owner, &[Grant { whom: Whom::Group(group), bits: mode >> 3 & 7 }])
        };
        assert_eq!(plain(0o600, 0, 0), 0, "root's own");
        assert_eq!(plain(0o640, 0, 980), 4);
        assert_eq!(plain(0o640, 0, 5), 4, "by a further group");
        assert_eq!(plain(0o604, 0, 5), 0, "its group may less than everybody");
        assert_eq!(plain(0o044, 990, 980), 0, "its owner, too");
        assert_eq!(user.granted(0o640, 0, &in_list(&list(), 0).expect("a list")), 4, "by the list");
    }
}

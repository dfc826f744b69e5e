//! docs/permissions.md against the client's own table of calls: every call is on the page with its permission, and the
//! policies of the page allow what each use needs and nothing else.

use havipd::cloud::client::Operation;
use serde_json::Value;
use std::collections::BTreeSet;

const PAGES: [(&str, &str); 2] = [
    ("docs/permissions.md", include_str!("../docs/permissions.md")),
    ("docs/zh-CN/permissions.md", include_str!("../docs/zh-CN/permissions.md")),
];

/// The policies of the page, in its order: which calls each of them is for.
const POLICIES: [(&str, &[Operation]); 2] = [
    ("the daemon, doctor and drill", &Operation::ALL),
    (
        "reading alone",
        &[
            Operation::ListHavips,
            Operation::ReadHavip,
            Operation::ListEnis,
            Operation::ReadEni,
            Operation::ReadInstance,
        ],
    ),
];

#[test]
fn every_call_is_on_the_page_with_its_permission() {
    for (path, page) in PAGES {
        for operation in Operation::ALL {
            let request = format!("`{}`", operation.request());
            let row = page.lines().find(|line| line.starts_with('|') && line.contains(&request));
            let row = row.unwrap_or_else(|| panic!("{path} has no row for {request}"));
            let permission = operation.permission();
            assert!(row.contains(&format!("`{}`", permission.name)), "{path}: {row}: not {permission}");
            assert!(row.contains(&format!("`{}`", permission.service)), "{path}: {row}: not {permission}");
            assert!(row.contains(&format!("`{}`", operation.word())), "{path}: {row}: not as metrics call it");
        }
        // As many rows as calls: none that the client does not make any more.
        let rows = page.lines().filter(|line| line.starts_with("| `GET ") || line.starts_with("| `PUT ")).count();
        assert_eq!(rows, Operation::ALL.len(), "{path}");
    }
}

#[test]
fn each_policy_allows_what_its_use_needs_and_nothing_else() {
    for (path, page) in PAGES {
        let policies: Vec<&str> = page
            .split("```json\n")
            .skip(1)
            .filter_map(|rest| rest.split_once("\n```").map(|(policy, _)| policy))
            .collect();
        assert_eq!(policies.len(), POLICIES.len(), "{path}");
        for (text, (what, calls)) in policies.into_iter().zip(POLICIES) {
            let policy: Value = serde_json::from_str(text).unwrap_or_else(|e| panic!("{path}, {what}: {e}\n{text}"));
            assert_eq!(policy["version"], "v1", "{path}, {what}");
            let mut allowed = BTreeSet::new();
            for rule in policy["accessControlList"].as_array().expect("a list") {
                assert_eq!(rule["effect"], "Allow", "{path}, {what}");
                let service = rule["service"].as_str().expect("a service");
                for name in rule["permission"].as_array().expect("a list") {
                    allowed.insert((service.to_owned(), name.as_str().expect("a name").to_owned()));
                }
            }
            let needed = calls.iter().map(|call| call.permission());
            let needed: BTreeSet<_> = needed.map(|p| (p.service.to_owned(), p.name.to_owned())).collect();
            assert_eq!(allowed, needed, "{path}, {what}");
        }
    }
}

#[test]
fn names_that_are_inferred_are_said_to_be() {
    for (path, page) in PAGES {
        let doubtful = |name: &str| {
            let says = |section: &&str| section.contains("inferred") || section.contains("推断");
            page.split("\n## ").filter(says).any(|section| section.contains(&format!("`{name}`")))
        };
        for operation in Operation::ALL.iter().filter(|operation| operation.permission().inferred) {
            let name = operation.permission().name;
            assert!(doubtful(name), "{path} does not say that {name} is inferred");
        }
    }
}

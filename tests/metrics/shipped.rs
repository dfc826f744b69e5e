//! What is shipped for Prometheus and Grafana: it parses, fires when it should, and asks only for what there is.

use crate::promtool::promtool;
use havipd::metrics::table::{ALL, Kind};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn text(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap()
}

const RULES: &str = "config/prometheus/havipd.rules.yml";
const TESTS: &str = "tests/data/metrics/rules.test.yml";
const DASHBOARD: &str = "config/grafana/havipd.json";

#[test]
fn the_rules_fire_when_they_should_and_each_has_a_test() {
    promtool(&["check", "rules", path(RULES).to_str().unwrap()], "");
    promtool(&["test", "rules", path(TESTS).to_str().unwrap()], "");
    let after = |text: &str, key: &str| -> BTreeSet<String> {
        text.lines().filter_map(|l| l.trim().strip_prefix(key).map(|v| v.trim().to_owned())).collect()
    };
    let (rules, tests) = (text(RULES), text(TESTS));
    assert_eq!(after(&rules, "- alert:"), after(&tests, "- name:"));
}

/// Every query of a dashboard, its variables replaced by values as Grafana does it.
fn queries(dashboard: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![dashboard];
    while let Some(value) = open.pop() {
        match value {
            Value::Object(members) => {
                found.extend(members.get("expr").and_then(Value::as_str).map(str::to_owned));
                open.extend(members.values());
            }
            Value::Array(all) => open.extend(all),
            _ => {}
        }
    }
    let replaced = |q: &String| q.replace("$__rate_interval", "5m").replace("$job", ".*").replace("$group", ".*");
    found.iter().map(replaced).collect()
}

#[test]
fn every_query_of_the_dashboard_parses() {
    let dashboard: Value = serde_json::from_str(&text(DASHBOARD)).unwrap();
    let queries = queries(&dashboard);
    assert!(queries.len() > 20, "{}", queries.len());
    let mut rules = "groups:\n  - name: dashboard\n    rules:\n".to_owned();
    for (i, query) in queries.iter().enumerate() {
        assert!(!query.contains('$'), "a variable that is not replaced: {query}");
        let _ = writeln!(rules, "      - record: query:{i}\n        expr: {query:?}");
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("rules.yml");
    std::fs::write(&file, rules).unwrap();
    promtool(&["check", "rules", file.to_str().unwrap()], "");
}

/// Every name that begins as ours do.
fn names(text: &str) -> BTreeSet<String> {
    let inside = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.match_indices("havipd_").map(|(at, _)| text[at..].chars().take_while(|c| inside(*c)).collect()).collect()
}

#[test]
fn only_series_that_there_are_are_asked_for() {
    let mut known = BTreeSet::new();
    for series in ALL {
        match series.kind {
            Kind::Histogram => known.extend(["_bucket", "_sum", "_count"].map(|s| format!("{}{s}", series.name))),
            _ => drop(known.insert(series.name.to_owned())),
        }
    }
    for file in [RULES, TESTS, DASHBOARD] {
        let asked = names(&text(file));
        assert!(asked.len() > 10, "{file}: {asked:?}");
        let unknown: Vec<_> = asked.difference(&known).collect();
        assert!(unknown.is_empty(), "{file} asks for {unknown:?}");
    }
}

#[test]
fn the_documentation_says_where_they_are() {
    let documentation = text("docs/metrics.md");
    for name in ["prometheus/havipd.rules.yml", "grafana/havipd.json"] {
        assert!(documentation.contains(name) && path("config").join(name).exists(), "{name}");
    }
}

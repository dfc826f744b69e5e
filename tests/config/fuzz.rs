//! Whatever the file is, checking it ends, with a configuration or with the reason why not.

use crate::{BASE, check_in, on_a};
use havipd::config::LoadError;
use proptest::prelude::*;

const SHIPPED: &str = include_str!("../../config/havipd.toml");

fn ends(text: &str) {
    match check_in(text, &on_a()) {
        Err(LoadError::Invalid(all)) => {
            assert!(all.has_errors(), "refused without a reason: {text:?}");
            for line in all.to_string().lines() {
                assert!(line.starts_with("havipd.toml"), "one line each: {line:?}");
            }
        }
        Err(LoadError::NotYet { warnings, .. }) => assert!(!warnings.has_errors()),
        Ok(loaded) => assert!(!loaded.warnings.has_errors()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn of_arbitrary_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        ends(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn of_what_looks_like_toml(text in r#"([a-z\-\[\]{}="'#,.0-9 \n]|node|group|havip|\[\[node\]\]\n|keys|address){0,80}"#) {
        ends(&text);
    }

    #[test]
    fn of_a_right_file_with_a_wound(start in 0_usize..20_000, length in 0_usize..40, put in r#"[\[\]{}="'#,\-\n\\a0 é]{0,4}"#) {
        for whole in [BASE, SHIPPED] {
            // Every key of the shipped file, not only those that it sets.
            let whole: String = whole.lines().map(|l| format!("{}\n", l.strip_prefix('#').unwrap_or(l))).collect();
            for whole in [whole.as_str(), BASE] {
                let begin = whole.floor_char_boundary(start % whole.len());
                let end = whole.floor_char_boundary((begin + length).min(whole.len())).max(begin);
                ends(&format!("{}{put}{}", &whole[..begin], &whole[end..]));
            }
        }
    }

    #[test]
    fn of_any_value_for_any_key(key in 0_usize..1000, value in r#"-?[0-9]{1,25}|"[^"\\\x00-\x1f]{0,20}"|\[\]|\{\}|true|nan|-inf|1e400|0x7f|1979-05-27|\[\[\]\]|\[\{\}\]"#) {
        use havipd::config::schema::{KEYS, Section};
        let row = KEYS[key % KEYS.len()];
        let text = match row.section {
            Section::Root => format!("{} = {value}\n{BASE}", row.name),
            Section::HeartbeatKey => BASE.replacen("id = 1", &format!("{} = {value}", row.name), 1),
            Section::Group => BASE.replacen("#group", &format!("{} = {value}", row.name), 1),
            Section::Havip => BASE.replacen("#havip", &format!("{} = {value}", row.name), 1),
            Section::Node => BASE.replacen("#node", &format!("{} = {value}", row.name), 1),
            Section::Heartbeat => BASE.replacen("#heartbeat", &format!("{} = {value}", row.name), 1),
            Section::Cluster => BASE.replacen("#cluster", &format!("{} = {value}", row.name), 1),
            other => format!("{BASE}{other}\n{} = {value}\n", row.name),
        };
        ends(&text);
    }
}

#[test]
fn of_nesting_and_of_length() {
    ends(&"[".repeat(100_000));
    ends(&format!("a = {}", "[".repeat(100_000)));
    ends(&format!("a = {}", "{a=".repeat(100_000)));
    ends(&format!("{}=1", "a.".repeat(10_000)));
    ends(&"x\n".repeat(100_000));
    ends(&"= ".repeat(100_000));
}

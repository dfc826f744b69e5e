//! Whatever the files are: the promise that is fuzzed too, with what looks like configurations.

use crate::promise::{NEXT, run};
use proptest::prelude::*;
use std::path::Path;

fn holds(texts: &[String]) {
    run(texts.join(&NEXT.to_string()).as_bytes());
}

/// A line that somebody could write, right or not quite.
fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        r"priority (0|1|100|150|254|255|256|x)",
        r"(state (MASTER|BACKUP)|nopreempt|preempt_delay (0|0\.5|30|1000|9999999))",
        r"virtual_router_id (1|2|51|300)",
        r"advert_int (0\.01|0\.001|1|1\.5|255|70|0)",
        r"(down_timer_adverts (1|3|100)|vrrp_startup_delay (0|5|1000))",
        r#"interface (eth0|ens5|eth0:1|"a b"|eth/0|averyveryverylongname|\.|é)"#,
        r"unicast_src_ip 10\.0\.0\.[1-4](/24)?",
        r"unicast_peer \{ 10\.0\.0\.[1-4]( 10\.0\.1\.[1-9])?\n(fd00::[1-3]\n)?\}",
        r"virtual_ipaddress \{\n(10\.0\.0\.[5-9](/24)? (dev eth[01])?\n){0,3}(fd00::9|192\.0\.2\.1|x)?\n\}",
        r#"notify(_master|_backup|_stop)? ("/bin/x y 'z'"|/bin/x root|""|"\n"|'\\\\"')"#,
        r#"notify_master "/usr/bin/havipctl attach (havip-1|x)?""#,
        r"track_(script|interface|file) \{\n(eth0|chk weight -[0-9])\n\}",
        r"(\$A=10|\$A=\$A\$A|\$B=x \\|include more|@a priority 7|~SEQ\(a\)|authentication \{)",
        r"[a-z_{}$@!#\\' ]{0,12}",
    ]
}

fn file() -> impl Strategy<Value = String> {
    let instance = ("(VI_[12]|x y|é)", proptest::collection::vec(line(), 0..9))
        .prop_map(|(name, lines)| format!("vrrp_instance \"{name}\" {{\n{}\n}}\n", lines.join("\n")));
    let other = prop_oneof![
        r"vrrp_sync_group G[12] \{\ngroup \{\nVI_1\n(VI_2\n)?\}\n(notify /bin/g\n)?\}\n",
        r#"global_defs \{\nrouter_id (a|b|LVS_DEVEL|"é b")\n(default_interface eth9\n)?\}\n"#,
        r"[a-z{}\n ]{0,10}",
    ];
    proptest::collection::vec(prop_oneof![3 => instance, 1 => other], 0..5).prop_map(|all| all.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn of_arbitrary_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        holds(&[String::from_utf8_lossy(&bytes).into_owned()]);
    }

    #[test]
    fn of_right_files_with_a_wound(case in 0_usize..100, at in 0_usize..10_000, length in 0_usize..60, put in r#"[{}"'$\\!@~\n a0é]{0,6}"#) {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus/import");
        let mut all: Vec<_> = std::fs::read_dir(corpus).unwrap().map(|e| e.unwrap().path()).collect();
        all.sort();
        let whole = std::fs::read_to_string(&all[case % all.len()]).unwrap();
        let begin = whole.floor_char_boundary(at % whole.len());
        let end = whole.floor_char_boundary((begin + length).min(whole.len())).max(begin);
        run(format!("{}{put}{}", &whole[..begin], &whole[end..]).as_bytes());
    }

    #[test]
    fn of_what_looks_like_it(texts in proptest::collection::vec(file(), 1..4)) {
        holds(&texts);
    }
}

//! What is said of checks, and of what groups make of them.

use crate::{BASE, said, with};

/// What is said of these checks, which the only group uses by these names.
fn of(names: &str, group: &str, checks: &str) -> String {
    let text = with("group", &format!("checks = [{names}]\n{group}"));
    said(&format!("{text}{checks}"))
}

fn check(keys: &str) -> String {
    of("\"k\"", "", &format!("[[check]]\nname = \"k\"\n{keys}\n"))
}

#[test]
fn a_check_looks_at_one_thing_and_takes_only_keys_that_mean_something() {
    for (keys, expected) in [
        ("process = \"p\"", ""),
        ("tcp = \"127.0.0.1:80\"\nhttp = \"http://h/\"", "a [[check]] looks at one thing: it has \"tcp\" and \"http\""),
        ("interval = \"1s\"", "a [[check]] has one of script, tcp"),
        ("process = \"p\"\ninterval = \"1s\"", "\"interval\" has no meaning"),
        ("file = \"/f\"\nfall = 2", "\"fall\" has no meaning"),
        ("tcp = \"127.0.0.1:80\"\nbody = \"x\"", "\"body\" belongs to \"http\""),
        ("http = \"http://h/\"\nquorum = 1", "\"quorum\" belongs to \"ping\""),
        ("http = \"https://h/\"\ncert-file = \"/c\"", "\"cert-file\" needs \"key-file\" beside it"),
        ("http = \"https://h/\"\nkey-file = \"/k\"", "\"key-file\" needs \"cert-file\" beside it"),
        (
            "http = \"http://h/\"\ncert-file = \"/c\"\nkey-file = \"/k\"",
            "\"cert-file\" has no meaning: the \"http\" of this check is no https URL",
        ),
        ("http = \"http://h/\"\ncert-file = \"/c\"\nkey-file = \"/k\"", "\"key-file\" has no meaning"),
        ("http = \"http://h/\"\nca-file = \"/c\"", "\"ca-file\" has no meaning"),
        ("http = \"http://h/\"\ntls-verify = true", "\"tls-verify\" has no meaning"),
        ("http = \"https://h/\"\nca-file = \"/c\"\ntls-verify = true\ninterval = \"500ms\"", ""),
        ("http = \"https://h/\"\ncert-file = \"/c\"\nkey-file = \"/missing\"", "/missing: cannot be read"),
        ("tcp = \"127.0.0.1:80\"\nkey-file = \"/k\"", "\"key-file\" belongs to \"http\""),
        ("ping = [\"10.0.0.1\"]\nquorum = 2", "\"quorum\" is 2, and \"ping\" has 1 target"),
        ("ping = [\"gateway\"]", "\"gateway\" is not an IP address"),
        ("script = \"/x y\"", "\"script\" must be a list of a program and its arguments"),
        ("script = [\"/x --well\"]", "is taken for the path of a program, blanks and all"),
        ("script = [\"x\"]", "the script \"x\" is not an absolute path"),
        ("tcp = \"127.0.0.1:80\"\ntimeout = \"2s\"", "\"timeout\", 2s, must not be longer than \"interval\", 1s"),
        ("tcp = \"127.0.0.1:80\"\nretry-interval = \"2s\"", "\"retry-interval\", 2s, must not be longer"),
        ("tcp = \"127.0.0.1:80\"\nweight = 0", "\"weight\" = 0 would change nothing"),
        ("tcp = \"127.0.0.1:80\"\nnodes = [\"z\"]", "no [[node]] is named \"z\""),
        ("tcp = \"127.0.0.1:80\"\nnodes = []", "no node runs this check"),
        ("process = \"/usr/sbin/nginx\"", "\"/usr/sbin/nginx\" is a path (as in /proc/PID/comm: \"nginx\")"),
        ("unit = \"nginx*.service\"", "\"nginx*.service\" is a pattern"),
        ("unit = \"ngi nx.service\"", "\"ngi nx.service\" is not the name of a systemd unit"),
        ("unit = \"systemd-fsck@dev-disk-by\\\\x2dlabel-EFI.service\"\ninterval = \"500ms\"", ""),
        ("tcp = \"255.255.255.255:80\"", "nobody accepts connections at 255.255.255.255"),
        ("tcp = \"[fe80::1]:80\"", "nobody accepts connections at fe80::1"),
        ("ping = [\"224.0.0.1\"]", "224.0.0.1 is not the address of one host"),
        ("ping = [\"::\"]", ":: is not the address of one host"),
        (
            "ping = [\"10.0.0.1\", \"10.0.0.2\", \"10.0.0.1\"]",
            "10.0.0.1 is there twice, and would count as two targets",
        ),
        ("http = \"http://h:0/\"", "its port is not a number from 1 to 65535"),
        ("http = \"http://h:70000/\"", "its port is not a number from 1 to 65535"),
        ("http = \"http:///x\"", "it names no host"),
        ("http = \"http://h/#top\"", "it has a fragment"),
        ("http = \"http://::1/\"", "an IPv6 address has brackets there"),
        ("http = \"http://h/\\u001bx\"", "a character that cannot be printed"),
        ("http = \"http://224.0.0.1/\"", "nobody accepts connections at 224.0.0.1"),
        ("http = \"http://[::1]:80/\"\nhost = \"www.example.com\"\ninterval = \"500ms\"", ""),
        ("http = \"http://h/\"\nhost = \"a b\"", "\"a b\" is not the name of a host"),
        ("http = \"http://h/\"\nhost = \"h:80\"", "\"h:80\" is not the name of a host"),
        ("http = \"http://h/\"\nhost = \"\"", "\"\" is not the name of a host"),
        ("http = \"http://h/\"\nstatus = \"100-199\"", "no answer ends with a status below 200"),
        ("http = \"http://u:secret@h/\"", "it names a user"),
        ("http = \"http://h/\"\nheaders = { A = 5 }", "the value of \"A\" must be a string of printable ASCII"),
        (
            "http = \"http://h/\"\nheaders = { A = \"secret\\n\" }",
            "the value of \"A\" must be a string of printable ASCII",
        ),
        ("http = \"http://h/\"\nheaders = { A = \"\" }\ninterval = \"500ms\"", ""),
        ("http = \"http://h/\"\nheaders = { \"\" = \"secret\" }", "\"\" is not the name of a header"),
        ("http = \"http://h/\"\nheaders = { \"A\\nB\" = \"secret\" }", "is not the name of a header"),
        ("http = \"http://h/\"\nheaders = { HOST = \"secret\" }", "\"HOST\" has a key of its own"),
        ("http = \"http://h/\"\nheaders = { Content-Length = \"5\" }", "\"Content-Length\" cannot be set"),
        ("http = \"http://h/\"\nheaders = { transfer-encoding = \"x\" }", "\"transfer-encoding\" cannot be set"),
        (
            "http = \"http://h/\"\nheaders = { Accept = \"x\", accept = \"y\" }",
            "\"Accept\" and \"accept\" are the same header",
        ),
        ("http = \"http://h/\"\nstatus = \"900\"", "\"900\" is neither a status"),
        ("tcp = \"127.0.0.1:80\"\ninterval = \"1m\"", "may take 4m"),
    ] {
        let said = check(keys);
        assert!(said.contains(expected) && said.is_empty() == expected.is_empty(), "{keys}: {said}");
        assert!(!said.contains("secret"), "{said}");
    }
}

#[test]
fn names_of_checks_are_known_unique_and_used() {
    let one = "[[check]]\nname = \"k\"\nprocess = \"p\"\n";
    assert!(of("\"x\"", "", one).contains("no [[check]] is named \"x\""));
    assert!(of("\"k\", \"k\"", "", one).contains("the check \"k\" is there twice"));
    assert!(of("\"k\"", "", &one.repeat(2)).contains("two checks are named \"k\""));
    assert!(said(&format!("{BASE}{one}")).contains("no group uses the check \"k\""));
    assert!(said(&format!("{BASE}[[check]]\nprocess = \"p\"\n")).contains("\"name\" is missing in [[check]]"));
}

#[test]
fn a_check_that_asks_the_havip_itself_is_warned_of() {
    let warning = "the HAVIP that it decides about";
    let base =
        with("group", "checks = [\"k\"]").replace("id = \"havip-1\"", "id = \"havip-1\"\naddress = \"10.0.0.100\"");
    assert!(base.contains("10.0.0.100"), "{base}");
    for (keys, warned) in [
        ("tcp = \"10.0.0.100:80\"", true),
        ("http = \"http://10.0.0.100/healthz\"", true),
        ("http = \"https://10.0.0.100:8443?x=1\"", true),
        ("ping = [\"10.0.0.1\", \"10.0.0.100\"]", true),
        ("tcp = \"10.0.0.10:80\"", false),
        ("http = \"http://10.0.0.100.example.com/\"", false),
        ("http = \"http://127.0.0.1/?for=10.0.0.100\"", false),
    ] {
        let said = said(&format!("{base}[[check]]\nname = \"k\"\n{keys}\n"));
        assert_eq!(said.contains(warning), warned, "{keys}: {said}");
    }
}

#[test]
fn weights_that_change_nothing_are_warned_of() {
    let weighted = |weight: i16, group: &str| {
        of("\"k\"", group, &format!("[[check]]\nname = \"k\"\nprocess = \"p\"\nweight = {weight}\n"))
    };
    let apart = "priorities = { a = 200, b = 100 }";
    assert!(weighted(-20, apart).contains("can never change the order of the nodes"));
    assert_eq!(weighted(-101, apart), "");
    assert!(
        weighted(-101, &format!("{apart}\npreempt = false")).contains("\"preempt\" = false, so a weight moves nothing")
    );
}

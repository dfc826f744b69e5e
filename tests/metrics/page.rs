//! The two pages of real daemons.

use crate::lab::Options;
use crate::lab::script::script;
use crate::promtool::promtool;
use crate::scrape::{exchange, get, lab, names, place, value, wait_page};
use crate::wait::wait_for;
use havipd::metrics::table::{ALL, markdown};
use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;

#[test]
fn a_real_page_says_what_the_status_says_and_promtool_likes_it() {
    let (listen, mut lab) = lab(Options::default());
    let hook = lab.dir.path().join("hook");
    script(&hook, "#!/bin/sh\nexit 0\n");
    lab.options.tables = format!("[hooks]\nnotify = {hook:?}\n");
    lab.options.group = "before-active = [\"/bin/true\"]".to_owned();
    lab.write_config();
    let a = lab.start(0);
    wait_page(listen, "a serves metrics", |_| true);
    let b = lab.start(1);
    a.wait_for("is active, b is up", |s| s["groups"][0]["role"] == "active" && s["peers"][0]["state"] == "up");
    let page = wait_page(listen, "the page shows it", |page| {
        value(page, "havipd_group_is_active{group=\"web\"}") == Some(1.0)
            && value(page, "havipd_peer_session_state{peer=\"b\",state=\"up\"}") == Some(1.0)
            && value(page, "havipd_hook_runs_total{group=\"web\",result=\"ok\"}").is_some_and(|n| n >= 1.0)
            && value(page, "havipd_peer_round_trip_seconds_count{peer=\"b\"}").is_some_and(|n| n >= 5.0)
    });
    assert_eq!(promtool(&["check", "metrics"], &page), "");
    let labels = "cluster=\"lab\",node=\"a\",target=\"i-a\"";
    let node = format!("havipd_node_info{{{labels},version=\"{}\"}}", env!("CARGO_PKG_VERSION"));
    for (sample, expected) in [
        (&*node, 1.0),
        ("havipd_group_role{group=\"web\",role=\"active\"}", 1.0),
        ("havipd_group_role{group=\"web\",role=\"backup\"}", 0.0),
        ("havipd_group_active_node{group=\"web\",node=\"a\"}", 1.0),
        ("havipd_group_activations_total{group=\"web\"}", 1.0),
        ("havipd_havip_holder{group=\"web\",havip=\"havip-test1\",holder=\"i-a\"}", 1.0),
        ("havipd_havip_held{group=\"web\",havip=\"havip-test1\"}", 1.0),
        ("havipd_claims_total{group=\"web\",cause=\"no-active\",result=\"won\"}", 1.0),
        ("havipd_claim_step_duration_seconds_count{step=\"write\",planned=\"false\"}", 1.0),
        ("havipd_api_calls_total{operation=\"attach\",result=\"ok\"}", 1.0),
        ("havipd_gate_running{group=\"web\",gate=\"before-active\"}", 0.0),
        ("havipd_gate_runs_total{group=\"web\",gate=\"before-active\",result=\"passed\"}", 1.0),
        ("havipd_gate_failing{group=\"web\"}", 0.0),
        ("havipd_authentication_failures_total{kind=\"bad-tag\"}", 0.0),
        ("havipd_heartbeat_interval_seconds", 0.05),
        ("havipd_dead_time_seconds", 2.0),
        ("havipd_config_last_reload_successful", 1.0),
    ] {
        assert_eq!(value(&page, sample), Some(expected), "{sample} in\n{page}");
    }
    // What was bound to the port before b has it: b says so, and takes it over when a is gone.
    b.wait_for("says that its port is taken", |s| {
        s["effects"]["metrics_error"].as_str().is_some_and(|e| e.contains(&listen.to_string()))
    });
    drop(a);
    wait_page(listen, "b serves metrics", |page| page.contains("node=\"b\""));
    b.wait_for("has nothing to complain of", |s| s["effects"]["metrics_error"].is_null());
}

#[test]
fn every_series_is_in_the_table_and_the_table_in_the_documentation() {
    let check = "[[check]]\nname = \"web\"\nscript = [\"/bin/true\"]\n";
    let options = Options {
        group: "checks = [\"web\"]\nbefore-active = [\"/bin/true\"]".into(),
        tables: check.into(),
        ..Options::default()
    };
    let (listen, lab) = lab(options);
    let a = lab.start(0);
    // Before b, which would serve there instead.
    wait_page(listen, "a serves metrics", |_| true);
    let _b = lab.start(1);
    a.wait_role("active");
    // It would look by itself after a minute; a request has it look now. Of a cluster with such a dead time it warns.
    assert!(matches!(lab.ctl(0, &["doctor"]).status.code(), Some(0 | 1)));
    // Not on this page: no file of certificates is named, keys of this cluster have no end, the address is nowhere, and all
    // checks pass.
    let absent = [
        "havipd_certificate_expiry_timestamp_seconds",
        "havipd_credentials_expiry_timestamp_seconds",
        "havipd_havip_address_present",
        "havipd_group_checks_not_passing",
    ];
    let table: BTreeSet<&str> = ALL.iter().map(|s| s.name).filter(|n| !absent.contains(n)).collect();
    // A check of b that has not ended yet does not pass: for that moment there is one series more.
    wait_page(listen, "every series of the table is there, and no other", |page| {
        names(page).iter().map(String::as_str).eq(table.iter().copied())
    });
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (begin, end) = ("<!-- series -->\n", "<!-- end -->");
    let from = text.find(begin).unwrap() + begin.len();
    let to = text.find(end).unwrap();
    if std::env::var_os("WRITE").is_some() {
        std::fs::write(&path, format!("{}{}{}", &text[..from], markdown(), &text[to..])).unwrap();
    } else {
        assert_eq!(&text[from..to], markdown(), "WRITE=1 cargo test --test metrics writes it");
    }
}

#[test]
fn checks_of_another_node_that_do_not_pass_are_counted() {
    let (listen, mut lab) = lab(Options { group: "checks = [\"one\", \"two\"]".into(), ..Options::default() });
    let well = lab.dir.path().join("well");
    let check = |name: &str| {
        format!(
            "[[check]]\nname = {name:?}\nnodes = [\"b\"]\nscript = [\"/usr/bin/test\", \"-e\", {well:?}]\n\
             interval = \"500ms\"\nfall = 1\nrise = 1\nweight = 1\n"
        )
    };
    lab.options.tables = check("one") + &check("two");
    lab.write_config();
    let _a = lab.start(0);
    wait_page(listen, "a serves metrics", |_| true);
    let _b = lab.start(1);
    let series = "havipd_group_checks_not_passing{group=\"web\",node=\"b\"}";
    wait_page(listen, "a counts those of b", |page| value(page, series) == Some(2.0));
    std::fs::write(&well, "").unwrap();
    wait_page(listen, "all of them pass", |page| value(page, series).is_none());
}

#[test]
fn a_reload_moves_the_listener_and_takes_it_away() {
    let (first, mut lab) = lab(Options::default());
    let second = place(&lab, 1);
    let a = lab.start(0);
    wait_page(first, "metrics are served", |_| true);
    lab.options.metrics = Some(second.to_string());
    lab.write_config();
    assert_eq!(lab.ctl(0, &["reload"]).status.code(), Some(0));
    wait_page(second, "metrics are served at the new address", |_| true);
    wait_for("nobody is at the old one", || get(first, "/metrics").is_none().then_some(()));
    lab.options.metrics = None;
    lab.write_config();
    assert_eq!(lab.ctl(0, &["reload"]).status.code(), Some(0));
    wait_for("nobody is at any", || get(second, "/metrics").is_none().then_some(()));
    drop(a);
}

#[test]
fn a_browser_is_shown_a_page_in_its_language_that_can_do_nothing() {
    let (listen, lab) = lab(Options::default());
    let a = lab.start(0);
    a.wait_role("active");
    wait_page(listen, "metrics are served", |_| true);
    let asked = |language: &str| {
        let head = format!("GET / HTTP/1.1\r\nHost: x\r\nAccept-Language: {language}\r\nConnection: close\r\n\r\n");
        exchange(listen, head.as_bytes()).unwrap()
    };
    let chinese = wait_for("the page shows who is active", || {
        Some(asked("zh-CN,zh;q=0.9,en;q=0.8")).filter(|page| page.contains("<td class=\"good\">a</td>"))
    });
    let (head, page) = chinese.split_once("\r\n\r\n").unwrap();
    let head = head.to_lowercase();
    for line in [
        "http/1.1 200 ok",
        "content-type: text/html; charset=utf-8",
        "content-language: zh-cn",
        "vary: accept-language",
        "cache-control: no-store",
        "x-content-type-options: nosniff",
        "content-security-policy: default-src 'none'; style-src 'sha256-",
    ] {
        assert!(head.contains(line), "{line} is not in {head}");
    }
    assert!(
        page.starts_with("<!DOCTYPE html>") && page.contains("当前服务节点") && page.ends_with("</html>\n"),
        "{page}"
    );
    assert!(asked("de").contains("<html lang=\"en\">"));
    let (code, status) = get(listen, "/status.json").unwrap();
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    assert_eq!((code, status["groups"][0]["active"].as_str(), status["node"].as_str()), (200, Some("a"), Some("a")));
    let post = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    assert!(exchange(listen, post).unwrap().starts_with("HTTP/1.1 405 "));
}

#[test]
fn only_known_pages_and_small_requests_are_answered() {
    let (listen, lab) = lab(Options::default());
    let _a = lab.start(0);
    wait_page(listen, "metrics are served", |_| true);
    assert_eq!(get(listen, "/healthz"), Some((200, "ok\n".to_owned())));
    assert_eq!(get(listen, "/metrics/").unwrap().0, 404);
    assert_eq!(get(listen, "/nothing").unwrap().0, 404);
    let post = b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";
    assert!(exchange(listen, post).unwrap().starts_with("HTTP/1.1 405 "));
    let garbage = exchange(listen, b"\x16\x03\x01 is no HTTP\r\n\r\n").unwrap_or_default();
    assert!(garbage.is_empty() || garbage.starts_with("HTTP/1.1 400 "), "{garbage}");
    let large = format!("GET /metrics HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(100_000));
    let refused = exchange(listen, large.as_bytes()).unwrap_or_default();
    assert!(refused.is_empty() || refused.starts_with("HTTP/1.1 431 "), "{refused}");

    // Who holds every place that one address may have keeps its own others out only until it lets go.
    let mut held: Vec<TcpStream> = (0..8).map(|_| TcpStream::connect(listen).unwrap()).collect();
    for stream in &mut held {
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        stream.read_exact(&mut [0; 12]).unwrap();
    }
    assert_eq!(get(listen, "/metrics"), None, "no place for a ninth");
    drop(held);
    wait_page(listen, "there is room again", |_| true);
}

/// A certificate that ends with the first of January of that year.
fn until(year: i32) -> String {
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.not_after = rcgen::date_time_ymd(year, 1, 1);
    params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().pem()
}

#[test]
fn the_end_of_a_certificate_is_that_of_the_file_as_it_is_now() {
    let (listen, mut lab) = lab(Options::default());
    let file = lab.dir.path().join("ca.pem");
    std::fs::write(&file, until(2040)).unwrap();
    lab.options.tables = format!("[[check]]\nname = \"secure\"\nhttp = \"https://127.0.0.1:9/\"\nca-file = {file:?}\n");
    lab.write_config();
    let _a = lab.start(0);
    let sample = format!("havipd_certificate_expiry_timestamp_seconds{{file={file:?}}}");
    let is = |what: &str, end: Option<f64>| drop(wait_page(listen, what, |page| value(page, &sample) == end));
    is("its end is served", Some(2_208_988_800.0));
    let (_, page) = get(listen, "/metrics").unwrap();
    assert_eq!(promtool(&["check", "metrics"], &page), "");

    std::fs::write(&file, until(2040) + &until(2010)).unwrap();
    is("one that has ended is seen", Some(1_262_304_000.0));
    let found = lab.ctl(0, &["doctor"]);
    let text = String::from_utf8(found.stdout).unwrap();
    assert_eq!(found.status.code(), Some(1), "{text}");
    let line = text.lines().find(|l| l.contains("certificates")).unwrap_or_else(|| panic!("{text}"));
    assert!(line.starts_with("failed") && line.contains("ended on 2010-01-01"), "{line}");
    std::fs::remove_file(&file).unwrap();
    is("nothing is known of a file that is gone", None);

    // A reload that names none leaves none.
    std::fs::write(&file, until(2040)).unwrap();
    is("it is back", Some(2_208_988_800.0));
    lab.options.tables.clear();
    lab.write_config();
    assert_eq!(lab.ctl(0, &["reload"]).status.code(), Some(0));
    is("none is named", None);
}

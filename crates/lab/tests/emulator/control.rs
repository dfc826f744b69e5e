//! The control API, the other endpoints, TLS, and a data plane that follows.

use crate::client::*;
use havipd_lab::emulator::{Emulator, EmulatorError, TlsConfig};
use havipd_lab::simulation::cloud::{InterfaceSpec, Profile};
use serde_json::json;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

#[tokio::test]
async fn commands_change_the_region_and_refuse_what_is_not_there() {
    let emulator = start().await;
    let client = Client::new(&emulator, "a");
    client.bind("attach", &["i-a", "i-b"], "t1").await.expect("is answered");
    let traffic = || emulator.control().view().havips.first().and_then(|h| h.traffic.clone());
    assert_eq!(traffic().as_deref(), Some("i-b"));
    assert_eq!(post(&emulator, "master", json!({"havip": HAVIP, "target": "i-a"})).await.status, 200);
    assert_eq!(traffic().as_deref(), Some("i-a"));
    let refused = post(&emulator, "master", json!({"havip": HAVIP, "target": "i-c"})).await;
    assert_eq!(refused.status, 409);
    assert_eq!(refused.json()["error"], "\"i-c\" is not bound to \"havip-1\"");
    assert_eq!(post(&emulator, "unbind", json!({"havip": HAVIP, "target": "i-a"})).await.status, 200);
    assert_eq!(traffic().as_deref(), Some("i-b"));
    assert_eq!(post(&emulator, "stop", json!({"instance": "i-b"})).await.status, 200);
    assert_eq!(traffic(), None);
    let instance = client.call("GET", "/v2/instance/i-b", &[], None).await.expect("is answered").json();
    assert_eq!(instance["instance"]["status"], "Stopped");
    assert_eq!(post(&emulator, "start", json!({"instance": "i-b"})).await.status, 200);

    let garp = post(&emulator, "profile", json!({"name": "garp-moves", "overrides": {"data-delay-ms": 1}})).await;
    assert_eq!(garp.status, 200);
    let profile = emulator.control().view().profile;
    assert_eq!(profile, Profile { data_delay: Duration::from_millis(1), ..Profile::garp_moves() });
    client.bind("attach", &["i-a"], "t2").await.expect("is answered");
    let announced = post(&emulator, "announce", json!({"havip": HAVIP, "target": "i-a"})).await;
    assert_eq!(announced.json(), json!({"moved": true}));
    let full = post(&emulator, "fill", json!({"havip": HAVIP})).await.json();
    assert_eq!(full["bound"].as_array().map(Vec::len), Some(3));
    assert_eq!(post(&emulator, "delete", json!({"havip": HAVIP})).await.status, 200);
    assert_eq!(client.detail().await.expect("is answered").summary(), "400 NoSuchObject");
    let again = json!({"havip": HAVIP, "address": "10.0.0.100"});
    assert_eq!(post(&emulator, "create", again.clone()).await.status, 200);
    assert_eq!(client.detail().await.expect("is answered").summary(), "200");
    let refused = post(&emulator, "create", again).await;
    assert_eq!((refused.status, &refused.json()["error"]), (409, &json!("there is a \"havip-1\" already")));

    for (command, body, status) in [
        ("profile", json!({"name": "garp"}), 409),
        ("profile", json!({"name": "garp-moves", "overrides": {"typo": 1}}), 409),
        ("master", json!({"havip": HAVIP}), 400),
        ("master", json!({"havip": HAVIP, "target": "i-a", "typo": 1}), 400),
        ("nothing", json!({}), 400),
        ("role", json!({"node": "nobody", "enabled": true}), 409),
    ] {
        let reply = post(&emulator, command, body).await;
        assert_eq!(reply.status, status, "{command}: {}", reply.body);
        assert!(!reply.json()["error"].as_str().unwrap_or_default().is_empty());
    }
}

#[tokio::test]
async fn the_log_has_every_call() {
    let emulator = start().await;
    let client = Client::new(&emulator, "b");
    client.bind("attach", &["i-b"], "tok/1").await.expect("is answered");
    client.detail().await.expect("is answered");
    let url = format!("{}/_emulator/calls", emulator.endpoint());
    let calls = get(&url).await.json();
    assert_eq!(calls[0]["method"], "PUT");
    assert_eq!(calls[0]["target"], "/v1/havip/havip-1?attach&clientToken=tok%2F1");
    assert_eq!(calls[0]["token"], "tok/1");
    assert_eq!(calls[0]["operation"], "attach");
    assert_eq!(calls[0]["caller"], json!(["ak-b", "b", "i-b"]));
    assert_eq!(calls[0]["outcome"], "200");
    assert!(calls[0]["body"].as_str().unwrap_or_default().contains("i-b"));
    assert!(!calls.to_string().contains("sk-b"));
    let newer = get(&format!("{url}?since=1")).await.json();
    assert_eq!((newer.as_array().map(Vec::len), &newer[0]["operation"]), (Some(1), &json!("detail")));
}

#[tokio::test]
async fn watchers_hear_of_a_move() {
    let emulator = start().await;
    let mut changes = emulator.control().changes();
    let version = emulator.control().traffic().borrow().version;
    let url = format!("{}/_emulator/watch?since={version}&timeout-ms=20000", emulator.endpoint());
    let poll = tokio::spawn(async move { get(&url).await.json() });
    Client::new(&emulator, "a").bind("attach", &["i-a"], "t1").await.expect("is answered");
    let seen = tokio::time::timeout(PATIENCE, poll).await.expect("ends").expect("does not panic");
    assert_eq!(seen["routes"], json!([{"havip": HAVIP, "address": "10.0.0.100", "target": "i-a"}]));
    let change = tokio::time::timeout(PATIENCE, changes.recv()).await.expect("comes").expect("the emulator lives");
    assert_eq!(change.target.as_deref(), Some("i-a"));
    let now = format!("{}/_emulator/watch?since=1000&timeout-ms=1", emulator.endpoint());
    assert_eq!(get(&now).await.json(), seen, "without a change the present state");
}

#[tokio::test]
async fn a_program_runs_on_each_move() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("moves");
    let script = format!("echo \"$@\" >> {}", file.display());
    let argv = ["sh", "-c", &script, "moved"].map(str::to_owned);
    let emulator = Emulator::start(havipd_lab::emulator::EmulatorConfig { on_change: argv.into(), ..config() });
    let emulator = emulator.await.expect("starts");
    let client = Client::new(&emulator, "a");
    client.bind("attach", &["i-a"], "t1").await.expect("is answered");
    wait_for_lines(&file, 1).await;
    client.bind("attach", &["i-b"], "t2").await.expect("is answered");
    wait_for_lines(&file, 2).await;
    client.bind("detach", &["i-a", "i-b"], "t3").await.expect("is answered");
    let lines = wait_for_lines(&file, 3).await;
    assert_eq!(lines, ["havip-1 10.0.0.100 i-a", "havip-1 10.0.0.100 i-b", "havip-1 10.0.0.100"]);
}

async fn wait_for_lines(file: &Path, count: usize) -> Vec<String> {
    let read = async {
        loop {
            let text = std::fs::read_to_string(file).unwrap_or_default();
            let lines: Vec<String> = text.lines().map(|l| l.trim_end().to_owned()).collect();
            if lines.len() >= count {
                return lines;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, read).await.expect("the program has run")
}

#[tokio::test]
async fn interfaces_are_listed_by_vpc_and_by_instance() {
    let mut config = config();
    let eni = |name: &str, n: u8| {
        let address = Ipv4Addr::new(10, 0, 0, 20 + n);
        InterfaceSpec::new(&format!("eni-{name}"), &format!("i-{name}"), &format!("fa:16:3e:00:00:{n:02x}"), address)
    };
    config.world.interfaces.extend([eni("a", 1), eni("b", 2)]);
    let emulator = Emulator::start(config).await.expect("starts");
    let client = Client::new(&emulator, "a");
    let all = client.call("GET", "/v1/eni", &[("vpcId", Some("vpc-sandbox"))], None).await.expect("is answered");
    assert_eq!(all.json()["enis"].as_array().map(Vec::len), Some(2));
    let query = [("vpcId", Some("vpc-sandbox")), ("instanceId", Some("i-b"))];
    let one = client.call("GET", "/v1/eni", &query, None).await.expect("is answered").json();
    assert_eq!(
        (&one["enis"][0]["eniId"], &one["enis"][0]["macAddress"]),
        (&json!("eni-b"), &json!("fa:16:3e:00:00:02"))
    );
    let detail = client.call("GET", "/v1/eni/eni-b", &[], None).await.expect("is answered").json();
    assert_eq!(detail, one["enis"][0]);
    let unknown = client.call("GET", "/v1/eni/eni-c", &[], None).await.expect("is answered");
    assert_eq!(unknown.status, 404, "{}", unknown.summary());
    let same = client.call("GET", "/v2/eni/i-b", &[], None).await.expect("is answered").json();
    assert_eq!(same["enis"], one["enis"]);
    let elsewhere = client.call("GET", "/v1/eni", &[("vpcId", Some("vpc-0"))], None).await.expect("is answered");
    assert_eq!(elsewhere.json()["enis"], json!([]));
}

#[tokio::test]
async fn https_with_a_certificate_of_ones_own() {
    let dir = tempfile::tempdir().expect("a directory");
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
    let tls = TlsConfig { certificate: dir.path().join("cert.pem"), key: dir.path().join("key.pem") };
    std::fs::write(&tls.certificate, made.cert.pem()).expect("written");
    let mut config = config();
    config.tls = Some(tls.clone());
    let error = Emulator::start(config.clone()).await.expect_err("there is no key file yet");
    assert!(matches!(&error, EmulatorError::Pem { path, .. } if *path == tls.key), "{error}");

    std::fs::write(&tls.key, made.signing_key.serialize_pem()).expect("written");
    let emulator = Emulator::start(config).await.expect("starts");
    assert!(emulator.endpoint().starts_with("https://127.0.0.1:"));
    let root = reqwest::Certificate::from_pem(made.cert.pem().as_bytes()).expect("PEM");
    let http = reqwest::Client::builder().no_proxy().tls_certs_only([root]).build().expect("a client");
    let client = Client { http, ..Client::new(&emulator, "a") };
    assert_eq!(client.detail().await.expect("is answered").summary(), "200");
    let stranger = Client::new(&emulator, "a");
    assert!(stranger.detail().await.is_err(), "the certificate is not trusted by others");
}

#[tokio::test]
async fn an_address_in_use_is_an_error_and_shutdown_frees_it() {
    let emulator = start().await;
    let address = emulator.address();
    let mut second = config();
    second.listen = address;
    let error = Emulator::start(second.clone()).await.expect_err("in use");
    assert!(error.to_string().starts_with(&format!("cannot listen on {address}")), "{error}");
    emulator.shutdown().await;
    let mut wrong = second.clone();
    wrong.nodes[1].instance = "i-nobody".to_owned();
    let error = Emulator::start(wrong).await.expect_err("no such instance");
    assert_eq!(error.to_string(), "node \"b\" is instance \"i-nobody\", which does not exist");
    Emulator::start(second).await.expect("free again");
}

#[test]
fn a_configuration_file_is_enough() {
    let config: havipd_lab::emulator::EmulatorConfig = toml::from_str(
        r#"
        listen = "127.0.0.1:0"
        profile = "garp-required"
        [[world.havips]]
        id = "havip-1"
        address = "10.0.0.100"
        [[world.instances]]
        id = "i-a"
        address = "10.0.0.1"
        [[keys]]
        access-key = "ak"
        secret-key = "hunter2"
        [[nodes]]
        name = "a"
        instance = "i-a"
        "#,
    )
    .expect("parses");
    assert_eq!(config.profile, Profile::garp_required());
    assert!(!format!("{config:?}").contains("hunter2"));
}

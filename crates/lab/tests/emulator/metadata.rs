//! Metadata: who asks is told by the listener or the source address, and roles give credentials.

use crate::client::*;
use havipd_lab::emulator::{Command, CredentialStyle, Emulator, EmulatorConfig, EmulatorError};
use havipd_lab::simulation::cloud::{Fault, FaultRule, InterfaceSpec, Scope};
use std::net::Ipv4Addr;

async fn with_listeners(mut config: EmulatorConfig) -> Emulator {
    config.nodes.iter_mut().for_each(|n| n.metadata_listen = Some(loopback()));
    Emulator::start(config).await.expect("starts")
}

async fn key(emulator: &Emulator, node: &str, key: &str) -> (u16, String) {
    let base = emulator.metadata_endpoint(node).expect("has a listener");
    let reply = get(&format!("{base}/1.0/meta-data/{key}")).await;
    (reply.status, reply.body)
}

fn ok(text: &str) -> (u16, String) {
    (200, text.to_owned())
}

#[tokio::test]
async fn each_node_has_a_listener_of_its_own() {
    let mut config = config();
    let eni = InterfaceSpec::new("eni-b", "i-b", "fa:16:3e:00:00:0b", Ipv4Addr::new(10, 0, 0, 22));
    config.world.interfaces.push(eni);
    let emulator = with_listeners(config).await;
    assert_eq!(key(&emulator, "a", "instance-shortid").await, ok("i-a"));
    assert_eq!(key(&emulator, "b", "instance-shortid").await, ok("i-b"));
    assert_eq!(key(&emulator, "b", "local-ipv4").await, ok("10.0.0.2"));
    assert_eq!(key(&emulator, "b", "vpc-id").await, ok("vpc-sandbox"));
    assert_eq!(key(&emulator, "b", "region").await, ok("bj"));
    assert_eq!(key(&emulator, "b", "network/interfaces/macs").await, ok("fa:16:0a:00:00:02/\nfa:16:3e:00:00:0b/\n"));
    assert_eq!(key(&emulator, "b", "network/interfaces/macs/FA:16:3E:00:00:0B/fixed_ips/").await, ok("10.0.0.22/\n"));
    let kind = "network/interfaces/macs/fa:16:3e:00:00:0b/fixed_ips/10.0.0.22/ip_type";
    assert_eq!(key(&emulator, "b", kind).await, ok("primary"));
    assert_eq!(key(&emulator, "b", "not-implemented").await, ok(""));
    assert_eq!(key(&emulator, "b", "network/interfaces/macs/00:00:00:00:00:00/fixed_ips").await.0, 404);
    let base = emulator.metadata_endpoint("a").expect("has a listener");
    assert_eq!(get(&format!("{base}/_emulator/state")).await.status, 404, "nothing but metadata there");
    let names: Vec<String> = emulator.control().calls(0).into_iter().map(|c| c.caller.0.join(" ")).collect();
    assert_eq!(names[..2], ["a i-a", "b i-b"]);
}

#[tokio::test]
async fn the_main_listener_goes_by_source_address() {
    let mut config = config();
    config.nodes[2].addresses.push(Ipv4Addr::LOCALHOST.into());
    let emulator = Emulator::start(config).await.expect("starts");
    let url = format!("{}/latest/meta-data/instance-shortid", emulator.endpoint());
    assert_eq!(get(&url).await.body, "i-c");

    let mut emulator = start().await;
    let url = format!("{}/latest/meta-data/instance-shortid", emulator.endpoint());
    assert_eq!(get(&url).await.status, 404, "nobody has this address");
    let error = emulator.metadata_listener("nobody", loopback()).await.expect_err("no such node");
    assert!(matches!(error, EmulatorError::UnknownNode(_)), "{error}");
}

#[tokio::test]
async fn a_role_gives_credentials_that_work_until_revoked() {
    let emulator = with_listeners(config()).await;
    assert_eq!(key(&emulator, "a", "sts-credential").await.0, 404, "no role yet");
    emulator.control().apply(Command::Role { node: "a".to_owned(), enabled: true }).expect("there is such a node");
    let (status, text) = key(&emulator, "a", "sts-credential").await;
    assert_eq!(status, 200);
    let given: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let text_of = |name: &str| given[name].as_str().expect("text").to_owned();
    let client = Client {
        access_key: text_of("accessKeyId"),
        secret: text_of("secretAccessKey"),
        token: Some(text_of("sessionToken")),
        signed: vec!["host", "x-bce-date", "x-bce-security-token"],
        ..Client::new(&emulator, "a")
    };
    assert_eq!(client.detail().await.expect("is answered").summary(), "200");
    assert_eq!(emulator.control().calls(0).last().expect("a call").caller.0[1..], ["a", "i-a"]);
    assert_eq!(key(&emulator, "a", "sts-credential").await.1, text, "the same within the refresh time");

    emulator.control().apply(Command::Clock { offset_ms: 400_000 }).expect("always works");
    let newer = key(&emulator, "a", "sts-credential").await.1;
    assert_ne!(newer, text, "others after the refresh time");
    assert_eq!(client.detail().await.expect("is answered").summary(), "200", "the old ones still work");
    emulator.control().apply(Command::Clock { offset_ms: 3_601_000 }).expect("always works");
    let late = Client { time: client.time + 3600, ..client };
    assert_eq!(late.detail().await.expect("is answered").summary(), "403 InvalidAccessKeyId", "expired");
}

#[tokio::test]
async fn the_credential_document_comes_in_several_spellings() {
    for (style, members) in [
        (CredentialStyle::CamelCase, ["accessKeyId", "expiration", "secretAccessKey", "sessionToken"]),
        (CredentialStyle::SnakeCase, ["access_key_id", "expiration", "secret_access_key", "session_token"]),
        (CredentialStyle::SecurityToken, ["accessKeyId", "accessKeySecret", "expiration", "securityToken"]),
    ] {
        let mut config = EmulatorConfig { credential_style: style, ..config() };
        config.nodes[0].role = true;
        let emulator = with_listeners(config).await;
        let (_, text) = key(&emulator, "a", "sts-credential").await;
        let given: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text).expect("JSON");
        let mut names: Vec<&str> = given.keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, members);
    }
}

#[tokio::test]
async fn metadata_can_fail_for_one_node() {
    let emulator = with_listeners(config()).await;
    let fault = Fault::Status {
        status: 500,
        code: "InternalError".to_owned(),
        message: String::new(),
        retry_after: None,
        applied: false,
    };
    emulator.control().add_fault(FaultRule::new(Scope::Metadata, fault).for_caller("i-a"));
    assert_eq!(key(&emulator, "a", "instance-shortid").await.0, 500);
    assert_eq!(key(&emulator, "b", "instance-shortid").await, ok("i-b"));
    let api = Client::new(&emulator, "a").detail().await.expect("is answered");
    assert_eq!(api.status, 200, "only metadata was meant");
}

#[tokio::test]
async fn callers_that_give_up_free_their_connection() {
    use tokio::io::AsyncWriteExt;
    let mut emulator = start().await;
    let address = emulator.metadata_listener("a", loopback()).await.expect("listens");
    let hang = FaultRule::new(Scope::Metadata, Fault::Hang).for_caller("a");
    emulator.control().add_fault(hang);
    // More than the listener keeps open at once.
    for n in 1..=600 {
        let mut stream = tokio::net::TcpStream::connect(address).await.expect("connects");
        stream.write_all(b"GET /latest/meta-data/region HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("sends");
        let arrived = async {
            while emulator.control().calls(n - 1).is_empty() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, arrived).await.expect("the call arrives");
    }
    emulator.control().clear_faults();
    let after = tokio::time::timeout(PATIENCE, key(&emulator, "a", "region")).await.expect("is answered");
    assert_eq!(after, ok("bj"));
}

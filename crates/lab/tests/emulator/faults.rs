//! Every fault over real HTTP, with what it leaves behind.

use crate::client::*;
use havipd_lab::emulator::{Command, Emulator};
use havipd_lab::simulation::cloud::{Fault, FaultRule, Profile, Scope};
use std::error::Error;
use std::io::ErrorKind;
use std::time::Duration;

/// How long tests wait for an answer that must not come; by then the call has arrived, on a busy machine, too.
const SILENCE: Duration = Duration::from_secs(2);

async fn started(rule: FaultRule) -> (Emulator, Client) {
    let emulator = start().await;
    emulator.control().add_fault(rule);
    let client = Client::new(&emulator, "a");
    (emulator, client)
}

fn bound(emulator: &Emulator) -> Vec<String> {
    emulator.control().view().havips[0].bound.iter().map(|b| b.id.clone()).collect()
}

fn once(scope: Scope, fault: Fault) -> FaultRule {
    FaultRule::new(scope, fault).times(1)
}

/// Whether the connection was reset, and not merely closed.
fn was_reset(error: &reqwest::Error) -> bool {
    let mut cause: Option<&dyn Error> = error.source();
    while let Some(e) = cause {
        if e.downcast_ref::<std::io::Error>().is_some_and(|io| io.kind() == ErrorKind::ConnectionReset) {
            return true;
        }
        cause = e.source();
    }
    false
}

#[tokio::test]
async fn pushed_back_with_whatever_somebody_writes() {
    let emulator = start().await;
    let client = Client::new(&emulator, "a");
    for text in ["0", "1000000000", "Sun, 06 Nov 1994 08:49:37 GMT", "soon"] {
        let retry_after = text.to_owned();
        emulator.control().add_fault(FaultRule::new(Scope::Any, Fault::PushedBack { retry_after }).times(1));
        let reply = client.detail().await.expect("is answered");
        assert_eq!(reply.summary(), "429 RequestLimitExceeded");
        assert_eq!(reply.headers["retry-after"], text);
    }
    assert_eq!(client.detail().await.expect("is answered").status, 200);
}

#[tokio::test]
async fn status_with_code_message_and_retry_after() {
    let fault = Fault::Status {
        status: 503,
        code: "ServiceUnavailable".to_owned(),
        message: "come back".to_owned(),
        retry_after: Some(7),
        applied: false,
    };
    let (emulator, client) = started(once(Scope::Attach, fault)).await;
    let reply = client.bind("attach", &["i-a"], "t1").await.expect("is answered");
    assert_eq!(reply.summary(), "503 ServiceUnavailable");
    assert_eq!(reply.headers["retry-after"], "7");
    assert_eq!(reply.json()["message"], "come back");
    assert_eq!(reply.json()["requestId"], reply.headers["x-bce-request-id"].to_str().expect("text"));
    assert_eq!(bound(&emulator), Vec::<String>::new());
    assert_eq!(client.bind("attach", &["i-a"], "t1").await.expect("is answered").summary(), "200");
    assert_eq!(bound(&emulator), ["i-a"], "the fault did not spend the token");
}

#[tokio::test]
async fn an_error_may_hide_that_the_call_was_carried_out() {
    let fault =
        Fault::Status { status: 500, code: String::new(), message: String::new(), retry_after: None, applied: true };
    let (emulator, client) = started(once(Scope::Write, fault)).await;
    let reply = client.bind("attach", &["i-a"], "t1").await.expect("is answered");
    assert_eq!((reply.status, reply.body.as_str()), (500, ""), "no code, no body");
    assert_eq!(bound(&emulator), ["i-a"]);
}

#[tokio::test]
async fn hang_and_apply_then_hang() {
    for (fault, expected) in [(Fault::Hang, vec![]), (Fault::ApplyThenHang, vec!["i-a"])] {
        let (emulator, client) = started(once(Scope::Any, fault.clone())).await;
        let call = client.bind("attach", &["i-a"], "t1");
        assert!(tokio::time::timeout(SILENCE, call).await.is_err(), "{fault:?} is not answered");
        assert_eq!(bound(&emulator), expected, "{fault:?}");
        assert_eq!(emulator.control().calls(0)[0].outcome, "never");
        let after = client.detail().await.expect("the next call is answered");
        assert_eq!(after.status, 200);
    }
}

#[tokio::test]
async fn reset_and_apply_then_reset() {
    for (fault, expected) in [(Fault::Reset, vec![]), (Fault::ApplyThenReset, vec!["i-a"])] {
        let (emulator, client) = started(once(Scope::Attach, fault.clone())).await;
        // A connection that has been used shows that the reset reaches kept ones too.
        client.detail().await.expect("is answered");
        let error = client.bind("attach", &["i-a"], "t1").await.expect_err("is reset");
        assert!(was_reset(&error), "{fault:?}: {error:?}");
        assert_eq!(bound(&emulator), expected, "{fault:?}");
    }
}

#[tokio::test]
async fn a_lie_is_answered_and_not_carried_out() {
    let (emulator, client) = started(once(Scope::Attach, Fault::Lie)).await;
    assert_eq!(client.bind("attach", &["i-a"], "t1").await.expect("is answered").status, 200);
    assert_eq!(client.bind("attach", &["i-a"], "t1").await.expect("is answered").status, 200);
    assert_eq!(bound(&emulator), Vec::<String>::new(), "nor is its repetition with the same token");
    assert_eq!(client.bind("attach", &["i-a"], "t2").await.expect("is answered").status, 200);
    assert_eq!(bound(&emulator), ["i-a"]);
}

#[tokio::test]
async fn late_effects_come_by_themselves() {
    let late = Fault::Late { delay: Duration::from_secs(2), answered: true };
    let (emulator, client) = started(once(Scope::Attach, late)).await;
    let mut traffic = emulator.control().traffic();
    assert_eq!(client.bind("attach", &["i-a"], "t1").await.expect("is answered").status, 200);
    assert_eq!(bound(&emulator), Vec::<String>::new());
    let arrived = traffic.wait_for(|t| t.routes.iter().any(|r| r.target.as_deref() == Some("i-a")));
    tokio::time::timeout(PATIENCE, arrived).await.expect("acts by itself").expect("the emulator lives");
    assert_eq!(bound(&emulator), ["i-a"]);
}

#[tokio::test]
async fn late_without_an_answer() {
    let late = Fault::Late { delay: Duration::from_millis(50), answered: false };
    let (emulator, client) = started(once(Scope::Attach, late)).await;
    let mut traffic = emulator.control().traffic();
    let call = client.bind("attach", &["i-a"], "t1");
    assert!(tokio::time::timeout(SILENCE, call).await.is_err());
    let arrived = traffic.wait_for(|t| t.routes.iter().any(|r| r.target.as_deref() == Some("i-a")));
    tokio::time::timeout(PATIENCE, arrived).await.expect("acts though nobody waits").expect("the emulator lives");
}

#[tokio::test]
async fn slow_acts_at_once_and_answers_later() {
    let delay = Duration::from_secs(2);
    let (emulator, client) = started(once(Scope::Attach, Fault::Slow { delay })).await;
    let mut traffic = emulator.control().traffic();
    let asked = tokio::time::Instant::now();
    let call = client.bind("attach", &["i-a"], "t1");
    let acted = traffic.wait_for(|t| t.routes.iter().any(|r| r.target.as_deref() == Some("i-a")));
    tokio::pin!(call);
    tokio::select! {
        biased;
        reply = &mut call => panic!("answered before it acted: {reply:?}"),
        acted = acted => drop(acted.expect("the emulator lives")),
    }
    assert_eq!(call.await.expect("is answered").status, 200);
    assert!(asked.elapsed() >= delay);
}

#[tokio::test]
async fn bad_json_is_200_and_cannot_be_parsed() {
    let (emulator, client) = started(FaultRule::new(Scope::Any, Fault::BadJson).times(2)).await;
    let read = client.detail().await.expect("is answered");
    assert_eq!(read.status, 200);
    assert!(serde_json::from_str::<serde_json::Value>(&read.body).is_err());
    let write = client.bind("attach", &["i-a"], "t1").await.expect("is answered");
    assert_eq!(write.status, 200);
    assert_eq!(bound(&emulator), ["i-a"]);
}

#[tokio::test]
async fn throttling_answers_as_the_profile_has_it() {
    let (emulator, client) = started(FaultRule::new(Scope::Read, Fault::Throttle)).await;
    let mut seen = Vec::new();
    for profile in [Profile::attach_moves(), Profile::first_stays(), Profile::garp_moves(), Profile::garp_required()] {
        emulator.control().set_profile(profile);
        let reply = client.detail().await.expect("is answered");
        let rate_limit = reply.body.to_lowercase().contains("ratelimit");
        seen.push((reply.status, reply.headers.contains_key("retry-after"), rate_limit));
    }
    assert_eq!(seen, [(429, true, false), (429, false, false), (400, false, true), (403, false, true)]);
}

#[tokio::test]
async fn reads_that_are_stale_or_lie() {
    let stale = Fault::StaleRead { age: Duration::from_secs(3600) };
    let (emulator, client) = started(once(Scope::Detail, stale)).await;
    client.bind("attach", &["i-a"], "t1").await.expect("is answered");
    assert_eq!(client.detail().await.expect("is answered").json()["status"], "available");
    let fresh = client.detail().await.expect("is answered").json();
    assert_eq!(fresh["bindedInstances"][0]["instanceId"], "i-a");

    emulator.control().add_fault(once(Scope::List, Fault::LyingRead { master: "i-x".to_owned() }));
    let list = client.call("GET", "/v1/havip", &[("vpcId", Some("vpc-sandbox"))], None).await.expect("is answered");
    let bound = list.json()["haVips"][0]["bindedInstances"].clone();
    assert_eq!(
        (&bound[0]["master"], &bound[1]["instanceId"], &bound[1]["master"]),
        (&serde_json::json!(false), &serde_json::json!("i-x"), &serde_json::json!(true))
    );
    assert_eq!(emulator.control().view().havips[0].traffic.as_deref(), Some("i-a"));
}

#[tokio::test]
async fn a_fault_for_one_caller_leaves_the_others_alone() {
    for name in ["ak-a", "a", "i-a"] {
        let (emulator, a) = started(FaultRule::new(Scope::Any, Fault::Throttle).for_caller(name)).await;
        let b = Client::new(&emulator, "b");
        assert_eq!(a.detail().await.expect("is answered").status, 429, "{name}");
        assert_eq!(b.detail().await.expect("is answered").status, 200, "{name}");
    }
}

#[tokio::test]
async fn faults_are_added_listed_and_removed_over_http() {
    let emulator = start().await;
    let client = Client::new(&emulator, "a");
    let rule = serde_json::json!({"rule": {"operation": "read", "fault": {"kind": "slow", "delay-ms": 1}}});
    assert_eq!(post(&emulator, "fault", rule).await.json()["id"], 1);
    let status = serde_json::json!({"rule": {"fault": {"kind": "status", "status": 418, "code": "Teapot"}}});
    assert_eq!(post(&emulator, "fault", status).await.json()["id"], 2);
    assert_eq!(client.detail().await.expect("is answered").summary(), "418 Teapot");
    let state = get(&format!("{}/_emulator/state", emulator.endpoint())).await.json();
    assert_eq!(state["faults"][1][1]["fault"]["code"], "Teapot");
    assert_eq!(post(&emulator, "remove-fault", serde_json::json!({"id": 2})).await.status, 200);
    assert_eq!(post(&emulator, "remove-fault", serde_json::json!({"id": 2})).await.status, 409);
    assert_eq!(client.detail().await.expect("is answered").status, 200);
    emulator.control().apply(Command::ClearFaults {}).expect("always works");
    assert!(emulator.control().view().faults.is_empty());
}

//! What goes out: lines, headers, signatures, connections, pages.

use crate::server::{Request, Server, Step, answer, done, ok};
use crate::{ACCESS_KEY, Lab, SECRET_KEY, attach, havip, soon, targets, write_private};
use havipd::clock;
use havipd::cloud::client::WriteLimits;
use havipd::cloud::sign::{Authorization, Received, SignedHeaders};
use havipd_core::model::cloud::CallClass;
use havipd_core::model::event::InstanceState;
use havipd_core::model::secret::Secret;
use std::time::Duration;

/// Recomputes the signature from what arrived.
#[track_caller]
pub(crate) fn assert_signed(request: &Request, secret: &str) -> Authorization {
    let authorization = Authorization::parse(request.header("authorization").expect("signed")).expect("parses");
    let (raw_path, raw_query) = request.target.split_once('?').unwrap_or((&request.target, ""));
    let headers: Vec<(&str, &str)> = request.headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let received = Received { method: &request.method, raw_path, raw_query, headers: &headers };
    assert_eq!(received.verify(&authorization, &Secret::from(secret.to_owned())), Ok(()));
    assert_eq!(request.header("x-bce-date"), Some(authorization.timestamp.as_str()));
    authorization
}

#[tokio::test(flavor = "current_thread")]
async fn an_attach_looks_as_documented_and_its_signature_verifies() {
    let server = Server::start(vec![done()]).await;
    attach(&Lab::new(&server.url()).client()).await.expect("attached");
    let request = &server.requests()[0];
    assert_eq!(
        (request.method.as_str(), request.target.as_str()),
        ("PUT", "/v1/havip/havip-w2d4kgc3x0y1?attach&clientToken=token-1")
    );
    assert_eq!(request.body, br#"{"instanceIds":["i-syGfPUYO"],"instanceType":"SERVER"}"#);
    assert_eq!(request.header("host"), Some(server.address.to_string().as_str()));
    assert_eq!(request.header("content-type"), Some("application/json; charset=utf-8"));
    assert_eq!(request.header("content-length"), Some("54"));
    assert_eq!(request.header("transfer-encoding"), None);
    let authorization = assert_signed(request, SECRET_KEY);
    assert_eq!(authorization.access_key_id, ACCESS_KEY);
    assert_eq!(authorization.signed, SignedHeaders::listed(&["host", "x-bce-date"]));
}

#[tokio::test(flavor = "current_thread")]
async fn a_session_token_is_sent_and_signed() {
    let server = Server::start(vec![ok()]).await;
    let lab = Lab::new(&server.url());
    let text = "access-key-id = \"a\"\nsecret-access-key = \"s\"\nsession-token = \"to/ken+=\"\n";
    write_private(&lab.dir.path().join("credentials.toml"), text);
    lab.client().havip(&havip(), CallClass::Background, soon()).await.expect("read");
    let request = &server.requests()[0];
    assert_eq!(request.header("x-bce-security-token"), Some("to/ken+="));
    let authorization = assert_signed(request, "s");
    assert_eq!(authorization.signed, SignedHeaders::listed(&["host", "x-bce-date", "x-bce-security-token"]));
}

#[tokio::test(flavor = "current_thread")]
async fn documents_are_read_with_null_and_absent_members() {
    let server = Server::start(vec![ok()]).await;
    let found = Lab::new(&server.url()).client().havip(&havip(), CallClass::Claim, soon()).await.expect("read");
    assert_eq!(found.holder(), Some("i-syGfPUYO"));
    assert_eq!(server.requests()[0].target, "/v1/havip/havip-w2d4kgc3x0y1");
}

#[tokio::test(flavor = "current_thread")]
async fn a_list_is_followed_over_its_pages() {
    let page = |id: &str, rest: &str| {
        Step::Send(answer(
            200,
            &[],
            &format!(r#"{{"haVips":[{{"haVipId":"{id}","privateIpAddress":"10.0.0.1"}}]{rest}}}"#),
        ))
    };
    let server = Server::start(vec![
        page("havip-1", r#","isTruncated":true,"nextMarker":"m/1","maxKeys":1"#),
        page("havip-2", r#","isTruncated":false"#),
        page("havip-3", r#","isTruncated":true,"nextMarker":"same""#),
    ])
    .await;
    let lab = Lab::new(&server.url());
    let client = lab.client();
    let all = client.havips(Some("vpc-1"), CallClass::Background, soon()).await.expect("listed");
    assert_eq!(all.iter().map(|h| h.ha_vip_id.as_str()).collect::<Vec<_>>(), ["havip-1", "havip-2"]);
    let sent: Vec<String> = server.requests().iter().map(|r| r.target.clone()).collect();
    assert_eq!(sent, ["/v1/havip?vpcId=vpc-1&maxKeys=1000", "/v1/havip?vpcId=vpc-1&maxKeys=1000&marker=m%2F1"]);
    // The third page repeats for ever.
    let endless = client.havips(None, CallClass::Background, soon()).await.expect_err("no end");
    assert!(endless.detail.contains("a marker came again"), "{endless}");
}

#[tokio::test(flavor = "current_thread")]
async fn an_instance_runs_unless_the_cloud_says_otherwise() {
    let status = |s: &str| Step::Send(answer(200, &[], &format!(r#"{{"instance":{{"id":"i-1","status":"{s}"}}}}"#)));
    let missing = crate::server::error(404, "NoSuchObject", "the instance does not exist");
    let wrong_server = answer(404, &[], "<html>nothing here</html>");
    let steps = vec![status("Running"), status("Stopped"), Step::Send(missing), Step::Send(wrong_server)];
    let server = Server::start(steps).await;
    let lab = Lab::new(&server.url());
    let client = lab.client();
    let id = "i-1".parse().expect("an id");
    let mut found = Vec::new();
    for _ in 0..4 {
        found.push(client.instance(&id, CallClass::Background, soon()).await.ok());
    }
    let expected =
        [Some(InstanceState::Running), Some(InstanceState::NotRunning), Some(InstanceState::NotRunning), None];
    assert_eq!(found, expected);
    assert_eq!(server.requests()[0].target, "/v2/instance/i-1");
}

#[tokio::test(flavor = "current_thread")]
async fn an_eni_tells_its_mac() {
    let eni = answer(200, &[], r#"{"eniId":"eni-1","instanceId":"i-1","macAddress":"fa:16:3e:00:00:0a","name":null}"#);
    let server = Server::start(vec![Step::Send(eni)]).await;
    let lab = Lab::new(&server.url());
    let found = lab.client().eni(&"eni-1".parse().expect("an id"), CallClass::Background, soon()).await.expect("read");
    assert_eq!((found.mac_address.as_str(), found.instance_id.as_str()), ("fa:16:3e:00:00:0a", "i-1"));
    assert_eq!(server.requests()[0].target, "/v1/eni/eni-1");
}

#[tokio::test(flavor = "current_thread")]
async fn a_warm_connection_is_used_again() {
    let page = answer(200, &[], r#"{"haVips":[]}"#);
    let server = Server::start(vec![Step::Send(page), done()]).await;
    let lab = Lab::new(&server.url());
    let client = lab.client();
    client.keep_warm(soon()).await.expect("warm");
    attach(&client).await.expect("attached");
    assert_eq!(server.requests()[0].target, "/v1/havip?maxKeys=1");
    assert_eq!(server.seen().connections, 1);
}

#[tokio::test(flavor = "current_thread")]
async fn a_write_over_a_connection_that_the_server_has_closed_goes_over_a_new_one() {
    let closed = Step::SendAndClose(answer(200, &[], crate::server::HAVIP));
    let server = Server::start(vec![closed, done()]).await;
    let lab = Lab::new(&server.url());
    let client = lab.client();
    client.havip(&havip(), CallClass::Background, soon()).await.expect("read");
    attach(&client).await.expect("attached");
    assert_eq!(server.requests().iter().map(|r| r.connection).collect::<Vec<_>>(), [0, 1]);
}

#[tokio::test(flavor = "current_thread")]
async fn a_write_whose_leadership_has_ended_is_not_sent() {
    let server = Server::start(vec![done()]).await;
    let lab = Lab::new(&server.url());
    let client = lab.client();
    let ended = WriteLimits::new(clock::now().before(Duration::from_millis(1)), soon());
    let error = client.detach(&havip(), &targets(), "t", ended).await.expect_err("too late");
    assert!(error.is_not_sent(), "{error}");
    assert!(error.detail.starts_with("not sent: "), "{error}");
    assert_eq!(server.seen().connections, 0);
}

#[tokio::test(flavor = "current_thread")]
async fn a_ceiling_holds_back_audits_and_no_claim() {
    let server = Server::start(vec![ok()]).await;
    let mut lab = Lab::new(&server.url());
    lab.cloud.requests_per_second = Some(0.1);
    let client = lab.client();
    let deadline = clock::now() + Duration::from_secs(5);
    client.havip(&havip(), CallClass::Background, deadline).await.expect("the first audit");
    let error = client.havip(&havip(), CallClass::Holding, deadline).await.expect_err("the second one");
    assert!(error.is_not_sent(), "{error}");
    assert!(error.detail.starts_with("not sent: cloud.requests-per-second = 0.1"), "{error}");
    for _ in 0..8 {
        client.havip(&havip(), CallClass::Claim, deadline).await.expect("a claim's read");
    }
    assert_eq!(server.requests().len(), 9);
    lab.cloud.requests_per_second = None;
    client.reconfigure(&lab.cloud).expect("reconfigured");
    client.havip(&havip(), CallClass::Background, soon()).await.expect("after the reload");
    assert_eq!(server.seen().connections, 1, "a reload keeps the connection");
}

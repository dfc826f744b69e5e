//! How calls end that do not end well.

use crate::server::{Accept, HAVIP, Server, Step, answer, error, ok};
use crate::{Lab, SECRET_KEY, assert_classes, attach, both, havip, soon, targets};
use havipd::clock;
use havipd::cloud::client::WriteLimits;
use havipd_core::model::cloud::CallClass;
use havipd_core::model::cloud::ErrorClass::{Ambiguous, Refused, Retry};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::net::TcpSocket;

#[tokio::test(flavor = "current_thread")]
async fn statuses_have_their_class() {
    let table = [
        (error(400, "MalformedJSON", "m"), (Refused, Refused)),
        (error(403, "AccessDenied", "m"), (Refused, Refused)),
        (error(404, "NoSuchObject", "m"), (Refused, Refused)),
        (error(429, "TooMany", "m"), (Retry, Retry)),
        (error(400, "X", "RateLimit reached"), (Retry, Retry)),
        (error(500, "InternalError", "m"), (Retry, Ambiguous)),
        (answer(502, &[], "<html>"), (Retry, Ambiguous)),
        (answer(503, &[], ""), (Retry, Retry)),
    ];
    for (bytes, expected) in table {
        let server = Server::start(vec![Step::Send(bytes.clone())]).await;
        let ended = both(&Lab::new(&server.url()).client()).await;
        assert_classes(&ended, expected);
        assert_eq!(server.requests().len(), 2, "one attempt each: {}", String::from_utf8_lossy(&bytes));
    }
}

#[tokio::test(flavor = "current_thread")]
async fn an_error_says_what_whom_and_why() {
    let server = Server::start(vec![Step::Send(error(403, "AccessDenied", "no \u{1b}[31mright"))]).await;
    let error = attach(&Lab::new(&server.url()).client()).await.expect_err("denied");
    assert_eq!(
        error.to_string(),
        "attach havip-w2d4kgc3x0y1: status 403, AccessDenied (request r-1): no  [31mright; the user or role of \
         cloud.credentials needs HAVIP_OPERATE of bce:network (the vendor does not document the name)"
    );
    assert!(error.denied && !error.missing);
    assert_eq!((error.status, error.code.as_deref()), (Some(403), Some("AccessDenied")));
}

#[tokio::test(flavor = "current_thread")]
async fn no_error_shows_a_credential_that_the_server_quotes() {
    let quoted = format!("canonical request was signed with {SECRET_KEY} {}", "x".repeat(250));
    let server = Server::start(vec![Step::Send(error(400, "SignatureDoesNotMatch", &quoted))]).await;
    let error = attach(&Lab::new(&server.url()).client()).await.expect_err("refused");
    let shown = format!("{error} {error:?} {}", serde_json::to_string(&error).expect("serialises"));
    assert!(shown.contains("signed with [redacted] xxx") && !shown.contains(SECRET_KEY), "{shown}");
}

/// Whatever answer a request's own Authorization comes back in, nobody reads it: it may be repeated for half an hour.
#[tokio::test(flavor = "current_thread")]
async fn no_answer_shows_the_authorization_that_it_quotes() {
    const DRESSES: [fn(&str) -> Vec<u8>; 7] = [
        |auth| answer(200, &[], &HAVIP.replace("i-syGfPUYO", auth)),
        |auth| {
            answer(200, &[], &HAVIP.replace("\"n\"", &format!("\"{auth}\"")).replace("binded\"", &format!("{auth}\"")))
        },
        |auth| answer(200, &[], &HAVIP.replace("vpc-1", &auth[auth.len() - 64..auth.len() - 8])),
        |auth| answer(200, &[], &format!(r#"{{"haVipId":"havip-w2d4kgc3x0y1","bindedInstances":"{auth}"}}"#)),
        |auth| answer(200, &[], &format!(r#"{{"haVipId":"havip-w2d4kgc3x0y1","bindedInstances":[{{"{auth}":1}}]}}"#)),
        |auth| error(400, "BadRequest", &auth[auth.len() - 64..auth.len() - 8].to_uppercase()),
        |auth| answer(200, &[("x-bce-request-id", auth)], auth),
    ];
    for (at, dress) in DRESSES.into_iter().enumerate() {
        let server = Server::start(vec![Step::Reflect(dress)]).await;
        let read = Lab::new(&server.url()).client().havip(&havip(), CallClass::Claim, soon()).await;
        let sent = server.requests()[0].header("authorization").expect("signed").to_owned();
        let shown = format!("{read:?} {}", read.as_ref().err().map(ToString::to_string).unwrap_or_default());
        for piece in sent.rsplit('/').next().expect("a signature").as_bytes().windows(16) {
            let piece = std::str::from_utf8(piece).expect("ASCII");
            assert!(!shown.to_lowercase().contains(piece), "{at}: {shown}");
        }
        assert!(!shown.contains("bce-auth"), "{at}: {shown}");
        assert_eq!(read.is_ok(), at < 3, "{at}: {shown}");
    }
}

#[tokio::test(flavor = "current_thread")]
async fn retry_after_is_passed_on() {
    let date = "Sun, 06 Nov 1994 08:49:37 GMT";
    let until = "Sun, 06 Nov 1994 08:50:07 GMT";
    let server = Server::start(vec![
        Step::Send(answer(429, &[("Retry-After", "7")], "")),
        Step::Send(answer(503, &[("Date", date), ("Retry-After", until)], "")),
        Step::Send(answer(429, &[], "")),
    ])
    .await;
    let lab = Lab::new(&server.url());
    let client = lab.client();
    let mut waits = Vec::new();
    for _ in 0..3 {
        waits.push(attach(&client).await.expect_err("throttled").retry_after.map(|d| d.as_secs()));
    }
    assert_eq!(waits, [Some(7), Some(30), None]);
}

#[tokio::test(flavor = "current_thread")]
async fn nobody_listening_is_certainly_not_carried_out() {
    // Held, and not listened on: nobody else gets it.
    let held = TcpSocket::new_v4().expect("a socket");
    held.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).expect("binds");
    let url = format!("http://{}", held.local_addr().expect("has an address"));
    let ended = both(&Lab::new(&url).client()).await;
    assert_classes(&ended, (Retry, Retry));
    assert!(ended.1.detail.contains("refused"), "{}", ended.1);
}

/// A NAT or a firewall forgot the connection: nothing comes back, not even a reset.
#[tokio::test(flavor = "current_thread")]
async fn a_kept_connection_that_died_costs_a_read_no_time_out_and_a_write_nothing() {
    let body = r#"{"haVipId":"havip-w2d4kgc3x0y1","privateIpAddress":"10.0.0.100"}"#;
    let good = || Step::Send(answer(200, &[], body));
    let server = Server::start(vec![good(), Step::SendAndHang(vec![]), good(), good()]).await;
    let lab = Lab::new(&server.url());
    let client = lab.client();
    for _ in 0..2 {
        let read = client.havip(&havip(), CallClass::Claim, soon()).await.expect("the second is answered elsewhere");
        assert_eq!(read.ha_vip_id, havip().as_str());
    }
    attach(&client).await.expect("over the connection that answers");
    let used: Vec<_> = server.requests().iter().map(|request| request.connection).collect();
    assert_eq!(used, [0, 0, 1, 1]);
}

#[tokio::test(flavor = "current_thread")]
async fn silence_after_a_write_is_ambiguous() {
    let server = Server::start(vec![Step::SendAndHang(vec![])]).await;
    let mut lab = Lab::new(&server.url());
    lab.cloud.request_timeout = Duration::from_secs(1);
    let ended = both(&lab.client()).await;
    assert_classes(&ended, (Retry, Ambiguous));
    assert_eq!(ended.1.detail, "no answer in time");
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test(flavor = "current_thread")]
async fn the_deadline_ends_a_call_before_its_request_timeout() {
    let server = Server::start(vec![Step::SendAndHang(vec![])]).await;
    let lab = Lab::new(&server.url());
    let client = lab.client();
    let limits = WriteLimits::new(soon(), clock::now() + Duration::from_secs(1));
    let (havip, targets) = (havip(), targets());
    let call = client.attach(&havip, &targets, "t", limits);
    let ended = tokio::time::timeout(Duration::from_secs(5), call).await.expect("before the request timeout of 10 s");
    assert_eq!(ended.expect_err("no answer").class, Ambiguous);
}

#[tokio::test(flavor = "current_thread")]
async fn a_reset_after_a_write_is_ambiguous() {
    let server = Server::start(vec![Step::Reset]).await;
    let ended = both(&Lab::new(&server.url()).client()).await;
    assert_classes(&ended, (Retry, Ambiguous));
    assert_eq!(server.requests().len(), 2, "nothing is repeated");
}

#[tokio::test(flavor = "current_thread")]
async fn a_body_that_stops_halfway_or_never_ends_is_no_answer() {
    let half = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"haVipId\":".to_vec();
    for step in [Step::SendAndHang(half.clone()), Step::SendAndClose(half)] {
        let server = Server::start(vec![step]).await;
        let mut lab = Lab::new(&server.url());
        lab.cloud.request_timeout = Duration::from_secs(1);
        assert_classes(&both(&lab.client()).await, (Retry, Ambiguous));
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_huge_body_is_not_read_to_its_end() {
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    let bytes = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{}", chunk.repeat(17)).into_bytes();
    let server = Server::start(vec![Step::SendAndHang(bytes)]).await;
    let ended = both(&Lab::new(&server.url()).client()).await;
    assert_classes(&ended, (Retry, Ambiguous));
    assert_eq!(ended.0.detail, "status 200 with a body over 1 MiB");
}

#[tokio::test(flavor = "current_thread")]
async fn an_answer_that_is_not_understood_is_an_error_of_the_read() {
    for body in ["", "{", "[]", r#"{"haVipId":5}"#, "<html>"] {
        let server = Server::start(vec![Step::Send(answer(200, &[], body))]).await;
        let lab = Lab::new(&server.url());
        let client = lab.client();
        let error = client.havip(&havip(), CallClass::Claim, soon()).await.expect_err("unusable");
        assert_eq!((error.class, error.status), (Retry, Some(200)), "{body}");
        assert!(error.detail.contains("not understood"), "{error}");
        attach(&client).await.expect("a write's body says nothing");
    }
    let server = Server::start(vec![Step::SendAndClose(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec())]).await;
    assert_classes(&both(&Lab::new(&server.url()).client()).await, (Retry, Ambiguous));
}

#[tokio::test(flavor = "current_thread")]
async fn a_redirect_is_not_followed() {
    let elsewhere = Server::start(vec![ok()]).await;
    let location = format!("{}/v1/havip/x", elsewhere.url());
    let server = Server::start(vec![Step::Send(answer(307, &[("Location", &location)], ""))]).await;
    let ended = both(&Lab::new(&server.url()).client()).await;
    assert_classes(&ended, (Refused, Refused));
    assert!(ended.0.detail.contains("redirects are not followed"), "{}", ended.0);
    assert_eq!(elsewhere.seen().connections, 0);
}

#[tokio::test(flavor = "current_thread")]
async fn a_server_that_never_finishes_tls_leaves_a_write_unsent() {
    let server = Server::start_as(vec![ok()], Accept::Mute).await;
    let mut lab = Lab::new(&format!("https://{}", server.address));
    lab.cloud.connect_timeout = Duration::from_millis(200);
    lab.cloud.ca_file = Some(crate::tls::Authority::new().write(&lab.dir));
    assert_classes(&both(&lab.client()).await, (Retry, Retry));
}

/// Runs itself again with a proxy in the environment, which is read once per process.
#[test]
fn a_proxy_from_the_environment_is_not_used() {
    const NAME: &str = "failures::a_proxy_from_the_environment_is_not_used";
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    if std::env::var_os("HAVIPD_TEST_UNDER_PROXY").is_some() {
        runtime.block_on(async {
            let server = Server::start(vec![ok()]).await;
            Lab::new(&server.url()).client().havip(&havip(), CallClass::Claim, soon()).await.expect("read directly");
        });
        return;
    }
    let nobody = "http://127.0.0.1:9";
    let mut child = std::process::Command::new(std::env::current_exe().expect("this test"));
    child.args(["--exact", NAME]).env("HAVIPD_TEST_UNDER_PROXY", "1");
    for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
        child.env(name, nobody);
    }
    let out = child.env_remove("no_proxy").env_remove("NO_PROXY").output().expect("runs");
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success() && text.contains("1 passed"), "{text}");
}

//! Calls that are not signed as they should be, and the answers of the service.

use crate::client::*;
use havipd_core::model::secret::Secret;
use havipd_lab::emulator::{Command, Emulator, KeyConfig, Permission, SKEW_SECONDS};

async fn summary(client: &Client) -> String {
    client.detail().await.expect("is answered").summary()
}

#[tokio::test]
async fn a_right_signature_passes_and_each_wrong_one_is_told() {
    let emulator = start().await;
    let right = Client::new(&emulator, "a");
    assert_eq!(summary(&right).await, "200");

    let wrong_key = Client { access_key: "ak-nobody".to_owned(), ..right.clone() };
    assert_eq!(summary(&wrong_key).await, "403 InvalidAccessKeyId");
    let wrong_secret = Client { secret: "sk-b".to_owned(), ..right.clone() };
    assert_eq!(summary(&wrong_secret).await, "400 SignatureDoesNotMatch");
    let no_host = Client { signed: vec!["x-bce-date"], ..right.clone() };
    assert_eq!(summary(&no_host).await, "400 SignatureDoesNotMatch");
    let unsent = Client { signed: vec!["host", "x-bce-nothing"], ..right.clone() };
    assert_eq!(summary(&unsent).await, "400 SignatureDoesNotMatch");
    let unsigned = get(&format!("{}/v1/havip/{HAVIP}", emulator.endpoint())).await;
    assert_eq!(unsigned.summary(), "403 AccessDenied");

    let outcomes: Vec<String> = emulator.control().calls(0).into_iter().map(|c| c.outcome).collect();
    assert_eq!(outcomes.len(), 6);
    assert_eq!(outcomes[1], "403 InvalidAccessKeyId");
}

#[tokio::test]
async fn a_signature_is_for_one_request_only() {
    let emulator = start().await;
    let client = Client::new(&emulator, "a");
    let through_another_name = Client { endpoint: client.endpoint.replace("127.0.0.1", "localhost"), ..client.clone() };
    assert_eq!(summary(&through_another_name).await, "200", "host is what was sent");

    let for_another_path = Client { signed_path: Some("/v1/havip"), ..client.clone() };
    assert_eq!(summary(&for_another_path).await, "400 SignatureDoesNotMatch");

    let http = client.http.clone();
    let send = |path: &'static str, authorization: &'static str| {
        let request = http.get(format!("{}{path}", client.endpoint)).header("authorization", authorization);
        async move { request.send().await.expect("is answered").status().as_u16() }
    };
    let malformed = "bce-auth-v1/ak-a/yesterday/1800/host/00";
    assert_eq!(send("/v1/havip", malformed).await, 400);
    assert_eq!(send("/v1/havip", "Bearer x").await, 400);
    let outcomes: Vec<String> = emulator.control().calls(2).into_iter().map(|c| c.outcome).collect();
    assert_eq!(outcomes, ["400 InvalidHTTPAuthHeader", "400 InvalidHTTPAuthHeader"]);
}

#[tokio::test]
async fn clocks_may_differ_by_half_an_hour() {
    let emulator = start().await;
    let base = Client { expiration: 100_000, ..Client::new(&emulator, "a") };
    let shifted = |by: i64| Client { time: base.time + by, ..base.clone() };
    // A minute of margin, because the test itself takes time.
    for (by, expected) in [
        (60 - SKEW_SECONDS, "200"),
        (SKEW_SECONDS - 60, "200"),
        (-SKEW_SECONDS - 60, "400 RequestExpired"),
        (SKEW_SECONDS + 60, "400 RequestExpired"),
    ] {
        assert_eq!(summary(&shifted(by)).await, expected, "{by}");
    }
    let short = Client { expiration: 10, ..shifted(-60) };
    assert_eq!(summary(&short).await, "400 RequestExpired", "the signature's own time counts");
    let dateless = Client { send_date: false, signed: vec!["host"], ..shifted(-SKEW_SECONDS - 60) };
    assert_eq!(summary(&dateless).await, "400 RequestExpired", "judged by the signature's timestamp");
}

#[tokio::test]
async fn the_clouds_clock_can_be_wrong_and_says_so_in_date() {
    let emulator = start().await;
    let client = Client::new(&emulator, "a");
    emulator.control().apply(Command::Clock { offset_ms: 3_600_000 }).expect("always works");
    let reply = client.detail().await.expect("is answered");
    assert_eq!(reply.summary(), "400 RequestExpired");
    let date = reply.headers["date"].to_str().expect("text").to_owned();
    let theirs = jiff::fmt::rfc2822::parse(&date.replace("GMT", "+0000")).expect("a date").timestamp().as_second();
    assert!((3500..3700).contains(&(theirs - client.time)), "{date}");
    let corrected = Client { time: theirs, ..client };
    assert_eq!(summary(&corrected).await, "200");
}

#[tokio::test]
async fn a_session_token_must_be_there_be_right_and_be_signed() {
    let mut config = config();
    config.keys.push(KeyConfig {
        access_key: "ak-sts".to_owned(),
        secret_key: Secret::from("sk-sts".to_owned()),
        session_token: Some("session/token==".to_owned()),
        node: Some("a".to_owned()),
        permission: Permission::Full,
    });
    let emulator = Emulator::start(config).await.expect("starts");
    let right = Client {
        access_key: "ak-sts".to_owned(),
        secret: "sk-sts".to_owned(),
        token: Some("session/token==".to_owned()),
        signed: vec!["host", "x-bce-date", "x-bce-security-token"],
        ..Client::new(&emulator, "a")
    };
    assert_eq!(summary(&right).await, "200");
    let absent = Client { token: None, signed: vec!["host", "x-bce-date"], ..right.clone() };
    assert_eq!(summary(&absent).await, "403 InvalidAccessKeyId");
    let wrong = Client { token: Some("other".to_owned()), ..right.clone() };
    assert_eq!(summary(&wrong).await, "403 InvalidAccessKeyId");
    let unsigned = Client { signed: vec!["host", "x-bce-date"], ..right.clone() };
    assert_eq!(summary(&unsigned).await, "400 SignatureDoesNotMatch");
    let needless = Client {
        token: Some("session/token==".to_owned()),
        signed: right.signed.clone(),
        ..Client::new(&emulator, "a")
    };
    assert_eq!(summary(&needless).await, "403 InvalidAccessKeyId");
}

#[tokio::test]
async fn permissions_can_be_taken_away_and_keys_revoked() {
    let emulator = start().await;
    let client = Client::new(&emulator, "a");
    let permit = |permission| Command::Permission { access_key: "ak-a".to_owned(), permission };
    emulator.control().apply(permit(Permission::ReadOnly)).expect("there is such a key");
    assert_eq!(summary(&client).await, "200");
    assert_eq!(client.bind("attach", &["i-a"], "t").await.expect("is answered").summary(), "403 AccessDenied");
    emulator.control().apply(permit(Permission::Nothing)).expect("there is such a key");
    assert_eq!(summary(&client).await, "403 AccessDenied");
    emulator.control().apply(permit(Permission::Full)).expect("there is such a key");
    assert_eq!(client.bind("attach", &["i-a"], "t").await.expect("is answered").summary(), "200");
    emulator.control().apply(Command::Revoke { access_key: "ak-a".to_owned() }).expect("there is such a key");
    assert_eq!(summary(&client).await, "403 InvalidAccessKeyId");
    assert!(emulator.control().apply(Command::Revoke { access_key: "ak-a".to_owned() }).is_err());
}

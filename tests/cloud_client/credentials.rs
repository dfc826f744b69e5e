//! Clocks and keys that are off, and what the client repairs by itself.

use crate::requests::assert_signed;
use crate::server::{Server, Step, answer, done, error, ok};
use crate::{ACCESS_KEY, Lab, SECRET_KEY, attach, havip, soon};
use havipd_core::model::cloud::CallClass;
use havipd_core::model::cloud::ErrorClass::{Refused, Retry};
use havipd_core::model::settings::CredentialSource;

/// 2021-01-01, in both spellings.
const DATE: (&str, &str) = ("Fri, 01 Jan 2021 00:00:00 GMT", "2021-01-01T00:00");

#[tokio::test(flavor = "current_thread")]
async fn a_clock_that_is_off_is_corrected_from_the_date_header() {
    let expired = r#"{"code":"RequestExpired","message":"Request has expired.","requestId":"r"}"#;
    let first = answer(400, &[("Date", DATE.0)], expired);
    let server = Server::start(vec![Step::Send(first), Step::Send(answer(200, &[("Date", DATE.0)], "")), done()]).await;
    let lab = Lab::new(&server.url());
    let client = lab.client();
    attach(&client).await.expect("signed again");
    attach(&client).await.expect("signed right at once");
    let requests = server.requests();
    assert_eq!(requests.len(), 3);
    for (request, corrected) in requests.iter().zip([false, true, true]) {
        let authorization = assert_signed(request, SECRET_KEY);
        assert_eq!(authorization.timestamp.starts_with(DATE.1), corrected, "{}", authorization.timestamp);
        assert!(request.target.ends_with("clientToken=token-1"), "the token is kept");
    }
    assert!(client.clock_skew() < -150_000_000, "{}", client.clock_skew());
}

#[tokio::test(flavor = "current_thread")]
async fn a_signature_that_stays_expired_is_given_up_after_one_more() {
    let expired = r#"{"code":"RequestExpired","message":"m","requestId":"r"}"#;
    let server = Server::start(vec![Step::Send(answer(400, &[("Date", DATE.0)], expired))]).await;
    let error = attach(&Lab::new(&server.url()).client()).await.expect_err("refused");
    assert_eq!((error.class, error.code.as_deref()), (Refused, Some("RequestExpired")));
    assert!(error.detail.ends_with("check the clock of this host"), "{error}");
    assert_eq!(server.requests().len(), 2);
}

/// The metadata service's answer with key `n`, good until `expiration`.
fn role_key(n: u32, expiration: &str) -> Step {
    let json = serde_json::json!({
        "accessKeyId": format!("role-{n}"),
        "secretAccessKey": format!("role-secret-{n}"),
        "sessionToken": format!("role-token-{n}"),
        "expiration": expiration,
    });
    Step::Send(answer(200, &[], &json.to_string()))
}

const FAR: &str = "2999-01-01T00:00:00Z";

fn role_lab(api: &Server, metadata: &Server) -> Lab {
    let mut lab = Lab::new(&api.url());
    lab.cloud.metadata_endpoint = metadata.url();
    lab.cloud.credentials = CredentialSource::InstanceRole;
    lab
}

#[tokio::test(flavor = "current_thread")]
async fn a_refused_role_key_is_replaced_once_and_the_call_repeated() {
    let denied = |code: &str, status| Step::Send(error(status, code, "m"));
    for step in [denied("InvalidAccessKeyId", 403), denied("SignatureDoesNotMatch", 400), denied("AccessDenied", 403)] {
        let api = Server::start(vec![step, done()]).await;
        let metadata = Server::start(vec![role_key(1, FAR), role_key(2, FAR)]).await;
        attach(&role_lab(&api, &metadata).client()).await.expect("with the second key");
        let requests = api.requests();
        assert_eq!(requests.len(), 2);
        for (request, n) in requests.iter().zip(1..) {
            assert_eq!(assert_signed(request, &format!("role-secret-{n}")).access_key_id, format!("role-{n}"));
            assert_eq!(request.header("x-bce-security-token"), Some(format!("role-token-{n}").as_str()));
        }
        assert_eq!(metadata.requests()[0].target, "/latest/meta-data/sts-credential");
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_refusal_that_no_new_key_can_mend_is_passed_on_at_once() {
    let api = Server::start(vec![Step::Send(error(403, "AccessDenied", "m"))]).await;
    let metadata = Server::start(vec![role_key(1, FAR)]).await;
    let refused = attach(&role_lab(&api, &metadata).client()).await.expect_err("denied");
    assert!(refused.denied);
    assert_eq!((api.requests().len(), metadata.requests().len()), (1, 2), "the same key is not tried again");
    let mismatch = Server::start(vec![Step::Send(error(403, "IdempotentParameterMismatch", "m"))]).await;
    let metadata = Server::start(vec![role_key(1, FAR), role_key(2, FAR)]).await;
    let error = attach(&role_lab(&mismatch, &metadata).client()).await.expect_err("a spent token");
    assert_eq!(error.code.as_deref(), Some("IdempotentParameterMismatch"));
    assert!(!error.denied && metadata.requests().len() == 1);
}

#[tokio::test(flavor = "current_thread")]
async fn a_role_key_is_kept_while_the_metadata_service_is_away() {
    let api = Server::start(vec![ok()]).await;
    let away = Step::Send(answer(500, &[], ""));
    // The key's end is near by the cloud's clock, which stands in 2021: every call asks for a new one.
    let near = Step::Send(answer(200, &[("Date", DATE.0)], crate::server::HAVIP));
    let dated = Server::start(vec![near]).await;
    let metadata = Server::start(vec![role_key(1, "2021-01-01T00:00:40Z"), away.clone()]).await;
    let mut lab = role_lab(&dated, &metadata);
    // Learn the cloud's time with a permanent key first.
    lab.cloud.credentials = CredentialSource::File(lab.dir.path().join("credentials.toml"));
    let client = lab.client();
    client.havip(&havip(), CallClass::Claim, soon()).await.expect("read");
    lab.cloud.credentials = CredentialSource::InstanceRole;
    client.reconfigure(&lab.cloud).expect("reconfigured");
    for _ in 0..3 {
        client.havip(&havip(), CallClass::Claim, soon()).await.expect("with the key in hand");
    }
    assert_eq!(metadata.requests().len(), 2, "asked again once, then left in peace for a while");

    // Without any key, the outage shows, and is worth another try.
    let metadata = Server::start(vec![away]).await;
    let error = role_lab(&api, &metadata).client().havip(&havip(), CallClass::Claim, soon()).await.expect_err("no key");
    assert_eq!((error.class, error.denied), (Retry, true));
    assert!(error.detail.contains("status 500; attach a role to this instance"), "{error}");
    assert_eq!(api.requests().len(), 0);
}

#[tokio::test(flavor = "current_thread")]
async fn a_reload_changes_the_source() {
    let api = Server::start(vec![done()]).await;
    let metadata = Server::start(vec![role_key(1, FAR)]).await;
    let mut lab = Lab::new(&api.url());
    lab.cloud.metadata_endpoint = metadata.url();
    let client = lab.client();
    attach(&client).await.expect("with the file's key");
    lab.cloud.credentials = CredentialSource::InstanceRole;
    client.reconfigure(&lab.cloud).expect("reconfigured");
    assert_eq!(client.credential_source(), "instance-role");
    attach(&client).await.expect("with the role's key");
    let keys: Vec<String> = api
        .requests()
        .iter()
        .zip([SECRET_KEY, "role-secret-1"])
        .map(|(r, secret)| assert_signed(r, secret).access_key_id)
        .collect();
    assert_eq!(keys, [ACCESS_KEY, "role-1"]);
    assert_eq!(api.seen().connections, 1);
}

//! What comes back over HTTP: documents of the API, errors, keys of an instance role.
//!
//! The low half of the first byte chooses a status, the high half how it is looked at; the rest is the body.
//! Nothing that a server sends may bring the client down, reach a log unclean or whole, or repeat a secret.

use havipd::cloud::client::Operation;
use havipd::cloud::client::classify::{Answer, clean, http_date, instance_state, retry_after};
use havipd::cloud::credentials::Credentials;
use havipd::cloud::redact::Redactor;
use havipd_core::model::cloud::{BindRequest, Eni, EniPage, ErrorBody, ErrorClass, HaVip, HaVipPage, InstanceDetail};
use havipd_core::model::secret::Secret;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::path::Path;
use std::time::Duration;

const STATUSES: [u16; 16] = [200, 204, 302, 400, 401, 403, 404, 408, 409, 412, 429, 500, 502, 503, 504, 999];
/// What a server must not make us repeat. Long and odd enough not to turn up by itself.
const SECRET: &str = "S3CR3T/KEY";
/// Most characters of a server's text in one place, with the dots that say that there was more.
const LONGEST: usize = 203;

fn as_is<T: DeserializeOwned + Serialize + PartialEq + Debug>(body: &[u8]) -> Option<T> {
    let value: T = serde_json::from_slice(body).ok()?;
    let again = serde_json::to_vec(&value).expect("a document is JSON");
    let again: T = serde_json::from_slice(&again).expect("our own document is understood");
    assert_eq!(again, value);
    Some(value)
}

fn documents(body: &[u8]) {
    let one = as_is::<HaVip>(body);
    let page = as_is::<HaVipPage>(body);
    for havip in one.iter().chain(page.iter().flat_map(|p| &p.ha_vips)) {
        if let Some(holder) = havip.holder() {
            assert!(havip.binds(holder), "the holder {holder:?} is not bound");
        }
    }
    as_is::<Eni>(body);
    as_is::<EniPage>(body);
    as_is::<ErrorBody>(body);
    as_is::<BindRequest>(body);
    if let Some(detail) = as_is::<InstanceDetail>(body) {
        let _ = instance_state(&detail.instance.status);
    }
}

fn silent(text: &str) {
    assert!(!text.contains(SECRET), "a secret is repeated: {text}");
    assert!(!text.chars().any(char::is_control), "not fit for a log: {text:?}");
}

fn errors(first: u8, body: &[u8]) {
    let text = String::from_utf8_lossy(body);
    let (write, now) = (first & 0x10 != 0, 1_800_000_000);
    let answer = Answer {
        status: STATUSES[usize::from(first & 0x0f)],
        date: (first & 0x20 != 0).then_some(i64::MIN),
        retry_after: (first & 0x40 != 0).then(|| text.lines().next().unwrap_or_default().to_owned()),
        request_id: (first & 0x80 != 0).then(|| text.lines().last().unwrap_or_default().to_owned()),
        body: body.to_vec(),
    };
    let _ = (answer.is_success(), answer.says_expired(), answer.doubts_credentials());
    let key = Credentials {
        access_key_id: "ak".to_owned(),
        secret_access_key: Secret::from(SECRET.to_owned()),
        session_token: None,
        expires: None,
        region: None,
    };
    let status = answer.status;
    let redactor = Redactor::new(&key, "");
    let answer = Answer {
        request_id: answer.request_id.map(|id| redactor.text(&id).into_owned()),
        body: redactor.body(answer.body),
        ..answer
    };
    let error = answer.into_error("read havip-x", if write { Operation::Attach } else { Operation::ReadHavip }, now);
    silent(&error.to_string());
    // Code, request id and text at most, and words of our own.
    assert!(error.detail.chars().count() < 3 * LONGEST + 200, "{} characters", error.detail.chars().count());
    assert!(error.code.as_ref().is_none_or(|c| c.chars().count() <= LONGEST));
    error.code.as_deref().into_iter().for_each(silent);
    assert!(write || error.class != ErrorClass::Ambiguous, "a read is never ambiguous");
    assert!(!error.missing || (400..500).contains(&status), "{status} does not say that something is missing");
    assert!(
        !error.nothing_bound || error.class == ErrorClass::Refused,
        "{status} says more than that nothing is bound"
    );
    assert!(error.retry_after.is_none_or(|wait| wait <= Duration::from_secs(3600)), "{:?}", error.retry_after);
}

fn keys(body: &[u8]) {
    let text = String::from_utf8_lossy(body);
    let role = Credentials::of_role(body);
    let file = Credentials::of_file(Path::new("/k"), &text);
    for key in [role, file] {
        match key {
            Ok(key) => {
                assert!(!key.access_key_id.is_empty() && !key.secret_access_key.expose().is_empty(), "half a key");
                assert!(key.session_token.as_ref().is_none_or(|t| !t.expose().is_empty()), "an empty token");
                let _ = Redactor::new(&key, &text).body(body.to_vec());
            }
            Err(error) => silent(&error.to_string()),
        }
    }
}

/// One input.
///
/// # Panics
/// When an answer makes the client say what it must not, or contradict itself.
pub fn run(data: &[u8]) {
    let Some((&first, body)) = data.split_first() else { return };
    documents(body);
    errors(first, body);
    keys(body);
    let text = String::from_utf8_lossy(body);
    let _ = (http_date(&text), retry_after(&text, i64::MIN), retry_after(&text, i64::MAX), instance_state(&text));
    let cleaned = clean(&text);
    assert!(cleaned.chars().count() <= LONGEST && !cleaned.chars().any(char::is_control), "{cleaned:?}");
}

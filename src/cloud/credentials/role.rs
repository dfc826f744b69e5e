//! Temporary credentials of the instance's role.
//!
//! The vendor renews them every five minutes and may end them within five minutes of the role
//! being taken away; whether an old key works on after a new one has appeared is not documented.
//! So a key is asked for again after half a minute, not waited for within one, and kept while the
//! metadata service is away and the key has not expired.

use super::{CredentialError, Credentials, Metadata};
use havipd_core::model::secret::Secret;
use serde_json::{Map, Value};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Age from which a key in use is renewed in the background.
const RENEW_AFTER: Duration = Duration::from_secs(30);
/// Age from which a call waits for its renewal.
const WAIT_AFTER: Duration = Duration::from_secs(60);
/// How long it waits while the key may still do.
const PATIENCE: Duration = Duration::from_millis(500);
/// Pause after a failed renewal before a call waits for the next.
const PAUSE: Duration = Duration::from_secs(5);
/// Seconds before its end from which a key is renewed whatever its age.
const MARGIN: i64 = 60;

/// The role and its last key; clones share it.
#[derive(Debug, Clone)]
pub(super) struct RoleSource(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    metadata: Metadata,
    state: Mutex<State>,
    /// One fetch at a time.
    fetching: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    last: Option<(Arc<Credentials>, Instant)>,
    failed: Option<Instant>,
}

impl RoleSource {
    pub(super) fn new(metadata: Metadata) -> Self {
        Self(Arc::new(Inner { metadata, state: Mutex::default(), fetching: tokio::sync::Mutex::default() }))
    }

    /// The key to use at `now`, seconds since 1970.
    pub(super) async fn current(&self, now: i64) -> Result<Arc<Credentials>, CredentialError> {
        let (last, failed) = {
            let state = self.state();
            (state.last.clone(), state.failed)
        };
        let Some((key, at)) = last else { return self.fetch().await };
        let left = key.expires.map(|end| end - now);
        let paused = failed.is_some_and(|at| at.elapsed() < PAUSE);
        if left.is_some_and(|left| left <= 0) {
            return self.fetch().await.map_err(|e| CredentialError::Expired(e.to_string()));
        }
        if paused || (at.elapsed() < RENEW_AFTER && left.is_none_or(|left| left > MARGIN)) {
            return Ok(key);
        }
        // A task of its own: a call that gives up waiting must not undo the renewal.
        let this = self.clone();
        let renewal = tokio::spawn(async move { this.fetch().await });
        if at.elapsed() < WAIT_AFTER && left.is_none_or(|left| left > MARGIN) {
            return Ok(key);
        }
        match tokio::time::timeout(PATIENCE, renewal).await {
            Ok(Ok(Ok(renewed))) => Ok(renewed),
            _ => Ok(key),
        }
    }

    /// When the last key ends, if the metadata service said so.
    pub(super) fn end(&self) -> Option<i64> {
        self.state().last.as_ref().and_then(|(key, _)| key.expires)
    }

    /// Asks for the key as it is now.
    pub(super) async fn fetch(&self) -> Result<Arc<Credentials>, CredentialError> {
        let asked = Instant::now();
        let _one = self.0.fetching.lock().await;
        if let Some((key, at)) = &self.state().last
            && *at > asked
        {
            return Ok(Arc::clone(key));
        }
        let started = Instant::now();
        let fetched = match self.0.metadata.role_credentials().await {
            Ok(json) => parse(&json),
            Err(error) => Err(error.into()),
        };
        let mut state = self.state();
        match fetched {
            Ok(key) => {
                let key = Arc::new(key);
                *state = State { last: Some((Arc::clone(&key), started)), failed: None };
                Ok(key)
            }
            Err(error) => {
                if state.last.is_some() && state.failed.is_none() {
                    tracing::warn!("{error}; going on with the credentials in hand until they expire");
                }
                state.failed = Some(Instant::now());
                Err(error)
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads the role's JSON whatever its spelling: `accessKeyId`, `AccessKeyId`, `access_key_id`, ...,
/// at the top or one level down.
pub(super) fn parse(json: &[u8]) -> Result<Credentials, CredentialError> {
    let Ok(Value::Object(top)) = serde_json::from_slice(json) else {
        return Err(CredentialError::RoleMember("JSON object"));
    };
    let has_key = |m: &Map<String, Value>| member(m, &["accesskeyid", "accesskey"]).is_some();
    let nested = top.values().filter_map(Value::as_object).find(|m| has_key(m));
    let members = if has_key(&top) { &top } else { nested.unwrap_or(&top) };
    let text = |names: &[&str]| member(members, names).and_then(Value::as_str).filter(|s| !s.is_empty());
    let secret = |names: &[&str]| text(names).map(|s| Secret::from(s.to_owned()));
    Ok(Credentials {
        access_key_id: text(&["accesskeyid", "accesskey"])
            .ok_or(CredentialError::RoleMember("accessKeyId"))?
            .to_owned(),
        secret_access_key: secret(&["secretaccesskey", "accesskeysecret", "secretkey"])
            .ok_or(CredentialError::RoleMember("secretAccessKey"))?,
        session_token: secret(&["sessiontoken", "securitytoken", "token"]),
        expires: member(members, &["expiration", "expiretime", "expires"]).and_then(instant),
        region: None,
    })
}

fn member<'a>(members: &'a Map<String, Value>, names: &[&str]) -> Option<&'a Value> {
    let plain = |key: &str| key.replace(['_', '-'], "").to_ascii_lowercase();
    names.iter().find_map(|name| members.iter().find(|(key, _)| plain(key) == *name).map(|(_, value)| value))
}

/// ISO-8601 text, seconds, or milliseconds since 1970.
fn instant(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_second),
        Value::Number(number) => number.as_i64().map(|n| if n > 100_000_000_000 { n / 1000 } else { n }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_plausible_spelling_is_understood() {
        let spellings = [
            r#"{"accessKeyId":"a","secretAccessKey":"s","sessionToken":"t","expiration":"2026-10-07T12:00:00Z"}"#,
            r#"{"AccessKeyId":"a","AccessKeySecret":"s","SecurityToken":"t","Expiration":1791374400}"#,
            r#"{"access_key_id":"a","secret_access_key":"s","session_token":"t","expiration":1791374400000}"#,
            r#"{"code":"ok","credential":{"accessKeyId":"a","secretAccessKey":"s","token":"t","expireTime":1791374400}}"#,
        ];
        for json in spellings {
            let key = parse(json.as_bytes()).expect(json);
            assert_eq!(key.access_key_id, "a", "{json}");
            assert_eq!(key.secret_access_key, Secret::from("s".to_owned()), "{json}");
            assert_eq!(key.session_token, Some(Secret::from("t".to_owned())), "{json}");
            assert_eq!(key.expires, Some(1_791_374_400), "{json}");
        }
    }

    #[test]
    fn every_pairing_of_the_known_names_parses() {
        let spelled = |words: &[&str], style: usize| match style {
            0 => words.concat(),
            1 => words.join("_").to_lowercase(),
            2 => words.join("-").to_lowercase(),
            _ => words[0].to_lowercase() + &words[1..].concat(),
        };
        let ids: [&[&str]; 2] = [&["Access", "Key", "Id"], &["Access", "Key"]];
        let secrets: [&[&str]; 3] = [&["Secret", "Access", "Key"], &["Access", "Key", "Secret"], &["Secret", "Key"]];
        let tokens: [&[&str]; 3] = [&["Session", "Token"], &["Security", "Token"], &["Token"]];
        for pairing in 0..2 * 3 * 3 * 4 {
            let (id, secret, token, style) =
                (ids[pairing % 2], secrets[pairing / 2 % 3], tokens[pairing / 6 % 3], pairing / 18);
            let name = |words: &[&str]| spelled(words, style);
            let members = format!(r#"{{"{}":"a","{}":"s","{}":"t"}}"#, name(id), name(secret), name(token));
            for json in [members.clone(), format!(r#"{{"requestId":"r","result":{members}}}"#)] {
                let key = parse(json.as_bytes()).expect(&json);
                assert_eq!(key.access_key_id, "a", "{json}");
                assert_eq!(key.secret_access_key, Secret::from("s".to_owned()), "{json}");
                assert_eq!(key.session_token, Some(Secret::from("t".to_owned())), "{json}");
            }
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(parse(b"<html>"), Err(CredentialError::RoleMember("JSON object")));
        assert_eq!(parse(b"{}"), Err(CredentialError::RoleMember("accessKeyId")));
        let no_secret = parse(br#"{"accessKeyId":"a","secretAccessKey":""}"#);
        assert_eq!(no_secret, Err(CredentialError::RoleMember("secretAccessKey")));
    }
}

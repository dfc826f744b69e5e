//! Who calls: every signature is checked as the service does, with its codes and statuses.
//!
//! Age is judged by `x-bce-date`, else by `Date`, else by the timestamp of the signature, with 30
//! minutes of grace either way; the signature's own expiration counts too. `host` must be signed,
//! and so must the session token of temporary credentials. What the documentation leaves open
//! (the code for a wrong session token) is `InvalidAccessKeyId` here.

use super::clock::parse_http_date;
use super::config::{CredentialStyle, KeyConfig, Permission};
use crate::simulation::cloud::ErrorReply;
use havipd::cloud::sign::{self, Authorization, Received, SignError};
use havipd_core::model::plain::quote;
use havipd_core::model::secret::Secret;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Seconds by which clocks may differ.
pub const SKEW_SECONDS: i64 = 1800;

/// Header, or parameter, that carries a session token.
const TOKEN_HEADER: &str = "x-bce-security-token";

/// Credentials given out at most; then the oldest stop working.
const ISSUED_MAX: usize = 1000;

/// One access key that is accepted.
#[derive(Debug, Clone)]
struct Key {
    config: KeyConfig,
    /// Seconds since 1970 after which it is worth nothing.
    expires: Option<i64>,
}

/// Credentials of a role, as metadata gives them out.
#[derive(Debug, Clone)]
struct Issued {
    access_key: String,
    at: i64,
}

/// All access keys.
#[derive(Debug)]
pub(super) struct Keys {
    keys: BTreeMap<String, Key>,
    by_node: BTreeMap<String, Issued>,
    issued: Vec<String>,
    rng: fastrand::Rng,
}

/// Who a valid signature belongs to.
#[derive(Debug, Clone)]
pub(super) struct Signer {
    pub(super) access_key: String,
    pub(super) node: Option<String>,
    pub(super) permission: Permission,
}

fn refuse(status: u16, code: &str, message: &str) -> ErrorReply {
    ErrorReply::new(status, code, message)
}

impl Keys {
    pub(super) fn new(keys: Vec<KeyConfig>, rng: fastrand::Rng) -> Self {
        let keys = keys.into_iter().map(|k| (k.access_key.clone(), Key { config: k, expires: None })).collect();
        Self { keys, by_node: BTreeMap::new(), issued: Vec::new(), rng }
    }

    /// Changes what a key may do; says whether there is such a key.
    pub(super) fn set_permission(&mut self, access_key: &str, permission: Permission) -> bool {
        let key = self.keys.get_mut(access_key);
        key.map(|k| k.config.permission = permission).is_some()
    }

    /// Removes a key; says whether there was one.
    pub(super) fn revoke(&mut self, access_key: &str) -> bool {
        self.by_node.retain(|_, i| i.access_key != access_key);
        self.keys.remove(access_key).is_some()
    }

    /// The node that a key belongs to, valid signature or not.
    pub(super) fn node_of(&self, access_key: &str) -> Option<&str> {
        self.keys.get(access_key)?.config.node.as_deref()
    }

    /// Checks one request; `unix_seconds` is the cloud's wall clock.
    ///
    /// # Errors
    /// The answer that the service gives.
    pub(super) fn check(&self, unix_seconds: i64, request: &Received<'_>) -> Result<Signer, ErrorReply> {
        let header = |name: &str| request.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| *v);
        let authorization =
            header("authorization").ok_or_else(|| refuse(403, "AccessDenied", "the request is not signed"))?;
        let authorization =
            Authorization::parse(authorization).map_err(|e| refuse(400, "InvalidHTTPAuthHeader", &e.to_string()))?;
        let key = self.keys.get(&authorization.access_key_id).filter(|k| k.expires.is_none_or(|e| unix_seconds < e));
        let key = key.ok_or_else(|| refuse(403, "InvalidAccessKeyId", "the access key id is not known"))?;
        check_age(unix_seconds, &authorization, header("x-bce-date"), header("date"))?;
        if !authorization.signed.covers("host") {
            return Err(refuse(400, "SignatureDoesNotMatch", "host must be signed"));
        }
        request.verify(&authorization, &key.config.secret_key).map_err(|e| match e {
            SignError::HeaderMissing(name) => {
                refuse(400, "SignatureDoesNotMatch", &format!("signed header {name} is not there"))
            }
            _ => refuse(400, "SignatureDoesNotMatch", "the signature is not the one that we compute"),
        })?;
        check_token(&key.config, request, &authorization)?;
        Ok(Signer {
            access_key: authorization.access_key_id,
            node: key.config.node.clone(),
            permission: key.config.permission,
        })
    }

    /// The credentials of a node's role: new ones when the last are older than `refresh` seconds.
    pub(super) fn issue(
        &mut self,
        unix_seconds: i64,
        node: &str,
        style: CredentialStyle,
        lifetime: i64,
        refresh: i64,
    ) -> Value {
        let known = self.by_node.get(node).filter(|i| unix_seconds - i.at < refresh);
        let access_key = match known.filter(|i| self.keys.contains_key(&i.access_key)) {
            Some(issued) => issued.access_key.clone(),
            None => self.issue_new(unix_seconds, node, lifetime),
        };
        let key = &self.keys[&access_key];
        let expiration = sign::timestamp(key.expires.unwrap_or(unix_seconds));
        let secret = key.config.secret_key.expose_str().unwrap_or_default();
        let token = key.config.session_token.as_deref().unwrap_or_default();
        match style {
            CredentialStyle::CamelCase => json!({
                "accessKeyId": access_key, "secretAccessKey": secret, "sessionToken": token,
                "expiration": expiration,
            }),
            CredentialStyle::SnakeCase => json!({
                "access_key_id": access_key, "secret_access_key": secret, "session_token": token,
                "expiration": expiration,
            }),
            CredentialStyle::SecurityToken => json!({
                "accessKeyId": access_key, "accessKeySecret": secret, "securityToken": token,
                "expiration": expiration,
            }),
        }
    }

    fn issue_new(&mut self, unix_seconds: i64, node: &str, lifetime: i64) -> String {
        let access_key = format!("sts-{:016x}", self.rng.u64(..));
        let config = KeyConfig {
            access_key: access_key.clone(),
            secret_key: Secret::from(format!("{:032x}", self.rng.u128(..))),
            session_token: Some(format!("{:032x}", self.rng.u128(..))),
            node: Some(node.to_owned()),
            permission: Permission::Full,
        };
        if self.issued.len() == ISSUED_MAX {
            let oldest = self.issued.remove(0);
            self.keys.remove(&oldest);
        }
        self.issued.push(access_key.clone());
        self.keys.insert(access_key.clone(), Key { config, expires: Some(unix_seconds.saturating_add(lifetime)) });
        self.by_node.insert(node.to_owned(), Issued { access_key: access_key.clone(), at: unix_seconds });
        access_key
    }
}

fn check_age(
    unix_seconds: i64,
    authorization: &Authorization,
    x_bce_date: Option<&str>,
    date: Option<&str>,
) -> Result<(), ErrorReply> {
    let stated = match (x_bce_date, date) {
        (Some(text), _) => {
            sign::parse_timestamp(text).map_err(|e| refuse(400, "InvalidHTTPRequest", &format!("x-bce-date: {e}")))?
        }
        (None, Some(text)) => parse_http_date(text).ok_or_else(|| {
            refuse(400, "InvalidHTTPRequest", &format!("date: {text} is not a date", text = quote(text)))
        })?,
        (None, None) => authorization.unix_seconds,
    };
    let expires = authorization.unix_seconds.saturating_add(authorization.expiration_seconds.into());
    let skewed = |at: i64| unix_seconds.saturating_sub(at).abs() > SKEW_SECONDS;
    if skewed(stated) || authorization.unix_seconds - unix_seconds > SKEW_SECONDS || unix_seconds > expires {
        return Err(refuse(400, "RequestExpired", "request has expired, check the clock"));
    }
    Ok(())
}

fn check_token(key: &KeyConfig, request: &Received<'_>, authorization: &Authorization) -> Result<(), ErrorReply> {
    let header = request.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(TOKEN_HEADER)).map(|(_, v)| *v);
    let parameter = request.raw_query.split('&').find_map(|p| p.strip_prefix(TOKEN_HEADER)?.strip_prefix('='));
    match (&key.session_token, header.or(parameter)) {
        (None, None) => Ok(()),
        (Some(right), Some(given)) if right == given => {
            let signed = header.is_none() || authorization.signed.covers(TOKEN_HEADER);
            let unsigned = || refuse(400, "SignatureDoesNotMatch", "the session token must be signed");
            signed.then_some(()).ok_or_else(unsigned)
        }
        _ => Err(refuse(403, "InvalidAccessKeyId", "the session token does not belong to the access key id")),
    }
}

//! bce-auth-v1: how a call to the cloud proves who makes it, as pure functions.
//!
//! ```text
//! prefix    = bce-auth-v1/{access key id}/{timestamp}/{expiration, seconds}
//! key       = hex(HMAC-SHA256(secret access key, prefix))
//! request   = METHOD \n canonical URI \n canonical query \n canonical headers
//! signature = hex(HMAC-SHA256(key as hex text, request))
//! header    = Authorization: {prefix}/{signed headers}/{signature}
//! ```
//!
//! Source: <https://cloud.baidu.com/doc/Reference/s/njwvz1yfu>. Every intermediate value is a
//! function of its own, because a signature that is refused can only be found by comparing them.
//! The caller passes the time; nothing here reads a clock. [`Received`] is the other direction:
//! what a server needs to recompute the signature of a request as it came in.

use crate::plain::quote;
use havipd_core::model::secret::Secret;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Name and version of the scheme, first field of the header.
pub const SCHEME: &str = "bce-auth-v1";

/// Seconds that a signature lasts, as every official SDK has it.
pub const EXPIRATION_SECONDS: u32 = 1800;

/// Headers of the default set, which an empty list of signed headers stands for; every `x-bce-*`
/// header belongs to it too.
const DEFAULT_HEADERS: [&str; 4] = ["content-length", "content-md5", "content-type", "host"];

/// Why an `Authorization` header or a timestamp was not understood, or does not fit its request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// Not six fields, or another scheme.
    #[error("not a {SCHEME} authorization of six fields: {}", quote(.0))]
    Malformed(String),
    /// The third field is not `YYYY-MM-DDThh:mm:ssZ`.
    #[error("{} is not a timestamp of the form YYYY-MM-DDThh:mm:ssZ", quote(.0))]
    Timestamp(String),
    /// The fourth field is not a number of seconds.
    #[error("{} is not an expiration in seconds", quote(.0))]
    Expiration(String),
    /// A header is listed as signed but is not in the request.
    #[error("signed header {} is not in the request", quote(.0))]
    HeaderMissing(String),
    /// The signature is not the one that the request and the secret give.
    #[error("signature {given} does not match; expected one over {}", canonical_request.replace('\n', "\\n"))]
    Mismatch {
        /// What the header carries.
        given: String,
        /// What we took the request to be.
        canonical_request: String,
    },
}

/// `unix_seconds` as the scheme writes instants: `2026-10-07T12:00:00Z`.
///
/// Years beyond 9999 are clamped.
#[must_use]
pub fn timestamp(unix_seconds: i64) -> String {
    let at = jiff::Timestamp::from_second(unix_seconds).unwrap_or(jiff::Timestamp::MAX);
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Reads what [`timestamp`] writes; seconds since 1970.
///
/// # Errors
/// [`SignError::Timestamp`] for any other form, even a valid ISO-8601 one.
pub fn parse_timestamp(text: &str) -> Result<i64, SignError> {
    let wrong = || SignError::Timestamp(text.to_owned());
    let at: jiff::Timestamp = text.parse().map_err(|_| wrong())?;
    if timestamp(at.as_second()) == text { Ok(at.as_second()) } else { Err(wrong()) }
}

/// First half of the header, and the message that the signing key is derived from.
#[must_use]
pub fn auth_string_prefix(access_key_id: &str, timestamp: &str, expiration_seconds: u32) -> String {
    format!("{SCHEME}/{access_key_id}/{timestamp}/{expiration_seconds}")
}

/// Key for one prefix: 64 lower-case hex digits, used as text.
#[must_use]
pub fn signing_key(secret_access_key: &Secret, prefix: &str) -> Secret {
    Secret::from(hmac_hex(secret_access_key.expose(), prefix))
}

/// The path, percent-encoded once; `/` stays. `path` is decoded text.
#[must_use]
pub fn canonical_uri(path: &str) -> String {
    canonical_uri_of_bytes(path.as_bytes())
}

fn canonical_uri_of_bytes(path: &[u8]) -> String {
    let lead = if path.first() == Some(&b'/') { "" } else { "/" };
    format!("{lead}{}", encode_bytes(path, b"/"))
}

/// The query: `k=v` encoded, `k=` for one without value, sorted as encoded, joined by `&`.
///
/// A parameter named `authorization`, in any case, is left out.
pub fn canonical_query<'a>(parameters: impl IntoIterator<Item = (&'a str, Option<&'a str>)>) -> String {
    canonical_query_of_bytes(parameters.into_iter().map(|(k, v)| (k.as_bytes(), v.unwrap_or_default().as_bytes())))
}

fn canonical_query_of_bytes<'a>(parameters: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> String {
    let mut parts: Vec<String> = parameters
        .filter(|(k, _)| !k.eq_ignore_ascii_case(b"authorization"))
        .map(|(k, v)| format!("{}={}", encode_bytes(k, b""), encode_bytes(v, b"")))
        .collect();
    parts.sort_unstable();
    parts.join("&")
}

/// Which headers a signature covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignedHeaders {
    /// The field is empty: host, content-length, content-md5, content-type and every `x-bce-*`.
    Default,
    /// Exactly these, lower case, sorted.
    Listed(Vec<String>),
}

impl SignedHeaders {
    /// A list in the form that the scheme wants: lower case, sorted, no name twice.
    #[must_use]
    pub fn listed(names: &[&str]) -> Self {
        let mut names: Vec<String> = names.iter().map(|n| n.trim().to_ascii_lowercase()).collect();
        names.sort_unstable();
        names.dedup();
        Self::Listed(names)
    }

    /// The field of the header: names joined by `;`, or nothing.
    #[must_use]
    pub fn field(&self) -> String {
        match self {
            Self::Default => String::new(),
            Self::Listed(names) => names.join(";"),
        }
    }

    /// Whether the header of that name, any case, is covered.
    #[must_use]
    pub fn covers(&self, name: &str) -> bool {
        let name = name.trim().to_ascii_lowercase();
        match self {
            Self::Default => DEFAULT_HEADERS.contains(&name.as_str()) || name.starts_with("x-bce-"),
            Self::Listed(names) => names.contains(&name),
        }
    }
}

/// The covered headers: `name:value` encoded, one a line, sorted; empty values are left out.
pub fn canonical_headers<'a>(headers: impl IntoIterator<Item = (&'a str, &'a str)>, signed: &SignedHeaders) -> String {
    let mut lines: Vec<String> = headers
        .into_iter()
        .filter(|(name, value)| signed.covers(name) && !value.trim().is_empty())
        .map(|(name, value)| {
            let name = name.trim().to_ascii_lowercase();
            format!("{}:{}", encode_bytes(name.as_bytes(), b""), encode_bytes(value.trim().as_bytes(), b""))
        })
        .collect();
    lines.sort_unstable();
    lines.join("\n")
}

/// What is signed: the four canonical parts, without a newline at the end.
#[must_use]
pub fn canonical_request(method: &str, uri: &str, query: &str, headers: &str) -> String {
    format!("{}\n{uri}\n{query}\n{headers}", method.to_ascii_uppercase())
}

/// The signature: 64 lower-case hex digits.
#[must_use]
pub fn signature(signing_key: &Secret, canonical_request: &str) -> String {
    hmac_hex(signing_key.expose(), canonical_request)
}

/// The whole header value.
#[must_use]
pub fn authorization(prefix: &str, signed: &SignedHeaders, signature: &str) -> String {
    format!("{prefix}/{}/{signature}", signed.field())
}

/// One request to be signed, all parts decoded.
#[derive(Debug, Clone)]
pub struct ToSign<'a> {
    /// `GET`, `PUT`, ...
    pub method: &'a str,
    /// Decoded path.
    pub path: &'a str,
    /// Decoded parameters; `None` is `?attach`, without a value.
    pub query: &'a [(&'a str, Option<&'a str>)],
    /// Headers as they will be sent; those that are not covered do no harm.
    pub headers: &'a [(&'a str, &'a str)],
    /// Which of them the signature covers.
    pub signed: &'a SignedHeaders,
}

impl ToSign<'_> {
    /// The canonical request.
    #[must_use]
    pub fn canonical_request(&self) -> String {
        canonical_request(
            self.method,
            &canonical_uri(self.path),
            &canonical_query(self.query.iter().copied()),
            &canonical_headers(self.headers.iter().copied(), self.signed),
        )
    }

    /// The value of the `Authorization` header; `timestamp` as [`timestamp`] writes it.
    #[must_use]
    pub fn authorization(&self, access_key_id: &str, secret: &Secret, timestamp: &str, expiration: u32) -> String {
        let prefix = auth_string_prefix(access_key_id, timestamp, expiration);
        let signature = signature(&signing_key(secret, &prefix), &self.canonical_request());
        authorization(&prefix, self.signed, &signature)
    }
}

/// An `Authorization` header, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorization {
    /// Who signed.
    pub access_key_id: String,
    /// When, as it was written.
    pub timestamp: String,
    /// The same in seconds since 1970.
    pub unix_seconds: i64,
    /// For how many seconds it was meant to last.
    pub expiration_seconds: u32,
    /// What it covers.
    pub signed: SignedHeaders,
    /// The signature, as it was written.
    pub signature: String,
}

impl Authorization {
    /// Takes a header value apart.
    ///
    /// # Errors
    /// [`SignError::Malformed`], [`SignError::Timestamp`] or [`SignError::Expiration`], with the offending text.
    pub fn parse(header: &str) -> Result<Self, SignError> {
        let fields: Vec<&str> = header.trim().split('/').collect();
        let [SCHEME, access_key_id, timestamp, expiration, signed, signature] = fields[..] else {
            return Err(SignError::Malformed(header.to_owned()));
        };
        let expiration_seconds = expiration.parse().map_err(|_| SignError::Expiration(expiration.to_owned()))?;
        let names: Vec<&str> = signed.split(';').filter(|n| !n.is_empty()).collect();
        Ok(Self {
            access_key_id: access_key_id.to_owned(),
            timestamp: timestamp.to_owned(),
            unix_seconds: parse_timestamp(timestamp)?,
            expiration_seconds,
            signed: if names.is_empty() { SignedHeaders::Default } else { SignedHeaders::listed(&names) },
            signature: signature.to_owned(),
        })
    }

    /// First half of the header again.
    #[must_use]
    pub fn prefix(&self) -> String {
        auth_string_prefix(&self.access_key_id, &self.timestamp, self.expiration_seconds)
    }
}

/// A request as a server received it, nothing decoded yet.
#[derive(Debug, Clone)]
pub struct Received<'a> {
    /// The method.
    pub method: &'a str,
    /// The path as it stood in the request line, percent-encoded, without the query.
    pub raw_path: &'a str,
    /// What stood behind the `?`, percent-encoded; empty when there was none.
    pub raw_query: &'a str,
    /// Every header.
    pub headers: &'a [(&'a str, &'a str)],
}

impl Received<'_> {
    /// The canonical request for the headers that `signed` covers.
    ///
    /// Path and query are decoded and encoded again, so that differently escaped spellings of one
    /// request give one result. A `+` in the query is a plus, not a space.
    #[must_use]
    pub fn canonical_request(&self, signed: &SignedHeaders) -> String {
        let parameters: Vec<(Vec<u8>, Vec<u8>)> = self
            .raw_query
            .split('&')
            .filter(|part| !part.is_empty())
            .map(|part| part.split_once('=').unwrap_or((part, "")))
            .map(|(k, v)| (decode(k), decode(v)))
            .collect();
        canonical_request(
            self.method,
            &canonical_uri_of_bytes(&decode(self.raw_path)),
            &canonical_query_of_bytes(parameters.iter().map(|(k, v)| (k.as_slice(), v.as_slice()))),
            &canonical_headers(self.headers.iter().copied(), signed),
        )
    }

    /// Checks `authorization` against this request and the secret of its access key.
    ///
    /// Says nothing of age and expiration: a caller that has a clock compares
    /// [`Authorization::unix_seconds`] with it.
    ///
    /// # Errors
    /// [`SignError::HeaderMissing`] or [`SignError::Mismatch`].
    pub fn verify(&self, authorization: &Authorization, secret: &Secret) -> Result<(), SignError> {
        if let SignedHeaders::Listed(names) = &authorization.signed {
            let absent = |n: &&String| !self.headers.iter().any(|(h, _)| h.trim().eq_ignore_ascii_case(n));
            if let Some(name) = names.iter().find(absent) {
                return Err(SignError::HeaderMissing(name.clone()));
            }
        }
        let canonical_request = self.canonical_request(&authorization.signed);
        let expected = signature(&signing_key(secret, &authorization.prefix()), &canonical_request);
        if Secret::from(expected) == Secret::from(authorization.signature.clone()) {
            Ok(())
        } else {
            Err(SignError::Mismatch { given: authorization.signature.clone(), canonical_request })
        }
    }
}

/// Percent-encodes UTF-8 text; all but `A-Z a-z 0-9 - . _ ~` becomes `%XX`, upper case.
#[must_use]
pub fn encode(text: &str) -> String {
    encode_bytes(text.as_bytes(), b"")
}

fn encode_bytes(bytes: &[u8], keep: &[u8]) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = String::with_capacity(bytes.len());
    for &b in bytes {
        if b.is_ascii_alphanumeric() || b"-._~".contains(&b) || keep.contains(&b) {
            out.push(char::from(b));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(b >> 4)]));
            out.push(char::from(HEX[usize::from(b & 15)]));
        }
    }
    out
}

/// Undoes percent-encoding; a `%` without two hex digits stays as it is.
#[must_use]
pub fn decode(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let digit = |i: usize| bytes.get(i).and_then(|&b| char::from(b).to_digit(16)).and_then(|d| u8::try_from(d).ok());
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while let Some(&b) = bytes.get(i) {
        if let (b'%', Some(high), Some(low)) = (b, digit(i + 1), digit(i + 2)) {
            out.push(high << 4 | low);
            i += 3;
        } else {
            out.push(b);
            i += 1;
        }
    }
    out
}

fn hmac_hex(key: &[u8], message: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(message.as_bytes());
    hex::encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests;

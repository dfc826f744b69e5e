//! What an endpoint may hand back of a request, taken out of its answer before anything reads it.
//!
//! An `Authorization` value lets a reader repeat the request for as long as it holds. A server, or what stands before it,
//! may quote it in any member of any answer, in a 200 as in an error; so answers are redacted as they come in, and whatever
//! is later logged, shown or stored of them holds nothing of it.

use super::credentials::Credentials;
use super::sign::{self, SCHEME};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use havipd_core::model::secret::Secret;
use serde_json::Value;
use std::borrow::Cow;
use zeroize::Zeroizing;

const MARK: &str = "[redacted]";

/// Letters and digits of a secret that are not shown together: with fewer nobody can do anything.
const SHORTEST: usize = 16;

/// Hexadecimal digits of a signature (HMAC-SHA256).
const SIGNATURE: usize = 64;

/// The one member of a document that is sent back to the endpoint as it came, and shown nowhere.
const MARKER: &str = "nextMarker";

/// Knows what one request carried.
#[derive(Debug)]
pub struct Redactor {
    /// Secrets as they stand and as a URL carries them, however short.
    whole: Vec<Secret>,
    /// Every run of [`SHORTEST`] letters and digits, in lower case, of each secret as text and in base64; sorted.
    runs: Zeroizing<Vec<u128>>,
}

impl Redactor {
    /// For the answer to a request that was signed with `key` and carried `authorization`.
    #[must_use]
    pub fn new(key: &Credentials, authorization: &str) -> Self {
        let signature = authorization.rsplit('/').next().unwrap_or_default();
        let keys = || [Some(&key.secret_access_key), key.session_token.as_ref()].into_iter().flatten();
        let whole = keys()
            .filter_map(Secret::expose_str)
            .filter(|text| !text.is_empty())
            .flat_map(|text| [text.to_owned(), sign::encode(text)])
            .map(Secret::from)
            .collect();
        let mut runs = Zeroizing::new(Vec::new());
        for secret in keys().map(Secret::expose).chain([signature.as_bytes()]) {
            runs_of(secret, |run, _| runs.push(run));
            in_base64(secret, &mut runs);
        }
        in_base64(&hex::decode(signature).unwrap_or_default(), &mut runs);
        runs.sort_unstable();
        runs.dedup();
        Self { whole, runs }
    }

    /// An answer's body: a document whose texts are redacted as they read, whatever escapes they are written with, or text.
    /// What holds nothing of the request stays as it came, to the byte.
    #[must_use]
    pub fn body(&self, body: Vec<u8>) -> Vec<u8> {
        if let Ok(mut document) = serde_json::from_slice::<Value>(&body) {
            return if self.document(&mut document) { document.to_string().into_bytes() } else { body };
        }
        match self.text(&String::from_utf8_lossy(&body)) {
            Cow::Owned(text) => text.into_bytes(),
            Cow::Borrowed(_) => body,
        }
    }

    /// Redacts every text and every name of a document; whether there was anything to redact.
    fn document(&self, value: &mut Value) -> bool {
        match value {
            Value::String(text) => match self.text(text) {
                Cow::Owned(redacted) => {
                    *text = redacted;
                    true
                }
                Cow::Borrowed(_) => false,
            },
            Value::Array(all) => all.iter_mut().fold(false, |found, one| self.document(one) | found),
            Value::Object(all) => {
                let mut found = false;
                for (_, one) in all.iter_mut().filter(|(name, one)| name.as_str() != MARKER || !one.is_string()) {
                    found |= self.document(one);
                }
                if all.keys().any(|name| matches!(self.text(name), Cow::Owned(_))) {
                    let members = std::mem::take(all);
                    all.extend(members.into_iter().map(|(name, one)| (self.text(&name).into_owned(), one)));
                    found = true;
                }
                found
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
        }
    }

    /// `text` without any part of the request's secrets; borrowed if it holds none. Takes time in proportion to its length.
    #[must_use]
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut kept = Cow::Borrowed(text);
        for secret in self.whole.iter().filter_map(Secret::expose_str) {
            if kept.contains(secret) {
                kept = Cow::Owned(kept.replace(secret, MARK));
            }
        }
        if let Some(without) = without_signatures(&kept).or_else(|| self.without_runs(&kept)) {
            kept = Cow::Owned(self.without_runs(&without).unwrap_or(without));
        }
        kept
    }

    /// Takes out every run of letters and digits that belongs to a secret, whatever stands between them; none if there is none.
    fn without_runs(&self, text: &str) -> Option<String> {
        let mut found: Vec<(usize, usize)> = Vec::new();
        runs_of(text.as_bytes(), |run, (from, to)| {
            if self.runs.binary_search(&run).is_ok() {
                match found.last_mut() {
                    Some(last) if from <= last.1 => last.1 = to,
                    _ => found.push((from, to)),
                }
            }
        });
        let mut kept = String::new();
        let mut at = 0;
        for &(from, to) in &found {
            kept.extend([&text[at..from], MARK]);
            at = to;
        }
        (!found.is_empty()).then(|| kept + &text[at..])
    }
}

/// Hands out each run of [`SHORTEST`] letters and digits, in lower case, and the bytes from its first to after its last.
fn runs_of(text: &[u8], mut each: impl FnMut(u128, (usize, usize))) {
    let (mut run, mut places, mut seen) = (0_u128, [0_usize; SHORTEST], 0_usize);
    for (at, byte) in text.iter().enumerate().filter(|(_, byte)| byte.is_ascii_alphanumeric()) {
        // Sixteen bytes are all that it holds: the oldest falls out.
        run = run << 8 | u128::from(byte.to_ascii_lowercase());
        places[seen % SHORTEST] = at;
        seen += 1;
        if seen >= SHORTEST {
            each(run, (places[seen % SHORTEST], at + 1));
        }
    }
}

/// The runs of `secret` in base64, wherever in a group of three bytes it begins.
fn in_base64(secret: &[u8], runs: &mut Zeroizing<Vec<u128>>) {
    for skipped in 0..3.min(secret.len()) {
        let encoded = Zeroizing::new(BASE64_STANDARD.encode(&secret[skipped..]));
        runs_of(encoded.as_bytes(), |run, _| runs.push(run));
    }
}

/// Takes out what has the form of an `Authorization` value, whole or in any usual encoding, or of a bare signature, also that of
/// another request; none if there is none.
fn without_signatures(text: &str) -> Option<String> {
    let mut kept = String::with_capacity(text.len());
    let mut found = false;
    let ends = |c: char| {
        c.is_whitespace() || matches!(c, '"' | '\'' | ',' | ';' | '<' | '>' | '(' | ')' | '[' | ']' | '{' | '}')
    };
    for piece in text.split_inclusive(ends) {
        let word = piece.trim_end_matches(ends);
        let run = word.split(|c: char| !c.is_ascii_hexdigit()).map(str::len).max().unwrap_or_default();
        let begins = word.to_ascii_lowercase().find(SCHEME);
        found |= begins.is_some() || run >= SIGNATURE;
        match begins {
            Some(at) => kept.extend([&word[..at], MARK]),
            None if run >= SIGNATURE => kept.push_str(MARK),
            None => kept.push_str(word),
        }
        kept.push_str(&piece[word.len()..]);
    }
    found.then_some(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signature() -> String {
        "0123456789abcdef"
            .chars()
            .cycle()
            .scan(7_u32, |at, _| {
                *at = *at * 5 % 257;
                char::from_digit(*at % 16, 16)
            })
            .take(SIGNATURE)
            .collect()
    }

    fn authorization() -> String {
        format!("bce-auth-v1/ak/2026-11-29T10:00:00Z/1800/host;x-bce-date/{}", signature())
    }

    fn redactor() -> Redactor {
        let key = Credentials {
            access_key_id: "ak".to_owned(),
            secret_access_key: Secret::from("s3cret".to_owned()),
            session_token: Some(Secret::from("to/ken=".to_owned())),
            expires: None,
            region: None,
        };
        Redactor::new(&key, &authorization())
    }

    #[test]
    fn an_authorization_that_is_handed_back_is_not_shown() {
        let (value, signature) = (authorization(), signature());
        for sent in [value.clone(), value.to_uppercase(), value.replace('/', "%2F"), value.replace('/', "\\/")] {
            let shown = redactor().text(&format!("no such header: \"{sent}\" (400)")).into_owned();
            assert!(!shown.to_lowercase().contains(&signature[..SHORTEST]), "{shown}");
            assert!(shown.starts_with("no such header: \"[redacted]"), "{shown}");
        }
        assert_eq!(redactor().text(&format!("got {signature}, 400")), "got [redacted], 400");
        let of_another = "0123456789abcdef".repeat(4);
        assert_eq!(redactor().text(&format!("got {of_another}, 400")), "got [redacted], 400");
        let id = "request 5dcd1fa0-9c16-4e7b-93d3-2ac4ca4e4d6b: a word, another";
        assert!(matches!(redactor().text(id), Cow::Borrowed(shown) if shown == id));
    }

    #[test]
    fn no_piece_of_a_signature_is_shown_in_any_dress() {
        let (value, signature) = (authorization(), signature());
        let raw = hex::decode(&signature).expect("hexadecimal");
        let spaced = signature.as_bytes().chunks(8).map(|c| String::from_utf8_lossy(c)).collect::<Vec<_>>().join(" ");
        for dressed in [
            signature[..56].to_owned(),
            signature[48..].to_owned(),
            signature[..56].to_uppercase(),
            value.replace('/', " / "),
            spaced,
            BASE64_STANDARD.encode(&raw),
            BASE64_STANDARD.encode(&signature),
            BASE64_STANDARD.encode(&value),
            BASE64_STANDARD.encode(format!("Authorization: {value}")),
            // Base64 takes three bytes at a time: what stands before it shifts it.
            BASE64_STANDARD.encode(format!("x{signature}")),
            BASE64_STANDARD.encode(format!("xx{signature}")),
            BASE64_STANDARD.encode([b"x", &raw[..]].concat()),
            BASE64_STANDARD.encode([b"xx", &raw[..]].concat()),
        ] {
            let shown = redactor().text(&format!("got <{dressed}> here")).into_owned();
            assert!(shown.starts_with("got <") && shown.ends_with("> here") && shown.contains(MARK), "{shown}");
            let left: usize = shown.replace(MARK, "").bytes().filter(u8::is_ascii_alphanumeric).count();
            let allowed = if dressed.starts_with("bce-") { 50 } else { 112 };
            assert!(left < allowed && redactor().without_runs(&shown).is_none(), "{shown}");
        }
        let few = &signature[..SHORTEST - 1];
        assert_eq!(redactor().text(few), few);
    }

    #[test]
    fn a_quoted_key_is_redacted_raw_and_encoded() {
        let text = redactor().text("s3cret signed x-bce-security-token:to%2Fken%3D and to/ken= by ak").into_owned();
        assert_eq!(text, "[redacted] signed x-bce-security-token:[redacted] and [redacted] by ak");
        assert!(!format!("{:?}", redactor()).contains("s3cret"));
    }

    #[test]
    fn every_text_and_name_of_a_document_is_redacted_and_the_rest_stays() {
        let escaped: String = authorization().chars().map(|c| format!("\\u{:04x}", u32::from(c))).collect();
        let body = format!(r#"{{"a":[{{"b":"{escaped}"}}],"{escaped}":1,"nextMarker":"{}"}}"#, signature());
        let shown = String::from_utf8(redactor().body(body.into_bytes())).expect("UTF-8");
        let marker = format!(r#"{{"{MARK};{MARK}":1,"a":[{{"b":"{MARK};{MARK}"}}],"nextMarker":"{}"}}"#, signature());
        assert_eq!(shown, marker, "a marker is sent back as it came");
        for same in [&br#"{ "a" : [1.50, "\u0062", {}] }"#[..], b"<html>\xff</html>", b""] {
            assert_eq!(redactor().body(same.to_vec()), same);
        }
        let broken = redactor().body(format!("{{\"a\": \"{}", authorization()).into_bytes());
        assert_eq!(broken, format!("{{\"a\": \"{MARK};{MARK}").into_bytes());
    }
}

//! What etcd's JSON gateway says: keys and values are in base64, numbers of 64 bits are strings, and what is zero is left
//! out.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use havipd_core::model::plain;
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;

/// No answer about one key, and no message of a watch, is longer than this, in bytes; a name of a node in a leader key is far
/// shorter.
pub const LONGEST: usize = 64 * 1024;
/// Nor is one about all keys of a cluster's groups.
pub const LONGEST_OF_ALL: usize = 8 * 1024 * 1024;

/// gRPC's number for "unauthenticated".
pub const UNAUTHENTICATED: i64 = 16;

/// What is read, or watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keys {
    /// One key.
    One(String),
    /// All that begin with this, which ends with a slash.
    Below(String),
}

impl Keys {
    /// A key of an election of ours, and those of the cluster's other groups.
    #[must_use]
    pub fn beside(key: &str) -> Self {
        match key.rfind('/') {
            Some(slash) => Self::Below(key[..=slash].to_owned()),
            None => Self::One(key.to_owned()),
        }
    }

    /// The key, or what they begin with.
    #[must_use]
    pub fn name(&self) -> &str {
        let (Self::One(name) | Self::Below(name)) = self;
        name
    }

    /// How long an answer may be, in bytes.
    #[must_use]
    pub fn longest(&self) -> usize {
        match self {
            Self::One(_) => LONGEST,
            Self::Below(_) => LONGEST_OF_ALL,
        }
    }

    /// The end of the range, in base64, where it is one.
    fn end(&self) -> Option<String> {
        match self {
            Self::One(_) => None,
            // The slash is followed by the zero.
            Self::Below(prefix) => Some(encode(&format!("{}0", prefix.trim_end_matches('/')))),
        }
    }

    fn has(&self, key: &str) -> bool {
        match self {
            Self::One(one) => key == one,
            Self::Below(prefix) => key.starts_with(prefix.as_str()),
        }
    }
}

/// A question for keys, to be answered linearizably.
#[derive(Debug, Serialize)]
pub struct RangeRequest {
    key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    range_end: Option<String>,
    /// Which etcd takes for false in any case; it is what everything here relies on.
    serializable: bool,
}

impl RangeRequest {
    /// Asks for `keys`.
    #[must_use]
    pub fn new(keys: &Keys) -> Self {
        Self { key: encode(keys.name()), range_end: keys.end(), serializable: false }
    }
}

/// Opens a watch.
#[derive(Debug, Serialize)]
pub struct WatchRequest {
    create_request: WatchCreate,
}

#[derive(Debug, Serialize)]
struct WatchCreate {
    key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    range_end: Option<String>,
    start_revision: String,
}

impl WatchRequest {
    /// Of `keys`, for everything from `revision` on.
    #[must_use]
    pub fn new(keys: &Keys, revision: u64) -> Self {
        let (key, range_end) = (encode(keys.name()), keys.end());
        Self { create_request: WatchCreate { key, range_end, start_revision: revision.to_string() } }
    }
}

pub(super) fn encode(key: &str) -> String {
    BASE64_STANDARD.encode(key)
}

/// The answer to a question for keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// Which etcd cluster answered.
    pub cluster: u64,
    /// Its revision then.
    pub revision: u64,
    /// Those that are there.
    pub found: BTreeMap<String, Found>,
}

impl Range {
    /// A key, if it is there.
    #[must_use]
    pub fn of(&self, key: &str) -> Option<&Found> {
        self.found.get(key)
    }
}

/// A key that is there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// Its value, as bytes.
    pub value: Vec<u8>,
    /// The revision at which it was created.
    pub created: u64,
    /// The revision at which it was written last.
    pub modified: u64,
    /// The lease that it is bound to; 0: none.
    pub lease: u64,
}

#[derive(Deserialize)]
struct RangeBody {
    header: Header,
    #[serde(default)]
    kvs: Vec<KeyValue>,
}

#[derive(Deserialize)]
pub(super) struct Header {
    #[serde(default, deserialize_with = "number")]
    pub(super) cluster_id: u64,
    #[serde(default, deserialize_with = "number")]
    pub(super) revision: u64,
}

#[derive(Deserialize)]
pub(super) struct KeyValue {
    key: String,
    #[serde(default)]
    value: String,
    #[serde(default, deserialize_with = "number")]
    create_revision: u64,
    #[serde(default, deserialize_with = "number")]
    mod_revision: u64,
    #[serde(default, deserialize_with = "number")]
    lease: u64,
}

/// As a string, which is what JSON's numbers are too short for, or as a number.
pub(super) fn number<'de, D: Deserializer<'de>>(d: D) -> Result<u64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Number {
        Text(String),
        Plain(u64),
    }
    match Number::deserialize(d)? {
        Number::Text(text) => text.parse().map_err(serde::de::Error::custom),
        Number::Plain(number) => Ok(number),
    }
}

/// Reads the answer to a question for `keys`.
///
/// # Errors
/// Why it is none, in words.
pub fn range(body: &[u8], keys: &Keys) -> Result<Range, String> {
    let body: RangeBody = serde_json::from_slice(body).map_err(|e| format!("an answer that is not etcd's: {e}"))?;
    if body.header.revision == 0 || body.header.cluster_id == 0 {
        return Err("an answer without the cluster's id and revision".to_owned());
    }
    let found = found(&body.kvs, keys)?;
    Ok(Range { cluster: body.header.cluster_id, revision: body.header.revision, found })
}

pub(super) fn found(kvs: &[KeyValue], keys: &Keys) -> Result<BTreeMap<String, Found>, String> {
    let bytes = |text: &str| BASE64_STANDARD.decode(text).map_err(|_| "an answer that is not in base64".to_owned());
    let mut all = BTreeMap::new();
    for kv in kvs {
        let key = match String::from_utf8(bytes(&kv.key)?) {
            Ok(key) if keys.has(&key) => key,
            // Somebody else's below the same prefix.
            Err(_) if matches!(keys, Keys::Below(_)) => continue,
            _ => return Err("an answer about another key".to_owned()),
        };
        let (value, created, modified) = (bytes(&kv.value)?, kv.create_revision, kv.mod_revision);
        if all.insert(key, Found { value, created, modified, lease: kv.lease }).is_some() {
            return Err("an answer that has one key twice".to_owned());
        }
    }
    Ok(all)
}

/// Reads the answer to a name and a password: the token.
#[must_use]
pub fn token(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Body {
        token: String,
    }
    serde_json::from_slice::<Body>(body).ok().map(|body| body.token).filter(|token| !token.is_empty())
}

/// What etcd says instead of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// gRPC's number.
    pub code: i64,
    /// Its words, fit to be shown.
    pub text: String,
}

/// Reads what came with a status that is no success; `None` if it is not etcd's.
#[must_use]
pub fn refusal(body: &[u8]) -> Option<Refusal> {
    #[derive(Deserialize)]
    struct Body {
        #[serde(default)]
        code: i64,
        #[serde(default)]
        message: String,
        #[serde(default)]
        error: String,
    }
    let body: Body = serde_json::from_slice(body).ok()?;
    let text = if body.message.is_empty() { body.error } else { body.message };
    (!text.is_empty()).then(|| Refusal { code: body.code, text: shown(&text) })
}

/// A text from outside, as long as it is worth reading.
pub(super) fn shown(text: &str) -> String {
    plain::line(&text.chars().take(200).collect::<String>())
}

/// What a watch says in one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Watched {
    /// It is open, or nothing has changed.
    Nothing,
    /// Something has changed: the key is to be read.
    Changed,
    /// The watch has ended, why in words; the revision to begin from may be compacted away.
    Ended(String),
}

/// Reads one message of a watch. What cannot be read ends it: the key is read again then in any case.
#[must_use]
pub fn watched(line: &[u8]) -> Watched {
    #[derive(Deserialize)]
    struct Line {
        result: Option<Body>,
        error: Option<Failure>,
    }
    #[derive(Deserialize)]
    struct Failure {
        #[serde(default)]
        message: String,
    }
    #[derive(Deserialize)]
    struct Body {
        #[serde(default)]
        canceled: bool,
        #[serde(default)]
        cancel_reason: String,
        #[serde(default, deserialize_with = "number")]
        compact_revision: u64,
        #[serde(default)]
        events: Vec<serde::de::IgnoredAny>,
    }
    match serde_json::from_slice(line) {
        Ok(Line { result: Some(body), error: None }) if body.compact_revision > 0 => {
            Watched::Ended(format!("what came before revision {} is compacted away", body.compact_revision))
        }
        Ok(Line { result: Some(body), error: None }) if body.canceled => Watched::Ended(shown(&body.cancel_reason)),
        Ok(Line { result: Some(body), error: None }) if body.events.is_empty() => Watched::Nothing,
        Ok(Line { result: Some(_), error: None }) => Watched::Changed,
        Ok(Line { error: Some(failure), .. }) => Watched::Ended(shown(&failure.message)),
        Ok(Line { result: None, error: None }) | Err(_) => Watched::Ended("a message that is not etcd's".to_owned()),
    }
}

/// Cuts what a watch sends into messages, a line each; reads end anywhere.
#[derive(Debug, Default)]
pub struct Stream {
    begun: Vec<u8>,
    /// The line that is being read is longer than any that is looked at.
    skipping: bool,
}

impl Stream {
    /// Takes what was read, and gives what it completes, in order. A message that is too long to be looked at is a change.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Watched> {
        let mut messages = Vec::new();
        for piece in bytes.split_inclusive(|b| *b == b'\n') {
            let (content, ends) = piece.strip_suffix(b"\n").map_or((piece, false), |content| (content, true));
            if self.skipping || self.begun.len() + content.len() > LONGEST {
                self.skipping = true;
                self.begun.clear();
            } else {
                self.begun.extend_from_slice(content);
            }
            if ends {
                let line = std::mem::take(&mut self.begun);
                if std::mem::take(&mut self.skipping) {
                    messages.push(Watched::Changed);
                } else if !line.trim_ascii().is_empty() {
                    messages.push(watched(&line));
                }
            }
        }
        messages
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: &str = "/service/pg/leader";

    fn key() -> Keys {
        Keys::One(KEY.to_owned())
    }

    fn body(kvs: &str) -> String {
        format!(
            r#"{{"header":{{"cluster_id":"14841639068965178418","member_id":"1","revision":"7","raft_term":"2"}}{kvs}}}"#
        )
    }

    #[test]
    fn a_key_that_is_there_and_one_that_is_not() {
        let there = body(
            r#","kvs":[{"key":"L3NlcnZpY2UvcGcvbGVhZGVy","create_revision":"4","mod_revision":"6","version":"3","value":"YQ=="}],"count":"1""#,
        );
        let found = Found { value: b"a".to_vec(), created: 4, modified: 6, lease: 0 };
        let found = BTreeMap::from([(KEY.to_owned(), found)]);
        assert_eq!(range(there.as_bytes(), &key()), Ok(Range { cluster: 14841639068965178418, revision: 7, found }));
        let none = Range { cluster: 14841639068965178418, revision: 7, found: BTreeMap::new() };
        assert_eq!(range(body("").as_bytes(), &key()), Ok(none));
        // An empty value is left out, as everything that is zero.
        let empty = body(r#","kvs":[{"key":"L3NlcnZpY2UvcGcvbGVhZGVy","create_revision":"4"}]"#);
        assert_eq!(range(empty.as_bytes(), &key()).map(|r| r.of(KEY).map(|f| f.value.clone())), Ok(Some(vec![])));
    }

    #[test]
    fn all_keys_below_a_prefix() {
        let below = Keys::Below("/havipd/lab/".to_owned());
        let asked = serde_json::to_value(RangeRequest::new(&below)).expect("it can be sent");
        assert_eq!(asked["key"], encode("/havipd/lab/"));
        assert_eq!(asked["range_end"], encode("/havipd/lab0"));
        let watch = serde_json::to_value(WatchRequest::new(&below, 8)).expect("it can be sent");
        assert_eq!(watch["create_request"]["range_end"], encode("/havipd/lab0"));
        let kv = |key: &[u8]| format!(r#"{{"key":"{}","mod_revision":"6","lease":"3"}}"#, BASE64_STANDARD.encode(key));
        let of = |keys: &[&[u8]]| {
            let kvs: Vec<String> = keys.iter().map(|key| kv(key)).collect();
            range(body(&format!(r#","kvs":[{}]"#, kvs.join(","))).as_bytes(), &below)
        };
        let two = of(&[b"/havipd/lab/db", b"/havipd/lab/web", b"/havipd/lab/\xff"]).expect("an answer");
        assert_eq!(two.found.keys().collect::<Vec<_>>(), ["/havipd/lab/db", "/havipd/lab/web"]);
        assert_eq!((two.of("/havipd/lab/web").map(|f| f.lease), two.of("/havipd/lab/x")), (Some(3), None));
        assert!(of(&[b"/havipd/lab2/db"]).is_err());
        assert!(of(&[b"/havipd/lab/db", b"/havipd/lab/db"]).is_err());
    }

    #[test]
    fn what_is_no_answer_says_so() {
        for wrong in [
            "",
            "{}",
            "[]",
            r#"{"header":{}}"#,
            r#"{"header":{"cluster_id":"1"}}"#,
            r#"{"header":{"cluster_id":"x","revision":"1"}}"#,
            r#"{"header":{"cluster_id":"1","revision":"-1"}}"#,
            &body(r#","kvs":[{"key":"Yg==","value":"YQ=="}]"#),
            &body(r#","kvs":[{"key":"L3NlcnZpY2UvcGcvbGVhZGVy","value":"*"}]"#),
            &body(r#","kvs":[{"key":"L3NlcnZpY2UvcGcvbGVhZGVy"},{"key":"L3NlcnZpY2UvcGcvbGVhZGVy"}]"#),
        ] {
            assert!(range(wrong.as_bytes(), &key()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn refusals_are_told_in_etcds_words() {
        let said = r#"{"error":"etcdserver: permission denied","code":7}"#;
        assert_eq!(
            refusal(said.as_bytes()),
            Some(Refusal { code: 7, text: "etcdserver: permission denied".to_owned() })
        );
        let newer = r#"{"error":"x","message":"etcdserver: invalid auth token","code":16}"#;
        assert_eq!(
            refusal(newer.as_bytes()).map(|r| (r.code, r.text)),
            Some((16, "etcdserver: invalid auth token".into()))
        );
        assert_eq!(refusal(b"<html>404 page not found</html>"), None);
        assert_eq!(refusal(b"{}"), None);
        let odd = format!(r#"{{"error":"{}\u202e"}}"#, "x".repeat(199));
        assert!(refusal(odd.as_bytes()).is_some_and(|r| !r.text.contains('\u{202e}')));
    }

    #[test]
    fn what_a_watch_says() {
        let header = r#""header":{"cluster_id":"1","revision":"7"}"#;
        let cases = [
            (format!(r#"{{"result":{{{header},"created":true}}}}"#), Watched::Nothing),
            (format!(r#"{{"result":{{{header}}}}}"#), Watched::Nothing),
            (format!(r#"{{"result":{{{header},"events":[{{"kv":{{"key":"YQ=="}}}}]}}}}"#), Watched::Changed),
            (format!(r#"{{"result":{{{header},"events":[{{"type":"DELETE","kv":{{}}}}]}}}}"#), Watched::Changed),
        ];
        for (line, says) in cases {
            assert_eq!(watched(line.as_bytes()), says, "{line}");
        }
        for line in [
            format!(r#"{{"result":{{{header},"canceled":true,"compact_revision":"9"}}}}"#),
            format!(r#"{{"result":{{{header},"created":true,"canceled":true,"cancel_reason":"permission denied"}}}}"#),
            r#"{"error":{"grpc_code":14,"http_code":503,"message":"transport is closing"}}"#.to_owned(),
            "{}".to_owned(),
            "no JSON".to_owned(),
        ] {
            assert!(matches!(watched(line.as_bytes()), Watched::Ended(_)), "{line}");
        }
    }

    #[test]
    fn a_message_that_is_too_long_is_a_change() {
        let mut stream = Stream::default();
        assert_eq!(stream.push(&vec![b'x'; LONGEST + 1]), []);
        assert!(stream.begun.capacity() <= 2 * LONGEST);
        assert_eq!(stream.push(b"y\n{\"result\":{}}\n"), [Watched::Changed, Watched::Nothing]);
    }

    proptest! {
        #[test]
        fn how_it_is_cut_into_reads_does_not_matter(
            lines in prop::collection::vec(prop::sample::select(vec![
                r#"{"result":{"created":true}}"#, r#"{"result":{"events":[{}]}}"#, r#"{"error":{"message":"m"}}"#, "", "{"
            ]), 0..8),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        ) {
            let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
            let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
            at.extend([0, text.len()]);
            at.sort_unstable();
            let mut stream = Stream::default();
            let read: Vec<Watched> = at.windows(2).flat_map(|w| stream.push(&text.as_bytes()[w[0]..w[1]])).collect();
            let whole: Vec<Watched> =
                lines.iter().filter(|line| !line.is_empty()).map(|line| watched(line.as_bytes())).collect();
            prop_assert_eq!(read, whole);
        }

        #[test]
        fn nothing_at_all_upsets_it(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = (range(&bytes, &key()), refusal(&bytes), token(&bytes), watched(&bytes), Stream::default().push(&bytes));
        }
    }
}

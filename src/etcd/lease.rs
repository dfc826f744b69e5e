//! What the JSON gateway is asked, and says, of leases and of transactions on one key: an election of our own.

use super::message::{Found, Header, KeyValue, Keys, encode, found, number};
use havipd_core::model::etcd::{EtcdAnswer, EtcdRequest, KeyFound, KeyState, LeaseId, Says};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A question about a lease, or a transaction, as it is sent.
#[derive(Debug)]
pub enum Question {
    /// For a lease.
    Grant(GrantRequest),
    /// To write the key if it is as it was seen.
    Write(Box<TxnRequest>),
    /// To end a lease.
    Revoke(LeaseRequest),
}

/// What came.
pub type Answer = EtcdAnswer;

/// `LeaseGrant`; the number is left to etcd.
#[derive(Debug, Serialize)]
pub struct GrantRequest {
    #[serde(rename = "TTL")]
    ttl: String,
}

/// One of `LeaseKeepAlive`, which is a stream of them, and `LeaseRevoke`.
#[derive(Debug, Serialize)]
pub struct LeaseRequest {
    #[serde(rename = "ID")]
    id: String,
}

impl LeaseRequest {
    fn new(id: LeaseId) -> Self {
        Self { id: id.0.to_string() }
    }
}

/// So many leases are renewed by one request. The gateway answers while it reads, and over HTTP/1.1 it reads nothing more once it
/// answers: so the whole request has to be in what it reads at first, which is 512 bytes.
pub const AT_ONCE: usize = 16;

/// A request that renews leases, as it is sent.
///
/// # Errors
/// Why it cannot be, in words.
pub fn renewals(leases: &[LeaseId]) -> Result<String, String> {
    let each = leases.iter().map(|id| serde_json::to_string(&LeaseRequest::new(*id)));
    each.collect::<Result<String, _>>().map_err(|error| format!("it cannot be asked: {error}"))
}

/// What came to it: of each lease that was answered about, which cluster answered, and how long it lasts; zero: there is no such
/// lease any more.
///
/// # Errors
/// Why it is no answer, in words.
pub fn renewed_leases(body: &[u8]) -> Result<Vec<(u64, LeaseId, Duration)>, String> {
    let lines = body.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    let each = lines.map(|line| {
        let wrong = |error: serde_json::Error| format!("an answer that is not etcd's: {error}");
        let Streamed { result: lease } = serde_json::from_slice(line).map_err(wrong)?;
        if lease.header.revision == 0 || lease.header.cluster_id == 0 || lease.id == 0 {
            return Err("an answer without the cluster's id and revision, or without a lease".to_owned());
        }
        Ok((lease.header.cluster_id, LeaseId(lease.id), Duration::from_secs(lease.ttl)))
    });
    let all: Vec<_> = each.collect::<Result<_, String>>()?;
    if all.is_empty() { Err("an answer without a lease".to_owned()) } else { Ok(all) }
}

/// `Txn`: compares the revision at which the key was written last, puts it, and reads it where it is another one.
#[derive(Debug, Serialize)]
pub struct TxnRequest {
    compare: [Compare; 1],
    success: [Put; 1],
    failure: [Get; 1],
    #[serde(skip)]
    writes: (Says, u64),
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Compare {
    /// There is no key.
    Absent { key: String, target: &'static str, result: &'static str, create_revision: &'static str },
    /// Nobody has written it since.
    Unchanged { key: String, target: &'static str, result: &'static str, mod_revision: String },
}

#[derive(Debug, Serialize)]
struct Put {
    request_put: PutRequest,
}

#[derive(Debug, Serialize)]
struct PutRequest {
    key: String,
    value: String,
    lease: String,
}

#[derive(Debug, Serialize)]
struct Get {
    request_range: GetRequest,
}

#[derive(Debug, Serialize)]
struct GetRequest {
    key: String,
}

impl Question {
    /// What the core asks about `key`; leases are renewed together, by [`renewals`].
    #[must_use]
    pub fn new(key: &str, request: &EtcdRequest) -> Option<Self> {
        Some(match request {
            EtcdRequest::KeepAlive(_) => return None,
            EtcdRequest::Grant(length) => Self::Grant(GrantRequest { ttl: length.as_secs().to_string() }),
            EtcdRequest::Revoke(id) => Self::Revoke(LeaseRequest::new(*id)),
            EtcdRequest::Write { after, value, lease } => {
                let (name, result) = (encode(key), "EQUAL");
                let compare = match after {
                    0 => Compare::Absent { key: name.clone(), target: "CREATE", result, create_revision: "0" },
                    after => {
                        Compare::Unchanged { key: name.clone(), target: "MOD", result, mod_revision: after.to_string() }
                    }
                };
                let put =
                    PutRequest { key: name.clone(), value: encode(&value.to_string()), lease: lease.0.to_string() };
                Self::Write(Box::new(TxnRequest {
                    compare: [compare],
                    success: [Put { request_put: put }],
                    failure: [Get { request_range: GetRequest { key: name } }],
                    writes: (Says::Value(value.clone()), lease.0),
                }))
            }
        })
    }

    /// A transaction that reads `key`, and is permitted to those alone who may write it, too. It never does: no revision is that
    /// high.
    #[must_use]
    pub fn never(key: &str) -> Self {
        let name = encode(key);
        let highest = i64::MAX.to_string();
        let compare = Compare::Unchanged { key: name.clone(), target: "MOD", result: "EQUAL", mod_revision: highest };
        let put = PutRequest { key: name.clone(), value: String::new(), lease: "0".to_owned() };
        Self::Write(Box::new(TxnRequest {
            compare: [compare],
            success: [Put { request_put: put }],
            failure: [Get { request_range: GetRequest { key: name } }],
            writes: (Says::Foreign(String::new()), 0),
        }))
    }

    /// Reads the answer to it: which cluster gave it, and what it is.
    ///
    /// # Errors
    /// Why it is none, in words.
    pub fn read(&self, body: &[u8], key: &str) -> Result<(u64, Answer), String> {
        let wrong = |e: serde_json::Error| format!("an answer that is not etcd's: {e}");
        let (header, answer) = match self {
            Self::Grant(_) => {
                let lease: LeaseBody = serde_json::from_slice(body).map_err(wrong)?;
                if lease.id == 0 || lease.ttl == 0 {
                    return Err("an answer without a lease".to_owned());
                }
                (lease.header, Answer::Granted(LeaseId(lease.id), Duration::from_secs(lease.ttl)))
            }
            Self::Revoke(_) => {
                let HeaderBody { header } = serde_json::from_slice(body).map_err(wrong)?;
                (header, Answer::Revoked)
            }
            Self::Write(request) => {
                let txn: TxnBody = serde_json::from_slice(body).map_err(wrong)?;
                let state = txn.state(request, key)?;
                (txn.header, Answer::Key(state))
            }
        };
        if header.revision == 0 || header.cluster_id == 0 {
            return Err("an answer without the cluster's id and revision".to_owned());
        }
        Ok((header.cluster_id, answer))
    }
}

#[derive(Deserialize)]
struct HeaderBody {
    header: Header,
}

#[derive(Deserialize)]
struct LeaseBody {
    header: Header,
    #[serde(rename = "ID", default, deserialize_with = "number")]
    id: u64,
    /// Left out where there is no such lease any more.
    #[serde(rename = "TTL", default, deserialize_with = "number")]
    ttl: u64,
}

/// A stream of answers, of which there is one to one question.
#[derive(Deserialize)]
struct Streamed {
    result: LeaseBody,
}

#[derive(Deserialize)]
struct TxnBody {
    header: Header,
    #[serde(default)]
    succeeded: bool,
    #[serde(default)]
    responses: Vec<TxnResponse>,
}

#[derive(Deserialize)]
struct TxnResponse {
    response_range: Option<RangeResponse>,
}

#[derive(Deserialize)]
struct RangeResponse {
    #[serde(default)]
    kvs: Vec<KeyValue>,
}

impl TxnBody {
    fn state(&self, request: &TxnRequest, key: &str) -> Result<KeyState, String> {
        let revision = self.header.revision;
        if self.succeeded {
            let (says, lease) = request.writes.clone();
            return Ok(KeyState {
                revision,
                found: Some(KeyFound { says, modified: revision, lease: lease_of(lease) }),
            });
        }
        let read = self.responses.iter().find_map(|response| response.response_range.as_ref());
        let read = read.ok_or("an answer without the key that it is about")?;
        let mut found = found(&read.kvs, &Keys::One(key.to_owned()))?;
        Ok(KeyState { revision, found: found.remove(key).as_ref().map(key_found) })
    }
}

/// What the core makes of a key that was read.
#[must_use]
pub fn key_found(found: &Found) -> KeyFound {
    KeyFound { says: Says::read(&found.value), modified: found.modified, lease: lease_of(found.lease) }
}

fn lease_of(id: u64) -> Option<LeaseId> {
    (id != 0).then_some(LeaseId(id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use havipd_core::model::etcd::KeyValue as Value;
    use proptest::prelude::*;
    use serde_json::{Value as Json, json};

    const KEY: &str = "/havipd/c/web";
    const HEADER: &str = r#""header":{"cluster_id":"9","member_id":"1","revision":"12","raft_term":"2"}"#;

    fn asks(request: &EtcdRequest) -> Question {
        Question::new(KEY, request).expect("asked by itself")
    }

    fn write(after: u64) -> Question {
        let value = Value { node: "a".parse().expect("valid"), to: None };
        asks(&EtcdRequest::Write { after, value, lease: LeaseId(77) })
    }

    fn sent(question: &Question) -> Json {
        match question {
            Question::Grant(request) => json!(request),
            Question::Revoke(request) => json!(request),
            Question::Write(request) => json!(request),
        }
    }

    #[test]
    fn what_is_asked() {
        assert_eq!(sent(&asks(&EtcdRequest::Grant(Duration::from_secs(10)))), json!({"TTL": "10"}));
        assert_eq!(sent(&asks(&EtcdRequest::Revoke(LeaseId(77)))), json!({"ID": "77"}));
        assert!(Question::new(KEY, &EtcdRequest::KeepAlive(LeaseId(77))).is_none());
        assert_eq!(renewals(&[LeaseId(77), LeaseId(5)]), Ok(r#"{"ID":"77"}{"ID":"5"}"#.to_owned()));
        let longest = renewals(&[LeaseId(u64::MAX >> 1); AT_ONCE]).expect("it can be sent");
        assert!(longest.len() <= 512, "{} bytes", longest.len());
        let key = "L2hhdmlwZC9jL3dlYg==";
        let expected = json!({
            "compare": [{"key": key, "target": "CREATE", "result": "EQUAL", "create_revision": "0"}],
            "success": [{"request_put": {"key": key, "value": "YQ==", "lease": "77"}}],
            "failure": [{"request_range": {"key": key}}],
        });
        assert_eq!(sent(&write(0)), expected);
        let compare = json!([{"key": key, "target": "MOD", "result": "EQUAL", "mod_revision": "8"}]);
        assert_eq!(sent(&write(8))["compare"], compare);
    }

    #[test]
    fn what_is_answered() {
        let read = |question: &Question, rest: &str| question.read(format!("{{{HEADER}{rest}}}").as_bytes(), KEY);
        let grant = asks(&EtcdRequest::Grant(Duration::from_secs(10)));
        let granted = Answer::Granted(LeaseId(77), Duration::from_secs(11));
        assert_eq!(read(&grant, r#","ID":"77","TTL":"11""#), Ok((9, granted)));
        assert!(read(&grant, "").is_err());
        let renewed = |rest: &str| format!("{{\"result\":{{{HEADER}{rest}}}}}\n");
        let body = renewed(r#","ID":"77","TTL":"10""#) + &renewed(r#","ID":"5""#);
        let (ten, none) = (Duration::from_secs(10), Duration::ZERO);
        assert_eq!(renewed_leases(body.as_bytes()), Ok(vec![(9, LeaseId(77), ten), (9, LeaseId(5), none)]));
        for odd in [renewed(""), String::new(), "{}".to_owned(), r#"{"error":{"message":"x"}}"#.to_owned()] {
            assert!(renewed_leases(odd.as_bytes()).is_err(), "{odd}");
        }
        let revoke = asks(&EtcdRequest::Revoke(LeaseId(77)));
        assert_eq!(read(&revoke, ""), Ok((9, Answer::Revoked)));
        let says = |text: &str| Says::read(text.as_bytes());
        let state = |found| Ok((9, Answer::Key(KeyState { revision: 12, found })));
        let ours = KeyFound { says: says("a"), modified: 12, lease: Some(LeaseId(77)) };
        assert_eq!(read(&write(0), r#","succeeded":true,"responses":[{"response_put":{}}]"#), state(Some(ours)));
        assert_eq!(read(&write(0), r#","responses":[{"response_range":{}}]"#), state(None));
        let kv = r#"{"key":"L2hhdmlwZC9jL3dlYg==","mod_revision":"11","lease":"5","value":"YiAtPiBh"}"#;
        let theirs = KeyFound { says: says("b -> a"), modified: 11, lease: Some(LeaseId(5)) };
        let found = read(&write(0), &format!(r#","responses":[{{"response_range":{{"kvs":[{kv}],"count":"1"}}}}]"#));
        assert_eq!(found, state(Some(theirs)));
        assert!(read(&write(0), "").is_err());
        assert!(write(0).read(br#"{"header":{},"succeeded":true}"#, KEY).is_err());
    }

    proptest! {
        #[test]
        fn nothing_at_all_upsets_it(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = (write(0).read(&bytes, KEY), renewed_leases(&bytes));
        }
    }
}

//! What an answer, or the lack of one, means for the caller. Pure, and public so that
//! anything at all can be put to it from outside.
//!
//! The cloud documents few codes and none of its own for HAVIPs, so the status decides first and a
//! few substrings of code and message second. Sources: the table of common errors
//! (<https://cloud.baidu.com/doc/VPC/s/sjwvyuhe7>); the substring `RateLimit` is what the vendor's
//! own Kubernetes network driver looks for.

use super::operation::Operation;
use crate::plain;
use havipd_core::model::cloud::{CallError, ErrorBody, ErrorClass};
use havipd_core::model::event::InstanceState;
use std::borrow::Cow;
use std::time::Duration;

/// Most characters of a server's text that are passed on.
const DETAIL_CHARS: usize = 200;

/// Longest wait that is taken from a server.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// An answer that came in whole. What a server quotes of the request has been taken out of it.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// `Date`, seconds since 1970.
    pub date: Option<i64>,
    /// `Retry-After` as it stood.
    pub retry_after: Option<String>,
    /// `x-bce-request-id`.
    pub request_id: Option<String>,
    /// The whole body.
    pub body: Vec<u8>,
}

/// How a call ended without an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Lost {
    /// Nothing of a request left this host: name, connection or TLS failed, or time ran out before.
    NotSent(String),
    /// Leadership ran out before it could be sent.
    LeadershipEnded,
    /// It may have arrived.
    Sent(String),
    /// An answer came whose body is longer than we take.
    TooLong(u16),
}

impl Answer {
    /// Whether the status is one of success.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The error body; members are empty where it is not one.
    #[must_use]
    pub fn error(&self) -> ErrorBody {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// There are too many calls.
    #[must_use]
    pub fn is_throttled(&self) -> bool {
        !self.is_success() && throttled(self.status, &self.error())
    }

    /// Our signature was too old, or from the future: worth one more, at the server's time.
    #[must_use]
    pub fn says_expired(&self) -> bool {
        !self.is_success() && matches!(self.error().code.as_str(), "RequestExpired" | "RequestTimeTooSkewed")
    }

    /// Our credentials may have been replaced meanwhile: worth one more, if newer ones are found.
    #[must_use]
    pub fn doubts_credentials(&self) -> bool {
        match self.error().code.as_str() {
            "InvalidAccessKeyId" | "SignatureDoesNotMatch" => !self.is_success(),
            "IdempotentParameterMismatch" | "QualifyNotPass" | "OptInRequired" => false,
            _ => matches!(self.status, 401 | 403),
        }
    }

    /// The error that this answer to a call is.
    ///
    /// `now` is the server's time as far as we know it, seconds since 1970.
    #[must_use]
    pub fn into_error(self, what: &str, operation: Operation, now: i64) -> CallError {
        let body = self.error();
        let class = class(self.status, &body, operation.is_write());
        let request_id = if body.request_id.is_empty() { self.request_id } else { Some(body.request_id.clone()) };
        let mut detail = format!("status {}", self.status);
        if !body.code.is_empty() {
            detail += &format!(", {}", clean(&body.code));
        }
        if let Some(id) = request_id.filter(|id| !id.is_empty()) {
            detail += &format!(" (request {})", clean(&id));
        }
        let text =
            if body.code.is_empty() { String::from_utf8_lossy(&self.body).into_owned() } else { body.message.clone() };
        if !text.trim().is_empty() {
            detail += &format!(": {}", clean(&text));
        }
        if let Some(remedy) = remedy(self.status, &body.code, operation) {
            detail += &format!("; {remedy}");
        }
        CallError {
            what: what.to_owned(),
            detail,
            class,
            status: Some(self.status),
            retry_after: self.retry_after.and_then(|text| retry_after(&text, self.date.unwrap_or(now))),
            denied: denied(self.status, &body.code),
            missing: missing(self.status, &body),
            busy: busy(self.status, &body),
            nothing_bound: nothing_bound(self.status, &body),
            code: (!body.code.is_empty()).then(|| clean(&body.code)),
        }
    }
}

/// Leadership ended while a connection was being made for it.
#[derive(Debug, thiserror::Error)]
#[error("leadership has run out")]
pub(super) struct LeadershipEnded;

impl Lost {
    /// The error that it is.
    pub(super) fn into_error(self, what: &str, write: bool) -> CallError {
        let (class, status, detail) = match self {
            Self::LeadershipEnded => return CallError::new(ErrorClass::NotSent, what, LeadershipEnded),
            Self::NotSent(detail) => (ErrorClass::Retry, None, detail),
            Self::Sent(detail) if write => (ErrorClass::Ambiguous, None, detail),
            Self::Sent(detail) => (ErrorClass::Retry, None, detail),
            Self::TooLong(status) => {
                let class = if write { ErrorClass::Ambiguous } else { ErrorClass::Retry };
                (class, Some(status), format!("status {status} with a body over 1 MiB"))
            }
        };
        CallError { status, ..CallError::new(class, what, detail) }
    }
}

fn class(status: u16, body: &ErrorBody, write: bool) -> ErrorClass {
    match status {
        _ if throttled(status, body) || busy(status, body) => ErrorClass::Retry,
        // 408: the request did not arrive whole. 503: what answered had nobody to give it to.
        408 | 503 => ErrorClass::Retry,
        500..=599 if write => ErrorClass::Ambiguous,
        500..=599 => ErrorClass::Retry,
        _ => ErrorClass::Refused,
    }
}

fn throttled(status: u16, body: &ErrorBody) -> bool {
    let text = format!("{} {}", body.code, body.message).to_ascii_lowercase();
    let says = |words: &str| text.contains(words);
    status == 429
        || (status >= 400
            && (says("ratelimit")
                || says("rate limit")
                || says("throttl")
                || says("toomanyrequests")
                || says("requestlimit")))
}

/// Whether another task runs on the object, so that the same request is right in a moment.
///
/// None of these is documented for HAVIPs. Alibaba's API of the same shape answers with these codes while it attaches or
/// detaches, and what answers in words only is judged by them, where nothing was carried out (400, 409, 423).
#[must_use]
pub fn busy(status: u16, body: &ErrorBody) -> bool {
    const CODES: [&str; 4] = ["taskconflict", "incorrecthavipstatus", "operationconflict", "lasttokenprocessing"];
    const WORDS: [&str; 6] = ["busy", "in progress", "try again", "retry later", "being processed", "another task"];
    let code = body.code.to_ascii_lowercase();
    let text = body.message.to_ascii_lowercase();
    let coded = CODES.iter().any(|known| code.contains(known));
    let told = (400..500).contains(&status) && coded
        || matches!(status, 400 | 409 | 423) && WORDS.iter().any(|words| text.contains(words));
    told && !throttled(status, body)
}

/// Whether a detach is refused since there is nothing to detach.
///
/// No code for that is documented, and a code may come with words that say nothing, or the other way round. So both are looked
/// at, where the cloud has judged the request itself (400, 404, 409). "Cannot be unbound" is a refusal like any other.
fn nothing_bound(status: u16, body: &ErrorBody) -> bool {
    const CODES: [&str; 4] = ["notbound", "notbinded", "notattached", "notassociated"];
    const WORDS: [&str; 5] = ["not bound", "not binded", "not attached", "not associated", "nothing is bound"];
    let (code, text) = (body.code.to_ascii_lowercase(), body.message.to_ascii_lowercase());
    let told = CODES.iter().any(|known| code.contains(known)) || WORDS.iter().any(|words| text.contains(words));
    matches!(status, 400 | 404 | 409) && told && !throttled(status, body) && !busy(status, body)
}

fn denied(status: u16, code: &str) -> bool {
    match code {
        "IdempotentParameterMismatch" => false,
        "AccessDenied" | "QualifyNotPass" | "OptInRequired" | "InvalidAccessKeyId" | "SignatureDoesNotMatch" => true,
        _ => matches!(status, 401 | 403),
    }
}

/// Whether the object of the call is what does not exist.
///
/// A bare 404 is not enough: that is also what a wrong endpoint answers, and "the holder's
/// instance does not exist" is a reason to take its address.
fn missing(status: u16, body: &ErrorBody) -> bool {
    let code = body.code.to_ascii_lowercase();
    let of_request = ["invalidversion", "invaliduri", "invalidhttprequest"].contains(&code.as_str());
    let of_account = body.message.to_ascii_lowercase().contains("account");
    let says = ["nosuch", "notfound", "notexist"].iter().any(|s| code.contains(s));
    // Some services answer 400 with a code that says nothing, and only the words tell.
    let text = body.message.to_ascii_lowercase();
    let words = ["does not exist", "not exist", "not found", "no such", "cannot be found"];
    let in_words =
        ["badrequest", "eniidexception"].contains(&code.as_str()) && words.iter().any(|words| text.contains(words));
    let missing_eni = code == "eniidexception" && text.contains("invalid");
    let told = says || status == 404 || in_words || missing_eni;
    (400..500).contains(&status) && !of_request && !of_account && !code.is_empty() && told
}

fn remedy(status: u16, code: &str, operation: Operation) -> Option<Cow<'static, str>> {
    Some(Cow::Borrowed(match (code, status) {
        ("InvalidAccessKeyId", _) => "check the access key id in cloud.credentials; the key may have been deleted",
        ("SignatureDoesNotMatch", _) => "check the secret access key in cloud.credentials",
        ("QualifyNotPass", _) => "the account is not verified: complete verification in the console",
        ("OptInRequired", _) => "the account has not enabled the service: enable it in the console",
        ("RequestExpired", _) => "check the clock of this host",
        ("IdempotentParameterMismatch", _) => "the client token was used for another request: take a new one",
        ("InvalidVersion" | "InvalidURI", _) | (_, 300..=399) => "check cloud.endpoint; redirects are not followed",
        ("AccessDenied", _) | (_, 401 | 403) => {
            let permission = operation.permission();
            return Some(Cow::Owned(format!("the user or role of cloud.credentials needs {permission}")));
        }
        _ => return None,
    }))
}

/// `Retry-After`: seconds, or an HTTP date compared with `now`; at most an hour.
#[must_use]
pub fn retry_after(text: &str, now: i64) -> Option<Duration> {
    let text = text.trim();
    let wait = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => Duration::from_secs(u64::try_from(http_date(text)?.saturating_sub(now)).unwrap_or(0)),
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

/// An HTTP date (RFC 9110 §5.6.7, the preferred form), seconds since 1970.
#[must_use]
pub fn http_date(text: &str) -> Option<i64> {
    jiff::fmt::rfc2822::parse(text.trim()).ok().map(|at| at.timestamp().as_second())
}

/// Foreign text, fit for a log and short: at most `DETAIL_CHARS`.
#[must_use]
pub fn clean(text: &str) -> String {
    let mut kept: String = plain::line(&text.trim().chars().take(DETAIL_CHARS).collect::<String>());
    if text.trim().chars().count() > DETAIL_CHARS {
        kept.push_str("...");
    }
    kept
}

/// Whether an instance of that status can still answer for an address.
///
/// Unknown words count as running: the other answer is a reason to take the address away.
#[must_use]
pub fn instance_state(status: &str) -> InstanceState {
    const NOT_RUNNING: [&str; 8] =
        ["stopped", "deleted", "expired", "error", "recycled", "released", "shutoff", "terminated"];
    if NOT_RUNNING.contains(&status.trim().to_ascii_lowercase().as_str()) {
        InstanceState::NotRunning
    } else {
        InstanceState::Running
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ErrorClass::{Ambiguous, Refused, Retry};

    fn answer(status: u16, body: &str) -> Answer {
        Answer { status, body: body.as_bytes().to_vec(), ..Answer::default() }
    }

    fn coded(status: u16, code: &str) -> Answer {
        answer(status, &format!(r#"{{"code":"{code}","message":"m","requestId":"r-1"}}"#))
    }

    #[test]
    fn status_and_code_give_the_class_of_a_read_and_of_a_write() {
        let table = [
            // status, code, read, write, denied, missing
            (400, "", Refused, Refused, false, false),
            (400, "MalformedJSON", Refused, Refused, false, false),
            (400, "RequestExpired", Refused, Refused, false, false),
            (400, "SignatureDoesNotMatch", Refused, Refused, true, false),
            (400, "NoSuchObject", Refused, Refused, false, true),
            (400, "ResourceNotFound", Refused, Refused, false, true),
            (400, "RateLimitExceeded", Retry, Retry, false, false),
            (400, "QuotaLimitExceeded", Refused, Refused, false, false),
            (401, "", Refused, Refused, true, false),
            (403, "", Refused, Refused, true, false),
            (403, "AccessDenied", Refused, Refused, true, false),
            (403, "InvalidAccessKeyId", Refused, Refused, true, false),
            (403, "IdempotentParameterMismatch", Refused, Refused, false, false),
            (404, "", Refused, Refused, false, false),
            (404, "NoSuchHaVip", Refused, Refused, false, true),
            (404, "Anything", Refused, Refused, false, true),
            (404, "InvalidVersion", Refused, Refused, false, false),
            (404, "InvalidURI", Refused, Refused, false, false),
            (408, "", Retry, Retry, false, false),
            (409, "Conflict", Refused, Refused, false, false),
            (400, "TaskConflict", Retry, Retry, false, false),
            (409, "IncorrectHaVipStatus", Retry, Retry, false, false),
            (400, "OperationConflict.Task", Retry, Retry, false, false),
            (409, "LastTokenProcessing", Retry, Retry, false, false),
            (412, "PreconditionFailed", Refused, Refused, false, false),
            (429, "", Retry, Retry, false, false),
            (302, "", Refused, Refused, false, false),
            (500, "InternalError", Retry, Ambiguous, false, false),
            (500, "NoSuchObject", Retry, Ambiguous, false, false),
            (502, "", Retry, Ambiguous, false, false),
            (503, "", Retry, Retry, false, false),
            (503, "ServiceUnavailable", Retry, Retry, false, false),
            (504, "", Retry, Ambiguous, false, false),
        ];
        for (status, code, read, write, denied, missing) in table {
            let make = || if code.is_empty() { answer(status, "") } else { coded(status, code) };
            let (r, w) =
                (make().into_error("x", Operation::ReadHavip, 0), make().into_error("x", Operation::Attach, 0));
            assert_eq!((r.class, w.class, w.denied, w.missing), (read, write, denied, missing), "{status} {code}");
            assert_eq!((w.status, w.code.as_deref().unwrap_or("")), (Some(status), code));
        }
    }

    #[test]
    fn busy_and_missing_are_told_in_words_only_too() {
        let of = |status: u16, code: &str, message: &str| {
            let body = format!(r#"{{"code":"{code}","message":"{message}","requestId":""}}"#);
            let error = answer(status, &body).into_error("x", Operation::Attach, 0);
            assert!(!error.busy || error.class == Retry, "{message}");
            (error.class, error.missing)
        };
        let busy = |status: u16, code: &str, message: &str| {
            let body = format!(r#"{{"code":"{code}","message":"{message}","requestId":""}}"#);
            answer(status, &body).into_error("x", Operation::Attach, 0).busy
        };
        assert!(busy(409, "TaskConflict", "") && busy(400, "BadRequest", "The havip is busy, please try again"));
        assert!(!busy(400, "RateLimit", "user RateLimit reached, try again later"), "calls are too many, not tasks");
        assert!(!busy(403, "AccessDenied", "try again with other rights") && !busy(503, "", ""));
        assert_eq!(of(400, "BadRequest", "The havip is busy, please try again"), (Retry, false));
        assert_eq!(of(409, "Conflict", "an operation is in progress"), (Retry, false));
        assert_eq!(of(403, "AccessDenied", "try again with other rights"), (Refused, false));
        assert_eq!(of(500, "InternalError", "busy"), (Ambiguous, false));
        assert_eq!(of(400, "BadRequest", "The havip does not exist."), (Refused, true));
        assert_eq!(of(400, "EniIdException", "The param eniId is invalid"), (Refused, true));
        assert_eq!(of(400, "BadRequest", "The number of bound instances exceeds the limit"), (Refused, false));
    }

    #[test]
    fn that_nothing_is_bound_is_told_by_code_or_in_words() {
        let table = [
            (400, "InstanceNotBound", "", true),
            (409, "HaVipNotBinded", "conflict", true),
            (404, "Resource.NotAssociated", "", true),
            (400, "BadRequest", "The instance i-1 is not attached to the HAVIP", true),
            (400, "BadRequest", "i-1 is NOT bound", true),
            (409, "OperationDenied", "i-1 is the master and cannot be unbound", false),
            (400, "BadRequest", "The number of bound instances exceeds the limit", false),
            (403, "AccessDenied", "you may not detach what is not bound", false),
            (409, "TaskConflict", "i-1 is not bound yet", false),
            (400, "RateLimit", "not bound to answer", false),
            (500, "InternalError", "i-1 is not bound", false),
        ];
        for (status, code, message, nothing_bound) in table {
            let body = format!(r#"{{"code":"{code}","message":"{message}","requestId":""}}"#);
            let error = answer(status, &body).into_error("x", Operation::Attach, 0);
            assert_eq!(error.nothing_bound, nothing_bound, "{status} {code} {message}");
            assert!(!error.nothing_bound || error.class == Refused, "{status} {code} {message}");
        }
    }

    #[test]
    fn a_missing_account_is_not_a_missing_object() {
        let a = answer(400, r#"{"code":"NoSuchObject","message":"The account does not exist.","requestId":""}"#);
        assert!(!a.into_error("x", Operation::ReadHavip, 0).missing);
    }

    #[test]
    fn throttling_is_seen_in_the_message_too() {
        let a = answer(400, r#"{"code":"BadRequest","message":"hit RateLimit of user"}"#);
        assert_eq!(a.into_error("x", Operation::Attach, 0).class, Retry);
    }

    #[test]
    fn what_was_not_sent_is_never_ambiguous_and_a_read_never_is() {
        let class = |lost: Lost, write| lost.into_error("x", write).class;
        assert_eq!(class(Lost::NotSent("n".into()), true), Retry);
        assert_eq!(class(Lost::Sent("s".into()), true), Ambiguous);
        assert_eq!(class(Lost::Sent("s".into()), false), Retry);
        assert_eq!(class(Lost::TooLong(200), true), Ambiguous);
        assert_eq!(class(Lost::TooLong(200), false), Retry);
    }

    #[test]
    fn retry_after_is_read_as_seconds_and_as_a_date() {
        let seconds = |text: &str| retry_after(text, 784_111_777).map(|d| d.as_secs());
        assert_eq!(seconds("7"), Some(7));
        assert_eq!(seconds(" 0 "), Some(0));
        assert_eq!(seconds("Sun, 06 Nov 1994 08:49:47 GMT"), Some(10));
        assert_eq!(seconds("Sun, 06 Nov 1994 08:49:00 GMT"), Some(0));
        assert_eq!(seconds("99999999999"), Some(3600));
        for bad in ["", "-1", "soon", "1.5"] {
            assert_eq!(seconds(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_detail_names_status_code_and_request_and_is_cut_and_cleaned() {
        let long = "ä\\u0007".repeat(300);
        let a = answer(403, &format!(r#"{{"code":"AccessDenied","message":"{long}","requestId":"r-9"}}"#));
        let e = a.into_error("attach havip-x", Operation::Attach, 0);
        assert!(e.detail.starts_with("status 403, AccessDenied (request r-9): ä ä"), "{e}");
        assert!(e.detail.contains("...; the user or role"), "{e}");
        assert!(!e.detail.chars().any(char::is_control));
        assert!(e.detail.chars().count() < 360, "{}", e.detail.len());
        let html = Answer { request_id: Some("h-1".into()), ..answer(502, "<html>\r\n</html>") };
        assert_eq!(html.into_error("x", Operation::ReadHavip, 0).detail, "status 502 (request h-1): <html>  </html>");
    }

    #[test]
    fn only_credentials_that_may_have_changed_are_worth_a_second_look() {
        assert!(coded(403, "InvalidAccessKeyId").doubts_credentials());
        assert!(coded(400, "SignatureDoesNotMatch").doubts_credentials());
        assert!(coded(403, "AccessDenied").doubts_credentials());
        assert!(answer(401, "").doubts_credentials());
        assert!(!coded(403, "IdempotentParameterMismatch").doubts_credentials());
        assert!(!coded(403, "QualifyNotPass").doubts_credentials());
        assert!(!coded(400, "RequestExpired").doubts_credentials());
        assert!(coded(400, "RequestExpired").says_expired());
    }

    #[test]
    fn an_unknown_instance_state_counts_as_running() {
        for status in ["Stopped", "DELETED", "expired", "Error"] {
            assert_eq!(instance_state(status), InstanceState::NotRunning, "{status}");
        }
        for status in ["Running", "Starting", "Stopping", "", "Volcanic"] {
            assert_eq!(instance_state(status), InstanceState::Running, "{status}");
        }
    }
}

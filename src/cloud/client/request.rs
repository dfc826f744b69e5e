//! One request: what it is, how it is signed, and whether it has left this host.

use super::classify::{Answer, LeadershipEnded, Lost, http_date};
use super::operation::Operation;
use super::transport::ClientError;
use crate::clock;
use crate::cloud::credentials::Credentials;
use crate::cloud::redact::Redactor;
use crate::cloud::sign::{self, SignedHeaders, ToSign};
use crate::errors::chain;
use havipd_core::model::time::Instant;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderValue, RETRY_AFTER};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

/// Most bytes of an answer that are read.
const MAX_BODY: usize = 1 << 20;

/// Where calls go: scheme, host and port, and the `Host` header that follows from them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoint {
    base: String,
    /// Host name, for the resolver; `None` if it is a literal address.
    pub(super) name: Option<String>,
    host: String,
}

impl Endpoint {
    pub(super) fn parse(text: &str) -> Result<Self, ClientError> {
        let wrong = || ClientError::Endpoint(text.to_owned());
        let url = reqwest::Url::parse(text).map_err(|_| wrong())?;
        let bare = url.path() == "/" && url.query().is_none() && url.username().is_empty() && url.password().is_none();
        let host = url.host_str().filter(|_| bare && matches!(url.scheme(), "http" | "https")).ok_or_else(wrong)?;
        let name = url.domain().map(str::to_owned);
        // `port()` is `None` for the scheme's own port, which does not belong into `Host`.
        let host = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        Ok(Self { base: format!("{}://{host}", url.scheme()), name, host })
    }

    /// Where the same host would answer without TLS, `host:port`: at port 80 for the usual port of HTTPS, else at the same
    /// one. `None` for an endpoint that is plain HTTP itself.
    pub(super) fn without_tls(&self) -> Option<String> {
        let url = reqwest::Url::parse(&self.base).ok().filter(|url| url.scheme() == "https")?;
        Some(format!("{}:{}", url.host_str()?, url.port().unwrap_or(80)))
    }
}

/// A call before it is signed.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) operation: Operation,
    /// For people: "attach havip-x".
    pub(super) what: String,
    /// `GET` or `PUT`.
    pub(super) method: Method,
    /// Decoded path.
    pub(super) path: String,
    /// Decoded parameters.
    pub(super) query: Vec<(&'static str, Option<String>)>,
    /// JSON body; only writes have one.
    pub(super) body: Option<Vec<u8>>,
    /// Not to be sent any more from this instant on.
    pub(super) start_by: Option<Instant>,
    /// Told when it leaves.
    pub(super) sent: Option<Sent>,
}

/// Is told once, when a write leaves this host.
#[derive(Clone)]
pub struct Sent(Arc<dyn Fn() + Send + Sync>);

impl Sent {
    /// `tell` is called on the thread that sends, and must not take long.
    pub fn new(tell: impl Fn() + Send + Sync + 'static) -> Self {
        let told = AtomicBool::new(false);
        Self(Arc::new(move || {
            if !told.swap(true, Ordering::AcqRel) {
                tell();
            }
        }))
    }
}

impl std::fmt::Debug for Sent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sent")
    }
}

impl Call {
    pub(super) fn get(
        operation: Operation,
        what: String,
        path: String,
        query: Vec<(&'static str, Option<String>)>,
    ) -> Self {
        Self { operation, what, method: Method::GET, path, query, body: None, start_by: None, sent: None }
    }

    pub(super) fn is_write(&self) -> bool {
        self.operation.is_write()
    }

    fn url(&self, endpoint: &Endpoint) -> String {
        let mut url = format!("{}{}", endpoint.base, sign::canonical_uri(&self.path));
        for (i, (key, value)) in self.query.iter().enumerate() {
            url.push(if i == 0 { '?' } else { '&' });
            url.push_str(&sign::encode(key));
            if let Some(value) = value {
                url.push('=');
                url.push_str(&sign::encode(value));
            }
        }
        url
    }

    /// The headers, signed for the instant `now`, seconds since 1970.
    fn headers(&self, endpoint: &Endpoint, credentials: &Credentials, now: i64) -> Result<HeaderMap, Lost> {
        let date = sign::timestamp(now);
        let mut headers = vec![("host", endpoint.host.as_str()), ("x-bce-date", date.as_str())];
        if let Some(token) = &credentials.session_token {
            headers.push(("x-bce-security-token", token.expose_str().unwrap_or_default()));
        }
        let signed = SignedHeaders::listed(&headers.iter().map(|(name, _)| *name).collect::<Vec<_>>());
        let query: Vec<_> = self.query.iter().map(|(k, v)| (*k, v.as_deref())).collect();
        let to_sign = ToSign {
            method: self.method.as_str(),
            path: &self.path,
            query: &query,
            headers: &headers,
            signed: &signed,
        };
        let secret = &credentials.secret_access_key;
        let authorization = to_sign.authorization(&credentials.access_key_id, secret, &date, sign::EXPIRATION_SECONDS);
        let value = |text: &str| {
            HeaderValue::from_str(text)
                .map_err(|_| Lost::NotSent("the credentials hold a character that no HTTP header can carry".to_owned()))
        };
        let mut map = HeaderMap::new();
        for (name, text) in headers {
            map.insert(name, value(text)?);
        }
        map.insert(AUTHORIZATION, value(&authorization)?);
        for header in map.values_mut() {
            header.set_sensitive(true);
        }
        if self.body.is_some() {
            map.insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
        }
        Ok(map)
    }

    /// Sends it once and reads the answer, to be done by `until`.
    pub(super) async fn attempt(
        &self,
        http: &reqwest::Client,
        endpoint: &Endpoint,
        credentials: &Credentials,
        now: i64,
        until: Instant,
    ) -> Result<Answer, Lost> {
        let sent = Arc::new(AtomicBool::new(false));
        let lost = |detail: String| {
            if sent.load(Ordering::Acquire) || self.body.is_none() { Lost::Sent(detail) } else { Lost::NotSent(detail) }
        };
        let mut request = http.request(self.method.clone(), self.url(endpoint));
        let headers = self.headers(endpoint, credentials, now)?;
        let authorization = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let redactor = Redactor::new(credentials, authorization);
        request = request.headers(headers);
        if let Some(body) = &self.body {
            let body = TracedBody {
                bytes: Some(Bytes::from(body.clone())),
                sent: Arc::clone(&sent),
                start_by: self.start_by,
                tell: self.sent.clone(),
            };
            request = request.body(reqwest::Body::wrap(body));
        }
        let exchange = async {
            match request.send().await {
                Ok(response) => read(response).await.map(|answer| redacted(answer, &redactor)),
                Err(e) if ends_leadership(&e) => Err(Lost::LeadershipEnded),
                Err(e) if e.is_connect() || e.is_builder() => Err(Lost::NotSent(chain(&e.without_url()))),
                Err(e) => Err(lost(chain(&e.without_url()))),
            }
        };
        match clock::timeout_at(until, exchange).await {
            Some(result) => result,
            None => Err(lost("no answer in time".to_owned())),
        }
    }
}

/// Whether the body refused to go out.
fn ends_leadership(error: &dyn std::error::Error) -> bool {
    std::iter::successors(error.source(), |e| e.source()).any(|e| e.is::<LeadershipEnded>())
}

async fn read(mut response: reqwest::Response) -> Result<Answer, Lost> {
    let status = response.status().as_u16();
    let text = |name: &str| response.headers().get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
    let mut answer = Answer {
        status,
        date: text(DATE.as_str()).and_then(|d| http_date(&d)),
        retry_after: text(RETRY_AFTER.as_str()),
        request_id: text("x-bce-request-id"),
        body: Vec::new(),
    };
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if answer.body.len() + chunk.len() > MAX_BODY => return Err(Lost::TooLong(status)),
            Ok(Some(chunk)) => answer.body.extend_from_slice(&chunk),
            Ok(None) => return Ok(answer),
            // The status of an error already says what happened; the body would only explain it.
            Err(_) if !answer.is_success() => return Ok(answer),
            Err(e) => return Err(Lost::Sent(format!("status {status}, then {}", chain(&e.without_url())))),
        }
    }
}

/// The answer without what it quotes of the request. Before anything else: every text of it may end up in a log, in `status` or in
/// the history.
fn redacted(answer: Answer, redactor: &Redactor) -> Answer {
    let text = |header: Option<String>| header.map(|text| redactor.text(&text).into_owned());
    Answer {
        request_id: text(answer.request_id),
        retry_after: text(answer.retry_after),
        body: redactor.body(answer.body),
        ..answer
    }
}

/// A body that notes when it is taken to be written, and refuses once it is too late.
///
/// The HTTP library asks for it when the connection stands and the head is ready to go out with
/// it. Until then the request has certainly not been carried out; from then on it may have been.
struct TracedBody {
    bytes: Option<Bytes>,
    sent: Arc<AtomicBool>,
    start_by: Option<Instant>,
    tell: Option<Sent>,
}

impl Body for TracedBody {
    type Data = Bytes;
    type Error = LeadershipEnded;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, LeadershipEnded>>> {
        if self.bytes.is_some() && self.start_by.is_some_and(|at| clock::now() >= at) {
            return Poll::Ready(Some(Err(LeadershipEnded)));
        }
        self.sent.store(true, Ordering::Release);
        if let Some(Sent(tell)) = self.tell.take() {
            tell();
        }
        Poll::Ready(self.bytes.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, |b| b.len() as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_gives_base_and_host() {
        let table = [
            ("https://bcc.bj.baidubce.com", "bcc.bj.baidubce.com", Some("bcc.bj.baidubce.com")),
            ("https://bcc.bj.baidubce.com:443/", "bcc.bj.baidubce.com", Some("bcc.bj.baidubce.com")),
            ("http://BCC.example:8080", "bcc.example:8080", Some("bcc.example")),
            ("http://127.0.0.1:80", "127.0.0.1", None),
            ("http://[::1]:8089", "[::1]:8089", None),
        ];
        for (text, host, name) in table {
            let endpoint = Endpoint::parse(text).expect(text);
            assert_eq!((endpoint.host.as_str(), endpoint.name.as_deref()), (host, name), "{text}");
        }
        for bad in ["", "bcc.bj.baidubce.com", "ftp://x", "http://u:p@x", "http://x/v1", "http://x?y", "http://"] {
            assert!(Endpoint::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_guest_that_was_suspended_sends_no_write_whose_leadership_has_run_out() {
        let body = || TracedBody {
            bytes: Some(Bytes::from_static(b"{}")),
            sent: Arc::default(),
            start_by: Some(clock::now() + std::time::Duration::from_secs(10)),
            tell: None,
        };
        let (mut in_time, mut late) = (body(), body());
        let mut context = Context::from_waker(std::task::Waker::noop());
        assert!(matches!(Pin::new(&mut in_time).poll_frame(&mut context), Poll::Ready(Some(Ok(_)))));
        clock::suspended::suspend(std::time::Duration::from_secs(11));
        assert!(matches!(Pin::new(&mut late).poll_frame(&mut context), Poll::Ready(Some(Err(LeadershipEnded)))));
        assert!(!late.sent.load(Ordering::Acquire), "it has certainly not been carried out");
    }

    #[test]
    fn a_parameter_without_value_goes_out_bare() {
        let endpoint = Endpoint::parse("http://127.0.0.1:8089").expect("parses");
        let query = vec![("attach", None), ("clientToken", Some("a b".to_owned()))];
        let call = Call::get(Operation::Attach, "x".to_owned(), "/v1/havip/havip-1".to_owned(), query);
        assert_eq!(call.url(&endpoint), "http://127.0.0.1:8089/v1/havip/havip-1?attach&clientToken=a%20b");
    }
}

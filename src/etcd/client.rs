//! Asks etcd: one question at a time to one member, and to the next one where that does not answer.
//!
//! No proxy, no redirect, no retry below us. A request has `request-timeout` to its last byte, so a question has that for
//! each endpoint. The password and the certificate's key are read again after each failure, so that they can be renewed
//! without a reload; neither they nor a token are ever part of an error.

use super::lease::{Answer, Question, renewals, renewed_leases};
use super::message::{
    Keys, LONGEST, Range, RangeRequest, Refusal, Stream, UNAUTHENTICATED, WatchRequest, Watched, range, refusal, shown,
    token,
};
use crate::certificates::identity;
use crate::clock;
use crate::config::schema::show;
use crate::config::secret_file;
use crate::errors::chain;
use crate::plain::quote;
use havipd_core::model::etcd::LeaseId;
use havipd_core::model::secret::Secret;
use havipd_core::model::settings::Etcd;
use havipd_core::model::time::Instant;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Certificate, Response, redirect, retry};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Where a key is read.
const RANGE: &str = "/v3/kv/range";
/// Idle time after which the kernel probes the connection of a watch.
const TCP_KEEPALIVE: Duration = Duration::from_secs(5);

/// Why one endpoint gave no answer that counts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EtcdError {
    /// A file of `[etcd]`.
    #[error("{0}")]
    File(String),
    /// No connection, or it broke.
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
    /// It took too long.
    #[error("no whole answer within {}", show(*.0))]
    Slow(Duration),
    /// Something else answers there.
    #[error("{0}")]
    NotEtcd(String),
    /// Its members have no leader.
    #[error("etcd has no leader, so nobody can confirm a read: is a majority of its members running? ({0})")]
    NoLeader(String),
    /// Auth is on, and no user was given.
    #[error("etcd wants to know who asks: set user and password-file in [etcd]")]
    NoUser,
    /// The password is wrong, or there is no such user.
    #[error("etcd knows no user {} with that password: see user and password-file in [etcd]", quote(.0))]
    WrongPassword(String),
    /// The user may not read the key, or not write it.
    #[error(
        "etcd does not permit {who} to {} {key}: etcdctl role grant-permission ROLE {} {key} permits it",
        if *.writes { "read and write" } else { "read" },
        if *.writes { "readwrite" } else { "read" }
    )]
    Denied {
        /// Who asks.
        who: String,
        /// For what.
        key: String,
        /// It is to be written as well.
        writes: bool,
    },
    /// The lease has ended, or was revoked.
    #[error("etcd has no such lease any more")]
    NoLease,
    /// The cluster is not the one that was read before.
    #[error("another etcd cluster than before answers, {is:x} and not {was:x}: see endpoints in [etcd]")]
    OtherCluster {
        /// The id before.
        was: u64,
        /// The id now.
        is: u64,
    },
    /// The revision was higher before.
    #[error("etcd's revision was {was} and is {is}: it was restored from a backup, or another one answers")]
    WentBack {
        /// Before.
        was: u64,
        /// Now.
        is: u64,
    },
    /// It takes no certificate of a client with a common name by way of its JSON gateway, where auth is on.
    #[error("etcd takes a user's requests with no certificate that has a common name: the one in cert-file has one")]
    CommonName,
    /// Its database has reached its quota, and it writes nothing.
    #[error("etcd's database is full, so it grants no lease and writes no key, and it renews those that there are")]
    Full,
    /// Anything else that etcd says.
    #[error("etcd refuses: {0}")]
    Refused(String),
}

/// No endpoint gave an answer that counts: what each said.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", words(.0))]
pub struct NoAnswer(pub Vec<(String, EtcdError)>);

fn words(all: &[(String, EtcdError)]) -> String {
    all.iter().map(|(endpoint, error)| format!("{endpoint}: {error}")).collect::<Vec<_>>().join("; ")
}

/// An answer that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// What was said.
    pub range: Range,
    /// When the question was sent.
    pub sent: Instant,
    /// Who answered.
    pub endpoint: String,
}

impl Reading {
    /// Whether both show the same decision of who leads.
    #[must_use]
    pub fn is_same_decision(&self, other: &Self) -> bool {
        self.range.found == other.range.found
    }
}

/// Asks the members of one etcd cluster.
#[derive(Debug)]
pub struct Client {
    etcd: Etcd,
    /// The endpoint that answered last.
    current: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    http: Option<reqwest::Client>,
    token: Option<HeaderValue>,
    /// etcd said that nobody needs to authenticate.
    open: bool,
    /// The cluster that our own keys are in, once that is known.
    cluster: Option<u64>,
}

impl Client {
    /// For the members that the configuration names. Nothing is opened or read yet.
    #[must_use]
    pub fn new(etcd: Etcd) -> Self {
        Self { etcd, current: AtomicUsize::new(0), state: Mutex::default() }
    }

    /// What it asks.
    #[must_use]
    pub fn settings(&self) -> &Etcd {
        &self.etcd
    }

    /// Reads `keys` linearizably, from the endpoint that answered last or the next that does.
    ///
    /// # Errors
    /// None did.
    pub async fn read(&self, keys: &Keys) -> Result<Reading, NoAnswer> {
        let mut failures = Vec::new();
        for (place, endpoint) in self.in_turn() {
            match self.read_from(endpoint, keys).await {
                Ok(reading) => {
                    self.current.store(place, Ordering::Relaxed);
                    return Ok(reading);
                }
                Err(error) => failures.push((endpoint.to_owned(), error)),
            }
        }
        Err(self.no_answer(failures))
    }

    /// The endpoint that answered last, and the next ones.
    fn in_turn(&self) -> impl Iterator<Item = (usize, &str)> + Send {
        let (first, count) = (self.current.load(Ordering::Relaxed), self.etcd.endpoints.len());
        (0..count).map(move |i| (first + i) % count).map(|place| (place, self.etcd.endpoints[place].as_str()))
    }

    /// Whatever it was, files may have been renewed, and connections are made anew.
    fn no_answer(&self, failures: Vec<(String, EtcdError)>) -> NoAnswer {
        let mut state = self.state();
        *state = State { cluster: state.cluster, ..State::default() };
        NoAnswer(failures)
    }

    /// The next question goes to another endpoint first.
    pub fn turn_away(&self) {
        self.current
            .store((self.current.load(Ordering::Relaxed) + 1) % self.etcd.endpoints.len().max(1), Ordering::Relaxed);
    }

    /// Reads `keys` from one endpoint.
    ///
    /// # Errors
    /// Why it gave no answer that counts.
    pub async fn read_from(&self, endpoint: &str, keys: &Keys) -> Result<Reading, EtcdError> {
        let (request, longest) = (json(&RangeRequest::new(keys))?, keys.longest());
        let (body, sent) = self.exchange_up_to(longest, endpoint, RANGE, &request, keys.name()).await?;
        let range = range(&body, keys).map_err(EtcdError::NotEtcd)?;
        Ok(Reading { range, sent, endpoint: endpoint.to_owned() })
    }

    /// One question to one endpoint, and its answer with when the question was sent.
    async fn exchange(
        &self,
        endpoint: &str,
        path: &str,
        question: &impl Serialize,
        key: &str,
    ) -> Result<(Vec<u8>, Instant), EtcdError> {
        self.exchange_up_to(LONGEST, endpoint, path, &json(question)?, key).await
    }

    /// The same with what is sent as it is, and an answer of no more bytes than `longest`.
    async fn exchange_up_to(
        &self,
        longest: usize,
        endpoint: &str,
        path: &str,
        question: &str,
        key: &str,
    ) -> Result<(Vec<u8>, Instant), EtcdError> {
        let limit = self.etcd.request_timeout;
        // Once more with a new token where the first is not taken.
        for again in [true, false] {
            let token = self.token(endpoint).await?;
            // ⚠ Before the question leaves: whatever changes from here on, the answer may not have.
            let sent = clock::now();
            let asked = self.post(endpoint, path, question, token);
            let answer = timed(limit, async { read_body(asked.await?, longest).await }).await?;
            match answer {
                Ok(body) => return Ok((body, sent)),
                Err(refusal) if again && wants_new_token(&refusal) => {
                    let mut state = self.state();
                    (state.token, state.open) = (None, false);
                }
                Err(refusal) => return Err(self.refused(refusal, key, path != RANGE)),
            }
        }
        Err(EtcdError::Refused("it takes no token of ours".to_owned()))
    }

    /// Asks something about our own lease or key, of the endpoint that answered last or the next that does. Gives the answer, and
    /// when the question that it is to was sent.
    ///
    /// # Errors
    /// No endpoint gave an answer that counts. ⚠ The question may have been carried out all the same.
    pub async fn ask(&self, key: &str, question: &Question) -> Result<(Answer, Instant), NoAnswer> {
        let mut failures = Vec::new();
        for (place, endpoint) in self.in_turn() {
            match self.ask_at(endpoint, key, question).await {
                Ok(answer) => {
                    self.current.store(place, Ordering::Relaxed);
                    return Ok(answer);
                }
                Err(error) => failures.push((endpoint.to_owned(), error)),
            }
        }
        Err(self.no_answer(failures))
    }

    async fn ask_at(&self, endpoint: &str, key: &str, question: &Question) -> Result<(Answer, Instant), EtcdError> {
        let (body, sent) = match question {
            Question::Grant(request) => self.exchange(endpoint, "/v3/lease/grant", request, key).await?,
            Question::Write(request) => self.exchange(endpoint, "/v3/kv/txn", request, key).await?,
            Question::Revoke(request) => {
                match self.exchange(endpoint, "/v3/lease/revoke", request, key).await {
                    // It has ended already.
                    Err(EtcdError::NoLease) => return Ok((Answer::Revoked, clock::now())),
                    other => other?,
                }
            }
        };
        let (cluster, answer) = question.read(&body, key).map_err(EtcdError::NotEtcd)?;
        // ⚠ What another cluster says of our lease or our key is said of others.
        match self.state().cluster {
            Some(was) if was != cluster => Err(EtcdError::OtherCluster { was, is: cluster }),
            _ => Ok((answer, sent)),
        }
    }

    /// Renews leases, of the endpoint that answered last or the next that does. Gives how long each lasts that it answered about,
    /// and when the question was sent.
    ///
    /// # Errors
    /// No endpoint gave an answer that counts. ⚠ They may have been renewed all the same.
    pub async fn keep_alive(&self, leases: &[LeaseId]) -> Result<(BTreeMap<LeaseId, Duration>, Instant), NoAnswer> {
        let mut failures = Vec::new();
        for (place, endpoint) in self.in_turn() {
            match self.keep_alive_at(endpoint, leases).await {
                Ok(answer) => {
                    self.current.store(place, Ordering::Relaxed);
                    return Ok(answer);
                }
                Err(error) => failures.push((endpoint.to_owned(), error)),
            }
        }
        Err(self.no_answer(failures))
    }

    async fn keep_alive_at(
        &self,
        endpoint: &str,
        leases: &[LeaseId],
    ) -> Result<(BTreeMap<LeaseId, Duration>, Instant), EtcdError> {
        let question = renewals(leases).map_err(EtcdError::NotEtcd)?;
        let (body, sent) = self.exchange_up_to(LONGEST, endpoint, "/v3/lease/keepalive", &question, "a lease").await?;
        let mut renewed = BTreeMap::new();
        for (cluster, lease, left) in renewed_leases(&body).map_err(EtcdError::NotEtcd)? {
            // ⚠ What another cluster says of our leases is said of others.
            match self.state().cluster {
                Some(was) if was != cluster => return Err(EtcdError::OtherCluster { was, is: cluster }),
                _ => renewed.insert(lease, left),
            };
        }
        Ok((renewed, sent))
    }

    /// Whether this node may write `key`, by a transaction that cannot succeed: no key has been written at that revision.
    ///
    /// # Errors
    /// It may not, or the endpoint gave no answer that counts.
    pub async fn may_write_at(&self, endpoint: &str, key: &str) -> Result<(), EtcdError> {
        self.ask_at(endpoint, key, &Question::never(key)).await.map(drop)
    }

    /// What is read from now on, and asked, is of this cluster.
    pub fn belongs_to(&self, cluster: u64) {
        self.state().cluster = Some(cluster);
    }

    /// Opens a watch of `keys` at the endpoint of `reading`, for what came after it.
    ///
    /// # Errors
    /// It cannot be opened.
    pub async fn watch(&self, reading: &Reading, keys: &Keys) -> Result<Watch, EtcdError> {
        let token = self.token(&reading.endpoint).await?;
        let question = json(&WatchRequest::new(keys, reading.range.revision + 1))?;
        let asked = self.post(&reading.endpoint, "/v3/watch", &question, token);
        let response = timed(self.etcd.request_timeout, asked).await?;
        if response.status().is_success() {
            return Ok(Watch { endpoint: reading.endpoint.clone(), response, stream: Stream::default() });
        }
        match timed(self.etcd.request_timeout, read_body(response, LONGEST)).await? {
            Ok(_) => Err(EtcdError::NotEtcd("an answer that is no watch".to_owned())),
            Err(refusal) => Err(self.refused(refusal, keys.name(), false)),
        }
    }

    /// A token, if one is needed; asks for it if there is none.
    async fn token(&self, endpoint: &str) -> Result<Option<HeaderValue>, EtcdError> {
        let Some((user, file)) = &self.etcd.user else { return Ok(None) };
        {
            let state = self.state();
            if state.open || state.token.is_some() {
                return Ok(state.token.clone());
            }
        }
        let secret = read_secret(file).await?;
        let password = secret.expose_str().ok_or_else(|| EtcdError::File(format!("{} is no text", file.display())))?;
        let password = password.trim_end_matches(['\n', '\r']);
        let login = json(&Login { name: user, password })?;
        let asked = self.post(endpoint, "/v3/auth/authenticate", &login, None);
        let answer = timed(self.etcd.request_timeout, async { read_body(asked.await?, LONGEST).await }).await?;
        match answer {
            Ok(body) => {
                let word = token(&body).and_then(|token| HeaderValue::try_from(token).ok());
                let Some(mut word) = word else {
                    return Err(EtcdError::NotEtcd("an answer without a token".to_owned()));
                };
                word.set_sensitive(true);
                self.state().token = Some(word.clone());
                Ok(Some(word))
            }
            Err(refusal) if refusal.text.contains("authentication is not enabled") => {
                self.state().open = true;
                Ok(None)
            }
            Err(refusal) if refusal.text.contains("authentication failed") => {
                Err(EtcdError::WrongPassword(user.clone()))
            }
            Err(refusal) => Err(self.refused(refusal, "", false)),
        }
    }

    async fn post(
        &self,
        endpoint: &str,
        path: &str,
        question: &str,
        token: Option<HeaderValue>,
    ) -> Result<Response, EtcdError> {
        let http = self.http().await?;
        let mut request = http.post(format!("{endpoint}{path}")).body(question.to_owned());
        request = request.header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, token);
        }
        request.send().await.map_err(unreachable)
    }

    /// The HTTP client, made of the files as they are when there is none.
    async fn http(&self) -> Result<reqwest::Client, EtcdError> {
        if let Some(http) = self.state().http.clone() {
            return Ok(http);
        }
        let etcd = self.etcd.clone();
        let built = tokio::task::spawn_blocking(move || build(&etcd)).await;
        let http = built.unwrap_or_else(|error| Err(EtcdError::File(error.to_string())))?;
        self.state().http = Some(http.clone());
        Ok(http)
    }

    /// What a refusal means, for those who have to do something about it.
    fn refused(&self, refusal: Refusal, key: &str, writes: bool) -> EtcdError {
        let says = |text: &str| refusal.text.contains(text);
        if says("permission denied") {
            let who = self.etcd.user.as_ref().map_or_else(|| "this node".to_owned(), |(user, _)| quote(user));
            return EtcdError::Denied { who, key: key.to_owned(), writes };
        }
        if says("lease not found") {
            return EtcdError::NoLease;
        }
        if says("database space exceeded") {
            return EtcdError::Full;
        }
        if says("user name is empty") {
            return EtcdError::NoUser;
        }
        if says("no leader") || says("leader changed") || says("request timed out") {
            return EtcdError::NoLeader(refusal.text);
        }
        EtcdError::Refused(refusal.text)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // It is whole at any time.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Serialize)]
struct Login<'a> {
    name: &'a str,
    password: &'a str,
}

/// An open watch.
#[derive(Debug)]
pub struct Watch {
    endpoint: String,
    response: Response,
    stream: Stream,
}

impl Watch {
    /// Who watches.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Waits for the bell: something has changed. May be dropped while it waits, and called again.
    ///
    /// # Errors
    /// The watch has ended; why, in words.
    pub async fn rings(&mut self) -> Result<(), String> {
        loop {
            let chunk = self.response.chunk().await.map_err(|error| chain(&error.without_url()))?;
            let Some(chunk) = chunk else { return Err("etcd closed it".to_owned()) };
            let mut changed = false;
            for message in self.stream.push(&chunk) {
                match message {
                    Watched::Nothing => {}
                    Watched::Changed => changed = true,
                    Watched::Ended(why) => return Err(why),
                }
            }
            if changed {
                return Ok(());
            }
        }
    }
}

async fn timed<T>(limit: Duration, what: impl Future<Output = Result<T, EtcdError>>) -> Result<T, EtcdError> {
    match tokio::time::timeout(limit, what).await {
        Ok(result) => result,
        Err(_) => Err(EtcdError::Slow(limit)),
    }
}

/// A question as it is sent.
fn json(question: &impl Serialize) -> Result<String, EtcdError> {
    serde_json::to_string(question).map_err(|error| EtcdError::NotEtcd(format!("it cannot be asked: {error}")))
}

/// The body of a success, of no more bytes than `longest`, or what came instead.
async fn read_body(mut response: Response, longest: usize) -> Result<Result<Vec<u8>, Refusal>, EtcdError> {
    let status = response.status();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        if body.len() + chunk.len() > longest {
            let text = format!("an answer of more than {} KiB, which is more than keys of groups have", longest >> 10);
            return Err(EtcdError::NotEtcd(text));
        }
        body.extend_from_slice(&chunk);
    }
    if status.is_success() {
        return Ok(Ok(body));
    }
    if String::from_utf8_lossy(&body).contains("CommonName of client sending a request against gateway") {
        return Err(EtcdError::CommonName);
    }
    refusal(&body).map(Err).ok_or_else(|| {
        let text = format!("status {} and nothing that etcd would say: is this etcd 3.4 or newer?", status.as_u16());
        EtcdError::NotEtcd(text)
    })
}

fn unreachable(error: reqwest::Error) -> EtcdError {
    EtcdError::Unreachable(shown(&chain(&error.without_url())))
}

/// A token that is too old, or of a member's last run; or auth was enabled meanwhile.
fn wants_new_token(refusal: &Refusal) -> bool {
    refusal.code == UNAUTHENTICATED
        || refusal.text.contains("invalid auth token")
        || refusal.text.contains("user name is empty")
        || refusal.text.contains("revision of auth store is old")
}

async fn read_secret(file: &Path) -> Result<Secret, EtcdError> {
    let path = file.to_owned();
    let read = tokio::task::spawn_blocking(move || of_file(&path, secret_file::read(&path))).await;
    read.unwrap_or_else(|error| Err(EtcdError::File(error.to_string())))
}

fn of_file<T>(path: &Path, result: Result<T, impl std::fmt::Display>) -> Result<T, EtcdError> {
    result.map_err(|why| EtcdError::File(format!("{}: {why}", path.display())))
}

/// Reads the files. Blocks as long as the disk does.
fn build(etcd: &Etcd) -> Result<reqwest::Client, EtcdError> {
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("havipd/", env!("CARGO_PKG_VERSION")))
        .no_proxy()
        .redirect(redirect::Policy::none())
        .referer(false)
        .retry(retry::never())
        .connect_timeout(etcd.request_timeout)
        .tcp_keepalive(TCP_KEEPALIVE)
        .tcp_keepalive_interval(TCP_KEEPALIVE)
        .tcp_keepalive_retries(2);
    if let Some(path) = &etcd.ca_file {
        let pem = of_file(path, std::fs::read(path))?;
        let roots = Certificate::from_pem_bundle(&pem).unwrap_or_default();
        if roots.is_empty() {
            return Err(EtcdError::File(format!("{} holds no certificate in PEM form", path.display())));
        }
        builder = builder.tls_certs_only(roots);
    } else if etcd.endpoints.iter().all(|endpoint| endpoint.starts_with("http://")) {
        // Without roots there is nothing to load.
        builder = builder.tls_certs_only([]);
    }
    if let Some(client) = &etcd.client {
        builder = builder.identity(identity(client).map_err(EtcdError::File)?);
    }
    builder.build().map_err(|error| EtcdError::File(format!("cannot set up TLS: {}", chain(&error))))
}

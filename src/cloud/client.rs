//! Calls to the cloud: one attempt each, within a deadline, with the answer's meaning attached.
//!
//! Retries with backoff belong to the part that decides; this client repeats a call by itself in two
//! cases only, once each and within the same deadline: when the cloud says that the signature's
//! time is off (it then signs with the cloud's own time), and when it doubts credentials that
//! have been replaced meanwhile. Nothing here delays a claim that could have been done before:
//! names are resolved ahead ([`dns`]), connections stay open, and of the calls that wait
//! those go first on which most depends ([`havipd_core::queue`]).

pub mod classify;
pub mod dns;
mod exchange;
mod gate;
mod identity;
mod kept;
mod operation;
mod request;
mod tally;
pub(in crate::cloud) mod transport;

pub use identity::DiscoveryError;
pub use operation::{Operation, Permission};
pub use request::Sent;
pub use transport::ClientError;

use self::classify::instance_state;
use self::dns::{Resolver, SystemLookup};
use self::gate::{Gate, Permit, Turn};
use self::request::{Call, Endpoint};
use self::tally::CallTally;
use self::transport::Settings;
use super::credentials::Provider;
use super::metadata::{Metadata, MetadataError};
use crate::clock;
use crate::metrics::render::Calls;
use havipd_core::model::action::WriteKind;
use havipd_core::model::cloud::{
    BindRequest, CallClass, CallError, Eni, EniPage, ErrorClass, HaVip, HaVipPage, InstanceDetail, InstanceEntry,
    InstanceEntryDetail, InstancePage,
};
use havipd_core::model::event::InstanceState;
use havipd_core::model::ids::{EniId, HavipId, InstanceId, Target};
use havipd_core::model::settings::Cloud;
use havipd_core::model::time::Instant;
use havipd_core::queue::{Subject, Wanted};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::OnceCell;

/// How often [`Client::keep_warm`] is worth calling: servers and NAT forget idle connections after a minute or so.
pub const WARM_INTERVAL: Duration = Duration::from_secs(20);

/// The client; clones share connections, allowance and credentials.
#[derive(Clone)]
pub struct Client(Arc<Shared>);

struct Shared {
    setup: Mutex<Arc<Setup>>,
    gate: Gate,
    resolver: Resolver,
    metadata: Metadata,
    /// `endpoint` and `region` of the configuration; else the source of the credentials says, else the metadata service.
    configured: Option<Endpoint>,
    discovered: OnceCell<Endpoint>,
    /// The cloud's clock minus ours, seconds.
    skew: AtomicI64,
    tally: CallTally,
    kept: kept::Kept,
}

/// What a reload replaces, as one.
struct Setup {
    cloud: Cloud,
    settings: Settings,
    http: reqwest::Client,
    credentials: Arc<Provider>,
}

/// What a write may and must do. Deadlines of calls, this one's and all others', are on `CLOCK_BOOTTIME`: a guest that
/// was suspended finds them over, and sends nothing late.
#[derive(Debug, Clone)]
pub struct WriteLimits {
    /// When leadership ends: it is not sent any more from this instant on.
    pub start_by: Instant,
    /// The call has ended by then.
    pub deadline: Instant,
    /// What depends on it.
    pub class: CallClass,
    /// Told when it leaves this host.
    pub sent: Option<Sent>,
}

impl WriteLimits {
    /// Of a write that a claim waits for.
    #[must_use]
    pub const fn new(start_by: Instant, deadline: Instant) -> Self {
        Self { start_by, deadline, class: CallClass::Claim, sent: None }
    }
}

impl Client {
    /// A client for `[cloud]`, with credentials from the process's environment where they are asked for.
    ///
    /// Without `endpoint` and `region` the first call goes by the region that the environment or the credentials name, else
    /// it asks the metadata service.
    ///
    /// # Errors
    /// [`ClientError`]: `ca-file` or `endpoint` cannot be used, or there are no system roots.
    pub fn new(cloud: &Cloud) -> Result<Self, ClientError> {
        Self::with_resolver(cloud, Resolver::new(SystemLookup))
    }

    /// The same, over another source of names.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn with_resolver(cloud: &Cloud, resolver: Resolver) -> Result<Self, ClientError> {
        let configured = match (&cloud.endpoint, &cloud.region) {
            (Some(endpoint), _) => Some(Endpoint::parse(endpoint)?),
            (None, Some(region)) => Some(of_region(region)?),
            (None, None) => None,
        };
        let metadata = Metadata::new(&cloud.metadata_endpoint).map_err(ClientError::Tls)?;
        let setup = Setup::build(cloud, &resolver, &metadata, None)?;
        Ok(Self(Arc::new(Shared {
            setup: Mutex::new(Arc::new(setup)),
            gate: Gate::new(cloud.requests_per_second),
            resolver,
            metadata,
            configured,
            discovered: OnceCell::new(),
            skew: AtomicI64::new(0),
            tally: CallTally::default(),
            kept: kept::Kept::default(),
        })))
    }

    /// Takes over every key of `[cloud]` that a reload may change. Connections are kept unless
    /// `ca-file` (path or content) or a timeout changed; calls under way go on as they began.
    ///
    /// # Errors
    /// [`ClientError`]; everything then stays as it was.
    pub fn reconfigure(&self, cloud: &Cloud) -> Result<(), ClientError> {
        let old = self.setup();
        let new = Setup::build(cloud, &self.0.resolver, &self.0.metadata, Some(&old))?;
        self.0.gate.set_ceiling(cloud.requests_per_second);
        *self.0.setup.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
        Ok(())
    }

    /// The metadata service that this client uses.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.0.metadata
    }

    /// The cloud's clock minus ours as of the last answer, whole seconds.
    #[must_use]
    pub fn clock_skew(&self) -> i64 {
        self.0.skew.load(Ordering::Relaxed)
    }

    /// Where the endpoint's host answers plain HTTP, `host:port`, though the endpoint is one of HTTPS. The question holds
    /// nothing but the host's name: no key and no signature.
    pub async fn answers_without_tls(&self, deadline: Instant) -> Option<String> {
        let at = self.endpoint("plain HTTP", deadline).await.ok()?.without_tls()?;
        let patience = self.setup().cloud.request_timeout;
        let answered = tokio::time::timeout(patience, speaks_http(&at)).await;
        answered.is_ok_and(|answer| answer.unwrap_or(false)).then_some(at)
    }

    /// Which source the credentials come from, in the words of `cloud.credentials.source`.
    #[must_use]
    pub fn credential_source(&self) -> &'static str {
        self.setup().credentials.source()
    }

    /// When the temporary key in use ends, seconds since 1970, where that is known.
    #[must_use]
    pub fn credentials_end(&self) -> Option<i64> {
        self.setup().credentials.end()
    }

    /// Every call since the start, counted.
    #[must_use]
    pub fn calls(&self) -> Vec<Calls> {
        self.0.tally.all()
    }

    /// One HAVIP: by `GET /v1/havip/{id}`, or by the list call that serves everybody who reads in its VPC at the same time.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn havip(&self, id: &HavipId, class: CallClass, deadline: Instant) -> Result<HaVip, CallError> {
        let call = Call::get(Operation::ReadHavip, format!("read {id}"), format!("/v1/havip/{id}"), vec![]);
        let wanted = |subject| Wanted { class, subject, start_by: latest_start(deadline) };
        let mut turn = self.turn(&call.what, wanted(Subject::Havip(id.clone())), deadline).await?;
        if let Turn::Shared(None) = turn {
            // Its own page says for certain that it is gone.
            turn = self.turn(&call.what, wanted(Subject::Other), deadline).await?;
        }
        match turn {
            Turn::Shared(Some(havip)) => Ok(havip),
            Turn::Shared(None) => Err(CallError::new(ErrorClass::NotSent, &call.what, "it was not its turn")),
            Turn::Own(mut permit) => {
                let havip: HaVip = self.read(&call, &mut permit, deadline).await?;
                self.0.gate.learn(&havip);
                Ok(havip)
            }
        }
    }

    /// `GET /v1/havip`: every HAVIP of a VPC, all pages, which count as one call; `None` is every VPC.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn havips(
        &self,
        vpc: Option<&str>,
        class: CallClass,
        deadline: Instant,
    ) -> Result<Vec<HaVip>, CallError> {
        let mut permit = self.own_turn("list havips", class, deadline).await?;
        self.list(vpc, &mut permit, deadline).await
    }

    async fn list(&self, vpc: Option<&str>, permit: &mut Permit, deadline: Instant) -> Result<Vec<HaVip>, CallError> {
        let query = vec![("vpcId", vpc.map(str::to_owned))];
        let call = Call::get(Operation::ListHavips, "list havips".to_owned(), "/v1/havip".to_owned(), query);
        let split = |page: HaVipPage| (page.ha_vips, page.is_truncated.then_some(page.next_marker).flatten());
        let all: Vec<HaVip> = self.pages(call, permit, deadline, split).await?;
        all.iter().for_each(|havip| self.0.gate.learn(havip));
        Ok(all)
    }

    /// The turn of a call that shares nothing.
    async fn own_turn(&self, what: &str, class: CallClass, deadline: Instant) -> Result<Permit, CallError> {
        let wanted = Wanted { class, subject: Subject::Other, start_by: latest_start(deadline) };
        match self.turn(what, wanted, deadline).await? {
            Turn::Own(permit) => Ok(permit),
            Turn::Shared(_) => Err(CallError::new(ErrorClass::NotSent, what, "it was not its turn")),
        }
    }

    /// `PUT /v1/havip/{id}?attach`. `targets` are at most five of one type.
    ///
    /// A success proves nothing, as little as an error does: read back.
    ///
    /// # Errors
    /// [`CallError`]; `Retry` means that it was certainly not carried out.
    pub async fn attach(
        &self,
        id: &HavipId,
        targets: &[Target],
        token: &str,
        limits: WriteLimits,
    ) -> Result<(), CallError> {
        self.write(WriteKind::Attach, id, targets, token, limits).await
    }

    /// `PUT /v1/havip/{id}?detach`; otherwise as [`Client::attach`].
    ///
    /// # Errors
    /// As [`Client::attach`].
    pub async fn detach(
        &self,
        id: &HavipId,
        targets: &[Target],
        token: &str,
        limits: WriteLimits,
    ) -> Result<(), CallError> {
        self.write(WriteKind::Detach, id, targets, token, limits).await
    }

    /// Either of the two.
    ///
    /// # Errors
    /// As [`Client::attach`].
    pub async fn write(
        &self,
        kind: WriteKind,
        id: &HavipId,
        targets: &[Target],
        token: &str,
        limits: WriteLimits,
    ) -> Result<(), CallError> {
        let operation = match kind {
            WriteKind::Attach => Operation::Attach,
            WriteKind::Detach => Operation::Detach,
        };
        let word = operation.word();
        let what = format!("{word} {id}");
        let body = BindRequest {
            instance_ids: targets.iter().map(|t| t.id().to_owned()).collect(),
            instance_type: targets.first().map_or("SERVER", Target::api_type).to_owned(),
        };
        let body = serde_json::to_vec(&body)
            .map_err(|e| CallError::new(ErrorClass::Retry, &what, format!("not sent: {e}")))?;
        let call = Call {
            operation,
            what,
            method: reqwest::Method::PUT,
            path: format!("/v1/havip/{id}"),
            query: vec![(word, None), ("clientToken", Some(token.to_owned()))],
            body: Some(body),
            start_by: Some(limits.start_by),
            sent: limits.sent,
        };
        let start_by = limits.start_by.min(latest_start(limits.deadline));
        let wanted = Wanted { class: limits.class, subject: Subject::Write(id.clone(), kind), start_by };
        match self.turn(&call.what, wanted, limits.deadline).await? {
            Turn::Own(mut permit) => self.run(&call, &mut permit, limits.deadline).await.map(drop),
            Turn::Shared(_) => Err(CallError::new(ErrorClass::NotSent, &call.what, "it was not its turn")),
        }
    }

    /// `GET /v1/eni`: every ENI of a VPC, or of one instance in it, all pages.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn enis(
        &self,
        vpc: &str,
        instance: Option<&InstanceId>,
        class: CallClass,
        deadline: Instant,
    ) -> Result<Vec<Eni>, CallError> {
        let query = vec![("vpcId", Some(vpc.to_owned())), ("instanceId", instance.map(ToString::to_string))];
        let call = Call::get(Operation::ListEnis, format!("list enis of {vpc}"), "/v1/eni".to_owned(), query);
        let split = |page: EniPage| (page.enis, page.is_truncated.then_some(page.next_marker).flatten());
        let mut permit = self.own_turn(&call.what, class, deadline).await?;
        self.pages(call, &mut permit, deadline, split).await
    }

    /// `GET /v1/eni/{id}`.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn eni(&self, id: &EniId, class: CallClass, deadline: Instant) -> Result<Eni, CallError> {
        let call = Call::get(Operation::ReadEni, format!("read {id}"), format!("/v1/eni/{id}"), vec![]);
        let mut permit = self.own_turn(&call.what, class, deadline).await?;
        self.read(&call, &mut permit, deadline).await
    }

    /// `GET /v2/instance/{id}`: whether the instance runs, or may.
    ///
    /// # Errors
    /// [`CallError`]; that the cloud does not know the instance is an answer, not an error.
    pub async fn instance(
        &self,
        id: &InstanceId,
        class: CallClass,
        deadline: Instant,
    ) -> Result<InstanceState, CallError> {
        let call = Call::get(Operation::ReadInstance, format!("read {id}"), format!("/v2/instance/{id}"), vec![]);
        let mut permit = self.own_turn(&call.what, class, deadline).await?;
        match self.read::<InstanceDetail>(&call, &mut permit, deadline).await {
            Ok(detail) => Ok(instance_state(&detail.instance.status)),
            Err(error) if error.missing => Ok(InstanceState::NotRunning),
            Err(error) => Err(error),
        }
    }

    /// `GET /v2/instance/{id}`: how the cloud describes it.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn instance_entry(
        &self,
        id: &InstanceId,
        class: CallClass,
        deadline: Instant,
    ) -> Result<InstanceEntry, CallError> {
        let call = Call::get(Operation::ReadInstance, format!("read {id}"), format!("/v2/instance/{id}"), vec![]);
        let mut permit = self.own_turn(&call.what, class, deadline).await?;
        self.read::<InstanceEntryDetail>(&call, &mut permit, deadline).await.map(|detail| detail.instance)
    }

    /// `GET /v2/instance`: every instance of a VPC, all pages.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn instances(
        &self,
        vpc: &str,
        class: CallClass,
        deadline: Instant,
    ) -> Result<Vec<InstanceEntry>, CallError> {
        let query = vec![("vpcId", Some(vpc.to_owned()))];
        let call =
            Call::get(Operation::ListInstances, format!("list instances of {vpc}"), "/v2/instance".to_owned(), query);
        let split = |page: InstancePage| (page.instances, page.is_truncated.then_some(page.next_marker).flatten());
        let mut permit = self.own_turn(&call.what, class, deadline).await?;
        self.pages(call, &mut permit, deadline, split).await
    }

    /// Makes the next claim a fast one: name resolved, connection open, credentials at hand, clock
    /// compared. For nodes that may have to claim, at start and every [`WARM_INTERVAL`].
    ///
    /// # Errors
    /// [`CallError`] of the small list call that it makes.
    pub async fn keep_warm(&self, deadline: Instant) -> Result<(), CallError> {
        let what = "list one havip";
        if let Some(name) = self.endpoint(what, deadline).await?.name {
            self.0.resolver.refresh(&name);
        }
        let query = vec![("maxKeys", Some("1".to_owned()))];
        let call = Call::get(Operation::ListHavips, what.to_owned(), "/v1/havip".to_owned(), query);
        let mut permit = self.own_turn(what, CallClass::Background, deadline).await?;
        self.read::<HaVipPage>(&call, &mut permit, deadline).await.map(drop)
    }

    fn setup(&self) -> Arc<Setup> {
        Arc::clone(&self.0.setup.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("endpoint", &self.0.configured).finish_non_exhaustive()
    }
}

impl Setup {
    fn build(cloud: &Cloud, resolver: &Resolver, metadata: &Metadata, old: Option<&Self>) -> Result<Self, ClientError> {
        let plain = cloud.endpoint.as_ref().is_some_and(|e| e.starts_with("http://"));
        let ca = cloud.ca_file.as_deref();
        let settings = Settings::load(ca, cloud.connect_timeout, cloud.request_timeout, plain)?;
        let http = match old.filter(|old| old.settings == settings) {
            Some(old) => old.http.clone(),
            None => settings.build(resolver.clone())?,
        };
        let env = |name: &str| std::env::var(name).ok();
        let credentials = match old.filter(|old| old.cloud.credentials == cloud.credentials) {
            Some(old) => Arc::clone(&old.credentials),
            None => Arc::new(Provider::new(&cloud.credentials, env, metadata.clone())),
        };
        Ok(Self { cloud: cloud.clone(), settings, http, credentials })
    }
}

fn of_region(region: &str) -> Result<Endpoint, ClientError> {
    let word = !region.is_empty() && region.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    let wrong =
        || ClientError::Endpoint(format!("https://bcc.{}.baidubce.com", havipd_core::model::plain::line(region)));
    if word { Endpoint::parse(&format!("https://bcc.{region}.baidubce.com")) } else { Err(wrong()) }
}

/// Whether an answer to a bare request without TLS is one of HTTP.
async fn speaks_http(at: &str) -> std::io::Result<bool> {
    let mut stream = tokio::net::TcpStream::connect(at).await?;
    stream.write_all(format!("HEAD / HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n\r\n").as_bytes()).await?;
    let mut begin = [0; 5];
    stream.read_exact(&mut begin).await?;
    Ok(&begin == b"HTTP/")
}

/// A read, or a write, that starts later would have too little time left for an answer.
fn latest_start(deadline: Instant) -> Instant {
    let now = clock::now();
    now + deadline.since(now) / 2
}

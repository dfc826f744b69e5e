//! Calls and how they end, typed: what the simulator passes around and the emulator translates.

use havipd_core::model::cloud::{BindRequest, Eni, EniPage, HaVip, HaVipPage, InstanceDetail, InstancePage};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Every name that a caller goes by (access key id, node name, target id), for faults to match.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(transparent)]
pub struct Caller(pub Vec<String>);

impl Caller {
    /// A caller known by one name.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self(vec![name.to_owned()])
    }

    /// Whether it goes by `name`.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        self.0.iter().any(|n| n == name)
    }
}

/// What a call is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// `GET /v1/havip/{id}`.
    Detail {
        /// Which HAVIP.
        havip: String,
    },
    /// `GET /v1/havip`.
    List {
        /// Of this VPC only.
        vpc: Option<String>,
        /// Where the page starts.
        marker: Option<String>,
        /// Entries per page, 1 to 1000.
        max_keys: usize,
    },
    /// `PUT /v1/havip/{id}?attach`.
    Attach {
        /// Which HAVIP.
        havip: String,
        /// Who is to be bound.
        body: BindRequest,
    },
    /// `PUT /v1/havip/{id}?detach`.
    Detach {
        /// Which HAVIP.
        havip: String,
        /// Who is to be unbound.
        body: BindRequest,
    },
    /// `GET /v2/instance/{id}`.
    Instance {
        /// Which instance.
        id: String,
    },
    /// `GET /v2/instance`.
    Instances {
        /// Of this VPC only.
        vpc: Option<String>,
        /// Where the page starts.
        marker: Option<String>,
        /// Entries per page, 1 to 1000.
        max_keys: usize,
    },
    /// `GET /v1/eni?vpcId=`.
    Enis {
        /// Of this VPC.
        vpc: String,
        /// Mounted on this instance only.
        instance: Option<String>,
    },
    /// `GET /v1/eni/{id}`.
    Interface {
        /// Which interface.
        id: String,
    },
    /// `GET /v2/eni/{instanceId}`.
    InstanceEnis {
        /// The instance that they are mounted on.
        instance: String,
    },
    /// `GET /1.0/meta-data/{key}` from inside an instance.
    Metadata {
        /// The instance that asks.
        instance: String,
        /// What it asks for, without slash at either end.
        key: String,
    },
}

/// Entries per page when a list call does not say, and the most that it may ask for.
pub const MAX_KEYS: usize = 1000;

/// Kind of a call, as faults and logs name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Operation {
    /// HAVIP detail.
    Detail,
    /// HAVIP list.
    List,
    /// HAVIP attach.
    Attach,
    /// HAVIP detach.
    Detach,
    /// Instance detail and list.
    Instance,
    /// ENI detail and either list.
    Eni,
    /// Metadata, credentials of the instance role included.
    Metadata,
}

impl Operation {
    /// Whether it changes bindings.
    #[must_use]
    pub const fn writes(self) -> bool {
        matches!(self, Self::Attach | Self::Detach)
    }

    /// Whether it shows bindings.
    #[must_use]
    pub const fn shows_bindings(self) -> bool {
        matches!(self, Self::Detail | Self::List)
    }
}

impl Request {
    /// Its kind.
    #[must_use]
    pub const fn operation(&self) -> Operation {
        match self {
            Self::Detail { .. } => Operation::Detail,
            Self::List { .. } => Operation::List,
            Self::Attach { .. } => Operation::Attach,
            Self::Detach { .. } => Operation::Detach,
            Self::Instance { .. } | Self::Instances { .. } => Operation::Instance,
            Self::Enis { .. } | Self::Interface { .. } | Self::InstanceEnis { .. } => Operation::Eni,
            Self::Metadata { .. } => Operation::Metadata,
        }
    }

    /// The HAVIP that it names.
    #[must_use]
    pub fn havip(&self) -> Option<&str> {
        match self {
            Self::Detail { havip } | Self::Attach { havip, .. } | Self::Detach { havip, .. } => Some(havip),
            _ => None,
        }
    }
}

/// One call as it reaches the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Who calls.
    pub caller: Caller,
    /// `clientToken`; only writes have one.
    pub token: Option<String>,
    /// What is asked.
    pub request: Request,
}

impl Call {
    /// A call without token.
    #[must_use]
    pub const fn new(caller: Caller, request: Request) -> Self {
        Self { caller, token: None, request }
    }

    /// The same with a client token.
    #[must_use]
    pub fn with_token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }
}

/// What a call that succeeded brings back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// Detail.
    HaVip(HaVip),
    /// List.
    Page(HaVipPage),
    /// Attach and detach: an empty body.
    Done,
    /// Both ENI lists.
    Enis(EniPage),
    /// ENI detail.
    Interface(Eni),
    /// Instance detail.
    Instance(InstanceDetail),
    /// Instance list.
    Instances(InstancePage),
    /// Metadata; empty text means that the key is not implemented.
    Text(String),
    /// Credentials of the instance's role, which the player of the model fills in.
    Credential,
}

/// A call that was answered with an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorReply {
    /// HTTP status.
    pub status: u16,
    /// The cloud's code.
    pub code: String,
    /// Text for people.
    pub message: String,
    /// `Retry-After`.
    pub retry_after: Option<Duration>,
    /// The same as somebody else writes it; over HTTP only.
    pub retry_after_text: Option<String>,
}

impl ErrorReply {
    /// An error without `Retry-After`.
    #[must_use]
    pub fn new(status: u16, code: &str, message: &str) -> Self {
        Self { status, code: code.to_owned(), message: message.to_owned(), retry_after: None, retry_after_text: None }
    }
}

/// What the caller gets to see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// An answer of the service.
    Reply(Result<Reply, ErrorReply>),
    /// Status 200 and a body that is not JSON.
    Garbled,
    /// The connection is reset without an answer.
    Reset,
    /// No answer, ever; the connection stays open.
    Never,
}

/// How a call ends, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What comes back.
    pub answer: Answer,
    /// How long after the call arrived.
    pub after: Duration,
}

//! What the cloud's API says: the HAVIP, ENI and instance documents, and how calls end.
//!
//! Source: Baidu AI Cloud VPC API, HAVIP pages (<https://cloud.baidu.com/doc/VPC/s/0le5gd07h>) and
//! ENI pages; `bindedInstances` and its members are modelled on the official SDKs. Every member
//! that the documentation leaves open is optional.

use super::plain;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::Ipv4Addr;
use std::time::Duration;

/// One HAVIP as `GET /v1/havip/{id}` and `GET /v1/havip` give it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HaVip {
    /// `havip-...`.
    #[serde(deserialize_with = "plain::or_empty")]
    pub ha_vip_id: String,
    /// Name given by its owner.
    #[serde(default, deserialize_with = "plain::or_empty")]
    pub name: String,
    /// The VPC that it lives in.
    #[serde(default, deserialize_with = "plain::or_empty")]
    pub vpc_id: String,
    /// The subnet that its address comes from.
    #[serde(default, deserialize_with = "plain::or_empty")]
    pub subnet_id: String,
    /// `available`, `binded`, or something that we do not know.
    #[serde(default, deserialize_with = "plain::or_empty")]
    pub status: String,
    /// The virtual address.
    pub private_ip_address: Option<Ipv4Addr>,
    /// The public address bound to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_ip_address: Option<String>,
    /// Who is bound; absent when nobody is.
    #[serde(default, deserialize_with = "null_as_empty")]
    pub binded_instances: Vec<Bound>,
}

/// One entry of `bindedInstances`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Bound {
    /// `i-...` or `eni-...`.
    #[serde(deserialize_with = "plain::or_empty")]
    pub instance_id: String,
    /// `SERVER` or `ENI`.
    #[serde(default, deserialize_with = "plain::or_empty")]
    pub instance_type: String,
    /// Whether it is the one that gets the traffic; absent or null is "not said".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub master: Option<bool>,
}

impl HaVip {
    /// Who the cloud says has the address: the `master`; if nobody is flagged, the only one bound.
    ///
    /// `None` when nobody is bound, or when several are and none is flagged.
    #[must_use]
    pub fn holder(&self) -> Option<&str> {
        let flagged = self.binded_instances.iter().find(|b| b.master == Some(true));
        let only = || match self.binded_instances.as_slice() {
            [one] if one.master.is_none() => Some(one),
            _ => None,
        };
        flagged.or_else(only).map(|b| b.instance_id.as_str())
    }

    /// Whether `id` is among the bound.
    #[must_use]
    pub fn binds(&self, id: &str) -> bool {
        self.binded_instances.iter().any(|b| b.instance_id == id)
    }
}

fn null_as_empty<'de, D, T>(d: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::<T>::deserialize(d)?.unwrap_or_default())
}

/// One page of `GET /v1/havip`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HaVipPage {
    /// The HAVIPs of this page.
    #[serde(default, deserialize_with = "null_as_empty")]
    pub ha_vips: Vec<HaVip>,
    /// Whether another page follows.
    #[serde(default)]
    pub is_truncated: bool,
    /// Where it starts.
    #[serde(default)]
    pub next_marker: Option<String>,
}

/// Body of attach and detach.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BindRequest {
    /// At most five ids of one type.
    pub instance_ids: Vec<String>,
    /// `SERVER` or `ENI`.
    pub instance_type: String,
}

/// One elastic network interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Eni {
    /// `eni-...`.
    pub eni_id: String,
    /// The instance that it is mounted on.
    #[serde(default, deserialize_with = "plain::or_empty")]
    pub instance_id: String,
    /// Its MAC address, any case.
    #[serde(default, deserialize_with = "plain::or_empty")]
    pub mac_address: String,
    /// `available`, `inuse`, `attaching`, `detaching`.
    #[serde(default, deserialize_with = "plain::or_empty")]
    pub status: String,
}

/// One page of `GET /v1/eni`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EniPage {
    /// The interfaces of this page.
    #[serde(default, deserialize_with = "null_as_empty")]
    pub enis: Vec<Eni>,
    /// Whether another page follows.
    #[serde(default)]
    pub is_truncated: bool,
    /// Where it starts.
    #[serde(default)]
    pub next_marker: Option<String>,
}

/// `GET /v2/instance/{id}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceDetail {
    /// The instance.
    pub instance: Instance,
}

/// A BCC instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Instance {
    /// `i-...`.
    #[serde(default, deserialize_with = "plain::or_empty")]
    pub id: String,
    /// `Running`, `Stopped`, ...
    #[serde(default, deserialize_with = "plain::or_empty")]
    pub status: String,
}

/// An instance as the list of instances and its own page describe it to people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InstanceEntry {
    /// `i-...`.
    #[serde(default, deserialize_with = "plain::or_empty")]
    pub id: String,
    /// Name given by its owner.
    #[serde(default, deserialize_with = "plain::or_empty")]
    pub name: String,
    /// `Running`, `Stopped`, ...
    #[serde(default, deserialize_with = "plain::or_empty")]
    pub status: String,
    /// The address of its primary interface; empty if it is not said.
    #[serde(default, deserialize_with = "plain::or_empty")]
    pub internal_ip: String,
    /// The VPC that it is in.
    #[serde(default, deserialize_with = "plain::or_empty")]
    pub vpc_id: String,
}

/// `GET /v2/instance/{id}`, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceEntryDetail {
    /// The instance.
    pub instance: InstanceEntry,
}

/// One page of `GET /v2/instance`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InstancePage {
    /// The instances of this page.
    #[serde(default, deserialize_with = "null_as_empty")]
    pub instances: Vec<InstanceEntry>,
    /// Whether another page follows.
    #[serde(default)]
    pub is_truncated: bool,
    /// Where it starts.
    #[serde(default)]
    pub next_marker: Option<String>,
}

/// Error body of every call.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ErrorBody {
    /// Machine-readable code.
    #[serde(default, deserialize_with = "plain::or_empty")]
    pub code: String,
    /// Text for people.
    #[serde(default, deserialize_with = "plain::or_empty")]
    pub message: String,
    /// The cloud's id of the request.
    #[serde(default, deserialize_with = "plain::or_empty")]
    pub request_id: String,
}

/// How much depends on a call starting soon, most first: what decides whether a node must stop goes before what decides
/// whether one may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CallClass {
    /// The active node's audit while a member's session is not up: it decides whether this node must stop.
    Holding,
    /// A write that a claim or a repair needs, and a read that confirms one.
    Claim,
    /// A read by a node that may have to claim some day.
    Standby,
    /// Other audits, detaches that nothing waits for, and what keeps the connection warm.
    Background,
}

/// What a failed call means for its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorClass {
    /// Not sent, for a reason of this host's own: no allowance by the moment by which it had to start, leadership ran
    /// out, or too much waits. It says nothing about the cloud, least of all that the cloud is silent.
    NotSent,
    /// Certainly not carried out; worth another try.
    Retry,
    /// Answered with a no that repeating will not change by itself.
    Refused,
    /// May have been carried out: nothing came back that proves either.
    Ambiguous,
}

/// A call that did not end with a usable 200.
///
/// The text never holds a credential, and at most 200 characters of what the server sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{what}: {detail}")]
pub struct CallError {
    /// The call ("attach havip-x").
    pub what: String,
    /// What went wrong, with status, code and request id where there were any.
    pub detail: String,
    /// What it means.
    pub class: ErrorClass,
    /// HTTP status, if one came back.
    pub status: Option<u16>,
    /// The cloud's error code, if one came back.
    pub code: Option<String>,
    /// How long the server asked us to wait.
    pub retry_after: Option<Duration>,
    /// Whether credentials or permissions are the reason.
    pub denied: bool,
    /// Whether the object of the call does not exist.
    pub missing: bool,
    /// Whether another task ran on the object: nothing was carried out, and the same call is right in a moment.
    pub busy: bool,
    /// Whether a detach found nothing to detach. That contradicts the read it came from, and proves as little as one.
    pub nothing_bound: bool,
}

impl CallError {
    /// An error without an answer of the cloud; what one said goes into the other fields. The text of a call that was
    /// not sent says so.
    #[must_use]
    pub fn new(class: ErrorClass, what: impl Into<String>, detail: impl fmt::Display) -> Self {
        let detail = detail.to_string();
        let detail = plain::in_words(&detail);
        let detail = if class == ErrorClass::NotSent { format!("not sent: {detail}") } else { detail.into_owned() };
        Self {
            what: what.into(),
            detail,
            class,
            status: None,
            code: None,
            retry_after: None,
            denied: false,
            missing: false,
            busy: false,
            nothing_bound: false,
        }
    }

    /// Whether it says nothing about the cloud, since the call never left this host.
    #[must_use]
    pub fn is_not_sent(&self) -> bool {
        self.class == ErrorClass::NotSent
    }
}

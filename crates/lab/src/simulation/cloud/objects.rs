//! What exists in the emulated region: HAVIPs, instances, interfaces.

use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;

/// `Running`, the one status in which an instance receives packets and is heard.
pub const RUNNING: &str = "Running";

/// One HAVIP, without its bindings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct HavipSpec {
    /// `havip-...`.
    pub id: String,
    /// The virtual address.
    pub address: Ipv4Addr,
    /// Name given by its owner.
    #[serde(default)]
    pub name: String,
    /// VPC that it lives in.
    #[serde(default = "default_vpc")]
    pub vpc: String,
    /// Subnet that the address comes from.
    #[serde(default = "default_subnet")]
    pub subnet: String,
}

/// One BCC instance with its primary interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct InstanceSpec {
    /// `i-...`.
    pub id: String,
    /// Its primary address.
    pub address: Ipv4Addr,
    /// MAC of the primary interface.
    #[serde(default = "default_mac")]
    pub mac: String,
    /// Name given by its owner.
    #[serde(default)]
    pub name: String,
    /// VPC that it lives in.
    #[serde(default = "default_vpc")]
    pub vpc: String,
    /// Subnet of the primary interface.
    #[serde(default = "default_subnet")]
    pub subnet: String,
    /// `Running`, `Stopped`, ...
    #[serde(default = "default_status")]
    pub status: String,
}

/// One elastic network interface, mounted on an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct InterfaceSpec {
    /// `eni-...`.
    pub id: String,
    /// The instance that it is mounted on.
    pub instance: String,
    /// Its MAC.
    pub mac: String,
    /// Its primary address.
    pub address: Ipv4Addr,
    /// VPC that it lives in.
    #[serde(default = "default_vpc")]
    pub vpc: String,
    /// Subnet that the address comes from.
    #[serde(default = "default_subnet")]
    pub subnet: String,
}

/// Everything that exists at the start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct World {
    /// Region, as metadata names it.
    #[serde(default = "default_region")]
    pub region: String,
    /// The HAVIPs.
    #[serde(default)]
    pub havips: Vec<HavipSpec>,
    /// The instances.
    #[serde(default)]
    pub instances: Vec<InstanceSpec>,
    /// The interfaces.
    #[serde(default)]
    pub interfaces: Vec<InterfaceSpec>,
}

impl Default for World {
    fn default() -> Self {
        Self { region: default_region(), havips: Vec::new(), instances: Vec::new(), interfaces: Vec::new() }
    }
}

impl HavipSpec {
    /// A HAVIP in the default VPC and subnet.
    #[must_use]
    pub fn new(id: &str, address: Ipv4Addr) -> Self {
        Self { id: id.to_owned(), address, name: String::new(), vpc: default_vpc(), subnet: default_subnet() }
    }
}

impl InstanceSpec {
    /// A running instance in the default VPC and subnet; its MAC follows from the address.
    #[must_use]
    pub fn new(id: &str, address: Ipv4Addr) -> Self {
        let [a, b, c, d] = address.octets();
        Self {
            id: id.to_owned(),
            address,
            mac: format!("fa:16:{a:02x}:{b:02x}:{c:02x}:{d:02x}"),
            name: String::new(),
            vpc: default_vpc(),
            subnet: default_subnet(),
            status: default_status(),
        }
    }
}

impl InterfaceSpec {
    /// An interface in the default VPC and subnet.
    #[must_use]
    pub fn new(id: &str, instance: &str, mac: &str, address: Ipv4Addr) -> Self {
        Self {
            id: id.to_owned(),
            instance: instance.to_owned(),
            mac: mac.to_owned(),
            address,
            vpc: default_vpc(),
            subnet: default_subnet(),
        }
    }
}

fn default_region() -> String {
    "bj".to_owned()
}

fn default_vpc() -> String {
    "vpc-sandbox".to_owned()
}

fn default_subnet() -> String {
    "sbn-sandbox".to_owned()
}

fn default_status() -> String {
    RUNNING.to_owned()
}

fn default_mac() -> String {
    "fa:16:00:00:00:01".to_owned()
}

/// What a binding leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum TargetKind {
    /// An instance, through its primary interface.
    #[serde(rename = "SERVER")]
    Server,
    /// One elastic network interface.
    #[serde(rename = "ENI")]
    Eni,
}

impl TargetKind {
    /// The API's `instanceType`.
    #[must_use]
    pub const fn api_type(self) -> &'static str {
        match self {
            Self::Server => "SERVER",
            Self::Eni => "ENI",
        }
    }

    /// Reads an `instanceType`.
    #[must_use]
    pub fn from_api(text: &str) -> Option<Self> {
        match text {
            "SERVER" => Some(Self::Server),
            "ENI" => Some(Self::Eni),
            _ => None,
        }
    }
}

/// One entry of a bound list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BoundTarget {
    /// `i-...` or `eni-...`.
    pub id: String,
    /// Which of the two.
    #[serde(rename = "type")]
    pub kind: TargetKind,
}

//! What this node is to the cloud, when the configuration does not say.

use super::{CallClass, CallError, Client, MetadataError};
use crate::clock;
use havipd_core::model::ids::{EniId, InstanceId, Target};
use havipd_core::model::time::Instant;

/// Why a node could not find out what it is. Every text says what to configure instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DiscoveryError {
    /// The metadata service did not say.
    #[error("{0}; set instance or eni in this [[node]]")]
    Metadata(#[from] MetadataError),
    /// The list of interfaces could not be read.
    #[error("{0}; set eni in this [[node]]")]
    Call(#[from] CallError),
    /// No interface has that MAC address.
    #[error(
        "no ENI of {instance} has the MAC address {mac} (it has {found}): the primary interface has none, bind the \
         instance instead; or set eni in this [[node]]"
    )]
    NoSuchMac {
        /// The address that was looked for.
        mac: String,
        /// The instance.
        instance: InstanceId,
        /// The addresses found, or "none".
        found: String,
    },
    /// Time ran out.
    #[error("no answer in time; set instance or eni in this [[node]]")]
    TimedOut,
}

impl Client {
    /// What this node is: its instance, or, given the MAC address of an interface (any case), that interface's ENI.
    ///
    /// # Errors
    /// [`DiscoveryError`].
    pub async fn discover_target(&self, mac: Option<&str>, deadline: Instant) -> Result<Target, DiscoveryError> {
        let find = async {
            let instance = self.metadata().instance().await?;
            let Some(mac) = mac else { return Ok(Target::Instance(instance)) };
            let vpc = self.metadata().vpc().await?;
            let enis = self.enis(&vpc, Some(&instance), CallClass::Standby, deadline).await?;
            let ours = |mac_address: &str| mac_address.trim().eq_ignore_ascii_case(mac.trim());
            if let Some(id) = enis.iter().filter(|e| ours(&e.mac_address)).find_map(|e| e.eni_id.parse::<EniId>().ok())
            {
                return Ok(Target::Eni(id));
            }
            let found: Vec<&str> = enis.iter().map(|e| e.mac_address.as_str()).collect();
            let found = if found.is_empty() { "none".to_owned() } else { found.join(", ") };
            Err(DiscoveryError::NoSuchMac { mac: mac.to_owned(), instance, found })
        };
        clock::timeout_at(deadline, find).await.unwrap_or(Err(DiscoveryError::TimedOut))
    }
}

//! The calls of the API that the client makes, and the permission that each of them needs.
//!
//! Everything that names a call or a permission goes by this table: metrics, errors, `doctor`, and the page
//! `docs/permissions.md`, which a test compares with it.

use std::fmt;

/// One kind of call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// The HAVIPs of a VPC, or of all.
    ListHavips,
    /// One HAVIP.
    ReadHavip,
    /// Bind targets to a HAVIP.
    Attach,
    /// Unbind targets from a HAVIP.
    Detach,
    /// The interfaces of a VPC, or of an instance in it.
    ListEnis,
    /// One interface.
    ReadEni,
    /// One instance.
    ReadInstance,
    /// The instances of a VPC; only `havipctl init` lists them.
    ListInstances,
}

/// A permission as a policy of the cloud's access management (IAM) names it.
///
/// The vendor documents no permission names for HAVIPs: those here follow the pattern of the names that its own tools use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permission {
    /// Member `service` of the policy.
    pub service: &'static str,
    /// Entry of the policy's member `permission`.
    pub name: &'static str,
    /// Whether the name was found nowhere and is only likely.
    pub inferred: bool,
}

impl Operation {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::ListHavips,
        Self::ReadHavip,
        Self::Attach,
        Self::Detach,
        Self::ListEnis,
        Self::ReadEni,
        Self::ReadInstance,
        Self::ListInstances,
    ];

    /// Its name in metrics.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::ListHavips => "list-havips",
            Self::ReadHavip => "read-havip",
            Self::Attach => "attach",
            Self::Detach => "detach",
            Self::ListEnis => "list-enis",
            Self::ReadEni => "read-eni",
            Self::ReadInstance => "read-instance",
            Self::ListInstances => "list-instances",
        }
    }

    /// Method and path, as the vendor documents them.
    #[must_use]
    pub const fn request(self) -> &'static str {
        match self {
            Self::ListHavips => "GET /v1/havip",
            Self::ReadHavip => "GET /v1/havip/{haVipId}",
            Self::Attach => "PUT /v1/havip/{haVipId}?attach",
            Self::Detach => "PUT /v1/havip/{haVipId}?detach",
            Self::ListEnis => "GET /v1/eni",
            Self::ReadEni => "GET /v1/eni/{eniId}",
            Self::ReadInstance => "GET /v2/instance/{instanceId}",
            Self::ListInstances => "GET /v2/instance",
        }
    }

    /// Whether it changes anything in the cloud.
    #[must_use]
    pub const fn is_write(self) -> bool {
        matches!(self, Self::Attach | Self::Detach)
    }

    /// What the user or role that makes the call must be allowed.
    #[must_use]
    pub const fn permission(self) -> Permission {
        let (service, name, inferred) = match self {
            Self::ListHavips | Self::ReadHavip => ("bce:network", "HAVIP_READ", true),
            Self::Attach | Self::Detach => ("bce:network", "HAVIP_OPERATE", true),
            Self::ListEnis | Self::ReadEni => ("bce:network", "ENIC_READ", false),
            Self::ReadInstance | Self::ListInstances => ("bce:bcc", "BCC_READ", false),
        };
        Permission { service, name, inferred }
    }
}

/// For errors and remedies: which permission is missing, and how sure its name is.
impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { service, name, inferred } = self;
        let doubt = if *inferred { " (the vendor does not document the name)" } else { "" };
        write!(f, "{name} of {service}{doubt}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permission_says_how_sure_its_name_is() {
        let told = |operation: Operation| operation.permission().to_string();
        assert_eq!(told(Operation::Attach), "HAVIP_OPERATE of bce:network (the vendor does not document the name)");
        assert_eq!(told(Operation::ReadInstance), "BCC_READ of bce:bcc");
    }
}

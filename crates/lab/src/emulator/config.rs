//! What an emulator is started with.

use crate::simulation::cloud::{HavipSpec, InstanceSpec, Profile, World};
use havipd_core::model::secret::Secret;
use serde::{Deserialize, Deserializer, Serialize};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// What an access key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Permission {
    /// Everything.
    #[default]
    Full,
    /// Reads; attach and detach are `AccessDenied`.
    ReadOnly,
    /// Nothing: every call is `AccessDenied`.
    Nothing,
}

/// One access key.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct KeyConfig {
    /// Access key id.
    pub access_key: String,
    /// Secret access key.
    #[serde(deserialize_with = "secret")]
    pub secret_key: Secret,
    /// Present if the key is temporary: calls must carry and sign it.
    #[serde(default)]
    pub session_token: Option<String>,
    /// The node that uses it, by name; only fault rules and the call log care.
    #[serde(default)]
    pub node: Option<String>,
    /// What it may do.
    #[serde(default)]
    pub permission: Permission,
}

/// One node of the cluster under test: how metadata tells it apart.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct NodeConfig {
    /// Its name.
    pub name: String,
    /// The instance that it is.
    pub instance: String,
    /// The interface that it binds, if not the instance.
    #[serde(default)]
    pub eni: Option<String>,
    /// Source addresses by which the main listener knows it.
    #[serde(default)]
    pub addresses: Vec<IpAddr>,
    /// A listener that answers metadata for this node alone; port 0 takes any.
    #[serde(default)]
    pub metadata_listen: Option<SocketAddr>,
    /// Whether its instance has a role, whose credentials metadata gives out.
    #[serde(default)]
    pub role: bool,
}

/// How the undocumented `sts-credential` document names its members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CredentialStyle {
    /// `accessKeyId`, `secretAccessKey`, `sessionToken`, `expiration`.
    #[default]
    CamelCase,
    /// `access_key_id`, `secret_access_key`, `session_token`, `expiration`.
    SnakeCase,
    /// `accessKeyId`, `accessKeySecret`, `securityToken`, `expiration`.
    SecurityToken,
}

/// Certificate and key of the server, PEM files.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct TlsConfig {
    /// Certificate chain.
    pub certificate: PathBuf,
    /// Private key.
    pub key: PathBuf,
}

/// Everything that an emulator is started with.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct EmulatorConfig {
    /// Where the API and the control API listen; port 0 takes any.
    pub listen: SocketAddr,
    /// Name of the preset to start with.
    #[serde(default, deserialize_with = "profile")]
    pub profile: Profile,
    /// Seed for chances, request ids and issued credentials.
    #[serde(default)]
    pub seed: u64,
    /// What exists.
    #[serde(default)]
    pub world: World,
    /// Access keys that are known from the start.
    #[serde(default)]
    pub keys: Vec<KeyConfig>,
    /// Nodes that metadata serves.
    #[serde(default)]
    pub nodes: Vec<NodeConfig>,
    /// https on the main listener; metadata listeners are always http.
    #[serde(default)]
    pub tls: Option<TlsConfig>,
    /// Program to run when packets go elsewhere; HAVIP, address and target ("" for none) are appended.
    #[serde(default)]
    pub on_change: Vec<String>,
    /// How the credential document looks.
    #[serde(default)]
    pub credential_style: CredentialStyle,
    /// Seconds that credentials of a role last.
    #[serde(default = "default_credential_lifetime")]
    pub credential_lifetime: i64,
    /// Seconds after which metadata gives out new ones.
    #[serde(default = "default_credential_refresh")]
    pub credential_refresh: i64,
}

fn default_credential_lifetime() -> i64 {
    3600
}

fn default_credential_refresh() -> i64 {
    300
}

fn secret<'de, D: Deserializer<'de>>(d: D) -> Result<Secret, D::Error> {
    String::deserialize(d).map(Secret::from)
}

fn profile<'de, D: Deserializer<'de>>(d: D) -> Result<Profile, D::Error> {
    String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
}

impl EmulatorConfig {
    /// An empty region that listens on `listen`.
    #[must_use]
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            profile: Profile::default(),
            seed: 0,
            world: World::default(),
            keys: Vec::new(),
            nodes: Vec::new(),
            tls: None,
            on_change: Vec::new(),
            credential_style: CredentialStyle::default(),
            credential_lifetime: default_credential_lifetime(),
            credential_refresh: default_credential_refresh(),
        }
    }

    /// Adds node `name`: instance `i-NAME` with that address, access key `ak-NAME` with secret `sk-NAME`.
    #[must_use]
    pub fn with_node(mut self, name: &str, address: Ipv4Addr) -> Self {
        let instance = InstanceSpec::new(&format!("i-{name}"), address);
        self.nodes.push(NodeConfig {
            name: name.to_owned(),
            instance: instance.id.clone(),
            eni: None,
            addresses: vec![address.into()],
            metadata_listen: None,
            role: false,
        });
        self.world.instances.push(InstanceSpec { name: name.to_owned(), ..instance });
        self.keys.push(KeyConfig {
            access_key: format!("ak-{name}"),
            secret_key: Secret::from(format!("sk-{name}")),
            session_token: None,
            node: Some(name.to_owned()),
            permission: Permission::Full,
        });
        self
    }

    /// Adds a HAVIP.
    #[must_use]
    pub fn with_havip(mut self, id: &str, address: Ipv4Addr) -> Self {
        self.world.havips.push(HavipSpec::new(id, address));
        self
    }

    /// Starts with another profile.
    #[must_use]
    pub fn with_profile(mut self, profile: Profile) -> Self {
        self.profile = profile;
        self
    }
}

//! What the metadata service and the API say. All of it reads, and every call has an end.

use super::Reach;
use crate::clock;
use crate::cloud::client::Client;
use crate::cloud::credentials;
use crate::cloud::metadata::{Metadata, MetadataError};
use crate::control::protocol::{Code, Response};
use crate::ctl::oneshot::call::{again, bare, code};
use crate::doctor::cloud::{Obstacle, SKEW_NOTED, obstacle};
use crate::plain;
use havipd_core::model::cloud::{CallClass, CallError, HaVip, InstanceEntry};
use havipd_core::model::ids::{EniId, InstanceId};
use havipd_core::model::settings::{Cloud, CredentialSource};
use havipd_core::model::time::Instant;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Between two attempts of the metadata service.
const PAUSE: Duration = Duration::from_millis(300);
/// What bce-cli's or our own file is called beside havipd.toml.
const CREDENTIALS: &str = "credentials.toml";

/// Where the keys come from that the API was asked with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Keys {
    /// A file that the daemon reads as well.
    File(PathBuf),
    /// The environment of this shell, which the service does not have.
    Environment,
    /// A profile of this user's bce-cli, which the service does not read.
    Profile(PathBuf),
    /// The role of this instance.
    Role,
}

/// Everything that was found.
pub(super) struct Found {
    pub(super) client: Client,
    pub(super) cloud: Cloud,
    pub(super) keys: Keys,
    /// Whether the instance's role gives keys; looked at where the service cannot have those that were used.
    pub(super) role: Option<Result<(), String>>,
    pub(super) vpc: String,
    pub(super) instance: InstanceId,
    pub(super) address: IpAddr,
    pub(super) havips: Vec<HaVip>,
    /// Every instance of the VPC; not everybody may list them.
    pub(super) instances: Result<Vec<InstanceEntry>, CallError>,
    /// The cloud's clock minus ours, seconds.
    pub(super) skew: i64,
    patience: Duration,
}

impl Found {
    /// Asks for everything, for a file at `out`.
    pub(super) async fn of(reach: &Reach, out: &Path) -> Result<Self, Response> {
        let mut cloud = bare(None);
        if let Some(metadata) = &reach.metadata_endpoint {
            cloud.metadata_endpoint = metadata.trim_end_matches('/').to_owned();
        }
        cloud.ca_file.clone_from(&reach.ca_file);
        cloud.endpoint = reach.endpoint.as_ref().map(|e| e.trim_end_matches('/').to_owned());
        let patience = reach.timeout;
        let metadata = Metadata::new(&cloud.metadata_endpoint).map_err(|e| Response::new(Code::Configuration, e))?;
        let ask = async |given: Option<String>, key: MetadataKey, flag: &'static str| match given {
            Some(given) => Ok(given),
            None => from_metadata(&metadata, key, patience).await.map_err(|e| (flag, e)),
        };
        let (instance, vpc, address, region) = tokio::join!(
            ask(reach.instance.as_ref().map(ToString::to_string), MetadataKey::Instance, "--instance"),
            ask(reach.vpc.clone(), MetadataKey::Vpc, "--vpc"),
            ask(reach.address.map(|ip| ip.to_string()), MetadataKey::Address, "--address"),
            ask(reach.region.clone(), MetadataKey::Region, "--region"),
        );
        // With an endpoint, the region is only a name.
        let region = if cloud.endpoint.is_some() { region.map(Some).or(Ok(None)) } else { region.map(Some) };
        let (instance, vpc, address, region) = match (instance, vpc, address, region) {
            (Ok(instance), Ok(vpc), Ok(address), Ok(region)) => (instance, vpc, address, region),
            (instance, vpc, address, region) => {
                let failed = [instance.err(), vpc.err(), address.err(), region.err()];
                return Err(no_metadata(&cloud.metadata_endpoint, failed.into_iter().flatten().collect()));
            }
        };
        let unfit = |what: &str| Response::new(Code::Usage, format!("{} is not {what}", plain::quote(&instance)));
        let instance = instance.parse().map_err(|_| unfit("an instance id"))?;
        let address = address.parse().map_err(|_| unfit("an address"))?;
        cloud.region = region;
        let keys = keys(reach, out);
        cloud.credentials = match &keys {
            Keys::File(path) | Keys::Profile(path) => CredentialSource::File(path.clone()),
            Keys::Environment => CredentialSource::Env,
            Keys::Role => CredentialSource::InstanceRole,
        };
        let client = Client::new(&cloud).map_err(|e| Response::new(Code::Configuration, e.to_string()))?;
        let deadline = clock::now() + patience;
        let havips = again(deadline, || client.havips(Some(&vpc), CallClass::Background, deadline)).await;
        let havips = havips.map_err(|e| refused(&e, "GET /v1/havip (list HAVIPs)", &client))?;
        if havips.is_empty() {
            let text = format!(
                "{vpc} has no HAVIP{}: create one in the console, in the subnet of the nodes, then run this again",
                cloud.region.as_ref().map_or_else(String::new, |region| format!(" in region {region}"))
            );
            return Err(Response::new(Code::No, text));
        }
        let deadline = clock::now() + patience;
        let instances = again(deadline, || client.instances(&vpc, CallClass::Background, deadline)).await;
        let role = match keys {
            Keys::Environment | Keys::Profile(_) => {
                Some(client.metadata().role_credentials().await.map(drop).map_err(|e| e.to_string()))
            }
            Keys::File(_) | Keys::Role => None,
        };
        let skew = client.clock_skew();
        Ok(Self { client, cloud, keys, role, vpc, instance, address, havips, instances, skew, patience })
    }

    /// One instance, by its own page.
    pub(super) async fn instance(&self, id: &InstanceId) -> Result<InstanceEntry, CallError> {
        let deadline = self.deadline();
        again(deadline, || self.client.instance_entry(id, CallClass::Background, deadline)).await
    }

    /// The instance that an interface is mounted on, if the cloud says so.
    pub(super) async fn mounted_on(&self, id: &str) -> Option<String> {
        let eni: EniId = id.parse().ok()?;
        let deadline = self.deadline();
        let found = self.client.eni(&eni, CallClass::Background, deadline).await.ok()?;
        Some(found.instance_id).filter(|id| !id.is_empty())
    }

    /// Whether somebody should look at the clock.
    pub(super) const fn clock_is_off(&self) -> bool {
        self.skew.unsigned_abs() >= SKEW_NOTED
    }

    fn deadline(&self) -> Instant {
        clock::now() + self.patience
    }
}

/// Where the daemon would take its keys from, and where else somebody who sets it up has some.
fn keys(reach: &Reach, out: &Path) -> Keys {
    let env = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
    let set = ["BCE_ACCESS_KEY_ID", "BCE_SECRET_ACCESS_KEY", "BAIDUCLOUD_ACCESS_KEY", "BAIDUCLOUD_SECRET_KEY"];
    let beside = out.with_file_name(CREDENTIALS);
    let profile = env("HOME").map(|home| credentials::of_bce_cli(Path::new(&home)));
    match (&reach.credentials, profile) {
        (Some(file), _) => Keys::File(std::path::absolute(file).unwrap_or_else(|_| file.clone())),
        _ if set.into_iter().any(|name| env(name).is_some()) => Keys::Environment,
        _ if beside.exists() => Keys::File(beside),
        (None, Some(profile)) if profile.exists() => Keys::Profile(profile),
        _ => Keys::Role,
    }
}

#[derive(Debug, Clone, Copy)]
enum MetadataKey {
    Instance,
    Vpc,
    Address,
    Region,
}

/// Asks until there is an answer that will not change by itself, or time is up.
async fn from_metadata(metadata: &Metadata, key: MetadataKey, patience: Duration) -> Result<String, MetadataError> {
    let deadline = clock::now() + patience;
    loop {
        let answer = match key {
            MetadataKey::Instance => metadata.instance().await.map(|id| id.to_string()),
            MetadataKey::Vpc => metadata.vpc().await,
            MetadataKey::Address => metadata.address().await.map(|ip| ip.to_string()),
            MetadataKey::Region => metadata.region().await,
        };
        match answer {
            Err(MetadataError::Status { status: 429 | 500.., .. }) if clock::now() + PAUSE < deadline => {
                tokio::time::sleep(PAUSE).await;
            }
            answer => return answer,
        }
    }
}

/// Why there is nothing to begin with, and what to say instead.
fn no_metadata(endpoint: &str, failed: Vec<(&'static str, MetadataError)>) -> Response {
    let flags: Vec<&str> = failed.iter().map(|(flag, _)| *flag).collect();
    let instead = format!("run it on a node, or say {}", list(&flags));
    let endpoint = plain::quote_url(endpoint);
    let Some((_, error)) = failed.into_iter().next() else { return Response::new(Code::No, instead) };
    match &error {
        MetadataError::Unreachable { detail, .. } => {
            let text = format!(
                "no metadata service answers at {endpoint} ({detail}): this host is no instance of Baidu AI Cloud, or something \
                 on it blocks the way; {instead}"
            );
            Response::new(Code::Unreachable, text)
        }
        MetadataError::Status { status: 429 | 500.., .. } => {
            Response::new(Code::TryAgain, format!("{error}; try again, or say {}", list(&flags)))
        }
        MetadataError::Status { .. } | MetadataError::NotProvided { .. } | MetadataError::Malformed { .. } => {
            let text = format!(
                "a metadata service answers at {endpoint}, but not as that of Baidu AI Cloud does ({error}): this host may be in \
                 another cloud; {instead}"
            );
            Response::new(Code::No, text)
        }
    }
}

/// A call of `action` that did not work, with what to do about it.
pub(super) fn refused(error: &CallError, action: &str, client: &Client) -> Response {
    let source = client.credential_source();
    let remedy = match obstacle(error) {
        Some(Obstacle::Unreachable) => {
            "look at --region or --endpoint, DNS, the route and the firewall for TCP 443; a node without a public address needs NAT \
             or an endpoint of its VPC"
                .to_owned()
        }
        Some(Obstacle::Credentials) => format!(
            "the keys are those of {}: attach a role to this instance, or give --credentials FILE",
            match source {
                "env" => "this shell's environment",
                "file" => "the credentials file",
                _ => "the instance's role",
            }
        ),
        Some(Obstacle::Permission) => format!("allow {action} to the user or role whose keys these are ({source})"),
        Some(Obstacle::Clock) => {
            "set this host's clock: chronyc makestep, or systemctl restart systemd-timesyncd".to_owned()
        }
        Some(Obstacle::Busy) => "try again in a minute".to_owned(),
        None => "the text has the cloud's reason".to_owned(),
    };
    Response::new(code(error), format!("{error}; {remedy}"))
}

/// Words in a row.
pub(super) fn list(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(error: MetadataError) -> Response {
        no_metadata("http://169.254.169.254", vec![("--instance", error.clone()), ("--vpc", error)])
    }

    #[test]
    fn no_service_and_another_cloud_are_told_apart() {
        let url = || "http://169.254.169.254/1.0/meta-data/instance-shortid".to_owned();
        let none = told(MetadataError::Unreachable { url: url(), detail: "connection refused".to_owned() });
        assert!(none.code == Code::Unreachable && none.message.contains("no metadata service answers"), "{none:?}");
        for other in [
            MetadataError::Status { url: url(), status: 404 },
            MetadataError::NotProvided { url: url() },
            MetadataError::Malformed { url: url(), detail: "\"<html>\" is no address".to_owned() },
        ] {
            let other = told(other);
            assert!(other.code == Code::No && other.message.contains("may be in another cloud"), "{other:?}");
            assert!(other.message.ends_with("run it on a node, or say --instance and --vpc"), "{other:?}");
        }
        assert_eq!(told(MetadataError::Status { url: url(), status: 503 }).code, Code::TryAgain);
    }
}

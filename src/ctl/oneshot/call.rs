//! What the calls need: settings, the target, and the meaning of an error for the exit code.

use super::{Reach, Which};
use crate::clock;
use crate::cloud::client::{Client, ClientError, DiscoveryError};
use crate::cloud::credentials;
use crate::cloud::metadata::MetadataError;
use crate::config::LoadError;
use crate::control::protocol::{Code, Response};
use crate::runtime::identity;
use crate::runtime::reload::{Known, load};
use havipd_core::model::cloud::{CallError, ErrorClass};
use havipd_core::model::ids::Target;
use havipd_core::model::settings::{Cloud, Config, CredentialSource};
use havipd_core::model::time::Instant;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where the package puts the file.
const CONFIG: &str = "/etc/havipd/havipd.toml";
/// Between two attempts of a call that failed and may work the next time.
const PAUSE: Duration = Duration::from_millis(300);

/// A client, and the configuration if there is one.
pub(super) fn settings(reach: &Reach) -> Result<(Client, Option<Config>), Response> {
    let without_file = reach.region.is_some() || reach.endpoint.is_some();
    let env = |name: &str| std::env::var(name).ok();
    let profiles = env("HOME").map(|home| credentials::of_bce_cli(Path::new(&home))).filter(|path| path.exists());
    let placed = || profiles.is_some() || credentials::region_of(env).is_some();
    let path = match &reach.config {
        Some(path) => Some(path.as_path()),
        None if without_file || (placed() && !Path::new(CONFIG).exists()) => None,
        None => Some(Path::new(CONFIG)),
    };
    let config = path.map(|path| read(path, reach)).transpose()?;
    let mut cloud = config.as_ref().map_or_else(|| bare(profiles), |config| config.cloud.clone());
    if let Some(region) = &reach.region {
        cloud.region = Some(region.clone());
        cloud.endpoint = None;
    }
    if let Some(endpoint) = &reach.endpoint {
        cloud.endpoint = Some(endpoint.trim_end_matches('/').to_owned());
    }
    if let Some(metadata) = &reach.metadata_endpoint {
        cloud.metadata_endpoint = metadata.trim_end_matches('/').to_owned();
    }
    if let Some(file) = &reach.credentials {
        cloud.credentials = CredentialSource::File(file.clone());
    }
    let client = Client::new(&cloud).map_err(|e: ClientError| Response::new(Code::Configuration, e.to_string()))?;
    Ok((client, config))
}

fn read(path: &Path, reach: &Reach) -> Result<Config, Response> {
    let hint = match reach.config {
        None => "; without that file say --region, and for attach and detach --instance, --eni or --self",
        Some(_) => "",
    };
    match load(path, reach.node.clone(), &Known::default()) {
        Ok(loaded) => Ok(loaded.config),
        Err(LoadError::Invalid(all)) => Err(Response::new(Code::Configuration, format!("{all}{hint}"))),
        Err(LoadError::NotYet { unplaced, .. }) => Err(Response::new(
            Code::Configuration,
            format!("{}: {unplaced}; say which node this is with --node{hint}", path.display()),
        )),
    }
}

/// `[cloud]` of a file that says nothing about it. Keys are in the environment, or in bce-cli's `profiles`.
pub(in crate::ctl) fn bare(profiles: Option<PathBuf>) -> Cloud {
    Cloud {
        region: None,
        endpoint: None,
        metadata_endpoint: "http://169.254.169.254".to_owned(),
        ca_file: None,
        connect_timeout: Duration::from_secs(1),
        request_timeout: Duration::from_secs(3),
        operation_timeout: Duration::from_secs(20),
        audit_interval: Duration::from_secs(30),
        requests_per_second: None,
        credentials: CredentialSource::Auto { file: profiles },
    }
}

/// The target, and whether it is known to be this host.
pub(super) async fn target(
    which: &Which,
    config: Option<&Config>,
    client: &Client,
    deadline: Instant,
) -> Result<(Target, bool), Response> {
    if let Some(id) = &which.instance {
        return Ok((Target::Instance(id.clone()), false));
    }
    if let Some(id) = &which.eni {
        return Ok((Target::Eni(id.clone()), false));
    }
    let unknown = |e: String| Response::new(Code::Unreachable, format!("cannot tell what this host is: {e}"));
    match config.filter(|_| !which.this) {
        None => discover(client, deadline).await.map(|t| (t, true)).map_err(|e| unknown(e.to_string())),
        Some(config) if config.local_node().witness => {
            let text = format!("node {} is a witness: it never has a HAVIP", config.local_node().name);
            Err(Response::new(Code::Usage, text))
        }
        Some(config) => match &config.local_node().target {
            Some(target) => Ok((target.clone(), true)),
            None => identity::target_of(config, client, deadline).await.map(|t| (t, true)).map_err(unknown),
        },
    }
}

/// Asks the metadata service until it answers, or time is up.
async fn discover(client: &Client, deadline: Instant) -> Result<Target, DiscoveryError> {
    loop {
        match client.discover_target(None, deadline).await {
            Err(DiscoveryError::Metadata(
                MetadataError::Unreachable { .. } | MetadataError::Status { status: 429 | 500.., .. },
            )) if clock::now() + PAUSE < deadline => tokio::time::sleep(PAUSE).await,
            other => return other,
        }
    }
}

/// Tries until it works, is refused, or time is up. What the cloud said, or why it could not be reached, is not hidden by
/// a last attempt for which no time was left.
pub(in crate::ctl) async fn again<T, F>(deadline: Instant, mut attempt: impl FnMut() -> F) -> Result<T, CallError>
where
    F: Future<Output = Result<T, CallError>>,
{
    let mut first_cause = None;
    loop {
        match attempt().await {
            Err(error) if matches!(error.class, ErrorClass::Retry | ErrorClass::NotSent) && !error.denied => {
                let pause = error.retry_after.unwrap_or_default().max(PAUSE);
                if !error.is_not_sent() || first_cause.is_none() {
                    first_cause = Some(error);
                }
                if clock::now() + pause >= deadline
                    && let Some(error) = first_cause
                {
                    return Err(error);
                }
                tokio::time::sleep(pause).await;
            }
            other => return other,
        }
    }
}

/// What an error means for the caller of `havipctl`.
pub(in crate::ctl) fn code(error: &CallError) -> Code {
    match error.class {
        ErrorClass::Refused if error.denied => Code::Permission,
        ErrorClass::Refused => Code::No,
        _ if error.status.is_some() => Code::TryAgain,
        _ => Code::Unreachable,
    }
}

/// The answer that an error is.
pub(super) fn failed(error: &CallError) -> Response {
    Response::new(code(error), error.to_string())
}

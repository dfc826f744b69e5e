//! With which key the cloud is called: environment, file, or the instance's role.
//!
//! Whatever the source, a key that is still good is never given up because its source is
//! unreachable or half-written just now: a claim must not fail for that.

mod file;
mod role;

use super::metadata::{Metadata, MetadataError};
use havipd_core::model::secret::Secret;
use havipd_core::model::settings::CredentialSource;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One key, permanent or temporary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Names the key; goes out with every call.
    pub access_key_id: String,
    /// Signs; never goes out.
    pub secret_access_key: Secret,
    /// Goes out, signed, with every call made with a temporary key.
    pub session_token: Option<Secret>,
    /// When a temporary key ends, seconds since 1970, if its source says so.
    pub expires: Option<i64>,
    /// The region that it is used in, if its source says so.
    pub region: Option<String>,
}

impl Credentials {
    /// Reads what the metadata service says of an instance role: JSON whose members the vendor does not
    /// document, in any plausible spelling, at the top or one level down.
    ///
    /// # Errors
    /// [`CredentialError::RoleMember`] names what is missing.
    pub fn of_role(json: &[u8]) -> Result<Self, CredentialError> {
        role::parse(json)
    }

    /// Reads the text of the credentials file at `path`, which is only named in errors.
    ///
    /// # Errors
    /// [`CredentialError::File`], without any of the text.
    pub fn of_file(path: &Path, text: &str) -> Result<Self, CredentialError> {
        file::parse(path, text)
    }
}

/// Whether this is the content of a credentials file, as the daemon will read it.
///
/// # Errors
/// What is wrong with it, without the path and without any of what is in it.
pub fn check(path: &Path, content: &Secret) -> Result<(), String> {
    let text = content.expose_str().ok_or("is not UTF-8")?;
    file::parse(path, text).map(drop).map_err(|error| match error {
        CredentialError::File { detail, .. } => detail,
        other => other.to_string(),
    })
}

/// Why there is no key. Every text says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// `source = "env"`, and nothing is set.
    #[error("no credentials in the environment: set BCE_ACCESS_KEY_ID and BCE_SECRET_ACCESS_KEY for the service")]
    NotInEnvironment,
    /// Only half of a key is set.
    #[error("{present} is set but {absent} is not: set both, or neither")]
    HalfInEnvironment {
        /// The variable that is set.
        present: &'static str,
        /// The one that is not.
        absent: &'static str,
    },
    /// The file cannot be used.
    #[error("credentials file {} {detail}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        detail: String,
    },
    /// The instance's role gives none.
    #[error("no credentials from the instance role: {0}; attach a role to this instance, or set cloud.credentials")]
    Role(#[from] MetadataError),
    /// The role's answer was not understood.
    #[error("no credentials from the instance role: its answer has no {0}; set cloud.credentials to another source")]
    RoleMember(&'static str),
    /// The temporary key has ended, and no new one can be had.
    #[error("the temporary credentials have expired, and no new ones can be had: {0}")]
    Expired(String),
}

impl CredentialError {
    /// Whether it may pass by itself, without anybody changing anything.
    #[must_use]
    pub const fn is_temporary(&self) -> bool {
        matches!(
            self,
            Self::Role(MetadataError::Unreachable { .. } | MetadataError::Status { status: 429 | 500.., .. })
                | Self::Expired(_)
        )
    }
}

/// Where keys come from; remembers the last good one.
#[derive(Debug)]
pub struct Provider {
    source: Source,
    /// The region that the environment names.
    region: Option<String>,
}

#[derive(Debug)]
enum Source {
    Environment(Arc<Credentials>),
    NoEnvironment(CredentialError),
    File(file::FileSource),
    Role(role::RoleSource),
}

impl Provider {
    /// Settles on a source; `env` reads environment variables, `metadata` serves an instance role.
    ///
    /// Never fails: a source that is not usable now may become so without a restart, and says what
    /// is wrong with it when it is asked.
    pub fn new(source: &CredentialSource, env: impl Fn(&str) -> Option<String>, metadata: Metadata) -> Self {
        let from_environment = |found| match found {
            Ok(Some(key)) => Source::Environment(Arc::new(key)),
            Ok(None) => Source::NoEnvironment(CredentialError::NotInEnvironment),
            Err(error) => Source::NoEnvironment(error),
        };
        let region = region_of(&env);
        let source = match source {
            CredentialSource::Env => from_environment(environment(&env)),
            CredentialSource::File(path) => Source::File(file::FileSource::new(path.clone())),
            CredentialSource::InstanceRole => Source::Role(role::RoleSource::new(metadata)),
            CredentialSource::Auto { file } => match (environment(&env), file) {
                (Ok(None), Some(path)) => Source::File(file::FileSource::new(path.clone())),
                (Ok(None), None) => Source::Role(role::RoleSource::new(metadata)),
                (found, _) => from_environment(found),
            },
        };
        Self { source, region }
    }

    /// The region that goes with the keys: as the environment says, else as their file does.
    pub async fn region(&self) -> Option<String> {
        match &self.source {
            _ if self.region.is_some() => self.region.clone(),
            Source::File(file) => file.current().await.ok()?.region.clone(),
            Source::Environment(_) | Source::NoEnvironment(_) | Source::Role(_) => None,
        }
    }

    /// Which source it is, in the words of `cloud.credentials.source`.
    #[must_use]
    pub const fn source(&self) -> &'static str {
        match self.source {
            Source::Environment(_) | Source::NoEnvironment(_) => "env",
            Source::File(_) => "file",
            Source::Role(_) => "instance-role",
        }
    }

    /// When the last key ends, seconds since 1970, if it does and its source says so.
    #[must_use]
    pub fn end(&self) -> Option<i64> {
        match &self.source {
            Source::Role(role) => role.end(),
            Source::Environment(_) | Source::NoEnvironment(_) | Source::File(_) => None,
        }
    }

    /// The key to use at `now`, seconds since 1970 by the cloud's clock.
    ///
    /// Reads a file again when it has changed; asks for a role's next key ahead of time.
    ///
    /// # Errors
    /// [`CredentialError`] if there is none that could work.
    pub async fn current(&self, now: i64) -> Result<Arc<Credentials>, CredentialError> {
        match &self.source {
            Source::Environment(key) => Ok(Arc::clone(key)),
            Source::NoEnvironment(error) => Err(error.clone()),
            Source::File(file) => file.current().await,
            Source::Role(role) => role.current(now).await,
        }
    }

    /// A key other than `refused`, if the source has one by now.
    ///
    /// # Errors
    /// [`CredentialError`] if the source could not be read.
    pub async fn replacement(&self, refused: &Credentials) -> Result<Option<Arc<Credentials>>, CredentialError> {
        let found = match &self.source {
            Source::Environment(key) => Arc::clone(key),
            Source::NoEnvironment(error) => return Err(error.clone()),
            Source::File(file) => file.reread().await?,
            Source::Role(role) => role.fetch().await?,
        };
        Ok((*found != *refused).then_some(found))
    }
}

/// The first complete key of the environment, `BCE_*` before Terraform's `BAIDUCLOUD_*`.
fn environment(env: &impl Fn(&str) -> Option<String>) -> Result<Option<Credentials>, CredentialError> {
    // The names of the token: ours first, then that of bce-cli.
    const SETS: [(&str, &str, &[&str]); 2] = [
        ("BCE_ACCESS_KEY_ID", "BCE_SECRET_ACCESS_KEY", &["BCE_SESSION_TOKEN", "BCE_SECURITY_TOKEN"]),
        ("BAIDUCLOUD_ACCESS_KEY", "BAIDUCLOUD_SECRET_KEY", &["BAIDUCLOUD_SESSION_TOKEN"]),
    ];
    let value = |name: &str| env(name).map(|v| v.trim().to_owned()).filter(|v| !v.is_empty());
    for (id, secret, tokens) in SETS {
        match (value(id), value(secret)) {
            (None, None) => {}
            (Some(access_key_id), Some(secret)) => {
                return Ok(Some(Credentials {
                    access_key_id,
                    secret_access_key: Secret::from(secret),
                    session_token: tokens.iter().find_map(|token| value(token)).map(Secret::from),
                    expires: None,
                    region: None,
                }));
            }
            (Some(_), None) => return Err(CredentialError::HalfInEnvironment { present: id, absent: secret }),
            (None, Some(_)) => return Err(CredentialError::HalfInEnvironment { present: secret, absent: id }),
        }
    }
    Ok(None)
}

/// The region that the environment names, by bce-cli's variable or Terraform's.
#[must_use]
pub fn region_of(env: impl Fn(&str) -> Option<String>) -> Option<String> {
    let value = |name: &str| env(name).map(|v| v.trim().to_owned()).filter(|v| !v.is_empty());
    ["BCE_REGION", "BAIDUCLOUD_REGION"].into_iter().find_map(value)
}

/// Where bce-cli keeps the profiles of the user with this `home`.
#[must_use]
pub fn of_bce_cli(home: &Path) -> PathBuf {
    home.join(".bce/config.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provider(source: &CredentialSource, vars: &'static [(&str, &str)]) -> Provider {
        let env = |name: &str| vars.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
        Provider::new(source, env, Metadata::new("http://127.0.0.1:9").expect("plain HTTP"))
    }

    const AUTO: CredentialSource = CredentialSource::Auto { file: None };

    #[tokio::test(flavor = "current_thread")]
    async fn the_vendors_variables_come_before_terraforms() {
        const BOTH: &[(&str, &str)] = &[
            ("BAIDUCLOUD_ACCESS_KEY", "tf"),
            ("BAIDUCLOUD_SECRET_KEY", "tf-secret"),
            ("BCE_ACCESS_KEY_ID", "bce"),
            ("BCE_SECRET_ACCESS_KEY", "bce-secret"),
            ("BCE_SESSION_TOKEN", "bce-token"),
        ];
        let key = provider(&AUTO, BOTH).current(0).await.expect("found");
        assert_eq!(key.access_key_id, "bce");
        assert_eq!(key.session_token, Some(Secret::from("bce-token".to_owned())));
        let key = provider(&CredentialSource::Env, &BOTH[..2]).current(0).await.expect("found");
        assert_eq!((key.access_key_id.as_str(), &key.session_token), ("tf", &None));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn either_name_of_the_token_and_the_region_is_understood() {
        const KEY: [(&str, &str); 2] = [("BCE_ACCESS_KEY_ID", "ak"), ("BCE_SECRET_ACCESS_KEY", "sk")];
        let of = |more: &'static [(&'static str, &'static str)]| {
            let vars: Vec<_> = KEY.iter().chain(more).copied().collect();
            let env = move |name: &str| vars.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
            Provider::new(&CredentialSource::Env, env, Metadata::new("http://127.0.0.1:9").expect("plain HTTP"))
        };
        for (more, token, region) in [
            (&[("BCE_SECURITY_TOKEN", "cli"), ("BCE_REGION", "gz")] as &[_], Some("cli"), Some("gz")),
            (&[("BCE_SECURITY_TOKEN", "cli"), ("BCE_SESSION_TOKEN", "ours")], Some("ours"), None),
            (&[("BAIDUCLOUD_REGION", "su"), ("BCE_REGION", " ")], None, Some("su")),
        ] {
            let provider = of(more);
            let key = provider.current(0).await.expect("found");
            assert_eq!(key.session_token.as_ref().and_then(Secret::expose_str), token, "{more:?}");
            assert_eq!(provider.region().await.as_deref(), region, "{more:?}");
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn half_a_key_is_an_error_that_names_the_other_half() {
        let error = provider(&AUTO, &[("BCE_ACCESS_KEY_ID", "x")]).current(0).await.expect_err("half");
        assert_eq!(
            error.to_string(),
            "BCE_ACCESS_KEY_ID is set but BCE_SECRET_ACCESS_KEY is not: set both, or neither"
        );
        let error =
            provider(&CredentialSource::Env, &[("BCE_ACCESS_KEY_ID", " ")]).current(0).await.expect_err("empty");
        assert_eq!(error, CredentialError::NotInEnvironment);
    }

    #[test]
    fn auto_takes_the_file_and_then_the_role() {
        let file = CredentialSource::Auto { file: Some(PathBuf::from("/x")) };
        assert_eq!(provider(&file, &[]).source(), "file");
        assert_eq!(provider(&AUTO, &[]).source(), "instance-role");
        assert_eq!(provider(&file, &[("BCE_ACCESS_KEY_ID", "x"), ("BCE_SECRET_ACCESS_KEY", "y")]).source(), "env");
    }
}

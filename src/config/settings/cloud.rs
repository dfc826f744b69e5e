//! The API of the cloud, and the keys to it.

use super::*;

settings! {
    Cloud
        keys {
            /// Gives the endpoint https://bcc.REGION.baidubce.com. Without it, BCE_REGION of the environment and
            /// bce-cli's profile count, else the metadata service is asked.
            "region" region: String => region {
                takes: region(), example: "bj", reload: Restart,
                cost: "Written down, the start needs no metadata service.",
            }
            /// An endpoint of your own instead: http or https, host and port.
            "endpoint" endpoint: Endpoint {
                takes: endpoint(), example: "https://bcc.bj.baidubce.com", reload: Restart,
                shown: |_, cloud| maybe(cloud.endpoint.as_ref()),
                cost: "Needed for a private endpoint; plain http lets anybody on the way read the calls, though \
                       not the secret key.",
            }
            /// Where the instance learns about itself.
            "metadata-endpoint" metadata_endpoint: Endpoint {
                takes: endpoint(), default: "http://169.254.169.254", reload: Restart,
                shown: |_, cloud| text(&cloud.metadata_endpoint),
                cost: "For tests only: what answers there gives out the node's identity and its credentials.",
            }
            /// Certificates (PEM) that replace the system's.
            "ca-file" ca_file: String {
                takes: path(), example: "ca.pem", reload: Accept,
                shown: |_, cloud| file(cloud.ca_file.as_ref()),
                cost: "Only these certificates are trusted then: safer, until they expire.",
            }
            /// TCP and TLS: {range}.
            "connect-timeout" connect_timeout: Duration => connect_timeout {
                takes: span(ms(50), s(30)), default: "1s", reload: Accept,
                cost: "Shorter gives up a dead address of the endpoint sooner; too short fails on a slow network.",
            }
            /// One attempt, to the last byte of the answer: {range}. Not shorter than connect-timeout.
            "request-timeout" request_timeout: Duration => request_timeout {
                takes: span(ms(100), s(60)), default: "3s", reload: Accept,
                cost: "Shorter tries again sooner; too short repeats calls that the cloud is still carrying out.",
            }
            /// One claim or release with all its retries: {range}. Not shorter than request-timeout.
            "operation-timeout" operation_timeout: Duration => operation_timeout {
                takes: span(s(1), m(10)), default: "20s", reload: Accept,
                cost: "Shorter shows a failing claim sooner; longer lets one client token cover more retries, which \
                       is safer against double writes.",
            }
            /// How often the active node checks that the cloud still agrees: {range}.
            "audit-interval" audit_interval: Duration => audit_interval {
                takes: span(s(1), h(1)), default: "30s", reload: Accept,
                cost: "Shorter repairs what others changed sooner; it costs API calls for as long as the node is \
                       active.",
            }
            /// How many calls this node makes: "adaptive" is as many as the cloud takes without pushing back. A
            /// number, {range}, is a ceiling for everything but claims, which never wait for it.
            "requests-per-second" requests_per_second: Option<f64> => requests_per_second {
                takes: number_or_adaptive(0.1, 1000.0), default: "adaptive", reload: Accept,
                cost: "A ceiling leaves more of the account's own limit to its other users; below 1 a holder that \
                       was superseded unheard learns of it later.",
            }
        }
        tables {
            "credentials" credentials: one Credentials, Absent, Accept;
        }
        of (settings::Cloud), build (cloud: &Cloud, outside: &Outside) {
            endpoint: of(&cloud.endpoint).map(|e| e.url),
            metadata_endpoint: of(&cloud.metadata_endpoint)?.url,
            ca_file: outside.ca_file.clone(),
            credentials: match (of(&cloud.credentials.source)?, outside.credentials_file.clone()) {
                ("env", _) => CredentialSource::Env,
                ("file", Some(path)) => CredentialSource::File(path),
                ("file", None) => return None,
                ("instance-role", _) => CredentialSource::InstanceRole,
                (_, file) => CredentialSource::Auto { file },
            },
        };

    Credentials
        keys {
            /// "auto", "env", "file" or "instance-role". auto: the environment if it has them, else "file" if it is
            /// given, else the role of the instance. env: BCE_ACCESS_KEY_ID, BCE_SECRET_ACCESS_KEY and, for
            /// temporary ones, BCE_SESSION_TOKEN or BCE_SECURITY_TOKEN.
            "source" source: &'static str {
                takes: word(&["auto", "env", "file", "instance-role"]), default: "auto", reload: Accept,
                shown: |_, cloud| text(source_of(&cloud.credentials)),
                cost: "instance-role leaves no secret on disk; file and env work where instances have no role.",
            }
            /// TOML with access-key-id, secret-access-key and, for temporary ones, session-token; or bce-cli's
            /// config.json, whose current profile counts. Nobody but havipd may read it: mode 0600, or 0640 and group
            /// havipd. Read again when it changes.
            "file" file: String {
                takes: path(), example: "credentials.toml", reload: Accept,
                shown: |_, cloud| file(file_of(&cloud.credentials)),
                cost: "A file is taken over when it changes, without a reload; it is one more secret on the disk of \
                       every node.",
            }
        }
        of (settings::Cloud);
}

fn source_of(credentials: &CredentialSource) -> &'static str {
    match credentials {
        CredentialSource::Auto { .. } => "auto",
        CredentialSource::Env => "env",
        CredentialSource::File(_) => "file",
        CredentialSource::InstanceRole => "instance-role",
    }
}

fn file_of(credentials: &CredentialSource) -> Option<&PathBuf> {
    match credentials {
        CredentialSource::Auto { file } => file.as_ref(),
        CredentialSource::File(file) => Some(file),
        CredentialSource::Env | CredentialSource::InstanceRole => None,
    }
}

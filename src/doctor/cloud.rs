//! The way to the cloud: endpoint, credentials, permissions, clock, and what this node is there.

use super::Finding;
use super::facts::{CloudFacts, Facts, LastWrite};
use crate::cloud::client::Operation;
use havipd_core::model::cloud::{CallError, ErrorClass};
use havipd_core::model::event::InstanceState;
use havipd_core::model::ids::Target;

/// Clocks this far apart are worth a word, seconds.
pub(crate) const SKEW_NOTED: u64 = 60;
/// From here on the cloud refuses a signature, seconds.
const SKEW_REFUSED: u64 = 900;

/// All of it.
#[must_use]
pub fn judge(facts: &Facts) -> Vec<Finding> {
    let Some(cloud) = &facts.cloud else {
        return vec![Finding::ok("cloud", "a witness: it never calls the cloud")];
    };
    let mut findings = access(facts, cloud);
    findings.extend(clock(cloud));
    findings.push(identity(facts, cloud));
    findings.extend(region(facts, cloud));
    findings.extend(targets(facts, cloud));
    findings
}

/// What stands in the way of every call, whatever it asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Obstacle {
    Unreachable,
    Credentials,
    Permission,
    Clock,
    Busy,
}

/// The obstacle that an error speaks of; `None`: it is about the object of the call.
pub(crate) fn obstacle(error: &CallError) -> Option<Obstacle> {
    let code = error.code.as_deref().unwrap_or_default();
    Some(match (code, error.status) {
        ("InvalidAccessKeyId" | "SignatureDoesNotMatch", _) => Obstacle::Credentials,
        ("RequestExpired" | "RequestTimeTooSkewed", _) => Obstacle::Clock,
        (_, None) if error.denied => Obstacle::Credentials,
        _ if error.denied => Obstacle::Permission,
        (_, None) => Obstacle::Unreachable,
        _ if matches!(error.class, ErrorClass::Retry | ErrorClass::NotSent) => Obstacle::Busy,
        _ => return None,
    })
}

/// Whether nothing at all answered.
pub(super) fn is_unreachable(error: &CallError) -> bool {
    obstacle(error) == Some(Obstacle::Unreachable)
}

/// One line each for endpoint, credentials and permission to read: the first error speaks for all.
fn access(facts: &Facts, cloud: &CloudFacts) -> Vec<Finding> {
    let errors = cloud.havips.values().filter_map(|r| r.as_ref().err());
    let first = errors.filter_map(|e| Some((obstacle(e)?, e))).next();
    let millis = cloud.took.as_millis();
    let reached = Finding::ok("cloud.endpoint", format!("the API answers, the first call after {millis} ms"));
    let signed = Finding::ok("cloud.credentials", format!("the cloud accepts the credentials ({})", cloud.source));
    let Some((obstacle, error)) = first else {
        let mut findings = vec![reached, signed, Finding::ok("cloud.permissions", "reading the HAVIPs is allowed")];
        findings.extend(writes(facts));
        return findings;
    };
    let text = error.to_string();
    match obstacle {
        Obstacle::Unreachable if let Some(at) = &cloud.without_tls => {
            let text =
                format!("{text}; but {at} answers plain HTTP: this region may not serve HTTPS, or a proxy answers");
            let remedy = "set cloud.endpoint to an address that serves HTTPS, as a private endpoint of the VPC does; an \
                          http:// one shows every call to anybody on the way, though not the secret key";
            vec![Finding::failed("cloud.endpoint", text, remedy)]
        }
        Obstacle::Unreachable => {
            let remedy = "check cloud.region or cloud.endpoint, DNS, the route and the firewall for TCP 443, and cloud.ca-file; \
                          without a public address the host needs a service endpoint or NAT";
            vec![Finding::failed("cloud.endpoint", text, remedy)]
        }
        Obstacle::Credentials => {
            let remedy = "put the access key that the console shows into cloud.credentials (the service's environment wins \
                          over the file), or attach a role to the instance";
            vec![reached_if_answered(error, reached), Some(Finding::failed("cloud.credentials", text, remedy))]
                .into_iter()
                .flatten()
                .collect()
        }
        Obstacle::Permission => {
            let (read, write) = (Operation::ReadHavip.permission(), Operation::Attach.permission());
            let remedy = format!(
                "allow the user or role of cloud.credentials {}, and for attach and detach {}: permissions.md has the whole policy",
                read.name, write.name
            );
            vec![reached, signed, Finding::failed("cloud.permissions", text, remedy)]
        }
        // `clock` has the words for it.
        Obstacle::Clock => vec![reached],
        Obstacle::Busy => {
            let remedy =
                "try again in a minute; if it stays so, lower cloud.requests-per-second or ask the cloud's support";
            vec![Finding::warning("cloud.endpoint", text, remedy)]
        }
    }
}

fn reached_if_answered(error: &CallError, reached: Finding) -> Option<Finding> {
    error.status.is_some().then_some(reached)
}

/// Writes are never tried: the history says whether they worked.
fn writes(facts: &Facts) -> Vec<Finding> {
    let id = "cloud.permissions.write";
    let Some(daemon) = &facts.daemon else {
        let text = "whether attach and detach are allowed is not known: nothing is tried here";
        return vec![Finding::warning(id, text, "start havipd; its first move proves them, or havipctl drill")];
    };
    let local = facts.config.local;
    let ours = facts.config.groups.iter().filter(|g| !g.observe && g.member(local).is_some_and(|m| !m.witness));
    let one = |name: &str| match daemon.writes.get(name) {
        Some(LastWrite::Confirmed(at)) => Finding::ok(id, format!("{name}: attach is proven by the move of {at}")),
        Some(LastWrite::Denied(at, why)) => Finding::failed(
            id,
            format!("{name}: the last claim of this node was denied, at {at}: {why}"),
            format!(
                "allow the user or role of cloud.credentials {}; havipctl drill {name} then proves it",
                Operation::Attach.permission()
            ),
        ),
        None => Finding::warning(
            id,
            format!("{name}: attach is not proven on this node yet"),
            format!("havipctl drill {name} proves it, at a quiet hour"),
        ),
    };
    ours.map(|g| one(g.name.as_str())).collect()
}

fn clock(cloud: &CloudFacts) -> Option<Finding> {
    let id = "clock";
    let refused = cloud.havips.values().filter_map(|r| r.as_ref().err()).find(|e| obstacle(e) == Some(Obstacle::Clock));
    let remedy = "set this host's clock: chronyc makestep, or systemctl restart systemd-timesyncd";
    if let Some(error) = refused {
        return Some(Finding::failed(id, format!("the cloud refuses the time of our signatures: {error}"), remedy));
    }
    let skew = cloud.skew?;
    let by = if skew < 0 { "ahead of" } else { "behind" };
    Some(match skew.unsigned_abs() {
        s if s >= SKEW_REFUSED => {
            let text = format!(
                "this host's clock is {s} s {by} the cloud's: signatures are refused; havipd signs with the cloud's time, \
                 at the cost of one more call"
            );
            Finding::failed(id, text, remedy)
        }
        s if s >= SKEW_NOTED => {
            let text =
                format!("this host's clock is {s} s {by} the cloud's; from {SKEW_REFUSED} s on signatures are refused");
            Finding::warning(id, text, remedy)
        }
        s => Finding::ok(id, format!("this host's clock is within {} s of the cloud's", s + 1)),
    })
}

fn identity(facts: &Facts, cloud: &CloudFacts) -> Finding {
    let id = "identity";
    let target = match &cloud.target {
        Ok(target) => target,
        Err(error) => {
            let text = format!("what this node is to the cloud is not known: {error}");
            return Finding::failed(id, text, "set node.instance or node.eni, or make the metadata service reachable");
        }
    };
    match (target, &cloud.instance) {
        (Target::Instance(ours), Ok(is)) if ours.as_str() != is => Finding::failed(
            id,
            format!("node {} is {ours} in the file, but this machine is {is}", facts.config.local_node().name),
            "correct node.instance; or this host is another node: havipd --node",
        ),
        (Target::Instance(_), Ok(_)) => {
            Finding::ok(id, format!("this machine is {target}, as the metadata service says"))
        }
        (Target::Eni(eni), Ok(instance)) => match cloud.enis.get(eni.as_str()) {
            Some(Ok(e)) if e.instance_id != *instance => Finding::failed(
                id,
                format!("{eni} is not on this machine ({instance}) but on {}", mounted(&e.instance_id)),
                "attach the interface to this instance, or correct node.eni",
            ),
            _ => Finding::ok(id, format!("this machine is {instance} with {eni}")),
        },
        (_, Err(_)) => {
            Finding::ok(id, format!("this node is {target}, as the file says; the metadata service does not answer"))
        }
    }
}

fn mounted(instance: &str) -> &str {
    if instance.is_empty() { "no instance" } else { instance }
}

fn region(facts: &Facts, cloud: &CloudFacts) -> Option<Finding> {
    let (configured, actual) = (facts.config.cloud.region.as_ref()?, cloud.region.as_ref().ok()?);
    Some(if configured == actual {
        Finding::ok("region", format!("this machine is in {actual}, as the file says"))
    } else if facts.config.cloud.endpoint.is_some() {
        let text = format!("cloud.region is {configured}, this machine is in {actual}; cloud.endpoint decides");
        Finding::ok("region", text)
    } else {
        let text = format!("cloud.region is {configured}, but this machine is in {actual}");
        Finding::failed("region", text, "correct cloud.region, or leave it out: the metadata service knows it")
    })
}

/// Whether what the members bind exists and runs.
fn targets(facts: &Facts, cloud: &CloudFacts) -> Vec<Finding> {
    let mut findings = Vec::new();
    for node in &facts.config.nodes {
        let own = node.name == facts.config.local_node().name;
        let target = if own { cloud.target.as_ref().ok() } else { node.target.as_ref() };
        let Some(target) = target else { continue };
        let (id, name) = (format!("target.{}", node.name), &node.name);
        let operation = match target {
            Target::Instance(_) => Operation::ReadInstance,
            Target::Eni(_) => Operation::ReadEni,
        };
        let wrong = match target {
            Target::Instance(i) => match cloud.instances.get(i.as_str()) {
                Some(Ok(InstanceState::Running)) => None,
                Some(Ok(InstanceState::NotRunning)) => Some((
                    format!("{i} of {name} does not run, or does not exist in this region"),
                    "start it, or correct node.instance",
                )),
                Some(Err(error)) => {
                    findings.extend(unknown(&id, error, operation));
                    continue;
                }
                None => continue,
            },
            Target::Eni(eni) => match cloud.enis.get(eni.as_str()) {
                Some(Ok(e)) if e.status == "inuse" => None,
                Some(Ok(e)) => Some((
                    format!("{eni} of {name} is {}, on {}", word(&e.status), mounted(&e.instance_id)),
                    "attach the interface to the instance of that node",
                )),
                Some(Err(error)) if error.missing => {
                    Some((format!("the cloud does not know {eni} of {name}"), "correct node.eni"))
                }
                Some(Err(error)) => {
                    findings.extend(unknown(&id, error, operation));
                    continue;
                }
                None => continue,
            },
        };
        findings.push(match wrong {
            None => Finding::ok(id, format!("{target} of {name} is there and in use")),
            Some((text, remedy)) => Finding::failed(id, text, remedy),
        });
    }
    findings
}

fn word(status: &str) -> &str {
    if status.is_empty() { "in no known state" } else { status }
}

/// What could not be read for a reason of its own.
fn unknown(id: &str, error: &CallError, operation: Operation) -> Option<Finding> {
    match obstacle(error) {
        // Said once already, for all calls.
        Some(Obstacle::Unreachable | Obstacle::Credentials | Obstacle::Clock | Obstacle::Busy) => None,
        Some(Obstacle::Permission) => {
            let use_of_it = match operation {
                Operation::ReadInstance => {
                    "a node then learns at once that the instance of the holder does not run any more"
                }
                _ => "a node then finds the interface of its ENI by itself",
            };
            let remedy = format!("allow {}: {use_of_it}", operation.permission());
            Some(Finding::warning(id, error.to_string(), remedy))
        }
        None => Some(Finding::warning(id, error.to_string(), "look it up in the console")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::super::fixture::{error, find, healthy};
    use super::*;

    fn with(e: &CallError) -> Vec<Finding> {
        let mut facts = healthy();
        let cloud = facts.cloud.as_mut().expect("a member");
        cloud.havips.values_mut().for_each(|r| *r = Err(e.clone()));
        judge(&facts)
    }

    #[test]
    fn each_obstacle_has_its_own_line() {
        let refused = |status, code: &str, denied| CallError {
            status: Some(status),
            code: Some(code.to_owned()),
            denied,
            class: ErrorClass::Refused,
            ..error("x")
        };
        for (e, id, level, remedy) in [
            (error("connect: timed out"), "cloud.endpoint", Level::Failed, "cloud.region"),
            (refused(403, "InvalidAccessKeyId", true), "cloud.credentials", Level::Failed, "access key"),
            (refused(400, "SignatureDoesNotMatch", true), "cloud.credentials", Level::Failed, "access key"),
            (
                CallError { denied: true, ..error("not sent: no credentials") },
                "cloud.credentials",
                Level::Failed,
                "role",
            ),
            (refused(403, "AccessDenied", true), "cloud.permissions", Level::Failed, "HAVIP_READ"),
            (refused(400, "RequestExpired", false), "clock", Level::Failed, "clock"),
            (CallError { status: Some(503), ..error("busy") }, "cloud.endpoint", Level::Warning, "try again"),
        ] {
            let found = find(&with(&e), id);
            assert!(found.level == level && found.remedy.contains(remedy), "{e:?}: {found:?}");
        }
    }

    #[test]
    fn a_refused_permission_is_named() {
        let denied = CallError { status: Some(403), denied: true, class: ErrorClass::Refused, ..error("x") };
        let mut facts = healthy();
        facts.cloud.as_mut().expect("a member").instances.insert("i-b".into(), Err(denied.clone()));
        let found = find(&judge(&facts), "target.b");
        assert!(found.level == Level::Warning && found.remedy.contains("BCC_READ of bce:bcc"), "{found:?}");
        let daemon = facts.daemon.as_mut().expect("a daemon");
        daemon.writes.insert("web".into(), LastWrite::Denied("2026-02-02T00:00:00Z".into(), denied.to_string()));
        let found = find(&judge(&facts), "cloud.permissions.write");
        assert!(found.level == Level::Failed && found.remedy.contains("HAVIP_OPERATE"), "{found:?}");
    }

    #[test]
    fn an_endpoint_without_https_is_told_from_one_that_does_not_answer() {
        let mut facts = healthy();
        let cloud = facts.cloud.as_mut().expect("a member");
        cloud.havips.values_mut().for_each(|r| *r = Err(error("connect: timed out")));
        cloud.without_tls = Some("bcc.xx.baidubce.com:80".to_owned());
        let found = find(&judge(&facts), "cloud.endpoint");
        assert!(
            found.level == Level::Failed && found.text.contains("bcc.xx.baidubce.com:80 answers plain HTTP"),
            "{found:?}"
        );
        assert!(found.remedy.contains("serves HTTPS"), "{found:?}");
    }

    #[test]
    fn what_was_not_done_yet_is_not_proven() {
        let mut facts = healthy();
        let of = |facts: &Facts| find(&judge(facts), "cloud.permissions.write");
        assert!(of(&facts).level == Level::Ok && of(&facts).text.contains("2026-01-01T00:00:00Z"));
        let daemon = facts.daemon.as_mut().expect("a daemon");
        let why = "attach havip-x: 403 AccessDenied (request r-1)";
        daemon.writes.insert("web".into(), LastWrite::Denied("2026-02-02T00:00:00Z".into(), why.into()));
        assert!(of(&facts).level == Level::Failed && of(&facts).text.contains("request r-1"), "{:?}", of(&facts));
        facts.daemon.as_mut().expect("a daemon").writes.clear();
        assert!(of(&facts).level == Level::Warning && of(&facts).remedy.contains("drill web"), "{:?}", of(&facts));
        facts.daemon = None;
        assert_eq!(of(&facts).level, Level::Warning);
    }

    #[test]
    fn clocks_may_differ_a_little() {
        for (skew, level) in
            [(0, Level::Ok), (-59, Level::Ok), (61, Level::Warning), (-899, Level::Warning), (900, Level::Failed)]
        {
            let mut facts = healthy();
            facts.cloud.as_mut().expect("a member").skew = Some(skew);
            assert_eq!(find(&judge(&facts), "clock").level, level, "{skew}");
        }
    }

    #[test]
    fn a_file_of_another_machine_or_region_fails() {
        let mut facts = healthy();
        let cloud = facts.cloud.as_mut().expect("a member");
        cloud.instance = Ok("i-z".to_owned());
        cloud.region = Ok("gz".to_owned());
        let findings = judge(&facts);
        assert!(find(&findings, "identity").text.contains("this machine is i-z"));
        assert_eq!(find(&findings, "region").level, Level::Failed);
    }

    #[test]
    fn a_member_that_does_not_run_fails() {
        let mut facts = healthy();
        facts.cloud.as_mut().expect("a member").instances.insert("i-b".into(), Ok(InstanceState::NotRunning));
        assert_eq!(find(&judge(&facts), "target.b").level, Level::Failed);
    }
}

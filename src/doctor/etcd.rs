//! What the doctor makes of etcd: each endpoint, asked for each key.

use super::Finding;
use super::facts::{EtcdFact, Facts};
use crate::etcd::client::EtcdError;
use std::collections::BTreeSet;

/// Findings on etcd; none where no group goes by etcd.
#[must_use]
pub fn judge(facts: &Facts) -> Vec<Finding> {
    let mut findings: Vec<Finding> = facts.etcd.iter().map(|fact| endpoint(facts, fact)).collect();
    let clusters: BTreeSet<u64> = facts.etcd.iter().filter_map(|f| Some(f.answer.as_ref().ok()?.0)).collect();
    if clusters.len() > 1 {
        let ids: Vec<String> = clusters.iter().map(|id| format!("{id:x}")).collect();
        let text = format!("the endpoints belong to {} etcd clusters: {}", ids.len(), ids.join(", "));
        findings.push(Finding::failed("etcd.cluster", text, "name members of one cluster in endpoints of [etcd]"));
    }
    findings
}

fn endpoint(facts: &Facts, fact: &EtcdFact) -> Finding {
    let (endpoint, key) = (&fact.endpoint, &fact.key);
    let id = format!("etcd.{endpoint}");
    let others = facts.etcd.iter().any(|other| other.key == fact.key && other.answer.is_ok());
    match &fact.answer {
        Ok((_, Some(value))) => {
            Finding::ok(id, format!("{endpoint} answers in {} ms: {key} names {value}", fact.took.as_millis()))
        }
        Ok((_, None)) if fact.elects => {
            let text = format!("{endpoint} answers in {} ms, and there is no key {key} now", fact.took.as_millis());
            Finding::warning(
                id,
                text,
                "no node is active, unless one has just changed: havipctl why says what each waits for",
            )
        }
        Ok((_, None)) => {
            let text = format!("{endpoint} answers, and there is no key {key}: nobody leads");
            let remedy =
                format!("see that leader-key is right, and that the program that writes it runs: etcdctl get {key}");
            Finding::warning(id, text, remedy)
        }
        // One endpoint is enough.
        Err(error) if others => Finding::warning(id, format!("{endpoint}: {error}"), remedy(error)),
        Err(error) => Finding::failed(id, format!("{endpoint}: {error}"), remedy(error)),
    }
}

fn remedy(error: &EtcdError) -> &'static str {
    match error {
        EtcdError::File(_) => "correct the file, or its path in [etcd]",
        EtcdError::Unreachable(_) | EtcdError::Slow(_) => {
            "see whether that member runs, and whether its client port is open to this node"
        }
        EtcdError::NotEtcd(_) => "name the client URLs of etcd 3.4 or newer in endpoints of [etcd]",
        EtcdError::NoLeader(_) => "start enough of etcd's members: etcdctl endpoint status --cluster says which run",
        EtcdError::NoUser | EtcdError::WrongPassword(_) => "correct user and password-file in [etcd]",
        EtcdError::Denied { .. } => "grant the user's role read on the key, and readwrite where havipd elects by it",
        EtcdError::OtherCluster { .. } | EtcdError::WentBack { .. } => "name members of one cluster in endpoints",
        EtcdError::CommonName => "have a certificate made with an empty subject for cert-file",
        EtcdError::Full => {
            "make room in etcd: compact it, etcdctl defrag, then etcdctl alarm disarm; or raise its quota-backend-bytes"
        }
        EtcdError::NoLease => "it is asked for again by itself",
        EtcdError::Refused(_) => "etcd's own log says more",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::{Level, fixture};
    use std::time::Duration;

    fn fact(endpoint: &str, answer: Result<(u64, Option<&str>), EtcdError>) -> EtcdFact {
        EtcdFact {
            endpoint: endpoint.to_owned(),
            key: "/k".to_owned(),
            elects: false,
            took: Duration::from_millis(3),
            answer: answer.map(|(cluster, value)| (cluster, value.map(str::to_owned))),
        }
    }

    fn levels(etcd: Vec<EtcdFact>) -> Vec<Level> {
        let facts = Facts { etcd, ..fixture::healthy() };
        judge(&facts).iter().map(|f| f.level).collect()
    }

    #[test]
    fn one_endpoint_that_answers_is_enough_and_none_is_not() {
        let down = || Err(EtcdError::Unreachable("refused".to_owned()));
        assert_eq!(
            levels(vec![fact("http://a", Ok((1, Some("b")))), fact("http://b", down())]),
            [Level::Ok, Level::Warning]
        );
        assert_eq!(levels(vec![fact("http://a", down()), fact("http://b", down())]), [Level::Failed, Level::Failed]);
        assert_eq!(levels(vec![fact("http://a", Ok((1, None)))]), [Level::Warning]);
        let denied = EtcdError::Denied { who: "\"h\"".to_owned(), key: "/k".to_owned(), writes: false };
        assert_eq!(levels(vec![fact("http://a", Err(denied))]), [Level::Failed]);
    }

    #[test]
    fn two_clusters_are_told() {
        let two = vec![fact("http://a", Ok((1, Some("b")))), fact("http://b", Ok((2, Some("b"))))];
        assert_eq!(levels(two), [Level::Ok, Level::Ok, Level::Failed]);
    }
}

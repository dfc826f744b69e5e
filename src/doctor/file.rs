//! The configuration file, what runs, the secrets, and the timers that follow from them.

use super::Finding;
use super::facts::{CertificateFact, Facts};
use crate::certificates::Ending;
use crate::config::schema::show;
use havipd_core::model::plural::plural;
use havipd_core::model::settings::{Group, OnStop};
use std::time::Duration;

/// Below it a dead time is shorter than the usual pauses of virtual machines.
const USUAL_PAUSE: Duration = Duration::from_secs(3);

/// Seconds.
const DAY: u64 = 24 * 3600;
/// A certificate that has fewer days than this left is to be replaced.
const SOON: u64 = 30;

/// All of it.
#[must_use]
pub fn judge(facts: &Facts) -> Vec<Finding> {
    let mut findings = text(facts);
    findings.extend(running(facts));
    findings.extend(secrets(facts));
    findings.extend(facts.file.certificates.iter().map(certificate));
    findings.push(dead_time(facts));
    findings.extend(stop_timeout(facts));
    findings
}

fn text(facts: &Facts) -> Vec<Finding> {
    let file = &facts.file;
    let path = file.path.display();
    if !file.errors.is_empty() {
        let remedy = "correct it; havipd --check-config says when it is right";
        return file.errors.iter().map(|e| Finding::failed("config.file", e, remedy)).collect();
    }
    let node = &facts.config.local_node().name;
    let mut findings = vec![Finding::ok("config.file", format!("{path} is right; this node is {node}"))];
    // Judged here with their own lines.
    let own = |w: &&String| !w.contains("the dead time, ") && !facts.host.hooks.iter().any(|h| w.contains(&h.program));
    let warning = |w: &String| Finding::warning("config.warning", w, "change the key, or leave it knowingly");
    findings.extend(file.warnings.iter().filter(own).map(warning));
    findings
}

fn running(facts: &Facts) -> Vec<Finding> {
    let Some(daemon) = &facts.daemon else {
        let text = "havipd does not run here: sessions, roles and hooks are not looked at";
        let remedy = "systemctl start havipd, then havipctl doctor once more";
        return vec![Finding::warning("daemon", text, remedy)];
    };
    let mut findings = vec![Finding::ok("daemon", format!("havipd {} runs", daemon.after.version))];
    if let Some(error) = &daemon.after.effects.reload_error {
        findings.push(Finding::warning(
            "config.reload",
            format!("the last reload was refused: {error}"),
            "correct the file, then havipctl reload",
        ));
    }
    let file = &facts.file;
    let id = "config.running";
    if !file.errors.is_empty() {
        return findings;
    }
    if file.differs.is_empty() && file.refused.is_empty() {
        findings.push(Finding::ok(id, "what runs is what the file says"));
    }
    findings.extend(file.refused.iter().map(|r| {
        Finding::warning(id, format!("the file is not what runs, and a reload will refuse it: {r}"), "do as it says")
    }));
    if !file.differs.is_empty() && file.refused.is_empty() {
        let text = format!("the file is not what runs: {}", file.differs.join("; "));
        findings.push(Finding::warning(id, text, "havipctl reload takes it over"));
    }
    findings
}

fn secrets(facts: &Facts) -> Vec<Finding> {
    let one = |(path, error): &(std::path::PathBuf, Option<String>)| {
        let (id, path) = ("secrets", path.display());
        match error {
            None => Finding::ok(id, format!("{path} can be read here, and by nobody else")),
            Some(error) => {
                Finding::failed(id, format!("{path} {error}"), "chown root:havipd and chmod 0640, or chmod 0600")
            }
        }
    };
    facts.file.secrets.iter().map(one).collect()
}

fn certificate(fact: &CertificateFact) -> Finding {
    let (id, path) = ("certificates", fact.path.display());
    let remedy = "ask those who run that authority for its new certificate, put it into the file on every node beside the \
                  old one, and havipctl reload";
    match &fact.first {
        Err(error) => {
            let remedy = "put certificates in PEM form there; until then a restart or reload will fail";
            Finding::failed(id, format!("{path} {error}"), remedy)
        }
        Ok((Ending { subject, not_after }, left)) => {
            let day = jiff::Timestamp::from_second(*not_after).map_or_else(
                |_| "a day beyond all calendars".to_owned(),
                |t| t.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
            );
            let whole = left.unsigned_abs() / DAY;
            let days = plural(whole, "day");
            match left {
                ..0 => Finding::failed(id, format!("{path}: {subject} ended on {day}, {days} ago"), remedy),
                _ if whole < SOON => {
                    Finding::warning(id, format!("{path}: {subject} ends on {day}, in {days}"), remedy)
                }
                _ => Finding::ok(id, format!("{path}: what ends first, {subject}, does on {day}, in {days}")),
            }
        }
    }
}

fn dead_time(facts: &Facts) -> Finding {
    let id = "timers.dead-time";
    let dead = facts.config.heartbeat.dead_time();
    let longest = facts.host.longest_pause.unwrap_or_default();
    let remedy = "raise heartbeat.dead-multiplier or heartbeat.interval on every node";
    let shown = show(dead);
    let paused = show(longest);
    if longest >= dead {
        let text =
            format!("this host once stood still for {paused}, and is dead after {shown}: it will lose its leadership");
        return Finding::warning(id, text, remedy);
    }
    if dead < USUAL_PAUSE {
        let usual = show(USUAL_PAUSE);
        let text = format!("a node is dead after {shown}, and virtual machines pause for up to {usual}");
        return Finding::warning(id, text, remedy);
    }
    let record = if longest.is_zero() {
        "no pause of this host is on record".to_owned()
    } else {
        format!("the longest pause of this host on record is {paused}")
    };
    Finding::ok(id, format!("a node is dead after {shown}; {record}"))
}

fn stop_timeout(facts: &Facts) -> Option<Finding> {
    let id = "timers.stop";
    let limit = facts.host.stop_timeout?;
    let request = facts.config.cloud.request_timeout;
    let needs = |g: &Group| match g.on_stop {
        OnStop::Handover => (g.handover_timeout + request).max(g.keep_for),
        OnStop::Keep | OnStop::Release => g.keep_for,
    };
    let longest = facts.config.groups.iter().max_by_key(|g| needs(g))?;
    let needed = needs(longest);
    let (time, most) = (show(needed), show(limit));
    Some(if needed > limit {
        let text = format!("group {} may need {time} to stop, systemd kills after {most}", longest.name);
        Finding::warning(id, text, "raise TimeoutStopSec with systemctl edit havipd, or lower handover-timeout")
    } else {
        Finding::ok(id, format!("stopping takes at most {time}, systemd waits {most}"))
    })
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::super::fixture::{find, healthy};
    use super::*;

    #[test]
    fn a_wrong_file_is_told_line_by_line() {
        let mut facts = healthy();
        facts.file.errors = vec!["x.toml:1:1: error: a".into(), "x.toml:2:1: error: b".into()];
        let findings = judge(&facts);
        assert_eq!(findings.iter().filter(|f| f.id == "config.file" && f.level == Level::Failed).count(), 2);
        assert!(!findings.iter().any(|f| f.id == "config.running"), "nothing to compare with");
    }

    #[test]
    fn a_file_that_is_not_what_runs_is_a_warning() {
        let mut facts = healthy();
        facts.file.differs = vec!["log.level changes".into()];
        let found = find(&judge(&facts), "config.running");
        assert_eq!((found.level, found.remedy.as_str()), (Level::Warning, "havipctl reload takes it over"));
        facts.file.refused = vec!["cluster.name changes: this takes a restart".into()];
        assert!(find(&judge(&facts), "config.running").text.contains("this takes a restart"));
    }

    #[test]
    fn pauses_and_limits_are_held_against_the_timers() {
        let mut facts = healthy();
        assert_eq!(find(&judge(&facts), "timers.dead-time").level, Level::Ok);
        facts.host.longest_pause = Some(Duration::from_secs(7));
        let found = find(&judge(&facts), "timers.dead-time");
        assert!(found.level == Level::Warning && found.text.contains("7s") && found.text.contains("3s"), "{found:?}");
        facts.host.stop_timeout = Some(Duration::from_secs(5));
        let found = find(&judge(&facts), "timers.stop");
        assert!(found.level == Level::Warning && found.text.contains("after 5s"), "{found:?}");
        facts.host.stop_timeout = Some(Duration::from_secs(90));
        assert_eq!(find(&judge(&facts), "timers.stop").level, Level::Ok);
    }

    #[test]
    fn a_certificate_is_told_of_before_it_ends_and_fails_when_it_has() {
        let day = 24 * 3600;
        for (left, level, text) in [
            (30 * day, Level::Ok, "in 30 days"),
            (30 * day - 1, Level::Warning, "in 29 days"),
            (0, Level::Warning, "in 0 days"),
            (-1, Level::Failed, "0 days ago"),
            (-40 * day, Level::Failed, "CN=Private Root ended on 2030-01-01 00:00:00 UTC, 40 days ago"),
        ] {
            let mut facts = healthy();
            let ending = Ending { subject: "CN=Private Root".into(), not_after: 1_893_456_000 };
            facts.file.certificates.push(CertificateFact { path: "/x/ca.pem".into(), first: Ok((ending, left)) });
            let found = find(&judge(&facts), "certificates");
            assert!(found.level == level && found.text.contains(text) && found.text.contains("/x/ca.pem"), "{found:?}");
            assert_eq!(found.remedy.is_empty(), level == Level::Ok);
        }
        let mut facts = healthy();
        assert!(!judge(&facts).iter().any(|f| f.id == "certificates"), "no file is named");
        let first = Err("holds no certificate in PEM form".to_owned());
        facts.file.certificates.push(CertificateFact { path: "/x/ca.pem".into(), first });
        let found = find(&judge(&facts), "certificates");
        assert_eq!((found.level, &*found.text), (Level::Failed, "/x/ca.pem holds no certificate in PEM form"));
    }

    #[test]
    fn a_secret_that_others_can_read_fails() {
        let mut facts = healthy();
        facts.file.secrets.push(("/etc/havipd/x".into(), Some("has mode 0644".into())));
        let bad: Vec<Finding> = judge(&facts).into_iter().filter(|f| f.level == Level::Failed).collect();
        assert!(bad.len() == 1 && bad[0].text.contains("0644"), "{bad:?}");
    }
}

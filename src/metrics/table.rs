//! Every series that a daemon may serve: name, type, labels and meaning. `docs/metrics.md` is made from it.

/// What kind of series it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Goes up and down.
    Gauge,
    /// Only goes up, until the daemon starts again.
    Counter,
    /// Counts by bounds ([`havipd_core::model::histogram::BOUNDS`]), sum and count.
    Histogram,
}

impl Kind {
    /// The word of the text format.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
            Self::Histogram => "histogram",
        }
    }
}

/// One series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Series {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// Its labels, in the order in which values are given.
    pub labels: &'static [&'static str],
    /// What it says.
    pub help: &'static str,
}

macro_rules! series {
    ($($id:ident: $kind:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        $(pub(super) const $id: Series =
            Series { name: $name, kind: Kind::$kind, labels: &[$($label),*], help: $help };)*
        /// All of them, in the order of the page.
        pub static ALL: &[Series] = &[$($id),*];
    };
}

series! {
    NODE: Gauge "havipd_node_info" ["cluster", "node", "target", "version"]
        "Always 1: who this node is, and what it is to the cloud.";
    STARTED: Gauge "havipd_start_time_seconds" [] "When the daemon started, seconds since 1970.";
    STOPPING: Gauge "havipd_stopping" [] "1 while the daemon leaves.";
    CONFIG_LOADED: Gauge "havipd_config_loaded_timestamp_seconds" []
        "When the configuration in force was read, seconds since 1970.";
    CONFIG_OK: Gauge "havipd_config_last_reload_successful" [] "0 if the last reload was refused: the old configuration stays.";
    INTERVAL: Gauge "havipd_heartbeat_interval_seconds" [] "heartbeat.interval.";
    DEAD_TIME: Gauge "havipd_dead_time_seconds" [] "Silence of this node after which peers with its settings call it dead.";
    PAUSES: Counter "havipd_pauses_total" [] "Pauses of this host that were longer than the dead time.";
    LONGEST_PAUSE: Gauge "havipd_longest_pause_seconds" [] "Longest pause of this host ever measured; survives restarts.";
    TURNS: Counter "havipd_core_turns_total" [] "Turns of the thread that decides.";

    ROLE: Gauge "havipd_group_role" ["group", "role"] "1 for the role that this node has in the group, 0 for the others.";
    ROLE_AGE: Gauge "havipd_group_role_age_seconds" ["group"] "Time since that role changed.";
    EPOCH: Gauge "havipd_group_epoch" ["group"] "Number of the term that this node knows.";
    IS_ACTIVE: Gauge "havipd_group_is_active" ["group"] "1 if this node is active.";
    ACTIVE_NODE: Gauge "havipd_group_active_node" ["group", "node"]
        "Always 1: who is active as far as this node knows; absent if it knows of nobody.";
    ACTIVATIONS: Counter "havipd_group_activations_total" ["group"] "How often this node became active.";
    UNPLANNED: Counter "havipd_group_unplanned_moves_total" ["group"]
        "Moves that nobody asked for: claims won without a handover, and handovers begun for a reason of the daemon's own.";
    MOVES: Gauge "havipd_group_moves" ["group"] "Moves within group.max-moves-window.";
    DRAINED: Gauge "havipd_group_drained" ["group"] "1 while this node is drained.";
    MAINTENANCE: Gauge "havipd_group_maintenance" ["group"] "1 while cluster-wide maintenance is on.";
    SUCCESSORS: Gauge "havipd_group_successors" ["group"]
        "Nodes that could take over if the active one failed now; absent with one member, and where somebody else elects (keepalived, etcd).";
    OBSERVE: Gauge "havipd_group_observe" ["group"] "1 while the group only observes and touches nothing.";
    ISOLATED: Gauge "havipd_group_isolated" ["group"] "1 while neither peers nor cloud answer.";
    LEADERSHIP: Gauge "havipd_group_right_seconds" ["group"] "How long leadership of this node lasts; absent without one.";
    CLAIMS: Counter "havipd_claims_total" ["group", "cause", "result"]
        "Claims that ended: why they began, and \"won\" or why they failed.";
    CLAIM_STEPS: Histogram "havipd_claim_step_duration_seconds" ["step", "planned"]
        "Moves onto this node, by whether they came by a handover, and what took how long; see below.";

    CHECKS_NOT_PASSING: Gauge "havipd_group_checks_not_passing" ["group", "node"]
        "Checks of the group that fail, have not decided or flap, for each member as it says itself; absent for one whose checks all pass, or that is not heard.";
    HOLDER: Gauge "havipd_havip_holder" ["group", "havip", "holder"]
        "Always 1: who has the HAVIP by the cloud's record, as last read; absent if that is nobody, or not known any more.";
    HELD: Gauge "havipd_havip_held" ["group", "havip"] "1 if that is this node; absent if it is not known any more.";
    READ_AGE: Gauge "havipd_havip_read_age_seconds" ["group", "havip"] "Time since the cloud's record was read.";
    READ_FAILING: Gauge "havipd_havip_read_failing" ["group", "havip"] "1 while reading it fails.";
    PRESENT: Gauge "havipd_havip_address_present" ["group", "havip"] "1 if the address is on this host; absent if not known.";
    REPAIRS: Counter "havipd_havip_repairs_total" ["group", "havip"]
        "Times that kernel or cloud had to be put right while active.";

    PEER_STATE: Gauge "havipd_peer_session_state" ["peer", "state"]
        "1 for the state of the session with the peer, 0 for the others.";
    PEER_AGE: Gauge "havipd_peer_heartbeat_age_seconds" ["peer"] "Time since a heartbeat of the peer counted.";
    PEER_DEAD_TIME: Gauge "havipd_peer_dead_time_seconds" ["peer"] "Silence after which the peer is dead.";
    PEER_EXPECTED: Counter "havipd_peer_heartbeats_expected_total" ["peer", "path"]
        "Heartbeats that the peer sent over the path, by their numbers.";
    PEER_RECEIVED: Counter "havipd_peer_heartbeats_received_total" ["peer", "path"]
        "Those that came; the rest are lost or on their way.";
    PEER_DROPPED: Counter "havipd_peer_datagrams_dropped_total" ["peer", "reason"]
        "Authentic datagrams of the peer that did not count.";
    PEER_ECHO: Histogram "havipd_peer_round_trip_seconds" ["peer"]
        "From a heartbeat sent until the peer's echo: the network both ways, and up to one interval of the peer's.";
    PEER_DIGEST: Gauge "havipd_peer_same_configuration" ["peer"]
        "0 if the peer runs other timing, voters, arbiters, HAVIPs or bindings; absent while there is no session.";
    AUTH: Counter "havipd_authentication_failures_total" ["kind"] "Datagrams that did not authenticate as a peer's.";
    SENT: Counter "havipd_datagrams_sent_total" [] "Datagrams that the kernel took.";
    UNSENT: Counter "havipd_datagrams_unsent_total" ["reason"] "Datagrams that it did not take.";
    RECEIVED: Counter "havipd_datagrams_received_total" [] "Datagrams read, whatever they were.";
    SOCKET: Gauge "havipd_socket_up" ["address"] "1 if the heartbeat socket of this address is bound.";

    CALLS: Counter "havipd_api_calls_total" ["operation", "result"] "Calls of the cloud's API.";
    CALL_TIME: Histogram "havipd_api_call_duration_seconds" ["operation"] "How long they took, whatever came of them.";
    CREDENTIALS: Gauge "havipd_credentials_expiry_timestamp_seconds" []
        "When the temporary key in use ends, seconds since 1970; absent if it has no known end.";
    CERTIFICATES: Gauge "havipd_certificate_expiry_timestamp_seconds" ["file"]
        "When the certificate of a file that ends first ends, seconds since 1970: the ca-file and cert-file of [cloud], [etcd] and checks; absent if it cannot be read.";
    SKEW: Gauge "havipd_cloud_clock_skew_seconds" [] "The cloud's clock minus this host's.";

    HOOKS: Counter "havipd_hook_runs_total" ["group", "result"] "Hooks that ended, by \"ok\" or \"failed\".";
    GATE_RUNNING: Gauge "havipd_gate_running" ["group", "gate"]
        "1 while a gate of the group runs on this node, by its key; absent until the group has run one.";
    GATE_RUNS: Counter "havipd_gate_runs_total" ["group", "gate", "result"]
        "Runs of a gate that ended, by \"passed\", \"failed\", \"timed-out\", \"not-run\", or \"cut\" when leadership ended.";
    GATE_SECONDS: Counter "havipd_gate_run_seconds_total" ["group", "gate"] "What the runs of a gate took together.";
    GATE_FAILING: Gauge "havipd_gate_failing" ["group"]
        "1 if the last gate of the group that ended on this node failed; absent until one has.";
    CHECK_STATE: Gauge "havipd_check_state" ["check", "state"]
        "1 for what a check says on this node, 0 for what it does not: \"up\", \"down\" or \"unknown\".";
    CHECK_FLAPPING: Gauge "havipd_check_flapping" ["check"] "1 while a check keeps changing between up and down.";
    CHECK_WEIGHT: Gauge "havipd_check_weight" ["check"] "What a check adds to the priority of this node now.";
    CHECK_RUNS: Counter "havipd_check_runs_total" ["check", "result"]
        "Runs of a check, by \"passed\", \"failed\", \"timed-out\" or \"not-run\".";
    CHECK_SECONDS: Counter "havipd_check_run_seconds_total" ["check"] "What the runs of a check took together.";
    HOOKS_REPLACED: Counter "havipd_hook_states_replaced_total" ["group"]
        "States that a newer one overtook before their hooks began.";
    ADDRESS_FAILURES: Counter "havipd_address_failures_total" [] "Changes of addresses on this host that failed.";
    NETLINK: Counter "havipd_netlink_overruns_total" [] "Times that the kernel had to drop notifications.";
    DROPPED: Counter "havipd_dropped_actions_total" [] "Actions that found the queue to the effects side full.";
    DOCTOR_LOOKED: Gauge "havipd_doctor_last_look_timestamp_seconds" []
        "When the doctor last examined everything, seconds since 1970; absent before it did so once.";
    DOCTOR_INTERVAL: Gauge "havipd_doctor_interval_seconds" []
        "daemon.doctor-interval; absent if it examines only when it is asked.";
    DOCTOR_FINDINGS: Gauge "havipd_doctor_findings" ["level"] "What the doctor found last: ok, warning or failed.";
    DOCTOR_FINDING: Gauge "havipd_doctor_finding" ["id", "level"]
        "Always 1: a finding of the last examination that is not ok; havipctl doctor has the remedy.";
    STATE_UNSAVED: Gauge "havipd_state_unsaved" [] "1 while the state file is behind.";
    HISTORY_LOST: Counter "havipd_history_lost_total" [] "Changes of role that are not in the history.";
    LOG_LOST: Counter "havipd_log_lines_lost_total" [] "Lines of the log that nobody read in time.";
}

/// The table of `docs/metrics.md`.
#[must_use]
pub fn markdown() -> String {
    let mut text = "| series | type | labels | meaning |\n|---|---|---|---|\n".to_owned();
    for Series { name, kind, labels, help } in ALL {
        let labels: Vec<String> = labels.iter().map(|l| format!("`{l}`")).collect();
        text.push_str(&format!("| `{name}` | {} | {} | {help} |\n", kind.word(), labels.join(" ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_conventions_and_stand_once() {
        for (i, Series { name, kind, labels, help }) in ALL.iter().enumerate() {
            assert!(!ALL[i + 1..].iter().any(|other| other.name == *name), "{name} stands twice");
            assert!(name.starts_with("havipd_"), "{name}");
            assert_eq!(name.ends_with("_total"), *kind == Kind::Counter, "{name}");
            let unit = ["_ms", "_millis", "_milliseconds", "_minutes", "_hours", "_ns"];
            assert!(!unit.iter().any(|u| name.ends_with(u)), "{name}: base units");
            assert!(help.ends_with('.') && !help.contains('\n') && !help.contains('|'), "{name}: {help}");
            assert!(!labels.contains(&"le"), "{name}");
        }
    }
}

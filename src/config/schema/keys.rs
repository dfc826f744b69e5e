//! The table itself, one row a key, in the order of the reference.

use super::{Key, Kind, Preset, Reload, Section};
use std::time::Duration;

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}
const fn s(n: u64) -> Duration {
    Duration::from_secs(n)
}
const fn m(n: u64) -> Duration {
    s(n * 60)
}
const fn h(n: u64) -> Duration {
    m(n * 60)
}
const fn row(section: Section, name: &'static str, kind: Kind, preset: Preset, reload: Reload) -> Key {
    Key { section, name, kind, preset, reload }
}

const NAME: Kind = Kind::Text("a name of 1 to 63 of a-z A-Z 0-9 - _ .");
const URL: Kind = Kind::Text("a URL like \"https://host:port\", without path, query or user");
const DOCTOR_INTERVAL: Kind = Kind::Text("\"0s\" (off), or a duration from 1m to 24h");
const LISTEN: Kind = Kind::Text("an IP address with a port like \"127.0.0.1:11201\", or \"off\"");
const INTERFACE: Kind = Kind::Text("the name of a network interface");

/// Every key.
pub static KEYS: &[Key] = {
    use Kind::{
        Addresses, Bool, Choice, Command, Integer, Keys, Later, Nodes, NumberOrAdaptive, Path, Priorities, Seconds,
        SecondsOrForever, Size, Table, Tables, Text,
    };
    use Preset::{Absent, Required, Value};
    use Reload::{Accept as R0, Maintenance as M, Restart as R};
    use Section as S;
    const fn span(min: Duration, max: Duration) -> Kind {
        Kind::Duration(min, max)
    }
    &[
        row(S::Root, "cluster", Table(S::Cluster), Required, R0),
        row(S::Root, "node", Tables(S::Node, 2, 16), Required, R),
        row(S::Root, "heartbeat", Table(S::Heartbeat), Required, R0),
        row(S::Root, "cloud", Table(S::Cloud), Absent, R0),
        row(S::Root, "group", Tables(S::Group, 1, 250), Required, R),
        row(S::Root, "local-address", Table(S::LocalAddress), Absent, R0),
        row(S::Root, "hooks", Table(S::Hooks), Absent, R0),
        row(S::Root, "check", Later, Absent, R0),
        row(S::Root, "etcd", Later, Absent, R0),
        row(S::Root, "keepalived", Table(S::Keepalived), Absent, R0),
        row(S::Root, "metrics", Table(S::Metrics), Absent, R0),
        row(S::Root, "log", Table(S::Log), Absent, R0),
        row(S::Root, "daemon", Table(S::Daemon), Absent, R0),
        row(S::Cluster, "name", NAME, Required, R),
        row(S::Node, "name", NAME, Required, R),
        row(S::Node, "address", Addresses, Required, R0),
        row(S::Node, "instance", Text("an instance id like \"i-syGfPUYO\""), Absent, M),
        row(S::Node, "eni", Text("an ENI id like \"eni-w2d4kgc3x0y1\""), Absent, M),
        row(S::Node, "interface", INTERFACE, Absent, R0),
        row(S::Node, "priority", Integer(1, 254), Value("100"), R0),
        row(S::Node, "witness", Bool, Value("false"), M),
        row(S::Heartbeat, "port", Integer(1, 65535), Value("11200"), R),
        row(S::Heartbeat, "interval", span(ms(10), s(60)), Value("\"500ms\""), M),
        row(S::Heartbeat, "dead-multiplier", Integer(2, 100), Value("10"), M),
        row(S::Heartbeat, "keys", Keys, Required, R0),
        row(S::Heartbeat, "send-key", Integer(1, 255), Absent, R0),
        row(S::Heartbeat, "cold-start-wait", span(s(1), m(10)), Value("\"30s\""), R0),
        row(S::Heartbeat, "fabric-probe", Bool, Value("true"), R0),
        row(S::HeartbeatKey, "id", Integer(1, 255), Required, R0),
        row(S::HeartbeatKey, "file", Path, Required, R0),
        row(S::Cloud, "region", Text("a region like \"bj\""), Absent, R),
        row(S::Cloud, "endpoint", URL, Absent, R),
        row(S::Cloud, "metadata-endpoint", URL, Value("\"http://169.254.169.254\""), R),
        row(S::Cloud, "ca-file", Path, Absent, R0),
        row(S::Cloud, "connect-timeout", span(ms(50), s(30)), Value("\"1s\""), R0),
        row(S::Cloud, "request-timeout", span(ms(100), s(60)), Value("\"3s\""), R0),
        row(S::Cloud, "operation-timeout", span(s(1), m(10)), Value("\"20s\""), R0),
        row(S::Cloud, "audit-interval", span(s(1), h(1)), Value("\"30s\""), R0),
        row(S::Cloud, "requests-per-second", NumberOrAdaptive(0.1, 1000.0), Value("\"adaptive\""), R0),
        row(S::Cloud, "credentials", Table(S::Credentials), Absent, R0),
        row(S::Credentials, "source", Choice(&["auto", "env", "file", "instance-role"]), Value("\"auto\""), R0),
        row(S::Credentials, "file", Path, Absent, R0),
        row(S::Group, "name", NAME, Required, R),
        row(S::Group, "nodes", Nodes, Absent, M),
        row(
            S::Group,
            "arbiter",
            Choice(&["auto", "cloud", "majority", "etcd", "keepalived", "none"]),
            Value("\"auto\""),
            M,
        ),
        row(S::Group, "priorities", Priorities, Absent, R0),
        row(S::Group, "preempt", Bool, Value("true"), R0),
        row(S::Group, "preempt-delay", span(s(0), h(24)), Value("\"30s\""), R0),
        row(S::Group, "checks", Later, Absent, R0),
        row(S::Group, "on-stop", Choice(&["handover", "keep", "release"]), Value("\"handover\""), R0),
        row(S::Group, "on-restart", Choice(&["keep", "handover"]), Value("\"keep\""), R0),
        row(S::Group, "keep-for", Seconds(s(1), m(10)), Value("\"15s\""), M),
        row(S::Group, "handover-timeout", span(s(1), m(5)), Value("\"10s\""), R0),
        row(S::Group, "when-isolated", Choice(&["hold", "release"]), Value("\"hold\""), R0),
        row(S::Group, "when-all-fail", Choice(&["keep", "release"]), Value("\"keep\""), R0),
        row(S::Group, "max-moves", Integer(0, 1000), Value("6"), R0),
        row(S::Group, "max-moves-window", span(m(1), h(24)), Value("\"10m\""), R0),
        row(S::Group, "reclaim-wait", span(s(10), h(24)), Value("\"5m\""), R0),
        row(S::Group, "on-arbiter-loss", Later, Absent, R0),
        row(
            S::Group,
            "vrrp",
            Text("the name of a vrrp_instance, or \"GROUP:\" and that of a vrrp_sync_group"),
            Absent,
            R0,
        ),
        row(S::Group, "observe", Bool, Value("false"), R0),
        row(S::Group, "havip", Tables(S::Havip, 1, 32), Required, M),
        row(S::Group, "hooks", Table(S::Hooks), Absent, R0),
        // The reference lets a reload add and remove HAVIPs; they are part of the digest, so only in maintenance.
        row(S::Havip, "id", Text("a HAVIP id like \"havip-w2d4kgc3x0y1\""), Required, M),
        row(S::Havip, "binding", Choice(&["exclusive", "shared"]), Value("\"exclusive\""), M),
        row(S::Havip, "address", Text("an IPv4 address"), Absent, R0),
        row(S::Havip, "interface", Text("the name of a network interface, or \"none\""), Absent, R0),
        row(S::Havip, "strangers", Choice(&["guard", "detach", "refuse"]), Value("\"guard\""), R0),
        row(S::LocalAddress, "lifetime", SecondsOrForever(s(2), h(1)), Absent, R0),
        row(S::LocalAddress, "announce-count", Integer(1, 100), Value("5"), R0),
        row(S::LocalAddress, "announce-interval", span(ms(1), s(10)), Value("\"200ms\""), R0),
        row(S::LocalAddress, "announce-refresh", span(s(0), h(1)), Value("\"10s\""), R0),
        row(S::Hooks, "notify", Command, Absent, R0),
        row(S::Hooks, "notify-master", Command, Absent, R0),
        row(S::Hooks, "notify-backup", Command, Absent, R0),
        row(S::Hooks, "notify-fault", Command, Absent, R0),
        row(S::Hooks, "notify-stop", Command, Absent, R0),
        row(S::Hooks, "timeout", span(s(1), m(10)), Value("\"30s\""), R0),
        row(S::Metrics, "listen", LISTEN, Value("\"127.0.0.1:11201\""), R0),
        row(S::Keepalived, "fifo", Path, Absent, R0),
        row(S::Keepalived, "pid-file", Path, Value("\"/run/keepalived.pid\""), R0),
        row(S::Log, "level", Choice(&["error", "warn", "info", "debug", "trace"]), Value("\"info\""), R0),
        row(S::Log, "format", Choice(&["text", "json"]), Value("\"text\""), R0),
        row(S::Daemon, "history-size", Size(1 << 20, 1 << 30), Value("\"16MiB\""), R0),
        row(S::Daemon, "doctor-interval", DOCTOR_INTERVAL, Value("\"1h\""), R0),
        row(S::Daemon, "realtime-priority", Integer(0, 50), Value("0"), R),
        row(S::Daemon, "lock-memory", Bool, Value("false"), R),
    ]
};

//! A group and its HAVIPs.

use super::*;

settings! {
    Group
        keys {
            /// Unique; 1 to 63 of a-z A-Z 0-9 - _ .
            "name" name: GroupName {
                takes: name(), required: "web", reload: Restart,
                shown: |_, _| Value::InList,
                cost: "Logs, hooks and status go by it; a rename ends one group and begins another.",
            }
            /// Nodes that take part; without it, all.
            "nodes" nodes: Membership {
                takes: membership(), example: ["a", "b"], reload: Maintenance,
                shown: |config, group| list(group.members.iter().map(|m| &config.node(m.node).name)),
                cost: "Fewer members mean fewer nodes that need the service; fewer voters mean less is decided by \
                       majority.",
            }
            /// Who may claim when nodes cannot see each other: "auto", "cloud", "majority", "keepalived" or "etcd".
            /// majority needs 3 or more nodes (witnesses count) and never lets two be active; cloud goes by the
            /// cloud's record; keepalived elects by itself, and havipd follows it; with etcd, the nodes elect by a key with
            /// a lease there and never let two be active, or follow the leader that somebody else, Patroni say, writes into
            /// "leader-key".
            /// auto is majority with 3 or more nodes, else cloud.
            "arbiter" arbiter: &'static str {
                takes: arbiter(), default: "auto", reload: Maintenance,
                shown: |_, group| text(group.arbiter.as_str()),
                cost: "majority is never wrong but needs two of three voters alive; cloud needs only the API.",
            }
            /// Priorities of nodes in this group, 1 to 254 each, instead of the nodes' own.
            "priorities" priorities: Priorities {
                takes: priorities(), example: { a = 100, b = 150 }, reload: Accept,
                shown: |config, group| list(priorities_of(config, group)),
                cost: "Spreads active groups over the nodes; every table of its own is one more thing to keep \
                       consistent.",
            }
            /// A better-ranked node that comes back takes over (keepalived: nopreempt is preempt = false).
            "preempt" preempt: bool => preempt {
                takes: boolean(), default: true, reload: Accept,
                cost: "On, the preferred node is active whenever it is well, at the price of one more move; off, \
                       nothing moves without need.",
            }
            /// How long it must have been well first: {range}.
            "preempt-delay" preempt_delay: Duration => preempt_delay {
                takes: span(s(0), h(24)), default: "30s", reload: Accept,
                cost: "Longer keeps a node that flaps from taking the address again and again; shorter returns to \
                       the preferred node sooner.",
            }
            /// Names of the [[check]] tables that decide whether a node is well for this group.
            "checks" checks: Vec<At<String>> {
                takes: checks(), example: [], reload: Accept,
                shown: |_, group| list(&group.checks),
                cost: "More checks are more reasons to move; all of them without a weight must pass.",
            }
            /// When havipd is stopped: "handover" (if nobody can take over: keep), "keep" (leave the address for
            /// keep-for) or "release" (drop it).
            "on-stop" on_stop: OnStop => on_stop {
                takes: choice!(OnStop: "handover" = Handover, "keep" = Keep, "release" = Release),
                default: "handover", reload: Accept,
                cost: "handover moves before it stops and loses least; keep expects the node back within keep-for; \
                       release stops at once and serves nobody until a peer has claimed.",
            }
            /// When havipd is restarted: "keep" or "handover".
            "on-restart" on_restart: OnRestart => on_restart {
                takes: choice!(OnRestart: "keep" = Keep, "handover" = Handover), default: "keep", reload: Accept,
                cost: "keep moves nothing, and nobody watches while the daemon is down; handover costs two moves \
                       but is always watched.",
            }
            /// How long a kept address stays; the other nodes wait that long. Whole seconds, {range}.
            "keep-for" keep_for: Duration => keep_for {
                takes: seconds(s(1), m(10)), default: "15s", reload: Maintenance,
                cost: "Longer survives a slower restart; if the node does not come back, nobody serves for that long.",
            }
            /// A planned move that is not confirmed by then is taken back: {range}.
            "handover-timeout" handover_timeout: Duration => handover_timeout {
                takes: span(s(1), m(5)), default: "10s", reload: Accept,
                cost: "Shorter gives a stuck handover up sooner; too short takes back moves that a slow API would \
                       have confirmed.",
            }
            /// When the active node reaches neither another node nor the cloud: "hold" or "release". With arbiter
            /// majority it always releases.
            "when-isolated" when_isolated: HoldOrRelease => when_isolated {
                takes: choice!(HoldOrRelease: "hold" = Hold, "release" = Release), default: "hold", reload: Accept,
                cost: "hold goes on serving clients that still reach the node; release makes room where two nodes \
                       must never serve.",
            }
            /// When every node fails its checks: "keep" or "release".
            "when-all-fail" when_all_fail: HoldOrRelease => when_all_fail {
                takes: choice!(HoldOrRelease: "keep" = Hold, "release" = Release), default: "keep", reload: Accept,
                cost: "keep serves badly rather than not at all; release serves nobody until a node is well.",
            }
            /// At most so many moves away from a live node in max-moves-window: {range}; 0 is no limit. A dead node
            /// is always replaced.
            "max-moves" max_moves: u32 => max_moves {
                takes: integer(0, 1000), default: 6, reload: Accept,
                cost: "Lower calms a flapping cluster sooner; 0 follows every failing check at once.",
            }
            /// The window of max-moves: {range}.
            "max-moves-window" max_moves_window: Duration => max_moves_window {
                takes: span(m(1), h(24)), default: "10m", reload: Accept,
                cost: "Longer counts moves for longer, so that the budget is used up earlier and comes back later.",
            }
            /// A node that lost the HAVIP to another, as the cloud says, waits this long before it claims without
            /// new evidence; then four times as long each time, to 24h: {range}.
            "reclaim-wait" reclaim_wait: Duration => reclaim_wait {
                takes: span(s(10), h(24)), default: "5m", reload: Accept,
                cost: "Shorter heals a wrong record of the cloud sooner; longer leaves a deliberate move by hand \
                       alone for longer.",
            }
            /// A gate: a program and its arguments that must end with 0 before the address of a term goes live here, as the
            /// promotion of a database does. Runs at every claim. Not with arbiter keepalived or a leader-key.
            "before-active" before_active: Vec<String> {
                takes: program(), example: ["/etc/havipd/promote"], reload: Accept,
                shown: |_, group| argv(&group.before_active),
                cost: "Nothing is served while it runs, and if it fails another node has its turn.",
            }
            /// Then it is ended, and the claim is declined: {range}.
            "before-active-timeout" before_active_timeout: Duration => before_active_timeout {
                takes: span(s(1), m(10)), default: "30s", reload: Accept,
                cost: "Longer lets a slow promotion finish; a node whose program hangs keeps the others waiting for that long.",
            }
            /// A program that runs on the active node before a planned move away from it, as the demotion of a database does.
            "before-release" before_release: Vec<String> {
                takes: program(), example: ["/etc/havipd/demote"], reload: Accept,
                shown: |_, group| argv(&group.before_release),
                cost: "The node serves until the program says otherwise; every planned move takes that much longer.",
            }
            /// Then it is ended: {range}.
            "before-release-timeout" before_release_timeout: Duration => before_release_timeout {
                takes: span(s(1), m(10)), default: "30s", reload: Accept,
                cost: "Longer drains more connections; the unit's TimeoutStopSec has to be longer still.",
            }
            /// What becomes of the planned move if it fails: "abort" (this node stays active) or "continue".
            "before-release-failed" before_release_failed: AbortOrContinue => before_release_failed {
                takes: choice!(AbortOrContinue: "abort" = Abort, "continue" = Continue),
                default: "abort", reload: Accept,
                cost: "abort never gives away what was not released; continue moves whatever the program says.",
            }
            /// With arbiter keepalived: the vrrp_instance to follow, or "GROUP:" and the vrrp_sync_group; without
            /// it, the one that is called like the group.
            "vrrp" vrrp: Vrrp {
                takes: followed(), example: "VI_1", reload: Accept,
                shown: |_, group| text(&group.vrrp),
                cost: "A sync group moves several instances together, as one group with several HAVIPs does.",
            }
            /// With arbiter etcd: follow the leader that this key names. havipd reads it and never writes it;
            /// Patroni's is /service/SCOPE/leader.
            "leader-key" leader_key: String {
                takes: phrase("a key like \"/service/pg/leader\""), example: "/service/pg/leader", reload: Accept,
                shown: |_, group| maybe(group.leader.as_ref().map(|leader| &leader.key)),
                cost: "Anybody who may write this key decides where the HAVIP is.",
            }
            /// What the key's value is where a node leads; without an entry, the node's name. Exactly the whole value.
            "leader-value" leader_values: LeaderValues {
                takes: leader_values(), example: { a = "pg-1", b = "pg-2" }, reload: Accept,
                shown: |_, group| maybe(group.leader.as_ref().map(|leader| &leader.value)),
                cost: "Nodes that are called the same here and there need no entry, and nobody forgets to change one.",
            }
            /// Only elect and report: no call that changes anything, no address, no hook.
            "observe" observe: bool => observe {
                takes: boolean(), default: false, reload: Accept,
                cost: "Shows what would happen without risk; nobody keeps the HAVIP alive meanwhile.",
            }
        }
        tables {
            /// The HAVIPs of the group, 1 to 32, which move together. Maintenance to add, remove or reorder.
            "havip" havips: many Havip(1, 32), Required, Maintenance;
            /// Programs for this group alone: every key of [hooks], each instead of the one there.
            "hooks" hooks: one Hooks, Absent, Accept;
        }
        later { "on-arbiter-loss" }
        of (settings::Group), build (group: &Group, more: &InGroup<'_>) {
            name: of(&group.name)?,
            members: more.members(group),
            arbiter: more.shape.arbiter,
            vrrp: match of(&group.vrrp) {
                Some(vrrp) => vrrp,
                None => Vrrp { kind: vrrp::Kind::Instance, name: of(&group.name)?.to_string() },
            },
            leader: more.leader(group),
            checks: checks_of(group)?,
            before_active: of(&group.before_active),
            before_release: of(&group.before_release),
            havips: group.havips.iter().map(|havip| Havip::build(havip)).collect::<Option<_>>()?,
            hooks: Hooks::build(&group.hooks, more.hooks, more.resolve)?,
        };

    Havip
        keys {
            /// As the console shows it; in one group only.
            "id" id: HavipId {
                takes: id("a HAVIP id like \"havip-w2d4kgc3x0y1\""),
                required: "havip-w2d4kgc3x0y1", reload: Maintenance,
                shown: |_, _| Value::InList,
                cost: "Several HAVIPs in one group move together; in groups of their own they can be active on \
                       different nodes.",
            }
            /// "exclusive": only the active node stays bound. "shared": all stay bound, at most 5.
            "binding" binding: Binding => binding {
                takes: choice!(Binding: "exclusive" = Exclusive, "shared" = Shared),
                default: "exclusive", reload: Maintenance,
                cost: "exclusive works under every behaviour of the cloud; shared saves an attach during a failover \
                       where announcements alone move packets, and counts against the limit of five.",
            }
            /// IPv4. Without it, the HAVIP's own address, as the cloud gives it.
            "address" address: Ipv4Addr => address {
                takes: virtual_address(), example: "10.0.0.100", reload: Accept,
                cost: "Written down, a first start needs no answer of the cloud; a wrong one puts a wrong address \
                       on the interface.",
            }
            /// Where the address goes; "none" is nowhere, and no announcement. Without it, the interface that has
            /// the node's own address (with eni: the one of that ENI).
            "interface" interface: Interface {
                takes: interface_or_none(), example: "eth0", reload: Accept,
                shown: |_, havip| maybe(interface_of(havip)),
                cost: "\"none\" leaves addresses to somebody else, and with them the dead-man that removes them.",
            }
            /// Bound instances that are no node's. "guard": left alone until this cluster has held the HAVIP,
            /// detached afterwards; "detach": always detached; "refuse": never.
            "strangers" strangers: Strangers => strangers {
                takes: choice!(Strangers: "guard" = Guard, "detach" = Detach, "refuse" = Refuse),
                default: "guard", reload: Accept,
                cost: "guard never breaks what somebody bound before; detach takes the HAVIP from anybody; refuse \
                       waits for a human.",
            }
        }
        of (settings::Havip), build (havip: &Havip) {
            id: of(&havip.id)?,
            interface: of(&havip.interface).unwrap_or(Interface::Discover),
        };
}

fn priorities_of(config: &Config, group: &settings::Group) -> Vec<String> {
    let holders = group.members.iter().filter(|m| !m.witness);
    holders.map(|m| format!("{} = {}", config.node(m.node).name, m.priority)).collect()
}

fn interface_of(havip: &settings::Havip) -> Option<&str> {
    match &havip.interface {
        Interface::Discover => None,
        Interface::Named(name) => Some(name),
        Interface::None => Some("none"),
    }
}

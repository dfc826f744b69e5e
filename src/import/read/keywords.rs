//! Why a keyword is left behind.

use crate::import::note::{Kind, Notes};
use crate::import::parse::Statement;
use Kind::{Lost, OwnWay};

const ANNOUNCE: &str = "announcements: announce-count, announce-interval and announce-refresh in [local-address]";
const MAIL: &str = "havipd sends no mail: use a hook, or watch havipctl status --check";
const VRRP: &str = "a matter of VRRP, which havipd does not speak";
const ROUTES: &str = "havipd moves addresses, not routes and rules: use the hooks notify-master and notify-backup";
const LVS: &str = "havipd balances no load: keepalived goes on with it, without VRRP, when it is started with --check";
const MAC: &str = "the cloud knows an instance by its own hardware address: there is no virtual one";
const UNKNOWN: &str = "havipd has nothing that does the same";
const STATE: &str =
    "havipd has no hook for it; notify-master, notify-backup, notify-fault, notify-stop and notify are carried over";

/// What is inside a `vrrp_instance`.
pub(super) fn instance(statement: &Statement, notes: &mut Notes) {
    let key = statement.key();
    let (kind, why) = match key {
        "state" => (OwnWay, "nobody starts as MASTER: the priorities say who is preferred"),
        "virtual_router_id" => (OwnWay, "groups are told apart by their names"),
        "authentication" | "auth_type" | "auth_pass" => {
            (OwnWay, "every datagram is authenticated with the heartbeat key; make one with havipctl keygen")
        }
        "track_src_ip"
        | "unicast_ttl"
        | "check_unicast_src"
        | "skip_check_adv_addr"
        | "strict_mode"
        | "version"
        | "native_ipv6"
        | "accept"
        | "no_accept"
        | "debug"
        | "mcast_group4"
        | "mcast_group6"
        | "mcast_dst_ip"
        | "linkbeat_use_polling"
        | "higher_prio_send_advert"
        | "lower_prio_no_advert"
        | "unicast_fault_no_peer"
        | "allow_no_vips"
        | "v3_checksum_as_v2"
        | "thread_timer_expired"
        | "old_unicast_checksum" => (OwnWay, VRRP),
        "use_vmac" | "use_vmac_addr" | "vmac_xmit_base" | "use_ipvlan" | "vmac_base" => (Lost, MAC),
        "dont_track_primary" => (Lost, "havipd always watches the link of the interface that the HAVIP goes on"),
        "promote_secondaries" => (OwnWay, "a HAVIP goes on its interface as /32, so nothing hangs on it"),
        "virtual_routes" | "virtual_rules" => (Lost, ROUTES),
        "lvs_sync_daemon_interface" | "lvs_sync_daemon" => (Lost, LVS),
        "smtp_alert" => (Lost, MAIL),
        "notify_master_rx_lower_pri" | "notify_deleted" | "notify_priority_changes" => (Lost, STATE),
        key if key.starts_with("garp_") => (OwnWay, ANNOUNCE),
        _ => (Lost, UNKNOWN),
    };
    notes.add(kind, statement.at(), key, why);
}

/// What is inside a `vrrp_sync_group`.
pub(super) fn sync(statement: &Statement, notes: &mut Notes) {
    let key = statement.key();
    let (kind, why) = match key {
        "smtp_alert" => (Lost, MAIL),
        "global_tracking" | "sync_group_tracking_weight" => (OwnWay, "the HAVIPs of a group always move together"),
        "notify_master_rx_lower_pri" | "notify_deleted" | "notify_priority_changes" => (Lost, STATE),
        _ => (Lost, UNKNOWN),
    };
    notes.add(kind, statement.at(), key, why);
}

/// What is inside `global_defs`.
pub(super) fn global(statement: &Statement, notes: &mut Notes) {
    let key = statement.key();
    let (kind, why) = match key {
        "notification_email"
        | "notification_email_from"
        | "smtp_server"
        | "smtp_helo_name"
        | "smtp_connect_timeout"
        | "smtp_alert"
        | "smtp_alert_vrrp"
        | "no_email_faults"
        | "email_faults" => (Lost, MAIL),
        "default_interface" => (OwnWay, "keepalived has it for static addresses only"),
        "script_user" | "enable_script_security" => (
            OwnWay,
            "hooks run as the user havipd inside the unit's sandbox; the drop-in privileged-hooks.conf runs them as root",
        ),
        "vrrp_notify_fifo" | "vrrp_notify_fifo_script" | "notify_fifo" | "notify_fifo_script" | "lvs_notify_fifo" => {
            (Lost, "havipd writes no FIFO: use the hook notify, which gets the same four words")
        }
        "lvs_sync_daemon" | "lvs_flush" | "lvs_id" | "lvs_timeouts" | "checker_priority" | "lvs_flush_onstop" => {
            (Lost, LVS)
        }
        "enable_snmp_vrrp"
        | "enable_snmp_keepalived"
        | "enable_snmp_checker"
        | "enable_snmp_rfc"
        | "enable_traps"
        | "snmp_socket"
        | "enable_dbus"
        | "dbus_service_name"
        | "enable_snmp_rfcv2"
        | "enable_snmp_rfcv3" => (Lost, "ask havipctl status --json instead"),
        "net_namespace" | "instance" | "use_pid_dir" => (Lost, "the service manager starts havipd: say it in its unit"),
        "process_names" | "vrrp_priority" | "vrrp_no_swap" | "vrrp_rt_priority" | "max_auto_priority" | "umask"
        | "vrrp_rlimit_rttime" | "vrrp_rlimit_rtime" | "child_wait_time" | "reload_time_file" | "reload_repeat" => {
            (OwnWay, "a matter of keepalived's processes")
        }
        key if key.starts_with("vrrp_garp_") || key.starts_with("vrrp_gna_") => (OwnWay, ANNOUNCE),
        key if key.starts_with("vrrp_") => (OwnWay, VRRP),
        _ => (Lost, UNKNOWN),
    };
    notes.add(kind, statement.at(), key, why);
}

/// What stands in no block.
pub(super) fn top(statement: &Statement, notes: &mut Notes) {
    let key = statement.key();
    let (kind, why) = match key {
        // Told where an instance tracks them.
        "vrrp_script" | "vrrp_track_process" | "track_process" | "vrrp_track_file" | "track_file" => return,
        "virtual_server" | "virtual_server_group" | "real_server" | "sorry_server" | "SSL" => (Lost, LVS),
        "static_ipaddress" | "static_routes" | "static_rules" | "static_track_group" => {
            (Lost, "they do not move: give them to the host's network configuration")
        }
        "bfd_instance" => {
            (Lost, "havipd has no BFD: heartbeat.interval and dead-multiplier say how soon a peer is dead")
        }
        "garp_group" => (OwnWay, ANNOUNCE),
        "net_namespace" | "instance" | "use_pid_dir" => (Lost, "the service manager starts havipd: say it in its unit"),
        "linkbeat_use_polling" | "linkbeat_interfaces" | "interface_up_down_delays" => {
            (OwnWay, "the kernel tells havipd of links; a node whose link was down listens for one dead time first")
        }
        _ => (Lost, UNKNOWN),
    };
    let value = statement.value().filter(|_| statement.block.is_some()).unwrap_or_default();
    notes.add(kind, statement.at(), format!("{key} {value}").trim_end(), why);
}

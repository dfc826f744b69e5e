//! Which keywords keepalived 2.2 knows where, and what follows them: what is a block, and for whom, decides what a brace
//! closes.
//!
//! Source: keepalived.conf(5), and what keepalived 2.2.7 says of files with each keyword.

/// What follows a keyword.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shape {
    /// Words of its line.
    Line,
    /// A block of lines without keywords.
    Values,
    /// A block with keywords of its own.
    Block(&'static Level),
    /// A block that another process of keepalived reads.
    Other,
}

/// The keywords of a block.
#[derive(Debug)]
pub(super) struct Level {
    lines: &'static [&'static str],
    values: &'static [&'static str],
    blocks: &'static [(&'static str, &'static Self)],
    other: &'static [&'static str],
}

impl Level {
    /// What follows that keyword; `None` if it is none here.
    pub(super) fn shape(&self, key: &str) -> Option<Shape> {
        if self.lines.contains(&key) {
            Some(Shape::Line)
        } else if self.values.contains(&key) {
            Some(Shape::Values)
        } else if self.other.contains(&key) {
            Some(Shape::Other)
        } else {
            self.blocks.iter().find(|(name, _)| *name == key).map(|(_, level)| Shape::Block(level))
        }
    }
}

const fn lines(lines: &'static [&'static str]) -> Level {
    Level { lines, values: &[], blocks: &[], other: &[] }
}

/// What stands in no block.
pub(super) static ROOT: Level = Level {
    lines: &[
        "linkbeat_use_polling",
        "net_namespace",
        "net_namespace_ipvs",
        "namespace_with_ipsets",
        "use_pid_dir",
        "instance",
        "child_wait_time",
    ],
    values: &["static_ipaddress", "static_routes", "static_rules", "linkbeat_interfaces", "interface_up_down_delays"],
    blocks: &[
        ("global_defs", &GLOBAL),
        ("track_group", &TRACK_GROUP),
        ("vrrp_sync_group", &SYNC),
        ("garp_group", &GARP),
        ("vrrp_instance", &INSTANCE),
        ("vrrp_script", &SCRIPT),
        ("vrrp_track_process", &PROCESS),
        ("track_process", &PROCESS),
        ("vrrp_track_file", &FILE),
        ("track_file", &FILE),
        ("bfd_instance", &BFD),
    ],
    other: &["virtual_server", "virtual_server_group", "SSL"],
};

static TRACK_GROUP: Level = Level { lines: &[], values: &["group"], blocks: &[], other: &[] };

static GARP: Level =
    Level { lines: &["garp_interval", "gna_interval", "interface"], values: &["interfaces"], blocks: &[], other: &[] };

static SCRIPT: Level = lines(&["script", "interval", "timeout", "weight", "rise", "fall", "user", "init_fail"]);

static PROCESS: Level = lines(&[
    "process",
    "param_match",
    "weight",
    "quorum",
    "quorum_max",
    "delay",
    "terminate_delay",
    "fork_delay",
    "full_command",
]);

static FILE: Level = lines(&["file", "weight", "init_file"]);

static BFD: Level = lines(&[
    "source_ip",
    "neighbor_ip",
    "neighbour_ip",
    "min_rx",
    "min_tx",
    "idle_tx",
    "multiplier",
    "passive",
    "ttl",
    "hoplimit",
    "max_hops",
    "weight",
    "vrrp",
    "checker",
]);

static SYNC: Level = Level {
    lines: &[
        "notify_backup",
        "notify_master",
        "notify_fault",
        "notify_stop",
        "notify",
        "smtp_alert",
        "global_tracking",
        "sync_group_tracking_weight",
        "notify_priority_changes",
    ],
    values: &["group", "track_interface", "track_script", "track_file", "track_process", "track_bfd"],
    blocks: &[],
    other: &[],
};

static AUTHENTICATION: Level = lines(&["auth_type", "auth_pass"]);

static INSTANCE: Level = Level {
    lines: &[
        "use_vmac",
        "use_vmac_addr",
        "vmac_xmit_base",
        "use_ipvlan",
        "unicast_fault_no_peer",
        "check_unicast_src",
        "old_unicast_checksum",
        "native_ipv6",
        "state",
        "interface",
        "vrf",
        "dont_track_primary",
        "mcast_src_ip",
        "unicast_src_ip",
        "mcast_dst_ip",
        "track_src_ip",
        "virtual_router_id",
        "unicast_ttl",
        "version",
        "priority",
        "advert_int",
        "promote_secondaries",
        "linkbeat_use_polling",
        "accept",
        "no_accept",
        "skip_check_adv_addr",
        "strict_mode",
        "preempt",
        "nopreempt",
        "preempt_delay",
        "debug",
        "notify_backup",
        "notify_master",
        "notify_fault",
        "notify_stop",
        "notify_deleted",
        "notify",
        "notify_master_rx_lower_pri",
        "smtp_alert",
        "notify_priority_changes",
        "lvs_sync_daemon_interface",
        "garp_master_delay",
        "garp_master_refresh",
        "garp_master_repeat",
        "garp_master_refresh_repeat",
        "garp_lower_prio_delay",
        "garp_lower_prio_repeat",
        "down_timer_adverts",
        "garp_extra_if",
        "vmac_garp_intvl",
        "lower_prio_no_advert",
        "higher_prio_send_advert",
        "kernel_rx_buf_size",
    ],
    values: &[
        "unicast_peer",
        "track_interface",
        "track_script",
        "track_file",
        "track_process",
        "track_bfd",
        "virtual_ipaddress",
        "virtual_ipaddress_excluded",
        "virtual_routes",
        "virtual_rules",
    ],
    blocks: &[("authentication", &AUTHENTICATION)],
    other: &[],
};

static GLOBAL: Level = Level {
    lines: &[
        "process_names",
        "process_name",
        "vrrp_process_name",
        "checker_process_name",
        "lvs_process_name",
        "bfd_process_name",
        "router_id",
        "notification_email_from",
        "smtp_server",
        "smtp_helo_name",
        "smtp_connect_timeout",
        "smtp_alert",
        "smtp_alert_vrrp",
        "smtp_alert_checker",
        "startup_script",
        "startup_script_timeout",
        "shutdown_script",
        "shutdown_script_timeout",
        "max_auto_priority",
        "min_auto_priority_delay",
        "checker_log_all_failures",
        "dynamic_interfaces",
        "no_email_faults",
        "default_interface",
        "disable_local_igmp",
        "lvs_timeouts",
        "lvs_flush",
        "lvs_flush_on_stop",
        "lvs_flush_onstop",
        "lvs_sync_daemon",
        "vrrp_mcast_group4",
        "vrrp_mcast_group6",
        "vrrp_garp_master_delay",
        "vrrp_garp_master_repeat",
        "vrrp_garp_master_refresh",
        "vrrp_garp_master_refresh_repeat",
        "vrrp_garp_lower_prio_delay",
        "vrrp_garp_lower_prio_repeat",
        "vrrp_down_timer_adverts",
        "vrrp_garp_interval",
        "vrrp_gna_interval",
        "vrrp_min_garp",
        "vrrp_garp_extra_if",
        "vrrp_vmac_garp_intvl",
        "vrrp_lower_prio_no_advert",
        "vrrp_higher_prio_send_advert",
        "vrrp_version",
        "vrrp_iptables",
        "vrrp_ipsets",
        "nftables",
        "nftables_priority",
        "nftables_ifindex",
        "nftables_ipvs",
        "nftables_ipvs_priority",
        "nftables_ipvs_start_fwmark",
        "nftables_counters",
        "vrrp_check_unicast_src",
        "vrrp_skip_check_adv_addr",
        "vrrp_strict",
        "vrrp_priority",
        "vrrp_no_swap",
        "vrrp_rt_priority",
        "vrrp_cpu_affinity",
        "vrrp_rlimit_rttime",
        "vrrp_rlimit_rtime",
        "notify_fifo",
        "notify_fifo_script",
        "vrrp_notify_fifo",
        "vrrp_notify_fifo_script",
        "vrrp_notify_priority_changes",
        "fifo_write_vrrp_states_on_reload",
        "lvs_notify_fifo",
        "lvs_notify_fifo_script",
        "checker_priority",
        "checker_no_swap",
        "checker_rt_priority",
        "checker_cpu_affinity",
        "checker_rlimit_rttime",
        "checker_rlimit_rtime",
        "bfd_priority",
        "bfd_no_swap",
        "bfd_rt_priority",
        "bfd_cpu_affinity",
        "bfd_rlimit_rttime",
        "bfd_rlimit_rtime",
        "snmp_socket",
        "enable_traps",
        "enable_snmp_vrrp",
        "enable_snmp_keepalived",
        "enable_snmp_rfc",
        "enable_snmp_rfcv2",
        "enable_snmp_rfcv3",
        "enable_snmp_checker",
        "enable_dbus",
        "dbus_service_name",
        "script_user",
        "enable_script_security",
        "vrrp_netlink_cmd_rcv_bufs",
        "vrrp_netlink_cmd_rcv_bufs_force",
        "vrrp_netlink_monitor_rcv_bufs",
        "vrrp_netlink_monitor_rcv_bufs_force",
        "process_monitor_rcv_bufs",
        "process_monitor_rcv_bufs_force",
        "lvs_netlink_cmd_rcv_bufs",
        "lvs_netlink_cmd_rcv_bufs_force",
        "lvs_netlink_monitor_rcv_bufs",
        "lvs_netlink_monitor_rcv_bufs_force",
        "rs_init_notifies",
        "no_checker_emails",
        "vrrp_rx_bufs_policy",
        "vrrp_rx_bufs_multiplier",
        "vrrp_startup_delay",
        "log_unknown_vrids",
        "vmac_prefix",
        "vmac_addr_prefix",
        "umask",
        "random_seed",
        "reload_check_config",
        "reload_time_file",
        "reload_repeat",
        "reload_file",
        "include_check",
        "config_save_dir",
        "tmp_config_directory",
        "data_use_instance",
        // In no block, and here too.
        "linkbeat_use_polling",
        "net_namespace",
        "net_namespace_ipvs",
        "namespace_with_ipsets",
        "use_pid_dir",
        "instance",
        "child_wait_time",
    ],
    values: &["notification_email"],
    blocks: &[],
    other: &[],
};

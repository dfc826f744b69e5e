//! The rules of the protocol that answer an execution which broke a simpler one, played: a file each in
//! tests/data/conformance, a test each here, so that tests/mutants/run can break a rule and expect its case to fail.

use super::{Scenario, run};

fn holds(text: &str) {
    let scenario = Scenario::parse(text).expect("a scenario that can be run");
    let report = run(&scenario);
    assert!(report.violation.is_none(), "\n{report}{}", report.trace);
}

macro_rules! cases {
    ($($name:ident: $file:literal),* $(,)?) => {
        $(#[test]
        fn $name() {
            holds(include_str!(concat!("../../../../tests/data/conformance/", $file, ".toml")));
        })*
    };
}

cases! {
    keepalived_a_split_of_vrrp: "keepalived-a-split-of-vrrp",
    s1_a_new_start_proves_itself: "s1-a-new-start-proves-itself",
    s1_a_peer_that_forgot_us_is_alive: "s1-a-peer-that-forgot-us-is-alive",
    s1_held_entries_in_every_heartbeat: "s1-held-entries-in-every-heartbeat",
    s2_a_backlog_of_before: "s2-a-backlog-of-before",
    s2_a_delay_that_ends: "s2-a-delay-that-ends",
    s2_a_process_that_stops_and_goes: "s2-a-process-that-stops-and-goes",
    s2_away_cloud: "s2-away-cloud",
    s2_away_majority: "s2-away-majority",
    s2_frozen_cloud: "s2-frozen-cloud",
    s2_frozen_majority: "s2-frozen-majority",
    s2_one_peers_bad_clock: "s2-one-peers-bad-clock",
    s2_stuck_cloud: "s2-stuck-cloud",
    s2_stuck_majority: "s2-stuck-majority",
    s2_the_dead_are_heard_out_too: "s2-the-dead-are-heard-out-too",
    s3_a_copy_that_gets_the_addresses: "s3-a-copy-that-gets-the-addresses",
    s3_a_number_that_two_took: "s3-a-number-that-two-took",
    s3_an_unowned_epoch: "s3-an-unowned-epoch",
    s3_asking_is_backup: "s3-asking-is-backup",
    s3_the_number_of_a_successor_that_is_not_heard: "s3-the-number-of-a-successor-that-is-not-heard",
    s3_what_was_held_up_is_of_the_past: "s3-what-was-held-up-is-of-the-past",
    s4_a_backup_that_may_not_send: "s4-a-backup-that-may-not-send",
    s4_a_copy_beside_the_holder: "s4-a-copy-beside-the-holder",
    s4_a_deaf_backup: "s4-a-deaf-backup",
    s4_a_holder_whose_instance_nobody_told: "s4-a-holder-whose-instance-nobody-told",
    s4_a_link_that_is_back: "s4-a-link-that-is-back",
    s4_a_holder_that_was_never_heard: "s4-a-holder-that-was-never-heard",
    s4_a_third_hears_the_holder: "s4-a-third-hears-the-holder",
    s4_the_third_hears_it_no_more: "s4-the-third-hears-it-no-more",
    s4_an_isolated_holder: "s4-an-isolated-holder",
    s4_groups_not_told_of_yet: "s4-groups-not-told-of-yet",
    s4_the_kth_in_rank: "s4-the-kth-in-rank",
    s4_who_is_not_heard_lets_others_claim: "s4-who-is-not-heard-lets-others-claim",
    s5_groups_with_members_of_their_own: "s5-groups-with-members-of-their-own",
    s5_a_forgotten_long_lease: "s5-a-forgotten-long-lease",
    s5_a_grant_counts_from_its_ask: "s5-a-grant-counts-from-its-ask",
    s5_a_partition_is_no_tug_of_war: "s5-a-partition-is-no-tug-of-war",
    s5_a_restored_etcd: "s5-a-restored-etcd",
    s5_a_rival_goes_first: "s5-a-rival-goes-first",
    s5_clocks_within_one_percent: "s5-clocks-within-one-percent",
    s5_maintenance_ends_with_its_digest: "s5-maintenance-ends-with-its-digest",
    s5_no_grant_crosses_digests: "s5-no-grant-crosses-digests",
    s5_other_lengths_under_maintenance: "s5-other-lengths-under-maintenance",
    s5_voters_change_together: "s5-voters-change-together",
    s5_what_was_given_by_the_file_before: "s5-what-was-given-by-the-file-before",
    s5_who_may_have_been_given_up_repairs_nothing: "s5-who-may-have-been-given-up-repairs-nothing",
    s6_a_claim_has_what_it_was_read_to_have_last: "s6-a-claim-has-what-it-was-read-to-have-last",
    s6_a_late_write_is_found: "s6-a-late-write-is-found",
    s6_a_pause_before_a_claim: "s6-a-pause-before-a-claim",
    s6_a_restart_keeps_what_it_has: "s6-a-restart-keeps-what-it-has",
    s6_an_effect_has_a_deadline: "s6-an-effect-has-a-deadline",
    s6_nothing_removed_is_put_back_before_the_gate: "s6-nothing-removed-is-put-back-before-the-gate",
    s6_what_is_not_to_be_had_is_served_on: "s6-what-is-not-to-be-had-is-served-on",
    s7_a_restart_takes_one_long_grant: "s7-a-restart-takes-one-long-grant",
    s7_a_restarted_voter_follows_a_handover: "s7-a-restarted-voter-follows-a-handover",
    s7_no_right_without_a_new_claim: "s7-no-right-without-a-new-claim",
    s7_the_grant_is_kept_for_the_successor: "s7-the-grant-is-kept-for-the-successor",
    s7_what_the_kernel_removed: "s7-what-the-kernel-removed",
    s8_a_check_that_flaps: "s8-a-check-that-flaps",
    s8_new_ranks_move_once: "s8-new-ranks-move-once",
}

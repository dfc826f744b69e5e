//! Within which time a cluster settles: the bound of I3, and what scenarios and other invariants go by.

use super::cluster::Cluster;
use havipd_core::model::settings::Arbiter;
use std::time::Duration;

/// Longest back-off after refused claims (election.md §8) with jitter, without the lease added to it.
const BACK_OFF: Duration = Duration::from_secs(72);
/// One claim with all its retries.
pub(super) const OPERATION: Duration = Duration::from_secs(20);

/// Within which time after the last fault all must be settled.
pub(crate) fn bound(cluster: &Cluster, dead_time: Duration) -> Duration {
    let ms = Duration::from_millis;
    let preempt = if cluster.preempt { ms(cluster.preempt_delay_ms) } else { Duration::ZERO };
    BACK_OFF
        + OPERATION
        + ms(cluster.cold_start_wait_ms.max(cluster.keep_for_ms))
        + ms(cluster.handover_timeout_ms)
        + preempt
        + cluster.gates() * 3
        + dead_time * 6
        + lease(cluster) * 3
}

/// How long a lease in etcd lasts, where there is one.
pub(super) fn lease(cluster: &Cluster) -> Duration {
    let leased = cluster.arbiter == Arbiter::EtcdLease;
    if leased { Duration::from_millis(cluster.etcd_lease_ms) } else { Duration::ZERO }
}

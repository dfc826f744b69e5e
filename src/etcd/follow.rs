//! Keeps asking about one leader key, or about all keys of our own elections.
//!
//! A read in turn, four in a lease, is what keeps the answer young; a watch has it read at once when something changes. Where no
//! endpoint answers, it is asked again soon, and what was read last runs out by itself: the core ends it, not this task.

use super::client::{Client, EtcdError, NoAnswer, Reading, Watch};
use super::message::Keys;
use crate::clock;
use havipd_core::model::time::Instant;
use std::sync::Arc;
use std::time::Duration;

/// Between two reads at least, however often something changes.
const REST: Duration = Duration::from_millis(50);
/// After a round in which no endpoint answered, and after a watch that ended.
const AGAIN: Duration = Duration::from_millis(500);
/// Reads in a lease, so that a few may fail.
const IN_A_LEASE: u32 = 4;

/// Keeps asking about `keys`, and gives every answer that `pin` lets through, and every failure to get one, to `tell`, until that
/// says no.
pub async fn follow<F>(
    client: Arc<Client>,
    keys: Keys,
    mut pin: Pin,
    mut tell: impl FnMut(Result<Reading, NoAnswer>) -> F,
) where
    F: Future<Output = bool>,
{
    let lease = client.settings().lease;
    let mut watch: Option<Watch> = None;
    loop {
        let began = clock::now();
        let answer = match client.read(&keys).await {
            Ok(reading) => match pin.judge(&reading, clock::now()) {
                Ok(()) => Ok(reading),
                Err(error) => {
                    // Another endpoint may still be of the cluster that was read before.
                    client.turn_away();
                    Err(NoAnswer(vec![(reading.endpoint, error)]))
                }
            },
            Err(error) => Err(error),
        };
        let wait = if answer.is_ok() { lease / IN_A_LEASE } else { AGAIN };
        match &answer {
            // One at another endpoint than answers now may hang.
            Ok(reading) if watch.as_ref().is_none_or(|watch| watch.endpoint() != reading.endpoint) => {
                watch = open(&client, reading, &keys).await;
            }
            Ok(_) => {}
            // It hangs on a connection that may be dead.
            Err(_) => watch = None,
        }
        if !tell(answer).await {
            return;
        }
        tokio::select! {
            () = clock::sleep_until(began + wait) => {}
            rang = ring(watch.as_mut()) => {
                let rest = match rang {
                    Ok(()) => REST,
                    Err(why) => {
                        tracing::debug!("the watch of {} in etcd ended: {why}", keys.name());
                        watch = None;
                        AGAIN
                    }
                };
                clock::sleep_until(began + rest).await;
            }
        }
    }
}

/// Without a watch the reads in turn are all there is, and the next of them tries again.
async fn open(client: &Client, reading: &Reading, keys: &Keys) -> Option<Watch> {
    match client.watch(reading, keys).await {
        Ok(watch) => Some(watch),
        Err(error) => {
            tracing::debug!("{} in etcd cannot be watched at {}: {error}", keys.name(), reading.endpoint);
            None
        }
    }
}

async fn ring(watch: Option<&mut Watch>) -> Result<(), String> {
    match watch {
        Some(watch) => watch.rings().await,
        None => std::future::pending().await,
    }
}

/// The cluster that was read last.
///
/// ⚠ Reads are linearizable within one cluster. Endpoints of two, or one that was restored from a backup, would tell of a
/// leader of another time. So another cluster, or the same one at a lower revision, counts only after a while in which the
/// one before was not read any more. The while begins with the first answer of the other: until then some other node may have
/// read the one before, and goes by what that said.
#[derive(Debug)]
pub struct Pin {
    wait: Duration,
    revisions: bool,
    /// Its id, and its revision.
    known: Option<(u64, u64)>,
    other: Option<Other>,
}

/// What answers in the place of the cluster that was known.
#[derive(Debug, Clone, Copy)]
struct Other {
    since: Instant,
    went_back: bool,
}

impl Pin {
    /// Another cluster, or one whose revision went back, counts after `wait`.
    #[must_use]
    pub fn of_cluster_and_revision(wait: Duration) -> Self {
        Self { wait, revisions: true, known: None, other: None }
    }

    /// Another cluster counts after `wait`; what a lower revision means is judged by who is told of it.
    #[must_use]
    pub fn of_cluster(wait: Duration) -> Self {
        Self { revisions: false, ..Self::of_cluster_and_revision(wait) }
    }

    fn judge(&mut self, reading: &Reading, now: Instant) -> Result<(), EtcdError> {
        let (is, revision) = (reading.range.cluster, reading.range.revision);
        let (was, before) = self.known.unwrap_or((is, revision));
        // Once it has begun anew its revision may come to be what it was.
        let went_back = was == is && self.revisions && (before > revision || self.other.is_some_and(|o| o.went_back));
        if was != is || went_back {
            let other = *self.other.get_or_insert(Other { since: now, went_back });
            if reading.sent < other.since + self.wait {
                return Err(match went_back {
                    true => EtcdError::WentBack { was: before, is: revision },
                    false => EtcdError::OtherCluster { was, is },
                });
            }
        }
        (self.known, self.other) = (Some((is, revision)), None);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::etcd::message::Range;
    use std::collections::BTreeMap;

    const WAIT: Duration = Duration::from_secs(10);

    fn judge(pin: &mut Pin, cluster: u64, revision: u64, sent: u64) -> Result<(), EtcdError> {
        let now = Instant::default() + Duration::from_secs(sent);
        let range = Range { cluster, revision, found: BTreeMap::new() };
        pin.judge(&Reading { range, sent: now, endpoint: "http://e".to_owned() }, now)
    }

    /// ⚠ Red where the wait begins with the last read of the cluster before: another node may have read that one since.
    #[test]
    fn another_cluster_counts_when_it_has_been_there_for_long_enough() {
        let mut pin = Pin::of_cluster_and_revision(WAIT);
        assert_eq!(judge(&mut pin, 1, 5, 0), Ok(()));
        assert_eq!(judge(&mut pin, 1, 5, 1), Ok(()));
        for sent in [30, 39] {
            assert_eq!(judge(&mut pin, 2, 9, sent), Err(EtcdError::OtherCluster { was: 1, is: 2 }));
        }
        assert_eq!(judge(&mut pin, 1, 6, 39), Ok(()), "which is there yet");
        for sent in [41, 50] {
            assert_eq!(judge(&mut pin, 2, 9, sent), Err(EtcdError::OtherCluster { was: 1, is: 2 }));
        }
        assert_eq!(judge(&mut pin, 2, 9, 51), Ok(()));
        assert_eq!(judge(&mut pin, 1, 9, 52), Err(EtcdError::OtherCluster { was: 2, is: 1 }));
    }

    #[test]
    fn a_restored_cluster_counts_later_whatever_its_revision_is_by_then() {
        let mut pin = Pin::of_cluster_and_revision(WAIT);
        assert_eq!(judge(&mut pin, 1, 5, 0), Ok(()));
        for (revision, sent) in [(4, 20), (5, 22), (7, 29)] {
            let back = EtcdError::WentBack { was: 5, is: revision };
            assert_eq!(judge(&mut pin, 1, revision, sent), Err(back));
        }
        assert_eq!(judge(&mut pin, 1, 3, 30), Ok(()));
        // Whose caller judges that itself hears of it.
        let mut pin = Pin::of_cluster(WAIT);
        assert_eq!((judge(&mut pin, 1, 5, 0), judge(&mut pin, 1, 4, 1)), (Ok(()), Ok(())));
    }
}

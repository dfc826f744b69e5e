//! Keeps asking about one leader key.
//!
//! A read in turn, four in a lease, is what keeps the answer young; a watch has it read at once when it changes. Where no
//! endpoint answers, it is asked again soon, and what was read last runs out by itself: the core ends it, not this task.

use super::client::{Client, EtcdError, NoAnswer, Reading, Watch};
use crate::clock;
use havipd_core::model::time::Instant;
use std::sync::Arc;
use std::time::Duration;

/// Between two reads of one key at least, however often it changes.
const REST: Duration = Duration::from_millis(50);
/// After a round in which no endpoint answered, and after a watch that ended.
const AGAIN: Duration = Duration::from_millis(500);
/// Reads in a lease, so that a few may fail.
const IN_A_LEASE: u32 = 4;

/// Keeps asking about `key`, and gives every answer, and every failure to get one, to `tell`, until that says no. Another etcd
/// than before is believed once this one was not read for as long as `pinned`.
pub async fn follow<F>(
    client: Arc<Client>,
    key: String,
    pinned: Duration,
    mut tell: impl FnMut(Result<Reading, NoAnswer>) -> F,
) where
    F: Future<Output = bool>,
{
    let lease = client.settings().lease;
    let mut pin = Pin::default();
    let mut watch: Option<Watch> = None;
    loop {
        let began = clock::now();
        let answer = match client.read(&key).await {
            Ok(reading) => match pin.judge(&reading, pinned) {
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
                watch = open(&client, reading, &key).await;
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
                        tracing::debug!("the watch of {key} in etcd ended: {why}");
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
async fn open(client: &Client, reading: &Reading, key: &str) -> Option<Watch> {
    match client.watch(reading, key).await {
        Ok(watch) => Some(watch),
        Err(error) => {
            tracing::debug!("{key} in etcd cannot be watched at {}: {error}", reading.endpoint);
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

/// The cluster that was read last, for as long as that read counts.
///
/// ⚠ Reads are linearizable within one cluster. Endpoints of two, or one that was restored from a backup, would tell of a
/// leader of another time. So only the same cluster counts, at the same revision or a later one, until what it said has run
/// out: then nobody leads by its word any more, and whatever is there now is taken.
#[derive(Debug, Default)]
struct Pin(Option<(u64, u64, Instant)>);

impl Pin {
    fn judge(&mut self, reading: &Reading, pinned: Duration) -> Result<(), EtcdError> {
        let (is, revision) = (reading.range.cluster, reading.range.revision);
        match self.0.filter(|(.., until)| reading.sent < *until) {
            Some((was, ..)) if was != is => Err(EtcdError::OtherCluster { was, is }),
            Some((_, was, _)) if was > revision => Err(EtcdError::WentBack { was, is: revision }),
            _ => {
                self.0 = Some((is, revision, reading.sent + pinned));
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::etcd::message::Range;

    #[test]
    fn another_cluster_counts_when_the_last_word_of_the_first_has_run_out() {
        let lease = Duration::from_secs(10);
        let read = |cluster, revision, sent| Reading {
            range: Range { cluster, revision, found: None },
            sent: Instant::default() + Duration::from_secs(sent),
            endpoint: "http://e".to_owned(),
        };
        let mut pin = Pin::default();
        assert_eq!(pin.judge(&read(1, 5, 0), lease), Ok(()));
        assert_eq!(pin.judge(&read(1, 5, 1), lease), Ok(()));
        assert_eq!(pin.judge(&read(2, 9, 2), lease), Err(EtcdError::OtherCluster { was: 1, is: 2 }));
        assert_eq!(pin.judge(&read(1, 4, 3), lease), Err(EtcdError::WentBack { was: 5, is: 4 }));
        assert_eq!(pin.judge(&read(2, 9, 10), lease), Err(EtcdError::OtherCluster { was: 1, is: 2 }));
        assert_eq!(pin.judge(&read(2, 1, 11), lease), Ok(()));
        assert_eq!(pin.judge(&read(1, 9, 12), lease), Err(EtcdError::OtherCluster { was: 2, is: 1 }));
    }
}

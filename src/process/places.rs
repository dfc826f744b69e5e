//! Places for the connections of a listener: so many for each client, some kept for those who must get in, and who takes
//! one without asking anything loses it first.
//!
//! A client is whatever the listener tells apart: a user, an address. One that takes all its places keeps nobody else
//! out, and one that opens connections and is slow to say what it wants keeps out nobody at all.

use havipd_core::model::time::Instant;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::task::AbortHandle;

/// How many there are.
#[derive(Debug, Clone, Copy)]
pub struct Shares {
    /// All of them.
    pub all: usize,
    /// Of these, for [`Client::first`] only.
    pub kept: usize,
    /// A connection that has said nothing for this long may have to make room.
    pub slow: Duration,
}

/// Who wants a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client<K> {
    /// What tells clients apart.
    pub key: K,
    /// How many places it may have at a time.
    pub most: usize,
    /// Whether the kept places are for it, too.
    pub first: bool,
}

/// A place that is taken.
#[derive(Debug)]
struct Taken<K> {
    number: u64,
    client: Client<K>,
    /// Since when it is known for nothing; `None` while it is being answered.
    quiet_since: Option<Instant>,
    task: Option<AbortHandle>,
}

#[derive(Debug)]
struct Room<K> {
    taken: Vec<Taken<K>>,
    next: u64,
}

/// All places of a listener.
#[derive(Debug)]
pub struct Places<K> {
    shares: Shares,
    room: Arc<Mutex<Room<K>>>,
}

/// One place; given back when dropped.
#[derive(Debug)]
pub struct Place<K> {
    number: u64,
    room: Arc<Mutex<Room<K>>>,
}

impl<K: Copy + Eq> Places<K> {
    /// None is taken.
    #[must_use]
    pub fn new(shares: Shares) -> Self {
        Self { shares, room: Arc::new(Mutex::new(Room { taken: Vec::new(), next: 0 })) }
    }

    /// A place for `client`; where there is none, the slowest that stands in its way is ended for it. `None` if all that
    /// do are being answered, or have only just come.
    #[must_use]
    pub fn take(&self, client: Client<K>, now: Instant) -> Option<Place<K>> {
        let mut room = lock(&self.room);
        let own = room.taken.iter().filter(|t| t.client.key == client.key).count();
        let others = room.taken.iter().filter(|t| !t.client.first).count();
        let closed = !client.first && others >= self.shares.all.saturating_sub(self.shares.kept);
        if own >= client.most {
            room.end_slowest(now, self.shares.slow, |t| t.client.key == client.key)?;
        } else if closed || room.taken.len() >= self.shares.all {
            room.end_slowest(now, self.shares.slow, |t| client.first || !t.client.first)?;
        }
        let number = room.next;
        room.next += 1;
        room.taken.push(Taken { number, client, quiet_since: Some(now), task: None });
        drop(room);
        Some(Place { number, room: Arc::clone(&self.room) })
    }

    /// Says which task has place `number`, so that it can be ended.
    pub fn runs(&self, number: u64, task: AbortHandle) {
        lock(&self.room).of(number, |t| t.task = Some(task));
    }
}

impl<K> Place<K> {
    /// Its number, for [`Places::runs`].
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// It has nothing to be answered from now on, if it had.
    pub fn waits(&self, now: Instant) {
        lock(&self.room).of(self.number, |t| t.quiet_since = t.quiet_since.or(Some(now)));
    }

    /// It has asked, and is being answered.
    pub fn asks(&self) {
        lock(&self.room).of(self.number, |t| t.quiet_since = None);
    }
}

impl<K> Drop for Place<K> {
    fn drop(&mut self) {
        lock(&self.room).taken.retain(|t| t.number != self.number);
    }
}

impl<K> Room<K> {
    fn of(&mut self, number: u64, change: impl FnOnce(&mut Taken<K>)) {
        if let Some(taken) = self.taken.iter_mut().find(|t| t.number == number) {
            change(taken);
        }
    }

    /// Ends the one of `among` that has been quiet longest, if that is long enough; `None` if nobody has.
    fn end_slowest(&mut self, now: Instant, slow: Duration, among: impl Fn(&Taken<K>) -> bool) -> Option<()> {
        let quiet = |t: &Taken<K>| t.quiet_since.filter(|since| now.since(*since) >= slow);
        let all = self.taken.iter().enumerate().filter(|(_, t)| among(t));
        let (_, slowest) = all.filter_map(|(i, t)| quiet(t).map(|since| (since, i))).min()?;
        if let Some(task) = self.taken.swap_remove(slowest).task {
            task.abort();
        }
        Some(())
    }
}

/// Nothing that is done under this lock can leave it half done.
fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHARES: Shares = Shares { all: 6, kept: 2, slow: Duration::from_secs(1) };

    fn user(key: u32) -> Client<u32> {
        Client { key, most: 3, first: false }
    }

    const ROOT: Client<u32> = Client { key: 0, most: 6, first: true };

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    /// As many as there are for it; each is being answered.
    fn all_of(places: &Places<u32>, client: Client<u32>, now: Instant) -> Vec<Place<u32>> {
        std::iter::from_fn(|| places.take(client, now).inspect(Place::asks)).collect()
    }

    #[test]
    fn one_client_keeps_out_nobody_else_and_all_of_them_not_the_first() {
        let places = Places::new(SHARES);
        let one = all_of(&places, user(1), at(0));
        assert_eq!(one.len(), 3);
        let two = all_of(&places, user(2), at(0));
        assert_eq!(two.len(), 1, "what is left but for the kept ones");
        let root = all_of(&places, ROOT, at(5000));
        assert_eq!(root.len(), 2, "nobody is ended who is being answered");
        drop(one);
        assert_eq!(all_of(&places, user(2), at(5000)).len(), 2, "up to three");
        drop((two, root));
    }

    #[tokio::test]
    async fn the_slowest_makes_room_and_never_one_that_is_answered() {
        let places = Places::new(SHARES);
        let quiet = |key, now| {
            let place = places.take(user(key), now).expect("room");
            let number = place.number();
            let task = tokio::spawn(async move {
                let _place = place;
                std::future::pending::<()>().await;
            });
            places.runs(number, task.abort_handle());
            task
        };
        let first = quiet(1, at(0));
        let (second, third) = (quiet(1, at(600)), quiet(1, at(600)));
        assert!(places.take(user(1), at(900)).is_none(), "all of them have only just come");
        let in_place = places.take(user(1), at(1200)).expect("the slowest makes room");
        in_place.asks();
        assert!(first.await.expect_err("ended").is_cancelled());
        assert!(!second.is_finished() && !third.is_finished());
        let filled = all_of(&places, ROOT, at(1200));
        assert_eq!(filled.len(), 3, "the rest is kept for it");
        let more = all_of(&places, user(2), at(1600));
        assert_eq!(more.len(), 2, "of the whole room the slow ones are of another client");
        assert!(second.await.is_err() && third.await.is_err(), "both ended");
        assert!(places.take(ROOT, at(9000)).is_none(), "each that is left is being answered");
        in_place.waits(at(9000));
        assert!(places.take(ROOT, at(9500)).is_none(), "it has only just been answered");
        assert!(places.take(ROOT, at(10_000)).is_some());
    }
}

//! The network between the nodes: each direction of each pair with its own faults, on each path.

use havipd_core::model::time::Instant;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// One direction between two nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct Link {
    /// Nothing gets through.
    pub cut: bool,
    /// So many of a thousand datagrams are lost.
    pub loss_permille: u32,
    /// So many of a thousand arrive twice.
    pub duplicate_permille: u32,
    /// Every datagram takes this long, in microseconds.
    pub delay_us: u64,
    /// And up to this much more, each its own, so that later ones overtake.
    pub jitter_us: u64,
}

impl Default for Link {
    fn default() -> Self {
        Self { cut: false, loss_permille: 0, duplicate_permille: 0, delay_us: 200, jitter_us: 300 }
    }
}

impl Link {
    /// Whether it is worse than a sound network.
    #[must_use]
    pub fn impaired(&self) -> bool {
        self.cut || self.loss_permille > 0 || self.delay_us + self.jitter_us > 20_000
    }
}

/// All directions between all nodes.
#[derive(Debug, Clone)]
pub struct Network {
    nodes: usize,
    paths: usize,
    links: Vec<Link>,
    /// Per direction: until when datagrams are kept.
    held: Vec<Instant>,
}

impl Network {
    /// A sound network of `nodes`, each with so many addresses.
    #[must_use]
    pub fn new(nodes: usize, paths: usize) -> Self {
        Self {
            nodes,
            paths,
            links: vec![Link::default(); paths * nodes * nodes],
            held: vec![Instant::default(); nodes * nodes],
        }
    }

    fn place(&self, path: usize, from: usize, to: usize) -> usize {
        (path * self.nodes + from) * self.nodes + to
    }

    /// The direction `from` → `to` of every path.
    fn links(&self, from: usize, to: usize) -> impl Iterator<Item = &Link> {
        (0..self.paths).map(move |path| &self.links[self.place(path, from, to)])
    }

    /// Whether nothing gets from one to the other, over any path.
    #[must_use]
    pub fn cut(&self, from: usize, to: usize) -> bool {
        self.links(from, to).all(|link| link.cut)
    }

    /// Whether every path from one to the other is worse than a sound one.
    #[must_use]
    pub fn impaired(&self, from: usize, to: usize) -> bool {
        self.links(from, to).all(Link::impaired)
    }

    /// The longest that a datagram travels from one to the other, over the path where that is shortest. A path that is cut
    /// carries none.
    #[must_use]
    pub fn slowest(&self, from: usize, to: usize) -> Duration {
        let slowest = |link: &Link| Duration::from_micros(link.delay_us + link.jitter_us);
        self.links(from, to).filter(|link| !link.cut).map(slowest).min().unwrap_or_default()
    }

    /// Replaces the direction `from` → `to` of one path, or of all.
    pub fn set(&mut self, path: Option<usize>, from: usize, to: usize, link: Link) {
        for path in path.map_or(0..self.paths, |p| p..p + 1) {
            let place = self.place(path, from, to);
            self.links[place] = link;
        }
    }

    /// Cuts the direction `from` → `to` of every path, which remembers what else is wrong with it.
    pub fn part(&mut self, from: usize, to: usize) {
        for path in 0..self.paths {
            let place = self.place(path, from, to);
            self.links[place].cut = true;
        }
    }

    /// Keeps what goes from one to the other until then, over any path.
    pub fn hold(&mut self, from: usize, to: usize, until: Instant) {
        self.held[from * self.nodes + to] = until;
    }

    /// How long what leaves now is kept before it travels.
    #[must_use]
    pub fn kept_for(&self, now: Instant, from: usize, to: usize) -> Duration {
        self.held[from * self.nodes + to].since(now)
    }

    /// Everything is sound again; what is kept still comes in its time.
    pub fn heal(&mut self) {
        self.links.fill(Link::default());
        self.held.fill(Instant::default());
    }

    /// How long each copy of a datagram travels: none when it is lost, two when it is duplicated.
    pub fn carry(&self, path: usize, from: usize, to: usize, rng: &mut fastrand::Rng) -> [Option<Duration>; 2] {
        let link = &self.links[self.place(path, from, to)];
        if link.cut || hit(link.loss_permille, rng) {
            return [None; 2];
        }
        let first = Some(travel(link, rng));
        let second = hit(link.duplicate_permille, rng).then(|| travel(link, rng));
        [first, second]
    }
}

fn hit(permille: u32, rng: &mut fastrand::Rng) -> bool {
    permille > 0 && rng.u32(0..1000) < permille
}

fn travel(link: &Link, rng: &mut fastrand::Rng) -> Duration {
    let jitter = if link.jitter_us == 0 { 0 } else { rng.u64(0..=link.jitter_us * 1000) };
    Duration::from_nanos(link.delay_us * 1000 + jitter)
}

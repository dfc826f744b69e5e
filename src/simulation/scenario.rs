//! A scenario: a cluster, what happens to it and when, and what is expected in the end. As text it is TOML.

use super::cloud::FaultRule;
use super::cluster::Cluster;
use super::invariants::i03_convergence::bound;
use super::network::Link;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Everything that one run depends on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Scenario {
    /// For people.
    #[serde(default)]
    pub name: String,
    /// Seed of the dice: delays, losses, boot ids, jitter.
    #[serde(default)]
    pub seed: u64,
    /// From here on nothing goes wrong any more, in milliseconds: all faults end, everybody is started again.
    /// In a text that leaves it out: a minute after the last step.
    #[serde(default)]
    pub quiet_ms: u64,
    /// The run ends. In a text that leaves it out: a minute after all must be well again.
    #[serde(default)]
    pub end_ms: u64,
    /// How long the first calls of the cloud take there and back, in the order in which they begin; the dice
    /// decide about the others.
    #[serde(default)]
    pub call_ms: Vec<[u64; 2]>,
    /// What is expected in the end; the invariants are checked in any case.
    #[serde(default)]
    pub expect: Expect,
    /// The cluster.
    pub cluster: Cluster,
    /// What happens.
    #[serde(default, rename = "step")]
    pub steps: Vec<Step>,
}

/// What must be true in the end.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct Expect {
    /// Who is active in every group; empty text is nobody.
    pub active: Option<String>,
    /// How often the active node changed, the first one not counted.
    pub moves: Option<usize>,
    /// At most so often.
    pub moves_max: Option<usize>,
}

/// One thing that happens, and when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Step {
    /// Milliseconds since the beginning.
    pub at_ms: u64,
    /// What.
    #[serde(rename = "do")]
    pub deed: Deed,
}

/// What can happen. Nodes go by name, HAVIPs by number over all groups.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
#[expect(
    missing_docs,
    reason = "the fields are the words of the scenario files; each deed says what it does with them"
)]
pub enum Deed {
    /// The daemon is started, if it does not run.
    Start { node: String },
    /// The daemon dies (SIGKILL). `back_ms` later it is started again.
    Crash {
        node: String,
        #[serde(default)]
        back_ms: Option<u64>,
        /// The state directory is gone.
        #[serde(default)]
        forgets: bool,
        /// What systemd runs after an unclean exit takes the addresses off, and sends the sealed last word.
        #[serde(default)]
        sweep: bool,
    },
    /// The host loses its power; the kernel's addresses are gone.
    PowerOff {
        node: String,
        #[serde(default)]
        back_ms: Option<u64>,
        #[serde(default)]
        forgets: bool,
        /// The cloud knows that the instance does not run.
        #[serde(default)]
        told: bool,
    },
    /// SIGSTOP: the daemon stands still, clocks and kernel go on.
    Pause { node: String, for_ms: u64 },
    /// SIGSTOP in the middle of a turn: after so many actions of the next turn that has more.
    PauseWithin { node: String, actions: usize, for_ms: u64 },
    /// The hypervisor stops the whole guest with its clocks.
    Freeze { node: String, for_ms: u64 },
    /// A node's clock gains so many millionths from now on: what slews it does that.
    ClockRate { node: String, ppm: i64 },
    /// One direction between two nodes changes.
    Link { from: String, to: String, link: Link },
    /// Nodes of different lists do not reach each other; who is in none reaches all.
    Partition { sides: Vec<Vec<String>> },
    /// Everything between the nodes is sound again.
    HealNetwork,
    /// A node does not reach the cloud; `answers_only`: its calls arrive, the answers do not.
    CloudCut {
        node: String,
        #[serde(default)]
        answers_only: bool,
    },
    /// It does again.
    CloudHeal { node: String },
    /// Calls of the cloud take this long each way, in milliseconds.
    CloudDelay { ms: u64 },
    /// The cloud misbehaves.
    CloudFault { rule: FaultRule },
    /// It does no more.
    CloudClear,
    /// Somebody makes a bound target the master.
    ForceMaster { havip: usize, target: String },
    /// Somebody unbinds a target.
    Unbind { havip: usize, target: String },
    /// Somebody fills a HAVIP with strangers.
    FillQuota { havip: usize },
    /// Somebody deletes a HAVIP.
    DeleteHavip { havip: usize },
    /// Somebody creates it again, with nobody bound.
    CreateHavip { havip: usize },
    /// Somebody takes a HAVIP's address off a node.
    AddressRemoved { node: String, havip: usize },
    /// A node's interface loses its carrier, or gets it back.
    LinkState { node: String, up: bool },
    /// The checks of a node judge.
    Health {
        node: String,
        #[serde(default)]
        weight: i16,
        #[serde(default)]
        failed: bool,
        #[serde(default)]
        undecided: bool,
    },
    /// An operator asks a node, or whoever is active, for a planned move of a group.
    Switchover {
        #[serde(default)]
        group: usize,
        #[serde(default)]
        to: Option<String>,
    },
    /// An operator drains a node, or ends that.
    Drain { node: String, on: bool },
    /// An operator switches maintenance of all groups at a node.
    Maintenance { node: String, on: bool },
    /// systemd stops the daemon, and starts it again `back_ms` after it left.
    Stop {
        node: String,
        #[serde(default)]
        restart: bool,
        #[serde(default)]
        back_ms: Option<u64>,
    },
    /// A node reloads a file with these values changed.
    Reload {
        node: String,
        #[serde(default)]
        interval_ms: Option<u64>,
        #[serde(default)]
        dead_multiplier: Option<u32>,
        /// Priority of nodes, by name.
        #[serde(default)]
        priorities: Vec<(String, u8)>,
    },
    /// So many of a thousand datagrams come again later, come back, reach somebody else, or come changed.
    Attack { permille: u32 },
    /// keepalived dies, and is started again if `back`.
    KeepalivedDies {
        node: String,
        #[serde(default)]
        back: bool,
    },
    /// The keepaliveds do not hear each other, or do again.
    VrrpSplit { on: bool },
    /// A daemon is told an old MASTER, and two seconds later what is true.
    StaleVrrp { node: String },
    /// The effects side of a daemon makes no progress.
    EffectsStuck { node: String, for_ms: u64 },
    /// Nothing that a node writes to its disk is stored.
    DiskStuck { node: String, for_ms: u64 },
    /// A host puts no address on and takes none off: the kernel refuses, or whoever asks it gets no answer.
    AddressStuck {
        node: String,
        for_ms: u64,
        #[serde(default)]
        refuses: bool,
    },
}

/// Why a text is no scenario.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// Not TOML, or not of this shape.
    #[error("scenario: {0}")]
    Text(#[from] toml::de::Error),
    /// A name that no node has.
    #[error("scenario {scenario:?}: there is no node {name:?}")]
    Node {
        /// Name of the scenario.
        scenario: String,
        /// What it names.
        name: String,
    },
    /// A cluster, or a HAVIP, that cannot be.
    #[error("scenario {scenario:?}: {what}")]
    Cluster {
        /// Name of the scenario.
        scenario: String,
        /// What is wrong.
        what: String,
    },
    /// A profile that there is not.
    #[error("scenario {scenario:?}: {error}")]
    Profile {
        /// Name of the scenario.
        scenario: String,
        /// What is wrong.
        error: super::cloud::UnknownProfile,
    },
}

impl Scenario {
    /// A scenario of that cluster in which nothing happens.
    #[must_use]
    pub fn new(name: &str, cluster: Cluster) -> Self {
        Self {
            name: name.to_owned(),
            seed: 1,
            quiet_ms: 60_000,
            end_ms: 120_000,
            call_ms: vec![],
            expect: Expect::default(),
            cluster,
            steps: vec![],
        }
    }

    /// The same with one more thing that happens.
    #[must_use]
    pub fn step(mut self, at_ms: u64, deed: Deed) -> Self {
        self.steps.push(Step { at_ms, deed });
        self
    }

    /// The same with these times.
    #[must_use]
    pub fn times(mut self, quiet_ms: u64, end_ms: u64) -> Self {
        (self.quiet_ms, self.end_ms) = (quiet_ms, end_ms);
        self
    }

    /// Reads the text form.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, ScenarioError> {
        toml::from_str::<Self>(text)?.completed()
    }

    /// Reads the text form for a cluster that is known: one in the text is left aside.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse_for(text: &str, cluster: Cluster) -> Result<Self, ScenarioError> {
        let mut table: toml::Table = toml::from_str(text)?;
        table.insert("cluster".to_owned(), toml::Value::Table(toml::Table::new()));
        Self { cluster, ..table.try_into::<Self>()? }.completed()
    }

    /// Fills in the times that a text may leave out.
    fn completed(mut self) -> Result<Self, ScenarioError> {
        self.steps.sort_by_key(|s| s.at_ms);
        if self.quiet_ms == 0 {
            self.quiet_ms = self.steps.last().map_or(0, |s| s.at_ms) + 60_000;
        }
        if self.end_ms == 0 {
            let after = bound(&self.cluster, self.cluster.dead_time()) + Duration::from_secs(60);
            self.end_ms = self.quiet_ms + u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
        }
        self.check()?;
        Ok(self)
    }

    /// Whether it can be run: its cluster can be, and every name in it is known.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<(), ScenarioError> {
        let scenario = || self.name.clone();
        self.cluster.check().map_err(|what| ScenarioError::Cluster { scenario: scenario(), what })?;
        let havips = self.cluster.groups * self.cluster.havips;
        if let Some(step) = self.steps.iter().find(|s| !s.deed.fits(self.cluster.groups, havips)) {
            let what = format!("{:?}: there are {} group(s) and {havips} HAVIP(s)", step.deed, self.cluster.groups);
            return Err(ScenarioError::Cluster { scenario: scenario(), what });
        }
        let profile = self.cluster.profile.parse::<super::cloud::Profile>();
        profile.map_err(|error| ScenarioError::Profile { scenario: scenario(), error })?;
        for name in self.steps.iter().flat_map(|s| s.deed.names()) {
            if self.cluster.position(name).is_none() {
                return Err(ScenarioError::Node { scenario: scenario(), name: name.to_owned() });
            }
        }
        Ok(())
    }

    /// The text form.
    #[must_use]
    pub fn text(&self) -> String {
        toml::to_string(self).unwrap_or_else(|e| format!("# cannot be written: {e}\n"))
    }
}

impl Deed {
    /// Whether the HAVIP or the group that it names is there.
    fn fits(&self, groups: usize, havips: usize) -> bool {
        match self {
            Self::ForceMaster { havip, .. }
            | Self::Unbind { havip, .. }
            | Self::FillQuota { havip }
            | Self::DeleteHavip { havip }
            | Self::CreateHavip { havip }
            | Self::AddressRemoved { havip, .. } => *havip < havips,
            Self::Switchover { group, .. } => *group < groups,
            Self::ClockRate { ppm, .. } => ppm.abs() <= 100_000,
            _ => true,
        }
    }

    /// The nodes that it names.
    fn names(&self) -> Vec<&str> {
        match self {
            Self::Start { node }
            | Self::Crash { node, .. }
            | Self::PowerOff { node, .. }
            | Self::Pause { node, .. }
            | Self::PauseWithin { node, .. }
            | Self::Freeze { node, .. }
            | Self::ClockRate { node, .. }
            | Self::CloudCut { node, .. }
            | Self::CloudHeal { node }
            | Self::AddressRemoved { node, .. }
            | Self::LinkState { node, .. }
            | Self::Health { node, .. }
            | Self::Drain { node, .. }
            | Self::Maintenance { node, .. }
            | Self::Stop { node, .. }
            | Self::KeepalivedDies { node, .. }
            | Self::StaleVrrp { node }
            | Self::EffectsStuck { node, .. }
            | Self::DiskStuck { node, .. }
            | Self::AddressStuck { node, .. } => vec![node],
            Self::Reload { node, priorities, .. } => {
                std::iter::once(node.as_str()).chain(priorities.iter().map(|(n, _)| n.as_str())).collect()
            }
            Self::Link { from, to, .. } => vec![from, to],
            Self::Partition { sides } => sides.iter().flatten().map(String::as_str).collect(),
            Self::Switchover { to, .. } => to.iter().map(String::as_str).collect(),
            _ => vec![],
        }
    }
}

//! A scenario: a cluster, what happens to it and when, and what is expected in the end. As text it is TOML.

use super::bound::bound;
use super::cluster::Cluster;
use super::order::Order;
use super::step_kind::StepKind;
use crate::text;
use havipd_core::model::plain::quote;
use havipd_core::model::plural::plural;
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
    /// In which order calls go on, if that is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<Order>,
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
    pub kind: StepKind,
}

/// No run lasts longer: 31 days.
const LONGEST_MS: u64 = 31 * 24 * 3_600_000;

fn wrong(text: &str, error: &toml::de::Error) -> ScenarioError {
    ScenarioError::Text(text::wrong(text, error))
}

/// Why a text is no scenario.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// Not TOML, or not of this shape.
    #[error("scenario: {0}")]
    Text(String),
    /// A time that no run reaches.
    #[error("scenario {}: {what} is beyond 31 days, which is the longest run", quote(scenario))]
    TooLong {
        /// Name of the scenario.
        scenario: String,
        /// Which time.
        what: &'static str,
    },
    /// A name that no node has.
    #[error("scenario {}: there is no node {}", quote(scenario), quote(name))]
    Node {
        /// Name of the scenario.
        scenario: String,
        /// What it names.
        name: String,
    },
    /// A cluster, or a HAVIP, that cannot be.
    #[error("scenario {}: {what}", quote(scenario))]
    Cluster {
        /// Name of the scenario.
        scenario: String,
        /// What is wrong.
        what: String,
    },
    /// A profile that there is not.
    #[error("scenario {}: {error}", quote(scenario))]
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
            order: None,
            expect: Expect::default(),
            cluster,
            steps: vec![],
        }
    }

    /// The same with one more thing that happens.
    #[must_use]
    pub fn step(mut self, at_ms: u64, kind: StepKind) -> Self {
        self.steps.push(Step { at_ms, kind });
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
        toml::from_str::<Self>(text).map_err(|error| wrong(text, &error))?.completed()
    }

    /// Reads the text form for a cluster that is known: one in the text is left aside.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse_for(text: &str, cluster: Cluster) -> Result<Self, ScenarioError> {
        let mut table: toml::Table = toml::from_str(text).map_err(|error| wrong(text, &error))?;
        table.insert("cluster".to_owned(), toml::Value::Table(toml::Table::new()));
        let read = table.try_into::<Self>().map_err(|error| wrong(text, &error))?;
        Self { cluster, ..read }.completed()
    }

    /// Fills in the times that a text may leave out.
    fn completed(mut self) -> Result<Self, ScenarioError> {
        self.steps.sort_by_key(|s| s.at_ms);
        if self.quiet_ms == 0 {
            self.quiet_ms = self.steps.last().map_or(0, |s| s.at_ms).saturating_add(60_000);
        }
        if self.end_ms == 0 {
            let after = bound(&self.cluster, self.cluster.dead_time()) + Duration::from_secs(60);
            self.end_ms = self.quiet_ms.saturating_add(u64::try_from(after.as_millis()).unwrap_or(u64::MAX));
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
        let times =
            self.steps.iter().map(|s| ("at-ms", s.at_ms)).chain([("quiet-ms", self.quiet_ms), ("end-ms", self.end_ms)]);
        if let Some((what, _)) = times.into_iter().find(|(_, ms)| *ms > LONGEST_MS) {
            return Err(ScenarioError::TooLong { scenario: scenario(), what });
        }
        self.cluster.check().map_err(|what| ScenarioError::Cluster { scenario: scenario(), what })?;
        let (havips, paths) = (self.cluster.groups * self.cluster.havips, self.cluster.paths);
        if let Some(step) = self.steps.iter().find(|s| !s.kind.fits(&self.cluster)) {
            let what = format!(
                "{}: the cluster has {}, {} and {}",
                step.kind.text(),
                plural(self.cluster.groups, "group"),
                plural(havips, "HAVIP"),
                plural(paths, "path")
            );
            return Err(ScenarioError::Cluster { scenario: scenario(), what });
        }
        if let Some(what) = self.moves_too_early() {
            return Err(ScenarioError::Cluster { scenario: scenario(), what });
        }
        let profile = self.cluster.profile.parse::<super::cloud::Profile>();
        profile.map_err(|error| ScenarioError::Profile { scenario: scenario(), error })?;
        for name in self.steps.iter().flat_map(|s| s.kind.names()) {
            if self.cluster.position(name).is_none() {
                return Err(ScenarioError::Node { scenario: scenario(), name: name.to_owned() });
            }
        }
        Ok(())
    }

    /// A copy that has a node's addresses, and was not told that it is another machine, is that node.
    fn moves_too_early(&self) -> Option<String> {
        let knows = |name: &str, at_ms: u64| {
            self.steps.iter().any(|s| match &s.kind {
                StepKind::Clone { node, told_ms: Some(ms) } => node == name && s.at_ms.saturating_add(*ms) < at_ms,
                _ => false,
            })
        };
        self.steps.iter().find_map(|s| match &s.kind {
            StepKind::MoveAddresses { node, back: false }
                if !knows(node, s.at_ms) || !self.cluster.names_instance(node) =>
            {
                Some(format!("the addresses of {node} move to a copy that does not know yet that it is one"))
            }
            _ => None,
        })
    }

    /// The text form.
    #[must_use]
    pub fn text(&self) -> String {
        toml::to_string(self).unwrap_or_else(|e| format!("# cannot be written: {e}\n"))
    }
}

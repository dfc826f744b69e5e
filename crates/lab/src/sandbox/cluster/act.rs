//! Actions: what is done to a cluster.

use super::{Cluster, ClusterError, News};
use crate::emulator::{Command, ControlError};
use crate::sandbox::act::{Act, ApiFault};
use crate::sandbox::facts::Process;
use crate::sandbox::said::{AskError, ask};
use crate::sandbox::setup::GROUP;
use crate::simulation::cloud::{Fault, FaultRule, Scope};
use havipd::clock;
use havipd::control::SOCKET;
use havipd::control::protocol::{Code, Request};
use rustix::process::Signal;
use std::convert::Infallible;
use std::time::Duration;

/// How long a daemon may take to answer an order.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why a act was not done.
#[derive(Debug, thiserror::Error)]
pub enum ActError {
    /// It makes no sense now.
    #[error("{0}")]
    Senseless(String),
    /// A daemon gave no answer.
    #[error("{node}: {source}")]
    Unanswered {
        /// Whose.
        node: String,
        /// Why not.
        source: AskError,
    },
    /// A daemon said no, or not now.
    #[error("{node} refuses: {text}")]
    Refused {
        /// Which.
        node: String,
        /// Its words.
        text: String,
    },
    /// A daemon could not be started.
    #[error(transparent)]
    Start(#[from] ClusterError),
    /// The emulated cloud says no.
    #[error("the emulated cloud refuses: {0}")]
    Cloud(#[from] ControlError),
}

impl Cluster {
    /// Does something. A switchover or a drain has only begun when this returns; who is killed is gone.
    ///
    /// # Errors
    /// [`ActError`]; nothing has happened then.
    pub async fn act(&mut self, act: &Act<usize>) -> Result<Vec<News>, ActError> {
        let Ok(named) = act.try_map(|n| Ok::<_, Infallible>(self.name(*n).to_owned()));
        let text = named.to_string();
        // Before it is done: what follows from it must not come first.
        let at = clock::now();
        self.carry_out(act).await?;
        self.story.act(at, text.clone());
        let mut news = vec![self.say(text)];
        if let Act::Kill(n) = act {
            // Nothing withstands SIGKILL, so this ends.
            while self.nodes[*n].daemon.is_some() {
                news.extend(self.turn().await);
            }
        }
        Ok(news)
    }

    async fn carry_out(&mut self, act: &Act<usize>) -> Result<(), ActError> {
        match act {
            Act::Kill(n) => self.signal(*n, Signal::KILL).await?,
            Act::Stop(n) => self.signal(*n, Signal::STOP).await?,
            Act::Continue(n) => self.signal(*n, Signal::CONT).await?,
            Act::Terminate(n) => self.signal(*n, Signal::TERM).await?,
            Act::Start(n) => self.start_again(*n)?,
            Act::Partition(nodes) => self.relay.isolate(nodes),
            Act::OneWay { from, to } => {
                to.iter().filter(|to| *to != from).for_each(|to| self.relay.set_cut(*from, *to, true))
            }
            Act::Heal => {
                self.relay.heal();
                self.control.clear_faults();
                self.api_of_all = None;
                self.nodes.iter_mut().for_each(|n| n.api = None);
            }
            Act::Api { node, fault } => self.break_api(*node, *fault),
            Act::Profile(name) => {
                drop(self.control.apply(Command::Profile { name: name.clone(), overrides: serde_json::Map::new() })?)
            }
            Act::Switchover(n) => {
                let active = self.facts().active().unwrap_or(*n);
                let to = Some(self.name(*n).to_owned());
                self.order(active, Request::Switchover { group: GROUP.to_owned(), to, dry_run: false }).await?;
            }
            Act::Drain(n) => self.order(*n, Request::Drain { group: None, node: None }).await?,
            Act::Undrain(n) => self.order(*n, Request::Undrain { group: None, node: None }).await?,
        }
        Ok(())
    }

    async fn signal(&mut self, number: usize, signal: Signal) -> Result<(), ActError> {
        let name = self.name(number).to_owned();
        let node = &mut self.nodes[number];
        let Some(daemon) = &node.daemon else { return Err(ActError::Senseless(format!("{name} does not run"))) };
        daemon.signal(signal).await;
        let pid = daemon.pid;
        match signal {
            Signal::STOP => node.process = Process::Frozen { pid },
            Signal::CONT => {
                node.process = Process::Running { pid };
                node.continued = Some(clock::now());
            }
            _ => {}
        }
        Ok(())
    }

    fn start_again(&mut self, number: usize) -> Result<(), ActError> {
        if self.nodes[number].daemon.is_some() {
            return Err(ActError::Senseless(format!("{} runs already", self.name(number))));
        }
        Ok(self.start_node(number)?)
    }

    pub(super) fn start_node(&mut self, number: usize) -> Result<(), ClusterError> {
        let node = &mut self.nodes[number];
        node.runs += 1;
        let started = self.launcher.start(number, node.runs, &node.directory);
        let daemon =
            started.map_err(|source| ClusterError::Daemon { node: self.plan.nodes[number].name.clone(), source })?;
        node.process = Process::Running { pid: daemon.pid };
        node.continued = None;
        node.daemon = Some(daemon);
        Ok(())
    }

    fn break_api(&mut self, node: Option<usize>, fault: Option<ApiFault>) {
        let name = node.map(|n| self.plan.nodes[n].name.clone());
        let slot = match node {
            Some(n) => &mut self.nodes[n].api,
            None => &mut self.api_of_all,
        };
        if let Some((_, id)) = slot.take() {
            // Somebody who clears all rules at the control API may have been faster.
            let _ = self.control.apply(Command::RemoveFault { id });
        }
        let Some(fault) = fault else { return };
        let rule = FaultRule::new(
            Scope::Any,
            match fault {
                ApiFault::Status(status) => Fault::Status {
                    status,
                    code: "SandboxFault".to_owned(),
                    message: "broken on purpose".to_owned(),
                    retry_after: None,
                    applied: false,
                },
                ApiFault::Hang => Fault::Hang,
                ApiFault::Throttle => Fault::Throttle,
            },
        );
        let rule = FaultRule { caller: name, ..rule };
        *slot = Some((fault, self.control.add_fault(rule)));
    }

    async fn order(&self, number: usize, request: Request) -> Result<(), ActError> {
        let node = || self.name(number).to_owned();
        if !self.nodes[number].process.runs() {
            return Err(ActError::Senseless(format!("{} does not run", node())));
        }
        let socket = self.nodes[number].directory.join("run").join(SOCKET);
        let answer = ask(&socket, &request, PATIENCE).await;
        let response = answer.map_err(|source| ActError::Unanswered { node: node(), source })?;
        match response.code {
            Code::Done => Ok(()),
            _ => Err(ActError::Refused { node: node(), text: response.message }),
        }
    }
}

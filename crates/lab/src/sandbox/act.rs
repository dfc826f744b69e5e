//! What can be done to a sandbox, by whatever asks: a script or a key.

use std::fmt;

/// What is wrong with the API for one node, or for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApiFault {
    /// Every call is answered with this HTTP status, 400 to 599.
    Status(u16),
    /// No call is answered.
    Hang,
    /// Every call is answered as the profile answers too many calls.
    Throttle,
}

impl fmt::Display for ApiFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "{status}"),
            Self::Hang => f.write_str("hang"),
            Self::Throttle => f.write_str("throttle"),
        }
    }
}

/// One thing to do. `N` says how nodes are named: in a script by words, in the cluster by number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act<N> {
    /// SIGKILL.
    Kill(N),
    /// SIGSTOP.
    Stop(N),
    /// SIGCONT.
    Continue(N),
    /// SIGTERM.
    Terminate(N),
    /// Starts a daemon that does not run.
    Start(N),
    /// Cuts these nodes off from all others, both ways; among themselves they go on.
    Partition(Vec<N>),
    /// Loses what `from` sends to these.
    OneWay {
        /// Who is not heard any more.
        from: N,
        /// By whom.
        to: Vec<N>,
    },
    /// Ends all cuts and all faults of the API.
    Heal,
    /// Breaks (or, with no fault, repairs) the API for a node, or for everybody.
    Api {
        /// Whose calls; `None` is everybody's.
        node: Option<N>,
        /// What happens to them; `None` is nothing any more.
        fault: Option<ApiFault>,
    },
    /// Another profile of the emulated cloud.
    Profile(String),
    /// A planned move to this node.
    Switchover(N),
    /// Makes a node hand over and stay ineligible.
    Drain(N),
    /// Ends that.
    Undrain(N),
}

impl<N> Act<N> {
    /// The same with nodes named another way.
    ///
    /// # Errors
    /// The first name that cannot be translated.
    pub fn try_map<M, E>(&self, mut name: impl FnMut(&N) -> Result<M, E>) -> Result<Act<M>, E> {
        Ok(match self {
            Self::Kill(n) => Act::Kill(name(n)?),
            Self::Stop(n) => Act::Stop(name(n)?),
            Self::Continue(n) => Act::Continue(name(n)?),
            Self::Terminate(n) => Act::Terminate(name(n)?),
            Self::Start(n) => Act::Start(name(n)?),
            Self::Partition(nodes) => Act::Partition(nodes.iter().map(name).collect::<Result<_, E>>()?),
            Self::OneWay { from, to } => {
                let from = name(from)?;
                Act::OneWay { from, to: to.iter().map(name).collect::<Result<_, E>>()? }
            }
            Self::Heal => Act::Heal,
            Self::Api { node, fault } => Act::Api { node: node.as_ref().map(name).transpose()?, fault: *fault },
            Self::Profile(profile) => Act::Profile(profile.clone()),
            Self::Switchover(n) => Act::Switchover(name(n)?),
            Self::Drain(n) => Act::Drain(name(n)?),
            Self::Undrain(n) => Act::Undrain(name(n)?),
        })
    }
}

fn list<N: fmt::Display>(nodes: &[N]) -> String {
    nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// In words, as a timeline shows it.
impl<N: fmt::Display> fmt::Display for Act<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill(n) => write!(f, "{n} is killed (SIGKILL)"),
            Self::Stop(n) => write!(f, "{n} is frozen (SIGSTOP)"),
            Self::Continue(n) => write!(f, "{n} continues (SIGCONT)"),
            Self::Terminate(n) => write!(f, "{n} is told to leave (SIGTERM)"),
            Self::Start(n) => write!(f, "{n} is started"),
            Self::Partition(nodes) => write!(f, "{} cut off from all others", list(nodes)),
            Self::OneWay { from, to } => write!(f, "{from} is not heard by {} any more", list(to)),
            Self::Heal => f.write_str("network and API are whole again"),
            Self::Api { node, fault } => {
                let whose = node.as_ref().map_or_else(|| "everybody".to_owned(), ToString::to_string);
                match fault {
                    Some(fault) => write!(f, "the API is broken for {whose}: {fault}"),
                    None => write!(f, "the API works for {whose} again"),
                }
            }
            Self::Profile(profile) => write!(f, "the cloud has profile {profile} now"),
            Self::Switchover(n) => write!(f, "switchover to {n} is asked for"),
            Self::Drain(n) => write!(f, "{n} is drained"),
            Self::Undrain(n) => write!(f, "{n} is not drained any more"),
        }
    }
}

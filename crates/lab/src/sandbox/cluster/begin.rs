//! How a cluster begins: the cloud, the files of every node, the relay, the daemons.

use super::{Cluster, ClusterError, Node, TICK};
use crate::emulator::{Emulator, EmulatorConfig};
use crate::sandbox::node::Launcher;
use crate::sandbox::relay::Relay;
use crate::sandbox::setup::{Plan, PrivateDirectory, free_ports, random_hex};
use crate::sandbox::timeline::Story;
use crate::simulation::cloud::Profile;
use havipd::clock;
use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

/// Events that wait to be taken in.
const EVENTS: usize = 1024;

fn files(source: io::Error) -> ClusterError {
    ClusterError::Files { path: std::env::temp_dir(), source }
}

impl Cluster {
    /// Starts the cloud, the relay and every daemon. Needs a tokio runtime on a thread that lives as
    /// long as the cluster: the daemons end with it.
    ///
    /// # Errors
    /// [`ClusterError`]; nothing runs then.
    pub async fn start(
        plan: Plan,
        profile: Profile,
        program: Option<PathBuf>,
        keep: bool,
    ) -> Result<Self, ClusterError> {
        let directory = PrivateDirectory::create(keep).map_err(files)?;
        let cloud = plan.cloud().map_err(files)?.with_profile(profile);
        let credentials = credentials(&cloud);
        let mut emulator = Emulator::start(cloud).await?;
        let real = free_ports(plan.nodes.len()).map_err(ClusterError::Ports)?;
        let mut relay = Relay::bind(plan.nodes.len()).await.map_err(ClusterError::Ports)?;
        relay.connect(&real);
        directory.write("heartbeat.key", &random_hex::<32>().map_err(files)?).map_err(files)?;
        let mut nodes = Vec::new();
        for (number, (node, credentials)) in plan.nodes.iter().zip(&credentials).enumerate() {
            let metadata = emulator.metadata_listener(&node.name, (Ipv4Addr::LOCALHOST, 0).into()).await?;
            let address = |n: usize| if n == number { real[n] } else { relay.address(number, n) };
            let addresses: Vec<SocketAddr> = (0..real.len()).map(address).collect();
            let config = plan.config(number, &addresses, &emulator.endpoint(), &format!("http://{metadata}"));
            nodes.push(Node::new(home(&directory, &node.name, &config, credentials).map_err(files)?));
        }
        let mut cluster = Self::of(plan, nodes, emulator, relay, directory, program);
        cluster.story.act(cluster.started, "the cluster is started".to_owned());
        for number in 0..cluster.nodes.len() {
            if let Err(error) = cluster.start_node(number) {
                cluster.shutdown().await;
                return Err(error);
            }
        }
        Ok(cluster)
    }

    fn of(
        plan: Plan,
        nodes: Vec<Node>,
        emulator: Emulator,
        relay: Relay,
        directory: PrivateDirectory,
        program: Option<PathBuf>,
    ) -> Self {
        let (sender, events) = mpsc::channel(EVENTS);
        let launcher = Launcher { program, names: plan.names(), events: sender };
        let control = emulator.control();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            plan,
            nodes,
            launcher,
            events,
            emulator,
            traffic: control.changes(),
            control,
            relay,
            tick,
            story: Story::default(),
            started: clock::now(),
            calls: 0,
            api_of_all: None,
            last_move: None,
            news: VecDeque::new(),
            directory,
        }
    }
}

/// The credentials file of each node, in order.
fn credentials(cloud: &EmulatorConfig) -> Vec<String> {
    let keys = cloud.keys.iter();
    keys.map(|key| {
        let secret = key.secret_key.expose_str().unwrap_or_default();
        format!("access-key-id = \"{}\"\nsecret-access-key = \"{secret}\"\n", key.access_key)
    })
    .collect()
}

/// Writes the files of a node; returns their directory.
fn home(directory: &PrivateDirectory, name: &str, config: &str, credentials: &str) -> io::Result<PathBuf> {
    let home = directory.directory(name)?;
    directory.directory(&format!("{name}/run"))?;
    directory.directory(&format!("{name}/state"))?;
    directory.write(&format!("{name}/havipd.toml"), config)?;
    directory.write(&format!("{name}/credentials.toml"), credentials)?;
    Ok(home)
}

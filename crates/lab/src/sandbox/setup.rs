//! What a cluster is started from: a private directory with a configuration per node, keys and
//! credentials, all made anew each time.

use crate::emulator::EmulatorConfig;
use havipd_core::model::secret::Secret;
use std::fmt::Write as _;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The one group.
pub const GROUP: &str = "web";
/// Its HAVIP.
pub const HAVIP: &str = "havip-sandbox";
/// The HAVIP's address: for documentation only (RFC 5737), nobody ever sends to it.
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 100);
/// `heartbeat.dead-multiplier`.
pub const DEAD_MULTIPLIER: u32 = 10;
/// Ports from here on are tried for the nodes: below those that the kernel gives to others (32768 and up).
const PORTS: std::ops::Range<u16> = 15_000..32_000;

/// One node of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodePlan {
    /// Its name: a, b, c, ...; a witness is w.
    pub name: String,
    /// It only votes.
    pub witness: bool,
}

impl NodePlan {
    /// What it is to the cloud.
    #[must_use]
    pub fn instance(&self) -> String {
        format!("i-{}", self.name)
    }
}

/// What a cluster looks like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The nodes.
    pub nodes: Vec<NodePlan>,
    /// `group.arbiter`, as the file has it.
    pub arbiter: String,
    /// `heartbeat.interval`.
    pub interval: Duration,
}

impl Plan {
    /// So many nodes, a, b, c, ..., and perhaps a witness.
    #[must_use]
    pub fn new(holders: u8, witness: bool, arbiter: &str, interval: Duration) -> Self {
        let holders = (b'a'..).take(holders.into()).map(|c| NodePlan { name: char::from(c).into(), witness: false });
        let witness = witness.then(|| NodePlan { name: "w".to_owned(), witness: true });
        Self { nodes: holders.chain(witness).collect(), arbiter: arbiter.to_owned(), interval }
    }

    /// The nodes' names, in order.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.nodes.iter().map(|n| n.name.clone()).collect()
    }

    /// The cloud for this plan: every node an instance with an access key of its own.
    ///
    /// # Errors
    /// The kernel gave no random bits.
    pub fn cloud(&self) -> io::Result<EmulatorConfig> {
        let mut config = EmulatorConfig::new((Ipv4Addr::LOCALHOST, 0).into()).with_havip(HAVIP, ADDRESS);
        for (number, node) in (1..).zip(&self.nodes) {
            config = config.with_node(&node.name, Ipv4Addr::new(192, 0, 2, number));
        }
        for key in &mut config.keys {
            key.secret_key = Secret::from(random_hex::<32>()?);
        }
        Ok(config)
    }

    /// havipd.toml for node `own`. `addresses` are where it finds each node (itself included),
    /// `endpoint` is its cloud, `metadata` its metadata service.
    #[must_use]
    pub fn config(&self, own: usize, addresses: &[SocketAddr], endpoint: &str, metadata: &str) -> String {
        let interval = self.interval.as_millis();
        let dead = (self.interval * DEAD_MULTIPLIER).as_millis();
        let mut text = format!(
            "# Node {} of a sandbox. The addresses of its peers are ports of a relay, so that links can be cut.\n\
             [cluster]\nname = \"sandbox\"\n\n\
             [heartbeat]\ninterval = \"{interval}ms\"\ndead-multiplier = {DEAD_MULTIPLIER}\n\
             cold-start-wait = \"{}ms\"\nkeys = [{{ id = 1, file = \"../heartbeat.key\" }}]\n\
             # The HAVIP's address is nowhere on this machine: there is nothing to probe.\nfabric-probe = false\n\n\
             [cloud]\nendpoint = \"{endpoint}\"\nmetadata-endpoint = \"{metadata}\"\nregion = \"sandbox\"\n\
             connect-timeout = \"500ms\"\nrequest-timeout = \"1s\"\nrequests-per-second = 50\n\n\
             [cloud.credentials]\nsource = \"file\"\nfile = \"credentials.toml\"\n\n\
             # Several daemons on one machine would all want the same port.\n[metrics]\nlisten = \"off\"\n",
            self.nodes[own].name,
            dead.max(1000),
        );
        for (node, address) in self.nodes.iter().zip(addresses) {
            let is =
                if node.witness { "witness = true".to_owned() } else { format!("instance = \"{}\"", node.instance()) };
            // Writing to a string cannot fail.
            let _ = write!(text, "\n[[node]]\nname = \"{}\"\naddress = \"{address}\"\n{is}\n", node.name);
        }
        let _ = write!(
            text,
            "\n[[group]]\nname = \"{GROUP}\"\narbiter = \"{}\"\n\
             # Moves happen when you make them happen.\npreempt = false\nmax-moves = 0\nreclaim-wait = \"10s\"\n\
             # A voter that starts gives no vote for so long.\nkeep-for = \"{}s\"\n\n\
             [[group.havip]]\nid = \"{HAVIP}\"\naddress = \"{ADDRESS}\"\ninterface = \"none\"\n",
            self.arbiter,
            dead.div_ceil(1000).max(1),
        );
        text
    }
}

/// So many random bytes, as hexadecimal digits.
///
/// # Errors
/// The kernel gave none.
pub fn random_hex<const N: usize>() -> io::Result<String> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(hex::encode(bytes))
}

/// Free UDP ports of the loopback, for programs that bind them soon.
///
/// # Errors
/// There are none, or the kernel gave no random bits.
pub fn free_ports(count: usize) -> io::Result<Vec<SocketAddr>> {
    let mut seed = [0; 2];
    getrandom::fill(&mut seed).map_err(io::Error::other)?;
    let start = usize::from(u16::from_ne_bytes(seed)) % PORTS.len();
    let candidates = PORTS.cycle().skip(start).take(PORTS.len());
    let free = candidates.map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let found: Vec<SocketAddr> = free.filter(|address| UdpSocket::bind(address).is_ok()).take(count).collect();
    if found.len() == count { Ok(found) } else { Err(io::ErrorKind::AddrInUse.into()) }
}

/// A directory that only its owner can enter; gone, with all in it, when this is dropped.
#[derive(Debug)]
pub struct PrivateDirectory {
    path: PathBuf,
    keep: bool,
}

impl PrivateDirectory {
    /// Makes one below the directory for temporary files; `keep` leaves it there.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn create(keep: bool) -> io::Result<Self> {
        let path = std::env::temp_dir().join(format!("havipd-sandbox-{}", random_hex::<6>()?));
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self { path, keep })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a directory in it.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn directory(&self, name: &str) -> io::Result<PathBuf> {
        let path = self.path.join(name);
        DirBuilder::new().mode(0o700).recursive(true).create(&path)?;
        Ok(path)
    }

    /// Writes a file in it that only its owner can read.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, name: &str, text: &str) -> io::Result<PathBuf> {
        let path = self.path.join(name);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        file.write_all(text.as_bytes())?;
        Ok(path)
    }
}

impl Drop for PrivateDirectory {
    fn drop(&mut self) {
        if !self.keep {
            // A caller that waits for this to end cannot do more about it than the next reboot will.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use havipd::config::{Environment, load};
    use std::os::unix::fs::PermissionsExt;

    fn loads(plan: &Plan) {
        let directory = PrivateDirectory::create(false).unwrap();
        directory.write("heartbeat.key", &random_hex::<32>().unwrap()).unwrap();
        let addresses = free_ports(plan.nodes.len()).unwrap();
        for (own, node) in plan.nodes.iter().enumerate() {
            directory.directory(&node.name).unwrap();
            directory
                .write(&format!("{}/credentials.toml", node.name), "access-key-id = \"a\"\nsecret-access-key = \"s\"\n")
                .unwrap();
            let text = plan.config(own, &addresses, "http://127.0.0.1:1", "http://127.0.0.1:2");
            let path = directory.write(&format!("{}/havipd.toml", node.name), &text).unwrap();
            let loaded = load(&path, &Environment::of_process(Some(node.name.clone()), Vec::new()));
            let loaded = loaded.unwrap_or_else(|e| panic!("{e}\n{text}"));
            assert_eq!(loaded.config.local_node().addresses, [addresses[own]]);
            assert_eq!(loaded.config.local_node().witness, node.witness);
        }
    }

    #[test]
    fn what_is_written_can_be_read() {
        loads(&Plan::new(3, false, "auto", Duration::from_millis(100)));
        loads(&Plan::new(2, true, "majority", Duration::from_millis(10)));
        loads(&Plan::new(5, false, "cloud", Duration::from_secs(60)));
    }

    #[test]
    fn the_directory_is_private_and_goes_away() {
        let directory = PrivateDirectory::create(false).unwrap();
        let path = directory.path().to_owned();
        let file = directory.write("secret", "s").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&file)), (0o700, 0o600));
        drop(directory);
        assert!(!path.exists());
    }

    #[test]
    fn a_kept_directory_stays() {
        let directory = PrivateDirectory::create(true).unwrap();
        let path = directory.path().to_owned();
        drop(directory);
        assert!(path.is_dir());
        fs::remove_dir_all(path).unwrap();
    }
}

//! The recipes of docs/recipes with the real thing: three hosts made of namespaces, the emulated cloud, and the files of
//! the page itself.
//!
//! `cargo test --test recipes [-- [--jobs=N] [WORD...]]` as root, with `ip`, `nft`, `unshare` and `nsenter`. A WORD picks the
//! recipes whose names contain it. What they need of Debian is fetched by `tests/setup-recipes`.

#[path = "../netns/clock.rs"]
#[expect(dead_code, reason = "the other lab measures more")]
mod clock;
mod conntrackd;
#[path = "../netns/fabric.rs"]
#[expect(dead_code, reason = "the other lab looks at more of it")]
mod fabric;
mod haproxy;
mod host;
mod kubernetes;
mod line;
mod mariadb;
#[path = "../netns/namespace.rs"]
mod namespace;
#[path = "../netns/network.rs"]
#[expect(dead_code, reason = "the other lab breaks more of it")]
mod network;
mod page;
mod patroni;
mod postgresql;
mod redis;
mod session;

use clock::{Moment, wait};
use fabric::{Fabric, HAVIPS};
use havipd_lab::simulation::cloud::Profile;
use host::{Host, PATIENCE};
use network::{NODES, Network};
use page::Page;
use std::fs::{self, File};
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::{Mutex, OnceLock};

/// A recipe: its page, and what is done with it.
type Recipe = (&'static str, fn(&Path) -> Result<(), String>);

const RECIPES: &[Recipe] = &[
    ("postgresql", postgresql::play),
    ("haproxy", haproxy::play),
    ("redis", redis::play),
    ("patroni", patroni::play),
    ("mariadb", mariadb::play),
    ("conntrackd", conntrackd::play),
    ("kubernetes", kubernetes::play),
];

/// Addresses of the pages, and those of the lab.
const ADDRESSES: &[(&str, &str)] = &[
    ("10.0.0.", "10.77.0."),
    ("havip-w2d4kgc3x0y1", "havip-lab1"),
    (
        "region = \"bj\"",
        "region = \"bj\"\nendpoint = \"http://10.77.0.2:8089\"\nmetadata-endpoint = \"http://10.77.0.2:8089\"",
    ),
];

/// Three hosts in their network, and the cloud. What runs is dropped before what it runs in.
#[derive(Debug)]
pub(crate) struct Lab {
    pub(crate) hosts: [Host; 3],
    pub(crate) fabric: Fabric,
    pub(crate) network: Network,
    root: PathBuf,
}

impl Lab {
    /// Hosts that are called so on the page and have these directories for themselves, all switched on.
    pub(crate) fn new(recipe: &str, root: &Path, names: [&'static str; 3], own: &[&str]) -> Result<Self, String> {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("recipes").join(recipe);
        if dir.exists() {
            fs::remove_dir_all(&dir).map_err(|e| format!("cannot clear {}: {e}", dir.display()))?;
        }
        let network = Network::new();
        let fabric = Fabric::start(&network, Profile::default());
        let hosts = NODES.map(|node| Host::new(node, names[node.0], &dir, root, own));
        let mut lab = Self { hosts, fabric, network, root: root.to_owned() };
        (0..lab.hosts.len()).try_for_each(|i| lab.boot(i))?;
        Ok(lab)
    }

    pub(crate) fn boot(&mut self, host: usize) -> Result<(), String> {
        let host = &mut self.hosts[host];
        host.boot(self.network.node(host.node), &self.root)
    }

    /// Waits until `host` is active: its daemon says so, it has the address, the cloud sends packets there, and no other
    /// host that is on has either.
    pub(crate) fn settle(&self, host: usize) -> Result<(), String> {
        let wanted = &self.hosts[host];
        let look = || {
            for other in self.hosts.iter().filter(|h| h.is_on()) {
                let has = self.network.virtual_addresses(other.node).contains(&HAVIPS[0].address());
                if has != (other.node == wanted.node) {
                    return Err(format!("the address is at the wrong place: {}", other.name));
                }
            }
            let group = wanted.group()?;
            let cloud = self.fabric.havip(HAVIPS[0]);
            if group["role"] != "active" || cloud.traffic != Some(wanted.node.instance()) {
                return Err(format!(
                    "{} is {} ({}), the cloud has {cloud:?}",
                    wanted.name, group["role"], group["detail"]
                ));
            }
            Ok(())
        };
        wait(&format!("{} is active", wanted.name), PATIENCE, look)
    }

    /// With the end of what every daemon said.
    pub(crate) fn story(&self, why: &str) -> String {
        let told = self.hosts.iter().map(|h| format!("\n-- {}\n{}", h.name, h.said("havipd")));
        format!("{why}{}", told.collect::<String>())
    }
}

/// The page of that name, with the lab's addresses.
pub(crate) fn page(name: &str, replace: &[(&str, &str)]) -> Page {
    Page::read(name, &[ADDRESSES, replace].concat())
}

fn say(text: &str) {
    // A reader that closed the output does not want it.
    let _ = writeln!(std::io::stdout(), "{text}");
}

fn main() -> ExitCode {
    let (mut jobs, mut words) = (1, Vec::new());
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            option if option.starts_with("--jobs=") => jobs = option["--jobs=".len()..].parse().expect("a number"),
            option if option.starts_with('-') => {}
            word => words.push(word.to_owned()),
        }
    }
    let chosen = |name: &str| words.is_empty() || words.iter().any(|word| name.contains(word.as_str()));
    let recipes: Vec<Recipe> = RECIPES.iter().copied().filter(|(name, _)| chosen(name)).collect();
    if recipes.is_empty() {
        say("recipes: nothing by that name");
        return ExitCode::SUCCESS;
    }
    if !rustix::process::geteuid().is_root() {
        say("recipes: makes namespaces and therefore needs root: use sudo -E");
        return ExitCode::FAILURE;
    }
    let Some(_alone) = alone() else {
        say("recipes: another run of this tree is under way; its files are in the same place");
        return ExitCode::FAILURE;
    };
    let root = match software() {
        Ok(root) => root,
        Err(why) => {
            say(&why);
            return ExitCode::FAILURE;
        }
    };
    namespace::keep_clean();
    let results: Vec<OnceLock<Result<(), String>>> = recipes.iter().map(|_| OnceLock::new()).collect();
    let todo = Mutex::new(recipes.iter().enumerate());
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let next = todo.lock().expect("nobody panics with it").next();
                    let Some((i, recipe)) = next else { return };
                    assert!(results[i].set(play(*recipe, &root)).is_ok(), "each is played once");
                }
            });
        }
    });
    let failed = results.iter().filter(|r| r.get().is_none_or(Result::is_err)).count();
    let word = if failed == 0 { "ok" } else { "FAILED" };
    say(&format!("\ntest result: {word}. {} passed; {failed} failed", recipes.len() - failed));
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn play((name, recipe): Recipe, root: &Path) -> Result<(), String> {
    let began = Moment::now();
    let result = catch_unwind(AssertUnwindSafe(|| recipe(root))).unwrap_or_else(|_| Err("panicked".to_owned()));
    let word = if result.is_ok() { "ok" } else { "FAILED" };
    say(&format!("test {name} ... {word} ({:.0} s)", Moment::now().since(began).as_secs_f32()));
    if let Err(why) = &result {
        say(why);
    }
    result
}

/// The right to the directory that runs of this tree share, until it is dropped.
fn alone() -> Option<File> {
    let lock = File::create(Path::new(env!("CARGO_TARGET_TMPDIR")).join("recipes.lock")).expect("a file");
    lock.try_lock().is_ok().then_some(lock)
}

/// Where the software is that the system has not installed.
fn software() -> Result<PathBuf, String> {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/setup-recipes");
    let output = Command::new(&program).stdin(Stdio::null()).output();
    let output = output.map_err(|e| format!("cannot run {}: {e}", program.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        return Err(format!("recipes: {} could not get the software: {why}", program.display()));
    }
    Ok(PathBuf::from(text.lines().last().unwrap_or_default()))
}

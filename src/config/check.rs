//! From the text of a file to a checked [`Config`]: everything that is wrong with it, at once.

use super::diagnostic::{Diagnostics, Report, Span, of_syntax, quote};
use super::document::{At, Table};
use super::environment::{Disk, Environment};
use super::locate::{Miss, Placed, Unplaced, locate};
use super::rules_group::Shape;
use super::settings::{Group, HeartbeatKey as Key, Hooks, Root};
use super::takes::{Command, Membership};
use super::{build, paths, rules, rules_check, rules_group};
use havipd_core::model::ids::{GroupName, KeyId};
use havipd_core::model::plural::plural;
use havipd_core::model::secret::Secret;
use havipd_core::model::settings::{Arbiter, Config, HeartbeatKey, Keepalived};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use toml::de::DeTable;

/// A file that was read.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// What diagnostics call it.
    pub name: &'a str,
    /// The absolute directory that relative paths begin at.
    pub directory: &'a Path,
    /// Its text.
    pub text: &'a str,
}

/// A configuration that can be used.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The configuration, seen from this node.
    pub config: Config,
    /// What somebody should read; no errors.
    pub warnings: Diagnostics,
    /// How this node found itself.
    pub placed: Placed,
    /// Per group, in file order: the arbiter in force.
    pub arbiters: Vec<ArbiterInForce>,
}

/// The arbiter of one group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArbiterInForce {
    /// The group.
    pub group: GroupName,
    /// Its arbiter.
    pub arbiter: Arbiter,
    /// The file says `auto`, or nothing.
    pub auto: bool,
    /// How many nodes vote.
    pub voters: usize,
}

impl Loaded {
    /// What `--check-config` prints: warnings, who this node is, and what each arbiter became.
    #[must_use]
    pub fn report(&self) -> String {
        let mut lines: Vec<String> = self.warnings.0.iter().map(ToString::to_string).collect();
        lines.push(format!("this node is {}, {}", self.config.local_node().name, self.placed));
        for entry in &self.arbiters {
            let word = entry.arbiter.as_str();
            let auto = if entry.auto { ", chosen by auto" } else { "" };
            let voters = plural(entry.voters, "voter");
            lines.push(format!("group {}: arbiter {word}{auto} with {voters}", entry.group));
        }
        lines.join("\n")
    }
}

/// Why there is no configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// The file is wrong; waiting does not help (exit code 78).
    #[error("{0}")]
    Invalid(Diagnostics),
    /// The file is right, and no node of it is this host yet.
    #[error("{unplaced}")]
    NotYet {
        /// What would settle it.
        unplaced: Unplaced,
        /// What somebody should read meanwhile.
        warnings: Diagnostics,
    },
}

/// Checks a file.
///
/// # Errors
/// Everything that is wrong with it, or that this host is none of its nodes yet.
pub fn check(source: Source<'_>, env: &Environment, disk: &dyn Disk) -> Result<Loaded, LoadError> {
    let name: Arc<str> = source.name.into();
    let report = Report::default();
    let (document, syntax) = DeTable::parse_recoverable(source.text);
    let root = Table::root(&document, &report, syntax.is_empty());
    let file = Root::read(&root);
    rules::apply(&file, env, &report);
    let shapes = rules_group::apply(&file, env, &report);
    rules_check::apply(&file, &shapes, &report);

    let broken: Vec<Span> = syntax.iter().map(|e| e.span().unwrap_or(0..0)).collect();
    report.forget_lines(source.text, &broken);
    for (error, span) in syntax.iter().zip(&broken) {
        report.error(span, of_syntax(source.text, error));
    }

    let place = find_self(&file, env, &report);
    let local = place.as_ref().ok().map(|(index, _)| *index);
    if let Some(local) = local {
        rules::follows_address(&file, local, env, &report);
    }
    let files = Files { source, env, disk, report: &report };
    let outside = files.look(&file, local);
    let shapes: Option<Vec<Shape>> = shapes.into_iter().collect();
    let built = match (&place, shapes, report.has_errors()) {
        (Ok((local, placed)), Some(shapes), false) => {
            build::config(&file, &shapes, &outside, *local).map(|config| (config, placed.clone(), shapes))
        }
        _ => None,
    };
    let waits = !report.has_errors();
    let diagnostics = report.finish(&name, source.text);
    match (built, place) {
        (Some((config, placed, shapes)), _) => {
            let arbiters = config
                .groups
                .iter()
                .zip(&shapes)
                .map(|(group, shape)| ArbiterInForce {
                    group: group.name.clone(),
                    arbiter: shape.arbiter,
                    auto: shape.auto,
                    voters: shape.members.len(),
                })
                .collect();
            Ok(Loaded { config, warnings: diagnostics, placed, arbiters })
        }
        (None, Err(Some(unplaced))) if waits => Err(LoadError::NotYet { unplaced, warnings: diagnostics }),
        _ => Err(LoadError::Invalid(diagnostics)),
    }
}

/// `Err(None)` if it cannot be told, with an error noted.
fn find_self(file: &Root, env: &Environment, report: &Report) -> Result<(usize, Placed), Option<Unplaced>> {
    let port = file.heartbeat.port.as_ref().map_or(0, |p| p.value);
    let nodes: Vec<_> = file
        .nodes
        .iter()
        .filter_map(|node| {
            let addresses = node.addresses.iter().flat_map(|a| &a.value).map(|a| a.value.or_port(port)).collect();
            Some((node.name.as_ref()?.value.clone(), addresses))
        })
        .collect();
    if nodes.len() != file.nodes.len() || nodes.is_empty() {
        return Err(None);
    }
    locate(&nodes, env).map_err(|miss| match miss {
        Miss::NotYet(unplaced) => Some(unplaced),
        Miss::Never(text) => {
            report.error_nowhere(text, None);
            None
        }
    })
}

/// What the files beside the configuration gave.
pub(super) struct Outside {
    pub(super) keys: Vec<HeartbeatKey>,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) credentials_file: Option<PathBuf>,
    pub(super) keepalived: Option<Keepalived>,
    pub(super) etcd: EtcdFiles,
    /// Files of checks, by what the file calls them.
    pub(super) paths: BTreeMap<String, PathBuf>,
    /// Paths of hooks by where they stand: the file's, then each group's.
    pub(super) resolve: Resolver,
}

/// The files of `[etcd]`.
#[derive(Default)]
pub(super) struct EtcdFiles {
    pub(super) ca: Option<PathBuf>,
    pub(super) certificate: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
    pub(super) password: Option<PathBuf>,
}

/// Turns a command of the file into what is run.
#[derive(Debug, Clone)]
pub(super) struct Resolver {
    directory: PathBuf,
    credentials: Option<PathBuf>,
}

impl Resolver {
    /// The first that is given, if any.
    pub(super) fn first(&self, own: &Option<At<Command>>, common: &Option<At<Command>>) -> Option<Vec<String>> {
        own.as_ref().or(common.as_ref()).and_then(|command| self.argv(&command.value))
    }

    /// `None` if the path leads nowhere, which is then already reported.
    pub(super) fn argv(&self, command: &Command) -> Option<Vec<String>> {
        match command {
            Command::Argv(argv) => Some(argv.clone()),
            Command::Path(path) => {
                let path = paths::resolve(path, &self.directory, self.credentials.as_deref()).ok()?;
                Some(vec![path.to_string_lossy().into_owned()])
            }
        }
    }
}

/// Every command that is given.
fn commands(hooks: &Hooks) -> impl Iterator<Item = &At<Command>> {
    let each = [&hooks.notify, &hooks.notify_master, &hooks.notify_backup, &hooks.notify_fault, &hooks.notify_stop];
    each.into_iter().flatten()
}

/// Looks at the files that the configuration names.
struct Files<'a> {
    source: Source<'a>,
    env: &'a Environment,
    disk: &'a dyn Disk,
    report: &'a Report,
}

impl Files<'_> {
    /// `local` is this node, if it is known: files whose only user is another node need not be here.
    fn look(&self, file: &Root, local: Option<usize>) -> Outside {
        let holds = local.is_some_and(|i| !rules::is_witness(&file.nodes[i]));
        let resolve = Resolver {
            directory: self.source.directory.to_owned(),
            credentials: self.env.credentials_directory.clone(),
        };
        let keys = file.heartbeat.keys.iter().flat_map(|keys| &keys.value).filter_map(|key| self.key(key)).collect();
        let ca_file = file.cloud.ca_file.as_ref().and_then(|at| self.path(at, holds).map(|path| (at, path)));
        if let Some((at, path)) = ca_file.as_ref().filter(|_| holds)
            && let Err(why) = self.disk.readable(path)
        {
            self.report.error(&at.span, format!("{}: {why}", path.display()));
        }
        let credentials_file = file.cloud.credentials.file.as_ref().and_then(|at| self.credentials(file, at, holds));
        if holds {
            for hooks in std::iter::once(&file.hooks).chain(file.groups.iter().map(|g| &g.hooks)) {
                commands(hooks).for_each(|command| self.hook(command, &resolve));
            }
            let gates = |g: &Group| [g.before_active.clone(), g.before_release.clone()];
            for argv in file.groups.iter().flat_map(|group| gates(&group.value)).flatten() {
                self.program(&argv.map(Command::Argv), "gate", &resolve);
            }
        }
        let keepalived = self.keepalived(file, holds);
        let etcd = self.etcd(file, holds);
        let paths = self.checks(file, local.filter(|_| holds), &resolve);
        Outside { keys, ca_file: ca_file.map(|(_, path)| path), credentials_file, keepalived, etcd, paths, resolve }
    }

    /// Files of checks. They are looked at on the nodes that run them, and may come later.
    fn checks(&self, file: &Root, local: Option<usize>, resolve: &Resolver) -> BTreeMap<String, PathBuf> {
        let name = local.and_then(|i| file.nodes[i].name.as_ref()).map(|n| n.value.as_str());
        let mut paths = BTreeMap::new();
        for check in &file.checks {
            let here = match (check.nodes.as_ref().map(|nodes| &nodes.value), name) {
                (_, None) => false,
                (Some(Membership::Listed(listed)), Some(name)) => listed.iter().any(|n| n.value == name),
                (_, Some(_)) => true,
            };
            let secret = check.key_file.as_ref().filter(|_| here).and_then(|at| Some((at, self.path(at, here)?)));
            if let Some((at, path)) = secret
                && let Err(why) = self.disk.secret(&path)
            {
                self.report.error(&at.span, format!("{}: {why}", path.display()));
            }
            let files = [&check.pidfile, &check.file, &check.ca_file, &check.cert_file, &check.key_file];
            for at in files.into_iter().flatten() {
                paths.extend(self.path(at, here).map(|path| (at.value.clone(), path)));
            }
            if let Some(script) = check.script.as_ref().filter(|_| here) {
                self.program(&script.clone().map(Command::Argv), "script", resolve);
            }
        }
        paths
    }

    /// Files of keepalived, which need not be there: it may start after us.
    fn keepalived(&self, file: &Root, holds: bool) -> Option<Keepalived> {
        let fifo = match &file.keepalived.fifo {
            Some(at) => Some(self.path(at, holds)?),
            None => None,
        };
        Some(Keepalived { fifo, pid_file: self.path(file.keepalived.pid_file.as_ref()?, holds)? })
    }

    /// Files of etcd, which a node that holds nothing does not read.
    fn etcd(&self, file: &Root, holds: bool) -> EtcdFiles {
        let plain = |at: &At<String>| self.usable(at, holds, |path| self.disk.readable(path));
        let secret = |at: &At<String>| self.usable(at, holds, |path| self.disk.secret(path).map(drop));
        EtcdFiles {
            ca: file.etcd.ca_file.as_ref().and_then(plain),
            certificate: file.etcd.cert_file.as_ref().and_then(plain),
            key: file.etcd.key_file.as_ref().and_then(secret),
            password: file.etcd.password_file.as_ref().and_then(secret),
        }
    }

    /// The path of a file, with an error noted if this node needs it and `look` finds fault with it.
    fn usable(&self, at: &At<String>, needed: bool, look: impl Fn(&Path) -> Result<(), String>) -> Option<PathBuf> {
        let path = self.path(at, needed)?;
        if needed && let Err(why) = look(&path) {
            self.report.error(&at.span, format!("{}: {why}", path.display()));
        }
        Some(path)
    }

    /// The path, with an error noted if this node needs it and it leads nowhere.
    fn path(&self, at: &At<String>, needed: bool) -> Option<PathBuf> {
        let credentials = self.env.credentials_directory.as_deref();
        match paths::resolve(&at.value, self.source.directory, credentials) {
            Ok(path) => Some(path),
            Err(why) => {
                if needed {
                    self.report.error(&at.span, why);
                    return None;
                }
                Some(self.source.directory.join(&at.value))
            }
        }
    }

    fn key(&self, key: &Key) -> Option<HeartbeatKey> {
        let (id, file) = (key.id.as_ref()?, key.file.as_ref()?);
        let path = self.path(file, true)?;
        match self.disk.secret(&path).and_then(|text| heartbeat_key(&text)) {
            Ok(secret) => Some(HeartbeatKey { id: KeyId(id.value), secret }),
            Err(why) => {
                self.report.error(&file.span, format!("{}: {why}", path.display()));
                None
            }
        }
    }

    fn credentials(&self, file: &Root, at: &At<String>, holds: bool) -> Option<PathBuf> {
        let read = match file.cloud.credentials.source.as_ref().map(|s| s.value) {
            Some("file") => true,
            Some("auto") => !self.env.credentials_in_environment,
            _ => false,
        };
        let path = self.path(at, holds && read)?;
        if holds
            && read
            && let Err(why) = self.disk.credentials(&path)
        {
            self.report.error(&at.span, format!("{}: {why}", path.display()));
        }
        Some(path)
    }

    fn hook(&self, command: &At<Command>, resolve: &Resolver) {
        self.program(command, "hook", resolve);
    }

    fn program(&self, command: &At<Command>, what: &str, resolve: &Resolver) {
        let argv = match &command.value {
            Command::Path(path) => {
                let at = At { value: path.clone(), span: command.span.clone(), written: true };
                if self.path(&at, true).is_none() {
                    return;
                }
                resolve.argv(&command.value)
            }
            Command::Argv(argv) => Some(argv.clone()),
        };
        let Some(program) = argv.and_then(|argv| argv.into_iter().next()) else { return };
        let path = Path::new(&program);
        let objection = if path.is_absolute() {
            self.disk.objection(path)
        } else {
            Some("is not an absolute path, so what runs depends on PATH".to_owned())
        };
        if let Some(objection) = objection {
            self.report.warning(
                Some(&command.span),
                format!("the {what} {program} {objection}", program = quote(&program)),
                as_list(&program),
            );
        }
    }
}

/// What to write instead of a program's name that holds its arguments, too, as every `notify` of keepalived does; `None` if
/// that is not what is wrong with it.
#[must_use]
pub fn as_list(program: &str) -> Option<String> {
    let words: Vec<String> = program.split_whitespace().map(|word| toml::Value::from(word).to_string()).collect();
    (words.len() > 1).then(|| format!("a string is one program, blanks included; write a list: [{}]", words.join(", ")))
}

/// Reads what `havipctl keygen` writes: 32 bytes as 64 hexadecimal digits.
///
/// # Errors
/// A text that says what the file is instead, without showing any of it.
pub fn heartbeat_key(text: &Secret) -> Result<Secret, String> {
    const HOW: &str = "make one with havipctl keygen";
    let text = text.expose_str().ok_or_else(|| format!("is not a heartbeat key: it is not text; {HOW}"))?.trim();
    let digits = text.chars().count();
    if digits != 64 {
        return Err(format!("is not a heartbeat key: it has {digits} characters, not 64; {HOW}"));
    }
    let bytes =
        hex::decode(text).map_err(|_| format!("is not a heartbeat key: not all of it is hexadecimal; {HOW}"))?;
    Ok(Secret::new(bytes))
}

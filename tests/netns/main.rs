//! The lab: a real cluster in network namespaces, case by case, under every profile of the emulated cloud.
//!
//! `cargo test --test netns [-- [--write] [--jobs=N] [WORD...]]` as root, with `ip` and `nft`. A WORD
//! picks the profiles that are called so, and the cases whose names contain it. The tables are
//! printed, kept in `target/lab-results.md`, and with `--write` in `docs/lab-results.md`. With
//! `--jobs` so many profiles are tried at a time: quicker, but the figures suffer.

mod cases;
mod clock;
mod daemon;
mod fabric;
#[path = "../support/frozen.rs"]
mod frozen;
mod lab;
#[path = "../support/memory.rs"]
mod memory;
mod namespace;
mod network;
mod probe;
mod relay;
mod report;

use cases::{Case, Scene};
use clock::Moment;
use fabric::HAVIPS;
use havipd_lab::simulation::cloud::Profile;
use lab::Lab;
use report::{Findings, Verdict};
use std::fs::File;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Mutex, OnceLock};

fn say(text: &str) {
    // A reader that closed the output does not want it.
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// What the command line asks for.
#[derive(Debug)]
struct Wanted {
    write: bool,
    list: bool,
    jobs: usize,
    words: Vec<String>,
}

impl Wanted {
    /// Options of the usual test harness are let pass, since `cargo test` hands them to every test.
    fn read(arguments: impl Iterator<Item = String>) -> Self {
        let mut wanted = Self { write: false, list: false, jobs: 1, words: Vec::new() };
        for argument in arguments {
            match argument.as_str() {
                "--write" => wanted.write = true,
                "--list" => wanted.list = true,
                option if option.starts_with("--jobs=") => {
                    wanted.jobs = option["--jobs=".len()..].parse().expect("--jobs=N takes a number");
                }
                option if option.starts_with('-') => {}
                word => wanted.words.push(word.to_owned()),
            }
        }
        wanted
    }

    /// Profiles with the cases to try under each.
    fn plan(&self) -> Vec<(Profile, Vec<Case>)> {
        let all = Profile::all();
        let is_profile = |word: &&String| all.iter().any(|p| p.name == **word);
        let (profiles, words): (Vec<&String>, Vec<&String>) = self.words.iter().partition(is_profile);
        let wanted = all.iter().filter(|p| profiles.is_empty() || profiles.contains(&&p.name));
        let picked = |(name, _): &Case| words.is_empty() || words.iter().any(|word| name.contains(word.as_str()));
        let plan = wanted.map(|p| (p.clone(), cases::cases(p).into_iter().filter(picked).collect::<Vec<_>>()));
        plan.filter(|(_, cases)| !cases.is_empty()).collect()
    }
}

fn main() -> ExitCode {
    let wanted = Wanted::read(std::env::args().skip(1));
    let plan = wanted.plan();
    if wanted.list {
        plan.iter()
            .flat_map(|(p, cases)| cases.iter().map(move |(c, _)| (p, c)))
            .for_each(|(p, c)| say(&format!("{p}: {c}: test")));
        return ExitCode::SUCCESS;
    }
    if plan.is_empty() {
        say("netns: nothing by that name");
        return ExitCode::SUCCESS;
    }
    if !rustix::process::geteuid().is_root() {
        say("netns: makes network namespaces and therefore needs root: use sudo -E");
        return ExitCode::FAILURE;
    }
    let Some(_alone) = alone() else {
        say("netns: another lab of this tree is running; its files are in the same place");
        return ExitCode::FAILURE;
    };
    namespace::keep_clean();
    let began = Moment::now();
    let results = try_all(plan, wanted.jobs);
    let text = report::tables(&results);
    say(&format!("\n{text}\n{:.0} s", Moment::now().since(began).as_secs_f64()));
    keep(&text, wanted.write);
    let mut code = ExitCode::SUCCESS;
    for (profile, findings) in &results {
        for (case, why) in findings.failures() {
            say(&format!("FAILED {profile}: {case}: {why}\n"));
            code = ExitCode::FAILURE;
        }
    }
    code
}

/// The right to the directory that labs of this tree share, until it is dropped.
fn alone() -> Option<File> {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("netns.lock");
    let lock = File::create(&path).unwrap_or_else(|e| panic!("cannot make {}: {e}", path.display()));
    lock.try_lock().is_ok().then_some(lock)
}

/// Tries so many profiles at a time, each in a lab of its own; the results in the order of the plan.
fn try_all(plan: Vec<(Profile, Vec<Case>)>, jobs: usize) -> Vec<(String, Findings)> {
    let results: Vec<OnceLock<(String, Findings)>> = plan.iter().map(|_| OnceLock::new()).collect();
    let todo = Mutex::new(plan.into_iter().enumerate());
    let work = || {
        loop {
            let next = todo.lock().expect("nobody panics with it").next();
            let Some((i, (p, cases))) = next else { return };
            let found = (p.name.clone(), profile(&p, cases));
            assert!(results[i].set(found).is_ok(), "each is tried once");
        }
    };
    std::thread::scope(|scope| (0..jobs.max(1)).for_each(|_| drop(scope.spawn(work))));
    results.into_iter().filter_map(OnceLock::into_inner).collect()
}

fn keep(text: &str, write: bool) {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("lab-results.md");
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/lab-results.md");
    for path in [Some(target), write.then_some(docs)].into_iter().flatten() {
        std::fs::write(&path, text).unwrap_or_else(|e| panic!("cannot write {}: {e}", path.display()));
    }
}

/// One lab for all cases of a profile; given up only if it cannot be brought to rest between two.
fn profile(profile: &Profile, cases: Vec<Case>) -> Findings {
    let mut findings = Findings::default();
    let mut lab = None;
    for (name, case) in cases {
        let began = Moment::now();
        let result = catch_unwind(AssertUnwindSafe(|| {
            if lab.is_none() {
                let mut new = Lab::new(profile);
                new.restore().map_err(|why| format!("the cluster does not form: {why}"))?;
                lab = Some(new);
            }
            let lab = lab.as_mut().expect("was made");
            let mark = lab.mark();
            case(&mut Scene { lab, findings: &mut findings })?;
            lab.restore().map_err(|why| format!("the cluster does not come back to rest: {why}"))?;
            Ok(HAVIPS.map(|havip| lab.outage_since(havip, mark)))
        }));
        let result = result.unwrap_or_else(|_| Err("panicked".to_owned()));
        let took = Moment::now().since(began);
        let word = if result.is_ok() { "ok" } else { "FAILED" };
        say(&format!("{profile}: {name}: {word} ({:.1} s)", took.as_secs_f64()));
        let verdict = match result {
            Ok(outages) => Verdict::Passed(outages),
            Err(why) => {
                // What is left may be in any state.
                drop(lab.take());
                say(&format!("{why}\nlogs: {}", keep_logs(profile, name).display()));
                Verdict::Failed(why)
            }
        };
        findings.cases.push((name, verdict));
    }
    findings
}

/// Puts the logs of a failed case where the next lab does not overwrite them.
fn keep_logs(profile: &Profile, case: &str) -> PathBuf {
    let from = Lab::directory(profile);
    let to = from.with_extension(case.replace(|c: char| !c.is_ascii_alphanumeric(), "-"));
    // Of an earlier run, if there is any.
    let _ = std::fs::remove_dir_all(&to);
    if std::fs::rename(&from, &to).is_ok() { to } else { from }
}

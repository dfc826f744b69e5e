//! `havipctl list`, `show`, `attach` and `detach`: one-shot calls to the cloud, no daemon needed.
//!
//! `attach --wait` is made to be a notify script of keepalived: it may be called again and again, by several
//! transitions at once, and while the cloud does not answer. So one deadline covers everything, what is read
//! back decides and not the answer to a write, and of several runs for one HAVIP the newest has its way.

mod bind;
pub(super) mod call;
mod guard;
mod said;
mod show;
mod step;
mod turn;

use self::bind::{Job, Wanted};
use super::say;
use crate::clock;
use crate::cloud::client::Client;
use crate::config::{parse_duration, parse_region};
use crate::control::protocol::{Code, Response};
use crate::plain::quote;
use crate::runtime::signals::{Signal, Signals};
use clap::Args;
use havipd_core::model::cloud::CallClass;
use havipd_core::model::ids::{EniId, HavipId, InstanceId};
use havipd_core::model::settings::Config;
use havipd_core::model::time::Instant;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// `--timeout` of what writes, unless it is given.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// `--timeout` of what only reads, unless it is given.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// Shown after the options of `list`.
pub(super) const LIST_HELP: &str = "\
Examples:
  havipctl list
      every HAVIP that the key of havipd.toml may see
  havipctl list --region bj --vpc vpc-7h2k
      without a havipd.toml; the key comes from the environment";

/// Shown after the options of `show`.
pub(super) const SHOW_HELP: &str = "\
Examples:
  havipctl show havip-w2d4kgc3x0y1
  havipctl show havip-w2d4kgc3x0y1 --json |
      jq -r '.data.bindedInstances[].instanceId'";

/// Shown after the options of `attach`.
pub(super) const ATTACH_HELP: &str = "\
Examples:
  havipctl attach havip-w2d4kgc3x0y1 --wait
      this node; wait until the cloud shows it
  havipctl attach havip-w2d4kgc3x0y1 --exclusive
      move it here: every other target is detached
  havipctl attach havip-w2d4kgc3x0y1 --instance i-Kq3wXz9a --dry-run
  havipctl attach havip-w2d4kgc3x0y1 --self --region bj \\
      --credentials /etc/keepalived/bce.toml --wait

As a script of keepalived:
  notify_master \"/usr/bin/havipctl attach HAVIP --wait --exclusive\"
Done is what two reads of the cloud, two seconds apart, agree on; never
the answer to the attach. Of several runs for one HAVIP on this host the
newest goes on, the others end with 75. Where the address is on an
interface of this host and --instance or --eni is not given, it is
announced while the cloud names another holder. Where standard error is
/dev/null, as keepalived has it, the line about the end goes to the
system's log.

Exit codes: 0 it is there; 1 it is not and will not come (the reason
says what to do by hand); 69 the cloud did not answer; 75 not there in
time, or a newer run took over; 77 not allowed, or no credentials that
can be read; 78 havipd.toml is wrong.";

/// Shown after the options of `detach`.
pub(super) const DETACH_HELP: &str = "\
Examples:
  havipctl detach havip-w2d4kgc3x0y1 --wait
      this node
  havipctl detach havip-w2d4kgc3x0y1 --instance i-Kq3wXz9a
      another one, by hand

Exit codes: as `havipctl attach`. That it is not bound in the first
place is no error.";

/// How the cloud is reached: by havipd.toml, or by these options alone.
#[derive(Debug, Clone, Args)]
pub(super) struct Reach {
    /// Take `[cloud]` and this node from that file; /etc/havipd/havipd.toml if neither --region nor --endpoint is given,
    /// unless there is none and BCE_REGION, or bce-cli's profile, names a region.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Which `[[node]]` of the file this host is; else its addresses, else its host name tell.
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
    /// The cloud's region (bj, gz, su, ...); wins over the file.
    #[arg(long, value_name = "REGION", value_parser = parse_region)]
    region: Option<String>,
    /// The cloud's endpoint, for a private one or the sandbox; wins over the file and --region.
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// A file with access-key-id and secret-access-key, or bce-cli's config.json; without a havipd.toml else the
    /// environment, else ~/.bce/config.json, else the instance's role.
    #[arg(long, value_name = "FILE")]
    credentials: Option<PathBuf>,
    /// Another metadata service, for the sandbox.
    #[arg(long, value_name = "URL")]
    metadata_endpoint: Option<String>,
    /// Everything together may take this long: a number and ms, s, m or h [default: 30s; 10s where nothing is written].
    #[arg(long, value_name = "DURATION", value_parser = span)]
    timeout: Option<Duration>,
}

/// Which target is bound.
#[derive(Debug, Clone, Args)]
#[group(multiple = false)]
pub(super) struct Which {
    /// This instance (BCC, BBC, DCC).
    #[arg(long, value_name = "ID")]
    instance: Option<InstanceId>,
    /// This elastic network interface.
    #[arg(long, value_name = "ID")]
    eni: Option<EniId>,
    /// The instance that the metadata service says this host is; the default where there is no havipd.toml.
    #[arg(long = "self")]
    this: bool,
}

/// Options of `list`.
#[derive(Debug, Clone, Args)]
pub(super) struct List {
    /// Only those of one VPC.
    #[arg(long, value_name = "ID")]
    vpc: Option<String>,
    #[command(flatten)]
    reach: Reach,
}

/// Options of `show`.
#[derive(Debug, Clone, Args)]
pub(super) struct Show {
    /// Which HAVIP.
    havip: HavipId,
    #[command(flatten)]
    reach: Reach,
}

/// Options of `attach`.
#[derive(Debug, Clone, Args)]
pub(super) struct Attach {
    /// Which HAVIP.
    havip: HavipId,
    #[command(flatten)]
    which: Which,
    /// Wait until the cloud shows that the target has it.
    #[arg(long)]
    wait: bool,
    /// Move it: detach every other target, and wait.
    #[arg(long)]
    exclusive: bool,
    /// Only read, and say what would be done.
    #[arg(long)]
    dry_run: bool,
    /// Even if a havipd that runs here has the HAVIP in its care: it will undo what disagrees with it.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    reach: Reach,
}

/// Options of `detach`.
#[derive(Debug, Clone, Args)]
pub(super) struct Detach {
    /// Which HAVIP.
    havip: HavipId,
    #[command(flatten)]
    which: Which,
    /// Wait until the cloud shows that the target is not bound any more.
    #[arg(long)]
    wait: bool,
    /// Only read, and say what would be done.
    #[arg(long)]
    dry_run: bool,
    /// Even if a havipd that runs here has the HAVIP in its care: it will undo what disagrees with it.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    reach: Reach,
}

/// A write as it was asked for.
struct Order<'a> {
    verb: &'static str,
    havip: &'a HavipId,
    which: &'a Which,
    wanted: Wanted,
    dry_run: bool,
    force: bool,
    reach: &'a Reach,
}

pub(super) fn span(text: &str) -> Result<Duration, String> {
    let span = parse_duration(text).ok_or_else(|| {
        let text = quote(text);
        format!("{text} is not a duration: write a whole number and ms, s, m or h, as in 500ms or 30s")
    })?;
    if span.is_zero() || span > Duration::from_secs(3600) {
        return Err(format!("{text} is not between 1ms and 1h"));
    }
    Ok(span)
}

/// Runs `havipctl list`.
pub(super) fn list(options: &List, json: bool) -> Code {
    let response = run(clock::now(), &options.reach, READ_TIMEOUT, async |client: Client, _, deadline| {
        let vpc = options.vpc.as_deref();
        let found = call::again(deadline, || client.havips(vpc, CallClass::Background, deadline)).await;
        found.map_or_else(|e| call::failed(&e), |all| show::list(&all))
    });
    say::tell(&response, json)
}

/// Runs `havipctl show`.
pub(super) fn show(options: &Show, json: bool) -> Code {
    let response = run(clock::now(), &options.reach, READ_TIMEOUT, async |client: Client, _, deadline| {
        let found = call::again(deadline, || client.havip(&options.havip, CallClass::Background, deadline)).await;
        found.map_or_else(|e| call::failed(&e), |havip| show::one(&havip))
    });
    say::tell(&response, json)
}

/// Runs `havipctl attach`.
pub(super) fn attach(options: &Attach, socket: &Path, json: bool) -> Code {
    let wanted = Wanted::Attached { exclusive: options.exclusive, wait: options.wait || options.exclusive };
    let Attach { havip, which, dry_run, force, reach, .. } = options;
    write(&Order { verb: "attach", havip, which, wanted, dry_run: *dry_run, force: *force, reach }, socket, json)
}

/// Runs `havipctl detach`.
pub(super) fn detach(options: &Detach, socket: &Path, json: bool) -> Code {
    let wanted = Wanted::Detached { wait: options.wait };
    let Detach { havip, which, dry_run, force, reach, .. } = options;
    write(&Order { verb: "detach", havip, which, wanted, dry_run: *dry_run, force: *force, reach }, socket, json)
}

fn write(order: &Order<'_>, socket: &Path, json: bool) -> Code {
    let response = written(order, socket);
    said::tell(order.verb, order.havip, &response);
    say::tell(&response, json)
}

fn written(order: &Order<'_>, socket: &Path) -> Response {
    let begun = clock::now();
    if !order.dry_run && !order.force {
        let patience = order.reach.timeout.unwrap_or(WRITE_TIMEOUT);
        if let Err(refusal) = guard::free(socket, order.havip, patience) {
            return refusal;
        }
    }
    run(begun, order.reach, WRITE_TIMEOUT, async |client: Client, config, deadline| {
        let (target, ours) = match call::target(order.which, config.as_ref(), &client, deadline).await {
            Ok(found) => found,
            Err(response) => return response,
        };
        let job = Job { client, havip: order.havip, target, ours, wanted: order.wanted, begun, deadline };
        if order.dry_run { job.rehearse().await } else { job.carry_out().await }
    })
}

/// Reads the settings and has `act` done, until it ends or somebody ends us.
fn run(
    begun: Instant,
    reach: &Reach,
    usual: Duration,
    act: impl AsyncFnOnce(Client, Option<Config>, Instant) -> Response,
) -> Response {
    let deadline = begun + reach.timeout.unwrap_or(usual);
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Response::new(Code::No, format!("cannot start: {error}")),
    };
    let response = runtime.block_on(async {
        let mut signals = match Signals::new() {
            Ok(signals) => signals,
            Err(error) => return Response::new(Code::No, format!("cannot watch for signals: {error}")),
        };
        let work = async {
            match call::settings(reach) {
                Ok((client, config)) => act(client, config, deadline).await,
                Err(response) => response,
            }
        };
        tokio::select! {
            response = work => response,
            () = told_to_end(&mut signals) => Response::new(
                Code::TryAgain,
                "interrupted: what was sent may still be carried out; havipctl show tells",
            ),
        }
    });
    // A name that is still being looked up, or a disk that hangs, has had its time.
    runtime.shutdown_background();
    response
}

async fn told_to_end(signals: &mut Signals) {
    while signals.next().await != Signal::Terminate {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_a_number_with_a_unit() {
        assert_eq!(span("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(span("2m"), Ok(Duration::from_secs(120)));
        for bad in
            ["", "5", "0s", "s", "1d", "-1s", "1.5s", "2h", "99999999999999999999s", "18446744073709551615h", "é"]
        {
            assert!(span(bad).is_err(), "{bad}");
        }
    }
}

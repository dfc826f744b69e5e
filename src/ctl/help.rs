//! What `--help` shows below the options of the commands that ask the daemon.

/// Of `havipctl` itself.
pub(super) const WHOLE: &str = "\
Examples:
  havipctl status
      what is wrong first; then groups, peers, and how old every fact is
  havipctl why web
      why this node is, or is not, active
  havipctl history web -n 3
      the last three changes, with their cause and a timeline
  havipctl doctor
      everything that could go wrong, looked at

Exit codes: 0 done, 1 a plain no, 64 wrong arguments, 69 havipd or the
cloud cannot be reached, 75 try again, 77 not allowed, 78 the
configuration is wrong.";

/// Of `status`.
pub(super) const STATUS: &str = "\
Examples:
  havipctl status
      a screen: what is wrong first, faults before what is well
  havipctl status --watch
      the same, drawn again at every change
  havipctl status --check
      for monitoring: ok and 0, or a line for each trouble and 1
  havipctl status --on b
      as node b sees it, from here
  havipctl status --cluster
      a line for each node, as it sees itself
  havipctl status --json | jq -r '.data.groups[] |
      [.name, .role, .active] | @tsv'

Colours are for terminals; NO_COLOR=1 takes them away.

Exit codes: 0 it was told, and with --check: nothing is wrong; 1 with
--check: something is, and with --cluster: a node does not answer; 69
havipd does not answer; 75 it waits for an address; 77 not allowed.";

/// Of `why`.
pub(super) const WHY: &str = "\
Examples:
  havipctl why web
  havipctl why web --on b
      as node b sees it, from here
  havipctl why web --json | jq -r '.data.change[]'
      what would have to change, one a line";

/// Of `switchover`.
pub(super) const SWITCHOVER: &str = "\
Run it on any node: the one that is active makes the move.

Examples:
  havipctl switchover web --dry-run
      whether it would work now, and who would be active
  havipctl switchover web --wait
      to the next in rank; ends when that node serves
  havipctl switchover web --to b --wait
      to node b

Exit codes: 0 done, or begun without --wait; 1 refused, or it failed and
the address stays where it was (the reason says why); 64 no such group
or node; 69 havipd does not answer, or the active node is not heard; 75
the active node does not answer, or it is not over in time; 77 not
allowed.";

/// Of `drain`.
pub(super) const DRAIN: &str = "\
Examples:
  havipctl drain --wait && reboot
      before work on this node: every group goes to other nodes first
  havipctl drain web
      one group; havipctl undrain web ends it
  havipctl drain --on b --wait
      node b, from here

Exit codes: 0 done, or begun without --wait; 1 refused; 64 no such
group or node; 69 havipd does not answer, or the node is not heard; 75
the node does not answer, or nobody has taken over in time; 77 not
allowed.";

/// Of `undrain`.
pub(super) const UNDRAIN: &str = "\
Examples:
  havipctl undrain        every group may come back to this node
  havipctl undrain web    one group
  havipctl undrain --on b    node b, from here";

/// Of `maintenance`.
pub(super) const MAINTENANCE: &str = "\
Examples:
  havipctl maintenance web on --for 2h
      nothing moves for two hours, whatever fails
  havipctl maintenance --all on
      every group, until somebody ends it; status --check says so
      meanwhile
  havipctl maintenance --all off
      from any node
  havipctl maintenance web reset
      on every node, in maintenance: numbers that cannot be right begin
      again";

/// Of `reload`.
pub(super) const RELOAD: &str = "\
Examples:
  havipd --check-config && havipctl reload
      only a file that is right; havipctl would refuse a wrong one, too

Exit codes: 0 the new file is in force; 69 havipd does not answer; 77
not allowed; 78 refused, and the old one stays.";

/// Of `log-level`.
pub(super) const LOG_LEVEL: &str = "\
Examples:
  havipctl log-level debug && journalctl -fu havipd
  havipctl log-level info";

/// Of `keygen`.
pub(super) const KEYGEN: &str = "\
Examples:
  havipctl keygen --out /etc/havipd/heartbeat.key
      then the same file to every node, mode 0640, root:havipd
  havipctl keygen |
      ssh root@b 'umask 027; cat > /etc/havipd/heartbeat.key'

Exit codes: 0 written; 1 not, or the file is there already; 77 not
allowed to write there.";

/// Of `sandbox`.
pub(super) const SANDBOX: &str = "\
Examples:
  havipctl sandbox
      three nodes in a live view, with keys that break things
  havipctl sandbox --script failover
      unattended: kills, moves and their timelines
  havipctl sandbox --help
      everything that havipd-lab can do here";

/// Of `simulate`.
pub(super) const SIMULATE: &str = "\
Examples:
  havipctl simulate --seed 42
      what happens in scenario 42 of those that the tests draw
  havipctl simulate night.toml --config /etc/havipd/havipd.toml --node a
      a script of faults on your own cluster";

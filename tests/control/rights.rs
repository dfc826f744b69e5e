//! Who may do what: another user who is let in by the group may look, and nothing else.

use crate::Daemon;
use havipd::control::server::Limits;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Output, Stdio};

/// `nobody` on every distribution: any user does who is neither root nor the daemon's.
const SOMEBODY: u32 = 65534;

/// Runs `havipctl` as another user, who is a member of the socket's group.
fn as_member(daemon: &Daemon, arguments: &[&str]) -> Output {
    // The program itself lies where only we may look: a copy goes beside the socket.
    let program = daemon.dir.path().join("havipctl");
    if !program.exists() {
        // By a process of its own: a program that another thread's child inherited open for writing is "busy".
        let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_havipctl")).arg(&program).status();
        assert!(copied.unwrap().success());
        std::fs::set_permissions(daemon.dir.path(), Permissions::from_mode(0o755)).unwrap();
        std::fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
    }
    let group = rustix::process::getegid().as_raw();
    let mut command = Command::new(program);
    command.arg("--socket").arg(daemon.socket()).args(arguments).uid(SOMEBODY).gid(group);
    command.output().expect("becoming another user takes root: run the tests with sudo -E")
}

#[test]
fn the_group_may_look_and_not_touch() {
    let daemon = Daemon::start(Limits::default());
    let looks = as_member(&daemon, &["why", "web"]);
    assert_eq!((looks.status.code(), looks.stdout.as_slice()), (Some(0), b"web\n".as_slice()));
    let rehearsal = as_member(&daemon, &["switchover", "web", "--dry-run"]);
    assert_eq!(rehearsal.status.code(), Some(1), "the handler's own no");
    let state = as_member(&daemon, &["notify", "INSTANCE", "web", "MASTER", "150"]);
    assert_ne!(state.status.code(), Some(77), "whose word counts, the configuration says: the daemon's handler looks");
    let changes: [&[&str]; 8] = [
        &["switchover", "web"],
        &["drain"],
        &["undrain", "web"],
        &["drain", "--on", "b"],
        &["undrain", "web", "--on", "b"],
        &["maintenance", "--all", "on"],
        &["reload"],
        &["log-level", "trace"],
    ];
    for arguments in changes {
        let refused = as_member(&daemon, arguments);
        let text = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(77), "{arguments:?}: {text}");
        assert!(text.contains("only root, or the user that havipd runs as, may change anything"), "{text}");
    }
    // We are the daemon's own user, and root besides.
    assert_eq!(
        daemon.client().call(&havipd::control::protocol::Request::Undrain { group: None, node: None }).unwrap().message,
        "no"
    );
}

/// A user who may only look takes all places there are for him; root and other users do not notice.
#[test]
fn one_user_does_not_lock_out_another() {
    let daemon = Daemon::start(Limits::default());
    as_member(&daemon, &["why", "web"]);
    let watch = |uid| {
        let mut command = Command::new(daemon.dir.path().join("havipctl"));
        command.arg("--socket").arg(daemon.socket()).args(["status", "--watch", "--json"]).stdin(Stdio::null());
        command.uid(uid).gid(rustix::process::getegid().as_raw()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    let mut watchers: Vec<_> = (0..40).map(|_| watch(SOMEBODY)).collect();
    let of_a_user = Limits::default().of_a_user;
    crate::wait_for("those without a place are turned away", || {
        let ended = watchers.iter_mut().map(|w| w.try_wait().unwrap()).filter(Option::is_some).count();
        (ended == watchers.len() - of_a_user).then_some(())
    });
    let refused = as_member(&daemon, &["why", "web"]);
    let text = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(75), "{text}");
    assert!(text.contains("this user has too many connections to havipd"), "{text}");
    let mut another = watch(SOMEBODY - 1);
    let mut first = [0; 1];
    std::io::Read::read_exact(another.stdout.as_mut().unwrap(), &mut first).unwrap();
    let root = daemon.client().call(&havipd::control::protocol::Request::Why { group: "web".to_owned(), node: None });
    assert_eq!(root.unwrap().message, "web");
    for mut watcher in watchers.into_iter().chain([another]) {
        let _ = watcher.kill();
        watcher.wait().unwrap();
    }
}

#[test]
fn a_stranger_does_not_even_get_in() {
    let daemon = Daemon::start(Limits::default());
    as_member(&daemon, &["why", "web"]);
    let mut command = Command::new(daemon.dir.path().join("havipctl"));
    command.arg("--socket").arg(daemon.socket()).args(["why", "web"]).uid(SOMEBODY).gid(SOMEBODY);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(77), "{}", String::from_utf8_lossy(&output.stderr));
}

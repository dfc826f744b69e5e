//! What an earlier configuration put on this host is taken off by a reload: in a network namespace of its own, where the
//! HAVIP's address goes on the loopback interface.

use crate::lab::{Lab, Options};
use crate::wait::wait_for;
use std::process::Command;

/// Runs `body` on a thread that has, with all it starts, a network namespace of its own.
pub(crate) fn in_namespace(body: impl FnOnce() + Send) {
    assert!(rustix::process::geteuid().is_root(), "this test makes a network namespace: run it with sudo");
    let outcome = std::thread::scope(|scope| {
        let isolated = || {
            unshare();
            assert!(Command::new("ip").args(["link", "set", "lo", "up"]).status().unwrap().success());
            body();
        };
        scope.spawn(isolated).join()
    });
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

#[expect(unsafe_code, reason = "unshare has no safe wrapper")]
fn unshare() {
    // SAFETY: affects only which network namespace this thread is in; no memory is involved.
    let result = unsafe { libc::unshare(libc::CLONE_NEWNET) };
    assert_eq!(result, 0, "cannot make a network namespace: {}", std::io::Error::last_os_error());
}

/// The addresses of the HAVIP, of old and of now, that are on this host.
fn here() -> Vec<&'static str> {
    let output = Command::new("ip").args(["-o", "address", "show", "dev", "lo"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    ["127.0.0.100", "127.0.0.102"].into_iter().filter(|a| text.contains(&format!(" {a}/32 "))).collect()
}

#[test]
fn an_address_that_the_file_does_not_have_any_more_leaves_the_host() {
    in_namespace(|| {
        let tables = "[local-address]\nlifetime = \"forever\"\n".to_owned();
        let lab = Lab::new(Options { group: "on-stop = \"release\"".into(), tables, ..Options::default() });
        let none = "interface = \"none\"";
        let on_lo = |address: &str| format!("interface = \"lo\"\naddress = \"{address}\"");
        let file = |text: &str| std::fs::write(lab.config_path(), lab.text().replace(none, text)).unwrap();
        file(&on_lo("127.0.0.100"));
        let mut a = lab.start(0);
        a.wait_role("active");
        let becomes = |what: &str, addresses: &[&str]| wait_for(what, || (here() == addresses).then_some(()));
        becomes("the address is there", &["127.0.0.100"]);

        file(&on_lo("127.0.0.102"));
        assert!(lab.ctl(0, &["reload"]).status.success());
        becomes("the new address is there instead", &["127.0.0.102"]);
        a.wait_log("127.0.0.100 is taken off this host");

        file(none);
        assert!(lab.ctl(0, &["reload"]).status.success());
        becomes("no address is there", &[]);
        a.wait_log("127.0.0.102 is taken off this host");

        file(&on_lo("127.0.0.100"));
        assert!(lab.ctl(0, &["reload"]).status.success());
        becomes("it is back", &["127.0.0.100"]);
        a.signal(15);
        a.ended();
        assert_eq!(here(), [""; 0], "a stop takes it off");
    });
}

//! What is done on this host: the address, and the operator's programs.

use super::*;

settings! {
    LocalAddress
        keys {
            /// The kernel drops the address this long after the daemon's last turn. Whole seconds, {range}, or
            /// "forever"; not shorter than the dead time. Without it: the dead time and one second, rounded up.
            "lifetime" lifetime: Option<Duration> {
                takes: seconds_or_forever(s(2), h(1)), example: "4s", reload: Accept,
                shown: |_, local| text(local.lifetime.map_or_else(|| "forever".to_owned(), show)),
                cost: "Shorter takes the address off a hung node sooner; forever leaves it there until somebody \
                       removes it.",
            }
            /// Gratuitous ARPs in the burst after a claim: {range}.
            "announce-count" announce_count: u32 => announce_count {
                takes: integer(1, 100), default: 5, reload: Accept,
                cost: "More survive a lossy network; each is one broadcast per HAVIP.",
            }
            /// Time between them: {range}.
            "announce-interval" announce_interval: Duration => announce_interval {
                takes: span(ms(1), s(10)), default: "200ms", reload: Accept,
                cost: "Shorter repeats sooner; longer spreads the burst over more of the time in which neighbours \
                       settle.",
            }
            /// Time between single ones while active: {range}; 0s is none.
            "announce-refresh" announce_refresh: Duration => announce_refresh {
                takes: span(s(0), h(1)), default: "10s", reload: Accept,
                cost: "Shorter repairs stale neighbours sooner, at the price of broadcasts; 0s is silent.",
            }
        }
        of (settings::LocalAddress), build (local: &LocalAddress, dead_time: Duration) {
            lifetime: match &local.lifetime {
                Some(written) => written.value,
                None => Some(default_lifetime(dead_time)),
            },
        };

    Hooks
        keys {
            /// For every state.
            "notify" notify: Command {
                takes: command(), example: "/etc/havipd/notify.sh", reload: Accept,
                shown: |_, hooks| argv(&hooks.notify),
                cost: "One program for all states keeps the logic together; it must look at its arguments.",
            }
            /// For one state each, before "notify".
            "notify-master" notify_master: Command {
                takes: command(), example: ["/etc/havipd/notify.sh", "master"], reload: Accept,
                shown: |_, hooks| argv(&hooks.notify_master),
                cost: "Runs only when the cloud has confirmed; what must come before the first packet does not \
                       belong here.",
            }
            "notify-backup" notify_backup: Command {
                takes: command(), example: ["/etc/havipd/notify.sh", "backup"], reload: Accept,
                shown: |_, hooks| argv(&hooks.notify_backup),
                cost: "Also runs after every start, so it must do no harm when there is nothing to undo.",
            }
            "notify-fault" notify_fault: Command {
                takes: command(), example: ["/etc/havipd/notify.sh", "fault"], reload: Accept,
                shown: |_, hooks| argv(&hooks.notify_fault),
                cost: "A place for an alarm; the node still sends heartbeats and recovers by itself.",
            }
            "notify-stop" notify_stop: Command {
                takes: command(), example: ["/etc/havipd/notify.sh", "stop"], reload: Accept,
                shown: |_, hooks| argv(&hooks.notify_stop),
                cost: "Delays the end of the daemon, up to the timeout.",
            }
            /// Then the program and what it started gets SIGTERM, and SIGKILL 2s later: {range}.
            "timeout" timeout: Duration {
                takes: span(s(1), m(10)), default: "30s", reload: Accept,
                shown: |_, hooks| span_text(hooks.timeout),
                cost: "Longer lets slow hooks finish; a newer state waits for them that long.",
            }
        }
        // A group's own, else the file's, key by key.
        of (settings::Hooks), build (own: &Hooks, file: &Hooks, resolve: &Resolver) {
            notify: resolve.first(&own.notify, &file.notify),
            notify_master: resolve.first(&own.notify_master, &file.notify_master),
            notify_backup: resolve.first(&own.notify_backup, &file.notify_backup),
            notify_fault: resolve.first(&own.notify_fault, &file.notify_fault),
            notify_stop: resolve.first(&own.notify_stop, &file.notify_stop),
            timeout: own.timeout.as_ref().filter(|own| own.written).or(file.timeout.as_ref())?.value,
        };
}

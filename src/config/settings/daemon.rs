//! The daemon: what it shows, logs and takes of the host.

use super::*;

settings! {
    Metrics
        keys {
            /// An IP address with a port, or "off". There is neither TLS nor a password: beyond loopback is a
            /// warning.
            "listen" listen: Option<SocketAddr> {
                takes: socket_or_off(), default: "127.0.0.1:11201", reload: Accept,
                shown: |_, config| text(config.metrics.map_or_else(|| "off".to_owned(), |a| a.to_string())),
                cost: "Beyond loopback anybody who reaches the port reads names, addresses and ids of the cluster; \
                       nobody can change anything.",
            }
        }
        of (Config);

    Log
        keys {
            /// "error", "warn", "info", "debug" or "trace"; --log-level wins.
            "level" level: LogLevel => level {
                takes: choice!(
                    LogLevel: "error" = Error, "warn" = Warn, "info" = Info, "debug" = Debug, "trace" = Trace
                ),
                default: "info", reload: Accept,
                cost: "debug shows every decision, at the price of disk; warn hides changes of role.",
            }
            /// "text" or "json", to standard error; --log-format wins.
            "format" format: LogFormat => format {
                takes: choice!(LogFormat: "text" = Text, "json" = Json), default: "text", reload: Accept,
                cost: "json suits collectors; text suits people.",
            }
        }
        of (settings::Log), build (log: &Log) {};

    Daemon
        keys {
            /// How often the doctor looks at everything by itself, for metrics and alerts (havipctl doctor shows it
            /// in words): 1m to 24h, or "0s" for never. It only reads; a few calls of the API each time.
            "doctor-interval" doctor_interval: Option<Duration> => doctor_interval {
                takes: span_or_off(), default: "1h", reload: Accept,
                cost: "Shorter finds a revoked permission or a changed VPC sooner, for some reading calls of the \
                       API each time.",
            }
            /// Every change of role is kept in the state directory, the newest ones, up to so much of the disk:
            /// {range}. The oldest go first, in steps of half of it. 16MiB hold some twenty thousand.
            "history-size" history_size: u64 => history_size {
                takes: size(1 << 20, 1 << 30), default: "16MiB", reload: Accept,
                cost: "More answers questions about moves of long ago; less leaves the disk to others. Lowered, the \
                       oldest are gone at once.",
            }
            /// Real-time priority (SCHED_FIFO) of the thread that keeps the heartbeats, and of no other, so that
            /// busy programs of this host cannot delay it: {range}, 0 for none. Needs the drop-in realtime.conf;
            /// without it a warning, and it runs as usual.
            "realtime-priority" realtime_priority: u8 => realtime_priority {
                takes: integer(0, 50), default: 0, reload: Restart,
                cost: "Heartbeats leave in time on a host that is too busy, which would look like a failure \
                       otherwise. What has such a priority could keep others waiting: the thread gives it up for a \
                       minute when it needs more than half of a processor for a second.",
            }
            /// Keeps all of the daemon in memory, so that swapping cannot delay it. Needs the same drop-in.
            "lock-memory" lock_memory: bool => lock_memory {
                takes: boolean(), default: false, reload: Restart,
                cost: "On a host that swaps, heartbeats are not late; some tens of megabytes are never given to \
                       others.",
            }
        }
        of (settings::Daemon), build (daemon: &Daemon) {};
}

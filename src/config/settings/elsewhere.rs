//! Elections that somebody else decides or keeps: keepalived and etcd.

use super::*;

/// The default of `etcd.prefix`: a file without `[etcd]` says no more than one that has nothing else of it.
const PREFIX: &str = "/havipd";

settings! {
    Keepalived
        keys {
            /// keepalived's vrrp_notify_fifo, which has to let us read it: vrrp_notify_fifo /run/keepalived.fifo
            /// havipd havipd
            "fifo" fifo: String {
                takes: path(), example: "/run/keepalived.fifo", reload: Accept,
                shown: |_, keepalived| file(keepalived.fifo.as_ref()),
                cost: "Cheaper than a program for each state, and in order by itself; what is written while neither \
                       havipd nor keepalived has it open is lost.",
            }
            /// keepalived's pid file: its death counts as STOP at once.
            "pid-file" pid_file: String {
                takes: path(), default: "/run/keepalived.pid", reload: Accept,
                shown: |_, keepalived| file(Some(&keepalived.pid_file)),
                cost: "The process that counts: keepalived_vrrp.pid also notices the end of its VRRP child alone, \
                       which keepalived replaces by itself.",
            }
        }
        of (settings::Keepalived);

    Etcd
        keys {
            /// The members' client URLs, 1 to 9, none of which needs to be reachable as long as one is.
            "endpoints" endpoints: Vec<At<Endpoint>> {
                takes: endpoints(), example: ["https://10.0.0.21:2379", "https://10.0.0.22:2379"], reload: Accept,
                shown: |_, config| list(config.etcd.iter().flat_map(|etcd| &etcd.endpoints)),
                cost: "With every member named, the loss of one costs nothing; each that does not answer costs \
                       request-timeout when it is tried.",
            }
            /// What the keys begin with by which havipd elects, in groups without "leader-key": PREFIX/CLUSTER/GROUP.
            "prefix" prefix: String {
                takes: key_prefix(), default: "/havipd", reload: Restart,
                shown: |_, config| text(config.etcd.as_ref().map_or(PREFIX, |etcd| &etcd.prefix)),
                cost: "One of its own lets a role of etcd permit these keys and no others; the same on every node.",
            }
            /// How long what etcd said counts, from when it was asked. A node that got no answer for this long does not lead
            /// any more. Whole seconds, {range}. Where havipd elects, the length of its leases, and so how long a crash
            /// takes; not shorter than the dead time. With "leader-key", not longer than what is left
            /// of the writer's own lease when it renews it (Patroni: ttl - loop_wait).
            "lease" lease: Duration {
                takes: seconds(s(2), m(5)), default: "10s", reload: Accept,
                shown: |_, config| maybe(config.etcd.as_ref().map(|etcd| show(etcd.lease))),
                cost: "Shorter lets go sooner where etcd cannot be read, and makes a short outage of etcd one of the \
                       HAVIP; longer rides it out, and may leave two nodes that both take themselves for the leader.",
            }
            /// One request to one endpoint, to the last byte of its answer: {range}. Not longer than a third of the lease.
            "request-timeout" request_timeout: Duration {
                takes: span(ms(50), s(100)), default: "1s", reload: Accept,
                shown: |_, config| maybe(config.etcd.as_ref().map(|etcd| show(etcd.request_timeout))),
                cost: "Shorter turns to the next endpoint sooner; too short fails on an etcd whose disk is slow.",
            }
            /// Certificates (PEM) that replace the system's.
            "ca-file" ca_file: String {
                takes: path(), example: "etcd-ca.pem", reload: Accept,
                shown: |_, config| file(config.etcd.as_ref().and_then(|etcd| etcd.ca_file.as_ref())),
                cost: "Only these certificates are trusted then: safer, until they expire.",
            }
            /// The certificate that this node shows etcd, and what follows it up to the CA (PEM).
            "cert-file" cert_file: String {
                takes: path(), example: "etcd-client.pem", reload: Accept,
                shown: |_, config| file(config.etcd.as_ref().and_then(|etcd| Some(&etcd.client.as_ref()?.cert_file))),
                cost: "For an etcd with client-cert-auth. Its JSON gateway does not take a user from a certificate's \
                       name: with auth enabled, user and password-file are needed as well.",
            }
            /// Its private key (PEM), which nobody but havipd may read: mode 0600, or 0640 and group havipd.
            "key-file" key_file: String {
                takes: path(), example: "etcd-client.key", reload: Accept,
                shown: |_, config| file(config.etcd.as_ref().and_then(|etcd| Some(&etcd.client.as_ref()?.key_file))),
                cost: "Read again after each failure to connect, so that a renewed one needs no reload.",
            }
            /// As whom to ask, where etcd has auth enabled. A role that may read leader-key is enough to follow it; to elect,
            /// one that may read and write what begins with prefix.
            "user" user: String {
                takes: phrase("the name of a user"), example: "havipd", reload: Accept,
                shown: |_, config| maybe(config.etcd.as_ref().and_then(|etcd| Some(&etcd.user.as_ref()?.0))),
                cost: "A user of its own can be taken away alone, and shows in etcd's logs.",
            }
            /// The file with the user's password, which nobody but havipd may read; a line break at its end does not count.
            "password-file" password_file: String {
                takes: path(), example: "etcd-password", reload: Accept,
                shown: |_, config| file(config.etcd.as_ref().and_then(|etcd| Some(&etcd.user.as_ref()?.1))),
                cost: "Over http:// every host on the way reads it.",
            }
        }
        of (Config);
}

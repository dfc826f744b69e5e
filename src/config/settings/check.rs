//! A check.

use super::*;

settings! {
    Check
        keys {
            /// Unique; 1 to 63 of a-z A-Z 0-9 - _ . Always needed.
            "name" name: CheckName {
                takes: name(), example: "web", reload: Accept,
                shown: |_, _| Value::InList,
                cost: "Logs, metrics and `havipctl why` call it so; another name is another check, and begins anew.",
            }
            /// A program and its arguments, each a string of its own; no shell. Exit code 0 is well.
            "script" script: Vec<String> {
                takes: program(), example: ["/usr/local/bin/is-well"], reload: Accept,
                shown: |_, check| looks_at(check, "script"),
                cost: "The most freedom, and the most that can go wrong; a program costs more than a connection.",
            }
            /// An address with a port that must accept a connection.
            "tcp" tcp: SocketAddr {
                takes: socket(), example: "127.0.0.1:5432", reload: Accept,
                shown: |_, check| looks_at(check, "tcp"),
                cost: "Cheap, and says only that somebody accepts.",
            }
            /// A URL that must answer, see "status" and "body".
            "http" http: String {
                takes: url(), example: "http://127.0.0.1/healthz", reload: Accept,
                shown: |_, check| looks_at(check, "http"),
                cost: "Says what the service says of itself; a page that depends on other services fails with them.",
            }
            /// The name of a process, as in /proc/PID/comm, one of which must live. Its end is noticed at once.
            "process" process: String {
                takes: phrase("the name of a process"), example: "nginx", reload: Accept,
                shown: |_, check| looks_at(check, "process"),
                cost: "Noticed at once; says nothing of whether it works. The unit hides processes of other users unless ProtectProc is default.",
            }
            /// A file with the number of a process that must live. Its end is noticed at once.
            "pidfile" pidfile: String {
                takes: path(), example: "/run/nginx.pid", reload: Accept,
                shown: |_, check| looks_at(check, "pidfile"),
                cost: "Noticed at once, whatever the process is called; a file that is not kept up names a stranger.",
            }
            /// A systemd unit that must be active.
            "unit" unit: String {
                takes: phrase("the name of a systemd unit like \"nginx.service\""), example: "nginx.service", reload: Accept,
                shown: |_, check| looks_at(check, "unit"),
                cost: "As systemd sees it; each run costs a systemctl.",
            }
            /// An interface that must be up, with carrier and an address.
            "link" link: String {
                takes: node_interface(), example: "eth0", reload: Accept,
                shown: |_, check| looks_at(check, "link"),
                cost: "Noticed at once; a virtual interface may stay up when the network behind it is gone.",
            }
            /// A file with a whole number: 0, nothing, or no file is well. With a weight it is multiplied by that.
            "file" file: String {
                takes: path(), example: "/run/havipd-demote", reload: Accept,
                shown: |_, check| looks_at(check, "file"),
                cost: "A switch for scripts and operators, taken as soon as the file changes.",
            }
            /// Addresses, 1 to 16 of them, "quorum" of which must answer an ICMP echo.
            "ping" ping: Vec<IpAddr> {
                takes: hosts(), example: ["10.0.0.1"], reload: Accept,
                shown: |_, check| looks_at(check, "ping"),
                cost: "Says something of the network; a gateway that drops echoes under load fails every node.",
            }
            /// Nodes that run it; without it, all. Elsewhere it counts as passing.
            "nodes" nodes: Membership {
                takes: membership(), example: ["a", "b"], reload: Accept,
                shown: |config, check| list(check.nodes.iter().flatten().map(|node| &config.node(*node).name)),
                cost: "For services that are not the same everywhere.",
            }
            /// From the beginning of one run to that of the next: 100ms to 1h. Not for process, pidfile, link and file.
            "interval" interval: Duration {
                takes: span(ms(100), h(1)), default: "1s", reload: Accept,
                shown: |_, check| span_text(check.interval),
                cost: "Shorter: noticed sooner, and more load on the service.",
            }
            /// A run that takes longer has failed, and is ended: 10ms to 1h. Without it, as long as interval, which is the most.
            "timeout" timeout: Duration {
                takes: span(ms(10), h(1)), example: "1s", reload: Accept,
                shown: |_, check| span_text(check.timeout),
                cost: "Shorter: a service that is slow under load counts as failed.",
            }
            /// So many failures in a row and it fails: 1 to 100.
            "fall" fall: u32 {
                takes: integer(1, 100), default: 3, reload: Accept,
                shown: |_, check| text(check.rule.fall),
                cost: "Higher: steadier, and later.",
            }
            /// So many good results in a row and it passes: 1 to 100.
            "rise" rise: u32 {
                takes: integer(1, 100), default: 2, reload: Accept,
                shown: |_, check| text(check.rule.rise),
                cost: "Higher: a service that comes and goes is kept away for longer.",
            }
            /// Instead of interval between a first failure and the verdict: 10ms to 1h. Without it, a quarter of interval, which is
            /// the most.
            "retry-interval" retry_interval: Duration {
                takes: span(ms(10), h(1)), example: "250ms", reload: Accept,
                shown: |_, check| span_text(check.retry_interval),
                cost: "Shorter: a failure is confirmed sooner, by more runs in less time.",
            }
            /// What it is before its first verdict: "unknown" (the node claims nothing, and keeps what it has), "up" or "down".
            "initial" initial: CheckState {
                takes: choice!(CheckState: "unknown" = Unknown, "up" = Up, "down" = Down), default: "unknown", reload: Accept,
                shown: |_, check| text(check.rule.initial.as_str()),
                cost: "up: a node that just started may claim before its service was looked at. down: a restart counts as a failure.",
            }
            /// Without it a node that fails is in fault. Otherwise, added to the priority while it passes (above 0) or while it fails
            /// (below 0): -253 to 253, not 0.
            "weight" weight: i16 {
                takes: integer(-253, 253), example: 20, reload: Accept,
                shown: |_, check| maybe(check.rule.weight),
                cost: "With one a failing node may still be active, if no better one is there; without one it never is while another is well.",
            }
            /// When it could not be run: "ignore" (it stays what it was) or "fail".
            "on-error" on_error: &'static str {
                takes: word(&["ignore", "fail"]), default: "ignore", reload: Accept,
                shown: |_, check| text(if check.rule.error_fails { "fail" } else { "ignore" }),
                cost: "fail: a check that cannot be run, on every node at once, takes every node out.",
            }
            /// For http: the status, or the range of statuses, that is well.
            "status" status: (u16, u16) {
                takes: statuses(), default: "200-399", reload: Accept,
                shown: |_, check| of_http(check, |http| text(format!("{}-{}", http.status.0, http.status.1))),
                cost: "A redirect counts as well unless this says otherwise.",
            }
            /// For http: a text that must be in the first 64 KiB of the body.
            "body" body: String {
                takes: phrase("a text"), example: "ok", reload: Accept,
                shown: |_, check| of_http(check, |http| maybe(http.body.as_ref())),
                cost: "Catches a server that answers 200 for an error page.",
            }
            /// For http: the name of the host to ask for, in the request and in TLS; the connection goes where the URL says.
            "host" host: String {
                takes: host_name(), example: "www.example.com", reload: Accept,
                shown: |_, check| of_http(check, |http| maybe(http.host.as_ref())),
                cost: "Needed where one server has several sites, and for TLS by name.",
            }
            /// For http: more headers; "host" has its own key, and those of the connection are havipd's. Their values are not logged;
            /// anybody who reads this file sees them.
            "headers" headers: BTreeMap<String, String> {
                takes: headers(), example: { Accept = "text/plain" }, reload: Accept,
                shown: |_, check| of_http(check, |http| Value::Headers(http.headers.clone())),
                cost: "What is secret belongs elsewhere: this file may be readable.",
            }
            /// For https: whether the certificate is checked.
            "tls-verify" tls_verify: bool {
                takes: boolean(), default: true, reload: Accept,
                shown: |_, check| of_http(check, |http| text(http.tls_verify)),
                cost: "false: anything that answers on that address is believed.",
            }
            /// For https: certificates (PEM) that replace the system's.
            "ca-file" ca_file: String {
                takes: path(), example: "ca.pem", reload: Accept,
                shown: |_, check| of_http(check, |http| file(http.ca_file.as_ref())),
                cost: "A certificate that expires there fails the check.",
            }
            /// For https: the certificate (PEM) that is shown to a server that asks for one, with those between it and the root
            /// that the server knows. It needs key-file.
            "cert-file" cert_file: String {
                takes: path(), example: "client.pem", reload: Accept,
                shown: |_, check| of_http(check, |http| file(http.client.as_ref().map(|client| &client.cert_file))),
                cost: "A certificate that expires fails the check, on every node that shows it.",
            }
            /// For https: the private key (PEM) of cert-file: mode 0600, or 0640 and group havipd.
            "key-file" key_file: String {
                takes: path(), example: "client.key", reload: Accept,
                shown: |_, check| of_http(check, |http| file(http.client.as_ref().map(|client| &client.key_file))),
                cost: "Anybody who reads it can speak as this node to that server.",
            }
            /// For ping: how many of the targets must answer, 1 to 16.
            "quorum" quorum: usize {
                takes: integer(1, 16), default: 1, reload: Accept,
                shown: |_, check| quorum_of(check),
                cost: "Higher: fewer targets may be silent before the node fails.",
            }
        }
        of (settings::Check);
}

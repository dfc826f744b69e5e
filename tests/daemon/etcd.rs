//! A leader key in a real etcd: whom it names, who lets go when it cannot be read, and what is said of it.

use crate::lab::{Daemon, Lab, Options};
use crate::wait::wait_for;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair,
};
use serde_json::{Value, json};
use std::fs::Permissions;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const KEY: &str = "/service/pg/leader";
/// Short, so that a test need not wait long until a read does not count any more.
const FAST: &str = "lease = \"6s\"\nrequest-timeout = \"2s\"\n";

fn program() -> PathBuf {
    // As tests/run looks for it.
    let unpacked = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/etcd/usr/bin/etcd");
    if unpacked.exists() { unpacked } else { PathBuf::from("etcd") }
}

/// A member of etcd, the only one unless a test wants more; killed when dropped.
pub(crate) struct Etcd {
    child: Child,
    directory: PathBuf,
    address: Ipv4Addr,
    /// Whom it knows: name and address.
    members: Vec<(String, Ipv4Addr)>,
    /// Arguments beyond the usual.
    more: Vec<String>,
    /// What a client of it needs to trust, and to show.
    tls: Option<Tls>,
    token: Option<String>,
}

impl Etcd {
    pub(crate) fn start(lab: &Lab, tls: Option<Tls>) -> Self {
        Self::start_with(lab, tls, &[])
    }

    /// With arguments beyond the usual.
    pub(crate) fn start_with(lab: &Lab, tls: Option<Tls>, more: &[&str]) -> Self {
        let members = vec![("default".to_owned(), lab.address(20))];
        let etcd = Self::member(lab, &members, 0, tls, more);
        etcd.wait_until_it_answers();
        etcd
    }

    /// Three members of one cluster.
    pub(crate) fn three(lab: &Lab) -> [Self; 3] {
        let members: Vec<_> = (0..3).map(|i| (format!("m{i}"), lab.address(20 + i))).collect();
        let all = [0, 1, 2].map(|i| Self::member(lab, &members, i, None, &[]));
        all.iter().for_each(Self::wait_until_it_answers);
        all
    }

    fn member(lab: &Lab, members: &[(String, Ipv4Addr)], which: usize, tls: Option<Tls>, more: &[&str]) -> Self {
        let (name, address) = &members[which];
        let (directory, more) = (lab.dir.path().join(format!("etcd-{name}")), more.iter().map(|m| (*m).to_owned()));
        let (more, address, members) = (more.collect::<Vec<_>>(), *address, members.to_vec());
        let child = Self::spawn(&directory, address, &members, &more, tls.as_ref());
        Self { child, directory, address, members, more, tls, token: None }
    }

    fn spawn(
        directory: &Path,
        address: Ipv4Addr,
        members: &[(String, Ipv4Addr)],
        more: &[String],
        tls: Option<&Tls>,
    ) -> Child {
        let scheme = if tls.is_some() { "https" } else { "http" };
        let peer = |address: &Ipv4Addr| format!("http://{address}:2380");
        let (clients, peers) = (format!("{scheme}://{address}:2379"), peer(&address));
        let name = members.iter().find(|(_, is)| *is == address).map_or("default", |(name, _)| name);
        let all: Vec<String> = members.iter().map(|(name, address)| format!("{name}={}", peer(address))).collect();
        let mut command = Command::new(program());
        command.env_clear().arg("--data-dir").arg(directory).args(["--logger", "zap", "--log-outputs", "stderr"]);
        // Passwords are not what is tried here.
        command.args(["--bcrypt-cost", "4"]);
        command.args(["--listen-client-urls", &clients, "--advertise-client-urls", &clients]);
        command.args(["--listen-peer-urls", &peers, "--initial-advertise-peer-urls", &peers]);
        command.args(["--name", name, "--initial-cluster", &all.join(",")]).args(more);
        if let Some(tls) = tls {
            let file = |name: &str| tls.directory.join(name);
            command.arg("--trusted-ca-file").arg(file("ca.pem")).arg("--client-cert-auth");
            command.arg("--cert-file").arg(file("server.pem")).arg("--key-file").arg(file("server.key"));
        }
        let log = std::fs::OpenOptions::new().create(true).append(true).open(directory.with_extension("log")).unwrap();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        command.spawn().expect("etcd is there: tests/run fetches it into target/etcd")
    }

    pub(crate) fn wait_until_it_answers(&self) {
        // Which needs no token, and is said when there is a leader.
        wait_for("etcd answers", || self.send(|client| client.get(format!("{}/health", self.endpoint()))));
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("{}://{}:2379", if self.tls.is_some() { "https" } else { "http" }, self.address)
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(self.child.id() as i32).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn restart(&mut self) {
        self.child = Self::spawn(&self.directory, self.address, &self.members, &self.more, self.tls.as_ref());
        self.wait_until_it_answers();
    }

    /// Whether it leads the other members.
    pub(crate) fn leads(&self) -> bool {
        let status = self.ask("/v3/maintenance/status", &json!({}));
        status.is_some_and(|status| status["leader"] == status["header"]["member_id"])
    }

    /// Asks, as an administrator would; `None` where there is no answer, or a refusal.
    pub(crate) fn ask(&self, path: &str, question: &Value) -> Option<Value> {
        self.send(|client| {
            let request = client.post(format!("{}{path}", self.endpoint())).json(question);
            match &self.token {
                Some(token) => request.header("Authorization", token),
                None => request,
            }
        })
    }

    /// Its page of metrics.
    pub(crate) fn metrics(&self) -> Option<String> {
        let page = self.fetch(|client| client.get(format!("{}/metrics", self.endpoint())))?;
        String::from_utf8(page).ok()
    }

    fn send(&self, request: impl Fn(&reqwest::Client) -> reqwest::RequestBuilder) -> Option<Value> {
        serde_json::from_slice(&self.fetch(request)?).ok()
    }

    fn fetch(&self, request: impl Fn(&reqwest::Client) -> reqwest::RequestBuilder) -> Option<Vec<u8>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut builder = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5));
            builder = match &self.tls {
                Some(tls) => tls.client(builder),
                None => builder.tls_certs_only([]),
            };
            let response = request(&builder.build().unwrap()).send().await.ok()?;
            if response.status().is_success() { response.bytes().await.ok().map(Vec::from) } else { None }
        })
    }

    #[track_caller]
    pub(crate) fn must(&self, path: &str, question: Value) -> Value {
        self.ask(path, &question).unwrap_or_else(|| panic!("{path} {question} is refused"))
    }

    fn put(&self, value: &str) -> u64 {
        let answer = self.must("/v3/kv/put", json!({"key": encode(KEY), "value": encode(value)}));
        answer["header"]["revision"].as_str().unwrap().parse().unwrap()
    }

    fn delete(&self) {
        self.must("/v3/kv/deleterange", json!({"key": encode(KEY)}));
    }

    /// Auth with an administrator, and the user `havipd`, whose role may read nothing yet.
    pub(crate) fn enable_auth(&mut self) {
        for (name, password) in [("root", "root"), ("havipd", "right")] {
            self.must("/v3/auth/user/add", json!({"name": name, "password": password}));
            self.must("/v3/auth/role/add", json!({"name": name}));
            self.must("/v3/auth/user/grant", json!({"user": name, "role": name}));
        }
        self.must("/v3/auth/enable", json!({}));
        let answer = self.must("/v3/auth/authenticate", json!({"name": "root", "password": "root"}));
        self.token = answer["token"].as_str().map(str::to_owned);
    }

    fn permit(&self) {
        let perm = json!({"permType": "READ", "key": encode(KEY)});
        self.must("/v3/auth/role/grant", json!({"name": "havipd", "perm": perm}));
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn encode(text: &str) -> String {
    BASE64_STANDARD.encode(text)
}

/// A CA, a server's certificate and a client's, in files.
pub(crate) struct Tls {
    directory: PathBuf,
}

impl Tls {
    pub(crate) fn new(directory: &Path, address: Ipv4Addr) -> Self {
        let write = |name: &str, text: String| {
            let path = directory.join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
        };
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        write("ca.pem", ca.pem());
        // etcd takes no common name with a user.
        for name in ["server", "client", "named"] {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::new(vec![address.to_string()]).unwrap();
            params.distinguished_name = DistinguishedName::new();
            if name == "named" {
                params.distinguished_name.push(DnType::CommonName, "havipd");
            }
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
            write(&format!("{name}.pem"), params.signed_by(&key, &ca).unwrap().pem());
            write(&format!("{name}.key"), key.serialize_pem());
        }
        Self { directory: directory.to_owned() }
    }

    fn client(&self, builder: reqwest::ClientBuilder) -> reqwest::ClientBuilder {
        let read = |name: &str| std::fs::read(self.directory.join(name)).unwrap();
        let roots = reqwest::Certificate::from_pem_bundle(&read("ca.pem")).unwrap();
        let identity = reqwest::Identity::from_pem(&[read("client.pem"), read("client.key")].concat()).unwrap();
        builder.tls_certs_only(roots).identity(identity)
    }
}

/// A lab whose group follows the key, and its etcd; `more` stands in `[etcd]`.
fn lab(more: &str, tls: bool) -> (Lab, Etcd) {
    let group = format!("arbiter = \"etcd\"\nleader-key = \"{KEY}\"\nleader-value = {{ b = \"pg-b\" }}\n");
    let mut lab = Lab::new(Options { group, ..Options::default() });
    let tls = tls.then(|| Tls::new(lab.dir.path(), lab.address(20)));
    let etcd = Etcd::start(&lab, tls);
    // The first endpoint is one where nobody answers.
    let nobody = format!("{}://{}:2379", if etcd.tls.is_some() { "https" } else { "http" }, lab.address(21));
    lab.options.tables = format!("[etcd]\nendpoints = [{nobody:?}, {:?}]\n{more}", etcd.endpoint());
    lab.write_config();
    (lab, etcd)
}

fn key(daemon: &Daemon) -> Value {
    daemon.group()["leader_key"].take()
}

/// What `havipctl` prints.
pub(crate) fn says(lab: &Lab, arguments: &[&str]) -> String {
    let output = lab.ctl(0, arguments);
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn the_havip_follows_the_key_and_lets_go_when_etcd_is_silent() {
    let (lab, mut etcd) = lab(FAST, false);
    etcd.put("a");
    let (a, b) = (lab.start(0), lab.start(1));
    a.wait_role("active");
    b.wait_for("knows whom it names", |s| s["groups"][0]["leader_key"]["value"] == "a");

    // Written again by its owner: no decision, and no move.
    let revision = etcd.put("a");
    a.wait_for("has read it", |s| s["groups"][0]["leader_key"]["revision"].as_u64() >= Some(revision));
    assert_eq!(a.group()["role"], "active");

    // Overwritten by hand, to the value that is b's.
    etcd.put("pg-b");
    b.wait_role("active");
    // It reads the key itself, or hears of b's claim first.
    let status = a.wait_role("backup");
    assert!(["vrrp-backup", "higher-epoch"].map(Value::from).contains(&status["groups"][0]["cause"]), "{status}");
    a.wait_for("has read it", |s| s["groups"][0]["leader_key"]["value"] == "pg-b");
    assert!(
        says(&lab, &["why", "web"]).contains("etcd's /service/pg/leader names pg-b"),
        "{}",
        says(&lab, &["why", "web"])
    );
    wait_for("the cloud names b", || lab.holder().filter(|h| h == "i-b"));

    // Gone: nobody leads.
    etcd.delete();
    b.wait_role("backup");
    assert_eq!(key(&b)["text"], "etcd has no key /service/pg/leader, so nobody leads");
    etcd.put("a");
    a.wait_role("active");

    // Compacted, and the watch cut off: what is read next counts.
    let newest = etcd.put("a");
    etcd.must("/v3/kv/compaction", json!({"revision": newest.to_string()}));
    etcd.kill();
    etcd.restart();
    etcd.put("pg-b");
    b.wait_role("active");
    etcd.put("a");
    a.wait_role("active");

    // It hangs: a lease after the last read that was sent, the right to it is over.
    etcd.signal(rustix::process::Signal::STOP);
    let status = a.wait_role("fault");
    assert_eq!(status["groups"][0]["cause"], "vrrp-fault");
    let said = says(&lab, &["why", "web"]);
    assert!(said.contains("etcd has not confirmed /service/pg/leader"), "{said}");
    let doctor = says(&lab, &["doctor"]);
    assert!(doctor.contains("no whole answer within 2s"), "{doctor}");
    etcd.signal(rustix::process::Signal::CONT);
    a.wait_role("active");

    // It dies, and comes back.
    etcd.kill();
    a.wait_role("fault");
    etcd.restart();
    a.wait_role("active");
    let doctor = says(&lab, &["doctor"]);
    assert!(doctor.contains("/service/pg/leader names a"), "{doctor}");
    let status = says(&lab, &["status"]);
    assert!(status.contains(&format!("etcd's {KEY} names a, this node, read ")), "{status}");
    assert!(status.contains(&etcd.endpoint()), "{status}");
    let refused = says(&lab, &["switchover", "web"]);
    assert!(refused.contains("the program that writes etcd's /service/pg/leader elects for web"), "{refused}");
}

#[test]
fn who_may_not_read_is_told_so_and_recovers_without_a_restart() {
    let (lab, mut etcd) = lab(&format!("{FAST}user = \"havipd\"\npassword-file = \"password\"\n"), false);
    let password = lab.dir.path().join("password");
    let write = |text: &str, mode: u32| {
        std::fs::write(&password, text).unwrap();
        std::fs::set_permissions(&password, Permissions::from_mode(mode)).unwrap();
    };
    write("wrong-and-secret\n", 0o644);
    let output = lab.command(0).arg("--check-config").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("everybody can read it"), "{said}");

    write("wrong-and-secret\n", 0o600);
    etcd.put("a");
    // Before auth is enabled, a user is no obstacle.
    let a = lab.start(0);
    a.wait_role("active");
    etcd.enable_auth();
    let trouble = |daemon: &Daemon, part: &str| {
        let part = part.to_owned();
        daemon.wait_for(&part, |s| s["groups"][0]["leader_key"]["trouble"].as_str().is_some_and(|t| t.contains(&part)));
    };
    trouble(&a, "etcd knows no user \"havipd\" with that password");
    a.wait_role("fault");
    write("right\n", 0o600);
    trouble(&a, "etcd does not permit \"havipd\" to read /service/pg/leader");
    etcd.permit();
    a.wait_role("active");
    // A member that starts again knows no token of before.
    etcd.kill();
    etcd.restart();
    a.wait_for("reads with a new token", |s| s["groups"][0]["leader_key"]["trouble"].is_null());
    a.wait_role("active");
    assert!(!a.log().contains("wrong-and-secret"), "a password in the log");
}

#[test]
fn etcd_is_read_over_mutual_tls() {
    let files = "ca-file = \"ca.pem\"\ncert-file = \"client.pem\"\nkey-file = \"client.key\"\n";
    let (lab, etcd) = lab(&format!("{FAST}{files}"), true);
    etcd.put("a");
    let a = lab.start(0);
    a.wait_role("active");
    let doctor = says(&lab, &["doctor"]);
    assert!(doctor.contains("client.pem") && doctor.contains("ca.pem"), "{doctor}");
    let other = Tls::new(&lab.home(0), lab.address(20));
    let without = lab.text().replace(files, &format!("ca-file = {:?}\n", other.directory.join("ca.pem")));
    std::fs::write(lab.config_path(), without).unwrap();
    assert!(lab.ctl(0, &["reload"]).status.success());
    a.wait_for("does not trust it", |s| s["groups"][0]["leader_key"]["trouble"].is_string());
    a.wait_role("fault");
    lab.write_config();
    assert!(lab.ctl(0, &["reload"]).status.success());
    a.wait_role("active");
}

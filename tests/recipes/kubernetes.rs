//! docs/recipes/kubernetes.md.

use crate::clock::wait;
use crate::fabric::HAVIPS;
use crate::host::{Host, PATIENCE};
use crate::network::NODES;
use crate::page::Page;
use crate::{Lab, page};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

const NAMES: [&str; 3] = ["cp1", "cp2", "cp3"];
/// How long a connection, and each part of an answer, may take.
const ANSWER: Duration = Duration::from_secs(2);
/// Stands in for kube-apiserver.
const PROGRAM: &str = include_str!("apiserver.py");

pub(crate) fn play(root: &Path) -> Result<(), String> {
    let lab = Lab::new("kubernetes", root, NAMES, &["/etc/kubernetes"])?;
    let page = page("kubernetes", &[]);
    for host in &lab.hosts {
        host.install(&page, &["/etc/havipd", "/etc/kubernetes"]);
        host.write("/etc/kubernetes/apiserver.py", PROGRAM, 0o755);
        kubeadm(&lab, host, &page)?;
        api(host)?;
        host.run(&page.commands("the certificate that havipd shows"))?;
        host.start_havipd()?;
    }
    events(&lab, &page).map_err(|why| {
        let said = lab.hosts.iter().map(|h| format!("\n-- API of {}\n{}", h.name, h.said("apiserver")));
        lab.story(&format!("{why}{}", said.collect::<String>()))
    })
}

/// The certificates that kubeadm makes: a CA for all, and one of kube-apiserver with kubeadm's names and those of the page.
fn kubeadm(lab: &Lab, host: &Host, page: &Page) -> Result<(), String> {
    let pki = "/etc/kubernetes/pki";
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    let first = &lab.hosts[0];
    if host.name == first.name {
        host.run(&format!(
            "mkdir -p {pki}; openssl req -x509 {key} -days 30 -subj /CN=kubernetes -keyout {pki}/ca.key -out {pki}/ca.crt 2>&1"
        ))?;
    } else {
        for (file, mode) in [("ca.crt", 0o644), ("ca.key", 0o600)] {
            host.write(&format!("{pki}/{file}"), &first.run(&format!("cat {pki}/{file}"))?, mode);
        }
    }
    let yaml = page.files().into_iter().find(|f| f.path.ends_with("kubeadm.yaml")).expect("the page has it").text;
    let endpoint = yaml.lines().find_map(|l| l.strip_prefix("controlPlaneEndpoint: ")).expect("an endpoint");
    let endpoint = endpoint.trim_matches('"').split(':').next().expect("a name");
    let own =
        yaml.lines().filter_map(|l| l.trim().strip_prefix("- ")).map(|name| format!("IP:{}", name.trim_matches('"')));
    let usual =
        ["kubernetes", "kubernetes.default", "kubernetes.default.svc", host.name, endpoint].map(|n| format!("DNS:{n}"));
    let addresses = ["10.96.0.1".to_owned(), host.node.address().to_string()].map(|a| format!("IP:{a}"));
    let names: Vec<String> = usual.into_iter().chain(addresses).chain(own).collect();
    let names = names.join(",");
    host.run(&format!(
        "openssl req -new {key} -subj /CN=kube-apiserver -keyout {pki}/apiserver.key -out /run/api.csr 2>&1
         printf 'subjectAltName=%s\\nextendedKeyUsage=serverAuth\\n' {names} >/run/api.ext
         openssl x509 -req -in /run/api.csr -days 30 -extfile /run/api.ext -CAcreateserial \
             -CA {pki}/ca.crt -CAkey {pki}/ca.key -out {pki}/apiserver.crt 2>&1"
    ))
    .map(drop)
}

fn api(host: &Host) -> Result<(), String> {
    host.start("apiserver", &["python3", "/etc/kubernetes/apiserver.py", "/etc/kubernetes/pki"])
}

/// A client outside, with the certificate of that host.
fn client(host: &Host, shows: bool) -> Result<Arc<ClientConfig>, String> {
    let read = |path: &str| host.run(&format!("cat {path}"));
    let mut roots = RootCertStore::empty();
    let ca =
        CertificateDer::from_pem_slice(read("/etc/kubernetes/pki/ca.crt")?.as_bytes()).map_err(|e| e.to_string())?;
    roots.add(ca).map_err(|e| e.to_string())?;
    let config =
        ClientConfig::builder_with_provider(Arc::new(default_provider())).with_safe_default_protocol_versions();
    let config = config.map_err(|e| e.to_string())?.with_root_certificates(roots);
    if !shows {
        return Ok(Arc::new(config.with_no_client_auth()));
    }
    let certificate = read("/etc/havipd/readyz.crt")?;
    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).map_err(|e| e.to_string())?;
    let key = PrivateKeyDer::from_pem_slice(read("/etc/havipd/readyz.key")?.as_bytes()).map_err(|e| e.to_string())?;
    config.with_client_auth_cert(vec![certificate], key).map(Arc::new).map_err(|e| e.to_string())
}

/// What the HAVIP answers to somebody outside who asks for it by its address.
fn ask(lab: &Lab, config: &Arc<ClientConfig>) -> Result<String, String> {
    let havip = IpAddr::V4(HAVIPS[0].address());
    let said = |e: std::io::Error| format!("the HAVIP: {e}");
    let connect = || TcpStream::connect_timeout(&SocketAddr::new(havip, 6443), ANSWER);
    let stream = lab.network.client.inside(connect).map_err(said)?;
    stream.set_read_timeout(Some(ANSWER)).map_err(said)?;
    let tls = ClientConnection::new(Arc::clone(config), ServerName::from(havip)).map_err(|e| e.to_string())?;
    let mut stream = StreamOwned::new(tls, stream);
    let request = format!("GET /readyz?verbose HTTP/1.1\r\nHost: {havip}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(said)?;
    let mut answer = String::new();
    match stream.read_to_string(&mut answer) {
        // It closes without a word.
        Err(e) if answer.is_empty() || e.kind() != std::io::ErrorKind::UnexpectedEof => Err(said(e)),
        _ => Ok(answer),
    }
}

fn answers(lab: &Lab, config: &Arc<ClientConfig>, status: &str, text: &str) -> Result<(), String> {
    wait(&format!("the HAVIP answers {status}"), PATIENCE, || {
        let answer = ask(lab, config)?;
        let right = answer.split(' ').nth(1) == Some(status) && answer.contains(text);
        if right { Ok(()) } else { Err(format!("it answers {answer:?}")) }
    })
}

fn events(lab: &Lab, page: &Page) -> Result<(), String> {
    let first = moved(lab, &[0, 1, 2])?;
    let config = client(&lab.hosts[first], true)?;
    answers(lab, &config, "200", "[+]etcd ok\n")?;
    answers(lab, &client(&lab.hosts[first], false)?, "401", "Unauthorized")?;
    let others: Vec<usize> = (0..NODES.len()).filter(|i| *i != first).collect();

    // Without the certificate of step 3 a node is not well, and says why.
    let file = page.files().into_iter().find(|f| f.path.ends_with("havipd.toml")).expect("the page has it");
    let shows_none: String =
        file.text.lines().filter(|l| !l.contains("readyz.")).map(|line| format!("{line}\n")).collect();
    let without = &lab.hosts[others[0]];
    without.write(&file.path, &shows_none, 0o644);
    without.ctl("reload")?;
    is(lab, others[0], "fault")?;
    let why = without.ctl("why api")?;
    if !why.contains("status 401") {
        return Err(format!("it does not say why: {why}"));
    }
    without.write(&file.path, &file.text, 0o644);
    without.ctl("reload")?;
    for other in &others {
        is(lab, *other, "backup")?;
    }

    // It dies.
    lab.hosts[first].run("kill -KILL $(cat /run/apiserver.pid)")?;
    let second = moved(lab, &others)?;
    answers(lab, &config, "200", "readyz check passed")?;
    api(&lab.hosts[first])?;
    is(lab, first, "backup")?;

    // It is told to end, says so, and serves on until the address has moved.
    lab.hosts[second].run("echo shutdown >/run/unready")?;
    let rest: Vec<usize> = (0..NODES.len()).filter(|i| *i != second).collect();
    let third = moved(lab, &rest)?;
    answers(lab, &config, "200", "readyz check passed")?;
    lab.hosts[second].run("rm /run/unready")?;
    is(lab, second, "backup")?;

    // It stands still.
    lab.hosts[third].run("kill -STOP $(cat /run/apiserver.pid)")?;
    let rest: Vec<usize> = (0..NODES.len()).filter(|i| *i != third).collect();
    let fourth = moved(lab, &rest)?;
    answers(lab, &config, "200", "readyz check passed")?;
    lab.hosts[third].run("kill -CONT $(cat /run/apiserver.pid)")?;
    is(lab, third, "backup")?;

    // None reaches etcd, and the active one notices it last: the address stays, and tells.
    for other in (0..NODES.len()).filter(|i| *i != fourth) {
        lab.hosts[other].run("echo etcd >/run/unready")?;
        is(lab, other, "fault")?;
    }
    lab.hosts[fourth].run("echo etcd >/run/unready")?;
    wait("the check of the active one fails", PATIENCE, || {
        let why = lab.hosts[fourth].ctl("why api")?;
        if why.contains("readyz fails") { Ok(()) } else { Err(why) }
    })?;
    lab.settle(fourth)?;
    answers(lab, &config, "500", "[-]etcd failed")
}

/// Waits until the address is on one of these.
fn moved(lab: &Lab, to: &[usize]) -> Result<usize, String> {
    let now = wait("one of them is active", PATIENCE, || {
        let is = |i: &usize| lab.hosts[*i].group().is_ok_and(|group| group["role"] == "active");
        to.iter().copied().find(is).ok_or_else(|| "none is".to_owned())
    })?;
    lab.settle(now)?;
    Ok(now)
}

fn is(lab: &Lab, host: usize, role: &str) -> Result<(), String> {
    let host = &lab.hosts[host];
    wait(&format!("{} is {role}", host.name), PATIENCE, || match &host.group()?["role"] {
        found if found == role => Ok(()),
        found => Err(format!("it is {found}")),
    })
}

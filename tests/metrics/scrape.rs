//! One client of a listener, as plain as HTTP allows.

use crate::lab::{Lab, Options};
use crate::wait::{PATIENCE, wait_for};
use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

/// Where the nodes of a lab may serve metrics, in its own network.
pub(crate) fn place(lab: &Lab, node: usize) -> SocketAddr {
    (lab.address(node), 11201).into()
}

/// A cluster whose nodes serve metrics at that address: both want to, so the first to start does.
pub(crate) fn lab(options: Options) -> (SocketAddr, Lab) {
    let mut lab = Lab::new(options);
    let listen = place(&lab, 0);
    lab.options.metrics = Some(listen.to_string());
    lab.write_config();
    (listen, lab)
}

/// Sends `request` and gives the whole answer; `None` if the other side hung up on it.
pub(crate) fn exchange(at: SocketAddr, request: &[u8]) -> Option<String> {
    let mut stream = TcpStream::connect(at).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // Refused before it was read: the answer, if any, still comes.
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    (!answer.is_empty()).then(|| String::from_utf8(answer).unwrap())
}

/// Status and body of a page.
pub(crate) fn get(at: SocketAddr, path: &str) -> Option<(u16, String)> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: havipd\r\nConnection: close\r\n\r\n");
    let answer = exchange(at, request.as_bytes())?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

/// The metrics, once `fact` holds for them.
pub(crate) fn wait_page(at: SocketAddr, what: &str, fact: impl Fn(&str) -> bool) -> String {
    let page = || get(at, "/metrics").filter(|(status, page)| *status == 200 && fact(page)).map(|(_, page)| page);
    wait_for(what, page)
}

/// Names of the series of a page, by their TYPE lines.
pub(crate) fn names(page: &str) -> BTreeSet<String> {
    page.lines().filter_map(|l| l.strip_prefix("# TYPE ")?.split(' ').next().map(str::to_owned)).collect()
}

/// The value of one sample, labels and all.
pub(crate) fn value(page: &str, sample: &str) -> Option<f64> {
    page.lines().find_map(|l| l.strip_prefix(sample)?.strip_prefix(' ')?.parse().ok())
}

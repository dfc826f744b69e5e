//! The endpoint's name: an outage of DNS, or of the metadata service that tells the region.

use crate::server::{HAVIP, Server, Step, answer};
use crate::{Lab, attach, havip, soon};
use havipd::cloud::client::Client;
use havipd::cloud::client::dns::{LookedUp, Lookup, Resolver};
use havipd_core::model::cloud::{CallClass, ErrorClass};
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

/// Notes every name; answers with loopback until `good` answers have been given.
#[derive(Clone)]
struct Names {
    asked: Arc<Mutex<Vec<String>>>,
    good: usize,
}

impl Names {
    fn new(good: usize) -> Self {
        Self { asked: Arc::default(), good }
    }
}

impl Lookup for Names {
    fn lookup(&self, host: String) -> LookedUp {
        let mut asked = self.asked.lock().expect("no panic while held");
        asked.push(host);
        let good = asked.len() <= self.good;
        let answer = if good { Ok(vec![IpAddr::from([127, 0, 0, 1])]) } else { Err(io::Error::other("no servers")) };
        Box::pin(std::future::ready(answer))
    }
}

#[tokio::test(flavor = "current_thread")]
async fn calls_go_on_when_dns_fails_after_a_first_success() {
    let server = Server::start(vec![Step::SendAndClose(answer(200, &[], HAVIP))]).await;
    let lab = Lab::new(&format!("http://cloud.example:{}", server.address.port()));
    let names = Names::new(1);
    let client = Client::with_resolver(&lab.cloud, Resolver::new(names.clone())).expect("a client");
    client.havip(&havip(), CallClass::Claim, soon()).await.expect("resolved");
    // Each answer closes the connection, so each of these needs the name again.
    client.keep_warm(soon()).await.expect("warm");
    for _ in 0..3 {
        attach(&client).await.expect("from memory");
    }
    assert_eq!(server.seen().connections, 5);
    let asked = names.asked.lock().expect("no panic while held").clone();
    assert_eq!(asked, ["cloud.example", "cloud.example"], "keep_warm asked once more, and failed");
    let host = format!("cloud.example:{}", server.address.port());
    assert_eq!(server.requests()[0].header("host"), Some(host.as_str()));
}

#[tokio::test(flavor = "current_thread")]
async fn a_name_that_was_never_resolved_is_not_sent() {
    let lab = Lab::new("http://cloud.example:1");
    let client = Client::with_resolver(&lab.cloud, Resolver::new(Names::new(0))).expect("a client");
    let error = attach(&client).await.expect_err("no name");
    assert_eq!(error.class, ErrorClass::Retry);
    assert!(error.detail.contains("cannot resolve cloud.example: no servers"), "{error}");
}

#[tokio::test(flavor = "current_thread")]
async fn the_region_comes_from_the_metadata_service_once_it_answers() {
    let steps = vec![Step::Send(answer(503, &[], "")), Step::Send(answer(200, &[], "gz\n"))];
    let metadata = Server::start(steps).await;
    let mut lab = Lab::new("");
    lab.cloud.endpoint = None;
    lab.cloud.metadata_endpoint = metadata.url();
    lab.cloud.ca_file = Some(crate::tls::Authority::new().write(&lab.dir));
    let names = Names::new(0);
    let client = Client::with_resolver(&lab.cloud, Resolver::new(names.clone())).expect("a client");
    let error = client.havip(&havip(), CallClass::Claim, soon()).await.expect_err("no region");
    assert!(error.detail.starts_with("not sent: region unknown: metadata service: "), "{error}");
    assert!(error.detail.ends_with("status 503; set cloud.region or cloud.endpoint"), "{error}");
    client.havip(&havip(), CallClass::Claim, soon()).await.expect_err("no name");
    assert_eq!(names.asked.lock().expect("no panic while held")[0], "bcc.gz.baidubce.com");
    assert_eq!(metadata.requests()[1].target, "/1.0/meta-data/region");
}

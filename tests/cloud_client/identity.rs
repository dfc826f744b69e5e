//! What the metadata service says, and what a node makes of it.

use crate::server::{Server, Step, answer};
use crate::{Lab, soon};
use havipd::cloud::client::{Client, DiscoveryError};
use havipd::cloud::metadata::{Metadata, MetadataError};

fn text(body: &str) -> Step {
    Step::Send(answer(200, &[], body))
}

fn client(api: &str, metadata: &Server) -> Client {
    let mut lab = Lab::new(api);
    lab.cloud.metadata_endpoint = metadata.url();
    let client = lab.client();
    // The credentials are read on the first call: the directory must outlive this function.
    let _kept = lab.dir.keep();
    client
}

#[tokio::test(flavor = "current_thread")]
async fn values_are_read_trimmed_and_checked() {
    let steps = ["i-syGfPUYO\n", "vpc-1", "bj", "FA:16:3e:00:00:01/\nfa:16:3e:00:00:02/\n", "", "uuid", "a b"];
    let server = Server::start(steps.into_iter().map(text).collect()).await;
    let metadata = Metadata::new(&server.url()).expect("plain HTTP");
    assert_eq!(metadata.instance().await.map(|i| i.to_string()), Ok("i-syGfPUYO".to_owned()));
    assert_eq!(metadata.vpc().await, Ok("vpc-1".to_owned()));
    assert_eq!(metadata.region().await, Ok("bj".to_owned()));
    assert_eq!(metadata.macs().await, Ok(vec!["fa:16:3e:00:00:01".to_owned(), "fa:16:3e:00:00:02".to_owned()]));
    assert!(matches!(metadata.vpc().await, Err(MetadataError::NotProvided { .. })), "an empty 200");
    assert!(matches!(metadata.instance().await, Err(MetadataError::Malformed { .. })), "no short id");
    assert!(matches!(metadata.region().await, Err(MetadataError::Malformed { .. })), "no word");
    let asked: Vec<String> = server.requests().iter().map(|r| r.target.clone()).collect();
    assert_eq!(asked[0], "/1.0/meta-data/instance-shortid");
    assert_eq!(asked[3], "/1.0/meta-data/network/interfaces/macs");
    assert_eq!(server.requests()[0].header("authorization"), None);
}

#[tokio::test(flavor = "current_thread")]
async fn a_node_is_its_instance_or_the_eni_with_a_mac() {
    let enis = r#"{"enis":[{"eniId":"eni-1","macAddress":"fa:16:3e:00:00:01","instanceId":"i-1"},
        {"eniId":"eni-2","macAddress":"FA:16:3E:00:00:02","instanceId":null}],"isTruncated":false}"#;
    let api = Server::start(vec![text(enis)]).await;
    let metadata = Server::start(vec![text("i-1"), text("i-1"), text("vpc-1"), text("i-1"), text("vpc-1")]).await;
    let client = client(&api.url(), &metadata);
    let target = client.discover_target(None, soon()).await.expect("found");
    assert_eq!((target.api_type(), target.id()), ("SERVER", "i-1"));
    let target = client.discover_target(Some("fa:16:3e:00:00:02"), soon()).await.expect("found");
    assert_eq!((target.api_type(), target.id()), ("ENI", "eni-2"));
    assert_eq!(api.requests()[0].target, "/v1/eni?vpcId=vpc-1&instanceId=i-1&maxKeys=1000");
    let error = client.discover_target(Some("fa:16:3e:00:00:03"), soon()).await.expect_err("unknown");
    let text = error.to_string();
    assert!(text.contains("fa:16:3e:00:00:03 (it has fa:16:3e:00:00:01, FA:16:3E:00:00:02)"), "{text}");
}

#[tokio::test(flavor = "current_thread")]
async fn a_silent_metadata_service_is_an_error_with_a_remedy() {
    let metadata = Server::start(vec![text("")]).await;
    let client = client("http://127.0.0.1:9", &metadata);
    let error = client.discover_target(None, soon()).await.expect_err("nothing said");
    assert!(matches!(error, DiscoveryError::Metadata(MetadataError::NotProvided { .. })), "{error}");
    assert!(error.to_string().ends_with("set instance or eni in this [[node]]"), "{error}");
    let away = Metadata::new("http://127.0.0.1:9").expect("plain HTTP");
    assert!(matches!(away.region().await, Err(MetadataError::Unreachable { .. })));
}

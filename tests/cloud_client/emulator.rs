//! The client against the emulated cloud, which checks every signature on its own account.

use crate::{Lab, attach, havip, limits, soon};
use havipd_core::model::cloud::{CallClass, ErrorClass};
use havipd_core::model::event::InstanceState;
use havipd_core::model::settings::CredentialSource;
use havipd_lab::emulator::{CredentialStyle, Emulator, EmulatorConfig};
use havipd_lab::simulation::cloud::{InterfaceSpec, Profile};
use std::net::Ipv4Addr;

const MAC: &str = "fa:16:3e:00:00:0a";

/// Instance `i-syGfPUYO` with a role and an ENI, and one HAVIP.
async fn emulated(style: CredentialStyle) -> Emulator {
    Emulator::start(config(style)).await.expect("starts")
}

fn config(style: CredentialStyle) -> EmulatorConfig {
    let mut config = EmulatorConfig::new("127.0.0.1:0".parse().expect("an address"))
        .with_node("syGfPUYO", Ipv4Addr::new(10, 0, 0, 1))
        .with_havip("havip-w2d4kgc3x0y1", Ipv4Addr::new(10, 0, 0, 100));
    config.nodes[0].metadata_listen = Some("127.0.0.1:0".parse().expect("an address"));
    config.nodes[0].role = true;
    config.keys.clear();
    config.credential_style = style;
    config.world.interfaces.push(InterfaceSpec::new("eni-a", "i-syGfPUYO", MAC, Ipv4Addr::new(10, 0, 0, 2)));
    config
}

fn lab(emulator: &Emulator) -> Lab {
    let mut lab = Lab::new(&emulator.endpoint());
    lab.cloud.metadata_endpoint = emulator.metadata_endpoint("syGfPUYO").expect("has a listener");
    lab.cloud.credentials = CredentialSource::InstanceRole;
    lab
}

#[tokio::test(flavor = "current_thread")]
async fn a_claim_with_the_keys_of_a_role_whatever_their_spelling() {
    for style in [CredentialStyle::CamelCase, CredentialStyle::SnakeCase, CredentialStyle::SecurityToken] {
        let emulator = emulated(style).await;
        let client = lab(&emulator).client();
        client.keep_warm(soon()).await.expect("warm");
        attach(&client).await.expect("attached");
        let found = client.havip(&havip(), CallClass::Claim, soon()).await.expect("read");
        assert!(found.binds("i-syGfPUYO"), "{style:?}: {found:?}");
        assert_eq!(found.private_ip_address, Some(Ipv4Addr::new(10, 0, 0, 100)));
        let targets = ["i-syGfPUYO".parse().expect("an id")];
        client.detach(&havip(), &targets, "token-2", limits()).await.expect("detached");
        let listed = client.havips(Some(&found.vpc_id), CallClass::Background, soon()).await.expect("listed");
        assert!(listed.len() == 1 && listed[0].binded_instances.is_empty(), "{listed:?}");
    }
}

#[tokio::test(flavor = "current_thread")]
async fn who_we_are_and_who_runs() {
    let emulator = emulated(CredentialStyle::CamelCase).await;
    let client = lab(&emulator).client();
    let instance = client.discover_target(None, soon()).await.expect("found");
    assert_eq!(instance.id(), "i-syGfPUYO");
    let eni = client.discover_target(Some(&MAC.to_uppercase()), soon()).await.expect("found");
    assert_eq!(eni.id(), "eni-a");
    for (id, state) in [("i-syGfPUYO", InstanceState::Running), ("i-unknown", InstanceState::NotRunning)] {
        let found = client.instance(&id.parse().expect("an id"), CallClass::Background, soon()).await;
        assert_eq!(found, Ok(state), "{id}");
    }
    let missing = client
        .havip(&"havip-unknown".parse().expect("an id"), CallClass::Background, soon())
        .await
        .expect_err("unknown");
    assert!(missing.missing, "{missing}");
}

/// A cloud that is strict refuses a detach for three reasons, and only two of them say that there is nothing to detach.
#[tokio::test(flavor = "current_thread")]
async fn a_refused_detach_says_whether_anything_was_bound() {
    let strict = config(CredentialStyle::CamelCase).with_node("other", Ipv4Addr::new(10, 0, 0, 3));
    let emulator = Emulator::start(strict.with_profile(Profile::strict_errors())).await.expect("starts");
    let client = lab(&emulator).client();
    let refused = async |id: &str, token: &str| {
        let targets = [id.parse().expect("an id")];
        client.detach(&havip(), &targets, token, limits()).await.expect_err("it is strict")
    };
    let nobody = refused("i-syGfPUYO", "token-2").await;
    attach(&client).await.expect("attached");
    let another = refused("i-other", "token-3").await;
    for error in [nobody, another] {
        assert!(error.nothing_bound && error.class == ErrorClass::Refused, "{error}");
    }
    let master = refused("i-syGfPUYO", "token-4").await;
    assert!(!master.nothing_bound && master.class == ErrorClass::Refused, "{master}");
}

//! What is refused, and what a client token makes of a repetition.

use crate::semantics::*;
use havipd_core::model::cloud::BindRequest;
use havipd_lab::simulation::cloud::*;
use std::net::Ipv4Addr;
use std::time::Duration;

fn code(model: &mut CloudModel, call: &Call) -> String {
    match model.call(at(1), call).answer {
        Answer::Reply(Err(e)) => format!("{} {}", e.status, e.code),
        other => format!("{other:?}"),
    }
}

#[test]
fn no_more_than_five_per_call_and_per_havip() {
    let mut model = model(Profile::attach_moves());
    let six = attach(&["i-a", "i-b", "i-c", "i-d", "i-e", "i-f"]);
    assert_eq!(code(&mut model, &six), "400 InappropriateJSON");
    assert_eq!(code(&mut model, &attach(&[])), "400 InappropriateJSON");
    assert_eq!(status(&mut model, at(1), &attach(&["i-a", "i-b", "i-c", "i-d", "i-e"])), 200);
    assert_eq!(code(&mut model, &attach(&["i-f"])), "400 QuotaLimitExceeded");
    assert_eq!(status(&mut model, at(1), &attach(&["i-a"])), 200, "one that is bound needs no place");
}

#[test]
fn a_call_that_is_partly_wrong_changes_nothing() {
    let mut model = model(Profile::strict_errors());
    assert_eq!(status(&mut model, at(1), &attach(&["i-a", "i-b"])), 200);
    assert_eq!(code(&mut model, &attach(&["i-c", "i-a"])), "400 InstanceAlreadyBound");
    assert_eq!(code(&mut model, &detach(&["i-b", "i-a"])), "409 OperationDenied");
    assert_eq!(shown(&model, at(1)), "a,b / a / a");
}

#[test]
fn types_do_not_mix_unless_the_profile_says_so() {
    let mut strict = model(Profile::attach_moves());
    status(&mut strict, at(1), &attach(&["i-a"]));
    assert_eq!(code(&mut strict, &attach(&["eni-b"])), "400 InstanceTypeMismatch");
    let mut mixing = model(Profile::garp_steals());
    status(&mut mixing, at(1), &attach(&["i-a"]));
    assert_eq!(status(&mut mixing, at(1), &attach(&["eni-b"])), 200);
    let body = BindRequest { instance_type: "bcc".to_owned(), ..body(&["i-a"]) };
    let stale = Call::new(Caller::default(), Request::Attach { havip: HAVIP.to_owned(), body });
    assert_eq!(code(&mut strict, &stale), "400 InappropriateJSON");
}

#[test]
fn vpc_always_and_subnet_by_profile() {
    let elsewhere = |mut model: CloudModel| {
        let base = InstanceSpec::new("i-vpc", Ipv4Addr::new(10, 1, 0, 1));
        model.add_instance(InstanceSpec { vpc: "vpc-other".to_owned(), ..base.clone() });
        model.add_instance(InstanceSpec { id: "i-subnet".to_owned(), subnet: "sbn-other".to_owned(), ..base });
        model
    };
    let mut same_vpc = elsewhere(model(Profile::garp_steals()));
    assert_eq!(code(&mut same_vpc, &attach(&["i-vpc"])), "400 InappropriateJSON");
    assert!(!same_vpc.announce(at(1), "i-vpc", HAVIP), "ARP does not leave its VPC");
    assert_eq!(status(&mut same_vpc, at(1), &attach(&["i-subnet"])), 200);
    let mut same_subnet = elsewhere(model(Profile::strict_errors()));
    assert_eq!(code(&mut same_subnet, &attach(&["i-subnet"])), "400 InappropriateJSON");
}

#[test]
fn what_does_not_exist_is_missing_in_the_profiles_way() {
    for (profile, expected) in [(Profile::attach_moves(), 404), (Profile::garp_moves(), 400)] {
        let mut model = model(profile);
        let missing = format!("{expected} NoSuchObject");
        assert_eq!(code(&mut model, &attach(&["i-nobody"])), missing);
        for request in [
            Request::Detail { havip: "havip-0".to_owned() },
            Request::Detach { havip: "havip-0".to_owned(), body: body(&["i-a"]) },
            Request::Instance { id: "i-nobody".to_owned() },
            Request::InstanceEnis { instance: "i-nobody".to_owned() },
        ] {
            assert_eq!(code(&mut model, &Call::new(Caller::default(), request)), missing);
        }
    }
}

#[test]
fn a_seen_token_brings_the_same_result_without_acting() {
    let mut model = model(Profile::attach_moves());
    let first = attach(&["i-a"]).with_token("t1");
    assert_eq!(status(&mut model, at(1), &first), 200);
    assert_eq!(status(&mut model, at(2), &detach(&["i-a"]).with_token("t2")), 200);
    assert_eq!(status(&mut model, at(3), &first), 200);
    assert_eq!(shown(&model, at(3)), " / - / -", "the repetition did not act");

    let refused = attach(&["i-nobody"]).with_token("t3");
    assert_eq!(status(&mut model, at(4), &refused), 404);
    model.add_instance(InstanceSpec::new("i-nobody", Ipv4Addr::new(10, 0, 0, 77)));
    assert_eq!(status(&mut model, at(5), &refused), 404, "a refusal is repeated too");
}

#[test]
fn a_token_used_for_something_else_is_a_mismatch() {
    let mut model = model(Profile::attach_moves());
    status(&mut model, at(1), &attach(&["i-a"]).with_token("t1"));
    for other in [attach(&["i-b"]), detach(&["i-a"])] {
        assert_eq!(code(&mut model, &other.with_token("t1")), "403 IdempotentParameterMismatch");
    }
    assert_eq!(code(&mut model, &attach(&["i-b"]).with_token(&"x".repeat(65))), "400 InvalidHTTPRequest");
    assert_eq!(code(&mut model, &attach(&["i-b"]).with_token("")), "400 InvalidHTTPRequest");
    assert_eq!(shown(&model, at(1)), "a / a / a");
}

#[test]
fn a_token_lasts_a_day_from_when_it_was_last_seen() {
    let mut model = model(Profile::attach_moves());
    let first = attach(&["i-a"]).with_token("t1");
    status(&mut model, at(0), &first);
    status(&mut model, at(1), &detach(&["i-a"]));
    let almost = TOKEN_LIFETIME - Duration::from_secs(1);
    status(&mut model, at(0) + almost, &first);
    status(&mut model, at(0) + almost + almost, &first);
    let now = at(0) + almost + almost;
    assert_eq!(shown(&model, now), " / - / -", "seeing it again made it last longer");
    let now = now + TOKEN_LIFETIME;
    status(&mut model, now, &first);
    assert_eq!(shown(&model, now), "a / a / a", "forgotten, so it acts");
}

#[test]
fn tokens_may_mean_nothing() {
    let mut model = model(Profile::garp_steals());
    status(&mut model, at(1), &attach(&["i-a"]).with_token("t1"));
    status(&mut model, at(2), &detach(&["i-a"]).with_token("t1"));
    status(&mut model, at(3), &attach(&["i-a"]).with_token("t1"));
    assert_eq!(shown(&model, at(3)), "a / a / a");
}

#[test]
fn lists_come_in_pages() {
    let mut model = model(Profile::attach_moves());
    for n in 2..=5 {
        model.add_havip(at(0), HavipSpec::new(&format!("havip-{n}"), Ipv4Addr::new(10, 0, 0, 100 + n)));
    }
    let elsewhere = HavipSpec { vpc: "vpc-other".to_owned(), ..HavipSpec::new("havip-6", Ipv4Addr::new(10, 9, 0, 1)) };
    model.add_havip(at(0), elsewhere);
    let (mut marker, mut pages) = (None, Vec::new());
    loop {
        let vpc = Some("vpc-sandbox".to_owned());
        let request = Request::List { vpc, marker, max_keys: 2 };
        let Answer::Reply(Ok(Reply::Page(page))) = model.call(at(1), &Call::new(Caller::default(), request)).answer
        else {
            panic!("no page")
        };
        pages.push(page.ha_vips.iter().map(|h| h.ha_vip_id.clone()).collect::<Vec<_>>().join(" "));
        assert_eq!(page.is_truncated, page.next_marker.is_some());
        marker = page.next_marker;
        if marker.is_none() {
            break;
        }
    }
    assert_eq!(pages, ["havip-1 havip-2", "havip-3 havip-4", "havip-5"]);
    let request = Request::List { vpc: None, marker: None, max_keys: 1001 };
    assert_eq!(code(&mut model, &Call::new(Caller::default(), request)), "400 InvalidHTTPRequest");
}

#[test]
fn a_late_write_acts_later_and_its_token_already_counts() {
    let mut model = model(Profile::attach_moves());
    let delay = Duration::from_millis(700);
    model.add_fault(FaultRule::new(Scope::Attach, Fault::Late { delay, answered: false }).times(1));
    let call = attach(&["i-a"]).with_token("t1");
    assert_eq!(model.call(at(100), &call).answer, Answer::Never);
    assert_eq!(status(&mut model, at(200), &call), 200);
    model.advance(at(200));
    assert_eq!(shown(&model, at(799)), " / - / -");
    assert_eq!(model.next_deadline(), Some(at(800)));
    assert_eq!(model.advance(at(1000)).len(), 1);
    assert_eq!(shown(&model, at(1000)), "a / a / a");
}

//! What each preset does with the same sequence of calls, and what it shows.

use havipd_core::model::cloud::BindRequest;
use havipd_core::model::time::Instant;
use havipd_lab::simulation::cloud::*;
use serde_json::{Value, json};
use std::net::Ipv4Addr;
use std::time::Duration;

pub(crate) const HAVIP: &str = "havip-1";

pub(crate) fn at(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

/// One HAVIP, instances `i-a` to `i-f`, and interface `eni-b` on `i-b`.
pub(crate) fn model(profile: Profile) -> CloudModel {
    let mut world = World { havips: vec![HavipSpec::new(HAVIP, Ipv4Addr::new(10, 0, 0, 100))], ..World::default() };
    for (n, name) in (1..).zip(["a", "b", "c", "d", "e", "f"]) {
        world.instances.push(InstanceSpec::new(&format!("i-{name}"), Ipv4Addr::new(10, 0, 0, n)));
    }
    let eni = InterfaceSpec::new("eni-b", "i-b", "fa:16:3e:00:00:0b", Ipv4Addr::new(10, 0, 0, 22));
    world.interfaces.push(eni);
    CloudModel::with_world(profile, world, at(0), fastrand::Rng::with_seed(1))
}

pub(crate) fn body(ids: &[&str]) -> BindRequest {
    let kind = if ids.iter().any(|id| id.starts_with("eni-")) { "ENI" } else { "SERVER" };
    BindRequest { instance_ids: ids.iter().map(|id| (*id).to_owned()).collect(), instance_type: kind.to_owned() }
}

pub(crate) fn attach(ids: &[&str]) -> Call {
    Call::new(Caller::named("ak"), Request::Attach { havip: HAVIP.to_owned(), body: body(ids) })
}

pub(crate) fn detach(ids: &[&str]) -> Call {
    Call::new(Caller::named("ak"), Request::Detach { havip: HAVIP.to_owned(), body: body(ids) })
}

pub(crate) fn detail() -> Call {
    Call::new(Caller::named("ak"), Request::Detail { havip: HAVIP.to_owned() })
}

/// Status of an answer: 200, or that of the error.
pub(crate) fn status(model: &mut CloudModel, now: Instant, call: &Call) -> u16 {
    match model.call(now, call).answer {
        Answer::Reply(Ok(_)) => 200,
        Answer::Reply(Err(e)) => e.status,
        other => panic!("no answer: {other:?}"),
    }
}

pub(crate) fn read(model: &mut CloudModel, now: Instant) -> Value {
    let answer = model.call(now, &detail()).answer;
    let reply = model.render(&answer).expect("a read is answered");
    serde_json::from_str(&reply.body).expect("JSON")
}

/// `bound, ... / master / traffic`, without the prefix of the ids.
pub(crate) fn shown(model: &CloudModel, now: Instant) -> String {
    let view = model.havip(now, HAVIP).expect("the HAVIP exists");
    let short = |id: &str| id.trim_start_matches("i-").to_owned();
    let bound: Vec<String> = view.bound.iter().map(|b| short(&b.id)).collect();
    let name = |id: &Option<String>| id.as_deref().map_or("-".to_owned(), short);
    format!("{} / {} / {}", bound.join(","), name(&view.master), name(&view.traffic))
}

/// Runs the sequence and writes one line per step: what was done, its status, the state 10 s later.
fn table(profile: Profile) -> Vec<String> {
    let mut model = model(profile);
    let mut lines = Vec::new();
    for (n, step) in (1..).zip(["+a", "+b", "~b", "~a", "+b", "~c", "-a", "-c", "-b"]) {
        let now = at(n * 10_000);
        let id = format!("i-{}", &step[1..]);
        let result = match &step[..1] {
            "+" => status(&mut model, now, &attach(&[&id])).to_string(),
            "-" => status(&mut model, now, &detach(&[&id])).to_string(),
            _ => if model.announce(now, &id, HAVIP) { "moved" } else { "-" }.to_owned(),
        };
        let later = now + Duration::from_secs(9);
        lines.push(format!("{step} {result}: {}", shown(&model, later)));
    }
    lines
}

#[track_caller]
fn expect(profile: &str, expected: &[&str]) {
    assert_eq!(table(profile.parse().expect("a preset")), expected, "{profile}");
}

#[test]
fn attach_moves() {
    let lines = [
        "+a 200: a / a / a",
        "+b 200: a,b / b / b",
        "~b -: a,b / b / b",
        "~a -: a,b / b / b",
        "+b 200: a,b / b / b",
        "~c -: a,b / b / b",
        "-a 200: b / b / b",
        "-c 200: b / b / b",
        "-b 200:  / - / -",
    ];
    expect("attach-moves", &lines);
    expect("no-flags", &lines);
    let mut model = model(Profile::attach_moves());
    assert_eq!(status(&mut model, at(1), &attach(&["i-a", "i-b"])), 200);
    assert_eq!(shown(&model, at(1)), "a,b / b / b");
    assert_eq!(status(&mut model, at(2), &attach(&["i-a"])), 200);
    assert_eq!(shown(&model, at(2)), "a,b / a / a", "attaching again moves as the first time");
    assert_eq!(status(&mut model, at(3), &detach(&["i-a"])), 200);
    assert_eq!(shown(&model, at(3)), "b / b / b");
}

#[test]
fn first_stays() {
    expect(
        "first-stays",
        &[
            "+a 200: a / a / a",
            "+b 200: a,b / a / a",
            "~b -: a,b / a / a",
            "~a -: a,b / a / a",
            "+b 200: a,b / a / a",
            "~c -: a,b / a / a",
            "-a 200: b / b / b",
            "-c 200: b / b / b",
            "-b 200:  / - / -",
        ],
    );
}

#[test]
fn garp_moves() {
    expect(
        "garp-moves",
        &[
            "+a 200: a / a / a",
            "+b 200: a,b / a / a",
            "~b moved: a,b / b / b",
            "~a moved: a,b / a / a",
            "+b 200: a,b / a / a",
            "~c -: a,b / a / a",
            "-a 200: b / b / b",
            "-c 200: b / b / b",
            "-b 200:  / - / -",
        ],
    );
    let mut model = model(Profile::garp_moves());
    status(&mut model, at(1), &attach(&["i-a", "i-b", "i-c"]));
    status(&mut model, at(2), &detach(&["i-a"]));
    assert_eq!(shown(&model, at(2)), "b,c / - / -", "nobody follows until somebody announces");
}

#[test]
fn garp_required() {
    expect(
        "garp-required",
        &[
            "+a 200: a / - / -",
            "+b 200: a,b / - / -",
            "~b moved: a,b / b / b",
            "~a moved: a,b / a / a",
            "+b 200: a,b / a / a",
            "~c -: a,b / a / a",
            "-a 200: b / - / -",
            "-c 200: b / - / -",
            "-b 200:  / - / -",
        ],
    );
}

#[test]
fn garp_steals() {
    expect(
        "garp-steals",
        &[
            "+a 200: a / a / a",
            "+b 200: a,b / a / a",
            "~b moved: a,b / b / b",
            "~a moved: a,b / a / a",
            "+b 200: a,b / a / a",
            "~c moved: a,b / a / c",
            "-a 200: b / b / b",
            "-c 200: b / b / b",
            "-b 200:  / - / -",
        ],
    );
}

#[test]
fn a_thief_keeps_the_packets_until_there_is_a_new_master() {
    let mut model = model(Profile::garp_steals());
    status(&mut model, at(1), &attach(&["i-a", "i-b", "i-c"]));
    assert!(model.announce(at(2), "i-d", HAVIP));
    assert_eq!(shown(&model, at(2)), "a,b,c / a / d");
    status(&mut model, at(3), &detach(&["i-a"]));
    assert_eq!(shown(&model, at(3)), "b,c / - / d");
    assert!(model.announce(at(4), "i-c", HAVIP));
    assert_eq!(shown(&model, at(4)), "b,c / c / c");
}

#[test]
fn strict_errors() {
    expect(
        "strict-errors",
        &[
            "+a 200: a / a / a",
            "+b 200: a,b / a / a",
            "~b moved: a,b / b / b",
            "~a moved: a,b / a / a",
            "+b 400: a,b / a / a",
            "~c -: a,b / a / a",
            "-a 409: a,b / a / a",
            "-c 400: a,b / a / a",
            "-b 200: a / a / a",
        ],
    );
}

#[test]
fn eventual() {
    expect(
        "eventual",
        &[
            "+a 200: a / a / a",
            "+b 200: a,b / b / b",
            "~b -: a,b / b / b",
            "~a moved: a,b / a / a",
            "+b 200: a,b / a / a",
            "~c -: a,b / a / a",
            "-a 200: b / b / b",
            "-c 200: b / b / b",
            "-b 200:  / - / -",
        ],
    );
    let mut model = model(Profile::eventual());
    model.advance(at(0));
    status(&mut model, at(1000), &attach(&["i-a"]));
    assert_eq!(read(&mut model, at(2499))["status"], "available");
    assert_eq!(read(&mut model, at(2500))["status"], "binded");
    assert_eq!(model.traffic_goes_to(at(1499), HAVIP), None);
    assert_eq!(model.next_deadline(), Some(at(1500)));
    let change =
        MasterChange { havip: HAVIP.to_owned(), address: Ipv4Addr::new(10, 0, 0, 100), target: Some("i-a".to_owned()) };
    assert_eq!(model.advance(at(1499)), []);
    assert_eq!(model.advance(at(1500)), [change]);
    assert_eq!(model.next_deadline(), None);
}

#[test]
fn unwinnable() {
    expect(
        "unwinnable",
        &[
            "+a 200: a / a / a",
            "+b 200: a,b / a / a",
            "~b -: a,b / a / a",
            "~a -: a,b / a / a",
            "+b 200: a,b / a / a",
            "~c -: a,b / a / a",
            "-a 409: a,b / a / a",
            "-c 200: a,b / a / a",
            "-b 200: a / a / a",
        ],
    );
}

#[test]
fn what_documents_show_follows_the_profile() {
    let seen = |name: &str| {
        let mut model = model(name.parse().expect("a preset"));
        let empty = read(&mut model, at(0)).get("bindedInstances").cloned();
        status(&mut model, at(1), &attach(&["i-a", "i-b"]));
        model.announce(at(1), "i-b", HAVIP);
        let document = read(&mut model, at(10_000));
        let flags: Vec<Option<Value>> = document["bindedInstances"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|b| {
                assert_eq!(b["instanceType"], "SERVER");
                b.get("master").cloned()
            })
            .collect();
        (empty, flags)
    };
    let (yes, no, null) = (Some(json!(true)), Some(json!(false)), Some(Value::Null));
    assert_eq!(seen("attach-moves"), (None, vec![no.clone(), yes.clone()]));
    assert_eq!(seen("first-stays"), (Some(json!([])), vec![yes.clone(), None]));
    assert_eq!(seen("garp-required"), (null.clone(), vec![null.clone(), yes.clone()]));
    assert_eq!(seen("no-flags"), (None, vec![None, None]));
    let mut nulls = model(Profile { master_flag: MasterFlag::Null, ..Profile::attach_moves() });
    status(&mut nulls, at(1), &attach(&["i-a"]));
    assert_eq!(read(&mut nulls, at(1))["bindedInstances"][0].get("master"), null.as_ref());
}

#[test]
fn a_stopped_instance_neither_receives_nor_is_heard() {
    let mut model = model(Profile::garp_moves());
    status(&mut model, at(1), &attach(&["i-a", "i-b"]));
    model.advance(at(1));
    model.stop_instance(at(2), "i-a").expect("exists");
    assert_eq!(model.advance(at(2)).first().map(|c| c.target.clone()), Some(None));
    assert_eq!(shown(&model, at(2)), "a,b / a / -");
    model.stop_instance(at(3), "i-b").expect("exists");
    assert!(!model.announce(at(3), "i-b", HAVIP));
    model.start_instance(at(4), "i-b").expect("exists");
    assert!(model.announce(at(4), "i-b", HAVIP));
    assert_eq!(shown(&model, at(4)), "a,b / b / b");
    let call = Call::new(Caller::default(), Request::Instance { id: "i-a".to_owned() });
    let answer = model.call(at(5), &call).answer;
    assert!(matches!(&answer, Answer::Reply(Ok(Reply::Instance(d))) if d.instance.status == "Stopped"), "{answer:?}");
}

#[test]
fn instances_are_listed_page_by_page() {
    let mut model = model(Profile::garp_moves());
    let mut page = |vpc: &str, marker: Option<String>| {
        let request = Request::Instances { vpc: Some(vpc.to_owned()), marker, max_keys: 1 };
        match model.call(at(1), &Call::new(Caller::default(), request)).answer {
            Answer::Reply(Ok(Reply::Instances(page))) => page,
            other => panic!("no page: {other:?}"),
        }
    };
    assert!(page("vpc-none", None).instances.is_empty());
    let (mut ids, mut marker) = (Vec::new(), None);
    loop {
        let found = page("vpc-sandbox", marker);
        ids.extend(found.instances.iter().map(|i| i.id.clone()));
        assert_eq!((found.instances.len(), found.is_truncated), (1, found.next_marker.is_some()));
        marker = found.next_marker;
        if marker.is_none() {
            break;
        }
    }
    let all: Vec<String> = model.view(at(1)).instances.into_iter().map(|i| i.id).collect();
    assert_eq!(ids, all);
}

#[test]
fn third_parties_do_what_the_profile_refuses() {
    let mut model = model(Profile::unwinnable());
    status(&mut model, at(1), &attach(&["i-a", "i-b"]));
    model.force_master(at(2), HAVIP, "i-b").expect("is bound");
    assert_eq!(shown(&model, at(2)), "a,b / b / b");
    model.unbind(at(3), HAVIP, "i-b").expect("is bound");
    assert_eq!(shown(&model, at(3)), "a / a / a");
    let not_bound = ModelError::NotBound { havip: HAVIP.to_owned(), target: "i-b".to_owned() };
    assert_eq!(model.unbind(at(4), HAVIP, "i-b"), Err(not_bound.clone()));
    assert_eq!(model.force_master(at(4), HAVIP, "i-b"), Err(not_bound));
    assert_eq!(model.fill_quota(at(5), HAVIP).expect("exists").len(), 4);
    assert_eq!(status(&mut model, at(6), &attach(&["i-b"])), 400);
    model.advance(at(6));
    model.delete_havip(at(7), HAVIP).expect("exists");
    assert_eq!(model.advance(at(7)).first().map(|c| c.target.clone()), Some(None));
    assert_eq!(status(&mut model, at(8), &detail()), 404);
    assert_eq!(model.delete_havip(at(9), HAVIP), Err(ModelError::Unknown(HAVIP.to_owned())));
}

#[test]
fn busy() {
    let mut model = model(Profile::busy());
    let code = |model: &mut CloudModel, millis, call: &Call| match model.call(at(millis), call).answer {
        Answer::Reply(Ok(_)) => String::new(),
        Answer::Reply(Err(e)) => format!("{} {}", e.status, e.code),
        other => panic!("no answer: {other:?}"),
    };
    assert_eq!(code(&mut model, 1000, &attach(&["i-a"])), "");
    for refused in ["400 IncorrectHaVipStatus", "409 OperationConflict", "400 LastTokenProcessing", "400 BadRequest"] {
        assert_eq!(code(&mut model, 1699, &attach(&["i-b"])), refused);
    }
    assert_eq!(code(&mut model, 1699, &detach(&["i-a"])), "409 TaskConflict");
    assert_eq!(read(&mut model, at(1699))["bindedInstances"][0]["instanceId"], "i-a", "reads are answered");
    assert_eq!(code(&mut model, 1700, &attach(&["i-b"])), "");
    assert_eq!(code(&mut model, 2399, &detach(&["i-a"])), "400 IncorrectHaVipStatus");
    assert_eq!(code(&mut model, 2400, &detach(&["i-a"])), "");
    assert_eq!(model.traffic_goes_to(at(2400), HAVIP), Some("i-b"));
}

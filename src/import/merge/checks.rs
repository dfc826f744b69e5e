//! What the nodes track becomes checks, each named once.

use super::group::Draft;
use super::{OutCheck, OutNode};
use crate::import::note::{Kind, Notes};
use crate::import::read::{Node, Track, Watch, Weight};
use crate::import::{Options, words};
use crate::plain::quote;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

/// havipd's most checks.
const MOST: usize = 1000;
/// havipd's largest weight.
const HEAVIEST: i32 = 253;

const OWN_LINK: &str = "havipd watches the link of the interface that the HAVIP goes on: down is Fault";

/// A shell that turns the answer of a program round.
const TURNED: [&str; 3] = ["/bin/sh", "-c", "! \"$0\" \"$@\""];

/// One thing that a group tracks, and the nodes whose files say so.
struct Wanted<'a> {
    track: &'a Track,
    on: Vec<usize>,
}

/// Gives each group its checks, and all of them.
pub(super) fn all(
    nodes: &[Node],
    out: &[OutNode],
    groups: &mut [Draft],
    options: &Options,
    notes: &mut Notes,
) -> Vec<OutCheck> {
    let mut checks: Vec<OutCheck> = Vec::new();
    let mut known: HashMap<Key, String> = HashMap::new();
    let mut names: HashSet<String> = HashSet::new();
    let mut faster = false;
    for draft in groups {
        let mut own: HashSet<String> = HashSet::new();
        for wanted in wanted(draft, nodes, out, notes) {
            let Wanted { track, on } = wanted;
            let (place, what) = (Some(track.place.to_string()), format!("check {}", track.name));
            if options.beside {
                notes.add(Kind::OwnWay, place, what, "keepalived goes on checking, and havipd follows it");
                continue;
            }
            let (watch, weight) = match ours(track) {
                Ok(ours) => ours,
                Err(why) => {
                    notes.add(Kind::Lost, place, what, why);
                    continue;
                }
            };
            if weight.is_some_and(|weight| weight.abs() != track.weight.value.abs()) {
                let why = format!("weights are -{HEAVIEST} to {HEAVIEST}");
                notes.add(Kind::OwnWay, place.clone(), format!("weight {} of {}", track.weight.value, track.name), why);
            }
            faster |= matches!(&watch, Watch::Script(script) if script.fall > 1);
            let members = (0..nodes.len()).filter(|&n| draft.on(n, nodes).next().is_some());
            let everywhere = members.into_iter().all(|n| on.contains(&n));
            let of: Vec<String> =
                if everywhere { Vec::new() } else { on.iter().map(|&n| out[n].name.clone()).collect() };
            let name = match known.entry((track.name.clone(), watch.clone(), weight, of.clone())) {
                Entry::Occupied(known) => known.get().clone(),
                Entry::Vacant(_) if checks.len() == MOST => {
                    notes.add(Kind::Lost, place, what, format!("there are at most {MOST} checks"));
                    continue;
                }
                Entry::Vacant(new) => {
                    let name = named(track, &names);
                    if name != track.name && !matches!(watch, Watch::Link(_)) {
                        let why = format!("stands for {}", quote(&track.name));
                        notes.add(Kind::Assumed, place, format!("check {name}"), why);
                    }
                    names.insert(name.clone());
                    checks.push(OutCheck { name: name.clone(), nodes: of, watch, weight });
                    new.insert(name).clone()
                }
            };
            if own.insert(name.clone()) {
                draft.group.checks.push(name);
            }
        }
    }
    if faster {
        let why = "after a first failure the next runs come four times as often, until the verdict (retry-interval)";
        notes.add(Kind::OwnWay, None, "fall", why);
    }
    if checks.iter().any(|c| c.weight.is_none()) {
        let why = "when every node fails them the active one stays, where keepalived's routers are all in fault: \
                   when-all-fail = \"release\" is that";
        notes.add(Kind::OwnWay, None, "checks", why);
    }
    checks
}

/// What makes a check another one: keepalived's name for it, what is looked at, its weight, its nodes.
type Key = (String, Watch, Option<i32>, Vec<String>);

/// What a group's instances, and its sync groups, track on each node.
fn wanted<'a>(draft: &Draft, nodes: &'a [Node], out: &[OutNode], notes: &mut Notes) -> Vec<Wanted<'a>> {
    let mut all: Vec<Wanted<'a>> = Vec::new();
    let mut known: HashMap<(&'a str, &'a Watch, Weight), usize> = HashMap::new();
    for (n, node) in nodes.iter().enumerate() {
        // As the HAVIPs were taken over: an address that was left out leaves nothing to watch.
        let havips = draft.group.havips.iter();
        let own: HashSet<&str> =
            havips.filter_map(|h| h.interface.as_deref().or(out[n].interface.as_deref())).collect();
        let watched = |track: &Track, notes: &mut Notes| {
            let watched = matches!(&track.watch, Watch::Link(link) if own.contains(link.as_str()));
            if watched {
                let what = format!("track_interface {}", track.name);
                notes.add(Kind::OwnWay, Some(track.place.to_string()), what, OWN_LINK);
            }
            watched
        };
        let mut tracks: Vec<&'a Track> = Vec::new();
        let mut seen: HashSet<&'a str> = HashSet::new();
        for &i in &draft.instances_on(n) {
            let instance = &node.instances[i];
            let sync = node.syncs.iter().find(|s| s.members.contains(&instance.name));
            for track in &instance.tracks {
                if watched(track, notes) {
                    continue;
                }
                // Processes it forgets to leave out.
                let left_out = sync.is_some_and(|s| !s.weighs) && track.weight.value != 0;
                if left_out && !matches!(track.watch, Watch::Process(_)) {
                    let why = "it has a weight, and its instance is in a sync group without sync_group_tracking_weight: keepalived \
                               goes on without it";
                    notes.add(Kind::Lost, Some(track.place.to_string()), format!("check {}", track.name), why);
                } else {
                    tracks.push(track);
                }
            }
            // Once, for all of its members.
            if sync.is_some_and(|sync| seen.insert(&sync.name)) {
                tracks.extend(sync.into_iter().flat_map(|s| &s.tracks).filter(|track| !watched(track, notes)));
            }
        }
        for track in tracks {
            match known.entry((&track.name, &track.watch, track.weight)) {
                // Nodes come in their order.
                Entry::Occupied(known) if all[*known.get()].on.last() == Some(&n) => {}
                Entry::Occupied(known) => all[*known.get()].on.push(n),
                Entry::Vacant(new) => {
                    new.insert(all.len());
                    all.push(Wanted { track, on: vec![n] });
                }
            }
        }
    }
    all
}

/// As havipd has it. `reverse` is what happens while it is well instead of while it is not, or with the other sign: a
/// program is turned round, and so is the sign of a file's weight.
fn ours(track: &Track) -> Result<(Watch, Option<i32>), &'static str> {
    let Weight { value, reverse } = track.weight;
    let weight = value.clamp(-HEAVIEST, HEAVIEST);
    let weighed = |weight: i32| Some(weight).filter(|weight| *weight != 0);
    match (&track.watch, reverse) {
        (watch, false) => Ok((watch.clone(), weighed(weight))),
        (Watch::Script(script), true) => {
            let mut script = script.clone();
            script.argv = TURNED.iter().map(|word| (*word).to_owned()).chain(script.argv).collect();
            (script.rise, script.fall) = (script.fall, script.rise);
            script.initial = script.initial.map(|_| "up");
            Ok((Watch::Script(script), weighed(-weight)))
        }
        (Watch::File(_), true) if weight != 0 => Ok((track.watch.clone(), weighed(-weight))),
        (_, true) => {
            Err("it is reverse, which is to be had for programs, and for files with a weight: write a script that \
                          answers the other way round")
        }
    }
}

/// A name that no other check has.
fn named(track: &Track, names: &HashSet<String>) -> String {
    let first = match &track.watch {
        Watch::Link(link) => words::name(&format!("link-{link}")),
        _ => words::name(&track.name),
    };
    let first = first.unwrap_or_else(|| "check".to_owned());
    let tries = (2..=MOST + 1).map(|number| {
        let end = format!("-{number}");
        let mut name = first.clone();
        name.truncate(words::LONGEST_NAME - end.len());
        name + &end
    });
    let free = |name: &String| !names.contains(name);
    std::iter::once(first.clone()).chain(tries).find(free).unwrap_or_default()
}

//! The HAVIP service as a state machine, for the simulator and for the emulator.
//!
//! A [`CloudModel`] is driven from outside: [`CloudModel::call`] takes a typed call at an instant
//! and says how it ends and when; [`CloudModel::announce`] takes a guest's gratuitous ARP;
//! [`CloudModel::advance`] applies what was delayed and reports where packets go from now on;
//! [`CloudModel::next_deadline`] says when that is worth doing. What Baidu documents is fixed
//! here, what it does not document is a [`Profile`], and what goes wrong is a [`FaultRule`].
//!
//! Instants must not go backwards from one call to the next.

mod binding;
mod fault;
mod millis;
mod objects;
mod profile;
mod read;
mod render;
mod request;
mod third_party;
mod tokens;

pub use binding::BOUND_MAX;
pub use fault::{Fault, FaultRule, Scope};
pub use objects::{BoundTarget, HavipSpec, InstanceSpec, InterfaceSpec, RUNNING, TargetKind, World};
pub use profile::{
    Announcements, EmptyList, MasterFlag, OnAttach, Profile, Reattach, Succession, Throttling, UnknownProfile,
};
pub use read::{HavipView, WorldView};
pub use render::HttpReply;
pub use request::{Answer, Call, Caller, ErrorReply, MAX_KEYS, Operation, Outcome, Reply, Request};
pub use third_party::ModelError;
pub use tokens::{TOKEN_LIFETIME, TOKEN_MAX};

use binding::{Binding, Timeline};
use fault::Faults;
use havipd_core::model::cloud::BindRequest;
use havipd_core::model::plain::quote;
use havipd_core::model::time::Instant;
use profile::busy_reply;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;
use tokens::Tokens;

/// Packets for a HAVIP go somewhere else from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MasterChange {
    /// Which HAVIP.
    pub havip: String,
    /// Its address.
    pub address: Ipv4Addr,
    /// The target that receives; `None` when the packets are lost.
    pub target: Option<String>,
}

/// One HAVIP with its bindings through time.
#[derive(Debug, Clone)]
struct Havip {
    spec: HavipSpec,
    timeline: Timeline,
    /// Until when a task runs on it.
    busy_until: Instant,
    /// Writes that were refused for that.
    refused: u64,
}

/// A write whose effect is still to come.
#[derive(Debug, Clone)]
struct LateWrite {
    attach: bool,
    havip: String,
    body: BindRequest,
}

/// The emulated service.
#[derive(Debug, Clone)]
pub struct CloudModel {
    profile: Profile,
    region: String,
    havips: BTreeMap<String, Havip>,
    instances: BTreeMap<String, InstanceSpec>,
    interfaces: BTreeMap<String, InterfaceSpec>,
    tokens: Tokens,
    faults: Faults,
    late: BTreeMap<(Instant, u64), LateWrite>,
    writes: u64,
    visible_at: BTreeSet<Instant>,
    reported: BTreeMap<String, MasterChange>,
    rng: fastrand::Rng,
}

impl CloudModel {
    /// An empty region. `rng`, seeded by the caller, serves chances and request ids only.
    #[must_use]
    pub fn new(profile: Profile, rng: fastrand::Rng) -> Self {
        Self {
            profile,
            region: World::default().region,
            havips: BTreeMap::new(),
            instances: BTreeMap::new(),
            interfaces: BTreeMap::new(),
            tokens: Tokens::default(),
            faults: Faults::default(),
            late: BTreeMap::new(),
            writes: 0,
            visible_at: BTreeSet::new(),
            reported: BTreeMap::new(),
            rng,
        }
    }

    /// A region with everything of `world` in it.
    #[must_use]
    pub fn with_world(profile: Profile, world: World, now: Instant, rng: fastrand::Rng) -> Self {
        let mut model = Self::new(profile, rng);
        model.region = world.region;
        world.havips.into_iter().for_each(|h| model.add_havip(now, h));
        world.instances.into_iter().for_each(|i| model.add_instance(i));
        world.interfaces.into_iter().for_each(|i| model.add_interface(i));
        model
    }

    /// Creates a HAVIP with nobody bound; one of the same id is replaced.
    pub fn add_havip(&mut self, now: Instant, spec: HavipSpec) {
        self.havips.insert(spec.id.clone(), Havip { spec, timeline: Timeline::new(now), busy_until: now, refused: 0 });
        self.visible_at.insert(now);
    }

    /// Creates or replaces an instance.
    pub fn add_instance(&mut self, spec: InstanceSpec) {
        self.instances.insert(spec.id.clone(), spec);
    }

    /// Creates or replaces an interface.
    pub fn add_interface(&mut self, spec: InterfaceSpec) {
        self.interfaces.insert(spec.id.clone(), spec);
    }

    /// The profile in force.
    #[must_use]
    pub const fn profile(&self) -> &Profile {
        &self.profile
    }

    /// Puts another profile in force; bindings stay as they are.
    pub fn set_profile(&mut self, now: Instant, profile: Profile) {
        self.profile = profile;
        self.visible_at.insert(now);
    }

    /// Puts a fault rule in force; the number removes it again.
    pub fn add_fault(&mut self, rule: FaultRule) -> u64 {
        self.faults.add(rule)
    }

    /// Removes one rule; says whether it was still there.
    pub fn remove_fault(&mut self, id: u64) -> bool {
        self.faults.remove(id)
    }

    /// Removes every rule.
    pub fn clear_faults(&mut self) {
        self.faults.clear();
    }

    /// The rules in force with their numbers.
    #[must_use]
    pub fn faults(&self) -> &[(u64, FaultRule)] {
        self.faults.rules()
    }

    /// Takes one call; what it changes is in force when this returns.
    pub fn call(&mut self, now: Instant, call: &Call) -> Outcome {
        self.apply_late(now);
        let picked = self.faults.pick(call, &mut self.rng);
        let answer = match picked.fault {
            None => Answer::Reply(self.carry_out(now, call)),
            Some(fault) => self.fail(now, call, &fault),
        };
        Outcome { answer, after: picked.delay }
    }

    fn fail(&mut self, now: Instant, call: &Call, fault: &Fault) -> Answer {
        match fault {
            Fault::Status { status, code, message, retry_after, applied } => {
                if *applied {
                    let _ = self.carry_out(now, call);
                }
                let retry_after = retry_after.map(Duration::from_secs);
                Answer::Reply(Err(ErrorReply { retry_after, ..ErrorReply::new(*status, code, message) }))
            }
            Fault::Hang => Answer::Never,
            Fault::Reset => Answer::Reset,
            Fault::ApplyThenHang => {
                let _ = self.carry_out(now, call);
                Answer::Never
            }
            Fault::ApplyThenReset => {
                let _ = self.carry_out(now, call);
                Answer::Reset
            }
            Fault::Lie => Answer::Reply(self.pretend(now, call, None)),
            Fault::Late { delay, answered } => {
                let result = self.pretend(now, call, Some(*delay));
                if *answered { Answer::Reply(result) } else { Answer::Never }
            }
            Fault::Slow { .. } | Fault::Slower { .. } => Answer::Reply(self.carry_out(now, call)),
            Fault::PushedBack { retry_after } => {
                let error = ErrorReply::new(429, "RequestLimitExceeded", "too many requests");
                Answer::Reply(Err(ErrorReply { retry_after_text: Some(retry_after.clone()), ..error }))
            }
            Fault::BadJson => {
                let _ = self.carry_out(now, call);
                Answer::Garbled
            }
            Fault::Throttle => Answer::Reply(Err(self.profile.throttling.reply())),
            Fault::StaleRead { age } => Answer::Reply(self.read(now.before(*age), &call.request, None)),
            Fault::LyingRead { master } => Answer::Reply(self.read(now, &call.request, Some(master))),
        }
    }

    fn carry_out(&mut self, now: Instant, call: &Call) -> Result<Reply, ErrorReply> {
        match &call.request {
            Request::Attach { havip, body } => {
                self.once(now, call, |model| model.bind(now, true, havip, body).map(|()| Reply::Done))
            }
            Request::Detach { havip, body } => {
                self.once(now, call, |model| model.bind(now, false, havip, body).map(|()| Reply::Done))
            }
            request => self.read(now, request, None),
        }
    }

    /// A success whose effect comes `after` a delay, or never.
    fn pretend(&mut self, now: Instant, call: &Call, after: Option<Duration>) -> Result<Reply, ErrorReply> {
        self.once(now, call, |model| {
            if let (Some(after), Request::Attach { havip, body } | Request::Detach { havip, body }) =
                (after, &call.request)
            {
                let attach = matches!(call.request, Request::Attach { .. });
                model.writes += 1;
                let write = LateWrite { attach, havip: havip.clone(), body: body.clone() };
                model.late.insert((now + after, model.writes), write);
            }
            Ok(Reply::Done)
        })
    }

    /// Runs `act` unless the call's token was seen before.
    fn once<F>(&mut self, now: Instant, call: &Call, act: F) -> Result<Reply, ErrorReply>
    where
        F: FnOnce(&mut Self) -> Result<Reply, ErrorReply>,
    {
        let Some(token) = call.token.as_deref().filter(|_| self.profile.tokens_honoured) else {
            return act(self);
        };
        if token.is_empty() || token.len() > TOKEN_MAX || !token.is_ascii() {
            let text = format!("clientToken must be 1 to {TOKEN_MAX} ASCII characters");
            return Err(ErrorReply::new(400, "InvalidHTTPRequest", &text));
        }
        if let Some(result) = self.tokens.replay(now, token, &call.request) {
            return result;
        }
        let result = act(self);
        self.tokens.remember(now, token, &call.request, &result);
        result
    }

    fn bind(&mut self, now: Instant, attach: bool, havip: &str, body: &BindRequest) -> Result<(), ErrorReply> {
        let targets = self.checked_targets(havip, body, attach)?;
        let profile = self.profile.clone();
        if let Some(busy) = self.havips.get_mut(havip).filter(|h| now < h.busy_until) {
            busy.refused += 1;
            return Err(busy_reply(busy.refused));
        }
        let result = self.change(now, havip, |binding| {
            if attach { binding.attach(&profile, &targets) } else { binding.detach(&profile, &body.instance_ids) }
        });
        if let (Some(Ok(())), Some(begun)) = (&result, self.havips.get_mut(havip)) {
            begun.busy_until = now + profile.busy;
        }
        result.unwrap_or_else(|| Err(self.missing(havip)))
    }

    /// The targets that a write names, if they may be named together and with this HAVIP.
    fn checked_targets(
        &self,
        havip: &str,
        body: &BindRequest,
        must_exist: bool,
    ) -> Result<Vec<BoundTarget>, ErrorReply> {
        let wrong = |text: String| ErrorReply::new(400, "InappropriateJSON", &text);
        let havip = self.havips.get(havip).ok_or_else(|| self.missing(havip))?;
        let kind = TargetKind::from_api(&body.instance_type)
            .ok_or_else(|| wrong(format!("instanceType {} is neither SERVER nor ENI", quote(&body.instance_type))))?;
        if body.instance_ids.is_empty() || body.instance_ids.len() > BOUND_MAX {
            return Err(wrong(format!("instanceIds must name 1 to {BOUND_MAX}, not {}", body.instance_ids.len())));
        }
        let mut targets = Vec::new();
        for id in &body.instance_ids {
            let place = match kind {
                TargetKind::Server => self.instances.get(id).map(|i| (&i.vpc, &i.subnet)),
                TargetKind::Eni => self.interfaces.get(id).map(|i| (&i.vpc, &i.subnet)),
            };
            match place {
                None if must_exist => return Err(self.missing(id)),
                Some((vpc, _)) if *vpc != havip.spec.vpc => {
                    return Err(wrong(format!("{id} is in {vpc}, the HAVIP in {}", havip.spec.vpc)));
                }
                Some((_, subnet)) if self.profile.same_subnet && *subnet != havip.spec.subnet => {
                    return Err(wrong(format!("{id} is in {subnet}, the HAVIP in {}", havip.spec.subnet)));
                }
                _ => targets.push(BoundTarget { id: id.clone(), kind }),
            }
        }
        Ok(targets)
    }

    fn missing(&self, id: &str) -> ErrorReply {
        ErrorReply::new(self.profile.missing_status, "NoSuchObject", &format!("{id} does not exist"))
    }

    /// Changes one HAVIP's binding; `None` if there is no such HAVIP.
    fn change<T>(&mut self, now: Instant, havip: &str, act: impl FnOnce(&mut Binding) -> T) -> Option<T> {
        let havip = self.havips.get_mut(havip)?;
        let mut binding = havip.timeline.current().clone();
        let result = act(&mut binding);
        if havip.timeline.record(now, binding) {
            self.visible_at.insert(now + self.profile.data_delay);
        }
        Some(result)
    }

    /// A gratuitous ARP for a HAVIP's address from a target's interface; says whether it moved anything.
    ///
    /// `target` is the instance id for its primary interface, else the interface's id. What comes
    /// from outside the VPC, or from an instance that does not run, is not heard.
    pub fn announce(&mut self, now: Instant, target: &str, havip: &str) -> bool {
        self.apply_late(now);
        let vpc = self.havips.get(havip).map(|h| h.spec.vpc.clone());
        if vpc.is_none() || self.vpc_of(target) != vpc.as_deref() || !self.receives(target) {
            return false;
        }
        let profile = self.profile.clone();
        self.change(now, havip, |binding| binding.announce(&profile, target)).unwrap_or(false)
    }

    /// The target that packets for the HAVIP reach; `None` when they are lost.
    #[must_use]
    pub fn traffic_goes_to(&self, now: Instant, havip: &str) -> Option<&str> {
        let binding = self.havips.get(havip)?.timeline.at(now.before(self.profile.data_delay));
        binding.port.as_deref().filter(|target| self.receives(target))
    }

    fn vpc_of(&self, target: &str) -> Option<&str> {
        let instance = self.instances.get(target).map(|i| i.vpc.as_str());
        instance.or_else(|| self.interfaces.get(target).map(|i| i.vpc.as_str()))
    }

    fn receives(&self, target: &str) -> bool {
        let instance = self.interfaces.get(target).map_or(target, |i| &i.instance);
        self.instances.get(instance).is_some_and(|i| i.status == RUNNING)
    }

    /// Whether a write that was answered, or never will be, has yet to be carried out.
    #[must_use]
    pub fn has_late_writes(&self) -> bool {
        !self.late.is_empty()
    }

    fn apply_late(&mut self, now: Instant) {
        while let Some(entry) = self.late.first_entry().filter(|e| e.key().0 <= now) {
            let ((at, _), write) = entry.remove_entry();
            // Nobody is left to hear of a refusal.
            let _ = self.bind(at, write.attach, &write.havip, &write.body);
        }
    }

    /// Applies every delayed effect up to `now` and says which packets go elsewhere since the last time.
    pub fn advance(&mut self, now: Instant) -> Vec<MasterChange> {
        self.apply_late(now);
        self.visible_at = self.visible_at.split_off(&(now + Duration::from_nanos(1)));
        let now_at: BTreeMap<String, MasterChange> = self
            .havips
            .values()
            .map(|h| {
                let target = self.traffic_goes_to(now, &h.spec.id).map(str::to_owned);
                (h.spec.id.clone(), MasterChange { havip: h.spec.id.clone(), address: h.spec.address, target })
            })
            .collect();
        let gone = self.reported.values().filter(|r| r.target.is_some() && !now_at.contains_key(&r.havip));
        let mut changes: Vec<MasterChange> = gone.map(|r| MasterChange { target: None, ..r.clone() }).collect();
        changes.extend(now_at.values().filter(|c| self.reported.get(&c.havip) != Some(c)).cloned());
        self.reported = now_at;
        changes
    }

    /// When [`CloudModel::advance`] has something to do next.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let late = self.late.keys().next().map(|(at, _)| *at);
        [late, self.visible_at.first().copied()].into_iter().flatten().min()
    }
}

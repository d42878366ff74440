//! The control state, and the one function that changes it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::asset::AssetDrop;
use crate::command::{Change, Command, Configured, Found, Judgement};
use crate::departed::Departed;
use crate::id::{Epoch, ServiceName};
use crate::pin::PinKey;
use crate::policy::Policy;
use crate::rejected::{Code, Reason, Rejected};
use crate::report::Traffic;
use crate::service::{Service, Source};
use crate::suspend::{self, Suspension};
use crate::time::{Millis, Timestamp};
use crate::{
    bake, canary, contract, drain, flip, gate, hook, identity, outlier, preview, registry, roll, rollback,
    schema, settle,
};

/// Most services of one proxy.
pub const SERVICES_MAX: usize = 10_000;
/// Most keys that verify pins at a time.
pub const PIN_KEYS_MAX: usize = 4;

/// Everything that the control plane knows. A plain value: changing it makes another one, which shares what did not change.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct State {
    /// All services.
    pub services: BTreeMap<ServiceName, Arc<Service>>,
    /// What is remembered of those that are gone.
    pub departed: Arc<Departed>,
    /// Keys that sign pins, oldest first. The last one signs, all verify.
    pub pin_keys: Arc<[PinKey]>,
    /// How far after the time pins may be dated that are out there: wall clocks are set forward and back. Only grows.
    pub ahead: Millis,
}

impl State {
    /// The state after `command`. Fed the same state, command and time it always answers the same.
    ///
    /// # Errors
    /// [`Rejected`] with every reason, when a rule forbids the command; nothing is changed then.
    pub fn apply(&self, command: &Command, now: Timestamp) -> Result<Self, Rejected> {
        let mut next = self.clone();
        match command {
            Command::Configure(services) => configure(&mut next, services, now)?,
            Command::PutService { service, policy, document } => {
                put_service(&mut next, service, policy, Source::Api(document.clone()), now)?;
            }
            Command::RemoveService(name) => remove_service(&mut next, name)?,
            Command::Service(name, change) => {
                let service = next.services.get(name).ok_or_else(|| unknown_service(name))?;
                let mut changed = Service::clone(service);
                apply_change(&mut changed, change, now)?;
                settle::settle(&mut changed, now);
                if changed != **service {
                    next.services.insert(name.clone(), Arc::new(changed));
                }
            }
            Command::Probed(findings) => probed(&mut next, findings, now),
            Command::Judged(judgements) => judged(&mut next, judgements, now),
            Command::AddPinKey(key) => add_pin_key(&mut next, key),
            Command::Tick(traffic) => tick(&mut next, traffic, now),
        }
        tell_hooks(self, &mut next, now);
        Ok(next)
    }

    /// The state after a restart of the proxy, from what was stored: nothing is believed because it was true before.
    /// Every backend is `starting` with identity `unknown`, every lease has one full term, and pins that earlier
    /// processes handed out may be as fresh as `now`, or dated [`ahead`](Self::ahead) of it.
    #[must_use]
    pub fn restored(mut self, now: Timestamp) -> Self {
        let latest = now + self.ahead;
        for service in self.services.values_mut() {
            let service = Arc::make_mut(service);
            registry::restore(service, now);
            drain::restore(service, latest, now);
            roll::restore(service, now);
        }
        self
    }

    /// The service of this name.
    ///
    /// # Errors
    /// [`Code::UnknownService`].
    pub fn service(&self, name: &ServiceName) -> Result<&Arc<Service>, Rejected> {
        self.services.get(name).ok_or_else(|| unknown_service(name))
    }
}

fn unknown_service(name: &ServiceName) -> Rejected {
    Rejected::because(Code::UnknownService, format!("there is no service {name}"))
}

fn apply_change(service: &mut Service, change: &Change, now: Timestamp) -> Result<(), Rejected> {
    match change {
        Change::Register(registration) => registry::register(service, registration, now),
        Change::Heartbeat { backend, version, boot_id } => {
            registry::heartbeat(service, backend, version.as_ref(), boot_id.as_deref(), now)
        }
        Change::Patch { backend, admin, weight, force, by } => registry::patch(
            service,
            backend,
            &registry::Patch { admin: *admin, weight: *weight, force: *force, by },
            now,
        ),
        Change::Deregister { backend, drain } => registry::deregister(service, backend, *drain, now),
        Change::Flip(flip) => flip::flip(service, flip, now),
        Change::SetCanary(request) => canary::set(service, request, now),
        Change::Rollback(rollback) => rollback::rollback(service, rollback, now),
        Change::Hook(report) => {
            hook::report(service, report, now);
            Ok(())
        }
        Change::Contract(request) => contract::record(service, request, now),
        Change::SetSchema(request) => schema::set(service, request),
        Change::SetGate { version, gate, is_open, note, is_ahead, by } => {
            let setting = gate::Setting { is_open: *is_open, note, is_ahead: *is_ahead, by };
            gate::set_gate(service, version, gate, &setting, now)
        }
        Change::SetHold { version, hold, ttl, by } => gate::set_hold(service, version, hold, *ttl, by, now),
        Change::DropHold { version, hold } => gate::drop_hold(service, version, hold),
        Change::Evict(version) => drain::evict(service, version, now),
        Change::Preview(request) => preview::make(service, request, now),
        Change::Reject { version, reason } => gate::reject(service, version, reason),
        Change::Clear(version) => gate::clear(service, version),
        Change::Suspend { what, reason, until, by } => {
            let suspension = Suspension { reason: reason.clone(), until: *until, by: by.clone(), at: now };
            suspend::suspend(service, *what, suspension);
            Ok(())
        }
        Change::DropAssets(target) => {
            let nth = service.asset_drop.as_ref().map_or(1, |last| last.nth + 1);
            service.asset_drop = Some(AssetDrop { nth, target: target.clone() });
            Ok(())
        }
        Change::Resume(what) => suspend::resume(service, *what),
        Change::AskPermit { backend } => roll::ask(service, backend, now),
        Change::ReturnPermit(backend) => roll::give_back(service, backend),
        Change::ResumeRoll => roll::resume(service),
        Change::AbortRoll { reason } => roll::abort(service, reason),
    }
}

fn put_service(
    state: &mut State,
    name: &ServiceName,
    policy: &Arc<Policy>,
    source: Source,
    now: Timestamp,
) -> Result<(), Rejected> {
    let mut reasons = Vec::new();
    if !state.services.contains_key(name) && state.services.len() >= SERVICES_MAX {
        reasons.push(Reason::new(Code::LimitReached, format!("there are {SERVICES_MAX} services already")));
    }
    if let (Source::Api(_), Some(Source::Config)) =
        (&source, state.services.get(name).map(|service| &service.source))
    {
        let detail = format!("{name} is defined in the configuration file; change it there and reload");
        reasons.push(Reason::new(Code::DefinedInConfig, detail));
    }
    reasons.extend(route_conflicts(state, name, policy));
    Rejected::if_any(reasons)?;
    let mut service = match state.services.get(name) {
        Some(service) => Service::clone(service),
        None => begin(state, name, policy, source.clone(), now),
    };
    replace_policy(&mut service, policy, now + state.ahead);
    service.source = source;
    settle::settle(&mut service, now);
    state.services.insert(name.clone(), Arc::new(service));
    Ok(())
}

/// A service appears. One that was there before goes on from its last epoch: its pins are still out there.
fn begin(
    state: &mut State,
    name: &ServiceName,
    policy: &Arc<Policy>,
    source: Source,
    now: Timestamp,
) -> Service {
    let mut service = Service::new(name.clone(), Arc::clone(policy), source);
    service.epoch = state.departed.epoch(name);
    if service.epoch > Epoch(0) {
        service.former_pins_until = Some(now);
        drain::assume_pins(&mut service, now + state.ahead);
        Arc::make_mut(&mut state.departed).come(name);
    }
    service
}

fn replace_policy(service: &mut Service, policy: &Arc<Policy>, latest_pin: Timestamp) {
    let old = std::mem::replace(&mut service.policy, Arc::clone(policy));
    if old.hooks != policy.hooks {
        // Whoever refused may be nobody's hook any more.
        service.hooks.asked = None;
    }
    if old.identity != policy.identity {
        identity::forget_identities(service);
    }
    if policy.pin.idle > old.pin.idle || policy.pin.life > old.pin.life {
        // When a pin ends is told by the policy that it meets: those that are out there live longer than was noted.
        drain::assume_pins(service, latest_pin);
    }
}

/// Two services can't answer for the same host and path.
fn route_conflicts(state: &State, name: &ServiceName, policy: &Policy) -> Vec<Reason> {
    let mut reasons = Vec::new();
    for other in state.services.values().filter(|other| other.name != *name) {
        let are_both_for_all = policy.hosts.is_empty() && other.policy.hosts.is_empty();
        let shared = policy.hosts.iter().find(|host| other.policy.hosts.contains(host));
        if shared.is_none() && !are_both_for_all {
            continue;
        }
        let host = shared.map_or_else(|| "hosts that nobody else names".to_owned(), ToString::to_string);
        let made = match other.source {
            Source::Api(_) => {
                format!(", which was made by the admin API (`DELETE /v1/services/{}` removes it)", other.name)
            }
            Source::Config => String::new(),
        };
        for path in policy.paths.iter().filter(|path| other.policy.paths.contains(path)) {
            let path = path.as_str();
            let detail = format!(
                "{name} can't have path {path} of {host}: it is that of service {}{made}",
                other.name
            );
            reasons.push(Reason::new(Code::RouteTaken, detail));
        }
    }
    reasons
}

fn remove_service(state: &mut State, name: &ServiceName) -> Result<(), Rejected> {
    let service = state.services.get(name).ok_or_else(|| unknown_service(name))?;
    if service.source == Source::Config {
        let detail = format!("{name} is defined in the configuration file; remove it there and reload");
        return Err(Rejected::because(Code::DefinedInConfig, detail));
    }
    let epoch = service.epoch;
    Arc::make_mut(&mut state.departed).leave(name, epoch);
    state.services.remove(name);
    Ok(())
}

fn configure(state: &mut State, configured: &[Configured], now: Timestamp) -> Result<(), Rejected> {
    let is_configured = |name: &ServiceName| configured.iter().any(|service| service.name == *name);
    // Those that left the file go first, so that others may take their routes.
    let has_left =
        |name: &ServiceName, service: &Service| service.source == Source::Config && !is_configured(name);
    for (name, service) in state.services.extract_if(.., |name, service| has_left(name, service)) {
        Arc::make_mut(&mut state.departed).leave(&name, service.epoch);
    }
    // All policies are replaced before routes are compared: two services may exchange routes in one reload.
    let latest_pin = now + state.ahead;
    for Configured { name, policy, .. } in configured {
        if let Some(service) = state.services.get_mut(name).filter(|service| service.policy != *policy) {
            replace_policy(Arc::make_mut(service), policy, latest_pin);
        }
    }
    for Configured { name, policy, backends } in configured {
        put_service(state, name, policy, Source::Config, now)?;
        let mut service = Service::clone(&state.services[name]);
        registry::configure(&mut service, backends, now)?;
        settle::settle(&mut service, now);
        if *state.services[name] != service {
            state.services.insert(name.clone(), Arc::new(service));
        }
    }
    Ok(())
}

/// Many backends come up together after a start: each service is copied and settled once for all of them.
fn probed(state: &mut State, findings: &[Found], now: Timestamp) {
    let mut by_service: BTreeMap<&ServiceName, Vec<&Found>> = BTreeMap::new();
    for found in findings {
        by_service.entry(&found.service).or_default().push(found);
    }
    for (name, findings) in by_service {
        let Some(service) = state.services.get_mut(name) else { continue };
        let mut changed = Service::clone(service);
        findings.into_iter().for_each(|found| identity::probed(&mut changed, found, now));
        settle::settle(&mut changed, now);
        if changed != **service {
            *service = Arc::new(changed);
        }
    }
}

/// What is over by now changes nothing.
fn judged(state: &mut State, judgements: &[Judgement], now: Timestamp) {
    for judgement in judgements {
        let Some(service) = state.services.get_mut(&judgement.service) else { continue };
        let mut changed = Service::clone(service);
        bake::judged(&mut changed, judgement, now);
        settle::settle(&mut changed, now);
        if changed != **service {
            *service = Arc::new(changed);
        }
    }
}

/// The oldest key goes when there are too many; pins that it signed end.
fn add_pin_key(state: &mut State, key: &PinKey) {
    let others = state.pin_keys.iter().filter(|other| other.id != key.id).cloned();
    let mut keys: Vec<PinKey> = others.chain([key.clone()]).collect();
    keys.drain(..keys.len().saturating_sub(PIN_KEYS_MAX));
    state.pin_keys = keys.into();
}

/// Hooks are told of what a change did, whatever brought it about.
fn tell_hooks(before: &State, state: &mut State, now: Timestamp) {
    for (name, service) in &mut state.services {
        if service.policy.hooks.is_empty() {
            continue;
        }
        let Some(before) = before.services.get(name).filter(|before| !Arc::ptr_eq(before, service)) else {
            continue;
        };
        hook::follow(before, service, now);
    }
}

fn tick(state: &mut State, traffic: &Traffic, now: Timestamp) {
    state.ahead = state.ahead.max(traffic.skew.ahead);
    let noticed: BTreeSet<&ServiceName> = traffic.backends.keys().map(|(service, _)| service).collect();
    for (name, service) in &mut state.services {
        if !noticed.contains(name) && !settle::is_due(service, now) {
            continue;
        }
        let mut changed = Service::clone(service);
        outlier::observe(&mut changed, traffic, now);
        registry::observe(&mut changed, traffic, now);
        drain::observe(&mut changed, traffic, now);
        gate::lapse(&mut changed, now);
        suspend::lapse(&mut changed, now);
        roll::observe(&mut changed, traffic, now);
        canary::observe(&mut changed, now);
        settle::settle(&mut changed, now);
        if changed != **service {
            *service = Arc::new(changed);
        }
    }
}

//! Flips and rollbacks as the API takes and answers them.

use cutover_core::command::Flip;
use cutover_core::drain::pins_until;
use cutover_core::hook::{must_ask, of};
use cutover_core::policy::HookPoint;
use cutover_core::rejected::Reason;
use cutover_core::report::Load;
use cutover_core::service::Service;
use cutover_core::time::{Millis, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::problem::ReasonBody;
use super::time;

/// Makes a version active.
#[derive(Debug, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FlipBody {
    /// The version.
    #[schema(example = "v2")]
    pub to: String,
    /// Only if this is the epoch; 412 otherwise.
    pub if_epoch: Option<u64>,
    /// Why; kept in the timeline.
    pub reason: Option<String>,
    /// Whether to override quorum, gates, freeze and `pre_flip` hooks, which are not asked then. Never overrides an empty set, a rejection,
    /// the rollback floor or the schema.
    pub force: Option<bool>,
    /// Whether to change nothing and answer what would happen.
    pub dry_run: Option<bool>,
}

/// Goes back to the version that was active before.
#[derive(Debug, Default, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RollbackBody {
    /// Only if this is the epoch; 412 otherwise.
    pub if_epoch: Option<u64>,
    /// Why; kept in the timeline and with the rejected version.
    pub reason: Option<String>,
    /// What happens to sessions of the bad version; `move` when it is not given.
    pub sessions: Option<SessionsBody>,
}

/// What a rollback does with the sessions of the bad version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SessionsBody {
    /// They move at their next request.
    Move,
    /// They stay until their pins end.
    Keep,
}

/// The switch is made: every worker of this node serves it.
#[derive(Debug, Serialize, ToSchema)]
pub struct Flipped {
    /// The epoch that began.
    #[schema(example = 2)]
    pub epoch: u64,
    /// The version that was active.
    #[schema(example = "v1")]
    pub from: Option<String>,
    /// The version that is.
    #[schema(example = "v2")]
    pub to: String,
    /// The revision that holds it.
    pub revision: u64,
    /// The version that is rejected from now on; only in the answer to a rollback.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rejected: Option<String>,
}

/// What a call to flip answers.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum FlipAnswer {
    /// It is done.
    Done(Flipped),
    /// It was only asked for.
    DryRun(DryRun),
}

/// What a flip would do.
#[derive(Debug, Serialize, ToSchema)]
pub struct DryRun {
    /// Whether it would be done.
    pub allowed: bool,
    /// Everything that stands in its way.
    pub reasons: Vec<ReasonBody>,
    /// What it would change.
    pub plan: Plan,
}

/// What a flip would change.
#[derive(Debug, Serialize, ToSchema)]
pub struct Plan {
    /// The version that is active.
    pub from: Option<String>,
    /// The version that would be.
    pub to: String,
    /// The epoch that would begin.
    pub epoch: u64,
    /// What would be left of the old version.
    pub old: OldVersion,
    /// What the new version would have.
    pub capacity: CapacityAfter,
    /// How long the old version would drain.
    pub drain: DrainEstimate,
    /// The `pre_flip` hooks that would be asked first, without their paths.
    #[schema(example = json!(["https://ci.example.com"]))]
    pub pre_flip: Vec<String>,
}

/// What would be left of the old version.
#[derive(Debug, Serialize, ToSchema)]
pub struct OldVersion {
    /// By when every pin of it has expired, if no session comes back before; `null` when there can be none.
    #[schema(format = DateTime)]
    pub latest_pin_expiry: Option<String>,
    /// Requests in flight, tunnels included.
    pub in_flight: u64,
    /// Tunnels that are open.
    pub tunnels: u64,
    /// Holds on it.
    pub holds: usize,
}

/// What the new version would have.
#[derive(Debug, Serialize, ToSchema)]
pub struct CapacityAfter {
    /// Usable backends.
    pub usable_backends: u32,
    /// Their weight.
    pub usable_weight: u64,
    /// The weight that the service is expected to have.
    pub expected_weight: u64,
}

/// How long the old version would drain.
#[derive(Debug, Serialize, ToSchema)]
pub struct DrainEstimate {
    /// If no session of it comes back: until its last pin and hold have expired.
    #[schema(example = "30m")]
    pub expected: String,
    /// Until its last session is evicted.
    #[schema(example = "1h")]
    pub at_most: String,
}

impl DryRun {
    /// What `flip` would do to `service`, given what stands in its way and the load of the active version.
    #[must_use]
    pub fn new(service: &Service, flip: &Flip, reasons: &[Reason], load: Load, now: Timestamp) -> Self {
        let to = &flip.to;
        let capacity = service.capacity(to);
        Self {
            allowed: reasons.is_empty(),
            reasons: reasons.iter().map(ReasonBody::from).collect(),
            plan: Plan {
                from: service.active.as_ref().map(ToString::to_string),
                to: to.to_string(),
                epoch: service.epoch.next().0,
                old: old_version(service, load, now),
                capacity: CapacityAfter {
                    usable_backends: capacity.usable,
                    usable_weight: capacity.usable_weight,
                    expected_weight: service.expected_weight(),
                },
                drain: drain(service, load, now),
                pre_flip: pre_flip(service, flip, now),
            },
        }
    }
}

fn pre_flip(service: &Service, flip: &Flip, now: Timestamp) -> Vec<String> {
    if flip.force || !must_ask(service, &flip.to, now) {
        return Vec::new();
    }
    of(service, HookPoint::PreFlip).map(|hook| hook.url.origin()).collect()
}

fn old_version(service: &Service, load: Load, now: Timestamp) -> OldVersion {
    let active = service.active_version();
    let pins = active.map(|active| pins_until(active, load)).filter(|&until| until > now);
    OldVersion {
        latest_pin_expiry: pins.map(time::write),
        in_flight: load.in_flight,
        tunnels: load.tunnels,
        holds: active.map_or(0, |active| active.holds.len()),
    }
}

fn drain(service: &Service, load: Load, now: Timestamp) -> DrainEstimate {
    let policy = service.policy.drain;
    let at_most = Millis(policy.deadline.0.saturating_add(policy.spread.0));
    let expected = service.active_version().map_or(Millis::ZERO, |active| {
        let holds = active.holds.values().map(|hold| hold.expires_at);
        let last = holds.chain([pins_until(active, load)]).max().unwrap_or(now);
        last.since(now).min(at_most)
    });
    // Nobody plans by milliseconds: rounded up, so that nothing is promised too early.
    let expected = Millis::from_secs(expected.0.div_ceil(1000));
    DrainEstimate { expected: expected.to_string(), at_most: at_most.to_string() }
}

//! Rolls and permits as the API shows and takes them.

use cutover_core::id::BackendId;
use cutover_core::roll::{self, Outlook, Permit, Roll};
use cutover_core::service::Service;
use cutover_core::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::problem::ReasonBody;
use super::time;

/// Asks for leave to restart a backend.
#[derive(Debug, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PermitBody {
    /// The backend.
    #[schema(example = "a")]
    pub backend: String,
    /// How long to wait for the permit, at most `1h`; not at all when it is not given.
    #[schema(example = "30s")]
    pub wait: Option<String>,
}

/// What a call for a permit answers.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum PermitAnswer {
    /// The backend may be restarted now.
    Granted(Granted),
    /// It may not yet.
    NotYet(NotYet),
}

/// The backend may be restarted now: nothing is left on it.
#[derive(Debug, Serialize, ToSchema)]
pub struct Granted {
    /// Always `true`.
    pub granted: bool,
    /// The backend.
    #[schema(example = "a")]
    pub backend: String,
    /// Since when.
    #[schema(format = DateTime)]
    pub granted_at: String,
    /// When it must be back; later, the roll freezes.
    #[schema(format = DateTime)]
    pub deadline: String,
    /// The batch that it belongs to, from 1.
    #[schema(example = 1)]
    pub batch: u32,
    /// Batches of the roll.
    #[schema(example = 2)]
    pub batches: u32,
}

/// The backend may not be restarted yet.
#[derive(Debug, Serialize, ToSchema)]
pub struct NotYet {
    /// Always `false`.
    pub granted: bool,
    /// The backend.
    #[schema(example = "d")]
    pub backend: String,
    /// Whether it waits for others, or has begun to drain.
    pub state: NotYetState,
    /// What it waits for.
    pub reasons: Vec<ReasonBody>,
    /// Seconds after which to ask again; also in `Retry-After`.
    #[schema(example = 5)]
    pub retry_after: u64,
}

/// Why a permit is not granted yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NotYetState {
    /// Others come first.
    Waiting,
    /// It gets nothing new, and finishes what it has. The permit is reserved for it.
    Draining,
}

/// Goes on with a frozen roll, or ends one.
#[derive(Debug, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RollBody {
    /// What to do.
    pub action: RollAction,
    /// Why; kept in the timeline.
    pub reason: Option<String>,
}

/// What to do with a roll.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RollAction {
    /// A frozen one goes on.
    Resume,
    /// It ends where it is. All permits end; if the version that it leads to is only staged, that is rejected.
    Abort,
}

/// How far a roll is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "Roll")]
pub struct RollView {
    /// Where it stands.
    pub state: RollState,
    /// Why it is frozen, or how it ended; `null` while there is nothing to say.
    #[schema(example = "backend a did not come back within 10m")]
    pub reason: Option<String>,
    /// The batch that is restarted, from 1; 0 before the first roll.
    pub batch: u32,
    /// Batches that there are.
    pub batches: u32,
    /// Backends that there were when the roll began; those that there are now, if there is none.
    pub size: u32,
    /// The version that restarted backends came back with, once one did.
    #[schema(example = "v2")]
    pub to: Option<String>,
    /// Permits that did not end, by backend.
    pub permits: Vec<PermitView>,
    /// Backends that came back.
    pub done: Vec<String>,
}

/// The state of a roll.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RollState {
    /// There is none.
    Idle,
    /// Backends are being restarted.
    Running,
    /// A restart failed: nobody gets a permit until somebody resumes or aborts the roll.
    Frozen,
    /// Every backend is restarted.
    Done,
}

/// Leave to restart a backend.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "Permit")]
pub struct PermitView {
    /// The backend.
    #[schema(example = "a")]
    pub backend: String,
    /// How far it is.
    pub state: PermitState,
    /// When it was asked for. The backend drains since then.
    #[schema(format = DateTime)]
    pub asked_at: String,
    /// When the backend was empty, so that it may be restarted.
    #[schema(format = DateTime)]
    pub granted_at: Option<String>,
    /// When the backend must be back.
    #[schema(format = DateTime)]
    pub deadline: Option<String>,
}

/// How far a permit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PermitState {
    /// The backend finishes what it has.
    Draining,
    /// The backend may be restarted.
    Granted,
}

/// A roll, and what stands in the way of each backend's restart.
#[derive(Debug, Serialize, ToSchema)]
pub struct RollPlan {
    /// How far it is.
    #[serde(flatten)]
    pub roll: RollView,
    /// The backends, by id.
    pub backends: Vec<PlannedBackend>,
    /// What of the active version must stay usable.
    pub capacity: PlannedCapacity,
}

/// A backend in a roll.
#[derive(Debug, Serialize, ToSchema)]
pub struct PlannedBackend {
    /// The backend.
    #[schema(example = "a")]
    pub backend: String,
    /// The version that it was last known to run.
    #[schema(example = "v1")]
    pub version: Option<String>,
    /// Its share of the version's traffic, relative to the others.
    pub weight: u16,
    /// Its part in the roll.
    pub state: PlannedState,
    /// What it waits for. Two that could be next may still not both be: each is judged by itself.
    pub reasons: Vec<ReasonBody>,
}

/// The part of a backend in a roll.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PlannedState {
    /// It came back.
    Done,
    /// It may be restarted.
    Permitted,
    /// It finishes what it has, and may be restarted then.
    Draining,
    /// It would get a permit now.
    Next,
    /// Something stands in its way.
    Waiting,
}

/// Weights of the active version.
#[derive(Debug, Serialize, ToSchema)]
pub struct PlannedCapacity {
    /// What is usable.
    pub usable: u64,
    /// What the service is expected to have.
    pub expected: u64,
    /// What must stay usable when the next backend is taken out.
    pub needed: u64,
}

impl Granted {
    /// The grant, if the backend of this name has one.
    #[must_use]
    pub fn new(service: &Service, id: &BackendId) -> Option<Self> {
        let (roll, policy) = (&service.roll, &service.policy.roll);
        let permit = roll.permits.get(id)?;
        Some(Self {
            granted: true,
            backend: id.to_string(),
            granted_at: time::write(permit.granted_at?),
            deadline: time::write(permit.deadline?),
            batch: roll.batch,
            batches: policy.batches(roll.size),
        })
    }
}

impl RollView {
    /// The roll of a service.
    #[must_use]
    pub fn new(service: &Service) -> Self {
        let roll = &service.roll;
        let is_there = roll.state != roll::State::Idle;
        let size =
            if is_there { roll.size } else { u32::try_from(service.backends.len()).unwrap_or(u32::MAX) };
        Self {
            state: match roll.state {
                roll::State::Idle => RollState::Idle,
                roll::State::Running => RollState::Running,
                roll::State::Frozen => RollState::Frozen,
                roll::State::Done => RollState::Done,
            },
            reason: Some(roll.reason.clone()).filter(|reason| !reason.is_empty()),
            batch: roll.batch,
            batches: service.policy.roll.batches(size),
            size,
            to: roll.to.as_ref().map(ToString::to_string),
            permits: roll.permits.iter().map(|(id, permit)| PermitView::new(id, permit)).collect(),
            done: roll.done.iter().map(ToString::to_string).collect(),
        }
    }
}

impl PermitView {
    fn new(id: &BackendId, permit: &Permit) -> Self {
        Self {
            backend: id.to_string(),
            state: if permit.is_granted() { PermitState::Granted } else { PermitState::Draining },
            asked_at: time::write(permit.asked_at),
            granted_at: permit.granted_at.map(time::write),
            deadline: permit.deadline.map(time::write),
        }
    }
}

impl RollPlan {
    /// The roll of a service, and what stands in the way of each of its backends.
    #[must_use]
    pub fn new(service: &Service, now: Timestamp) -> Self {
        let outlook = Outlook::new(service, now);
        let planned = |backend: &cutover_core::backend::Backend| {
            let is_restarted = |roll: &Roll| is_restarted(roll, backend);
            let reasons = match &service.roll {
                roll if is_restarted(roll) || roll.permits.contains_key(&backend.id) => Vec::new(),
                _ => outlook.obstacles(&backend.id),
            };
            let state = match &service.roll {
                roll if roll.is_granted(&backend.id) => PlannedState::Permitted,
                roll if roll.is_emptying(&backend.id) => PlannedState::Draining,
                roll if is_restarted(roll) => PlannedState::Done,
                _ if reasons.is_empty() => PlannedState::Next,
                _ => PlannedState::Waiting,
            };
            PlannedBackend {
                backend: backend.id.to_string(),
                version: backend.version.as_ref().map(ToString::to_string),
                weight: backend.weight().value(),
                state,
                reasons: reasons.iter().map(ReasonBody::from).collect(),
            }
        };
        Self {
            roll: RollView::new(service),
            backends: service.backends.values().map(|backend| planned(backend)).collect(),
            capacity: PlannedCapacity {
                usable: outlook.usable(),
                expected: service.expected_weight(),
                needed: outlook.needed(),
            },
        }
    }
}

/// Whether a roll that goes on has nothing left to do with a backend. Of one that is over nothing is left: the next may begin with anyone.
fn is_restarted(roll: &Roll, backend: &cutover_core::backend::Backend) -> bool {
    matches!(roll.state, roll::State::Running | roll::State::Frozen)
        && roll.done.contains(&backend.id)
        && (roll.to.is_none() || roll.to == backend.version)
}

//! What operators and scripts want of a service: anything, in any order.

use cutover_core::backend::{AdminState, Weight};
use cutover_core::command::{Change, Flip, Rollback, Sessions, SetCanary};
use cutover_core::contract::RecordContract;
use cutover_core::entropy::Entropy;
use cutover_core::id::{BackendId, GateName, HoldName, VersionLabel};
use cutover_core::policy::Share;
use cutover_core::schema::{Schema, SetSchema};
use cutover_core::service::Service;
use cutover_core::suspend::Suspended;
use cutover_core::time::Millis;

use crate::fleet::version;

/// Draws one change that somebody may ask for.
pub(crate) fn something(service: &Service, dice: &mut Entropy) -> Change {
    let versions: Vec<&VersionLabel> = service.versions.keys().collect();
    let backends: Vec<&BackendId> = service.backends.keys().collect();
    let some = pick(&versions, dice).unwrap_or_else(|| version(1));
    let backend = pick(&backends, dice).unwrap_or_else(|| BackendId::parse("nobody").unwrap());
    let by = "ops".to_owned();
    let patch = |admin, weight, force| Change::Patch {
        backend: backend.clone(),
        admin,
        weight,
        force,
        by: by.clone(),
    };
    match dice.below(38) {
        0..10 => Change::Flip(Flip { to: some, if_epoch: None, force: dice.below(3) == 0 }),
        10 => {
            let sessions = if dice.below(2) == 0 { Sessions::Move } else { Sessions::Keep };
            Change::Rollback(Rollback { if_epoch: None, sessions, reason: "bad".into() })
        }
        11 => Change::Deregister { backend, drain: Millis(dice.below(2) * 5000) },
        12 => patch(Some(AdminState::Maint), None, true),
        13..16 => patch(Some(AdminState::Ready), Weight::new(1 + dice.below(2)), false),
        16 => patch(Some(AdminState::Drain), None, false),
        17 => {
            let gate = GateName::parse("smoke").unwrap();
            let is_open = dice.below(2) == 0;
            Change::SetGate { version: some, gate, is_open, note: String::new(), is_ahead: true, by }
        }
        18 => Change::SetHold { version: some, hold: hold(), ttl: Millis(30_000), by },
        19 => Change::DropHold { version: some, hold: hold() },
        20 => Change::Evict(some),
        21 => Change::Reject { version: some, reason: "no".into() },
        22 => Change::Clear(some),
        23 => Change::Suspend { what: Suspended::Flips, reason: "sale".into(), until: None, by },
        24 => Change::AskPermit { backend },
        25 => Change::ReturnPermit(backend),
        26 => Change::ResumeRoll,
        // Mostly when it may run, and now and then by somebody who knows better.
        28 | 29 => Change::Contract(RecordContract {
            note: String::new(),
            schema: None,
            force: dice.below(4) == 0,
            by,
        }),
        30 => {
            let schema = Schema::new(dice.below(6)).filter(|schema| schema.value() > 0);
            Change::SetSchema(SetSchema { schema, force: dice.below(4) == 0 })
        }
        33.. => Change::SetCanary(set_canary(service, some, dice)),
        27 => Change::AbortRoll { reason: "no time".into() },
        _ => Change::Resume(Suspended::Flips),
    }
}

/// Mostly about the canary that there is.
fn set_canary(service: &Service, some: VersionLabel, dice: &mut Entropy) -> SetCanary {
    let running = service.canary.as_ref().filter(|_| dice.below(4) != 0);
    let share = match dice.below(6) {
        0 => Some(0.0),
        1 => Some(1.0),
        2 | 3 => Some(dice.below(100) as f64 / 100.0),
        _ => None,
    };
    SetCanary {
        to: running.map_or(some, |canary| canary.version.clone()),
        share: share.and_then(Share::new),
        paused: [None, Some(true), Some(false)][dice.below(3) as usize].filter(|_| share.is_none()),
        if_epoch: None,
    }
}

fn pick<T: Clone>(from: &[&T], dice: &mut Entropy) -> Option<T> {
    let at = dice.below(from.len() as u64) as usize;
    from.get(at).map(|&item| item.clone())
}

fn hold() -> HoldName {
    HoldName::parse("cron").unwrap()
}

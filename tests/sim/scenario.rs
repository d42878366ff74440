//! What differs from history to history: the policy of the service, and how much goes on.

use cutover_core::entropy::Entropy;
use cutover_core::policy::{
    Affinity, CanaryPolicy, CanaryStep, DrainPolicy, FlipMode, FlipPolicy, HealthPolicy, IdentityPolicy,
    IdentitySource, PinMode, PinPolicy, Policy, RollPolicy, RollStrategy, Share,
};
use cutover_core::time::Millis;

use crate::fleet::MACHINES_MAX;

/// What a history begins with.
pub(crate) struct Scenario {
    pub(crate) policy: Policy,
    pub(crate) machines: u64,
    /// Whether processes name themselves in their health answers and registrations.
    pub(crate) names_boots: bool,
    /// Whether registrations lapse.
    pub(crate) has_leases: bool,
    /// Whether machines are restarted by the roll alone, most of the time.
    pub(crate) is_calm: bool,
}

impl Scenario {
    pub(crate) fn draw(dice: &mut Entropy) -> Self {
        Self {
            policy: policy(dice),
            // Most fleets can be halved.
            machines: if dice.below(3) == 0 { 2 + dice.below(MACHINES_MAX - 1) } else { 6 },
            names_boots: dice.below(2) == 0,
            has_leases: dice.below(3) == 0,
            is_calm: dice.below(2) == 0,
        }
    }
}

fn policy(dice: &mut Entropy) -> Policy {
    let source = match dice.below(6) {
        0 => IdentitySource::Label,
        1 | 2 => IdentitySource::Health,
        _ => IdentitySource::Response,
    };
    let strategy = match dice.below(4) {
        0 => RollStrategy::OneByOne,
        1 => RollStrategy::Batches(3),
        _ => RollStrategy::Batches(2),
    };
    let mode = if dice.below(2) == 0 { FlipMode::Manual } else { FlipMode::Auto };
    // Without pins only requests in flight hold a version back.
    let pins = match dice.below(8) {
        0 | 1 => PinMode::None,
        2 | 3 => PinMode::Page,
        _ => PinMode::Session,
    };
    let steps: &[f64] = if dice.below(3) == 0 { &[0.2, 0.6] } else { &[] };
    let step = |&of: &f64| CanaryStep { share: Share::new(of).unwrap(), lasts: Millis::from_secs(15) };
    Policy {
        identity: IdentityPolicy { source, ..IdentityPolicy::default() },
        affinity: if dice.below(3) == 0 { Affinity::Backend } else { Affinity::Version },
        min_capacity: Share::new(if dice.below(3) == 0 { 0.4 } else { 0.5 }).unwrap(),
        health: HealthPolicy {
            interval: Millis::from_secs(if dice.below(2) == 0 { 1 } else { 5 }),
            ..HealthPolicy::default()
        },
        flip: FlipPolicy { mode, stable_for: Millis(2000), ..FlipPolicy::default() },
        pin: PinPolicy {
            mode: pins,
            idle: Millis::from_secs(20),
            life: Millis::from_secs(120),
            ..PinPolicy::default()
        },
        canary: CanaryPolicy { steps: steps.iter().map(step).collect() },
        drain: DrainPolicy { deadline: Millis::from_secs(90), spread: Millis::from_secs(10) },
        roll: RollPolicy { strategy, permit_deadline: Millis::from_secs(30 + 60 * dice.below(2)) },
        ..Policy::default()
    }
}

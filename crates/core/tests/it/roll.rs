//! Rolls of a fixed fleet: who may be restarted when, what freezes a roll, and how it goes on.

use std::sync::Arc;

use cutover_core::backend::{AdminState, Weight};
use cutover_core::command::{Change, Command, Finding, Flip, Registration, Sessions};
use cutover_core::policy::{
    DrainPolicy, FlipMode, FlipPolicy, PinMode, PinPolicy, Policy, RollPolicy, RollStrategy, Share,
};
use cutover_core::rejected::Code;
use cutover_core::report::{BackendFacts, Traffic};
use cutover_core::roll::{Roll, State};
use cutover_core::time::Millis;

use crate::world::{World, codes, id, label, registration, web};

const NAMES: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];

/// Flips by itself and at once, and has no pins, so that what was replaced is drained at the next tick.
fn by_itself() -> Policy {
    Policy {
        flip: FlipPolicy { mode: FlipMode::Auto, stable_for: Millis::ZERO, ..FlipPolicy::default() },
        ..by_hand()
    }
}

fn by_hand() -> Policy {
    Policy {
        flip: FlipPolicy { stable_for: Millis::ZERO, ..FlipPolicy::default() },
        pin: PinPolicy { mode: PinMode::None, ..PinPolicy::default() },
        ..Policy::default()
    }
}

fn fleet(policy: Policy, size: usize) -> World {
    World::serving(policy, "v1", &NAMES[..size])
}

fn weighted(policy: Policy, weights: &[u64]) -> World {
    let mut world = World::new(policy);
    for (name, &weight) in NAMES.iter().zip(weights) {
        let weight = Weight::new(weight).unwrap();
        world.change(Change::Register(Registration { weight, ..registration(name, "v1") })).unwrap();
    }
    NAMES[..weights.len()].iter().for_each(|name| world.up(name, "v1"));
    world
}

impl World {
    fn ask(&mut self, backend: &str) -> Result<(), cutover_core::rejected::Rejected> {
        self.change(Change::AskPermit { backend: id(backend) })
    }

    /// Why a backend gets no permit, as programs read it.
    fn refused(&mut self, backend: &str) -> Vec<Code> {
        codes(self.ask(backend))
    }

    /// Why a backend gets no permit, as people read it.
    fn why(&mut self, backend: &str) -> String {
        self.ask(backend).unwrap_err().to_string()
    }

    /// Takes a permit and lets the backend drain.
    fn permit(&mut self, backend: &str) {
        self.ask(backend).unwrap_or_else(|rejected| panic!("{backend}: {rejected}"));
        self.wait(Millis(100));
        assert!(self.is_granted(backend), "{backend} has no permit");
    }

    /// The process ends and another one comes up.
    fn restart(&mut self, backend: &str, version: &str) {
        self.down(backend);
        self.up(backend, version);
        self.wait(Millis(100));
    }

    fn is_granted(&self, backend: &str) -> bool {
        self.roll().is_granted(&id(backend))
    }

    fn roll(&self) -> &Roll {
        &self.service().roll
    }

    fn frozen(&self) -> &str {
        assert_eq!(self.roll().state, State::Frozen);
        &self.roll().reason
    }

    /// What a loop over all hosts does, and how often it had to wait for a flip; the order in which it went.
    fn deploy(&mut self, version: &str, backends: &[&str]) {
        for backend in backends {
            self.permit(backend);
            self.restart(backend, version);
        }
    }

    fn usable(&self, version: &str) -> u64 {
        self.service().capacity(&label(version)).usable_weight
    }
}

#[test]
fn a_loop_over_six_hosts_is_a_roll_by_halves() {
    let mut world = fleet(by_itself(), 6);
    world.deploy("v2", &["a", "b"]);
    assert_eq!((world.active(), world.role("v2")), (Some("v1"), "staged"));
    world.deploy("v2", &["c"]);
    assert_eq!((world.active(), world.role("v1"), world.epoch()), (Some("v2"), "drained", 2));
    world.deploy("v2", &["d", "e", "f"]);
    let roll = world.roll();
    assert_eq!((roll.state, roll.batch, roll.done.len(), world.epoch()), (State::Done, 2, 6, 2));
}

#[test]
fn half_of_them_may_go_at_a_time() {
    let mut world = fleet(by_itself(), 6);
    for backend in ["a", "b", "c"] {
        world.permit(backend);
    }
    assert_eq!(world.refused("d"), [Code::BatchFull, Code::BelowMinCapacity]);
    for backend in ["c", "a", "b"] {
        world.restart(backend, "v2");
    }
    assert_eq!(world.active(), Some("v2"));
    ["d", "e", "f"].iter().for_each(|backend| world.permit(backend));
    ["d", "e", "f"].iter().for_each(|backend| world.restart(backend, "v2"));
    assert_eq!(world.roll().state, State::Done);
}

#[test]
fn a_fleet_of_any_size_comes_to_its_end() {
    for size in 2..=8 {
        for strategy in [RollStrategy::Batches(2), RollStrategy::Batches(3), RollStrategy::OneByOne] {
            let roll = RollPolicy { strategy, ..RollPolicy::default() };
            let mut world = fleet(Policy { roll, ..by_itself() }, size);
            world.deploy("v2", &NAMES[..size]);
            let (state, epoch) = (world.roll().state, world.epoch());
            assert_eq!((state, epoch), (State::Done, 2), "{size} backends, {strategy:?}");
        }
    }
}

#[test]
fn the_share_is_rounded_down_only_when_nothing_else_is_out() {
    let mut world = fleet(by_itself(), 3);
    world.permit("a");
    assert_eq!(world.refused("b"), [Code::BelowMinCapacity]);
    world.restart("a", "v2");
    world.permit("b");
    assert_eq!((world.usable("v1"), world.usable("v2")), (1, 1));
    assert!(world.refused("c").contains(&Code::BelowMinCapacity));
    world.restart("b", "v2");
    assert_eq!(world.active(), Some("v2"));
}

#[test]
fn the_only_backend_goes_if_the_policy_says_that_nothing_must_stay() {
    let mut world = fleet(by_itself(), 1);
    assert_eq!(world.refused("a"), [Code::BelowMinCapacity]);
    let min_capacity = Share::new(0.0).unwrap();
    let mut world = fleet(Policy { min_capacity, ..by_itself() }, 1);
    world.deploy("v2", &["a"]);
    assert_eq!((world.active(), world.roll().state), (Some("v2"), State::Done));
}

#[test]
fn weights_count_and_not_heads() {
    let mut world = weighted(by_itself(), &[3, 1, 1, 1]);
    world.permit("a");
    assert_eq!(world.refused("b"), [Code::BelowMinCapacity]);
    world.restart("a", "v2");
    assert_eq!(world.active(), Some("v2"));
    world.deploy("v2", &["b", "c", "d"]);
    assert_eq!(world.roll().state, State::Done);
}

#[test]
fn a_version_whose_last_backend_leaves_is_not_waited_for() {
    let mut world = fleet(by_hand(), 3);
    world.join("v2", &["d"]);
    world.down("c");
    world.ask("a").unwrap();
    world.change(Change::Deregister { backend: id("d"), drain: Millis(1) }).unwrap();
    world.wait(Millis(1));
    assert!(!world.roll().permits.contains_key(&id("a")), "one of three is too little for nothing");
}

#[test]
fn a_fleet_that_can_not_be_halved_says_what_to_do() {
    let mut world = weighted(by_itself(), &[4, 1, 1]);
    world.deploy("v2", &["b", "c"]);
    assert_eq!(
        world.why("a"),
        "without a a weight of 0 of version v1 is usable, 3 of 6 is needed (min_capacity); version v2 waits for its flip: a weight of 2 is usable, 3 is needed"
    );
    world.change(Change::Flip(Flip { to: label("v2"), if_epoch: None, force: true })).unwrap();
    world.wait(Millis(100));
    world.deploy("v2", &["a"]);
    assert_eq!(world.roll().state, State::Done);
}

#[test]
fn one_by_one_is_one_at_a_time() {
    let roll = RollPolicy { strategy: RollStrategy::OneByOne, ..RollPolicy::default() };
    let mut world = fleet(Policy { roll, ..by_itself() }, 4);
    world.permit("a");
    assert_eq!(world.refused("b"), [Code::BatchFull]);
    assert_eq!(world.why("b"), "batch 1 of 4 is under way: a must come back first");
    world.restart("a", "v2");
    world.permit("b");
    assert_eq!(world.roll().batch, 2);
}

#[test]
fn the_next_batch_waits_for_a_flip_by_hand() {
    let min_capacity = Share::new(0.2).unwrap();
    let mut world = fleet(Policy { min_capacity, ..by_hand() }, 4);
    world.deploy("v2", &["a", "b"]);
    assert_eq!(world.refused("c"), [Code::BatchFull]);
    assert_eq!(
        world.why("c"),
        "batch 1 is restarted; version v2 has its quorum: `cutover flip web v2` goes on with the roll"
    );
    world.flip("v2").unwrap();
    world.wait(Millis(100));
    world.deploy("v2", &["c", "d"]);
    assert_eq!(world.roll().state, State::Done);
}

#[test]
fn a_draining_version_gives_up_nothing_before_it_is_drained() {
    let drain = DrainPolicy { deadline: Millis::from_secs(600), spread: Millis::ZERO };
    let mut world = fleet(Policy { pin: PinPolicy::default(), drain, ..by_itself() }, 4);
    let pin = world.request(None).pin;
    world.deploy("v2", &["a", "b"]);
    assert_eq!((world.active(), world.role("v1")), (Some("v2"), "draining"));
    assert_eq!(world.refused("c"), [Code::NotDrained]);
    assert!(["c", "d"].contains(&world.request(pin).backend.as_str()));
    world.wait(Millis::from_secs(601));
    assert_eq!(world.role("v1"), "drained");
    world.deploy("v2", &["c", "d"]);
    assert_eq!(world.roll().state, State::Done);
}

#[test]
fn what_is_down_may_always_go() {
    let mut world = fleet(by_itself(), 4);
    world.down("d");
    world.permit("a");
    world.permit("d");
    assert_eq!(world.refused("b"), [Code::BatchFull, Code::BelowMinCapacity]);
}

#[test]
fn a_permit_is_granted_when_nothing_is_in_flight_or_the_drain_is_over() {
    let mut world = fleet(by_itself(), 4);
    let busy = |in_flight| Traffic {
        backends: [((web(), id("a")), BackendFacts { in_flight, ..BackendFacts::default() })].into(),
        ..Traffic::default()
    };
    world.ask("a").unwrap();
    let admin = &world.backend("a").admin;
    assert_eq!((admin.state, admin.by.as_str()), (AdminState::Drain, "permit"));
    world.tick(busy(3));
    assert!(!world.is_granted("a"));
    world.tick(Traffic::default());
    assert!(!world.is_granted("a"), "nobody said that it is empty");
    world.tick(busy(0));
    assert!(world.is_granted("a"));

    let mut world = fleet(by_itself(), 4);
    world.ask("a").unwrap();
    let DrainPolicy { deadline, spread, .. } = world.service().policy.drain;
    world.now = world.now + deadline + spread;
    world.tick(busy(1));
    assert!(world.is_granted("a"));
}

#[test]
fn asking_again_changes_nothing() {
    let mut world = fleet(by_itself(), 4);
    world.permit("a");
    let before = world.state.clone();
    world.now = world.now + Millis(5000);
    world.ask("a").unwrap();
    assert_eq!(world.state, before);
    assert_eq!(world.refused("z"), [Code::UnknownBackend]);
}

#[test]
fn who_drains_goes_back_when_others_fail_meanwhile() {
    let mut world = fleet(by_itself(), 4);
    world.ask("a").unwrap();
    world.ask("b").unwrap();
    world.down("d");
    world.wait(Millis(100));
    let granted = ["a", "b"].map(|backend| world.is_granted(backend));
    assert_eq!((granted, world.usable("v1"), world.roll().taken), ([false, true], 2, 1));
}

#[test]
fn a_permit_does_not_end_while_the_old_process_is_there() {
    let mut world = fleet(by_itself(), 4);
    world.permit("a");
    world.up("a", "v1");
    world.wait(Millis(1000));
    assert!(world.is_granted("a"));
    world.restart("a", "v1");
    assert!(!world.is_granted("a") && world.backend("a").is_usable());
    assert_eq!((world.roll().state, world.roll().done.len()), (State::Running, 1));
}

#[test]
fn another_boot_id_tells_a_restart_that_nobody_saw() {
    let mut world = fleet(by_itself(), 4);
    let boot = |boot_id: &str| Finding::Up { version: Some(label("v1")), boot_id: Some(boot_id.to_owned()) };
    world.probed("a", boot("1"));
    world.permit("a");
    world.probed("a", boot("1"));
    assert!(world.is_granted("a"));
    world.probed("a", boot("2"));
    assert!(!world.is_granted("a") && world.roll().done.contains(&id("a")));
}

#[test]
fn a_restart_of_all_in_the_same_version_is_done_when_all_were_restarted() {
    let mut world = fleet(by_itself(), 4);
    world.deploy("v1", &["a", "b", "c", "d"]);
    assert_eq!((world.roll().state, world.epoch()), (State::Done, 1));
}

#[test]
fn who_registers_anew_is_back() {
    let mut world = fleet(by_itself(), 4);
    world.permit("a");
    world.change(Change::Deregister { backend: id("a"), drain: Millis::ZERO }).unwrap();
    world.wait(Millis(100));
    assert!(world.is_granted("a"), "it is awaited");
    world.join("v2", &["a"]);
    assert!(!world.is_granted("a") && world.roll().done.contains(&id("a")));

    world.permit("b");
    let moved = Registration { address: "other.test:80".parse().unwrap(), ..registration("b", "v1") };
    world.change(Change::Register(moved)).unwrap();
    assert!(world.is_granted("b"), "not up yet");
    world.up("b", "v2");
    assert_eq!((world.roll().done.len(), world.active()), (2, Some("v2")));
}

#[test]
fn who_restarts_before_the_permit_is_granted_is_restarted() {
    let mut world = fleet(by_itself(), 4);
    world.ask("a").unwrap();
    world.up("a", "v2");
    let roll = world.roll();
    assert!(roll.permits.is_empty() && roll.done.contains(&id("a")) && roll.to == Some(label("v2")));
}

#[test]
fn a_permit_that_is_returned_unused_leaves_nothing() {
    let mut world = fleet(by_itself(), 4);
    world.permit("a");
    world.change(Change::ReturnPermit(id("a"))).unwrap();
    assert_eq!(world.roll(), &Roll::default());
    assert!(!world.backend("a").is_usable(), "it may have been restarted");
    world.up("a", "v1");
    assert!(world.backend("a").is_usable());
    assert_eq!(codes(world.change(Change::ReturnPermit(id("a")))), [Code::UnknownPermit]);
}

#[test]
fn an_operator_who_wants_a_backend_back_ends_its_permit() {
    let mut world = fleet(by_itself(), 4);
    world.permit("a");
    world.patch("a", AdminState::Ready, false).unwrap();
    world.up("a", "v1");
    assert!(world.backend("a").is_usable() && world.roll().permits.is_empty());
}

#[test]
fn a_backend_in_maintenance_stays_there() {
    let mut world = fleet(by_itself(), 4);
    world.patch("a", AdminState::Maint, false).unwrap();
    world.permit("a");
    world.restart("a", "v2");
    assert_eq!(world.backend("a").admin.state, AdminState::Maint);
    assert!(world.roll().permits.is_empty());
}

#[test]
fn a_restart_that_takes_too_long_freezes_the_roll() {
    let mut world = fleet(by_itself(), 4);
    world.permit("a");
    world.ask("b").unwrap();
    world.down("a");
    let within = world.service().policy.roll.permit_deadline;
    world.now = world.now + within;
    world.tick(Traffic::default());
    assert_eq!(world.frozen(), "backend a did not come back within 10m");
    assert!(world.backend("b").is_usable(), "who only drained takes traffic again");
    assert_eq!(world.refused("b"), [Code::RollFrozen]);
}

#[test]
fn a_new_version_that_does_not_stay_up_freezes_the_roll() {
    let mut world = fleet(by_itself(), 6);
    world.deploy("v2", &["a"]);
    world.down("a");
    assert_eq!(world.frozen(), "backend a came back with version v2 and went down again");
    world.change(Change::ResumeRoll).unwrap();
    world.wait(Millis(100));
    assert_eq!(world.roll().state, State::Running);
    world.deploy("v2", &["b"]);
}

#[test]
fn a_wrong_version_freezes_the_roll() {
    let mut world = fleet(by_itself(), 6);
    world.deploy("v2", &["a"]);
    world.permit("b");
    world.restart("b", "v3");
    assert_eq!(world.frozen(), "backend b came back with version v3, and others with v2");

    let mut world = fleet(by_itself(), 6);
    world.deploy("v2", &["a"]);
    world.permit("b");
    world.restart("b", "v1");
    assert_eq!(world.frozen(), "backend b came back with version v1 as before, and others with v2");
    assert!(world.backend("b").is_usable());
}

#[test]
fn a_restart_that_is_given_up_freezes_the_roll() {
    let mut world = fleet(by_itself(), 4);
    world.permit("a");
    world.down("a");
    world.change(Change::ReturnPermit(id("a"))).unwrap();
    assert_eq!(world.frozen(), "the restart of backend a was given up while it is down");
}

#[test]
fn a_frozen_roll_blocks_permits_and_the_automatic_flip_and_nothing_else() {
    let mut world = fleet(by_itself(), 4);
    world.permit("a");
    world.permit("b");
    world.restart("a", "v2");
    world.down("a");
    world.up("a", "v2");
    world.restart("b", "v2");
    world.wait(Millis::from_secs(60));
    assert_eq!((world.frozen().is_empty(), world.active()), (false, Some("v1")));
    world.flip("v2").unwrap();
    assert_eq!(world.active(), Some("v2"));
}

#[test]
fn a_roll_goes_on_when_it_is_resumed() {
    let mut world = fleet(by_itself(), 4);
    assert_eq!(codes(world.change(Change::ResumeRoll)), [Code::NoRoll]);
    world.permit("a");
    world.down("a");
    world.wait(Millis::from_secs(600));
    world.up("a", "v2");
    world.change(Change::ResumeRoll).unwrap();
    assert!(world.backend("a").is_usable());
    world.deploy("v2", &["b", "c", "d"]);
    assert_eq!((world.active(), world.roll().state), (Some("v2"), State::Done));
}

#[test]
fn who_comes_back_too_late_counts_all_the_same() {
    let mut world = fleet(by_itself(), 3);
    world.permit("a");
    world.wait(Millis::from_secs(600));
    world.up("a", "v2");
    world.change(Change::ResumeRoll).unwrap();
    world.deploy("v2", &["b", "c"]);
    assert_eq!((world.active(), world.roll().state), (Some("v2"), State::Done));
}

#[test]
fn an_aborted_roll_returns_its_permits_and_rejects_what_it_led_to() {
    let mut world = fleet(by_itself(), 6);
    let abort = || Change::AbortRoll { reason: "too slow".to_owned() };
    assert_eq!(codes(world.change(abort())), [Code::NoRoll]);
    world.deploy("v2", &["a"]);
    world.permit("b");
    world.change(abort()).unwrap();
    assert_eq!((world.role("v2"), world.roll().state), ("rejected", State::Idle));
    world.up("b", "v1");
    assert!(world.backend("b").is_usable() && world.roll().permits.is_empty());
    // The way back is a roll as well.
    world.deploy("v1", &["a"]);
    assert_eq!((world.usable("v1"), world.roll().state), (6, State::Done));
}

#[test]
fn another_deploy_begins_another_roll() {
    let mut world = fleet(by_itself(), 4);
    world.deploy("v2", &["a", "b", "c", "d"]);
    world.deploy("v3", &["d", "c", "b", "a"]);
    assert_eq!((world.active(), world.epoch(), world.roll().state), (Some("v3"), 3, State::Done));
}

#[test]
fn a_roll_that_nobody_finished_is_no_obstacle_to_the_next_deploy() {
    for order in [["a", "b", "c", "d"], ["d", "c", "b", "a"], ["c", "a", "d", "b"]] {
        let mut world = fleet(by_itself(), 4);
        world.deploy("v2", &["a", "b"]);
        assert_eq!((world.active(), world.roll().state), (Some("v2"), State::Running));
        world.deploy("v3", &order);
        assert_eq!((world.active(), world.roll().state), (Some("v3"), State::Done), "{order:?}");
    }
}

#[test]
fn a_fix_replaces_what_was_not_active_yet() {
    let mut world = fleet(by_itself(), 6);
    world.deploy("v2", &["a", "b"]);
    world.deploy("v3", &["a", "b", "c"]);
    assert_eq!((world.active(), world.epoch()), (Some("v3"), 2));
    world.deploy("v3", &["d", "e", "f"]);
    assert_eq!(world.roll().state, State::Done);
}

#[test]
fn a_rollback_freezes_the_roll_that_led_there() {
    let mut world = fleet(by_itself(), 4);
    world.deploy("v2", &["a", "b"]);
    world.rollback(Sessions::Move).unwrap();
    assert_eq!((world.active(), world.frozen()), (Some("v1"), "version v2 was rejected: bad"));
    assert_eq!(codes(world.change(Change::ResumeRoll)), [Code::Rejected]);
    world.change(Change::AbortRoll { reason: "bad".to_owned() }).unwrap();
    world.deploy("v1", &["a", "b"]);
    assert_eq!((world.usable("v1"), world.roll().state), (4, State::Done));
}

#[test]
fn after_a_rollback_a_resumed_roll_waits_for_the_flip_again() {
    let mut world = fleet(by_hand(), 6);
    world.deploy("v2", &["a", "b", "c"]);
    world.flip_when_stable("v2");
    world.rollback(Sessions::Move).unwrap();
    world.wait(Millis(100));
    world.wait(Millis(100));
    world.change(Change::Clear(label("v2"))).unwrap();
    world.change(Change::ResumeRoll).unwrap();
    // v2 is drained by now, and was active: it is where the roll leads nevertheless, and the fleet is as large as it was.
    assert_eq!(world.refused("d"), [Code::BelowMinCapacity]);
    assert!(world.why("d").contains("`cutover flip web v2` goes on with the roll"), "{}", world.why("d"));
    world.flip("v2").unwrap();
    world.wait(Millis(100));
    world.wait(Millis(100));
    world.deploy("v2", &["d", "e", "f"]);
    assert_eq!(world.roll().state, State::Done);
}

#[test]
fn a_permit_outlives_a_restart_of_cutover_and_has_a_full_term_again() {
    let mut world = fleet(by_itself(), 4);
    world.permit("a");
    world.now = world.now + Millis::from_secs(3600);
    world.state = world.state.clone().restored(world.now);
    for backend in ["a", "b", "c", "d"] {
        world.up(backend, "v1");
    }
    world.wait(Millis(100));
    assert!(world.is_granted("a"), "the old process is still there");
    assert_eq!(world.backend("a").admin.state, AdminState::Drain);
    world.restart("a", "v2");
    assert_eq!((world.roll().state, world.roll().done.len()), (State::Running, 1));
    world.deploy("v2", &["b", "c", "d"]);
    assert_eq!(world.roll().state, State::Done);
}

#[test]
fn another_policy_keeps_the_roll() {
    let mut world = fleet(by_itself(), 4);
    world.permit("a");
    let before = world.roll().clone();
    let policy = Arc::new(Policy { slow_start: Millis(1), ..by_itself() });
    world.apply(&Command::PutService { service: web(), policy, document: "{}".into() }).unwrap();
    assert_eq!(world.roll(), &before);
}

//! How the old version leaves, and when it is provably unused.

use std::sync::Arc;

use cutover_core::backend::AdminState;
use cutover_core::command::{Change, Command, Flip, Sessions};
use cutover_core::compile::compile;
use cutover_core::decide::Facts;
use cutover_core::id::{Epoch, HoldName};
use cutover_core::pin::Pin;
use cutover_core::policy::{Affinity, DrainPolicy, PinMode, PinPolicy, Policy};
use cutover_core::rejected::Code;
use cutover_core::report::{Skew, Traffic};
use cutover_core::snapshot::Snapshot;
use cutover_core::state::State;
use cutover_core::tie::{Term, Tie};
use cutover_core::time::{Millis, Timestamp};
use cutover_core::traffic::{BackendInFlight, InFlight};
use cutover_core::version::DrainedBy;

use crate::world::{World, codes, id, label, web};

const HALF_HOUR: Millis = Millis::from_secs(1800);

fn without_pins() -> Policy {
    Policy { pin: PinPolicy { mode: PinMode::None, ..PinPolicy::default() }, ..Policy::default() }
}

fn flipped(policy: Policy) -> World {
    let mut world = World::serving(policy, "v1", &["a"]);
    world.join("v2", &["b"]);
    world.flip_when_stable("v2");
    world
}

fn in_flight(world: &World, version: &str) -> InFlight {
    InFlight::begin(&world.snapshot.services[0].version(version).unwrap().traffic)
}

fn by(world: &World, version: &str) -> Option<DrainedBy> {
    world.version(version).drained.map(|drained| drained.by)
}

#[test]
fn a_version_nobody_used_is_drained_at_the_next_tick() {
    let mut world = flipped(Policy::default());
    world.wait(Millis(100));
    assert_eq!((world.role("v1"), by(&world, "v1")), ("drained", Some(DrainedBy::Proof)));
}

#[test]
fn a_version_that_nobody_reported_about_is_not_drained() {
    let mut world = flipped(Policy::default());
    world.tick(Traffic::default());
    assert_eq!(world.role("v1"), "draining");
}

#[test]
fn the_latest_pin_decides() {
    let mut world = World::serving(Policy::default(), "v1", &["a"]);
    let pin = world.request(None).pin;
    world.join("v2", &["b"]);
    world.flip_when_stable("v2");
    world.wait(Millis::from_secs(600));
    let refreshed = world.request(pin);
    assert_eq!(
        (refreshed.version.as_str(), refreshed.action, refreshed.is_outdated),
        ("v1", "refreshed", true)
    );
    world.wait(Millis::from_secs(1799));
    assert_eq!(world.role("v1"), "draining");
    world.wait(Millis(1000));
    assert_eq!(by(&world, "v1"), Some(DrainedBy::Proof));
}

#[test]
fn a_request_in_flight_holds_it_across_snapshots() {
    let mut world = flipped(without_pins());
    let request = in_flight(&world, "v1");
    world.join("v2", &["c"]);
    world.wait(Millis::from_secs(60));
    assert_eq!(world.role("v1"), "draining");
    drop(request);
    world.wait(Millis(100));
    assert_eq!(world.role("v1"), "drained");
}

#[test]
fn a_hold_holds_it_until_it_is_dropped_or_lapses() {
    let mut world = flipped(without_pins());
    let hold = HoldName::parse("cron").unwrap();
    let take = || Change::SetHold {
        version: label("v1"),
        hold: hold.clone(),
        ttl: Millis::from_secs(60),
        by: "w".into(),
    };
    world.change(take()).unwrap();
    world.wait(Millis::from_secs(59));
    assert_eq!(world.role("v1"), "draining");
    world.change(take()).unwrap();
    world.wait(Millis::from_secs(59));
    assert_eq!(world.role("v1"), "draining");
    world.wait(Millis::from_secs(1));
    assert_eq!(world.version("v1").holds.len(), 0);
    world.wait(Millis(100));
    assert_eq!(world.role("v1"), "drained");
    assert_eq!(codes(world.change(take())), [Code::WrongRole]);
    let drop = Change::DropHold { version: label("v1"), hold: hold.clone() };
    assert_eq!(codes(world.change(drop)), [Code::UnknownHold]);
}

#[test]
fn after_a_restart_a_hold_has_one_full_term() {
    let mut world = flipped(without_pins());
    let (version, hold) = (label("v1"), HoldName::parse("cron").unwrap());
    world.change(Change::SetHold { version, hold, ttl: Millis::from_secs(60), by: "w".into() }).unwrap();
    world.now = world.now + Millis::from_secs(600);
    world.state = world.state.clone().restored(world.now);
    world.wait(Millis::from_secs(59));
    assert_eq!((world.role("v1"), world.version("v1").holds.len()), ("draining", 1));
    world.wait(Millis::from_secs(1));
    assert_eq!(world.version("v1").holds.len(), 0);
}

#[test]
fn at_the_deadline_pins_are_evicted_one_after_the_other_and_then_it_says_so() {
    let mut world = World::serving(Policy::default(), "v1", &["a"]);
    let mut pins: Vec<_> = (0..200).map(|_| world.request(None).pin).collect();
    world.join("v2", &["b"]);
    world.flip_when_stable("v2");
    for _ in 0..4 {
        world.wait(Millis::from_secs(899));
        pins = pins.into_iter().map(|pin| world.request(pin).pin).collect();
    }
    let on_old = |world: &mut World| pins.iter().filter(|&&pin| world.request(pin).version == "v1").count();
    assert_eq!(on_old(&mut world), 200);
    world.wait(Millis::from_secs(4 + 15));
    assert!((70..130).contains(&on_old(&mut world)));
    assert_eq!(world.role("v1"), "draining");
    world.wait(Millis::from_secs(15));
    assert_eq!((world.role("v1"), by(&world, "v1")), ("drained", Some(DrainedBy::Deadline)));
    assert_eq!(on_old(&mut world), 0);
}

#[test]
fn evict_ends_a_drain_now_and_only_a_drain() {
    let mut world = World::serving(Policy::default(), "v1", &["a"]);
    let pin = world.request(None).pin;
    world.join("v2", &["b"]);
    assert_eq!(codes(world.change(Change::Evict(label("v1")))), [Code::WrongRole]);
    world.flip_when_stable("v2");
    world.change(Change::Evict(label("v1"))).unwrap();
    assert_eq!(by(&world, "v1"), Some(DrainedBy::Deadline));
    assert_eq!(world.request(pin).version, "v2");
}

#[test]
fn a_drained_version_may_become_active_again_while_it_is_warm() {
    let mut world = flipped(Policy::default());
    world.wait(Millis(100));
    world.flip("v1").unwrap();
    assert_eq!((world.role("v1"), by(&world, "v1")), ("active", None));
}

#[test]
fn after_a_restart_pins_of_before_may_still_be_alive() {
    let mut world = flipped(Policy::default());
    restart(&mut world, Millis::ZERO);
    world.wait(Millis(HALF_HOUR.0 - 1));
    assert_eq!(world.role("v1"), "draining");
    world.wait(Millis(1));
    assert_eq!(by(&world, "v1"), Some(DrainedBy::Proof));
}

/// Cutover starts anew at a time at which pins may be dated so far ahead.
fn restart(world: &mut World, ahead: Millis) {
    world.state = State { ahead, ..world.state.clone() }.restored(world.now);
    world.snapshot = Arc::new(compile(&world.state, &Snapshot::default()));
}

#[test]
fn after_a_restart_with_a_clock_that_was_set_back_they_live_for_longer() {
    let mut world = flipped(Policy::default());
    restart(&mut world, Millis::from_secs(240));
    world.wait(Millis(HALF_HOUR.0 + 239_999));
    assert_eq!(world.role("v1"), "draining");
    world.wait(Millis(1));
    assert_eq!(by(&world, "v1"), Some(DrainedBy::Proof));
}

#[test]
fn a_clock_that_is_set_back_revives_pins_that_were_proven_to_be_over() {
    let mut world = flipped(Policy::default());
    world.wait(Millis(100));
    assert_eq!(by(&world, "v1"), Some(DrainedBy::Proof));
    world.now = world.now - Millis::from_secs(240);
    restart(&mut world, Millis::from_secs(240));
    world.up("a", "v1");
    world.up("b", "v2");
    world.change(Change::Flip(forced("v1"))).unwrap();
    world.change(Change::Flip(forced("v2"))).unwrap();
    world.wait(Millis::from_secs(240));
    assert_eq!(world.role("v1"), "draining");
}

/// A tick whose traffic tells how far the clocks of the data plane are from the time.
fn tick(world: &mut World, skew: Skew) {
    world.tick(Traffic { skew, ..world.snapshot.traffic() });
}

#[test]
fn a_pin_is_over_when_it_is_by_the_clocks_that_judge_it() {
    let mut world = World::serving(Policy::default(), "v1", &["a"]);
    world.request(None);
    world.join("v2", &["b"]);
    world.flip_when_stable("v2");
    world.now = world.now + HALF_HOUR;
    let late = Skew { behind: Millis::from_secs(30), ..Skew::default() };
    (0..3).for_each(|_| tick(&mut world, late));
    assert_eq!(world.role("v1"), "draining");
    world.now = world.now + late.behind;
    (0..2).for_each(|_| tick(&mut world, late));
    assert_eq!(by(&world, "v1"), Some(DrainedBy::Proof));
}

#[test]
fn pins_that_were_dated_ahead_live_on_under_a_longer_policy() {
    let mut world = flipped(Policy::default());
    tick(&mut world, Skew { ahead: Millis::from_secs(1000), ..Skew::default() });
    let mut policy = Policy::default();
    policy.pin.idle = Millis(policy.pin.idle.0 + 1);
    let change = Command::PutService { service: web(), policy: Arc::new(policy), document: "{}".into() };
    world.apply(&change).unwrap();
    world.wait(Millis(HALF_HOUR.0 + 999_000));
    assert_eq!(world.role("v1"), "draining");
}

#[test]
fn after_a_restart_that_holds_for_a_version_that_was_away_too() {
    let mut world = flipped(Policy::default());
    world.change(Change::Deregister { backend: id("a"), drain: Millis::ZERO }).unwrap();
    world.state = world.state.clone().restored(world.now);
    world.join("v1", &["a"]);
    world.wait(Millis(HALF_HOUR.0 - 1));
    assert_eq!(world.role("v1"), "draining");
}

#[test]
fn after_a_restart_that_holds_for_a_version_that_was_evicted_and_is_active_again() {
    let mut world = flipped(Policy::default());
    world.change(Change::Evict(label("v1"))).unwrap();
    world.state = world.state.clone().restored(world.now);
    world.up("a", "v1");
    world.up("b", "v2");
    world.flip_when_stable("v1");
    world.flip("v2").unwrap();
    world.wait(Millis::from_secs(60));
    assert_eq!(world.role("v1"), "draining");
}

#[test]
fn after_a_restart_without_pins_there_is_nothing_to_wait_for() {
    let mut world = flipped(without_pins());
    world.state = world.state.clone().restored(world.now);
    world.wait(Millis(100));
    assert_eq!(world.role("v1"), "drained");
}

#[test]
fn a_version_whose_backends_were_away_is_still_to_be_drained() {
    let mut world = World::serving(Policy::default(), "v1", &["a"]);
    let pin = world.request(None).pin;
    world.join("v2", &["b"]);
    world.flip_when_stable("v2");
    world.change(Change::Deregister { backend: id("a"), drain: Millis::ZERO }).unwrap();
    assert_eq!(world.role("v1"), "retired");
    world.join("v1", &["a"]);
    assert_eq!(world.role("v1"), "draining");
    assert_eq!(world.request(pin).version, "v1");
}

#[test]
fn a_tunnel_does_not_hold_a_rejected_version_beyond_the_deadline() {
    let mut world = flipped(Policy::default());
    let mut tunnel = in_flight(&world, "v2");
    tunnel.becomes_tunnel();
    world.rollback(Sessions::Move).unwrap();
    world.wait(Millis::from_secs(3600));
    assert_eq!(by(&world, "v2"), None);
    world.wait(Millis::from_secs(30));
    assert_eq!((world.role("v2"), by(&world, "v2")), ("rejected", Some(DrainedBy::Deadline)));
}

#[test]
fn a_policy_under_which_pins_live_longer_holds_a_drain_longer() {
    let mut world = World::serving(Policy::default(), "v1", &["a"]);
    let pin = world.request(None).pin;
    world.join("v2", &["b"]);
    world.flip_when_stable("v2");
    let mut policy = Policy::default();
    policy.pin.idle = Millis(2 * HALF_HOUR.0);
    policy.drain.deadline = Millis::from_secs(24 * 3600);
    let change = Command::PutService { service: web(), policy: Arc::new(policy), document: "{}".into() };
    world.apply(&change).unwrap();
    world.wait(HALF_HOUR);
    assert_eq!(world.role("v1"), "draining", "the pin is still good");
    assert_eq!(world.request(pin).version, "v1");
}

#[test]
fn nobody_is_admitted_between_the_last_look_and_the_word_that_a_version_is_drained() {
    let mut world = flipped(Policy::default());
    world.tick(world.snapshot.traffic());
    assert_eq!((world.role("v1"), by(&world, "v1")), ("draining", None), "it was seen idle once");
    let late = Facts { explicit: Some("v1"), ..world.facts(None) };
    assert_eq!(world.served(&late).version, "v2", "what names it now comes too late");
    world.tick(world.snapshot.traffic());
    assert_eq!(by(&world, "v1"), Some(DrainedBy::Proof));
}

#[test]
fn what_began_before_the_seal_was_known_is_waited_for() {
    let mut world = flipped(without_pins());
    let seen_idle = world.snapshot.traffic();
    let request = in_flight(&world, "v1");
    world.tick(seen_idle);
    world.wait(Millis::from_secs(60));
    assert_eq!((world.role("v1"), world.version("v1").is_sealed), ("draining", true));
    drop(request);
    world.wait(Millis(100));
    assert_eq!(by(&world, "v1"), Some(DrainedBy::Proof));
}

#[test]
fn a_pin_that_was_handed_out_before_the_seal_was_known_breaks_it() {
    let mut world = flipped(Policy::default());
    let before = Arc::clone(&world.snapshot);
    world.tick(before.traffic());
    assert!(world.version("v1").is_sealed);
    let traffic = &before.services[0].version("v1").unwrap().traffic;
    traffic.note_pin_expiry(world.now + HALF_HOUR);
    world.wait(Millis(100));
    assert!(!world.version("v1").is_sealed);
    world.wait(HALF_HOUR);
    assert_eq!(by(&world, "v1"), Some(DrainedBy::Proof));
}

#[test]
fn a_drain_begins_unsealed_however_the_last_one_ended() {
    let mut world = flipped(Policy::default());
    world.tick(world.snapshot.traffic());
    assert!(world.version("v1").is_sealed);
    world.flip_when_stable("v1");
    world.change(Change::Flip(forced("v2"))).unwrap();
    assert!(!world.version("v1").is_sealed);
}

fn forced(to: &str) -> Flip {
    Flip { to: label(to), if_epoch: None, force: true }
}

fn tie(id_: u64, version: &str, backend: &str) -> Tie {
    let (version, backend) = (label(version), id(backend));
    Tie { service: web(), version, backend, id: id_, epoch: Epoch(1), is_preview: false }
}

#[test]
fn a_tunnel_leaves_with_its_session_when_its_version_is_evicted() {
    let mut world = World::serving(Policy::default(), "v1", &["a"]);
    let pin = world.request(None).pin.unwrap();
    let tie = tie(pin.id, "v1", "a");
    assert_eq!(tie.term(&world.snapshot), Term::Open);
    world.join("v2", &["b"]);
    world.flip_when_stable("v2");
    let begins = world.now + Policy::default().drain.deadline;
    let Term::Until(at) = tie.term(&world.snapshot) else { panic!("it leaves") };
    assert!(begins < at && at <= begins + Policy::default().drain.spread);
    let pin = Pin { issued_at: at, born_at: at, ..pin };
    world.now = at - Millis(1);
    assert_eq!(world.request(Some(pin)).version, "v1");
    world.now = at;
    assert_eq!(world.request(Some(pin)).version, "v2");
}

#[test]
fn a_tunnel_has_no_term_left_when_its_version_is_over_or_its_backend_gone() {
    let mut world = World::serving(Policy::default(), "v1", &["a", "c"]);
    world.join("v2", &["b", "d"]);
    let (on_v1, on_v2) = (tie(1, "v1", "a"), tie(1, "v2", "b"));
    world.flip_when_stable("v2");
    world.rollback(Sessions::Move).unwrap();
    assert_eq!((on_v1.term(&world.snapshot), on_v2.term(&world.snapshot)), (Term::Open, Term::Over));
    world.change(Change::Deregister { backend: id("a"), drain: Millis::ZERO }).unwrap();
    assert_eq!(on_v1.term(&world.snapshot), Term::Over);
}

#[test]
fn an_evicted_version_keeps_no_tunnel() {
    let mut world = flipped(Policy::default());
    world.change(Change::Evict(label("v1"))).unwrap();
    assert_eq!(tie(1, "v1", "a").term(&world.snapshot), Term::Over);
}

#[test]
fn what_is_left_of_a_rejected_version_can_be_evicted_too() {
    let mut world = flipped(Policy::default());
    let hold = HoldName::parse("worker").unwrap();
    let ttl = Millis::from_secs(3600);
    world.change(Change::SetHold { version: label("v2"), hold, ttl, by: "w".into() }).unwrap();
    world.rollback(Sessions::Move).unwrap();
    world.wait(Millis::from_secs(1));
    assert_eq!(by(&world, "v2"), None, "it is held");
    world.change(Change::Evict(label("v2"))).unwrap();
    assert_eq!((by(&world, "v2"), world.role("v2")), (Some(DrainedBy::Deadline), "rejected"));
    assert_eq!(codes(world.change(Change::Evict(label("v2")))), [Code::WrongRole]);
}

#[test]
fn a_backend_that_is_taken_out_ends_its_own_tunnels_only() {
    let mut world = World::serving(Policy::default(), "v1", &["a", "b"]);
    let now = world.now;
    world.patch("a", AdminState::Drain, true).unwrap();
    let drain = Policy::default().drain;
    let Term::Until(at) = tie(1, "v1", "a").term(&world.snapshot) else { panic!("it leaves") };
    assert!(now + drain.deadline < at && at <= now + drain.deadline + drain.spread);
    assert_eq!(tie(1, "v1", "b").term(&world.snapshot), Term::Open);
    world.patch("a", AdminState::Maint, true).unwrap();
    let Term::Until(at) = tie(1, "v1", "a").term(&world.snapshot) else { panic!("it leaves") };
    assert!(at <= now + drain.spread, "maintenance does not wait");
    world.patch("a", AdminState::Ready, true).unwrap();
    assert_eq!(tie(1, "v1", "a").term(&world.snapshot), Term::Open);
}

fn tied() -> Policy {
    Policy { affinity: Affinity::Backend, ..Policy::default() }
}

#[test]
fn sessions_leave_a_drained_backend_at_once_unless_they_live_in_its_memory() {
    for (policy, stays) in [(Policy::default(), false), (tied(), true)] {
        let mut world = World::serving(policy, "v1", &["a", "b"]);
        let sessions: Vec<_> = (0..50).map(|_| world.request(None)).collect();
        world.patch("a", AdminState::Drain, true).unwrap();
        for session in sessions.into_iter().filter(|session| session.backend == "a") {
            let again = world.request(session.pin);
            assert_eq!((again.version.as_str(), again.backend == "a"), ("v1", stays));
        }
        assert!((0..50).all(|_| world.request(None).backend == "b"), "nobody new comes");
    }
}

#[test]
fn at_the_deadline_of_a_backend_its_sessions_move_inside_their_version_one_after_the_other() {
    let mut world = World::serving(tied(), "v1", &["a", "b"]);
    let sessions: Vec<_> = (0..400).map(|_| world.request(None)).collect();
    world.patch("a", AdminState::Drain, true).unwrap();
    let drain = Policy::default().drain;
    let deadline = world.now + drain.deadline;
    let on_a = |world: &mut World, now: Timestamp| {
        world.now = now;
        let pins = sessions.iter().filter(|session| session.backend == "a").filter_map(|session| session.pin);
        let served: Vec<_> =
            pins.map(|pin| world.request(Some(Pin { issued_at: now, born_at: now, ..pin }))).collect();
        assert!(served.iter().all(|served| served.version == "v1"));
        served.iter().filter(|served| served.backend == "a").count() * 100 / served.len()
    };
    assert_eq!(on_a(&mut world, deadline - Millis(1)), 100);
    assert!((30..70).contains(&on_a(&mut world, deadline + Millis(drain.spread.0 / 2))));
    assert_eq!(on_a(&mut world, deadline + drain.spread), 0);
}

#[test]
fn a_session_stays_with_a_backend_that_is_taken_out_while_its_version_has_no_other() {
    let mut world = World::serving(tied(), "v1", &["a"]);
    let pin = world.request(None).pin;
    let policy = Policy { drain: DrainPolicy { deadline: Millis::ZERO, spread: Millis::ZERO }, ..tied() };
    let change = Command::PutService { service: web(), policy: Arc::new(policy), document: "{}".into() };
    world.apply(&change).unwrap();
    world.patch("a", AdminState::Drain, true).unwrap();
    assert_eq!(world.request(pin).backend, "a");
}

#[test]
fn a_backend_that_leaves_keeps_the_sessions_in_its_memory_until_it_is_gone() {
    let mut world = World::serving(tied(), "v1", &["a", "b"]);
    let session = (0..50).map(|_| world.request(None)).find(|session| session.backend == "a").unwrap();
    let drain = Millis::from_secs(60);
    world.change(Change::Deregister { backend: id("a"), drain }).unwrap();
    assert_eq!(world.request(session.pin).backend, "a");
    assert!((0..50).all(|_| world.request(None).backend == "b"), "nobody new comes");
    world.now = world.now + drain;
    assert_eq!(world.request(session.pin).backend, "b");
}

#[test]
fn a_backend_that_may_be_restarted_keeps_no_sessions() {
    let mut world = World::serving(tied(), "v1", &["a", "b"]);
    let session = (0..50).map(|_| world.request(None)).find(|session| session.backend == "a").unwrap();
    world.change(Change::AskPermit { backend: id("a") }).unwrap();
    let request = BackendInFlight::begin(&world.snapshot.services[0].backends[0].traffic);
    world.wait(Millis::from_secs(1));
    assert_eq!(world.request(session.pin).backend, "a", "it is not empty yet");
    drop(request);
    world.wait(Policy::default().drain.deadline);
    world.wait(Policy::default().drain.spread);
    assert!(world.service().roll.is_granted(&id("a")));
    let fresh = session.pin.map(|pin| Pin { issued_at: world.now, born_at: world.now, ..pin });
    assert_eq!(world.request(fresh).backend, "b");
}

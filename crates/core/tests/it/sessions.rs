//! G1 and G2 over random histories: sessions stay on their version while it may serve them, and never go back.

use cutover_core::command::{Change, Sessions};
use cutover_core::decide::{Decision, PinAction};
use cutover_core::pin::Pin;
use cutover_core::policy::{FlipPolicy, Policy};
use cutover_core::time::Millis;
use proptest::prelude::*;

use crate::world::{World, label, registration};

/// What one session has seen.
#[derive(Default, Clone)]
struct Session {
    pin: Option<Pin>,
    version: Option<String>,
    epoch: u64,
}

#[derive(Debug, Clone)]
enum Happening {
    Join(u8, u8),
    Restart(u8, u8),
    Down(u8),
    Up(u8),
    Flip(u8),
    Rollback(bool),
    Evict(u8),
    Wait(u16),
    Request(u8),
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        2 => (0_u8..5, 0_u8..4).prop_map(|(backend, version)| Happening::Join(backend, version)),
        1 => (0_u8..5, 0_u8..4).prop_map(|(backend, version)| Happening::Restart(backend, version)),
        1 => (0_u8..5).prop_map(Happening::Down),
        2 => (0_u8..5).prop_map(Happening::Up),
        2 => (0_u8..4).prop_map(Happening::Flip),
        1 => any::<bool>().prop_map(Happening::Rollback),
        1 => (0_u8..4).prop_map(Happening::Evict),
        1 => (0_u16..3000).prop_map(Happening::Wait),
        12 => (0_u8..6).prop_map(Happening::Request),
    ]
}

fn happen(world: &mut World, sessions: &mut [Session], happening: &Happening) {
    let name = |backend: u8| format!("b{backend}");
    let is_there = |world: &World, backend: u8| world.service().backends.contains_key(name(backend).as_str());
    match *happening {
        Happening::Join(backend, version) => world.join(&format!("v{version}"), &[&name(backend)]),
        Happening::Restart(backend, version) => {
            let register = Change::Register(registration(&name(backend), &format!("v{version}")));
            world.change(register).unwrap();
        }
        Happening::Down(backend) if is_there(world, backend) => world.down(&name(backend)),
        Happening::Up(backend) if is_there(world, backend) => {
            let version = world.backend(&name(backend)).version.clone();
            world.up(&name(backend), version.unwrap().as_str());
        }
        Happening::Flip(version) => drop(world.flip(&format!("v{version}"))),
        Happening::Rollback(keeps) => {
            drop(world.rollback(if keeps { Sessions::Keep } else { Sessions::Move }));
        }
        Happening::Evict(version) => drop(world.change(Change::Evict(label(&format!("v{version}"))))),
        Happening::Wait(seconds) => world.wait(Millis::from_secs(u64::from(seconds))),
        Happening::Request(session) => request(world, &mut sessions[usize::from(session)]),
        Happening::Down(_) | Happening::Up(_) => {}
    }
}

fn request(world: &mut World, session: &mut Session) {
    let may_stay = session.pin.filter(|pin| pin.check_dates(&world.service().policy.pin, world.now).is_ok());
    let may_stay = may_stay.and(session.version.clone()).filter(|version| {
        let set = world.snapshot.services[0].version(version).unwrap();
        let is_evicting = set.eviction.is_some_and(|(begins, _)| begins <= world.now);
        set.serves_pins() && set.ready > 0 && !is_evicting
    });
    let Decision::Serve(choice) = world.decide(session.pin) else { return };
    let set = &world.snapshot.services[0].versions[choice.version];
    let (version, epoch) = (set.label.to_string(), set.epoch.unwrap().0);
    if let Some(home) = may_stay {
        assert_eq!(version, home, "G1: a session left a version that could serve it");
    } else if session.version.as_ref() != Some(&version) {
        assert!(epoch >= session.epoch, "G2: a session went back from epoch {} to {epoch}", session.epoch);
        assert!(set.ready > 0 && world.active() == Some(version.as_str()));
    }
    session.epoch = session.epoch.max(epoch);
    session.version = Some(version);
    session.pin = match choice.pin {
        PinAction::None | PinAction::Preview => None,
        PinAction::Keep(pin) | PinAction::Hand(pin, _) => Some(pin),
    };
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_session_stays_while_it_may_and_never_goes_back(happenings in prop::collection::vec(happening(), 1..120)) {
        let flip = FlipPolicy { stable_for: Millis::ZERO, quorum_share: cutover_core::policy::Share::new(0.0).unwrap(), ..FlipPolicy::default() };
        let mut world = World::new(Policy { flip, ..Policy::default() });
        let mut sessions = vec![Session::default(); 6];
        let mut epoch = 0;
        for happening in &happenings {
            happen(&mut world, &mut sessions, happening);
            assert!(world.epoch() >= epoch, "epochs only grow");
            epoch = world.epoch();
        }
    }
}

#[test]
fn a_session_waits_when_workers_know_of_a_loss_before_the_control_plane_does() {
    let mut world = World::serving(Policy::default(), "v1", &["a"]);
    let pin = world.request(None).pin;
    world.join("v2", &["b"]);
    world.flip_when_stable("v2");
    let lost = &world.snapshot.services[0].backends[0];
    assert!(lost.traffic.note_identity_lost(lost.generation));
    assert_eq!(world.decide(pin), Decision::Wait, "the next snapshot will say that it is to be probed");
}

//! Every place in which a deploy may find a service, and what it does there.

use super::*;
use crate::ctl::view::deploy::{Bake, CanaryPolicy, Contract, Freeze, Gate, Service, Verdict, Version};

const NOW: Duration = Duration::from_secs(1000);

/// A service on which v1 is active in epoch 1 and v2 is staged with all that a flip needs.
fn staged() -> Scene {
    let version = |label: &str, role: &str, epoch| Version {
        version: label.to_owned(),
        role: role.to_owned(),
        epoch,
        usable_backends: 2,
        usable_weight: 2,
        expected_weight: 2,
        ..Version::default()
    };
    let service = Service { active: Some("v1".to_owned()), epoch: 1, ..Service::default() };
    let versions = vec![version("v1", "active", Some(1)), version("v2", "staged", None)];
    Scene { service, versions, ..Scene::default() }
}

/// The same after the flip: v1 drains.
fn flipped() -> Scene {
    let mut scene = staged();
    scene.service.active = Some("v2".to_owned());
    scene.service.epoch = 2;
    scene.versions[0].role = "draining".to_owned();
    scene.versions[1].role = "active".to_owned();
    scene.versions[1].epoch = Some(2);
    scene
}

/// The same after the drain.
fn drained() -> Scene {
    let mut scene = flipped();
    scene.versions[0].role = "drained".to_owned();
    scene
}

fn with(mut scene: Scene, change: impl FnOnce(&mut Scene)) -> Scene {
    change(&mut scene);
    scene
}

fn because(mut scene: Scene, codes: &[&str]) -> Scene {
    scene.obstacles = codes.iter().map(|code| reason(code, format!("{code}!"))).collect();
    scene
}

fn open(mut scene: Scene, gate: &str) -> Scene {
    scene.versions[1].gates.insert(gate.to_owned(), Gate { open: true, ..Gate::default() });
    scene
}

fn required(mut scene: Scene, gate: &str) -> Scene {
    scene.versions[1].gates.insert(gate.to_owned(), Gate { required: true, ..Gate::default() });
    scene
}

fn canary(mut scene: Scene, share: f64, next_at: Option<&str>) -> Scene {
    scene.service.canary = Some(Canary {
        version: "v2".to_owned(),
        share,
        next_at: next_at.map(str::to_owned),
        ..Canary::default()
    });
    scene
}

fn bakes(mut scene: Scene, state: &str) -> Scene {
    scene.service.bake = Some(Bake {
        version: "v2".to_owned(),
        from: Some("v1".to_owned()),
        epoch: 2,
        ends_at: None,
        state: state.to_owned(),
    });
    scene
}

fn contracted(mut scene: Scene) -> Scene {
    scene.service.contract = Some(Contract { floor: "v2".to_owned(), note: String::new() });
    scene
}

fn wants() -> Wants {
    Wants { version: "v2".to_owned(), ..Wants::default() }
}

fn everything() -> Wants {
    let stage = |share, secs| Stage { share, lasts: Duration::from_secs(secs) };
    Wants {
        expand: true,
        run: true,
        gates: vec!["smoke".to_owned()],
        canary: Some(vec![stage(0.05, 60), stage(0.5, 60)]),
        bake: Some(Duration::from_secs(60)),
        contract: true,
        ..wants()
    }
}

/// With steps of its own, and nothing else.
fn by_given_steps() -> Wants {
    Wants { canary: everything().canary, ..wants() }
}

/// With the steps that the service has.
fn by_its_own() -> Wants {
    Wants { canary: Some(Vec::new()), ..wants() }
}

fn with_steps(mut scene: Scene) -> Scene {
    let step = serde_json::json!({ "share": 0.1, "for": "10m" });
    scene.service.policy.canary = CanaryPolicy { steps: vec![step] };
    scene
}

/// What is next for somebody who begins here, in a few words.
fn fresh(wants: &Wants, scene: &Scene) -> String {
    after(wants, scene, &Memory::default())
}

/// The same for somebody who has seen and done something.
fn after(wants: &Wants, scene: &Scene, memory: &Memory) -> String {
    let mut memory = memory.clone();
    memory.look(wants, scene, NOW);
    match next(wants, scene, &memory, NOW) {
        None => "finished".to_owned(),
        Some((step, Standing::Ready(action))) => format!("{}: {action:?}", step.as_str()),
        Some((step, Standing::Waits(what))) => format!("{} waits: {what}", step.as_str()),
        Some((step, Standing::Stuck(reasons))) => {
            let codes: Vec<&str> = reasons.iter().map(|reason| reason.code.as_str()).collect();
            format!("{} stuck: {}", step.as_str(), codes.join(" "))
        }
        Some((step, other)) => panic!("{} is next, and {other:?}", step.as_str()),
    }
}

#[test]
fn every_step_follows_from_what_the_server_says() {
    let all = everything();
    let expanded = || open(staged(), "expand");
    let ready = || open(expanded(), "smoke");
    let unknown = |scene| because(with(scene, |scene| _ = scene.versions.pop()), &["unknown_version"]);
    for (scene, expected) in [
        (unknown(staged()), "expand: Expand"),
        (staged(), "expand: Expand"),
        (because(expanded(), &["retired"]), "stage: Run"),
        (because(expanded(), &["quorum_share", "gate_closed"]), "stage: Run"),
        (expanded(), "gates: Gate(\"smoke\")"),
        (required(open(expanded(), "smoke"), "people"), "gates waits: gate people is closed"),
        (ready(), "canary: Canary(Some(0.05))"),
        (canary(ready(), 0.05, None), "canary waits: 5 % of the sessions, step 1 of 2, for 61 s more"),
        (flipped(), "bake waits: v2 is watched for 61 s more"),
        (bakes(flipped(), "running"), "bake waits: v2 is watched"),
        (bakes(flipped(), "failed"), "bake stuck: not_baked"),
        (contracted(flipped()), "finished"),
    ] {
        assert_eq!(fresh(&all, &scene), expected, "{scene:#?}");
    }
}

#[test]
fn what_nobody_asked_for_is_left_out() {
    for (scene, expected) in [
        (staged(), "flip: Flip(1)"),
        (because(staged(), &["not_stable"]), "stage waits: not_stable!"),
        (because(required(staged(), "people"), &["gate_closed"]), "gates waits: gate people is closed"),
        (flipped(), "drain waits: v1 drains: "),
        (bakes(flipped(), "running"), "bake waits: v2 is watched"),
        (drained(), "finished"),
    ] {
        assert_eq!(fresh(&wants(), &scene), expected, "{scene:#?}");
    }
}

#[test]
fn what_no_wait_helps_against_ends_it_before_anything_is_done() {
    let frozen = |scene| with(scene, |scene: &mut Scene| scene.service.freeze = Some(Freeze::default()));
    let rejected =
        |scene| with(scene, |scene: &mut Scene| scene.versions[1].rejected = Some("bad".to_owned()));
    let automatic = |scene: Scene| {
        with(open(open(scene, "expand"), "smoke"), |scene| {
            scene.service.policy.flip.mode = "auto".to_owned();
        })
    };
    let left = |role: &str| with(staged(), |scene: &mut Scene| scene.versions[1].role = role.to_owned());
    for (wants, scene, expected) in [
        (everything(), frozen(staged()), "expand stuck: frozen"),
        (by_given_steps(), left("draining"), "canary stuck: wrong_role"),
        (by_given_steps(), left("drained"), "canary stuck: wrong_role"),
        (everything(), rejected(staged()), "expand stuck: rejected"),
        (everything(), automatic(staged()), "canary stuck: flip_mode"),
        (by_its_own(), automatic(staged()), "canary stuck: flip_mode"),
        (by_its_own(), staged(), "canary stuck: no_steps"),
        (by_its_own(), automatic(with_steps(staged())), "canary: Canary(None)"),
        (wants(), because(staged(), &["below_floor", "quorum_count"]), "stage waits: quorum_count!"),
        (wants(), because(staged(), &["below_floor", "gate_closed"]), "flip stuck: below_floor"),
        (wants(), because(staged(), &["superseded"]), "flip stuck: superseded"),
        (wants(), frozen(flipped()), "drain waits: v1 drains: "),
    ] {
        assert_eq!(fresh(&wants, &scene), expected, "{scene:#?}");
    }
}

#[test]
fn a_version_that_was_rolled_back_is_never_contracted() {
    let (all, mut memory) = (everything(), Memory::default());
    memory.look(&all, &flipped(), Duration::ZERO);
    let back = with(staged(), |scene| {
        scene.service.epoch = 3;
        scene.versions[1].role = "rejected".to_owned();
        scene.versions[1].epoch = Some(2);
        scene.versions[1].rejected = Some("judged bad".to_owned());
        let (version, state, reason) = ("v2".to_owned(), "bad".to_owned(), Some("3 % errors".to_owned()));
        scene.service.verdict = Some(Verdict { version, state, reason });
    });

    assert_eq!(after(&all, &back, &memory), "expand stuck: rejected");
    assert_eq!(fresh(&all, &back), "expand stuck: rejected", "another run of the command says so too");
    let told = hopeless(&all, &back, &memory).unwrap().detail;
    assert_eq!(told, "v2 was rolled back: judged bad (3 % errors)");
}

#[test]
fn somebody_else_who_switches_meanwhile_ends_it() {
    let (all, mut memory) = (everything(), Memory::default());
    memory.look(&all, &flipped(), Duration::ZERO);
    let other = with(flipped(), |scene| scene.service.active = Some("v3".to_owned()));

    assert_eq!(after(&all, &other, &memory), "expand stuck: superseded");
}

#[test]
fn a_roll_that_was_ended_in_its_middle_goes_on() {
    let (all, mut rolled) = (Wants { run: true, ..wants() }, flipped());
    rolled.service.roll.state = "running".to_owned();
    let memory = Memory { ran: BTreeSet::from(["stage".to_owned()]), ..Memory::default() };

    assert_eq!(fresh(&all, &rolled), "stage: Run");
    assert_eq!(fresh(&wants(), &rolled), "drain waits: v1 drains: ");
    assert_eq!(after(&all, &rolled, &memory), "drain waits: v1 drains: ", "it ran to its end");
}

#[test]
fn a_switch_to_another_version_meanwhile_is_not_undone() {
    let mut memory = Memory::default();
    memory.look(&wants(), &staged(), Duration::ZERO);
    let other = with(staged(), |scene| scene.service.active = Some("v1b".to_owned()));

    assert_eq!(after(&wants(), &other, &memory), "flip stuck: superseded");
    assert_eq!(fresh(&wants(), &other), "flip: Flip(1)", "who begins now wants it instead of that one");
}

#[test]
fn a_command_that_ran_is_not_run_again_while_its_record_is_not_seen() {
    let all = everything();
    let memory = Memory { ran: BTreeSet::from(["stage".to_owned()]), ..Memory::default() };
    let scene = because(open(staged(), "expand"), &["nothing_usable"]);

    assert_eq!(after(&all, &scene, &memory), "stage waits: nothing_usable!");
}

#[test]
fn a_canary_goes_step_by_step_and_each_takes_its_time() {
    let all = everything();
    let ready = || open(open(staged(), "expand"), "smoke");
    let at = |share, since: u64| {
        let mut memory = Memory::default();
        memory.look(&all, &canary(ready(), share, None), Duration::from_secs(since));
        after(&all, &canary(ready(), share, None), &memory)
    };

    assert_eq!(at(0.05, 941), "canary waits: 5 % of the sessions, step 1 of 2, for 2 s more");
    assert_eq!(at(0.05, 940), "canary: Canary(Some(0.5))");
    assert_eq!(at(0.2, 940), "canary: Canary(Some(0.5))", "a share between two steps is in the lower one");
    assert_eq!(at(0.01, 0), "canary: Canary(Some(0.05))", "a share below all steps is in none");
    assert_eq!(at(0.5, 941), "canary waits: 50 % of the sessions, step 2 of 2, for 2 s more");
    assert_eq!(at(0.5, 940), "flip: Flip(1)");
}

#[test]
fn a_canary_by_the_services_own_steps_is_waited_for() {
    let staged = || with_steps(staged());
    let changed = |share, next_at, change: fn(&mut Canary)| {
        with(canary(staged(), share, next_at), |scene| change(scene.service.canary.as_mut().unwrap()))
    };
    for (scene, expected) in [
        (staged(), "canary: Canary(None)"),
        (changed(0.1, Some("then"), |_| ()), "canary waits: 10 % of the sessions, until then"),
        (
            changed(0.1, Some("then"), |canary| (canary.step, canary.steps) = (Some(1), 2)),
            "canary waits: 10 % of the sessions, step 1 of 2, until then",
        ),
        (
            changed(0.1, None, |canary| canary.starved = true),
            "canary waits: none of the backends of v2 is usable",
        ),
        (
            changed(0.1, Some("then"), |canary| canary.paused = true),
            "canary waits: 10 % of the sessions, paused by somebody",
        ),
        (changed(0.2, None, |_| ()), "canary waits: 20 % of the sessions, a share that somebody chose"),
        (changed(0.5, None, |canary| canary.complete = true), "flip: Flip(1)"),
        (changed(0.1, None, |canary| canary.version = "v1b".to_owned()), "canary stuck: canary"),
    ] {
        assert_eq!(fresh(&by_its_own(), &scene), expected, "{scene:#?}");
    }
}

#[test]
fn a_canary_that_was_ended_ends_the_deploy() {
    let mut memory = Memory::default();
    memory.look(&by_its_own(), &canary(with_steps(staged()), 0.1, Some("then")), Duration::ZERO);

    assert_eq!(after(&by_its_own(), &with_steps(staged()), &memory), "canary stuck: canary_ended");
}

#[test]
fn a_canary_that_was_judged_bad_ends_the_deploy_until_somebody_lets_it_go_on() {
    let failed = |paused, step| {
        with(canary(with_steps(staged()), 0.1, None), |scene| {
            let canary = scene.service.canary.as_mut().unwrap();
            (canary.failed, canary.paused, canary.step) = (true, paused, step);
            (canary.steps, canary.complete) = (1, !paused && step.is_some());
            let (version, state, reason) = ("v2".to_owned(), "bad".to_owned(), Some("3 % errors".to_owned()));
            scene.service.verdict = Some(Verdict { version, state, reason });
        })
    };

    assert_eq!(fresh(&by_its_own(), &failed(true, Some(1))), "canary stuck: canary_failed");
    assert_eq!(fresh(&by_given_steps(), &failed(false, None)), "canary stuck: canary_failed");
    assert_eq!(fresh(&by_its_own(), &failed(false, Some(1))), "flip: Flip(1)");
}

#[test]
fn a_share_that_somebody_lowered_is_not_raised_again() {
    let own = by_given_steps();
    let mut memory = Memory::default();
    memory.look(&own, &canary(staged(), 0.5, None), Duration::ZERO);
    memory.look(&own, &canary(staged(), 0.01, None), Duration::ZERO);

    let lowered = after(&own, &canary(staged(), 0.01, None), &memory);
    assert_eq!(lowered, "canary waits: 1 % of the sessions, since somebody gave it less");
    let raised = after(&own, &canary(staged(), 0.05, None), &memory);
    assert_eq!(raised, "canary waits: 5 % of the sessions, step 1 of 2, for 61 s more");
}

#[test]
fn the_last_sessions_are_moved_once_when_their_time_is_over() {
    let late = Wants { evict_after: Some(Duration::from_secs(30)), ..wants() };
    let mut memory = Memory::default();
    memory.look(&late, &flipped(), NOW - Duration::from_secs(29));
    assert_eq!(after(&late, &flipped(), &memory), "drain waits: v1 drains: ");

    let mut memory = Memory::default();
    memory.look(&late, &flipped(), NOW - Duration::from_secs(30));
    assert_eq!(after(&late, &flipped(), &memory), "drain: Evict(\"v1\")");
    memory.evicted.insert("v1".to_owned());
    assert_eq!(after(&late, &flipped(), &memory), "drain waits: v1 drains: ");
}

#[test]
fn a_contract_runs_when_the_server_would_record_it() {
    let contract = Wants { contract: true, ..wants() };
    let against =
        |code: &str| with(drained(), |scene| scene.contract_obstacles = vec![reason(code, code.to_owned())]);
    for (scene, expected) in [
        (drained(), "contract: Contract"),
        (bakes(drained(), "passed"), "contract: Contract"),
        (against("not_drained"), "contract waits: not_drained"),
        (against("not_baked"), "contract waits: not_baked"),
        (against("schema_out_of_range"), "contract stuck: schema_out_of_range"),
        (contracted(drained()), "finished"),
    ] {
        assert_eq!(fresh(&contract, &scene), expected, "{scene:#?}");
    }
}

#[test]
fn what_was_active_before_is_found_with_and_without_a_bake() {
    assert_eq!(staged().before("v2"), Some("v1"));
    assert_eq!(flipped().before("v2"), Some("v1"));
    assert_eq!(bakes(flipped(), "passed").before("v2"), Some("v1"));
    let first = with(flipped(), |scene| _ = scene.versions.remove(0));
    assert_eq!(first.before("v2"), None);
    assert_eq!(fresh(&wants(), &first), "finished");
}

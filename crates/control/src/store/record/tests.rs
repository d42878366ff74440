//! The written form of every record, which later releases have to read, and what is refused.

use std::fmt::Write as _;

use cutover_core::backend::{Admin, AdminState, Lease, Origin, Weight};
use cutover_core::bake::{self, Bake};
use cutover_core::canary::{Canary, Pace};
use cutover_core::command::Registration;
use cutover_core::contract::Contract;
use cutover_core::hook::{Asked, Ended, Hooks, Leave, Owed, Turn};
use cutover_core::id::{Epoch, Revision};
use cutover_core::judge::{Baseline, Kind, Numbers, Standing, Verdict};
use cutover_core::pin::PinKey;
use cutover_core::policy::HookPoint;
use cutover_core::policy::Share;
use cutover_core::roll::{self, Permit, Process, Roll};
use cutover_core::schema::{Schema, SchemaRange};
use cutover_core::service::Source;
use cutover_core::suspend::Suspension;
use cutover_core::time::Millis;
use cutover_core::version::{Drained, DrainedBy, Gate, Hold, Role};

use super::*;
use crate::reply::Reply;
use crate::timeline::Actor;
use crate::world::{World, id, label, registration, web};

const NOW: Timestamp = Timestamp(1_700_000_000_000);

fn read_policy(_: &ServiceName, _: &str) -> Result<Arc<Policy>, String> {
    Ok(Arc::default())
}

/// A state in which every field of every record has something to say.
async fn full() -> State {
    let mut world = World::new().await;
    world.put_web().await.expect("a service");
    let said = Registration {
        ttl: Some(Millis::from_secs(30)),
        boot_id: Some("boot-1".to_owned()),
        zone: Some("eu".to_owned()),
        schema: SchemaRange { min: Schema::new(4), max: Schema::new(5) },
        metadata: BTreeMap::from([("host".to_owned(), "app-1".to_owned())]),
        ..registration("a", "v1")
    };
    let register = cutover_core::command::Change::Register(said);
    world.change(register).await.expect("a backend");
    let mut state = State::clone(world.controller.state());
    state.departed = Arc::new(Departed {
        epochs: BTreeMap::from([("shop".parse().expect("a name"), Epoch(4))]),
        forgotten: Epoch(2),
    });
    let service = Arc::make_mut(state.services.get_mut(&web()).expect("web"));
    service.former_pins_until = Some(Timestamp(0));
    service.active = Some(label("v1"));
    service.epoch = Epoch(7);
    let freeze = Suspension { reason: "holiday".to_owned(), until: Some(NOW), by: "ops".to_owned(), at: NOW };
    service.maintenance = Some(Suspension { until: None, ..freeze.clone() });
    service.freeze = Some(freeze);
    service.contract = Some(contract());
    service.schema = Schema::new(5);
    service.hooks = hooks();
    service.roll = roll();
    service.bake = Some(bake());
    service.verdict = Some(verdict());
    let (share, pace) = (Share::new(0.05).expect("a share"), Pace::Paused(Millis(9)));
    service.canary = Some(Canary {
        version: label("v2"),
        share,
        began_at: NOW,
        since: NOW,
        pace,
        is_starved: true,
        is_failed: true,
    });
    let backend = Arc::make_mut(service.backends.get_mut(&id("a")).expect("a"));
    backend.patched_weight = Weight::new(5);
    backend.admin = Admin { state: AdminState::Maint, by: "ops".to_owned(), since: Timestamp(7) };
    backend.leaving = Some(NOW);
    let version = Arc::make_mut(service.versions.get_mut(&label("v1")).expect("v1"));
    version.role = Role::Rejected;
    version.rejected = Some("slow".to_owned());
    version.epoch = Some(Epoch(7));
    version.was_canary = true;
    version.demoted_at = Some(NOW);
    version.drained = Some(Drained { at: NOW, by: DrainedBy::Deadline });
    let gate = Gate { is_open: true, note: "ran".to_owned(), by: "ci".to_owned(), at: NOW };
    version.gates.insert("expand".parse().expect("a name"), gate);
    let ttl = Millis::from_secs(60);
    let hold = Hold { ttl, expires_at: NOW + ttl, by: "worker".to_owned() };
    version.holds.insert("worker@1".parse().expect("a name"), hold);
    state.pin_keys =
        vec![PinKey { id: 1, secret: std::array::from_fn(|at| u8::try_from(at).unwrap_or(0)), made_at: NOW }]
            .into();
    state
}

fn contract() -> Contract {
    let (by, note) = ("dba".to_owned(), "dropped users.name".to_owned());
    Contract { at: NOW, by, note, floor: label("v1"), seen: 3 }
}

fn bake() -> Bake {
    Bake {
        version: label("v2"),
        from: label("v1"),
        epoch: Epoch(7),
        began_at: NOW,
        ends_at: NOW + Millis::from_secs(300),
        state: bake::State::Failed,
        baseline: Baseline { requests: 1000, errors: 1, p95_us: Some(2047), p99_us: Some(4095) },
    }
}

fn verdict() -> Verdict {
    Verdict {
        kind: Kind::Bake,
        version: label("v2"),
        against: label("v1"),
        since: NOW,
        standing: Standing::Bad,
        reason: "too many errors".to_owned(),
        numbers: Numbers {
            requests: 400,
            errors: 20,
            baseline_error_rate: Some(0.001),
            evidence: 104.5,
            p99_ms: Some(4.095),
            baseline_p99_ms: Some(4.095),
        },
    }
}

fn hooks() -> Hooks {
    let turn = Turn {
        on: HookPoint::RolledBack,
        version: label("v1"),
        from: Some(label("v2")),
        epoch: Epoch(7),
        at: NOW,
    };
    let url = "https://ci.test/told".parse().expect("a URL");
    let ended = Ended {
        number: 1,
        turn: turn.clone(),
        origin: "https://ci.test".to_owned(),
        is_delivered: false,
        status: Some(410),
        tries: 1,
        took: Millis(12),
        said: "410: gone".to_owned(),
    };
    let answer = Leave::Refused("not yet".to_owned());
    Hooks {
        asked: Some(Asked { to: label("v2"), epoch: Epoch(7), at: NOW, answer }),
        owed: BTreeMap::from([(2, Arc::new(Owed { turn, url }))]),
        recent: vec![Arc::new(ended)],
        next: 3,
    }
}

fn roll() -> Roll {
    let process =
        Process { version: Some(label("v1")), boot_id: Some("boot-1".to_owned()), registered_at: NOW };
    let permit = Permit {
        asked_at: NOW,
        granted_at: Some(NOW + Millis(1)),
        deadline: Some(NOW + Millis(2)),
        process,
        is_away: true,
    };
    Roll {
        state: roll::State::Frozen,
        reason: "b is late".to_owned(),
        batch: 1,
        taken: 2,
        size: 4,
        to: Some(label("v2")),
        permits: BTreeMap::from([(id("a"), permit)]),
        done: BTreeSet::from([id("c")]),
    }
}

fn entry() -> Entry {
    Entry {
        id: EventId(1_700_000_000_000_000),
        at: NOW,
        service: web(),
        kind: "activated".into(),
        text: "switched from v1 to v2 in epoch 8".to_owned(),
        actor: Actor { name: "deploy".to_owned(), remote: Some("10.0.0.9".to_owned()) },
        reason: Some("release".to_owned()),
        is_forced: true,
        revision: Revision(12),
        version: Some(label("v2")),
        backend: Some(id("a")),
        epoch: Some(Epoch(8)),
    }
}

fn keeping() -> Keeping {
    let id = |key: &[u8]| Digest::of(&[b"deploy", key]);
    let body = r#"{"epoch":8,"from":"v1","to":"v2","revision":12}"#;
    let reply = Reply { status: http::StatusCode::OK, revision: Revision(12), body: body.into() };
    let kept =
        KeptReply { at: NOW, fingerprint: Digest::of(&[b"/v1/services/web/rollback", b"", b"{}"]), reply };
    Keeping { id: id(b"release-7"), reply: kept, outdated: vec![id(b"release-6")] }
}

fn documents(changes: impl IntoIterator<Item = (Key, Change)>) -> BTreeMap<Key, Document> {
    let put = |(key, change)| match change {
        Change::Put(document) => Some((key, document)),
        Change::Delete => None,
    };
    changes.into_iter().filter_map(put).collect()
}

#[tokio::test]
async fn the_written_form_of_every_record_stays() {
    let changes = difference(&State::default(), &full().await).changes.into_iter();
    let written = documents(changes.chain(timeline([&entry()], [])).chain(reply(&keeping())));
    let text = written.iter().fold(String::new(), |mut text, (key, document)| {
        writeln!(text, "{key} {} {}", document.format, document.json).expect("text is writable");
        text
    });
    insta::assert_snapshot!(text);
}

#[tokio::test]
async fn what_is_written_is_read_back() {
    let state = full().await;
    let changes = difference(&State::default(), &state).changes.into_iter();
    let written = documents(changes.chain(timeline([&entry()], [])).chain(reply(&keeping())));
    let stored = read(&written, read_policy, NOW).expect("our own records");
    assert_eq!(stored.state, state);
    assert_eq!(stored.timeline, [entry()]);
    assert_eq!(stored.replies, [(keeping().id, keeping().reply)]);
}

/// Records of the first release, which knew neither rolls nor maintenance nor since when a backend drains, and nothing of databases.
#[tokio::test]
async fn a_record_without_what_came_later_is_read() {
    let mut expected = full().await;
    let service = Arc::make_mut(expected.services.get_mut(&web()).expect("web"));
    (service.roll, service.maintenance, service.former_pins_until) = (Roll::default(), None, None);
    (service.contract, service.schema, service.hooks) = (None, None, Hooks::default());
    let backend = Arc::make_mut(service.backends.get_mut(&id("a")).expect("a"));
    (backend.admin.since, backend.schema) = (Timestamp(0), SchemaRange::ANY);
    let mut written = documents(difference(&State::default(), &full().await).changes);
    for (key, later) in [
        ("service/web", "roll"),
        ("service/web", "maintenance"),
        ("service/web", "contract"),
        ("service/web", "schema"),
        ("service/web", "hooks"),
        ("service/web", "is_again"),
        ("backend/web/a", "since_ms"),
        ("backend/web/a", "schema_min"),
        ("backend/web/a", "schema_max"),
    ] {
        let document = written.get_mut(&key.parse().expect("a key")).expect("a record");
        let mut json: serde_json::Value = serde_json::from_str(&document.json).expect("JSON");
        let table = if later == "since_ms" { &mut json["admin"] } else { &mut json };
        table.as_object_mut().expect("a table").remove(later).expect("written today");
        document.json = json.to_string();
    }
    let stored = read(&written, read_policy, NOW).expect("older records");
    assert_eq!(stored.state, expected);
}

#[test]
fn an_outdated_reply_is_deleted_by_the_commit_of_another() {
    let outdated = Key::new("reply").child(&keeping().outdated[0].to_string());
    let changes: BTreeMap<Key, Change> = reply(&keeping()).collect();
    assert_eq!((changes.len(), changes.get(&outdated)), (2, Some(&Change::Delete)));
}

#[tokio::test]
async fn a_renewed_lease_or_hold_changes_no_record() {
    let before = full().await;
    let mut after = before.clone();
    let service = Arc::make_mut(after.services.get_mut(&web()).expect("web"));
    let backend = Arc::make_mut(service.backends.get_mut(&id("a")).expect("a"));
    backend.origin =
        Origin::Registered(Some(Lease { ttl: Millis::from_secs(30), expires_at: NOW + Millis(77) }));
    let version = Arc::make_mut(service.versions.get_mut(&label("v1")).expect("v1"));
    version.holds.values_mut().for_each(|hold| hold.expires_at = NOW + Millis(77));
    version.quorum_since = Some(NOW);
    assert_eq!(difference(&before, &after), Difference::default());
}

#[tokio::test]
async fn a_service_that_goes_takes_its_records_with_it() {
    let state = full().await;
    let changes = difference(&state, &State { services: BTreeMap::new(), ..state.clone() }).changes;
    let gone: Vec<&str> = changes.keys().map(Key::as_str).collect();
    assert_eq!(gone, ["backend/web/a", "service/web", "version/web/v1"]);
    assert!(changes.values().all(|change| *change == Change::Delete));
}

#[tokio::test]
async fn a_newer_format_and_damage_name_the_record() {
    let good = documents(difference(&State::default(), &full().await).changes);
    let refusal = |key: &str, format: u32, json: &str| {
        let mut records = good.clone();
        records.insert(key.parse().expect("a key"), Document { format, json: json.to_owned() });
        read(&records, read_policy, NOW).expect_err("taken").to_string()
    };
    let version = &good[&"version/web/v1".parse().expect("a key")].json;
    let service = &good[&"service/web".parse().expect("a key")].json;
    let (reply_key, reply) = documents(reply(&keeping())).pop_first().expect("a reply");
    let reply_json = &reply.json;
    let refusals = [
        refusal("service/web", 2, "{}"),
        refusal("service/web", 0, "{}"),
        refusal("service/web", 1, &service.replace("\"frozen\"", "\"cold\"")),
        refusal("service/web", 1, &service.replace("\"permits\":{\"a\"", "\"permits\":{\"a b\"")),
        refusal("service/web", 1, &service.replace("\"to\":\"v2\"", "\"to\":\"\"")),
        refusal("backend/web/a", 1, "{\"address\""),
        refusal("backend/web/a", 1, "[]"),
        refusal("backend/gone/a", 1, &good[&"backend/web/a".parse().expect("a key")].json),
        refusal("version/web/v1", 1, &version.replace("rejected\",", "best\",")),
        refusal("version/web/v1/x", 1, version),
        refusal("version/web/ä", 1, version),
        refusal("key/pin/1", 1, "{\"place\":0,\"secret\":\"zz\",\"made_at_ms\":1}"),
        refusal("key/pin/300", 1, "{\"place\":0,\"secret\":\"\",\"made_at_ms\":1}"),
        refusal("key/tls/1", 1, "{}"),
        refusal("departed/shop/x", 1, "{\"epoch\":4}"),
        refusal("departed/shop", 1, "{\"epoch\":-4}"),
        refusal("roll/web", 1, "{}"),
        refusal("timeline/web/x", 1, "{}"),
        refusal("reply/deploy", 1, reply_json),
        refusal(reply_key.as_str(), 1, &reply_json.replace("200", "20")),
        refusal(reply_key.as_str(), 1, &reply_json.replace("fingerprint\":\"", "fingerprint\":\"x")),
        refusal(reply_key.as_str(), 2, "{}"),
    ];
    insta::assert_snapshot!(refusals.join("\n"));
}

#[test]
fn a_service_whose_document_is_not_valid_any_more_is_named() {
    let service = Service::new(web(), Arc::default(), Source::Api("{}".into()));
    let state = State { services: BTreeMap::from([(web(), Arc::new(service))]), ..State::default() };
    let records = documents(difference(&State::default(), &state).changes);
    let refusal = read(&records, |_, _| Err("no paths".to_owned()), NOW).expect_err("taken").to_string();
    assert_eq!(
        refusal,
        "service/web is damaged: the document of the service is not valid any more: no paths"
    );
}

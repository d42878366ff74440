//! `kill -9` at random moments while a client registers and flips: what was acknowledged is there afterwards.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::support::admin::Admin;
use crate::support::stage::Stage;

const KILLS: u32 = 50;
/// The longest time from a start to a kill.
const LIFE_MS_MAX: u64 = 250;

/// What the client knows to be true, and what it can't know: the answer to the last call was lost.
#[derive(Debug, Default)]
struct Known {
    epoch: u64,
    active: String,
    /// Backends by name, with the weight that was acknowledged.
    backends: BTreeMap<String, u64>,
    gates: BTreeMap<String, bool>,
    unsure: Option<Unsure>,
    calls: u64,
}

/// The change whose answer was lost: it may have happened.
#[derive(Debug)]
enum Unsure {
    Flip(String),
    Backend(String, u64),
    Removal(String),
    Gate(String, bool),
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_kill_9_at_any_moment() {
    let seed = std::env::var("CUTOVER_E2E_SEED").map_or_else(
        |_| u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros()).unwrap(),
        |text| text.parse().unwrap(),
    );
    eprintln!("CUTOVER_E2E_SEED={seed}");
    let mut dice = Dice(seed);
    let mut stage = Stage::v1_and_v2().await;
    let mut known = Known { epoch: 1, active: "v1".to_owned(), ..Known::default() };

    for kill in 0..KILLS {
        let life = Duration::from_millis(dice.below(LIFE_MS_MAX));
        let admin = stage.admin();
        tokio::select! {
            () = tokio::time::sleep(life) => {}
            () = known.change_things(&admin, &mut dice) => unreachable!("it changes things for ever"),
        }
        stage.kill9();
        stage.restart().await;
        known.verify(&stage.admin(), kill).await;
    }

    eprintln!(
        "{} acknowledged changes, epoch {}, {} backends",
        known.calls,
        known.epoch,
        known.backends.len()
    );
    assert!(known.calls > u64::from(KILLS) && known.epoch > 1, "too little happened: {known:?}");
}

impl Known {
    /// Makes one change after the other until it is cancelled.
    async fn change_things(&mut self, admin: &Admin, dice: &mut Dice) {
        loop {
            match dice.below(5) {
                0 | 1 => self.flip(admin).await,
                2 => self.register(admin, dice).await,
                3 => self.remove(admin, dice).await,
                _ => self.set_gate(admin, dice).await,
            }
        }
    }

    async fn flip(&mut self, admin: &Admin) {
        let to = if self.active == "v1" { "v2" } else { "v1" };
        self.unsure = Some(Unsure::Flip(to.to_owned()));
        let body = json!({ "to": to, "force": true });
        let answer = admin.try_call("POST", "/v1/services/web/flip", &body).await;
        let Ok(answer) = answer else { return std::future::pending().await };
        // Right after a restart a version may have no usable backend yet.
        if answer.status() == 200 {
            let epoch = answer.json()["epoch"].as_u64().unwrap();
            assert_eq!(epoch, self.epoch + 1, "epochs grow by one: {answer:?}");
            (self.epoch, self.active) = (epoch, to.to_owned());
            self.calls += 1;
        } else {
            assert_eq!(answer.status(), 409, "{answer:?}");
        }
        self.unsure = None;
    }

    async fn register(&mut self, admin: &Admin, dice: &mut Dice) {
        let (name, weight) = (format!("x{}", dice.below(20)), 1 + dice.below(100));
        self.unsure = Some(Unsure::Backend(name.clone(), weight));
        let path = format!("/v1/services/web/backends/{name}");
        let body = json!({ "address": "127.0.0.1:1", "weight": weight, "ttl": "0" });
        self.made(admin.try_call("PUT", &path, &body).await).await;
        self.backends.insert(name, weight);
    }

    async fn remove(&mut self, admin: &Admin, dice: &mut Dice) {
        let name = format!("x{}", dice.below(20));
        if !self.backends.contains_key(&name) {
            return;
        }
        self.unsure = Some(Unsure::Removal(name.clone()));
        let path = format!("/v1/services/web/backends/{name}?drain=0s");
        self.made(admin.try_call("DELETE", &path, &Value::Null).await).await;
        self.backends.remove(&name);
    }

    async fn set_gate(&mut self, admin: &Admin, dice: &mut Dice) {
        let (name, open) = (format!("g{}", dice.below(5)), dice.below(2) == 0);
        self.unsure = Some(Unsure::Gate(name.clone(), open));
        let path = format!("/v1/services/web/versions/v2/gates/{name}");
        self.made(admin.try_call("PUT", &path, &json!({ "open": open })).await).await;
        self.gates.insert(name, open);
    }

    /// Goes on only after an acknowledgement; without one the kill came first.
    async fn made(&mut self, answer: std::io::Result<crate::support::http::Answer>) {
        let Ok(answer) = answer else { return std::future::pending().await };
        assert!((200..300).contains(&answer.status()), "{:?}: {answer:?}", self.unsure);
        self.unsure = None;
        self.calls += 1;
    }

    /// Everything that was acknowledged is there, and at most the one change more whose answer was lost. Learns which it is.
    async fn verify(&mut self, admin: &Admin, kill: u32) {
        let service = admin.get("/v1/services/web").await;
        let backends = admin.get("/v1/services/web/backends").await;
        let gates = admin.version("v2").await["gates"].clone();
        let found = Self {
            epoch: service["epoch"].as_u64().unwrap(),
            active: service["active"].as_str().unwrap().to_owned(),
            backends: backends["backends"]
                .as_array()
                .unwrap()
                .iter()
                .map(|backend| {
                    (backend["id"].as_str().unwrap().to_owned(), backend["weight"].as_u64().unwrap())
                })
                .filter(|(name, _)| name.starts_with('x'))
                .collect(),
            gates: gates
                .as_object()
                .unwrap()
                .iter()
                .map(|(name, gate)| (name.clone(), gate["open"].as_bool().unwrap()))
                .collect(),
            unsure: None,
            calls: self.calls,
        };
        if !self.is(&found) {
            let unsure = self.unsure.take();
            let before = format!("{self:?} with {unsure:?}");
            self.happened(unsure);
            assert!(self.is(&found), "after kill {kill}: {before} became {found:?}");
        }
        self.unsure = None;
    }

    fn happened(&mut self, unsure: Option<Unsure>) {
        match unsure {
            None => {}
            Some(Unsure::Flip(to)) => (self.epoch, self.active) = (self.epoch + 1, to),
            Some(Unsure::Backend(name, weight)) => _ = self.backends.insert(name, weight),
            Some(Unsure::Removal(name)) => _ = self.backends.remove(&name),
            Some(Unsure::Gate(name, open)) => _ = self.gates.insert(name, open),
        }
    }

    fn is(&self, other: &Self) -> bool {
        let parts =
            |known: &Self| (known.epoch, known.active.clone(), known.backends.clone(), known.gates.clone());
        parts(self) == parts(other)
    }
}

/// SplitMix64: the same seed throws the same numbers on every machine.
#[derive(Debug)]
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

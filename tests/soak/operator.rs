//! The operator: new versions are rolled out over the same servers, with canaries, flips, rollbacks and regrets on the way.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::admin::Outcome;
use super::deck::{Deck, Dice};
use super::fleet::Fleet;
use super::run::Run;
use super::tally::Guarantee;
use super::world::ChangeKind;

/// How long the operator tries what must become possible once troubles are over.
const PATIENCE: Duration = Duration::from_secs(120);
const ROLL: &str = "/v1/services/web/roll";
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(300);
/// What is done with two versions at hand before the active one is to stay.
const PLAYS: (u64, u64) = (4, 9);

/// Somebody with the admin API and two versions.
#[derive(Debug)]
pub(crate) struct Operator {
    run: Arc<Run>,
    fleet: Arc<Fleet>,
    dice: Dice,
    /// The number of the newest version.
    newest: u64,
    /// What was acknowledged: epoch and active version, by service.
    web: (u64, String),
    rpc: (u64, String),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Play {
    Flip,
    Rollback,
    Canary,
    Evict,
    FlipRpc,
}

impl Operator {
    pub(crate) fn new(run: &Arc<Run>, fleet: &Arc<Fleet>) -> Self {
        let dice = Dice::new(run.options.seed, 3);
        let first = (1, "v1".to_owned());
        Self {
            run: Arc::clone(run),
            fleet: Arc::clone(fleet),
            dice,
            newest: 2,
            web: first.clone(),
            rpc: first,
        }
    }

    /// Works until it is calm.
    pub(crate) async fn work(mut self) -> Self {
        let mut deck = Deck::new(vec![
            Play::Flip,
            Play::Flip,
            Play::Rollback,
            Play::Canary,
            Play::Evict,
            Play::FlipRpc,
            Play::FlipRpc,
        ]);
        while !self.run.is_calm() {
            for _ in 0..self.dice.between(PLAYS.0, PLAYS.1) {
                let length = Duration::from_millis(self.dice.between(500, 4_000));
                self.run.pause(length).await;
                let Some(play) = deck.deal(&mut self.dice, |_| true).filter(|_| !self.run.is_calm()) else {
                    break;
                };
                match play {
                    Play::Flip => self.flip_to_other().await,
                    Play::Rollback => self.regret().await,
                    Play::Canary => self.canary().await,
                    Play::Evict => self.evict().await,
                    Play::FlipRpc => self.flip_rpc().await,
                }
            }
            if self.run.options.is_full() && !self.run.is_calm() {
                self.next_version().await;
            }
        }
        self
    }

    /// After the chaos everything works: the versions are switched once more, in every service.
    pub(crate) async fn show_that_it_works(&mut self) {
        for _ in 0..2 {
            let (before, until) = (self.web.0, Instant::now() + PATIENCE);
            while self.web.0 == before && Instant::now() < until {
                let Some(other) = self.other().await else { return };
                // A roll that ended with the chaos may have left less than the quorum.
                self.flip_by(&other, json!({ "to": other, "force": true })).await;
                tokio::time::sleep(PAUSE).await;
            }
            if self.web.0 == before {
                self.run.find(format!("no flip in {PATIENCE:?} without any trouble"));
            }
        }
    }

    /// The rest of the fleet gets the version that is active, and then half of it the next one.
    async fn next_version(&mut self) {
        let active = self.web.1.clone();
        self.run.say(&format!("roll: everything to {active}"));
        if !self.roll(&active, usize::MAX).await {
            return;
        }
        self.newest += 1;
        let next = format!("v{}", self.newest);
        self.run.say(&format!("roll: half to {next}"));
        if self.roll(&next, 3).await {
            self.flip(&next).await;
        }
    }

    /// Asks for a permit for every server of another version, and restarts it with this one. False if it got calm meanwhile.
    async fn roll(&mut self, version: &str, most: usize) -> bool {
        let fleet = Arc::clone(&self.fleet);
        let mut restarted = 0;
        for server in fleet.of("web") {
            let mut server = server.lock().await;
            if server.version == version || restarted == most {
                continue;
            }
            if self.run.is_calm() {
                return false;
            }
            self.run.world("web").unsettle(&server.name);
            if !self.permit(&server.name).await {
                self.run.note(&format!("{} got no permit in time and is restarted without", server.name));
            }
            server.stop().await;
            server.start(version).await;
            server.settle(&self.run).await;
            restarted += 1;
        }
        true
    }

    /// Waits for a permit, for as long as a drain takes at most.
    async fn permit(&mut self, backend: &str) -> bool {
        let until = Instant::now() + PATIENCE;
        let body = json!({ "backend": backend, "wait": "1s" });
        let mut why = String::new();
        while Instant::now() < until {
            match self.run.admin.call("POST", "/v1/services/web/permits", &body).await {
                Outcome::Done(answer) if answer["granted"] == true => return true,
                Outcome::Done(answer) => why = answer.to_string(),
                other => why = other.why(),
            }
            if why.contains("roll_frozen") {
                // Servers that die meanwhile freeze a roll. Nothing is wrong with the version.
                let resumed = self.run.admin.call("POST", ROLL, &json!({ "action": "resume" })).await;
                self.run.note(&format!("the roll is frozen and resumed: {}", resumed.why()));
                if matches!(resumed, Outcome::Refused(409, _)) {
                    // One to a version that was rolled back ends here. The next permit begins another one.
                    self.run.admin.call("POST", ROLL, &json!({ "action": "abort" })).await;
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
        self.run.note(&format!("no permit for {backend}: {why}"));
        false
    }

    async fn flip_to_other(&mut self) {
        if let Some(other) = self.other().await {
            self.flip(&other).await;
        }
    }

    async fn flip(&mut self, to: &str) -> bool {
        self.flip_by(to, json!({ "to": to })).await
    }

    async fn flip_by(&mut self, to: &str, body: Value) -> bool {
        // What was rolled back is rejected until somebody takes that off.
        self.run.admin.call("POST", &format!("/v1/services/web/versions/{to}/clear"), &json!({})).await;
        let from = self.web.1.clone();
        self.switch("web", ChangeKind::Flip, &from, to, "flip", body).await
    }

    async fn flip_rpc(&mut self) {
        let from = self.rpc.1.clone();
        let to = if from == "v1" { "v2" } else { "v1" };
        self.switch("rpc", ChangeKind::Flip, &from, to, "flip", json!({ "to": to })).await;
    }

    /// A flip that is taken back.
    async fn regret(&mut self) {
        let good = self.web.1.clone();
        let Some(other) = self.other().await else { return };
        if self.flip(&other).await {
            let length = Duration::from_millis(self.dice.between(500, 3_000));
            self.run.pause(length).await;
            self.switch("web", ChangeKind::Rollback, &other, &good, "rollback", json!({})).await;
        }
    }

    /// A version gets a share, and loses it or becomes active.
    async fn canary(&mut self) {
        let Some(other) = self.other().await else { return };
        let active = self.web.1.clone();
        self.run.admin.call("POST", &format!("/v1/services/web/versions/{other}/clear"), &json!({})).await;
        let body = json!({ "to": other, "share": 0.4 });
        if !self.switch("web", ChangeKind::Canary, &active, &other, "canary", body).await {
            return;
        }
        let length = Duration::from_millis(self.dice.between(1_000, 4_000));
        self.run.pause(length).await;
        if self.dice.one_in(2)
            && self.switch("web", ChangeKind::Flip, &active, &other, "flip", json!({ "to": other })).await
        {
            return;
        }
        let until = Instant::now() + PATIENCE;
        let body = json!({ "to": other, "share": 0 });
        while !self.switch("web", ChangeKind::CanaryEnd, &other, &active, "canary", body.clone()).await {
            if Instant::now() > until {
                return self.run.find(format!("a canary could not be ended in {PATIENCE:?}"));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Ends the drain of the version that is not active, if it drains.
    async fn evict(&mut self) {
        let Some(other) = self.other().await else { return };
        let role =
            self.run.admin.get(&format!("/v1/services/web/versions/{other}")).await.unwrap_or_default();
        if role["role"] == "draining" {
            let active = self.web.1.clone();
            self.switch(
                "web",
                ChangeKind::Evict,
                &other,
                &active,
                &format!("versions/{other}/evict"),
                json!({}),
            )
            .await;
        }
    }

    /// The version with servers that is not active.
    async fn other(&self) -> Option<String> {
        let mut versions = Vec::new();
        for server in self.fleet.of("web") {
            versions.push(server.lock().await.version.clone());
        }
        versions.into_iter().find(|version| *version != self.web.1)
    }

    /// Asks for a change, finds out what became of it, and writes it down. True if it happened.
    async fn switch(
        &mut self,
        service: &str,
        kind: ChangeKind,
        from: &str,
        to: &str,
        path: &str,
        body: Value,
    ) -> bool {
        let run = Arc::clone(&self.run);
        let entry = run.world(service).call(kind, from, to);
        let called = Instant::now();
        let outcome = run.admin.call("POST", &format!("/v1/services/{service}/{path}"), &body).await;
        let happened = match &outcome {
            Outcome::Done(_) => true,
            Outcome::Refused(..) => false,
            Outcome::Lost(_) => self.is_found_done(service, kind, from).await,
        };
        match happened {
            true => run.world(service).happened(entry),
            false => run.world(service).refused(entry),
        }
        if happened && matches!(kind, ChangeKind::Flip | ChangeKind::Rollback) {
            let known = if service == "web" { &mut self.web } else { &mut self.rpc };
            to.clone_into(&mut known.1);
        }
        let length = called.elapsed();
        run.note(&format!("{service}: {kind:?} from {from} to {to} in {length:.1?}: {}", outcome.why()));
        self.audit(service, happened && kind != ChangeKind::Canary && kind != ChangeKind::Evict).await;
        happened
    }

    /// Whether what was asked for without an answer has happened.
    async fn is_found_done(&self, service: &str, kind: ChangeKind, from: &str) -> bool {
        let found = self.read(service).await;
        let known = if service == "web" { &self.web } else { &self.rpc };
        match kind {
            ChangeKind::Flip | ChangeKind::Rollback => {
                found["epoch"].as_u64().is_some_and(|epoch| epoch > known.0)
            }
            ChangeKind::Canary => !found["canary"].is_null(),
            ChangeKind::CanaryEnd => found["canary"].is_null(),
            ChangeKind::Evict => {
                let path = format!("/v1/services/{service}/versions/{from}");
                self.run.admin.get(&path).await.is_none_or(|version| version["role"] != "draining")
            }
        }
    }

    /// G6: epoch and active version are those that were acknowledged. An end of a canary may begin an epoch.
    async fn audit(&mut self, service: &str, is_new: bool) {
        let found = self.read(service).await;
        let known = if service == "web" { &mut self.web } else { &mut self.rpc };
        let (epoch, active) =
            (found["epoch"].as_u64().unwrap_or(0), found["active"].as_str().unwrap_or_default());
        let is_next = epoch == known.0 || is_new && epoch == known.0 + 1;
        let (holds, at) = (is_next && active == known.1, Instant::now());
        let mut tally = self.run.tally();
        tally.check(Guarantee::Lost, holds, at, || {
            format!("{service}: epoch {epoch} with {active} where {known:?} was acknowledged (new: {is_new})")
        });
        drop(tally);
        self.run.tell_news();
        *known = (epoch, active.to_owned());
    }

    /// What the service is, as soon as somebody says it.
    async fn read(&self, service: &str) -> Value {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if let Some(found) = self.run.admin.get(&format!("/v1/services/{service}")).await {
                return found;
            }
            tokio::time::sleep(PAUSE).await;
        }
        self.run.find(format!("nobody says what {service} is"));
        Value::Null
    }
}

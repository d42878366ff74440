//! Fifty deployments of versions that are as good as the one before, under load and with errors that come in bursts: none is rolled back.
//!
//! Nothing here goes by how fast the machine is. What is compared are errors, which the apps draw by numbers of requests; and the slow
//! answers by which latency is judged are slow because the apps wait, far longer than a busy machine keeps anybody waiting.

use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::admin::Admin;
use crate::support::config::{Config, Service};
use crate::support::cutover::Cutover;
use crate::support::http::{Connection, Request};
use crate::support::script::{Peer, Script};
use crate::support::wait::{until, within};

const SERVICES: u32 = 10;
/// Deployments of each service, one after the other.
const DEPLOYMENTS: u32 = 5;
const BAKE: &str = "4s";
/// Connections of each service, and the time between two requests of each: 80 requests in a second.
const CONNECTIONS: usize = 8;
const PACE: Duration = Duration::from_millis(100);
/// Requests that the first version of a service answers before anything is deployed.
const BEFORE: u64 = 200;
/// How slow the slow answers are. They are more than a twentieth, so that every version's 95th percentile is as slow.
const SLOW: Duration = Duration::from_millis(250);
const SLOW_IN_THOUSAND: u64 = 70;
/// Requests between two changes between bursts and calm, and how many of a hundred such stretches are bursts: 0.3 % of all requests fail.
const STRETCH: u64 = 100;
const BURSTS_IN_HUNDRED: u64 = 10;
const ERRORS_IN_THOUSAND: u64 = 30;

/// What all servers of a service have in common: whatever version it is, it fails as often.
#[derive(Debug)]
struct App {
    seed: u64,
    asked: AtomicU64,
    failed: AtomicU64,
}

impl App {
    fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self { seed, asked: AtomicU64::new(0), failed: AtomicU64::new(0) })
    }

    /// A server of it.
    async fn server(self: &Arc<Self>) -> Script {
        let app = Arc::clone(self);
        Script::start(move |peer| Arc::clone(&app).serve(peer)).await
    }

    async fn serve(self: Arc<Self>, mut peer: Peer) {
        while let Some(head) = peer.head().await {
            if head.starts_with("GET /up ") {
                peer.write("HTTP/1.1 204 Up\r\n\r\n").await;
                continue;
            }
            let number = self.asked.fetch_add(1, Ordering::Relaxed);
            if self.draw("slow", number) % 1000 < SLOW_IN_THOUSAND {
                tokio::time::sleep(SLOW).await;
            }
            let is_burst = self.draw("burst", number / STRETCH) % 100 < BURSTS_IN_HUNDRED;
            let fails = is_burst && self.draw("error", number) % 1000 < ERRORS_IN_THOUSAND;
            self.failed.fetch_add(u64::from(fails), Ordering::Relaxed);
            let status = if fails { "500 Out of luck" } else { "200 OK" };
            peer.write(format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\nhi")).await;
        }
    }

    /// The same number in every run.
    fn draw(&self, what: &str, number: u64) -> u64 {
        BuildHasherDefault::<DefaultHasher>::default().hash_one((self.seed, what, number))
    }
}

/// Visitors of one service, who take whatever status they get, until they are told to leave.
async fn visit(proxy: SocketAddr, host: String, leave: Arc<AtomicBool>) {
    let request = Request::get("/").field("Host", &host);
    let mut due = tokio::time::Instant::now();
    let mut connection = Connection::open(proxy).await;
    while !leave.load(Ordering::Relaxed) {
        tokio::time::sleep_until(due).await;
        due += PACE;
        connection.ask(&request).await;
    }
}

/// Deploys one version after the other, each on the server that the one before the last had. Answers the verdicts.
async fn deploy_again_and_again(admin: Admin, name: String, app: Arc<App>) -> Vec<Value> {
    let servers = [app.server().await, app.server().await];
    let service = format!("/v1/services/{name}");
    let register = async |number: u32, server: &Script| {
        let body =
            json!({ "address": server.address().to_string(), "version": format!("v{number}"), "ttl": "0" });
        admin.done("PUT", &format!("{service}/backends/v{number}"), body).await;
    };
    register(0, &servers[0]).await;
    until(&format!("{name} has visitors"), async || {
        (app.asked.load(Ordering::Relaxed) > BEFORE).then_some(())
    })
    .await;
    let mut verdicts = Vec::new();
    for number in 1..=DEPLOYMENTS {
        register(number, &servers[number as usize % 2]).await;
        let version = format!("v{number}");
        until(&format!("{name} {version} may be flipped to"), async || {
            let flip = admin.call("POST", &format!("{service}/flip"), &json!({ "to": version })).await;
            (flip.status() == 200).then_some(())
        })
        .await;
        let after = until(&format!("the bake of {name} {version} ends"), async || {
            tokio::time::sleep(Duration::from_millis(200)).await;
            let after = admin.get(&service).await;
            (after["bake"]["state"] != "running").then_some(after)
        })
        .await;
        assert_eq!(
            (&after["bake"]["state"], &after["active"]),
            (&json!("passed"), &json!(version)),
            "{after}"
        );
        verdicts.push(after["verdict"].clone());
        admin.done("DELETE", &format!("{service}/backends/v{}?drain=0s", number - 1), Value::Null).await;
    }
    verdicts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_fifty_deployments_no_good_version_is_rolled_back() {
    let name = |number: u32| format!("s{number}");
    let host = |number: u32| format!("s{number}.test");
    let service = |number| {
        Service::new(&name(number))
            .set("hosts", vec![host(number)])
            .set("identity", "label")
            .set("pin.policy", "none")
            .set("queue_timeout", "10s")
            .set("bake.duration", BAKE)
            .set("bake.rollback", true)
    };
    let config = (0..SERVICES).fold(Config::default(), |config, number| config.and(service(number)));
    let cutover = Cutover::start(&config).await;
    let leave = Arc::new(AtomicBool::new(false));
    let (mut visitors, mut deployers) = (JoinSet::new(), Vec::new());
    let apps: Vec<_> = (0..SERVICES).map(|number| App::new(number.into())).collect();
    for (number, app) in (0..SERVICES).zip(&apps) {
        deployers.push(deploy_again_and_again(cutover.admin(), name(number), Arc::clone(app)));
        for _ in 0..CONNECTIONS {
            visitors.spawn(visit(cutover.proxy(), host(number), Arc::clone(&leave)));
        }
    }

    let verdicts = join_all(deployers).await.concat();

    leave.store(true, Ordering::Relaxed);
    within("the end of the visits", visitors.join_all()).await;
    assert_eq!(verdicts.len(), 50);
    let is_good = |verdict: &&Value| verdict["state"] == "good" && verdict["requests"].as_u64() >= Some(20);
    assert_eq!(verdicts.iter().filter(is_good).count(), 50, "{verdicts:#?}");
    let failed: u64 = apps.iter().map(|app| app.failed.load(Ordering::Relaxed)).sum();
    let judged: u64 = verdicts.iter().filter_map(|verdict| verdict["errors"].as_u64()).sum();
    assert!(judged > 0 && judged <= failed, "{judged} errors of {failed} were seen in bakes");
    let rolled_back = cutover.admin().metric("cutover_flips_total", &["rolled_back"]).await;
    assert_eq!(rolled_back, 0.0);
}

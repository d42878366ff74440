//! Six app servers that are killed and started anew with the next version, in any order, without asking anybody, faster than they
//! are probed: no session is answered by a version that is not its own while its own has a server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::support::config::Service;
use crate::support::http::{Answer, Connection, Request};
use crate::support::stage::Stage;
use crate::support::wait::within;

const BACKENDS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
/// Visitors at a time, each of which begins a request once in [`PACE`]: what two cores carry in a debug build.
const VISITORS: u32 = 15;
const PACE: Duration = Duration::from_millis(50);
/// Requests of one session.
const REQUESTS: u32 = 40;

/// What the visitors and the one who restarts know.
#[derive(Debug, Default)]
struct Scene {
    /// The last server of v1 is about to be killed: from here on its sessions can't be served right.
    is_v1_ending: AtomicBool,
    stop: AtomicBool,
    requests: AtomicU64,
}

/// One answer that a session had.
#[derive(Debug)]
struct Seen {
    version: String,
    /// Whether v1 still had a server when it came.
    is_v1_there: bool,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn six_servers_that_are_replaced_under_load_without_asking_never_answer_for_the_wrong_version() {
    replace_all("response").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_a_process_is_noticed_before_the_next_one_is_sent_anything() {
    replace_all("health").await;
}

async fn replace_all(identity: &str) {
    let service = Service::new("web").set("identity", identity).set("health.interval", "5s");
    let mut stage = Stage::v1_with(service).await;
    for id in &BACKENDS[1..] {
        stage.add(id, "v1").await;
    }
    let scene = Arc::new(Scene::default());
    let mut visitors = JoinSet::new();
    for _ in 0..VISITORS {
        visitors.spawn(visit_again_and_again(stage.proxy(), Arc::clone(&scene)));
    }
    let order = shuffled();
    let (last, others) = order.split_last().unwrap();

    go_on(&scene, 200).await;
    for id in others {
        replace(&mut stage, id).await;
    }
    // Whoever began with v1 is still there, with one server, and the rest is known for what it is.
    stage.admin().until_usable("v2", 5).await;
    go_on(&scene, 100).await;
    stage.admin().flip("v2").await;
    go_on(&scene, 100).await;
    scene.is_v1_ending.store(true, Ordering::SeqCst);
    replace(&mut stage, last).await;
    stage.admin().until_usable("v2", 6).await;
    go_on(&scene, 200).await;

    scene.stop.store(true, Ordering::SeqCst);
    let mut sessions = Vec::new();
    within("the end of the visits", async {
        while let Some(visited) = visitors.join_next().await {
            sessions.extend(visited.unwrap());
        }
    })
    .await;
    sessions.iter().for_each(|session| check(session, &order));
    let versions = |wanted: &str| sessions.iter().flatten().filter(|seen| seen.version == wanted).count();
    assert!(versions("v1") > 200 && versions("v2") > 200, "{} {}", versions("v1"), versions("v2"));
    let mismatches = stage.admin().metric("cutover_mismatches_total", &["forwarded"]).await;
    assert_eq!(mismatches, 0.0, "what can be asked again is asked again");
}

/// A session begins with one version and stays there, unless that has no server any more; then it moves once.
fn check(session: &[Seen], order: &[&str]) {
    let moves: Vec<_> = session.windows(2).filter(|pair| pair[0].version != pair[1].version).collect();
    match moves[..] {
        [] => {}
        [[before, after]] => {
            let is_right = before.version == "v1" && after.version == "v2" && !after.is_v1_there;
            assert!(
                is_right,
                "a session moved while its version had a server, order {order:?}: {session:#?}"
            );
        }
        _ => panic!("a session moved more than once, order {order:?}: {session:#?}"),
    }
}

/// Kills a server in the middle of whatever it does and starts the new version in its place.
async fn replace(stage: &mut Stage, id: &str) {
    stage.app(id).kill();
    stage.app(id).restart("v2").await;
}

/// An order that is another one in every run.
fn shuffled() -> Vec<&'static str> {
    use std::hash::{BuildHasher, RandomState};
    let random = RandomState::new();
    let mut order = BACKENDS.to_vec();
    order.sort_by_key(|id| random.hash_one(id));
    order
}

/// Waits for that many more requests.
async fn go_on(scene: &Scene, requests: u64) {
    let target = scene.requests.load(Ordering::SeqCst) + requests;
    let waited = async {
        while scene.requests.load(Ordering::SeqCst) < target {
            tokio::time::sleep(PACE).await;
        }
    };
    within("more requests are answered", waited).await;
}

async fn visit_again_and_again(proxy: SocketAddr, scene: Arc<Scene>) -> Vec<Vec<Seen>> {
    let mut sessions = Vec::new();
    while !scene.stop.load(Ordering::SeqCst) {
        sessions.push(visit(proxy, &scene).await);
    }
    sessions
}

/// One session over one connection. Every request can be carried out again, so every one must be answered.
async fn visit(proxy: SocketAddr, scene: &Scene) -> Vec<Seen> {
    let mut connection = Connection::open(proxy).await;
    let (mut session, mut request) = (Vec::new(), Request::get("/set-header"));
    for _ in 0..REQUESTS {
        let due = Instant::now() + PACE;
        let is_v1_there = !scene.is_v1_ending.load(Ordering::SeqCst);
        let answer: Answer = within("an answer", connection.ask(&request)).await;
        // What was asked before and answered after may be either.
        let is_v1_there = is_v1_there && !scene.is_v1_ending.load(Ordering::SeqCst);
        assert_eq!(answer.status(), 200, "{answer:?}");
        assert_eq!(answer.text(), format!("version {}\n", answer.version()), "header and body differ");
        if let Some(pin) = answer.set_cookie("cutover").and_then(|cookie| cookie.split(';').next()) {
            request = Request::get("/set-header").field("Cookie", pin);
        }
        session.push(Seen { version: answer.version().to_owned(), is_v1_there });
        scene.requests.fetch_add(1, Ordering::SeqCst);
        if scene.stop.load(Ordering::SeqCst) {
            break;
        }
        tokio::time::sleep_until(due.into()).await;
    }
    session
}

//! Reloads and the end: a bad file changes nothing, a good one drops nothing, and a stop lets what goes on finish.

use rustix::process::Signal;

use crate::support::config::{Config, Service};
use crate::support::http::{Connection, Request};
use crate::support::load::Load;
use crate::support::stage::Stage;
use crate::support::wait::{until, within};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_file_is_taken_over_under_load_without_a_failed_request() {
    let stage = Stage::v1_and_v2().await;
    stage.admin().flip("v2").await;
    let load = Load::start(stage.proxy(), 8);
    load.change("v2", load.go_on(200)).await;

    stage.configure(&Config::of(Service::new("web").set("pin.idle", "10m")).and(another()));
    until_known(&stage, "another").await;
    load.go_on(200).await;
    let report = load.stop().await;

    report.assert_flawless();
    let service = stage.admin().get("/v1/services/web").await;
    assert_eq!((&service["epoch"], &service["active"]), (&2.into(), &"v2".into()), "the reload undid a flip");
    assert_eq!(service["policy"]["pin"]["idle"], "10m");
}

#[tokio::test]
async fn sighup_reloads_the_file() {
    let mut stage = Stage::v1().await;

    stage.configure(&Config::of(Service::new("web")).and(another()));
    stage.signal(Signal::HUP);

    until_known(&stage, "another").await;
    assert_eq!(stage.session().version().await, "v1");
}

#[tokio::test]
async fn a_bad_file_changes_nothing_and_says_so() {
    let mut stage = Stage::v1().await;
    let before = stage.admin().get("/v1/services").await;

    stage.write_config("[[service]]\nname = \"web\"\n[service.pin]\nidel = \"1s\"\n");
    stage.signal(Signal::HUP);

    let place = format!("{}:4:1", stage.config_file().display());
    until("the mistake is in the log", async || stage.log().contains(&place).then_some(())).await;
    assert!(stage.log().contains("idel"), "{}", stage.log());
    assert_eq!(stage.admin().get("/v1/services").await, before);
    assert_eq!(stage.session().version().await, "v1");
}

#[tokio::test]
async fn after_sigterm_what_is_in_flight_finishes_and_nothing_new_begins() {
    let mut stage = Stage::v1().await;
    let mut idle = stage.connect().await;
    assert_eq!(idle.ask(&Request::get("/")).await.status(), 200);
    let mut slow = stage.connect().await;
    slow.send(Request::get("/slow?ms=1500").render()).await;
    until("it is in flight", async || (stage.admin().version("v1").await["in_flight"] == 1).then_some(()))
        .await;

    stage.signal(Signal::TERM);
    let address = stage.proxy();
    until("nobody listens", async || Connection::try_open(address).await.is_err().then_some(())).await;
    let answer = slow.answer("GET").await;

    assert_eq!((answer.status(), answer.json()["slept_ms"].as_u64()), (200, Some(1500)));
    assert!(idle.is_closed().await);
    assert!(stage.exit().await.success(), "{}", stage.log());
}

#[tokio::test]
async fn a_second_sigterm_ends_it_at_once() {
    let mut stage = Stage::v1().await;
    let mut slow = stage.connect().await;
    slow.send(Request::get("/slow?ms=60000").render()).await;
    until("it is in flight", async || (stage.admin().version("v1").await["in_flight"] == 1).then_some(()))
        .await;

    stage.signal(Signal::TERM);
    let address = stage.proxy();
    until("nobody listens", async || Connection::try_open(address).await.is_err().then_some(())).await;
    assert!(stage.is_running(), "it did not wait for the request in flight");
    stage.signal(Signal::TERM);

    stage.exit().await;
    assert!(within("the end of the request", slow.head()).await.is_err());
}

#[tokio::test]
async fn state_of_the_api_outlives_a_restart() {
    let mut stage = Stage::v1_and_v2().await;
    stage.admin().flip("v2").await;
    let mut session = stage.session();
    assert_eq!(session.version().await, "v2");

    stage.signal(Signal::TERM);
    stage.exit().await;
    stage.restart().await;

    let service = stage.admin().get("/v1/services/web").await;
    assert_eq!((&service["epoch"], &service["active"]), (&2.into(), &"v2".into()));
    let cookies = session.cookies.clone();
    let mut session = stage.session();
    session.cookies = cookies;
    stage.until_usable("a").await;
    stage.admin().flip("v1").await;
    assert_eq!(session.version().await, "v2", "a pin of before the restart counts");
    assert_eq!(stage.session().version().await, "v1");
}

fn another() -> Service {
    Service::new("another").set("hosts", vec!["another.test"])
}

async fn until_known(stage: &Stage, service: &str) {
    let path = format!("/v1/services/{service}");
    until(&format!("{service} is known"), async || {
        (stage.admin().call("GET", &path, &serde_json::Value::Null).await.status() == 200).then_some(())
    })
    .await;
}

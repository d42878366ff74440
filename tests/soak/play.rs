//! A run from its beginning to its end.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::Mutex;

use super::abilities::Abilities;
use super::admin::Admin;
use super::chaos::Chaos;
use super::clock::Clock;
use super::crowd::Crowd;
use super::curve::{self, Sample};
use super::cutover::Cutover;
use super::fleet::Fleet;
use super::operator::Operator;
use super::options::Options;
use super::report::Report;
use super::run::{Run, clock};
use super::support::port::Port;
use super::world::ChangeKind;
use super::{ledger, place, pulse};

/// After the chaos: for this long nothing may fail at all.
const CALM: Duration = Duration::from_secs(2);
/// After the last visitor: for what is idle to be closed, and what is counted to be nothing.
const QUIET: Duration = Duration::from_secs(30);
/// Descriptors that a process may have more at its end than the first one before the first visitor.
const LEFT_MAX: u64 = 24;
/// Between two lines for whoever watches.
const NEWS: Duration = Duration::from_secs(30);

/// Plays it and gives its verdict.
pub(crate) fn play() {
    place::hold_leash();
    let options = Options::from_environment();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let report = runtime.block_on(perform(options));
    eprint!("\n{}", report.text());
    assert!(report.is_clean(), "not everything was kept");
}

async fn perform(options: Options) -> Report {
    let out = options.out.clone();
    let state = out.join("state");
    std::fs::create_dir_all(&state).unwrap();
    let abilities = Abilities::find(&state, &out.join("tools.log"));
    let ports = [Port::reserve(), Port::reserve(), Port::reserve()];
    let [plain, tls, admin] = [&ports[0], &ports[1], &ports[2]].map(Port::address);
    let clock = Clock::new(abilities.faketime.clone(), &out);
    let run = Arc::new(Run::new(options, abilities, plain, tls, Admin::new(admin)));
    run.say(&format!(
        "seed {}, {} of chaos, files in {}",
        run.options.seed,
        self::clock(run.options.length),
        out.display()
    ));
    for what in &run.abilities.left_out {
        run.say(&format!("left out, {what}"));
    }
    Cutover::configure(&run, &out, &state);
    let mut cutover = Cutover::new(&out, clock.clone());
    cutover.start(&run).await;
    let cutover = Arc::new(Mutex::new(cutover));
    let fleet = Arc::new(Fleet::start(&run, &out).await);
    for service in ["web", "rpc"] {
        let first = run.world(service).call(ChangeKind::Flip, "", "v1");
        run.world(service).happened(first);
    }
    fleet.register(&run).await;
    let before = curve::look(&run);
    let chaos = Chaos::new(&run, &fleet, &cutover, clock, &state);
    let samples = amid(&run, &fleet, chaos, &out).await;
    end(&run, &cutover, before).await;
    report(&run, samples)
}

/// Visitors, the operator, the clerk and the chaos, until their time is over.
async fn amid(run: &Arc<Run>, fleet: &Arc<Fleet>, chaos: Chaos, directory: &Path) -> Vec<Sample> {
    let crowd = Crowd::enter(run, directory);
    let samples = tokio::spawn({
        let run = Arc::clone(run);
        async move { curve::follow(&run).await }
    });
    let pulse = pulse::follow(run);
    let clerk = tokio::spawn({
        let run = Arc::clone(run);
        async move { ledger::keep(&run).await }
    });
    let observer = tokio::spawn({
        let run = Arc::clone(run);
        async move { observe(&run).await }
    });
    let operator = tokio::spawn(Operator::new(run, fleet).work());
    let chaos = tokio::spawn(chaos.work());
    tell(run).await;
    run.calm_down();
    chaos.await.unwrap();
    let mut operator = operator.await.unwrap();
    run.say("the chaos is over: everything has to work now");
    for server in fleet.servers() {
        server.lock().await.settle(run).await;
    }
    operator.show_that_it_works().await;
    tokio::time::sleep(CALM).await;
    run.close();
    crowd.leave(run).await;
    pulse.join().unwrap();
    clerk.await.unwrap();
    observer.await.unwrap();
    samples.await.unwrap()
}

/// Says now and then how it goes.
async fn tell(run: &Run) {
    let until = Instant::now() + run.options.length;
    let mut next = Instant::now() + NEWS;
    while Instant::now() < until {
        tokio::time::sleep((until - Instant::now()).min(Duration::from_millis(200))).await;
        if Instant::now() >= next {
            next += NEWS;
            let (requests, violations) = {
                let tally = run.tally();
                (tally.requests, tally.violations())
            };
            let shown = curve::look(run).map_or_else(String::new, |sample| {
                format!(", {} MiB, {} descriptors", sample.rss_kib / 1024, sample.descriptors)
            });
            run.say(&format!(
                "of {}: {requests} requests, {violations} violations{shown}",
                clock(run.options.length)
            ));
        }
    }
}

/// Writes down every proof that a version is drained.
async fn observe(run: &Run) {
    let mut known = Vec::new();
    while !run.is_closed() {
        let asked = Instant::now();
        let answer = run.admin.get("/v1/services/web/versions").await.unwrap_or_default();
        for version in answer["versions"].as_array().into_iter().flatten() {
            let (name, drained) = (version["version"].as_str().unwrap_or_default(), &version["drained"]);
            let proof = (name.to_owned(), drained["at"].clone());
            if drained["by"] == "proof" && !known.contains(&proof) {
                run.world("web").prove(name, asked);
                run.note(&format!("{name} is drained by proof"));
                known.push(proof);
            }
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Nothing is left when nobody is there any more, and it ends when it is told to.
async fn end(run: &Run, cutover: &Mutex<Cutover>, before: Option<Sample>) {
    let before = before.map_or(0, |sample| sample.descriptors);
    let until = Instant::now() + QUIET;
    let mut left = remains(run, before).await;
    while !left.is_empty() && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(250)).await;
        left = remains(run, before).await;
    }
    for what in left {
        run.find(format!("{QUIET:?} after the last visitor {what}"));
    }
    let mut cutover = cutover.lock().await;
    if !cutover.stop(run).await {
        run.find("cutover does not end when it is told to".to_owned());
    }
    if let Some(line) = cutover.log().lines().find(|line| line.contains("panicked at")) {
        run.find(format!("cutover: {line}"));
    }
}

/// What is there although nobody is.
async fn remains(run: &Run, before: u64) -> Vec<String> {
    let mut remains = Vec::new();
    let counts = run.admin.get("/v1/services/web/versions").await.unwrap_or_default();
    for version in counts["versions"].as_array().into_iter().flatten() {
        if version["in_flight"] != 0 || version["tunnels"] != 0 {
            remains.push(format!("a version has something in flight: {version}"));
        }
    }
    let status = run.admin.get("/v1/status").await.unwrap_or_default();
    if status["predecessor_pid"] != Value::Null {
        remains.push(format!("an old process is there: {status}"));
    }
    let open = curve::look(run).map_or(0, |sample| sample.descriptors);
    if open > before + LEFT_MAX {
        remains.push(format!("{open} descriptors are open, {before} were before the first one"));
    }
    remains
}

fn report(run: &Run, samples: Vec<Sample>) -> Report {
    let report = Report::new(run, samples);
    report.write(run);
    report
}

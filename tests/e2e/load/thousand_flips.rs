//! A thousand flips back and forth under load.

use std::time::{Duration, Instant};

use crate::support::load::Load;
use crate::support::stage::Stage;

const CONNECTIONS: usize = 64;
/// Between two requests of a connection: 6,400 requests a second in all. Without it the load would take every core, and
/// the time of a flip would be the time until somebody gets one.
const PACE: Duration = Duration::from_millis(10);
/// After the answer to a flip, so that new sessions begin and are held against it.
const PAUSE: Duration = Duration::from_millis(15);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_flips_under_load_fail_nothing_and_are_obeyed_at_once() {
    let flips = std::env::var("CUTOVER_E2E_FLIPS").map_or(1000, |text| text.parse().unwrap());
    let stage = Stage::v1_and_v2().await;
    let admin = stage.admin();
    let load = Load::start_paced(stage.proxy(), CONNECTIONS, PACE);
    load.change("v1", load.go_on(1000)).await;

    let mut times = Vec::new();
    for number in 0..flips {
        let to = ["v2", "v1"][number % 2];
        let started = Instant::now();
        let epoch = load.change(to, admin.flip(to)).await;
        times.push(started.elapsed());
        assert_eq!(epoch, 2 + number as u64);
        tokio::time::sleep(PAUSE).await;
    }
    let report = load.stop().await;

    times.sort_unstable();
    eprintln!(
        "{flips} flips: p50 {:?}, p99 {:?}, max {:?}; {:.0} requests/s; {} sessions, {} of them judged",
        times[flips / 2],
        times[flips * 99 / 100],
        times[flips - 1],
        report.per_second(),
        report.sessions,
        report.judged,
    );
    report.assert_flawless();
    assert!(report.by_version.len() == 2 && report.judged > flips as u64 / 10, "{report:#?}");
}

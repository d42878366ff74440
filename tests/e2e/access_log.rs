//! The access log: rotated as logrotate does it, by renaming the file and a signal.

use std::path::Path;

use rustix::process::Signal;

use crate::support::app::App;
use crate::support::config::{Config, Service};
use crate::support::cutover::Cutover;
use crate::support::http::Request;
use crate::support::wait::until;

#[tokio::test]
async fn a_rotated_log_goes_on_in_a_new_file_and_has_a_line_for_every_request() {
    let app = App::start("v1").await;
    let mut cutover = Cutover::stopped(&Config::default());
    let (log, rotated) = (cutover.file("access.log"), cutover.file("access.log.1"));
    let service = Service::new("web").backend("a", app.address(), "v1");
    cutover.configure(&Config::of(service).set("access_log.path", log.to_string_lossy().as_ref()));
    cutover.restart().await;
    let mut client = cutover.connect().await;
    let mut ask = async |times: usize| {
        for _ in 0..times {
            assert_eq!(client.ask(&Request::get("/?counted")).await.status(), 200);
        }
    };

    ask(100).await;
    std::fs::rename(&log, &rotated).unwrap();
    ask(100).await;
    cutover.signal(Signal::USR1);
    until("there is a new file", async || log.exists().then_some(())).await;
    ask(100).await;

    until("every request has its line", async || (lines(&log) + lines(&rotated) == 300).then_some(())).await;
    assert!(lines(&log) >= 100 && lines(&rotated) >= 100, "{} and {}", lines(&log), lines(&rotated));
    assert!(cutover.log().contains("the access log was opened again"), "{}", cutover.log());
    assert!(cutover.is_running());
}

/// The requests that the test sent, in the log.
fn lines(log: &Path) -> usize {
    std::fs::read_to_string(log)
        .unwrap_or_default()
        .lines()
        .filter(|line| line.contains(" /?counted "))
        .count()
}

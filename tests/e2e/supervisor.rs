//! cutover under a supervisor that speaks systemd's protocols: readiness, signs of life, sockets that are passed.

use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use crate::support::app::App;
use crate::support::config::{Config, Service};
use crate::support::cutover::Cutover;
use crate::support::http::{Connection, Request};
use crate::support::port::Port;
use crate::support::wait::until;

/// Where a supervisor is told things.
struct Ear(UnixDatagram, tempfile::TempDir);

impl Ear {
    fn open() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(directory.path().join("notify")).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self(socket, directory)
    }

    /// What a supervisor runs.
    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
        command.env("NOTIFY_SOCKET", self.1.path().join("notify"));
        command
    }

    /// Waits until it is told something with `line`, and answers all of it.
    async fn hears(&self, line: &str) -> String {
        until(&format!("the supervisor hears {line}"), async || {
            let mut text = [0; 512];
            let length = self.0.recv(&mut text).ok()?;
            let text = String::from_utf8(text[..length].to_vec()).unwrap();
            text.lines().any(|other| other == line).then_some(text)
        })
        .await
    }
}

#[tokio::test]
async fn the_supervisor_hears_of_the_start_of_reloads_of_life_of_upgrades_and_of_the_end() {
    let ear = Ear::open();
    let mut cutover = Cutover::stopped(&Config::of(Service::new("web")));
    let mut command = ear.command();
    command.env("WATCHDOG_USEC", "200000");
    cutover.launch_by(command);

    ear.hears("READY=1").await;
    let first = cutover.pid().await;
    ear.hears("WATCHDOG=1").await;
    ear.hears("WATCHDOG=1").await;
    cutover.signal(Signal::HUP);
    assert!(ear.hears("RELOADING=1").await.contains("MONOTONIC_USEC="));
    ear.hears("READY=1").await;

    cutover.admin().done("POST", "/v1/upgrade", serde_json::Value::Null).await;
    let second = cutover.pid().await;
    assert_ne!(first, second);
    ear.hears(&format!("MAINPID={second}")).await;
    cutover.exit().await;
    ear.hears("WATCHDOG=1").await;

    let pid = rustix::process::Pid::from_raw(second).unwrap();
    rustix::process::kill_process(pid, Signal::TERM).unwrap();
    ear.hears("STOPPING=1").await;
}

#[tokio::test]
async fn sockets_that_the_supervisor_passes_are_served_where_they_are_configured() {
    let (app, proxy, admin) = (App::start("v1").await, Port::reserve(), Port::reserve());
    // The supervisor listens: what connects before cutover runs waits.
    let listen = |port: &Port| std::net::TcpListener::bind(port.address()).unwrap();
    let passed = [listen(&admin), listen(&proxy)];
    let mut early = std::net::TcpStream::connect(proxy.address()).unwrap();
    std::io::Write::write_all(
        &mut early,
        b"GET /set-header HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    )
    .unwrap();
    early.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let config = Config::of(Service::new("web").backend("a", app.address(), ""))
        .set("admin.listen", admin.address().to_string())
        .set("node.workers", 2)
        .listener("bind", vec![proxy.address().to_string()]);
    let mut cutover = Cutover::stopped(&config);
    // A shell puts the sockets where systemd does, and its own id into the environment, which stays that of the program.
    let [third, fourth] = passed.each_ref().map(|socket| {
        rustix::io::fcntl_setfd(socket, rustix::io::FdFlags::empty()).unwrap();
        socket.as_raw_fd()
    });
    let mut command = Command::new("bash");
    let script = format!(
        "exec 208<&{third} 209<&{fourth} 3<&208 4<&209 208<&- 209<&-; LISTEN_PID=$$ LISTEN_FDS=2 exec \"$0\" \"$@\""
    );
    command.args(["-c", &script, env!("CARGO_BIN_EXE_cutover")]);

    cutover.launch_by(command);

    let mut answer = String::new();
    std::io::Read::read_to_string(&mut early, &mut answer).unwrap();
    assert!(answer.ends_with("version v1\n"), "{answer}");
    drop(passed);
    for _ in 0..20 {
        let answer = Connection::open(proxy.address()).await.ask(&Request::get("/set-header")).await;
        assert_eq!(answer.version(), "v1");
    }
    let admin = crate::support::admin::Admin::new(admin.address());
    let before = admin.get("/v1/status").await["pid"].clone();
    let upgraded = admin.done("POST", "/v1/upgrade", serde_json::Value::Null).await;
    assert_eq!(upgraded["replaced_pid"], before);
    let answer = Connection::open(proxy.address()).await.ask(&Request::get("/set-header")).await;
    assert_eq!(answer.version(), "v1");
}

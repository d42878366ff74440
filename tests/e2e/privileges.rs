//! Started by root: the ports are root's to open, and everything else is the work of an ordinary user.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::app::App;
use crate::support::config::{Config, Service};
use crate::support::cutover::Cutover;
use crate::support::http::{Connection, Request};

/// An account that every system has, and that has no rights.
const USER: &str = "nobody";

#[tokio::test]
async fn root_opens_the_ports_and_the_user_serves_and_upgrades() {
    if !is_root() {
        return;
    }
    let app = App::start("v1").await;
    let [first, second] = low_ports();
    let mut scene = Scene::new(&Config::of(Service::new("web").backend("a", app.address(), "v1")));
    scene.listen_also(first);

    scene.launch();
    scene.cutover.until_ready().await;

    assert_eq!(ask(first).await, 200);
    let before = scene.cutover.pid().await;
    let user = scene.file("state").metadata().unwrap().uid();
    assert_ne!(user, 0, "the state is the user's");
    assert_confined(before, user);

    scene.cutover.admin().done("POST", "/v1/upgrade", Value::Null).await;
    let after = scene.cutover.pid().await;
    assert_ne!(after, before);
    assert_confined(after, user);
    assert_eq!(ask(first).await, 200);

    if privileged_below() <= second.port() {
        return eprintln!("skipped in part: here anybody may open port {}", second.port());
    }
    scene.listen_also(second);
    let refused = scene.cutover.admin().call("POST", "/v1/upgrade", &Value::Null).await;
    let detail = refused.json()["detail"].as_str().unwrap_or_default().to_owned();
    assert!(refused.status() >= 400 && detail.contains(&format!("can't listen on {second}")), "{refused:?}");
    assert_eq!(ask(first).await, 200);
    assert_eq!(scene.cutover.pid().await, after);
}

#[tokio::test]
async fn what_is_not_the_user_s_is_named_at_the_start() {
    if !is_root() {
        return;
    }
    let mut scene = Scene::new(&Config::of(Service::new("web")));
    std::fs::create_dir(scene.file("state")).unwrap();
    let log = scene.fails().await;
    assert!(log.contains("belongs to uid 0, not to nobody"), "{log}");

    let pair = json!([{ "cert": "pair.pem", "key": "pair.pem" }]);
    let config = Config::of(Service::new("web")).listener("protocol", "https").listener("tls.certs", pair);
    let mut scene = Scene::new(&config);
    let pair = scene.file("pair.pem").display().to_string();
    scene.cutover.write_config(&scene.config().replace("pair.pem", &pair));
    std::fs::write(&pair, "of root").unwrap();
    std::fs::set_permissions(&pair, std::fs::Permissions::from_mode(0o600)).unwrap();
    let log = scene.fails().await;
    assert!(log.contains(&pair) && log.contains("ermission denied"), "{log}");

    let mut scene = Scene::new(&Config::of(Service::new("web")).set("node.user", "no-such-user"));
    let log = scene.fails().await;
    assert!(log.contains("there is no such user"), "{log}");
}

/// A cutover that is to become the user, in a directory that he may enter.
struct Scene {
    cutover: Cutover,
}

impl Scene {
    fn new(config: &Config) -> Self {
        let cutover = Cutover::stopped(&Config::default());
        let scene = Self { cutover };
        std::fs::set_permissions(scene.file(""), std::fs::Permissions::from_mode(0o755)).unwrap();
        // Where it was built he may not be allowed to look.
        let program = Path::new(env!("CARGO_BIN_EXE_cutover"));
        if std::fs::hard_link(program, scene.file("cutover")).is_err() {
            std::fs::copy(program, scene.file("cutover")).unwrap();
        }
        scene.cutover.configure(config);
        if !scene.config().contains("node.user") {
            let config = format!("node.user = {USER:?}\n{}", scene.config());
            scene.cutover.write_config(&config);
        }
        scene
    }

    fn config(&self) -> String {
        std::fs::read_to_string(self.cutover.config_file()).unwrap()
    }

    fn listen_also(&self, address: SocketAddr) {
        let text = format!("{}\n[[listener]]\nbind = [\"{address}\"]\n", self.config());
        self.cutover.write_config(&text);
    }

    fn launch(&mut self) {
        let program = self.file("cutover");
        self.cutover.launch_by(Command::new(program));
    }

    /// Starts it, waits until it has given up, and answers what it says.
    async fn fails(&mut self) -> String {
        self.launch();
        assert_eq!(self.cutover.exit().await.code(), Some(1), "{}", self.cutover.log());
        self.cutover.log()
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        self.cutover.file(name)
    }
}

fn is_root() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        eprintln!("skipped: only root can become another user");
    }
    is_root
}

/// The process is the user's in every respect, and stays so (proc(5)).
fn assert_confined(pid: i32, user: u32) {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_ascii_whitespace().skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(field("Uid:"), vec![user.to_string(); 4]);
    assert!(
        !field("Gid:").contains(&"0".to_owned()) && !field("Groups:").contains(&"0".to_owned()),
        "{status}"
    );
    for rights in ["CapEff:", "CapPrm:", "CapAmb:"] {
        assert_eq!(field(rights), ["0000000000000000"], "{rights}");
    }
    assert_eq!(field("NoNewPrivs:"), ["1"]);
    for task in std::fs::read_dir(format!("/proc/{pid}/task")).unwrap() {
        let status = std::fs::read_to_string(task.unwrap().path().join("status")).unwrap();
        assert!(status.contains(&format!("Uid:\t{user}\t{user}\t{user}\t{user}")), "{status}");
    }
    // What can't be dumped is root's to look into (ptrace(2)).
    assert_eq!(std::fs::metadata(format!("/proc/{pid}/maps")).unwrap().uid(), 0);
}

/// Two ports below 1024 that nobody uses.
fn low_ports() -> [SocketAddr; 2] {
    let candidates = (600..1024).rev().map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    let mut free = candidates.filter(|address| TcpListener::bind(address).is_ok());
    [free.next().unwrap(), free.next().unwrap()]
}

/// The first port that anybody may open.
fn privileged_below() -> u16 {
    let start = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    start.ok().and_then(|start| start.trim().parse().ok()).unwrap_or(1024)
}

async fn ask(address: SocketAddr) -> u16 {
    Connection::open(address).await.ask(&Request::get("/")).await.status()
}

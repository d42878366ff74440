//! The servers: real processes at addresses of their own, in zones if there are any.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, MutexGuard};

use super::process::{self, Process, ROLE, SERVER};
use super::rpc;
use super::run::Run;
use super::support::port::Port;
use super::zone::Zone;

/// Zones, where there can be any.
pub(crate) const ZONES: usize = 3;
/// Servers of the service `web`: as many in each zone.
const WEB: usize = 6;
/// Servers of the service `rpc`.
const RPC: usize = 4;
/// For a server to listen, and to be found well by cutover.
const LIMIT: Duration = Duration::from_secs(120);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// All of them. Who does something to a server holds it as long as that takes.
#[derive(Debug)]
pub(crate) struct Fleet {
    servers: Vec<Mutex<Server>>,
    pub(crate) zones: Vec<Zone>,
}

/// One server.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) name: String,
    pub(crate) service: &'static str,
    pub(crate) version: String,
    /// The number of its zone.
    pub(crate) zone: usize,
    address: SocketAddr,
    _port: Option<Port>,
    command: CommandSource,
    process: Option<Process>,
    log: PathBuf,
}

/// Where its command runs.
#[derive(Debug)]
struct CommandSource(Option<Zone>);

impl Fleet {
    /// Starts half of each service with v1, the other half with v2.
    pub(crate) async fn start(run: &Run, directory: &Path) -> Self {
        let log = directory.join("tools.log");
        let zones: Vec<Zone> = match run.abilities.is_apart {
            true => (0..ZONES).map(|number| Zone::make(number, &log)).collect(),
            false => Vec::new(),
        };
        let mut servers = Vec::new();
        for number in 0..WEB + RPC {
            let (service, half) = if number < WEB { ("web", WEB / 2) } else { ("rpc", WEB + RPC / 2) };
            let version = if number < half { "v1" } else { "v2" };
            let mut server = Server::new(service, number, zones.get(number % ZONES), directory);
            server.start(version).await;
            servers.push(Mutex::new(server));
        }
        Self { servers, zones }
    }

    /// Registers all of one version, waits until they are usable, and goes on with the next.
    pub(crate) async fn register(&self, run: &Run) {
        for version in ["v1", "v2"] {
            for server in &self.servers {
                let server = server.lock().await;
                if server.version == version {
                    let path = format!("/v1/services/{}/backends/{}", server.service, server.name);
                    let body = json!({ "address": server.address.to_string(), "ttl": "0" });
                    run.admin.call("PUT", &path, &body).await;
                    server.settle(run).await;
                }
            }
        }
    }

    pub(crate) fn servers(&self) -> &[Mutex<Server>] {
        &self.servers
    }

    /// Those of one service, each when nobody else holds it.
    pub(crate) fn of(&self, service: &'static str) -> impl Iterator<Item = &Mutex<Server>> {
        let range = if service == "web" { 0..WEB } else { WEB..WEB + RPC };
        self.servers[range].iter()
    }

    /// All of a zone that nobody else holds; none if anybody holds one of them.
    pub(crate) fn of_zone(&self, zone: usize) -> Option<Vec<MutexGuard<'_, Server>>> {
        let here = self.servers.iter().enumerate().filter(|(number, _)| number % ZONES == zone);
        here.map(|(_, server)| server.try_lock().ok()).collect()
    }
}

impl Server {
    fn new(service: &'static str, number: usize, zone: Option<&Zone>, directory: &Path) -> Self {
        let name = format!("{service}-{number}");
        let port = zone.is_none().then(Port::reserve);
        let address = match (&port, zone) {
            (Some(port), _) => port.address(),
            (None, zone) => {
                format!("{}:{}", zone.map(Zone::address).unwrap_or_default(), 8000 + number).parse().unwrap()
            }
        };
        let log = directory.join(format!("{name}.log"));
        let command = CommandSource(zone.cloned());
        let zone = number % ZONES;
        Self {
            name,
            service,
            version: String::new(),
            zone,
            address,
            _port: port,
            command,
            process: None,
            log,
        }
    }

    /// Starts it, and waits until it listens.
    pub(crate) async fn start(&mut self, version: &str) {
        self.kill();
        self.version = version.to_owned();
        let address = self.address.to_string();
        let mut command = if self.service == "web" {
            let mut command = self.command.run(Path::new(env!("CARGO_BIN_EXE_cutover")));
            command.args(["demo-app", "--leashed", "--version", version, "--listen", &address]);
            command
        } else {
            let mut command = self.command.run(&std::env::current_exe().unwrap());
            command.args(["--exact", "promises_are_kept_under_chaos", "--nocapture"]);
            command.env(ROLE, SERVER).env(rpc::SERVE, format!("{address} {version}"));
            command
        };
        self.process = Some(Process::spawn(&mut command, &self.log));
        let until = Instant::now() + LIMIT;
        while self.connects().await.is_none() {
            assert!(Instant::now() < until, "{} does not listen: see {}", self.name, self.log.display());
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Waits until cutover finds it well, which it must.
    pub(crate) async fn settle(&self, run: &Run) {
        let until = Instant::now() + LIMIT;
        let path = format!("/v1/services/{}/backends", self.service);
        let mut shown = Value::Null;
        while Instant::now() < until {
            let answer = run.admin.get(&path).await.unwrap_or_default();
            let backends = answer["backends"].as_array().cloned().unwrap_or_default();
            shown = backends.into_iter().find(|backend| backend["id"] == *self.name).unwrap_or(shown);
            if shown["usable"] == true && shown["identity"]["version"] == *self.version {
                run.world(self.service).settle(&self.name, &self.version);
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
        run.find_late(
            until - LIMIT,
            format!("{} is well, and not usable {LIMIT:?} later: {shown}", self.name),
        );
    }

    /// Ends it in the middle of whatever it does.
    pub(crate) fn kill(&mut self) {
        self.process = None;
    }

    /// Lets it finish what it does.
    pub(crate) async fn stop(&mut self) {
        self.signal(Signal::TERM);
        let until = Instant::now() + LIMIT;
        while self.process.as_mut().is_some_and(|process| process.ended().is_none()) && Instant::now() < until
        {
            tokio::time::sleep(PAUSE).await;
        }
        self.process = None;
    }

    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(process) = &self.process {
            process::signal(process.id(), signal);
        }
    }

    async fn connects(&self) -> Option<TcpStream> {
        tokio::time::timeout(Duration::from_secs(1), TcpStream::connect(self.address)).await.ok()?.ok()
    }
}

impl CommandSource {
    fn run(&self, program: &Path) -> Command {
        self.0.as_ref().map_or_else(|| Command::new(program), |zone| zone.command(program))
    }
}

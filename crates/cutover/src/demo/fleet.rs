//! The fleet: a fixed number of app servers, each upgraded in place, at its own address.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use super::{
    error::Error,
    port::Port,
    process::{Process, Scratch},
    release::Release,
};

/// Time an app server needs to load, in milliseconds: real ones need more, none would be too kind.
const STARTUP_MS: u64 = 700;
/// Time for an app server to listen, and for one to finish what it has in flight.
const LIMIT: Duration = Duration::from_secs(20);

/// One app server: an address for good, a process for a while.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) name: String,
    port: Port,
    log: PathBuf,
    process: Option<Process>,
}

/// All app servers.
#[derive(Debug, Default)]
pub(super) struct Fleet {
    servers: Vec<Server>,
}

impl Server {
    pub(super) fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// Kills the server and starts it at the same address with `release`. Whoever restarts one that is not empty loses what it was at.
    pub(super) async fn restart(&mut self, release: Release) -> Result<(), Error> {
        if let Some(process) = &mut self.process {
            process.kill().await;
        }
        self.process = Some(self.spawn(release)?);
        self.listens().await
    }

    fn spawn(&self, release: Release) -> Result<Process, Error> {
        let listen = self.address().to_string();
        let (version, startup) = (release.to_string(), STARTUP_MS.to_string());
        let arguments = [
            "demo-app",
            "--leashed",
            "--listen",
            &listen,
            "--version",
            &version,
            "--startup-delay-ms",
            &startup,
        ];
        Process::spawn(&self.name, &arguments.map(str::to_owned), &self.log, true)
    }

    /// Waits for the line that says where it listens.
    async fn listens(&mut self) -> Result<(), Error> {
        let address = self.address().to_string();
        let Some(process) = &mut self.process else { return Ok(()) };
        let line = process.first_line(LIMIT).await?;
        if line.contains(&address) { Ok(()) } else { Err(Error::Babble { name: self.name.clone(), line }) }
    }
}

impl Fleet {
    /// Adds `count` app servers and starts them with the first release.
    pub(super) async fn start(&mut self, count: usize, scratch: &Scratch) -> Result<(), Error> {
        for number in 1..=count {
            let name = format!("app-{number}");
            let log = scratch.file(&format!("{name}.log"));
            self.servers.push(Server { name, port: Port::reserve()?, log, process: None });
        }
        for server in &mut self.servers {
            server.process = Some(server.spawn(Release::FIRST)?);
        }
        for server in &mut self.servers {
            server.listens().await?;
        }
        Ok(())
    }

    pub(super) fn servers(&self) -> &[Server] {
        &self.servers
    }

    /// To restart them one after the other.
    pub(super) fn servers_mut(&mut self) -> &mut [Server] {
        &mut self.servers
    }

    /// Stops every server; tells all before it waits for any.
    pub(super) async fn stop(&mut self) -> Result<(), Error> {
        for process in self.servers.iter().filter_map(|server| server.process.as_ref()) {
            process.terminate()?;
        }
        for server in &mut self.servers {
            if let Some(process) = &mut server.process {
                process.end(LIMIT).await?;
            }
            server.process = None;
        }
        Ok(())
    }

    /// Ends every server at once.
    pub(super) async fn kill(&mut self) {
        for process in self.servers.iter_mut().filter_map(|server| server.process.as_mut()) {
            process.kill().await;
        }
    }
}

//! Pebble, an authority that is there to be tested against, and the name server by which it finds us.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::dns::NameServer;
use crate::support::child::Child;
use crate::support::port::Port;
use crate::support::wait::{until, within};

/// The name that certificates are for.
pub(super) const NAME: &str = "app.test";

/// An authority on loopback.
pub(super) struct Pebble {
    // Ends before the directory goes.
    child: Option<Child>,
    directory: TempDir,
    address: Port,
    management: Port,
    dns: NameServer,
}

impl Pebble {
    /// One that looks for challenges over TLS and over plain HTTP on these ports, and whose certificates live so many seconds. It does not
    /// run yet.
    pub(super) fn stopped(tls: SocketAddr, http: SocketAddr, lifetime: u32) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (address, management) = (Port::reserve(), Port::reserve());
        let dns = NameServer::start();
        dns.set(NAME, &["127.0.0.1"], 60);
        let own = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let file = |name: &str| directory.path().join(name);
        std::fs::write(file("own.pem"), own.cert.pem()).unwrap();
        std::fs::write(file("own.key"), own.signing_key.serialize_pem()).unwrap();
        let config = serde_json::json!({"pebble": {
            "listenAddress": address.address().to_string(),
            "managementListenAddress": management.address().to_string(),
            "certificate": file("own.pem"),
            "privateKey": file("own.key"),
            "httpPort": http.port(),
            "tlsPort": tls.port(),
            "certificateValidityPeriod": lifetime,
        }});
        std::fs::write(file("pebble.json"), config.to_string()).unwrap();
        Self { child: None, directory, address, management, dns }
    }

    /// Runs from now on.
    pub(super) async fn start(&mut self) {
        let mut command = Command::new("pebble");
        command.arg("-config").arg(self.file("pebble.json"));
        command.args(["-dnsserver", &self.dns.address().to_string()]);
        // It would wait up to 15 s before it looks for an answer.
        command.env("PEBBLE_VA_NOSLEEP", "1");
        self.child = Some(Child::spawn("pebble", &mut command, &self.file("pebble.log")));
        until("pebble answers", async || self.root().await).await;
    }

    /// The URL of its directory.
    pub(super) fn directory(&self) -> String {
        format!("https://{}/dir", self.address.address())
    }

    /// The file by which its directory is believed.
    pub(super) fn ca(&self) -> PathBuf {
        self.file("own.pem")
    }

    /// The file by which its certificates are believed.
    pub(super) async fn root_file(&self) -> PathBuf {
        let file = self.file("root.pem");
        std::fs::write(&file, self.root().await.unwrap()).unwrap();
        file
    }

    async fn root(&self) -> Option<String> {
        let url = format!("https://{}/roots/0", self.management.address());
        curl(&["-k", &url]).await
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

/// What curl prints, if it succeeds.
pub(super) async fn curl(arguments: &[&str]) -> Option<String> {
    let mut command = tokio::process::Command::new("curl");
    command.args(["--silent", "--max-time", "10"]).args(arguments).kill_on_drop(true);
    let output = within("curl", command.output()).await.unwrap();
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

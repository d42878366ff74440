//! The cutover under show: a child process with a configuration file of its own.

use std::{net::SocketAddr, path::Path, time::Duration};

use super::{
    admin::Admin,
    error::Error,
    port::Port,
    process::{Process, Scratch},
    wait::until,
};

/// Name of its log in the scratch directory.
pub(super) const LOG: &str = "cutover.log";
/// The service that is rolled by halves, which is the default. Pins are short, as visits are: a drain is then a matter of seconds.
pub(super) const SHOP: &str = "shop";
/// The host under which visitors reach it.
pub(super) const SHOP_HOST: &str = "shop.localhost";
/// The service of the comparison, which spreads requests over backends and knows nothing of versions.
pub(super) const ROUND_ROBIN: &str = "round-robin";
/// The host under which visitors reach it.
pub(super) const ROUND_ROBIN_HOST: &str = "round-robin.localhost";

/// Time to be ready, and to finish after SIGTERM.
const LIMIT: Duration = Duration::from_secs(20);

/// A running cutover.
#[derive(Debug)]
pub(super) struct Proxy {
    process: Process,
    listener: Port,
    admin: Port,
}

impl Proxy {
    /// Starts `cutover serve`.
    pub(super) fn start(scratch: &Scratch) -> Result<Self, Error> {
        let (listener, admin) = (Port::reserve()?, Port::reserve()?);
        let config = scratch.file("cutover.toml");
        let text = configuration(listener.address(), admin.address(), &scratch.file("state"));
        std::fs::write(&config, text).map_err(Error::system(format!("write {}", config.display())))?;
        let arguments = ["serve", "--leashed", "--config", &config.to_string_lossy()].map(str::to_owned);
        let process = Process::spawn("cutover", &arguments, &scratch.file(LOG), false)?;
        Ok(Self { process, listener, admin })
    }

    /// Waits until it is ready.
    pub(super) async fn ready(&mut self) -> Result<(), Error> {
        let mut admin = self.admin();
        tokio::select! {
            ready = until("cutover is ready", LIMIT, async || Ok(admin.is_ready().await.then_some(()))) => ready,
            lost = self.process.lost() => Err(lost),
        }
    }

    /// Where visitors connect to.
    pub(super) fn address(&self) -> SocketAddr {
        self.listener.address()
    }

    /// A client of its admin API.
    pub(super) fn admin(&self) -> Admin {
        Admin::new(self.admin.address())
    }

    /// Waits for what should not happen: that it ends by itself.
    pub(super) async fn lost(&mut self) -> Error {
        self.process.lost().await
    }

    /// Stops it gracefully.
    pub(super) async fn stop(&mut self) -> Result<(), Error> {
        self.process.terminate()?;
        self.process.end(LIMIT).await
    }

    /// Ends it at once.
    pub(super) async fn kill(&mut self) {
        self.process.kill().await;
    }
}

fn configuration(listener: SocketAddr, admin: SocketAddr, state: &Path) -> String {
    // A JSON string is a TOML string.
    let state = serde_json::Value::from(state.to_string_lossy());
    format!(
        r#"# Written by `cutover demo`.
[node]
name = "demo"
state_dir = {state}

[[listener]]
bind = ["{listener}"]

[admin]
listen = "{admin}"

[access_log]
path = ""

[[service]]
name = "{SHOP}"
hosts = ["{SHOP_HOST}"]
identity = "health"

[service.pin]
idle = "5s"

[service.health]
interval = "250ms"

[service.flip]
stable_for = "1s"

[service.drain]
deadline = "60s"
spread = "5s"

[[service]]
name = "{ROUND_ROBIN}"
hosts = ["{ROUND_ROBIN_HOST}"]
identity = "label"
balance = "round-robin"

[service.pin]
policy = "none"

[service.roll]
strategy = "one-by-one"

[service.health]
interval = "250ms"
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    #[test]
    fn the_configuration_has_no_errors_whatever_the_directory_is_called() {
        let local = |port| SocketAddr::from(([127, 0, 0, 1], port));

        let text = configuration(local(8080), local(9900), Path::new("/tmp/a \"b\" \\ c"));

        let parsed = config::parse("demo.toml", &text, &|_| None);
        assert_eq!(parsed.map(|config| config.services.len()).map_err(|report| report.to_string()), Ok(2));
    }
}

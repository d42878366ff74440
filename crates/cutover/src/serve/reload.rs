//! Takes over a changed configuration file: services at once, the rest is named as waiting for a restart. A wrong file changes nothing.

use std::path::{Path, PathBuf};

use cutover_control::error::SubmitError;
use cutover_control::handle::{Control, Request};
use cutover_control::shared_cookie;
use cutover_control::timeline::Actor;
use cutover_core::command::{Command, Configured};
use cutover_core::id::Revision;

use crate::config::{self, Config, FileWatch};

/// The configuration that runs, and the file that it comes from.
#[derive(Debug)]
pub(super) struct Reload {
    path: PathBuf,
    running: Config,
    watch: Option<FileWatch>,
}

impl Reload {
    /// Watches the file from now on.
    pub(super) fn new(path: &Path, running: Config) -> Self {
        let watch = FileWatch::start([path])
            .inspect_err(|error| {
                tracing::warn!(%error, "the configuration file can't be watched; SIGHUP reloads it");
            })
            .ok();
        Self { path: path.to_owned(), running, watch }
    }

    /// Waits until the file changes. May be dropped and called again.
    pub(super) async fn changed(&mut self) {
        match &mut self.watch {
            Some(watch) => watch.changed().await,
            None => std::future::pending().await,
        }
    }

    /// Reads the file and hands its services to the control plane.
    pub(super) async fn take_over(&self, control: &Control) {
        let file = self.path.display();
        let config = match config::load(&self.path) {
            Ok(config) => config,
            Err(report) => {
                for error in &report.errors {
                    tracing::error!("{error}");
                }
                let errors = report.errors.len();
                return tracing::error!(%file, errors, "the configuration has errors, nothing was changed");
            }
        };
        let waiting = restart_needed(&self.running, &config);
        if !waiting.is_empty() {
            tracing::warn!(keys = waiting.join(", "), "changed keys that take effect at the next start");
        }
        let services = config.services.len();
        match configure(control, config).await {
            Ok(revision) => {
                tracing::info!(%file, services, %revision, "the configuration was reloaded");
                warn(control);
            }
            Err(error) => {
                tracing::error!(%file, %error, "the configuration was not taken over");
            }
        }
    }
}

/// Makes the services of `config` those of the control plane, and waits until every worker serves them.
pub(super) async fn configure(control: &Control, config: Config) -> Result<Revision, SubmitError> {
    let services = config.services.clone();
    let request = Request::new(Command::Configure(config.services), Actor::config());
    let done = control.submit(request).await?;
    for Configured { name, backends, .. } in &services {
        let Some(service) = done.state.services.get(name) else { continue };
        for (said, known) in
            backends.iter().filter_map(|said| Some((said, service.backends.get(&said.backend)?)))
        {
            if known.address != said.address {
                tracing::warn!(service = %name, backend = %said.backend, file = %said.address, registered = %known.address,
                    "a backend of the file is left out: another one is registered under its name; deregister that one, then reload");
            }
        }
    }
    Ok(done.revision)
}

/// Says what the services of the control plane, those of the API included, are allowed to do and hardly mean.
pub(super) fn warn(control: &Control) {
    let current = control.current();
    for shared in
        shared_cookie::find(current.state.services.iter().map(|(name, service)| (name, &*service.policy)))
    {
        tracing::warn!("{shared}");
    }
}

/// The keys outside of services whose values differ.
fn restart_needed(running: &Config, new: &Config) -> Vec<&'static str> {
    let Config { node, listeners, limits, admin, store, access_log, metrics, tracing, services: _ } = running;
    let keys = [
        ("node.name", node.name != new.node.name),
        ("node.workers", node.workers != new.node.workers),
        ("node.pid_file", node.pid_file != new.node.pid_file),
        ("node.upgrade_timeout", node.upgrade_timeout != new.node.upgrade_timeout),
        ("node.state_dir", node.state_dir != new.node.state_dir),
        ("node.user", node.user != new.node.user),
        ("node.group", node.group != new.node.group),
        ("node.name_servers", node.name_servers != new.node.name_servers),
        ("listener", *listeners != new.listeners),
        ("limits", *limits != new.limits),
        ("admin.listen", admin.listen != new.admin.listen),
        ("admin.open", admin.is_open != new.admin.is_open),
        ("admin.tokens", admin.tokens != new.admin.tokens),
        ("admin.tls", admin.tls != new.admin.tls),
        ("admin.certificates", admin.certificates != new.admin.certificates),
        ("store.kind", *store != new.store),
        ("access_log", *access_log != new.access_log),
        ("metrics.listen", *metrics != new.metrics),
        ("tracing.otlp", *tracing != new.tracing),
    ];
    keys.into_iter().filter_map(|(key, differs)| differs.then_some(key)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        config::parse("c.toml", text, &|_| Some("/home/someone".to_owned())).unwrap()
    }

    #[test]
    fn changed_keys_outside_of_services_are_named() {
        let new = config(
            "[node]\nworkers = 3\n[limits]\nbody = \"1MiB\"\n[access_log]\npath = \"\"\n[[service]]\nname = \"web\"",
        );
        assert_eq!(restart_needed(&config(""), &new), ["node.workers", "limits", "access_log"]);
        assert!(restart_needed(&new, &new).is_empty());
    }
}

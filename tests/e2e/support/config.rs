//! Configuration files, made of dotted keys.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use serde_json::Value;

/// A configuration file without what the harness decides: ports and the state directory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Config {
    keys: Keys,
    listener: Keys,
    tokens: Vec<String>,
    services: Vec<Service>,
}

/// One `[[service]]`. Its health checks are fast, and flips don't wait for stability.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    keys: Keys,
    backends: Vec<String>,
    hooks: Vec<String>,
}

/// Dotted keys and their values.
type Keys = BTreeMap<String, Value>;

impl Config {
    /// With this one service.
    pub(crate) fn of(service: Service) -> Self {
        Self::default().and(service)
    }

    pub(crate) fn and(mut self, service: Service) -> Self {
        self.services.push(service);
        self
    }

    /// Sets a key of the file, as `limits.body`.
    pub(crate) fn set(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.keys.insert(key.to_owned(), value.into());
        self
    }

    /// Sets a key of the listener.
    pub(crate) fn listener(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.listener.insert(key.to_owned(), value.into());
        self
    }

    /// Adds a token for the admin API.
    pub(crate) fn admin_token(mut self, name: &str, sha256: &str, role: &str) -> Self {
        self.tokens.push(format!("{{ name = {name:?}, sha256 = {sha256:?}, role = {role:?} }}"));
        self
    }

    /// Adds a token by which backends of one service register themselves.
    pub(crate) fn app_token(mut self, name: &str, sha256: &str, service: &str) -> Self {
        self.tokens.push(format!(
            "{{ name = {name:?}, sha256 = {sha256:?}, role = \"register\", services = [{service:?}] }}"
        ));
        self
    }

    /// The text of the file.
    pub(crate) fn render(&self, proxy: SocketAddr, admin: SocketAddr, directory: &Path) -> String {
        let mut keys = Keys::from([
            ("node.name".to_owned(), "e2e".into()),
            ("node.state_dir".to_owned(), directory.join("state").to_string_lossy().into()),
            ("admin.listen".to_owned(), admin.to_string().into()),
            ("access_log.path".to_owned(), "".into()),
        ]);
        keys.extend(self.keys.clone());
        let mut text = write(&keys);
        let _ = writeln!(text, "admin.tokens = [{}]", self.tokens.join(", "));
        let mut listener = Keys::from([("bind".to_owned(), vec![proxy.to_string()].into())]);
        listener.extend(self.listener.clone());
        let _ = write!(text, "\n[[listener]]\n{}", write(&listener));
        for service in &self.services {
            let backends = service.backends.join(", ");
            let hooks = service.hooks.join(", ");
            let keys = write(&service.keys);
            let _ = write!(text, "\n[[service]]\n{keys}backends = [{backends}]\nhook = [{hooks}]\n");
        }
        text
    }
}

impl Service {
    pub(crate) fn new(name: &str) -> Self {
        let keys = Keys::from([("name".to_owned(), name.into())]);
        Self { keys, backends: Vec::new(), hooks: Vec::new() }
            .set("expose_version", true)
            .set("health.interval", "50ms")
            .set("health.rise", 1)
            .set("flip.stable_for", "0s")
    }

    /// Sets a key of the service, as `pin.idle`.
    pub(crate) fn set(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.keys.insert(key.to_owned(), value.into());
        self
    }

    /// Adds a hook.
    pub(crate) fn hook(mut self, on: &str, url: &str, secret: &str) -> Self {
        let hook = format!("{{ on = {on:?}, url = {url:?}, secret = {secret:?}, timeout = \"5s\" }}");
        self.hooks.push(hook);
        self
    }

    /// Adds a hook whose certificate is believed by the authorities in this file.
    pub(crate) fn hook_over_tls(mut self, on: &str, url: &str, secret: &str, ca: &Path) -> Self {
        self.hooks.push(format!("{{ on = {on:?}, url = {url:?}, secret = {secret:?}, ca = {ca:?} }}"));
        self
    }

    /// Adds a static backend, labelled with `version` unless that is empty.
    pub(crate) fn backend(mut self, id: &str, address: impl std::fmt::Display, version: &str) -> Self {
        let label = if version.is_empty() { String::new() } else { format!(", version = {version:?}") };
        self.backends.push(format!("{{ id = {id:?}, address = {:?}{label} }}", address.to_string()));
        self
    }
}

fn write(keys: &Keys) -> String {
    keys.iter().map(|(key, value)| format!("{key} = {}\n", toml(value))).collect()
}

/// A value as TOML has it, which writes all but tables as JSON does.
fn toml(value: &Value) -> String {
    let joined = |parts: Vec<String>| parts.join(", ");
    match value {
        Value::Array(list) => format!("[{}]", joined(list.iter().map(toml).collect())),
        Value::Object(table) => {
            let pair = |(key, value): (&String, &Value)| format!("{key} = {}", toml(value));
            format!("{{ {} }}", joined(table.iter().map(pair).collect()))
        }
        other => other.to_string(),
    }
}

//! What is going to be written: listeners and services, each with where it comes from and what has to be said about it.

use cutover_control::admin::wire::service::{
    Affinity, BackendSpec, Balance, HeaderRulesSpec, Identity, ProbeProtocol, RedirectSpec, ServiceSpec,
};
use cutover_core::address::Address;
use cutover_core::id::BackendId;

use super::note::{Ledger, Note};
use super::target::Target;
use super::tree::Directive;
use crate::config::raw::{ListenerSpec, RawConfig};

/// What every backend is said to run, until the app says it.
pub(super) const VERSION: &str = "v1";
/// Weights that cutover knows.
const WEIGHT_MAX: u64 = 1000;

/// A configuration in the making.
#[derive(Debug, Default)]
pub(super) struct Draft {
    /// All but listeners and services.
    pub(super) base: RawConfig,
    /// Where clients connect.
    pub(super) listeners: Vec<Listener>,
    /// In the order in which they claim their routes.
    pub(super) services: Vec<Service>,
    /// What is about none of them.
    pub(super) notes: Vec<Note>,
    /// What was understood.
    pub(super) ledger: Ledger,
}

/// A listener in the making.
#[derive(Debug)]
pub(super) struct Listener {
    /// As it will be written.
    pub(super) spec: ListenerSpec,
    /// What it was.
    pub(super) from: Directive,
    /// What has to be said about it.
    pub(super) notes: Vec<Note>,
    /// Whether it can't be used as it is, and is written as a comment.
    pub(super) is_off: bool,
}

/// A service in the making.
#[derive(Debug, Clone)]
pub(super) struct Service {
    /// As it will be written, but for its name.
    pub(super) spec: ServiceSpec,
    /// What it would like to be called.
    pub(super) wish: String,
    /// The hosts that it is left with when another service answers for any host already.
    pub(super) own_hosts: Vec<String>,
    /// What it was.
    pub(super) from: Directive,
    /// What has to be said about it.
    pub(super) notes: Vec<Note>,
}

impl Listener {
    /// A listener without an address yet.
    pub(super) fn new(from: &Directive) -> Self {
        let spec = ListenerSpec::default();
        Self { spec, from: from.clone(), notes: Vec::new(), is_off: false }
    }

    /// Adds an address, unless it is there.
    pub(super) fn bind(&mut self, address: String) {
        if !self.spec.bind.contains(&address) {
            self.spec.bind.push(address);
        }
    }
}

impl Service {
    /// A service without backends: its servers are believed to run [`VERSION`], and are asked by a connection whether they are up.
    pub(super) fn new(from: &Directive, wish: impl Into<String>, path: &str) -> Self {
        let mut spec = ServiceSpec {
            paths: vec![if path.is_empty() { "/" } else { path }.to_owned()],
            identity: Identity::Label,
            ..ServiceSpec::default()
        };
        spec.health.protocol = ProbeProtocol::Tcp;
        let from = Directive { block: None, ..from.clone() };
        Self { spec, wish: wish.into(), own_hosts: Vec::new(), from, notes: Vec::new() }
    }

    /// Says that a directive is not in it.
    pub(super) fn lost(&mut self, directive: &Directive, why: impl Into<String>) {
        self.notes.push(Note::lost(directive, why));
    }

    /// Says that a directive means something else in it.
    pub(super) fn changed(&mut self, directive: &Directive, why: impl Into<String>) {
        self.notes.push(Note::changed(directive, why));
    }

    /// Answers for `hosts`; in the place of what its source calls a default, for any host.
    pub(super) fn answer_for(&mut self, hosts: &[String], is_default: bool) {
        self.own_hosts = hosts.to_vec();
        self.spec.hosts = if is_default { Vec::new() } else { hosts.to_vec() };
    }

    /// Adds a backend; `id` may be empty.
    pub(super) fn add_backend(&mut self, directive: &Directive, id: &str, address: &str, weight: u64) {
        let address = match address.parse::<Address>() {
            Ok(address) => address,
            Err(error) => return self.lost(directive, format!("{error}; add the backend by hand")),
        };
        let is_unix = matches!(address, Address::Unix { .. });
        let mut id = Some(id.to_owned()).filter(|id| BackendId::parse(id).is_ok());
        if id.is_none() && is_unix {
            id = Some(format!("backend-{}", self.spec.backends.len() + 1));
        }
        let text = address.to_string();
        let name = |backend: &BackendSpec| backend.id.clone().unwrap_or_else(|| backend.address.clone());
        let own_name = id.clone().unwrap_or_else(|| text.clone());
        if self.spec.backends.iter().any(|backend| name(backend) == own_name) {
            return self.lost(
                directive,
                format!("there is a backend {own_name:?} already; give this one another id"),
            );
        }
        let fitting = weight.clamp(1, WEIGHT_MAX);
        if fitting != weight {
            self.changed(directive, format!("weights are from 1 to {WEIGHT_MAX}; this one became {fitting}"));
        }
        let version = Some(VERSION.to_owned());
        self.spec.backends.push(BackendSpec {
            id,
            address: text,
            version,
            weight: fitting,
            schema_min: None,
            schema_max: None,
        });
    }

    /// Sends requests under `prefix` to `target`'s path: it stays, goes, or becomes another one.
    pub(super) fn rewrite(&mut self, prefix: &str, target: &Target) {
        let prefix = prefix.trim_end_matches('/');
        if prefix == target.path {
            return;
        }
        if target.path.is_empty() {
            self.spec.strip_prefix = true;
        } else {
            target.path.clone_into(&mut self.spec.rewrite_prefix);
        }
    }

    /// Speaks with its backends what `target` says.
    pub(super) fn speak(&mut self, directive: &Directive, target: &Target) {
        match target.protocol() {
            Ok(protocol) => self.spec.upstream.protocol = protocol,
            Err(why) => self.lost(directive, why),
        }
    }

    /// Ties sessions to a backend, by cutover's own cookie.
    pub(super) fn stick(&mut self, directive: &Directive) {
        self.spec.affinity = Affinity::Backend;
        self.changed(
            directive,
            "affinity = \"backend\" ties a session to a server of its version, by cutover's own signed cookie; \
             sessions choose anew once, when traffic comes over here",
        );
    }

    /// Chooses backends by a hash of `key`.
    pub(super) fn hash(&mut self, key: impl Into<String>) {
        self.spec.balance = Balance::Hash;
        self.spec.hash_on = key.into();
    }

    /// Asks backends by HTTP whether they are up, and what they run.
    pub(super) fn probe(&mut self, path: &str) {
        self.spec.health.protocol = ProbeProtocol::Http;
        self.spec.identity = Identity::Health;
        path.clone_into(&mut self.spec.health.path);
    }

    /// Sends requests elsewhere.
    pub(super) fn redirect(&mut self, from: &str, to: &str, status: u16) {
        self.spec.redirect.push(RedirectSpec { from: from.to_owned(), to: to.to_owned(), status });
    }

    /// Whether `path` lies under one of its own.
    pub(super) fn covers(&self, path: &str) -> bool {
        self.spec.paths.iter().any(|prefix| covers(prefix, path))
    }
}

/// Whether `path` lies under `prefix`.
pub(super) fn covers(prefix: &str, path: &str) -> bool {
    let (prefix, path) = (prefix.trim_end_matches('/'), path.trim_end_matches('/'));
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// What is done to a header field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Edit {
    /// It has this one value.
    Set,
    /// It gets one more.
    Add,
    /// It is taken out.
    Remove,
}

impl Edit {
    /// Changes `rules`.
    ///
    /// # Errors
    /// They can't say it.
    pub(super) fn apply(self, rules: &mut HeaderRulesSpec, name: &str, value: &str) -> Result<(), String> {
        let is_there = |name: &str, other: &String| other.eq_ignore_ascii_case(name);
        match self {
            Self::Set => {
                rules.remove_headers.retain(|other| !is_there(name, other));
                rules.set_headers.retain(|other, _| !is_there(name, other));
                rules.set_headers.insert(name.to_owned(), value.to_owned());
            }
            Self::Add => {
                if rules.add_headers.keys().any(|other| is_there(name, other)) {
                    return Err(format!("a service adds one value of {name:?}; let the app send the others"));
                }
                rules.add_headers.insert(name.to_owned(), value.to_owned());
            }
            Self::Remove => {
                rules.set_headers.retain(|other, _| !is_there(name, other));
                if !rules.remove_headers.iter().any(|other| is_there(name, other)) {
                    rules.remove_headers.push(name.to_owned());
                }
            }
        }
        Ok(())
    }
}

/// What is said about a header that always tells apps the same about the way of a request.
pub(super) const FIXED_WAY: &str = "cutover tells apps itself how a request came; if a proxy before it ends TLS, name that one in trusted_proxies, and what it \
                                    says is passed on";

/// Whether apps are always told the same about the way of a request. `variable` begins what changes with each.
pub(super) fn is_fixed_way(name: &str, value: &str, variable: char) -> bool {
    let name = name.to_ascii_lowercase();
    let is_way = name == "forwarded" || name.starts_with("x-forwarded-");
    is_way && is_told_anyway(&name) && !value.is_empty() && !value.contains(variable)
}

/// Whether cutover itself tells apps what a request header of this name tells them: the way of the request, and its host.
pub(super) fn is_told_anyway(name: &str) -> bool {
    const TOLD: [&str; 8] = [
        "host",
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-forwarded-host",
        "forwarded",
        "connection",
        "upgrade",
        "x-request-id",
    ];
    TOLD.iter().any(|told| told.eq_ignore_ascii_case(name))
}

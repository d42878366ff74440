//! What a deploy finds at the server each time that it looks.

use std::collections::BTreeMap;

use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::ctl::client::{CALL_TIMEOUT, Client, path};
use crate::ctl::{Error, Reason};

/// The service, its versions, and what stands in the way of the switch.
#[derive(Debug, Clone, Default)]
pub(super) struct Scene {
    /// The service as a whole.
    pub(super) service: Service,
    /// Its versions, in no order that matters.
    pub(super) versions: Vec<Version>,
    /// What a flip to the version would be refused for; empty once it is active.
    pub(super) obstacles: Vec<Reason>,
    /// What the record of a destructive migration would be refused for; only asked while the version is active.
    pub(super) contract_obstacles: Vec<Reason>,
}

/// `GET /v1/services/{s}`.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Service {
    pub(super) active: Option<String>,
    pub(super) epoch: u64,
    pub(super) freeze: Option<Freeze>,
    pub(super) canary: Option<Canary>,
    pub(super) bake: Option<Bake>,
    pub(super) verdict: Option<Verdict>,
    pub(super) contract: Option<Contract>,
    #[serde(default)]
    pub(super) policy: Policy,
}

/// What of the policy a deploy has to know.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Policy {
    pub(super) flip: FlipPolicy,
}

/// How flips begin.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct FlipPolicy {
    pub(super) mode: String,
}

/// Why flips are refused.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Freeze {
    pub(super) reason: String,
    pub(super) by: String,
}

/// A version that gets a share of the sessions.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Canary {
    pub(super) version: String,
    #[serde(default)]
    pub(super) share: f64,
    /// The step of the service's own steps, from 1; 0 or absent where somebody chose the share.
    #[serde(default)]
    pub(super) step: Option<u64>,
    /// How many steps there are.
    #[serde(default)]
    pub(super) steps: Option<u64>,
    /// When the next step begins.
    pub(super) next_at: Option<String>,
    #[serde(default)]
    pub(super) paused: bool,
}

/// The watch period after a flip.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Bake {
    pub(super) version: String,
    pub(super) from: Option<String>,
    pub(super) epoch: u64,
    pub(super) ends_at: Option<String>,
    /// `running`, `passed`, `failed`, `rolled_back` or `superseded`.
    pub(super) state: String,
}

/// What was found out about a version.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Verdict {
    pub(super) version: String,
    /// `watching`, `good` or `bad`.
    #[serde(default)]
    pub(super) state: String,
    pub(super) reason: Option<String>,
}

/// The destructive migration that ran last.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Contract {
    /// The oldest version that may be flipped to: the one that was active.
    pub(super) floor: String,
    #[serde(default)]
    pub(super) note: String,
}

/// One version.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Version {
    pub(super) version: String,
    pub(super) role: String,
    pub(super) epoch: Option<u64>,
    pub(super) rejected: Option<String>,
    #[serde(default)]
    pub(super) usable_backends: u64,
    #[serde(default)]
    pub(super) usable_weight: u64,
    #[serde(default)]
    pub(super) expected_weight: u64,
    #[serde(default)]
    pub(super) in_flight: u64,
    #[serde(default)]
    pub(super) tunnels: u64,
    pub(super) latest_pin_expiry: Option<String>,
    #[serde(default)]
    pub(super) holds: BTreeMap<String, Value>,
    #[serde(default)]
    pub(super) gates: BTreeMap<String, Gate>,
    pub(super) drain_deadline: Option<String>,
}

/// A gate of a version.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Gate {
    pub(super) open: bool,
    pub(super) note: String,
    pub(super) required: bool,
}

#[derive(Debug, Deserialize)]
struct Versions {
    versions: Vec<Version>,
}

#[derive(Debug, Deserialize)]
struct DryRun {
    #[serde(default)]
    reasons: Vec<Reason>,
}

impl Scene {
    /// Looks.
    ///
    /// # Errors
    /// The server can't be reached, or there is no such service.
    pub(super) async fn look(
        client: &Client,
        service: &str,
        version: &str,
        wants_contract: bool,
    ) -> Result<Self, Error> {
        let at = ["services", service];
        let (_, found): (_, Service) = client.read(&path(&at)).await?;
        let (_, Versions { versions }) = client.read(&path(&[&at[..], &["versions"]].concat())).await?;
        let mut scene = Self { service: found, versions, ..Self::default() };
        let dry_run = async |what: &str, body: Value| {
            let path = path(&[&at[..], &[what]].concat());
            let answer = client.call(Method::POST, &path, Some(&body), CALL_TIMEOUT).await?.body;
            Ok::<_, Error>(client.view::<DryRun>(&answer)?.reasons)
        };
        if !scene.is_active(version) {
            scene.obstacles = dry_run("flip", json!({ "to": version, "dry_run": true })).await?;
        } else if wants_contract {
            scene.contract_obstacles = dry_run("contract", json!({ "dry_run": true })).await?;
        }
        Ok(scene)
    }

    /// The version of this label.
    #[must_use]
    pub(super) fn version(&self, label: &str) -> Option<&Version> {
        self.versions.iter().find(|version| version.version == label)
    }

    /// Whether this version is the one that gets new sessions.
    #[must_use]
    pub(super) fn is_active(&self, label: &str) -> bool {
        self.service.active.as_deref() == Some(label)
    }

    /// The version that is or was active before `label`.
    #[must_use]
    pub(super) fn before<'a>(&'a self, label: &str) -> Option<&'a str> {
        if !self.is_active(label) {
            return self.service.active.as_deref();
        }
        let bake = self.service.bake.as_ref().filter(|bake| bake.version == label);
        if let Some(from) = bake.and_then(|bake| bake.from.as_deref()) {
            return Some(from);
        }
        let others = self.versions.iter().filter(|version| version.version != label);
        let latest = others.filter(|version| version.epoch.is_some()).max_by_key(|version| version.epoch);
        latest.map(|version| version.version.as_str())
    }
}

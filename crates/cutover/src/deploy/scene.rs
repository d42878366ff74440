//! What a deploy finds at the server each time that it looks.

use http::Method;
use serde_json::{Value, json};

use crate::ctl::client::{CALL_TIMEOUT, Client, path};
use crate::ctl::view::deploy::{DryRun, Service, Version, Versions};
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

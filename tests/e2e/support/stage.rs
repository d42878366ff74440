//! A service `web` with real app servers of several versions behind a real cutover.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};

use serde_json::json;

use super::app::App;
use super::config::{Config, Service};
use super::cutover::Cutover;

/// What a scenario plays on. Derefs to the cutover in its middle.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) cutover: Cutover,
    pub(crate) apps: BTreeMap<String, App>,
}

impl Stage {
    /// With one backend `a` of v1, which is active.
    pub(crate) async fn v1() -> Self {
        Self::v1_with(Service::new("web")).await
    }

    /// The same with another policy.
    pub(crate) async fn v1_with(service: Service) -> Self {
        Self::open(&Config::of(service)).await
    }

    /// The same with another configuration, which has the service `web`.
    pub(crate) async fn open(config: &Config) -> Self {
        let mut stage = Self::empty(config).await;
        stage.add("a", "v1").await;
        stage.admin().until_role("v1", "active").await;
        stage
    }

    /// With no backend at all.
    pub(crate) async fn empty(config: &Config) -> Self {
        Self { cutover: Cutover::start(config).await, apps: BTreeMap::new() }
    }

    /// With a backend `a` of v1, which is active, and `b` of v2, which is staged.
    pub(crate) async fn v1_and_v2() -> Self {
        Self::v1_and_v2_with(Service::new("web")).await
    }

    /// The same with another policy.
    pub(crate) async fn v1_and_v2_with(service: Service) -> Self {
        let mut stage = Self::v1_with(service).await;
        stage.add("b", "v2").await;
        stage
    }

    /// Starts an app server, registers it for good and waits until it is usable.
    pub(crate) async fn add(&mut self, id: &str, version: &str) {
        self.adopt(id, App::start(version).await).await;
    }

    /// Registers a running app server for good and waits until it is usable.
    pub(crate) async fn adopt(&mut self, id: &str, app: App) {
        let path = format!("/v1/services/web/backends/{id}");
        let body = json!({ "address": app.address(), "ttl": "0" });
        self.admin().done("PUT", &path, body).await;
        self.apps.insert(id.to_owned(), app);
        self.until_usable(id).await;
    }

    /// Waits until a backend gets requests if its version does.
    pub(crate) async fn until_usable(&self, id: &str) {
        super::wait::until(&format!("{id} is usable"), async || {
            (self.admin().backend(id).await["usable"] == true).then_some(())
        })
        .await;
    }

    pub(crate) fn app(&mut self, id: &str) -> &mut App {
        self.apps.get_mut(id).unwrap_or_else(|| panic!("no app {id}"))
    }
}

impl Deref for Stage {
    type Target = Cutover;

    fn deref(&self) -> &Cutover {
        &self.cutover
    }
}

impl DerefMut for Stage {
    fn deref_mut(&mut self) -> &mut Cutover {
        &mut self.cutover
    }
}

//! A cutover that was started by a path of its own, so that another program can be put there.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::support::app::App;
use crate::support::config::{Config, Service};
use crate::support::cutover::Cutover;

/// A cutover with two backends `a` of v1 and `b` of v2, both in its configuration; v1 is active.
pub(super) struct Scene {
    pub(super) cutover: Cutover,
    _apps: [App; 2],
    program: PathBuf,
}

impl Scene {
    pub(super) async fn open(configure: impl FnOnce(Config) -> Config) -> Self {
        Self::open_with(Service::new("web"), configure).await
    }

    pub(super) async fn open_with(service: Service, configure: impl FnOnce(Config) -> Config) -> Self {
        let apps = [App::start("v1").await, App::start("v2").await];
        let service = service.backend("a", apps[0].address(), "").backend("b", apps[1].address(), "");
        let config = configure(Config::of(service.set("flip.quorum.count", 1)).set("node.workers", 2));
        let mut cutover = Cutover::stopped(&config);
        let program = cutover.file("cutover");
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_cutover"), &program).unwrap();
        cutover.launch_by(Command::new(&program));
        cutover.until_ready().await;
        let scene = Self { cutover, _apps: apps, program };
        let admin = scene.cutover.admin();
        admin.until_usable("v1", 1).await;
        admin.until_usable("v2", 1).await;
        // Whichever was seen first is active.
        if admin.version("v1").await["role"] != "active" {
            admin.flip("v1").await;
        }
        scene
    }

    /// Puts a shell script where the program was.
    pub(super) fn replace_program(&self, script: &str) {
        let new = self.cutover.file("cutover.new");
        std::fs::write(&new, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::rename(&new, &self.program).unwrap();
    }

    /// Upgrades, which must succeed; answers the new process.
    pub(super) async fn upgrade(&self) -> i32 {
        let before = self.cutover.pid().await;
        let upgraded = self.cutover.admin().done("POST", "/v1/upgrade", Value::Null).await;
        assert_eq!(upgraded["replaced_pid"], before, "{upgraded}");
        let after = self.cutover.pid().await;
        assert_eq!(upgraded["pid"], after, "{upgraded}");
        assert_ne!(before, after);
        after
    }

    /// Upgrades, which must fail, and answers why.
    pub(super) async fn fail(&self) -> String {
        let before = self.cutover.pid().await;
        let answer = self.cutover.admin().call("POST", "/v1/upgrade", &Value::Null).await;
        assert_eq!(answer.status(), 500, "{answer:?}");
        let problem = answer.json();
        assert_eq!(problem["reasons"][0]["code"], "upgrade_failed", "{problem}");
        assert_eq!(self.cutover.pid().await, before);
        problem["detail"].as_str().unwrap().to_owned()
    }
}

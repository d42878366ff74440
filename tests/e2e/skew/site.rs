//! An application of `apps/` as a site: servers of its two versions behind cutover, and a browser.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;
use serde_json::json;
use tempfile::TempDir;

use super::snippet::update_js;
use crate::support::browser::{Browser, Tab, is_installed};
use crate::support::child::Child;
use crate::support::config::{Config, Service};
use crate::support::cutover::Cutover;
use crate::support::port::Port;
use crate::support::wait::until;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Which application.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    SvelteKit,
    Next,
}

/// What the browser visits. v1 is active, v2 is staged.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) browser: Browser,
    pub(super) cutover: Cutover,
    kind: Kind,
    servers: BTreeMap<&'static str, Server>,
    // Goes last: the others have their files in it.
    directory: TempDir,
}

/// One server of the application.
#[derive(Debug)]
struct Server {
    child: Child,
    port: Port,
}

impl Site {
    /// `None`, with a word about it, where the browser or the built application is missing.
    pub(super) async fn open(kind: Kind, service: Service) -> Option<Self> {
        if !is_installed() || !kind.is_built() {
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let cutover = Cutover::start(&Config::of(service)).await;
        let browser = Browser::start(directory.path()).await;
        let mut site = Self { browser, cutover, kind, servers: BTreeMap::new(), directory };
        for version in ["v1", "v2"] {
            let server = kind.start(version, site.directory.path());
            let path = format!("/v1/services/web/backends/{version}");
            let body = json!({ "address": server.port.address().to_string(), "ttl": "0" });
            site.cutover.admin().done("PUT", &path, body).await;
            site.servers.insert(version, server);
            site.cutover.admin().until_usable(version, 1).await;
        }
        site.cutover.admin().until_role("v1", "active").await;
        Some(site)
    }

    /// Opens the page at `path` in a tab of its own, and waits until it hears clicks.
    pub(super) async fn tab(&self, path: &str) -> Tab {
        let tab = self.browser.open(&self.url(path)).await;
        if self.kind == Kind::SvelteKit && path == "/" {
            tab.until("document.body?.dataset.listens", &json!("yes")).await;
        }
        tab
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.cutover.proxy())
    }

    pub(super) async fn flip(&self) {
        self.cutover.admin().flip("v2").await;
    }

    /// Waits until files were found there instead of in the version of their session.
    pub(super) async fn until_found(&self, place: &str) {
        let outcome = format!("outcome=\"{place}\"");
        until(&format!("a file is found: {place}"), async || {
            (self.cutover.admin().metric("cutover_assets_total", &[&outcome]).await >= 1.0).then_some(())
        })
        .await;
    }

    /// Ends the servers of a version, and has cutover forget them.
    pub(super) async fn stop(&mut self, version: &str) {
        let path = format!("/v1/services/web/backends/{version}?drain=0s");
        self.cutover.admin().done("DELETE", &path, json!(null)).await;
        let mut server = self.servers.remove(version).expect("it runs");
        // A framework waits for its connections before it ends, and cutover keeps none to a backend that is gone.
        server.child.signal(Signal::TERM);
        server.child.exit().await;
    }
}

/// What a session sees without doing anything about skew.
pub(super) fn service() -> Service {
    Service::new("web")
}

/// The same where who navigates gets the active version.
pub(super) fn paged(service: Service) -> Service {
    service.set("pin.policy", "page")
}

/// The same where files of other versions are found, too.
pub(super) fn with_assets(service: Service) -> Service {
    let paths = ["/_app/immutable/**", "/_next/static/**"];
    service.set("assets.paths", json!(paths)).set("assets.vault", "16MiB")
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::SvelteKit => "sveltekit",
            Self::Next => "next",
        }
    }

    fn built(self) -> PathBuf {
        Path::new(ROOT).join("target/apps").join(self.name())
    }

    fn is_built(self) -> bool {
        let is_built = self.built().join("stamp").exists();
        if !is_built {
            eprintln!("skipped: the {} app is not built; scripts/apps.sh does it", self.name());
        }
        is_built
    }

    fn start(self, version: &str, directory: &Path) -> Server {
        let port = Port::reserve();
        let built = self.built().join(version);
        let mut command = Command::new("node");
        command.arg("--require").arg(Path::new(ROOT).join("tests/e2e/skew/apps/leash.cjs"));
        command.env("PORT", port.address().port().to_string());
        match self {
            Self::SvelteKit => {
                // A copy of its own, with the script of the documentation among its static files.
                let own = directory.join(version);
                copy(&built, &own);
                std::fs::write(own.join("client/update.js"), update_js()).unwrap();
                command.arg(own.join("index.js")).env("HOST", "127.0.0.1");
                command.env("PROTOCOL_HEADER", "x-forwarded-proto").env("HOST_HEADER", "x-forwarded-host");
            }
            Self::Next => {
                command.arg(built.join("server.js")).env("HOSTNAME", "127.0.0.1");
                command.env("NEXT_TELEMETRY_DISABLED", "1");
            }
        }
        let name = format!("{} {version}", self.name());
        let child = Child::spawn(&name, &mut command, &directory.join(format!("{version}.log")));
        Server { child, port }
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let into = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &into);
        } else {
            std::fs::copy(entry.path(), into).unwrap();
        }
    }
}

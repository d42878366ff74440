//! What a roll's command stands for: something on another machine that restarts an app server when it is told to.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tempfile::TempDir;

use super::app::App;
use super::wait::until;

/// Restarts apps when the command that it gives asks for it. The apps end with it.
#[derive(Debug)]
pub(crate) struct Deployer {
    directory: TempDir,
    orders: Arc<Mutex<Orders>>,
    // Of its own, because it goes on while a test waits for a command.
    thread: Option<JoinHandle<()>>,
}

/// How apps are restarted.
#[derive(Debug, Default)]
struct Orders {
    version: String,
    broken: BTreeSet<String>,
    held: BTreeSet<String>,
    is_over: bool,
    /// Every restart, in order.
    done: Vec<String>,
}

impl Deployer {
    /// Restarts these apps with `version` from now on.
    pub(crate) fn start(apps: BTreeMap<String, App>, version: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let orders = Arc::new(Mutex::new(Orders { version: version.to_owned(), ..Orders::default() }));
        let (wanted, shared) = (directory.path().to_owned(), Arc::clone(&orders));
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(deploy(apps, &wanted, &shared));
        });
        Self { directory, orders, thread: Some(thread) }
    }

    /// The command that restarts one backend and waits for that.
    pub(crate) fn command(&self) -> String {
        let directory = self.directory.path().display();
        // It ends some day even if nobody serves it.
        format!(
            "echo \"deploys {{id}} in batch {{batch}}\"; touch {directory}/{{id}}.wanted; \
             for i in $(seq 1000); do test -e {directory}/{{id}}.wanted || exit 0; sleep 0.02; done; exit 1"
        )
    }

    /// What `id` is restarted with never gets healthy, or does again.
    pub(crate) fn set_broken(&self, id: &str, is_broken: bool) {
        let broken = &mut self.orders.lock().unwrap().broken;
        _ = if is_broken { broken.insert(id.to_owned()) } else { broken.remove(id) };
    }

    /// The restart of these takes until they are released.
    pub(crate) fn hold(&self, ids: &[&str]) {
        self.orders.lock().unwrap().held.extend(ids.iter().map(|&id| id.to_owned()));
    }

    /// Nothing is held any more.
    pub(crate) fn release(&self) {
        self.orders.lock().unwrap().held.clear();
    }

    /// Whether a command runs that wants `id` restarted.
    pub(crate) fn is_wanted(&self, id: &str) -> bool {
        self.directory.path().join(format!("{id}.wanted")).exists()
    }

    /// Waits until a command wants `id` restarted.
    pub(crate) async fn until_wanted(&self, id: &str) {
        until(&format!("{id} is to be restarted"), async || self.is_wanted(id).then_some(())).await;
    }

    /// All restarts so far, in order.
    pub(crate) fn done(&self) -> Vec<String> {
        self.orders.lock().unwrap().done.clone()
    }
}

impl Drop for Deployer {
    fn drop(&mut self) {
        self.orders.lock().unwrap().is_over = true;
        let joined = self.thread.take().map(JoinHandle::join);
        // A test that fails already says why.
        assert!(thread::panicking() || matches!(joined, Some(Ok(()))), "an app could not be restarted");
    }
}

async fn deploy(mut apps: BTreeMap<String, App>, directory: &Path, orders: &Mutex<Orders>) {
    while !orders.lock().unwrap().is_over {
        for (id, app) in &mut apps {
            serve(id, app, directory, orders).await;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn serve(id: &str, app: &mut App, directory: &Path, orders: &Mutex<Orders>) {
    let wanted = directory.join(format!("{id}.wanted"));
    let (version, is_broken) = {
        let orders = orders.lock().unwrap();
        if !wanted.exists() || orders.held.contains(id) {
            return;
        }
        (orders.version.clone(), orders.broken.contains(id))
    };
    let options: &[&str] = if is_broken { &["--fail-health"] } else { &[] };
    app.restart_with(&version, options).await;
    orders.lock().unwrap().done.push(id.to_owned());
    std::fs::remove_file(wanted).unwrap();
}

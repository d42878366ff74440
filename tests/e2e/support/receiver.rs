//! The receiver of hooks from the documentation, run as it stands there: it takes only what is signed.

use std::path::PathBuf;
use std::process::Command;

use super::child::Child;
use super::port::Port;
use super::wait::until;

/// The secret that receivers know.
pub(crate) const SECRET: &str = "correct horse battery staple";

/// A receiver on a port of its own, which may be away.
#[derive(Debug)]
pub(crate) struct Receiver {
    port: Port,
    directory: tempfile::TempDir,
    child: Option<Child>,
}

/// The blocks of this language in the documentation of hooks.
pub(crate) fn documented(language: &str) -> Vec<String> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/hooks.md");
    let text = std::fs::read_to_string(path).unwrap();
    let fence = format!("```{language}\n");
    let blocks = text.split(&fence).skip(1);
    blocks.map(|block| block.split("```").next().unwrap_or_default().to_owned()).collect()
}

impl Receiver {
    /// One that is away.
    pub(crate) fn away() -> Self {
        Self { port: Port::reserve(), directory: tempfile::tempdir().unwrap(), child: None }
    }

    /// One that is there.
    pub(crate) async fn start() -> Self {
        let mut receiver = Self::away();
        receiver.come_back().await;
        receiver
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hooks", self.port.address())
    }

    /// Starts it, and waits until it listens.
    pub(crate) async fn come_back(&mut self) {
        let [script] = documented("python").try_into().unwrap();
        let mut command = Command::new("python3");
        command.args(["-c", &script]).env("HOOK_SECRET", SECRET);
        command.env("PORT", self.port.address().port().to_string());
        self.child = Some(Child::spawn("receiver", &mut command, &self.directory.path().join("log")));
        until("the receiver listens", async || {
            tokio::net::TcpStream::connect(self.port.address()).await.ok().map(drop)
        })
        .await;
    }

    /// Waits until it has taken this, as `post_flip web v2`.
    pub(crate) async fn hears(&self, told: &str) {
        until(&format!("the receiver hears of {told:?}: {}", self.output()), async || {
            self.output().lines().any(|line| line == told).then_some(())
        })
        .await;
    }

    /// Everything that it took, and its complaints.
    pub(crate) fn output(&self) -> String {
        self.child.as_ref().map(Child::output).unwrap_or_default()
    }
}

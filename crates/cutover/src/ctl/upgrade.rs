//! `cutover upgrade`: lets a new process take over, by the program that is installed now.

use std::time::Duration;

use http::Method;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::Output;
use super::args::Upgrade as Args;
use super::client::{Client, path};
use super::error::Error;
use crate::job::waiting::Waiting;

/// Time between two looks whether the old process has ended.
const POLL: Duration = Duration::from_millis(200);

#[derive(Debug, Deserialize)]
struct Upgraded {
    pid: u32,
    version: String,
    replaced_pid: u32,
}

#[derive(Debug, Deserialize)]
struct Status {
    #[serde(default)]
    predecessor_pid: Option<u32>,
}

/// Upgrades; with `--wait` it also waits until the old process has ended.
pub(super) async fn upgrade(args: Args) -> Result<Output, Error> {
    let client = Client::new(&args.remote);
    let deadline = Instant::now() + args.limit.timeout;
    let path = path(&["upgrade"]);
    let upgrading = client.call(Method::POST, &path, None, args.limit.timeout);
    let answer = Waiting::begin("the new process").during("gets ready", upgrading).await?;
    let Upgraded { pid, version, replaced_pid } = client.view(&answer.body)?;
    if args.wait {
        wait(&client, replaced_pid, deadline, args.limit.timeout).await?;
    }
    let left = if args.wait { "has ended" } else { "finishes what it began" };
    let text = format!("process {pid} serves, version {version}; process {replaced_pid} {left}\n");
    Ok(Output::new(answer.body, text))
}

async fn wait(client: &Client, pid: u32, deadline: Instant, limit: Duration) -> Result<(), Error> {
    let mut waiting = Waiting::begin(format!("process {pid}"));
    loop {
        let (_, status): (Value, Status) = client.read(&path(&["status"])).await?;
        if status.predecessor_pid != Some(pid) {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(Error::TimedOut { what: format!("process {pid} has something left to do"), limit });
        }
        if waiting.is_long() {
            waiting.show("finishes what it began");
        }
        sleep(POLL).await;
    }
}

//! The command-line client: each command is one or a few calls of the admin API, shown as text or as JSON.

pub(crate) mod args;
mod assets;
mod bearer;
mod canary;
mod change;
pub(crate) mod client;
mod error;
mod follow;
mod hold;
mod hooks;
mod judged;
mod migrate;
pub(crate) mod permit;
mod preview;
pub(crate) mod share;
mod show;
mod sse;
mod suspend;
pub(crate) mod table;
mod target;
mod upgrade;
pub(crate) mod view;
mod wait;

use std::io::{self, Write};

use http::Method;
use serde_json::{Value, json};

pub(crate) use args::Command;
use client::{CALL_TIMEOUT, Client, encode, path};
pub(crate) use error::{Error, Exit, Problem, Reason};

/// What a command has to say at its end.
#[derive(Debug)]
pub(crate) struct Output {
    /// For `--json`.
    pub(crate) document: Value,
    /// For people.
    pub(crate) text: String,
    /// How it ended.
    pub(crate) exit: Exit,
}

impl Output {
    /// What a command says that did what it was to do.
    pub(crate) fn new(document: Value, text: impl Into<String>) -> Self {
        Self { document, text: text.into(), exit: Exit::Done }
    }
}

/// Carries out a command, prints what it has to say, and tells how it ended.
pub(crate) async fn run(command: Command, json: bool) -> Exit {
    finish(carry_out(command, json).await, json)
}

/// Prints what a command has to say at its end, and tells how it ended.
pub(crate) fn finish(ended: Result<Option<Output>, Error>, json: bool) -> Exit {
    let (written, exit) = match ended {
        Ok(None) => return Exit::Done,
        Ok(Some(output)) if json => {
            (write(io::stdout().lock(), &format!("{:#}\n", output.document)), output.exit)
        }
        Ok(Some(output)) => (write(io::stdout().lock(), &output.text), output.exit),
        // Whoever reads the output has enough: that is how `cutover events | head` ends.
        Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::BrokenPipe => return Exit::Done,
        Err(error) if json => (write(io::stdout().lock(), &format!("{:#}\n", error.to_json())), error.exit()),
        Err(error) => (write(io::stderr().lock(), &format!("{}\n", in_words(&error))), error.exit()),
    };
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Exit::Failed,
        _ => exit,
    }
}

fn write(mut out: impl Write, text: &str) -> io::Result<()> {
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// The error with its causes.
fn in_words(error: &Error) -> String {
    let mut text = format!("error: {error}");
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

async fn carry_out(command: Command, json: bool) -> Result<Option<Output>, Error> {
    let output = match command {
        Command::Status { ready: true, remote } => {
            Client::new(&remote).call(Method::HEAD, "/readyz", None, CALL_TIMEOUT).await?;
            Output::new(json!({ "ready": true }), "ready\n")
        }
        Command::Status { ready: false, remote } => {
            let client = Client::new(&remote);
            let (mut document, status) = client.read(&path(&["status"])).await?;
            let (_, list): (_, view::Services) = client.read(&path(&["services"])).await?;
            document["rolls"] = show::rolls_document(&list.services);
            Output::new(document, show::status(&status) + &show::notes(&list.services))
        }
        Command::Services(args) => services(args).await?,
        Command::Backends { service, remote } => {
            let client = Client::new(&remote);
            let (document, view) =
                client.read::<view::Backends>(&path(&["services", &service, "backends"])).await?;
            Output::new(document, show::backends(&view.backends, jiff::Timestamp::now()))
        }
        Command::Versions { service, version, remote } => {
            versions(&Client::new(&remote), &service, version.as_deref()).await?
        }
        Command::Timeline { service, limit, before, remote } => {
            let before = before.map(|id| format!("&before={}", encode(&id))).unwrap_or_default();
            let path = path(&["services", &service, "timeline"]) + &format!("?limit={limit}{before}");
            let (document, view) = Client::new(&remote).read::<view::Timeline>(&path).await?;
            Output::new(document, show::timeline(&view.entries, view.next))
        }
        Command::Wait { version, role, limit, .. } => {
            let (client, service, label) = (Client::new(&version.remote), &version.service, &version.version);
            // Without a role it is told to evict.
            let (document, role) = match role.map(args::Role::as_str) {
                Some(role) => (wait::for_role(&client, service, label, role, limit.timeout).await?, role),
                None => (wait::or_evict(&client, service, label, limit.timeout).await?, "drained"),
            };
            Output::new(document, format!("{service}: {label} is {role}\n"))
        }
        Command::Freeze(args) => suspend::freeze(args).await?,
        Command::Watch { service, remote } => {
            follow::watch(&Client::new(&remote), service.as_deref(), json).await?;
            return Ok(None);
        }
        Command::Events { service, after, remote } => {
            follow::events(&Client::new(&remote), service.as_deref(), after, json).await?;
            return Ok(None);
        }
        change => change::carry_out(change).await?,
    };
    Ok(Some(output))
}

async fn services(args: args::Services) -> Result<Output, Error> {
    match (args.change, args.service) {
        (Some(change), _) => change::service(change).await,
        (None, None) => {
            let (document, view) =
                Client::new(&args.remote).read::<view::Services>(&path(&["services"])).await?;
            Ok(Output::new(document, show::services(&view.services) + &show::notes(&view.services)))
        }
        (None, Some(service)) => {
            let (document, view) =
                Client::new(&args.remote).read::<view::Service>(&path(&["services", &service])).await?;
            let policy = toml::to_string(&document["policy"]).unwrap_or_default();
            let hooks = hooks::hooks(&view);
            let services = [view];
            let text = format!("{}{}{hooks}\n{policy}", show::services(&services), show::notes(&services));
            Ok(Output::new(document, text))
        }
    }
}

async fn versions(client: &Client, service: &str, only: Option<&str>) -> Result<Output, Error> {
    let (document, versions) = match only {
        Some(version) => {
            let (document, view) = client.read(&path(&["services", service, "versions", version])).await?;
            (document, vec![view])
        }
        None => {
            let (document, list) =
                client.read::<view::Versions>(&path(&["services", service, "versions"])).await?;
            (document, list.versions)
        }
    };
    // A version does not tell its share, its service does.
    let canary = match versions.iter().any(|version| version.role == "canary") {
        true => client.read::<view::Service>(&path(&["services", service])).await?.1.canary,
        false => None,
    };
    Ok(Output::new(document, show::versions(&versions, canary.as_ref(), jiff::Timestamp::now())))
}

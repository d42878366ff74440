//! Commands that change something.

use std::io::Read;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use cutover_core::time::Millis;
use http::Method;
use serde_json::{Map, Value, json};

use super::args::{
    BackendArgs, Command, Flip, Patch, Permit, Register, Rollback, ServiceChange, VersionArgs,
};
use super::client::{CALL_TIMEOUT, Client, path};
use super::error::{Error, Exit};
use super::permit::{self, Asked};
use super::{Output, canary, hold, migrate, preview, show, suspend, view, wait};
use crate::job::waiting::Waiting;
use crate::signals::{Signal, Signals};

/// The largest document of a service that is read from a file.
const DOCUMENT_BYTES_MAX: u64 = 1 << 20;

/// Carries out a command that changes something.
pub(super) async fn carry_out(command: Command) -> Result<Output, Error> {
    match command {
        Command::Register(args) => register(args).await,
        Command::Deregister { backend, drain } => deregister(&backend, drain).await,
        Command::Heartbeat { backend, version, boot_id } => heartbeat(&backend, version, boot_id).await,
        Command::Flip(args) => flip(args).await,
        Command::Rollback(args) => rollback(args).await,
        Command::Canary(args) => canary::carry_out(args).await,
        Command::Drain(args) => patch(args, "drain").await,
        Command::Ready(args) => patch(args, "ready").await,
        Command::Maint(args) => patch(args, "maint").await,
        Command::Permit(args) => permit(args).await,
        Command::Gate { version, gate, close, ahead, note } => {
            set_gate(&version, &gate, (!close, ahead), note).await
        }
        Command::Contract(args) => migrate::contract(args).await,
        Command::Schema(args) => migrate::schema(args).await,
        Command::Assets(args) => super::assets::assets(args).await,
        Command::Upgrade(args) => super::upgrade::upgrade(args).await,
        Command::Hold(args) => hold::carry_out(args).await,
        Command::Evict(version) => on_version(&version, "evict", None, "its drain ends now").await,
        Command::Reject { version, reason } => on_version(&version, "reject", reason, "is rejected").await,
        Command::Clear(version) => on_version(&version, "clear", None, "may be chosen again").await,
        Command::Preview(args) => preview::make(args).await,
        Command::Maintenance { service, switch, reason, end, remote } => {
            suspend::maintenance(&Client::new(&remote), &service, (reason, end), switch).await
        }
        Command::Status { .. }
        | Command::Watch { .. }
        | Command::Services(_)
        | Command::Backends { .. }
        | Command::Versions { .. }
        | Command::Wait { .. }
        | Command::Freeze(_)
        | Command::Timeline { .. }
        | Command::Events { .. } => Err(Error::Usage("this command changes nothing".to_owned())),
    }
}

/// Creates, replaces or removes a service.
pub(super) async fn service(change: ServiceChange) -> Result<Output, Error> {
    match change {
        ServiceChange::Put { service, file, remote } => {
            let document = read_document(&file)?;
            let path = path(&["services", &service]);
            let answer = Client::new(&remote).call(Method::PUT, &path, Some(&document), CALL_TIMEOUT).await?;
            let done = if answer.status == http::StatusCode::CREATED { "created" } else { "replaced" };
            Ok(Output::new(answer.body, format!("{service}: {done}\n")))
        }
        ServiceChange::Delete { service, remote } => {
            let path = path(&["services", &service]);
            let answer = Client::new(&remote).call(Method::DELETE, &path, None, CALL_TIMEOUT).await?;
            Ok(Output::new(answer.body, format!("{service}: removed\n")))
        }
    }
}

fn read_document(file: &Path) -> Result<Value, Error> {
    let io = |source| Error::Io { what: format!("read {}", file.display()), source };
    let mut text = String::new();
    let is_stdin = file == Path::new("-");
    if is_stdin {
        std::io::stdin().take(DOCUMENT_BYTES_MAX).read_to_string(&mut text).map_err(io)?;
    } else {
        std::fs::File::open(file)
            .map_err(io)?
            .take(DOCUMENT_BYTES_MAX)
            .read_to_string(&mut text)
            .map_err(io)?;
    }
    let wrong = |error: String| Error::Usage(format!("{}: {error}", file.display()));
    if is_stdin || file.extension().is_some_and(|extension| extension == "json") {
        serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))
    } else {
        toml::from_str(&text).map_err(|error| wrong(error.to_string()))
    }
}

async fn register(args: Register) -> Result<Output, Error> {
    let BackendArgs { service, backend, remote } = &args.backend;
    let mut body = object([
        ("address", Some(json!(args.address))),
        ("ttl", Some(json!(text(args.ttl)))),
        ("version", args.version.map(Value::from)),
        ("weight", args.weight.map(Value::from)),
        ("boot_id", args.boot_id.map(Value::from)),
        ("zone", args.zone.map(Value::from)),
        ("schema_min", args.schemas.schema_min.map(Value::from)),
        ("schema_max", args.schemas.schema_max.map(Value::from)),
    ]);
    if !args.metadata.is_empty() {
        body["metadata"] = args.metadata.into_iter().map(|(key, value)| (key, Value::from(value))).collect();
    }
    let client = Client::new(remote);
    let path = path(&["services", service, "backends", backend]);
    let answer = client.call(Method::PUT, &path, Some(&body), CALL_TIMEOUT).await?.body;
    let view: view::Registered = client.view(&answer)?;
    Ok(Output::new(answer, show::registered(service, backend, &view)))
}

async fn deregister(args: &BackendArgs, drain: Duration) -> Result<Output, Error> {
    let BackendArgs { service, backend, remote } = args;
    let path = path(&["services", service, "backends", backend]) + &format!("?drain={}", text(drain));
    let client = Client::new(remote);
    let leaving = client.call(Method::DELETE, &path, None, drain + CALL_TIMEOUT);
    let mut waiting = Waiting::begin(format!("{service}/{backend}"));
    let answer = waiting.during(&format!("drains, for {} at most", text(drain)), leaving).await?;
    Ok(Output::new(answer.body, format!("{service}/{backend}: gone\n")))
}

async fn heartbeat(
    args: &BackendArgs,
    version: Option<String>,
    boot_id: Option<String>,
) -> Result<Output, Error> {
    let BackendArgs { service, backend, remote } = args;
    let client = Client::new(remote);
    let body = object([("version", version.map(Value::from)), ("boot_id", boot_id.map(Value::from))]);
    let path = path(&["services", service, "backends", backend, "heartbeat"]);
    let answer = client.call(Method::POST, &path, Some(&body), CALL_TIMEOUT).await?.body;
    let view: view::Registered = client.view(&answer)?;
    Ok(Output::new(answer, show::registered(service, backend, &view)))
}

async fn flip(args: Flip) -> Result<Output, Error> {
    let (client, service) = (Client::new(&args.remote), &args.service);
    let body = object([
        ("to", Some(json!(args.version))),
        ("if_epoch", args.if_epoch.map(Value::from)),
        ("reason", args.reason.map(Value::from)),
        ("force", args.force.then_some(json!(true))),
        ("dry_run", args.dry_run.then_some(json!(true))),
    ]);
    let path = path(&["services", service, "flip"]);
    let flipping = client.call(Method::POST, &path, Some(&body), CALL_TIMEOUT + args.limit.timeout);
    // Nothing else takes long.
    let answer =
        Waiting::begin(format!("{service}:")).during("asks the pre_flip hooks", flipping).await?.body;
    if args.dry_run {
        let view: view::DryRun = client.view(&answer)?;
        let exit = if view.allowed { Exit::Done } else { Exit::Failed };
        return Ok(Output { text: show::dry_run(service, &view), document: answer, exit });
    }
    let view: view::Flipped = client.view(&answer)?;
    let mut said = show::flipped(service, &view);
    // A flip to what is active already leaves nothing to wait for.
    if let Some(old) = view.from.filter(|old| *old != view.to && (args.wait || args.evict)) {
        let limit = if args.wait { args.limit.timeout } else { Duration::ZERO };
        match args.evict {
            true => wait::or_evict(&client, service, &old, limit).await?,
            false => wait::for_role(&client, service, &old, "drained", limit).await?,
        };
        said.push_str(&format!("{service}: {old} is drained\n"));
    }
    Ok(Output::new(answer, said))
}

async fn rollback(args: Rollback) -> Result<Output, Error> {
    let (client, service) = (Client::new(&args.remote), &args.service);
    // What is meant is the version that is active now. Two rollbacks at the same time, or one sent again, then go back once.
    let if_epoch = match args.if_epoch {
        Some(epoch) => epoch,
        None => client.read::<view::Service>(&path(&["services", service])).await?.1.epoch,
    };
    let body = object([
        ("if_epoch", Some(json!(if_epoch))),
        ("reason", args.reason.map(Value::from)),
        ("sessions", args.sessions.map(|sessions| json!(sessions.as_str()))),
    ]);
    let path = path(&["services", service, "rollback"]);
    let answer = client.call(Method::POST, &path, Some(&body), CALL_TIMEOUT).await?.body;
    let view: view::Flipped = client.view(&answer)?;
    Ok(Output::new(answer, show::flipped(service, &view)))
}

async fn patch(args: Patch, admin: &str) -> Result<Output, Error> {
    let BackendArgs { service, backend, remote } = &args.backend;
    let client = Client::new(remote);
    let body = object([
        ("admin", Some(json!(admin))),
        ("force", args.force.then_some(json!(true))),
        ("reason", args.reason.map(Value::from)),
    ]);
    let path = path(&["services", service, "backends", backend]);
    let answer = client.call(Method::PATCH, &path, Some(&body), CALL_TIMEOUT).await?.body;
    let mut said = format!("{service}/{backend}: {admin}\n");
    if args.wait {
        let limit = args.limit.timeout;
        if admin == "ready" {
            wait::for_backend(&client, service, backend, limit, "is not usable", |found| found.usable)
                .await?;
            said.push_str(&format!("{service}/{backend}: usable\n"));
        } else {
            let is_idle = |found: &view::Backend| found.in_flight == 0;
            wait::for_backend(&client, service, backend, limit, "still has requests in flight", is_idle)
                .await?;
            said.push_str(&format!("{service}/{backend}: nothing in flight\n"));
        }
    }
    Ok(Output::new(answer, said))
}

async fn permit(args: Permit) -> Result<Output, Error> {
    let BackendArgs { service, backend, remote } = &args.backend;
    let client = Client::new(remote);
    if args.give_back {
        let document = permit::give_back(&client, service, backend).await?;
        return Ok(Output::new(document, format!("{service}/{backend}: the permit is given back\n")));
    }
    let (granted, document) = if args.wait {
        permit_in_time(&client, service, backend, args.timeout).await?
    } else {
        match permit::ask(&client, service, backend, Duration::ZERO).await? {
            Asked::Granted(granted, document) => (granted, document),
            Asked::NotYet(not_yet, document) => {
                return Err(Error::Refused(permit::refusal(service, backend, &not_yet, document)));
            }
        }
    };
    Ok(Output::new(document, show::granted(service, backend, &granted)))
}

/// Waits for a permit and says on standard error what for. Whoever is interrupted restarts nothing, and so wants no permit.
async fn permit_in_time(
    client: &Client,
    service: &str,
    backend: &str,
    limit: Duration,
) -> Result<(view::Granted, Value), Error> {
    let mut signals =
        Signals::catch().map_err(|source| Error::Io { what: "catch signals".to_owned(), source })?;
    let mut waiting = Waiting::begin(format!("{service}/{backend}:"));
    let granted = permit::wait_for(client, service, backend, limit, |state, reasons| {
        waiting.show(&permit::in_words(state, reasons));
        ControlFlow::Continue(())
    });
    tokio::select! {
        granted = granted => granted,
        signal = signals.next() => {
            permit::withdraw(client, service, backend).await;
            Err(Error::Interrupted(match signal {
                Signal::Stop(name) => name,
                Signal::Reload => "SIGHUP",
                Signal::Reopen => "SIGUSR1",
                Signal::Upgrade => "SIGUSR2",
            }))
        }
    }
}

/// Opens or closes a gate; `ahead` of its version if that is wanted.
async fn set_gate(
    args: &VersionArgs,
    gate: &str,
    (open, ahead): (bool, bool),
    note: Option<String>,
) -> Result<Output, Error> {
    let VersionArgs { service, version, remote } = args;
    let body = object([
        ("open", Some(json!(open))),
        ("note", note.map(Value::from)),
        ("ahead", ahead.then_some(json!(true))),
    ]);
    let path = path(&["services", service, "versions", version, "gates", gate]);
    let answer = Client::new(remote).call(Method::PUT, &path, Some(&body), CALL_TIMEOUT).await?;
    let state = if open { "open" } else { "closed" };
    Ok(Output::new(answer.body, format!("{service}: gate {gate} is {state} for {version}\n")))
}

async fn on_version(
    args: &VersionArgs,
    verb: &str,
    reason: Option<String>,
    done: &str,
) -> Result<Output, Error> {
    let VersionArgs { service, version, remote } = args;
    let body = object([("reason", reason.map(Value::from))]);
    let path = path(&["services", service, "versions", version, verb]);
    let answer = Client::new(remote).call(Method::POST, &path, Some(&body), CALL_TIMEOUT).await?;
    Ok(Output::new(answer.body, format!("{service}: {version}: {done}\n")))
}

/// The fields that were given: an absent one lets the server choose.
pub(super) fn object<const N: usize>(fields: [(&str, Option<Value>); N]) -> Value {
    let given = fields.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
    Value::Object(given.collect::<Map<_, _>>())
}

/// A duration as the API writes it.
pub(super) fn text(span: Duration) -> String {
    Millis(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)).to_string()
}

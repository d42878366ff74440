//! Commands that go on until they are stopped: `events` and `watch`.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::Value;
use tokio::time::{interval, sleep};

use super::client::{Client, encode, path};
use super::error::Error;
use super::sse::{Event, Parser};
use super::{show, view};

/// Time between two pictures of `watch`.
const WATCH_PERIOD: Duration = Duration::from_secs(1);
/// Time before a lost stream is opened again.
const RECONNECT_PAUSE: Duration = Duration::from_secs(1);
/// Clears the screen and goes to its top left (ECMA-48 CUP and ED).
const CLEAR: &str = "\x1b[H\x1b[2J";

/// Prints every event as a line, without an end. A lost stream is resumed after the last event that was printed.
///
/// # Errors
/// The first connection fails, the server refuses, or nobody reads the output any more.
pub(super) async fn events(
    client: &Client,
    service: Option<&str>,
    after: Option<String>,
    json: bool,
) -> Result<(), Error> {
    let query = service.map(|service| format!("?service={}", encode(service))).unwrap_or_default();
    let path = path(&["events"]) + &query;
    let mut last_id = after;
    let mut stream = client.events(&path, last_id.as_deref()).await?;
    loop {
        let lost = print_events(&mut stream, &mut last_id, json).await?;
        tracing::warn!(cause = %lost, "the stream of events broke, it is opened again");
        stream = loop {
            sleep(RECONNECT_PAUSE).await;
            match client.events(&path, last_id.as_deref()).await {
                Ok(stream) => break stream,
                Err(Error::Unreachable { .. }) => {}
                Err(error) => return Err(error),
            }
        };
    }
}

/// Prints until the stream ends, and says why it did.
async fn print_events(
    stream: &mut Incoming,
    last_id: &mut Option<String>,
    json: bool,
) -> Result<String, Error> {
    let mut parser = Parser::default();
    loop {
        let frame = match stream.frame().await {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => return Ok(error.to_string()),
            None => return Ok("the server ended it".to_owned()),
        };
        let Some(bytes) = frame.data_ref() else { continue };
        let events = match parser.push(bytes) {
            Ok(events) => events,
            Err(error) => return Ok(error.to_string()),
        };
        for event in events {
            print(&line(&event, json))?;
            if event.id.is_some() {
                *last_id = event.id;
            }
        }
    }
}

/// One line for an event; what isn't an entry of a timeline is shown as it came.
fn line(event: &Event, json: bool) -> String {
    let entry = serde_json::from_str::<view::Entry>(&event.data);
    match entry {
        Ok(entry) if !json => show::entry(&entry) + "\n",
        _ => event.data.replace('\n', " ") + "\n",
    }
}

/// Shows services, versions and backends once a second, without an end. In a terminal each picture replaces the last.
///
/// # Errors
/// The first look fails, or nobody reads the output any more.
pub(super) async fn watch(client: &Client, service: Option<&str>, json: bool) -> Result<(), Error> {
    let is_terminal = io::stdout().is_terminal() && !json;
    let mut ticks = interval(WATCH_PERIOD);
    let mut seen_once = false;
    loop {
        ticks.tick().await;
        let picture = match look(client, service).await {
            Ok((document, _)) if json => document.to_string() + "\n",
            Ok((_, text)) => text,
            Err(error @ Error::Unreachable { .. }) if seen_once => format!("{error}\n"),
            Err(error) => return Err(error),
        };
        seen_once = true;
        let clear = if is_terminal { CLEAR } else { "" };
        print(&format!("{clear}{picture}"))?;
    }
}

/// One picture, as a document and as text.
async fn look(client: &Client, only: Option<&str>) -> Result<(Value, String), Error> {
    let (_, list): (_, view::Services) = client.read(&path(&["services"])).await?;
    let mut services = list.services;
    if let Some(only) = only {
        // Reading the one makes an unknown name an error, as everywhere.
        services = vec![client.read::<view::Service>(&path(&["services", only])).await?.1];
    }
    let now = jiff::Timestamp::now();
    let mut text = format!("{}  {}\n\n", client.target(), now.strftime("%H:%M:%S UTC"));
    text.push_str(&show::services(&services));
    text.push_str(&show::notes(&services));
    let mut documents = Vec::with_capacity(services.len());
    for service in &services {
        let name = service.name.as_str();
        let (versions_json, versions): (_, view::Versions) =
            client.read(&path(&["services", name, "versions"])).await?;
        let (backends_json, backends): (_, view::Backends) =
            client.read(&path(&["services", name, "backends"])).await?;
        text.push_str(&format!("\n{name}\n"));
        text.push_str(&show::versions(&versions.versions, service.canary.as_ref(), now));
        text.push_str(&show::backends(&backends.backends, now));
        documents.push(serde_json::json!({
            "service": name,
            "versions": versions_json["versions"],
            "backends": backends_json["backends"],
        }));
    }
    Ok((serde_json::json!({ "at": now.to_string(), "services": documents }), text))
}

fn print(text: &str) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(|source| Error::Io { what: "write the output".to_owned(), source })
}

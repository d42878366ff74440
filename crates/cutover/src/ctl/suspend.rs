//! Commands that suspend something of a service for a while, resume it, and show what is suspended.

use http::Method;
use serde_json::{Map, Value, json};

use super::args::{End, Freeze, Switch};
use super::change::{object, text};
use super::client::{CALL_TIMEOUT, Client, path};
use super::error::Error;
use super::table::{or_dash, table, time};
use super::{Output, view};

/// Forbids flips, allows them again, or shows what forbids them.
pub(super) async fn freeze(args: Freeze) -> Result<Output, Error> {
    let Freeze { service, reason, owner, end, off, remote } = args;
    let client = Client::new(&remote);
    let changes = off || reason.is_some();
    let service = match (service, changes) {
        (Some(service), true) => service,
        (_, false) if end != End::default() => {
            return Err(Error::Usage("a freeze has a reason: say it with --reason".to_owned()));
        }
        (service, false) => return list(&client, service.as_deref()).await,
        (None, true) => return Err(Error::Usage("which service?".to_owned())),
    };
    let path = path(&["services", &service, "freeze"]);
    if off {
        return resume(&client, &service, &path, "flips are allowed again").await;
    }
    let body = said(reason, owner, &end);
    suspend(&client, &service, &path, &body, "flips are forbidden").await
}

/// Turns clients away, or lets them in again.
pub(super) async fn maintenance(
    client: &Client,
    service: &str,
    (reason, end): (Option<String>, End),
    switch: Switch,
) -> Result<Output, Error> {
    let path = path(&["services", service, "maintenance"]);
    match switch {
        Switch::On => {
            suspend(client, service, &path, &said(reason, None, &end), "clients are turned away").await
        }
        Switch::Off if reason.is_some() || end != End::default() => {
            Err(Error::Usage("`off` takes no --reason and no end".to_owned()))
        }
        Switch::Off => {
            resume(client, service, &path, "clients are let in, unless the policy turns them away").await
        }
    }
}

fn said(reason: Option<String>, owner: Option<String>, end: &End) -> Value {
    object([
        ("reason", reason.map(Value::from)),
        ("owner", owner.map(Value::from)),
        ("until", end.until.map(|until| Value::from(until.to_string()))),
        ("for", end.lasting.map(|lasting| Value::from(text(lasting)))),
    ])
}

async fn suspend(
    client: &Client,
    service: &str,
    path: &str,
    body: &Value,
    done: &str,
) -> Result<Output, Error> {
    let answer = client.call(Method::PUT, path, Some(body), CALL_TIMEOUT).await?.body;
    let view: view::Suspension = client.view(&answer)?;
    let until = view.until.map(|until| format!(" until {until}")).unwrap_or_default();
    Ok(Output::new(answer, format!("{service}: {done}{until}\n")))
}

async fn resume(client: &Client, service: &str, path: &str, done: &str) -> Result<Output, Error> {
    let answer = client.call(Method::DELETE, path, None, CALL_TIMEOUT).await?;
    Ok(Output::new(answer.body, format!("{service}: {done}\n")))
}

/// What is frozen: by whom, why and until when.
async fn list(client: &Client, only: Option<&str>) -> Result<Output, Error> {
    let services = match only {
        Some(service) => vec![client.read::<view::Service>(&path(&["services", service])).await?.1],
        None => client.read::<view::Services>(&path(&["services"])).await?.1.services,
    };
    let frozen: Vec<_> =
        services.into_iter().filter_map(|service| Some((service.name, service.freeze?))).collect();
    let shown = |(service, freeze): &(String, view::Suspension)| {
        let view::Suspension { reason, by, until } = freeze;
        (service.clone(), json!({ "reason": reason, "by": by, "until": until }))
    };
    let document = Value::Object(frozen.iter().map(shown).collect::<Map<_, _>>());
    if frozen.is_empty() {
        return Ok(Output::new(document, "nothing is frozen\n"));
    }
    let rows = frozen.iter().map(|(service, freeze)| {
        let until = freeze.until.as_deref().map_or_else(|| "somebody lifts it".to_owned(), time);
        vec![service.clone(), or_dash(Some(&freeze.by)), freeze.reason.clone(), until]
    });
    Ok(Output::new(document, table(&["SERVICE", "OWNER", "REASON", "UNTIL"], rows)))
}

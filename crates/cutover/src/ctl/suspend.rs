//! Commands that suspend something of a service for a while, and resume it.

use http::Method;
use serde_json::Value;

use super::Output;
use super::args::Switch;
use super::change::object;
use super::client::{CALL_TIMEOUT, Client, path};
use super::error::Error;

/// Why, and until when.
type Said = (Option<String>, Option<jiff::Timestamp>);

/// Forbids flips, or allows them again.
pub(super) async fn freeze(client: &Client, service: &str, said: Said, off: bool) -> Result<Output, Error> {
    let path = path(&["services", service, "freeze"]);
    match off {
        false => suspend(client, service, &path, said, "flips are forbidden").await,
        true => resume(client, service, &path, "flips are allowed again").await,
    }
}

/// Turns clients away, or lets them in again.
pub(super) async fn maintenance(
    client: &Client,
    service: &str,
    said: Said,
    switch: Switch,
) -> Result<Output, Error> {
    let path = path(&["services", service, "maintenance"]);
    match switch {
        Switch::On => suspend(client, service, &path, said, "clients are turned away").await,
        Switch::Off if said != (None, None) => {
            Err(Error::Usage("`off` takes neither --reason nor --until".to_owned()))
        }
        Switch::Off => {
            resume(client, service, &path, "clients are let in, unless the policy turns them away").await
        }
    }
}

async fn suspend(
    client: &Client,
    service: &str,
    path: &str,
    (reason, until): Said,
    done: &str,
) -> Result<Output, Error> {
    let until_text = until.map(|until| format!(" until {until}")).unwrap_or_default();
    let body = object([
        ("reason", reason.map(Value::from)),
        ("until", until.map(|until| Value::from(until.to_string()))),
    ]);
    let answer = client.call(Method::PUT, path, Some(&body), CALL_TIMEOUT).await?;
    Ok(Output::new(answer.body, format!("{service}: {done}{until_text}\n")))
}

async fn resume(client: &Client, service: &str, path: &str, done: &str) -> Result<Output, Error> {
    let answer = client.call(Method::DELETE, path, None, CALL_TIMEOUT).await?;
    Ok(Output::new(answer.body, format!("{service}: {done}\n")))
}

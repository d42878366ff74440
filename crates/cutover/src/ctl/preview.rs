//! Makes previews, and opens them.

use std::process::{Command, Stdio};

use http::Method;
use http::uri::PathAndQuery;
use serde_json::{Value, json};

use super::Output;
use super::args::Preview;
use super::change::{object, text};
use super::client::{CALL_TIMEOUT, Client, path};
use super::error::Error;
use super::view;

/// What opens a link on this system.
const OPENER: &str = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };

/// Makes a preview of a version, shows it, and opens it if that is wanted.
pub(super) async fn make(args: Preview) -> Result<Output, Error> {
    let Preview { version, ttl, path: leads_to, origin, reason, open } = args;
    let client = Client::new(&version.remote);
    let body = object([
        ("version", Some(json!(version.version))),
        ("ttl", ttl.map(|ttl| json!(text(ttl)))),
        ("origin", origin.map(Value::from)),
        ("reason", reason.map(Value::from)),
    ]);
    let path = path(&["services", &version.service, "preview"]);
    let mut answer = client.call(Method::POST, &path, Some(&body), CALL_TIMEOUT).await?.body;
    let view: view::Preview = client.view(&answer)?;
    let url = match (&view.url, leads_to) {
        (Some(url), Some(leads_to)) => Some(elsewhere(url, &leads_to)?),
        (url, _) => url.clone(),
    };
    answer["url"] = json!(url);
    if open {
        let url = url.as_deref().ok_or_else(|| Error::Usage(NOWHERE.to_owned()))?;
        open_url(url)?;
    }
    Ok(Output::new(answer, said(&version.service, &version.version, url.as_deref(), &view)))
}

/// What is said when there is no link.
const NOWHERE: &str =
    "all hosts of the service are patterns; say with --origin under which one it is reached";

fn said(service: &str, version: &str, url: Option<&str>, view: &view::Preview) -> String {
    let view::Preview { header, expires_at, .. } = view;
    let link = url.map_or_else(|| format!("({NOWHERE})"), str::to_owned);
    format!("{service}: {version} can be tried out until {expires_at}\n  {link}\n  {header}\n")
}

/// The link with another path, which may have a query.
fn elsewhere(url: &str, to: &str) -> Result<String, Error> {
    let wrong = || Error::Usage(format!("{to:?} is no path; write one such as /cart?step=2"));
    to.parse::<PathAndQuery>().ok().filter(|_| to.starts_with('/')).ok_or_else(wrong)?;
    let (front, token) = url.split_once('?').unwrap_or((url, ""));
    // Behind the two slashes of the scheme, the first one begins the path.
    let authority_at = front.find("://").map_or(0, |at| at + 3);
    let end = front[authority_at..].find('/').map_or(front.len(), |at| authority_at + at);
    let before = if to.contains('?') { '&' } else { '?' };
    Ok(format!("{}{to}{before}{token}", &front[..end]))
}

/// Lets the system's browser open the link, and does not wait for it.
fn open_url(url: &str) -> Result<(), Error> {
    let opener = Command::new(OPENER)
        .arg(url)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    opener.map(drop).map_err(|source| Error::Io { what: format!("start {OPENER}"), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_to_the_path_that_is_wanted() {
        let url = "https://example.com:8443/shop?cutover-preview=t";
        assert_eq!(elsewhere(url, "/cart").unwrap(), "https://example.com:8443/cart?cutover-preview=t");
        assert_eq!(elsewhere(url, "/a?b=c").unwrap(), "https://example.com:8443/a?b=c&cutover-preview=t");
        for wrong in ["cart", "", "/a b", "https://evil.example/", "*"] {
            assert!(elsewhere(url, wrong).is_err(), "{wrong:?}");
        }
    }
}

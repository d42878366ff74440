//! Previews: leave to try a version out, as a link for people and a header field for tests.

use std::net::SocketAddr;

use axum::extract::State;
use cutover_core::command::{Change, Preview as Request};
use cutover_core::id::{ServiceName, VersionLabel};
use cutover_core::pin::{PinKey, version_hash};
use cutover_core::policy::Policy;
use cutover_core::preview::{self, Preview, TTL_MAX, TTL_MIN};
use cutover_core::route::{HostPattern, PathPrefix};
use cutover_core::time::Millis;
use http::{StatusCode, Uri};

use super::answer::Answer;
use super::api::Api;
use super::body::{Json, make_sense};
use super::call::Call;
use super::problem::Problem;
use super::text;
use super::wire::previews::{PreviewBody, PreviewMade};
use super::wire::time;
use crate::document::Check;
use crate::handle::Done;
use crate::reply::Reply;

/// How long a preview lasts when nobody says: for a look, or a run of tests.
const TTL: Millis = Millis::from_secs(3600);

/// Seals a preview for a service by the newest of the keys; `None` when there is none.
pub type Seal = fn(&[PinKey], &Preview, &ServiceName) -> Option<String>;

/// How previews are made, and where they lead.
#[derive(Debug, Clone)]
pub struct Previews {
    /// Makes the text of one.
    pub seal: Seal,
    /// Where clients are served.
    pub fronts: Vec<Front>,
}

/// An address on which clients are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Front {
    /// The address, with its real port.
    pub address: SocketAddr,
    /// Whether over TLS.
    pub is_secure: bool,
}

impl Default for Previews {
    /// Without a front and without means to seal: every call is answered with 503.
    fn default() -> Self {
        Self { seal: |_, _, _| None, fronts: Vec::new() }
    }
}

/// Makes a preview: who has it is served by that version, whatever part it plays, until the preview ends. It can't be taken back.
#[utoipa::path(post, path = "/v1/services/{service}/preview", tag = "versions", operation_id = "make_preview",
    params(
        ("service" = String, Path, description = "The service.", example = "web"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key is answered the same again, for 24 h."),
    ),
    request_body = PreviewBody,
    responses((status = 200, description = "The preview, in the forms in which it is used.", body = PreviewMade)))]
pub(super) async fn make(
    State(api): State<Api>,
    call: Call<ServiceName, (), Json<PreviewBody>>,
) -> Result<Reply, Problem> {
    let body = &call.body.0;
    let by = call.actor.name.clone();
    let (request, origin, reason) = make_sense(|check| {
        let version: Option<VersionLabel> = check.parse("version", &body.version);
        let ttl = body.ttl.as_deref().map_or(TTL, |text| ttl(check, text));
        let origin = body.origin.as_deref().map(|text| origin(check, text));
        let reason = text::read(check, "reason", body.reason.as_deref());
        Some((Request { version: version?, ttl, by }, origin.flatten(), reason))
    })?;
    let now = api.now();
    let preview = Preview {
        version: version_hash(&request.version),
        expires_at: preview::expires_at(request.ttl, now),
    };
    let (means, service) = (api.clone(), call.at.clone());
    let answer = move |done: &Done| {
        let Previews { seal, fronts } = means.previews();
        let token = seal(&done.state.pin_keys, &preview, &service).ok_or_else(unsealed)?;
        let policy = &done.state.service(&service)?.policy;
        let origin = origin.clone().or_else(|| found_origin(policy, fronts));
        let is_secure = match &origin {
            Some(origin) => origin.is_secure,
            None => fronts.iter().any(|front| front.is_secure),
        };
        let url = origin.map(|origin| link(&origin, &policy.paths, &token));
        let expires_at = preview.expires_at;
        Ok(Answer::ok(
            done.revision,
            PreviewMade {
                url,
                cookie: cookie(&token, is_secure, expires_at.since(now)),
                header: format!("Cutover-Preview: {token}"),
                expires_at: time::write(expires_at),
            },
        ))
    };
    call.carry_out(&api, call.change(&call.at, Change::Preview(request), reason), answer).await
}

fn unsealed() -> Problem {
    let detail = "there is no key to sign previews with";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "no_key", detail).retriable()
}

/// How long a preview shall last.
fn ttl(check: &mut Check<'_>, text: &str) -> Millis {
    let ttl = check.duration("ttl", text);
    if !(TTL_MIN..=TTL_MAX).contains(&ttl) && check.are_clean(&["ttl"]) {
        check.wrong("ttl", format_args!("is \"{ttl}\"; must be from \"{TTL_MIN}\" to \"7d\""));
    }
    ttl
}

/// Under which scheme and authority people reach a service.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Origin {
    is_secure: bool,
    authority: String,
}

fn origin(check: &mut Check<'_>, text: &str) -> Option<Origin> {
    let uri = text.parse::<Uri>().ok();
    let origin = uri.as_ref().and_then(|uri| {
        let is_secure = match uri.scheme_str()? {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let authority = uri.authority().map(ToString::to_string)?;
        let is_bare = matches!(uri.path(), "" | "/") && uri.query().is_none() && !authority.contains('@');
        is_bare.then_some(Origin { is_secure, authority })
    });
    if origin.is_none() {
        check.wrong("origin", format_args!("{text:?} is no origin; write one such as https://example.com"));
    }
    origin
}

/// The origin that follows from the configuration: the first host that is no pattern, over TLS where there is any. `None` when there are
/// only patterns: which of their hosts has an address is not known.
fn found_origin(policy: &Policy, fronts: &[Front]) -> Option<Origin> {
    let front = fronts.iter().find(|front| front.is_secure).or(fronts.first())?;
    let address = front.address;
    let exact = policy.hosts.iter().find_map(|host| match host {
        HostPattern::Exact(host) => Some(host.clone()),
        HostPattern::Under(_) => None,
    });
    let host = match exact {
        Some(host) => host,
        None if !policy.hosts.is_empty() => return None,
        // It listens on every address of the machine, of which this one is the only one that has the same name everywhere.
        None if address.ip().is_unspecified() => "localhost".to_owned(),
        None if address.is_ipv6() => format!("[{}]", address.ip()),
        None => address.ip().to_string(),
    };
    let default_port = if front.is_secure { 443 } else { 80 };
    let port = Some(address.port()).filter(|&port| port != default_port);
    let authority = port.map_or_else(|| host.clone(), |port| format!("{host}:{port}"));
    Some(Origin { is_secure: front.is_secure, authority })
}

fn link(Origin { is_secure, authority }: &Origin, paths: &[PathPrefix], token: &str) -> String {
    let scheme = if *is_secure { "https" } else { "http" };
    let path = paths.first().map_or("/", PathPrefix::as_str);
    format!("{scheme}://{authority}{path}?cutover-preview={token}")
}

/// A `Set-Cookie` value, as a link leaves it.
fn cookie(token: &str, is_secure: bool, left: Millis) -> String {
    let (prefix, secure) = if is_secure { ("__Host-", "; Secure") } else { ("", "") };
    let max_age = left.0.div_ceil(1000);
    format!("{prefix}cutover-preview={token}; Path=/; HttpOnly; SameSite=Lax; Max-Age={max_age}{secure}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn front(address: &str, is_secure: bool) -> Front {
        Front { address: address.parse().unwrap(), is_secure }
    }

    fn url(hosts: &[&str], paths: &[&str], fronts: &[Front]) -> Option<String> {
        let hosts = hosts.iter().map(|host| HostPattern::parse(host).unwrap()).collect();
        let paths: Vec<_> = paths.iter().map(|path| PathPrefix::parse(path).unwrap()).collect();
        let policy = Policy { hosts, paths, ..Policy::default() };
        found_origin(&policy, fronts).map(|origin| link(&origin, &policy.paths, "t"))
    }

    #[test]
    fn a_link_leads_to_the_first_host_over_tls_where_there_is_any() {
        let (clear, tls) = (front("0.0.0.0:80", false), front("0.0.0.0:443", true));
        let cases = [
            (url(&["*.a.example", "b.example", "c.example"], &["/"], &[clear, tls]), "https://b.example/"),
            (url(&["b.example"], &["/shop", "/"], &[clear]), "http://b.example/shop"),
            (url(&["b.example"], &["/"], &[front("[::]:8443", true)]), "https://b.example:8443/"),
            (url(&[], &["/"], &[front("0.0.0.0:8080", false)]), "http://localhost:8080/"),
            (url(&[], &["/"], &[front("10.0.0.7:80", false)]), "http://10.0.0.7/"),
            (url(&[], &["/"], &[front("[::1]:8080", false)]), "http://[::1]:8080/"),
        ];
        for (url, expected) in cases {
            assert_eq!(url, Some(format!("{expected}?cutover-preview=t")));
        }
        assert_eq!(url(&["*.a.example"], &["/"], &[clear]), None);
        assert_eq!(url(&[], &["/"], &[]), None);
    }

    #[test]
    fn a_cookie_over_tls_is_the_hosts_own() {
        let cookie = cookie("t", true, Millis(3_599_001));
        let expected = "__Host-cutover-preview=t; Path=/; HttpOnly; SameSite=Lax; Max-Age=3600; Secure";
        assert_eq!(cookie, expected);
    }
}

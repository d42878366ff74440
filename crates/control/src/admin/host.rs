//! Which requests were meant for this listener: no page of another site can make a browser flip.
//!
//! A page on `evil.example` whose name suddenly resolves to 127.0.0.1 still sends its own name in `Host`; a page that posts
//! to us from elsewhere sends its own `Origin`.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::header::{HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, StatusCode, Uri};

use super::api::Api;
use super::peer::{Peer, Secured};
use super::problem::Problem;

/// Lets requests pass that name this listener and don't come from another site.
pub(crate) async fn check(State(api): State<Api>, request: Request, next: Next) -> Result<Response, Problem> {
    let peer = request.extensions().get::<Peer>().copied();
    let authority = authority(request.uri(), request.headers());
    // Over TLS a browser has compared the name with our certificate already.
    let is_secured = request.extensions().get::<Secured>().is_some();
    if !is_secured && !is_ours(authority.as_ref(), peer, api.names()) {
        let name =
            authority.map_or_else(|| "no host".to_owned(), |authority| format!("{:?}", authority.as_str()));
        let detail = format!("this listener does not answer for {name}; add it to its names if it should");
        return Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, "foreign_host", detail));
    }
    for origin in request.headers().get_all(ORIGIN) {
        if !is_same_origin(origin.as_bytes(), authority.as_ref()) {
            let detail = format!("a page of origin {origin:?} may not call this API");
            return Err(Problem::new(StatusCode::FORBIDDEN, "foreign_origin", detail));
        }
    }
    Ok(next.run(request).await)
}

/// Whom the request is for. The target wins over the header (RFC 9112 section 3.2.2); several headers are none.
fn authority(uri: &Uri, headers: &HeaderMap) -> Option<Authority> {
    if let Some(authority) = uri.authority() {
        return Some(authority.clone());
    }
    let mut hosts = headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => Authority::try_from(host.as_bytes()).ok(),
        _ => None,
    }
}

fn is_ours(authority: Option<&Authority>, peer: Option<Peer>, names: &[String]) -> bool {
    let Some(Peer::Tcp { local, .. }) = peer else {
        // Names mean nothing on a unix socket, and no browser reaches one.
        return true;
    };
    let Some(authority) = authority.filter(|authority| !authority.as_str().contains('@')) else {
        return false;
    };
    let host = bare(authority.host());
    let is_address = host.parse().is_ok_and(|ip: std::net::IpAddr| ip.to_canonical() == local.to_canonical());
    is_address
        || host.eq_ignore_ascii_case("localhost")
        || names.iter().any(|name| host.eq_ignore_ascii_case(bare(name)))
}

/// An IPv6 address without its brackets.
fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

/// Whether `origin` is where `authority` is served, over http or through something that adds TLS. `null` is nowhere.
fn is_same_origin(origin: &[u8], authority: Option<&Authority>) -> bool {
    let Ok(origin) = Uri::try_from(origin) else { return false };
    let (Some(scheme), Some(from), Some(to)) = (origin.scheme_str(), origin.authority(), authority) else {
        return false;
    };
    let default = match scheme {
        "http" => 80,
        "https" => 443,
        _ => return false,
    };
    let port = |authority: &Authority| authority.port_u16().unwrap_or(default);
    from.host().eq_ignore_ascii_case(to.host()) && port(from) == port(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_answered(host: &str, local: &str, names: &[&str]) -> bool {
        let peer = Peer::Tcp { remote: "192.0.2.9:5".parse().unwrap(), local: local.parse().unwrap() };
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        is_ours(Authority::try_from(host).ok().as_ref(), Some(peer), &names)
    }

    #[test]
    fn a_listener_answers_for_its_addresses_and_names() {
        for host in ["localhost", "LocalHost:8080", "127.0.0.1:9900", "127.0.0.1"] {
            assert!(is_answered(host, "127.0.0.1", &[]), "{host}");
        }
        assert!(is_answered("[::1]:9900", "::1", &[]));
        assert!(is_answered("10.0.0.1", "::ffff:10.0.0.1", &[]));
        assert!(is_answered("Admin.example:443", "10.0.0.1", &["admin.example"]));
    }

    #[test]
    fn it_does_not_answer_for_others() {
        for host in ["evil.example", "127.0.0.2", "localhost.evil.example", "evil@localhost", "", "[::1]"] {
            assert!(!is_answered(host, "127.0.0.1", &["admin.example"]), "{host}");
        }
    }

    #[test]
    fn only_the_own_origin_may_call() {
        let ours = Authority::from_static("localhost:9900");
        let may = |origin: &str| is_same_origin(origin.as_bytes(), Some(&ours));
        assert!(may("http://localhost:9900") && may("https://LOCALHOST:9900"));
        for foreign in
            ["null", "", "http://localhost:3000", "http://localhost", "ftp://localhost:9900", "http://evil"]
        {
            assert!(!may(foreign), "{foreign}");
        }
        let plain = Authority::from_static("admin.example");
        assert!(is_same_origin(b"https://admin.example", Some(&plain)));
        assert!(!is_same_origin(b"https://admin.example", None));
    }
}

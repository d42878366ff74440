//! A browser of a visitor: keep-alive connections and a cookie jar. It repeats no request by itself.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use http_body_util::Full;
use hyper::{
    HeaderMap, Method, Request,
    body::Bytes,
    header::{COOKIE, HOST, SET_COOKIE},
};

use super::http::{Answer, Connection, Error};

/// Time for one exchange, after which a visitor would have gone.
const PATIENCE: Duration = Duration::from_secs(10);
/// Cookies that the jar holds; a site that sets more is broken.
const COOKIES_MAX: usize = 50;

/// One browser of one visitor.
#[derive(Debug)]
pub(super) struct Browser {
    address: SocketAddr,
    host: &'static str,
    idle: Vec<Connection>,
    jar: BTreeMap<String, String>,
}

impl Browser {
    pub(super) fn new(address: SocketAddr, host: &'static str) -> Self {
        Self { address, host, idle: Vec::new(), jar: BTreeMap::new() }
    }

    /// The value of a cookie in the jar.
    pub(super) fn cookie(&self, name: &str) -> Option<&str> {
        self.jar.get(name).map(String::as_str)
    }

    pub(super) async fn load(&mut self, target: &str) -> Result<Answer, Error> {
        self.send(Method::GET, target, Bytes::new()).await
    }

    pub(super) async fn send(&mut self, method: Method, target: &str, body: Bytes) -> Result<Answer, Error> {
        let request = self.request(method, target, body);
        let (answer, connection) = exchange(self.idle.pop(), self.address, request).await;
        self.keep([connection], &answer);
        answer
    }

    /// Loads two resources at once, each over a connection of its own.
    pub(super) async fn load_both(&mut self, targets: [&str; 2]) -> [Result<Answer, Error>; 2] {
        let requests = targets.map(|target| self.request(Method::GET, target, Bytes::new()));
        let idle = [self.idle.pop(), self.idle.pop()];
        let ([first, second], [first_idle, second_idle]) = (requests, idle);
        let (first, second) = tokio::join!(
            exchange(first_idle, self.address, first),
            exchange(second_idle, self.address, second)
        );
        self.keep([first.1], &first.0);
        self.keep([second.1], &second.0);
        [first.0, second.0]
    }

    fn request(&self, method: Method, target: &str, body: Bytes) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        // A target that is no URI can only come from a page that isn't ours, and then "/" shows it.
        *request.uri_mut() = target.parse().unwrap_or_default();
        let headers = request.headers_mut();
        headers.insert(HOST, hyper::header::HeaderValue::from_static(self.host));
        let pairs: Vec<_> = self.jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if let Ok(cookies) = pairs.join("; ").parse()
            && !pairs.is_empty()
        {
            headers.insert(COOKIE, cookies);
        }
        request
    }

    fn keep(&mut self, connection: [Option<Connection>; 1], answer: &Result<Answer, Error>) {
        self.idle.extend(connection.into_iter().flatten());
        if let Ok(answer) = answer {
            store(&mut self.jar, &answer.headers);
        }
    }
}

/// One exchange on the given connection if the peer still has it open, else on a new one.
async fn exchange(
    connection: Option<Connection>,
    address: SocketAddr,
    request: Request<Full<Bytes>>,
) -> (Result<Answer, Error>, Option<Connection>) {
    let mut connection = match connection.filter(Connection::is_open) {
        Some(connection) => connection,
        None => match Connection::open(address).await {
            Ok(connection) => connection,
            Err(error) => return (Err(error), None),
        },
    };
    match connection.exchange(request, PATIENCE).await {
        Ok(answer) => (Ok(answer), Some(connection)),
        Err(error) => (Err(error), None),
    }
}

/// What `Set-Cookie` says (RFC 6265 section 5.2), as far as one host and one path need it: name, value, `Max-Age`.
fn store(jar: &mut BTreeMap<String, String>, headers: &HeaderMap) {
    for line in headers.get_all(SET_COOKIE).iter().filter_map(|line| line.to_str().ok()) {
        let mut parts = line.split(';').map(str::trim);
        let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else { continue };
        let mut attributes = parts.filter_map(|attribute| attribute.split_once('='));
        let is_gone = attributes.any(|(name, value)| {
            name.eq_ignore_ascii_case("max-age") && value.parse::<i64>().is_ok_and(|seconds| seconds <= 0)
        });
        if is_gone {
            jar.remove(name);
        } else if jar.len() < COOKIES_MAX || jar.contains_key(name) {
            jar.insert(name.to_owned(), value.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_kept_replaced_and_removed() {
        let mut jar = BTreeMap::from([("old".to_owned(), "x".to_owned())]);
        let mut headers = HeaderMap::new();
        for line in ["a=1; Path=/", "a=2; HttpOnly", "b=c=d", "old=; Max-Age=0"] {
            headers.append(SET_COOKIE, line.parse().unwrap());
        }

        store(&mut jar, &headers);

        let expected = [("a", "2"), ("b", "c=d")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(jar, BTreeMap::from(expected));
    }
}

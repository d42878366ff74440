//! Who asks, and whether they may: bearer tokens, client certificates, and roles for each route.

use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{RawPathParams, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use cutover_core::id::ServiceName;
use http::header::AUTHORIZATION;
use http::{HeaderMap, StatusCode};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use super::api::Api;
use super::config::{AdminConfig, Certificate, Grant, Token};
use super::names;
use super::peer::{Peer, Secured};
use super::problem::Problem;
use crate::timeline::Actor;

/// What a route asks of its callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// To look.
    Read,
    /// To register for the service in the path.
    Register,
    /// To change what runs.
    Operate,
    /// To change which services there are.
    Admin,
}

/// The name of whoever needs no token.
const LOCAL: &str = "local";

/// Everybody who may call.
#[derive(Debug)]
pub(crate) struct Callers {
    tokens: Vec<Token>,
    certificates: Vec<Certificate>,
    is_open: bool,
}

/// Whoever sent a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) name: String,
    pub(crate) grant: Grant,
}

impl Callers {
    pub(crate) fn new(config: &AdminConfig) -> Self {
        let (tokens, certificates) = (config.tokens.clone(), config.certificates.clone());
        Self { tokens, certificates, is_open: config.is_open }
    }

    /// Finds out who asks: by its token, else by the subject of its certificate.
    fn identify(&self, headers: &HeaderMap, subject: Option<&str>) -> Result<Caller, Stranger> {
        let unauthorized = |code, detail| Err(Stranger::Other { code, detail });
        let mut presented = headers.get_all(AUTHORIZATION).iter();
        let local = || Caller { name: LOCAL.to_owned(), grant: Grant::Admin };
        match (presented.next(), presented.next()) {
            (None, _) if subject.is_some() && !self.certificates.is_empty() => match self.holder(subject) {
                Some(known) => Ok(Caller { name: known.subject.clone(), grant: known.grant.clone() }),
                None => unauthorized("certificate_unknown", "nobody has a certificate with this subject"),
            },
            (None, _) if self.is_open => Ok(local()),
            // Nothing could be told from a token where there are none: a client that always sends one is let in as well.
            (Some(_), None) if self.is_open && self.tokens.is_empty() => Ok(local()),
            (None, _) if self.certificates.is_empty() => {
                unauthorized("token_missing", "a bearer token is needed")
            }
            (None, _) => unauthorized("token_missing", "a bearer token or a client certificate is needed"),
            (Some(value), None) => match bearer(value.as_bytes()).and_then(|token| self.find(token)) {
                Some(token) => Ok(Caller { name: token.name.clone(), grant: token.grant.clone() }),
                None => Err(Stranger::WrongToken),
            },
            (Some(_), Some(_)) => unauthorized("token_ambiguous", "there are several Authorization headers"),
        }
    }

    fn holder(&self, subject: Option<&str>) -> Option<&Certificate> {
        self.certificates.iter().find(|known| Some(known.subject.as_str()) == subject)
    }

    /// Compares with every token in full, so that the time taken tells nothing about any of them.
    fn find(&self, presented: &[u8]) -> Option<&Token> {
        let presented = Sha256::digest(presented);
        let mut found = None;
        for token in &self.tokens {
            let is_same: Choice = presented.as_slice().ct_eq(&token.sha256);
            if bool::from(is_same) {
                found = Some(token);
            }
        }
        found
    }
}

/// RFC 6750 section 2.1.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii()).filter(|token| !token.is_empty())
}

impl Grant {
    /// Whether the holder may call a route that asks for `role` and names `service`.
    fn allows(&self, role: Role, service: Option<&ServiceName>) -> bool {
        match self {
            Self::Admin => true,
            Self::Operate => role != Role::Admin,
            Self::Register(services) => match role {
                Role::Read => true,
                Role::Register => service.is_some_and(|service| services.contains(service)),
                Role::Operate | Role::Admin => false,
            },
            Self::Read => role == Role::Read,
        }
    }

    /// The word for it.
    pub(crate) const fn as_str(&self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Register(_) => "register",
            Self::Operate => "operate",
            Self::Admin => "admin",
        }
    }
}

impl Role {
    /// The word for it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Register => "register",
            Self::Operate => "operate",
            Self::Admin => "admin",
        }
    }
}

/// A caller of whom nothing is known, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stranger {
    /// Nobody has the token that was presented.
    WrongToken,
    /// There was nothing that could have been guessed.
    Other {
        /// The code of the reason.
        code: &'static str,
        /// What is missing.
        detail: &'static str,
    },
}

/// How a stranger is refused: whoever presents one wrong token after the other has to wait.
async fn refuse(stranger: Stranger, api: &Api, peer: Option<Peer>) -> Problem {
    const WRONG: &str = "nobody has this token";
    match stranger {
        Stranger::Other { code, detail } => Problem::new(StatusCode::UNAUTHORIZED, code, detail),
        Stranger::WrongToken => match api.guesses().note(peer, api.now()).await {
            None => Problem::new(StatusCode::UNAUTHORIZED, "token_unknown", WRONG),
            Some(secs) => {
                let detail =
                    format!("{WRONG}, and too many wrong ones came from this address: wait {secs} s");
                Problem::new(StatusCode::TOO_MANY_REQUESTS, "wrong_tokens", detail).retriable_after(secs)
            }
        },
    }
}

/// Lets a request pass whose caller may call the route, and notes who it is: as an [`Actor`] for the timeline, and as a [`Caller`].
pub(crate) async fn demand(
    State((api, role)): State<(Api, Role)>,
    path: Result<RawPathParams, RawPathParamsRejection>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let secured = request.extensions().get::<Secured>();
    let subject = secured.and_then(|secured| secured.subject.as_deref());
    let peer = request.extensions().get::<Peer>().copied();
    let caller = match api.callers().identify(request.headers(), subject) {
        Ok(caller) => caller,
        Err(stranger) => return Err(refuse(stranger, &api, peer).await),
    };
    let service = names::service(&path.map_err(|rejection| names::malformed(&rejection))?);
    if !caller.grant.allows(role, service.as_ref()) {
        let of_service = match (&caller.grant, &service) {
            (Grant::Register(_), Some(service)) if role == Role::Register => format!(" for {service}"),
            _ => String::new(),
        };
        let detail = format!(
            "role {}{of_service} is needed; {} has role {}",
            role.as_str(),
            caller.name,
            caller.grant.as_str()
        );
        return Err(Problem::new(StatusCode::FORBIDDEN, "role_missing", detail));
    }
    let remote = peer.map(|peer| peer.to_string());
    request.extensions_mut().insert(Actor { name: caller.name.clone(), remote });
    request.extensions_mut().insert(caller);
    Ok(next.run(request).await)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn callers(is_open: bool, tokens: &[&str]) -> Callers {
        let token = |text: &&str| Token {
            name: format!("owner of {text}"),
            sha256: Sha256::digest(text.as_bytes()).into(),
            grant: Grant::Read,
        };
        Callers { tokens: tokens.iter().map(token).collect(), certificates: Vec::new(), is_open }
    }

    const MISSING: Stranger = Stranger::Other { code: "token_missing", detail: "a bearer token is needed" };

    fn identify(callers: &Callers, headers: &[&str]) -> Result<String, Stranger> {
        let mut map = HeaderMap::new();
        for header in headers {
            map.append(AUTHORIZATION, HeaderValue::from_str(header).unwrap());
        }
        callers.identify(&map, None).map(|caller| caller.name)
    }

    #[test]
    fn a_token_tells_who_asks() {
        let callers = callers(false, &["a", "b"]);
        assert_eq!(identify(&callers, &["Bearer b"]), Ok("owner of b".to_owned()));
        assert_eq!(identify(&callers, &["bEARER  a "]), Ok("owner of a".to_owned()));
        for wrong in ["Bearer c", "Bearer ", "b", "Basic b"] {
            assert_eq!(identify(&callers, &[wrong]), Err(Stranger::WrongToken), "{wrong:?}");
        }
        assert_eq!(identify(&callers, &[]), Err(MISSING));
        let several = identify(&callers, &["Bearer a", "Bearer a"]);
        assert!(matches!(several, Err(Stranger::Other { code: "token_ambiguous", .. })), "{several:?}");
    }

    #[test]
    fn a_certificate_tells_who_asks_where_there_is_no_token() {
        let certificate = Certificate { subject: "CN=ops".to_owned(), grant: Grant::Operate };
        let callers =
            |is_open| Callers { certificates: vec![certificate.clone()], ..callers(is_open, &["a"]) };
        let identify = |is_open: bool, subject, token: Option<&str>| {
            let mut map = HeaderMap::new();
            token.map(|token| map.append(AUTHORIZATION, HeaderValue::from_str(token).unwrap()));
            callers(is_open).identify(&map, subject).map(|caller| caller.name)
        };
        assert_eq!(identify(false, Some("CN=ops"), None), Ok("CN=ops".to_owned()));
        assert_eq!(identify(false, Some("CN=ops"), Some("Bearer a")), Ok("owner of a".to_owned()));
        assert_eq!(identify(false, Some("CN=ops"), Some("Bearer b")), Err(Stranger::WrongToken));
        for is_open in [false, true] {
            let other = identify(is_open, Some("CN=other"), None);
            assert!(matches!(other, Err(Stranger::Other { code: "certificate_unknown", .. })), "{other:?}");
        }
        let nothing = identify(false, None, None);
        assert!(matches!(nothing, Err(Stranger::Other { code: "token_missing", .. })), "{nothing:?}");
        assert_eq!(identify(true, None, None), Ok("local".to_owned()));
    }

    #[test]
    fn an_open_listener_needs_no_token_but_refuses_a_wrong_one() {
        let closed = callers(true, &["a"]);
        assert_eq!(identify(&closed, &[]), Ok("local".to_owned()));
        assert_eq!(identify(&closed, &["Bearer c"]), Err(Stranger::WrongToken));
        assert_eq!(identify(&callers(true, &[]), &["Bearer c"]), Ok("local".to_owned()));
    }
}

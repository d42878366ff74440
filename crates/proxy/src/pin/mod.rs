//! The pin on the wire: read from the request's cookie, kept from the app, and handed out with the answer.

pub(crate) mod cookie;
pub mod keyring;
pub(crate) mod preview;

use cutover_core::decide::{Choice, PinAction, Why};
use cutover_core::id::ServiceName;
use cutover_core::pin::{NoPin, Pin};
use cutover_core::policy::{PinMode, PinPolicy, SameSite};
use cutover_core::snapshot::ServiceSet;
use cutover_core::time::Timestamp;
use http::StatusCode;

use self::cookie::{Going, HOST_PREFIX, Pair};
use self::keyring::{Keyring, Opener};
use crate::message::decimal::Decimal;
use crate::message::fields::Fields;
use crate::message::list;
use crate::message::name::{Name, Names};

/// What is between the app and the proxy, or the proxy's alone to say.
const OWN: Names = Names::of(&[Name::CutoverPin, Name::CutoverUpdate]);
/// `Cache-Control` for content delivery networks alone.
const TARGETED: [Name; 2] = [Name::CdnCacheControl, Name::SurrogateControl];
/// Cookies of the right name that are tried. Each costs a MAC, and a client decides how many it sends.
const TRIES_MAX: usize = 4;

/// What became of a request's pin, as in metrics and the access log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum PinOutcome {
    /// There are no pins here.
    None,
    /// The client tries a version out, and keeps what it has.
    Preview,
    /// The client keeps what it has.
    Kept,
    /// A session began.
    New,
    /// A session began, because what came was no pin of ours.
    Malformed,
    /// A session began, because the pin's key is not known (any more).
    UnknownKey,
    /// A session began, because the pin was forged or damaged.
    BadMac,
    /// A session began, because the last one had ended.
    Expired,
    /// A session began, because the pin is from the future.
    FutureDated,
    /// The pin was renewed before it went idle.
    Refreshed,
    /// The session got another backend of the same version.
    Rebalanced,
    /// The session moved, because its version may not serve it any more.
    MovedEnded,
    /// The session moved, because its version has no usable backend.
    MovedNoBackend,
    /// The session moved with a navigation.
    MovedNavigation,
    /// The app ended the pin.
    EndedByApp,
    /// The app asked for no pin on this answer.
    DeclinedByApp,
    /// A pin was due, but others could have got it from a cache.
    Withheld,
}

/// What a request's cookies say, as far as it is the proxy's.
#[derive(Debug, Clone)]
pub(crate) struct Read<'a> {
    /// Its pin, or why there is none; of several invalid ones, what is wrong with the first.
    pub pin: Result<Pin, NoPin>,
    /// The text of the preview that it has, unopened.
    pub preview: Option<&'a [u8]>,
    /// Those of them that are not for the app; the names for the other scheme too, since browsers send both.
    pub going: Going,
}

/// Reads the pin of a request, the first valid one of those that it carries, and finds its preview in the same pass.
///
/// `is_secure` says whether the client came over TLS, as far as that can be believed: only the cookie name that fits is looked at.
pub(crate) fn read<'a>(
    fields: &'a Fields,
    policy: &PinPolicy,
    is_secure: bool,
    service: &ServiceName,
    keyring: &impl Opener,
    now: Timestamp,
) -> Read<'a> {
    let reads_pins = policy.mode != PinMode::None;
    let mut read = Read { pin: Err(NoPin::Absent), preview: None, going: Going::Nothing };
    let mut tries = 0;
    cookie::for_each(fields, |at, pair| {
        let pin = if reads_pins { pair.value_of_ours(&policy.cookie, is_secure) } else { None };
        let preview = if pin.is_none() { pair.value_of_ours(preview::COOKIE, is_secure) } else { None };
        if pin.is_none() && preview.is_none() && !is_ours(pair, policy, !is_secure) {
            return;
        }
        if pin.is_none() || !policy.forward {
            read.going.add(at);
        }
        read.preview = read.preview.or(preview);
        if let Some(text) = pin.filter(|_| read.pin.is_err() && tries < TRIES_MAX) {
            tries += 1;
            let opened = keyring.open(text, service);
            let alive = opened.and_then(|pin| pin.check_dates(policy, now).map(|()| pin));
            if alive.is_ok() || read.pin == Err(NoPin::Absent) {
                read.pin = alive;
            }
        }
    });
    read
}

/// Takes the pin, unless the policy forwards it, and the preview out of what the app sees: what was [read](Read::going) as such. All other
/// cookies stay as they are, byte for byte.
pub(crate) fn strip(fields: &mut Fields, policy: &PinPolicy, going: &Going) {
    cookie::remove(fields, going, |pair| is_ours(pair, policy, false) || is_ours(pair, policy, true));
}

/// Lets the pin follow a request that another member answered than the one that was chosen first, where sessions are tied to backends:
/// what the app has begun to keep about the session is in that one.
pub(crate) fn follow(choice: &mut Choice, service: &ServiceSet, member: usize, now: Timestamp) {
    if member == choice.member {
        return;
    }
    let members = service.versions.get(choice.version).map(|version| &version.members);
    let Some(entry) = members.and_then(|members| members.get(member)) else { return };
    choice.member = member;
    match &mut choice.pin {
        PinAction::Hand(pin, _) if pin.backend.is_some() => pin.backend = Some(entry.hash),
        PinAction::Keep(pin) if pin.backend.is_some() => {
            let moved = Pin { backend: Some(entry.hash), ..pin.refreshed(now) };
            choice.pin = PinAction::Hand(moved, Why::Rebalanced);
        }
        PinAction::None | PinAction::Preview | PinAction::Keep(_) | PinAction::Hand(..) => {}
    }
}

/// Everything that an answer's pin depends on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answering<'a> {
    /// The service that answers.
    pub service: &'a ServiceSet,
    /// What was decided for the request.
    pub choice: &'a Choice,
    /// Signs the pin.
    pub keyring: &'a Keyring,
    /// Whether the client came over TLS, as in [`read`].
    pub is_secure: bool,
}

impl Answering<'_> {
    /// Completes the head of an app's final answer (101 included): hands out or ends the pin, says what is active to an outdated client, and
    /// takes out what is between the app and the proxy. Answers what became of the pin.
    ///
    /// No pin goes out on an answer that shared caches may store, and none on a 304, because that one changes what a cache has
    /// stored. The expiry of a pin that goes out is noted in the cells of its version and backend here, before any byte of it can leave.
    pub(crate) fn write(&self, status: StatusCode, fields: &mut Fields) -> PinOutcome {
        let wish = Wish::of(fields);
        fields.remove_all(OWN);
        let decided = PinOutcome::from(&self.choice.pin);
        if self.choice.pin == PinAction::Preview {
            // Its session, and its pin, are another matter.
            preview::seclude(fields);
            return decided;
        }
        let is_pin_due = matches!(self.choice.pin, PinAction::Hand(..)) || wish == Wish::End;
        if !is_pin_due && !self.choice.is_outdated {
            return decided;
        }
        let is_stored = status == StatusCode::NOT_MODIFIED || is_for_shared_caches(fields);
        if self.choice.is_outdated
            && !is_stored
            && let Some(active) = self.service.active_version()
        {
            fields.append(Name::CutoverUpdate, &[active.label.as_str().as_bytes()]);
        }
        if self.service.policy.pin.mode == PinMode::None {
            return decided;
        }
        let pin = match &self.choice.pin {
            _ if wish == Wish::End && is_stored => return PinOutcome::Withheld,
            _ if wish == Wish::End => {
                self.set_cookie(fields, b"", Some(0));
                return PinOutcome::EndedByApp;
            }
            PinAction::None | PinAction::Preview | PinAction::Keep(_) => return decided,
            PinAction::Hand(..) if wish == Wish::NoPin => return PinOutcome::DeclinedByApp,
            PinAction::Hand(..) if is_stored => return PinOutcome::Withheld,
            PinAction::Hand(pin, _) => pin,
        };
        let Some(token) = self.keyring.seal(pin, &self.service.name) else { return PinOutcome::Withheld };
        let policy = &self.service.policy.pin;
        if let Some(version) = self.service.versions.get(self.choice.version) {
            let expiry = pin.expires_at(policy);
            version.traffic.note_pin_expiry(expiry);
            let member = pin.backend.and_then(|_| version.members.get(self.choice.member));
            if let Some(backend) = member {
                backend.traffic.note_pin_expiry(expiry);
            }
        }
        let max_age = (!policy.max_life.is_zero()).then(|| policy.max_life.as_secs());
        self.set_cookie(fields, token.as_bytes(), max_age);
        decided
    }

    fn set_cookie(&self, fields: &mut Fields, value: &[u8], max_age_secs: Option<u64>) {
        append_cookie(fields, &self.service.policy.pin, self.is_secure, value, max_age_secs);
        if !has_directive(fields, Name::CacheControl, |name| is_any(name, &["private", "no-store"])) {
            fields.append(Name::CacheControl, &[b"private"]);
        }
    }
}

/// What an app asks for with its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Nothing,
    /// No pin on this answer.
    NoPin,
    /// The end of the session's pin.
    End,
}

impl Wish {
    fn of(fields: &Fields) -> Self {
        match fields.first(Name::CutoverPin).map(<[u8]>::trim_ascii) {
            Some(wish) if wish.eq_ignore_ascii_case(b"end") => Self::End,
            Some(wish) if wish.eq_ignore_ascii_case(b"none") => Self::NoPin,
            Some(_) | None => Self::Nothing,
        }
    }
}

impl PinOutcome {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 17] = [
        Self::None,
        Self::Preview,
        Self::Kept,
        Self::New,
        Self::Malformed,
        Self::UnknownKey,
        Self::BadMac,
        Self::Expired,
        Self::FutureDated,
        Self::Refreshed,
        Self::Rebalanced,
        Self::MovedEnded,
        Self::MovedNoBackend,
        Self::MovedNavigation,
        Self::EndedByApp,
        Self::DeclinedByApp,
        Self::Withheld,
    ];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Preview => "preview",
            Self::Kept => "kept",
            Self::New => "new",
            Self::Malformed => "malformed",
            Self::UnknownKey => "unknown_key",
            Self::BadMac => "bad_mac",
            Self::Expired => "expired",
            Self::FutureDated => "future_dated",
            Self::Refreshed => "refreshed",
            Self::Rebalanced => "rebalanced",
            Self::MovedEnded => "moved_ended",
            Self::MovedNoBackend => "moved_no_backend",
            Self::MovedNavigation => "moved_navigation",
            Self::EndedByApp => "ended_by_app",
            Self::DeclinedByApp => "declined_by_app",
            Self::Withheld => "withheld",
        }
    }
}

impl From<&PinAction> for PinOutcome {
    fn from(action: &PinAction) -> Self {
        match action {
            PinAction::None => Self::None,
            PinAction::Preview => Self::Preview,
            PinAction::Keep(_) => Self::Kept,
            PinAction::Hand(_, Why::New(NoPin::Absent)) => Self::New,
            PinAction::Hand(_, Why::New(NoPin::Malformed)) => Self::Malformed,
            PinAction::Hand(_, Why::New(NoPin::UnknownKey)) => Self::UnknownKey,
            PinAction::Hand(_, Why::New(NoPin::BadMac)) => Self::BadMac,
            PinAction::Hand(_, Why::New(NoPin::Expired)) => Self::Expired,
            PinAction::Hand(_, Why::New(NoPin::FutureDated)) => Self::FutureDated,
            PinAction::Hand(_, Why::Refreshed) => Self::Refreshed,
            PinAction::Hand(_, Why::Rebalanced) => Self::Rebalanced,
            PinAction::Hand(_, Why::Ended) => Self::MovedEnded,
            PinAction::Hand(_, Why::NoBackend) => Self::MovedNoBackend,
            PinAction::Hand(_, Why::Navigated) => Self::MovedNavigation,
        }
    }
}

/// Whether a cookie of a connection that is or is not secure is not for the app.
#[inline]
fn is_ours(pair: Pair<'_>, policy: &PinPolicy, is_secure: bool) -> bool {
    let has_pin = policy.mode != PinMode::None && !policy.forward;
    (has_pin && pair.value_of_ours(&policy.cookie, is_secure).is_some())
        || pair.value_of_ours(preview::COOKIE, is_secure).is_some()
}

/// Adds a `Set-Cookie` line (RFC 6265 section 4.1).
fn append_cookie(
    fields: &mut Fields,
    policy: &PinPolicy,
    is_secure: bool,
    value: &[u8],
    max_age_secs: Option<u64>,
) {
    let same_site: &[u8] = match policy.same_site {
        SameSite::Strict => b"Strict",
        SameSite::None if is_secure => b"None",
        // Browsers drop `SameSite=None` from an insecure connection; in a page of its own the session works with `Lax`.
        SameSite::Lax | SameSite::None => b"Lax",
    };
    let if_so = |is_so: bool, piece: &'static [u8]| if is_so { piece } else { b"" };
    let secs = max_age_secs.map(Decimal::of);
    let pieces = [
        if_so(is_secure, HOST_PREFIX),
        policy.cookie.as_bytes(),
        b"=",
        value,
        b"; Path=/; HttpOnly; SameSite=",
        same_site,
        if_so(is_secure, b"; Secure"),
        if_so(is_secure && policy.partitioned, b"; Partitioned"),
        if_so(secs.is_some(), b"; Max-Age="),
        secs.as_ref().map_or(b"", Decimal::as_bytes),
    ];
    fields.append(Name::SetCookie, &pieces);
}

/// Whether the app said that caches which serve many may store the answer (RFC 9111 section 5.2.2). What it says to those in front of
/// us by a field of theirs (RFC 9213) wins over `Cache-Control`, so no `private` there would help.
fn is_for_shared_caches(fields: &Fields) -> bool {
    let is_for_all = |name: &[u8]| is_any(name, &["public", "s-maxage"]);
    let forbids = |name: &[u8]| is_any(name, &["private", "no-store"]);
    has_directive(fields, Name::CacheControl, is_for_all)
        || TARGETED.into_iter().any(|name| fields.contains(name) && !has_directive(fields, name, forbids))
}

fn has_directive(fields: &Fields, list: Name, is_wanted: impl Fn(&[u8]) -> bool) -> bool {
    // `private="field"` keeps only that field from shared caches, and is no `private`; `s-maxage` always has an argument.
    let is_wanted = |directive: &[u8]| match list::pair(directive, b'=') {
        (name, Some(_)) => is_wanted(name) && !name.eq_ignore_ascii_case(b"private"),
        (name, None) => is_wanted(name),
    };
    fields.elements(list).any(is_wanted)
}

fn is_any(name: &[u8], wanted: &[&str]) -> bool {
    wanted.iter().any(|wanted| name.eq_ignore_ascii_case(wanted.as_bytes()))
}

#[cfg(test)]
mod tests;

//! How often a client may ask a service: a bucket per client that fills at a steady rate (GCRA, by the `governor` crate), shared by all
//! workers, and what clients are told about it (draft-ietf-httpapi-ratelimit-headers-11).

mod table;

use std::collections::BTreeMap;
use std::io::Write;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use cutover_core::client_key::ClientKey;
use cutover_core::id::ServiceName;
use cutover_core::policy::Rate;
use governor::clock::Clock;
use governor::middleware::StateInformationMiddleware;
use governor::nanos::Nanos;
use governor::{Quota, RateLimiter};

use self::table::Table;
use crate::message::fields::Fields;

/// The limit of one service.
#[derive(Debug)]
pub(crate) struct Limiter<C: Clock = Steady> {
    rate: Rate,
    buckets: RateLimiter<ClientKey, Table, C, StateInformationMiddleware>,
}

/// How a client stands, at one of its requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    rate: Rate,
    /// Requests that it may send at once.
    remaining: u32,
    /// Seconds until it may send another one, if this one was too much.
    wait_secs: Option<u64>,
}

/// The limits of all services, for all workers: each is kept for as long as some worker has it in its view, through all snapshots that
/// don't change its rate.
#[derive(Debug, Default)]
pub(crate) struct Limiters(Mutex<BTreeMap<(ServiceName, u32, u32), Weak<Limiter>>>);

/// The time since a limit was made.
#[derive(Debug)]
pub(crate) struct Steady(Instant);

impl Limiters {
    /// The limit of a service that has this rate. Takes a lock: for when a snapshot comes, not for requests.
    pub(crate) fn of(&self, service: &ServiceName, rate: Rate) -> Arc<Limiter> {
        let mut limiters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        limiters.retain(|_, limiter| limiter.strong_count() > 0);
        let known = limiters.entry((service.clone(), rate.per_second, rate.burst)).or_default();
        known.upgrade().unwrap_or_else(|| {
            let limiter = Arc::new(Limiter::new(rate, Steady(Instant::now())));
            *known = Arc::downgrade(&limiter);
            limiter
        })
    }
}

impl<C: Clock> Limiter<C> {
    fn new(rate: Rate, clock: C) -> Self {
        let at_least_one = |count| NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_second(at_least_one(rate.per_second)).allow_burst(at_least_one(rate.burst));
        Self { rate, buckets: RateLimiter::new(quota, Table::default(), clock) }
    }

    /// One more request of `client`.
    pub(crate) fn ask(&self, client: IpAddr) -> Standing {
        let (remaining, wait_secs) = match self.buckets.check_key(&ClientKey::of(client)) {
            Ok(bucket) => (bucket.remaining_burst_capacity(), None),
            Err(until) => (0, Some(seconds(until.wait_time_from(self.buckets.clock().now())))),
        };
        Standing { rate: self.rate, remaining, wait_secs }
    }
}

impl Standing {
    /// Whether the request is one too many.
    pub(crate) const fn is_exceeded(&self) -> bool {
        self.wait_secs.is_some()
    }

    /// Seconds until the client may send another one, if this one was too much.
    pub(crate) const fn retry_after_secs(&self) -> Option<u64> {
        self.wait_secs
    }

    /// Tells the client, whose request is answered with `fields`.
    pub(crate) fn write(&self, fields: &mut Fields) {
        let Rate { per_second, burst } = self.rate;
        let mut bytes = [0; VALUE_MAX];
        let to_fill = |missing: u32| u64::from(missing.div_ceil(per_second.max(1)));
        let policy = value(&mut bytes, format_args!("{POLICY};q={burst};w={}", to_fill(burst)));
        fields.append_other("RateLimit-Policy", policy);
        let until = self.wait_secs.unwrap_or_else(|| to_fill(burst.saturating_sub(self.remaining)));
        let state = value(&mut bytes, format_args!("{POLICY};r={};t={until}", self.remaining));
        fields.append_other("RateLimit", state);
    }
}

impl Clock for Steady {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        self.0.elapsed().into()
    }
}

/// Whole seconds, at least one: who comes back earlier comes too early.
fn seconds(time: Duration) -> u64 {
    (time.as_secs() + u64::from(time.subsec_nanos() > 0)).max(1)
}

/// What the limit is called in the fields.
const POLICY: &str = "\"client\"";

/// Writes a value without an allocation.
fn value<'a>(bytes: &'a mut [u8; VALUE_MAX], text: std::fmt::Arguments<'_>) -> &'a [u8] {
    let mut left = &mut bytes[..];
    // There is room for the longest.
    let _ = left.write_fmt(text);
    let len = VALUE_MAX - left.len();
    &bytes[..len]
}

/// Bytes of the longest value: two numbers of ten digits, and a few bytes around them.
const VALUE_MAX: usize = 48;

#[cfg(test)]
mod tests;

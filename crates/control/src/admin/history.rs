//! What happened: the timeline of a service, and the stream of events.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use cutover_core::id::ServiceName;
use futures_core::Stream;
use futures_util::stream;
use http::{HeaderMap, StatusCode};
use tokio::sync::OwnedSemaphorePermit;

use super::answer::{Answer, Answered};
use super::api::Api;
use super::call::Call;
use super::problem::Problem;
use super::query::{FromQuery, Parameters};
use super::wire::timeline::{EntryView, Timeline};
use crate::event_log::{Delivery, Subscription};
use crate::timeline::EventId;

/// Below the idle timeout of every proxy that people put in between.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// `?limit&before`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Page {
    limit: usize,
    before: Option<EventId>,
}

impl FromQuery for Page {
    fn from_query(query: &mut Parameters) -> Result<Self, Problem> {
        Ok(Self { limit: query.limit()?, before: query.number("before")?.map(EventId) })
    }
}

/// `?service`.
#[derive(Debug, Clone)]
pub(super) struct Filter {
    service: Option<ServiceName>,
}

impl FromQuery for Filter {
    fn from_query(query: &mut Parameters) -> Result<Self, Problem> {
        Ok(Self { service: query.name("service")? })
    }
}

/// Who did what to a service, when, and why.
#[utoipa::path(get, path = "/v1/services/{service}/timeline", tag = "history", operation_id = "timeline",
    params(
        ("service" = String, Path, description = "The service. Its timeline outlives it.", example = "web"),
        ("limit" = Option<u64>, Query, description = "Entries to answer, 1 to 1000; 100 when it is not given."),
        ("before" = Option<u64>, Query, description = "Only entries older than this one: `next` of the page before."),
    ),
    responses((status = 200, description = "A page, the latest entry first.", body = Timeline)))]
pub(super) async fn timeline(State(api): State<Api>, call: Call<ServiceName, Page>) -> Answered<Timeline> {
    let Page { limit, before } = call.query;
    let current = api.control().current();
    let mut entries = api.control().timeline(&call.at, limit + 1, before);
    if entries.is_empty() && before.is_none() {
        // Somebody who misspelt the name must not believe that nothing happened.
        current.state.service(&call.at)?;
    }
    let has_more = entries.len() > limit;
    entries.truncate(limit);
    let next = entries.last().filter(|_| has_more).map(|entry| entry.id.0);
    let entries = entries.iter().map(|entry| EntryView::new(entry)).collect();
    Ok(Answer::ok(current.revision, Timeline { entries, next }))
}

/// Follows every change as server-sent events: `id` and `event` (its kind), `data` an entry of the timeline. An event `missed` without id
/// says that some were dropped: read the state again.
#[utoipa::path(get, path = "/v1/events", tag = "history", operation_id = "events",
    params(
        ("service" = Option<String>, Query, description = "Only events of this service.", example = "web"),
        ("Last-Event-ID" = Option<u64>, Header, description = "Begin after this event; with the next one when it is not given."),
    ),
    responses((status = 200, description = "The stream. It ends when the process stops.", body = EntryView, content_type = "text/event-stream")))]
pub(super) async fn events(
    State(api): State<Api>,
    headers: HeaderMap,
    call: Call<(), Filter>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let after = last_event_id(&headers)?;
    let place = api.streams().clone().try_acquire_owned().map_err(|_| {
        let detail = "too many streams of events are open";
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "overloaded", detail).retriable()
    })?;
    let service = call.query.service;
    let subscription = api.control().events(after);
    let following = Following { api, subscription, service, _place: place };
    let events = stream::unfold(following, async |mut following| {
        let event = following.next().await?;
        Some((Ok(event), following))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

/// One stream of events.
struct Following {
    api: Api,
    subscription: Subscription,
    service: Option<ServiceName>,
    _place: OwnedSemaphorePermit,
}

impl Following {
    async fn next(&mut self) -> Option<Event> {
        loop {
            let delivery = tokio::select! {
                delivery = self.subscription.next() => delivery?,
                () = self.api.closed() => return None,
            };
            let entry = match delivery {
                Delivery::Missed => return Some(Event::default().event("missed").data("{}")),
                Delivery::Entry(entry) => entry,
            };
            if self.service.as_ref().is_some_and(|service| *service != entry.service) {
                continue;
            }
            let event = Event::default().id(entry.id.to_string()).event(&*entry.kind);
            // Strings and numbers always serialize.
            return event.json_data(EntryView::new(&entry)).ok();
        }
    }
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<EventId>, Problem> {
    let Some(value) = headers.get("last-event-id") else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let id = text.parse().ok().filter(|_| is_plain);
    id.map(|id| Some(EventId(id))).ok_or_else(|| {
        let detail = format!("Last-Event-ID is {value:?}; must be the id of an event");
        Problem::malformed("malformed_header", "Last-Event-ID", detail)
    })
}

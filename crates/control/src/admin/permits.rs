//! Permits: leave to restart a backend.
//!
//! Nobody stands in a queue: who waits asks again whenever something has changed, and who goes away leaves nothing behind but a backend that
//! has begun to drain for it.

use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use cutover_core::command::Change;
use cutover_core::drain;
use cutover_core::id::{BackendId, Revision, ServiceName};
use cutover_core::rejected::{Code, Rejected};
use cutover_core::roll::Outlook;
use cutover_core::service::Service;
use cutover_core::time::Millis;
use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};
use tokio::time::{Instant, timeout_at};

use super::answer::{Answer, Gone};
use super::api::Api;
use super::body::{Json, make_sense};
use super::call::Call;
use super::problem::Problem;
use super::query::WAIT_MAX;
use super::wire::problem::ReasonBody;
use super::wire::roll::{Granted, NotYet, NotYetState, PermitAnswer, PermitBody};
use super::wire::time;
use crate::error::SubmitError;
use crate::handle::Current;
use crate::reconcile;

/// Seconds after which a caller may ask again whose backend drains.
const AGAIN_DRAINING_SECS: u64 = 1;
/// Seconds after which a caller may ask again who waits for others: their restarts take longer than that.
const AGAIN_WAITING_SECS: u64 = 5;
/// How often who waits looks again although nothing has changed: time alone may end what stands in the way.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// A backend, and how long its owner waits for the permit.
struct Ask {
    backend: BackendId,
    wait: Millis,
}

/// Asks for leave to restart a backend. It drains first; the permit ends when it is back, at its deadline, or when it is returned. Asking again
/// changes nothing, so an `Idempotency-Key` is not needed, and not looked at: no answer is given from memory.
#[utoipa::path(post, path = "/v1/services/{service}/permits", tag = "roll", operation_id = "ask_permit",
    params(
        ("service" = String, Path, description = "The service.", example = "web"),
        ("If-Match" = Option<String>, Header, description = "Only if this is the revision; 412 otherwise.", example = "\"17\""),
    ),
    request_body = PermitBody,
    responses(
        (status = 200, description = "The backend may be restarted.", body = Granted),
        (status = 202, description = "Not yet. `Retry-After` says when to ask again.", body = NotYet),
    ))]
pub(super) async fn ask(
    State(api): State<Api>,
    call: Call<ServiceName, (), Json<PermitBody>>,
) -> Result<Response, Problem> {
    let asked = make_sense(|check| {
        let backend = check.parse("backend", &call.body.0.backend);
        let wait = call.body.0.wait.as_deref().map(|wait| check.duration("wait", wait));
        if let Some(wait) = wait.filter(|wait| *wait > WAIT_MAX) {
            check.wrong("wait", format_args!("is \"{wait}\"; must be at most \"{WAIT_MAX}\""));
        }
        Some(Ask { backend: backend?, wait: wait.unwrap_or(Millis::ZERO) })
    })?;
    let until = Instant::now() + Duration::from(asked.wait);
    let mut changes = api.control().watch();
    loop {
        changes.mark_unchanged();
        let (revision, answer) = attempt(&api, &call, &asked.backend).await?;
        if matches!(answer, PermitAnswer::Granted(_)) || until <= Instant::now() {
            return Ok(respond(revision, answer));
        }
        tokio::select! {
            changed = timeout_at(until.min(Instant::now() + LOOK_AGAIN), changes.changed()) => {
                if matches!(changed, Ok(Err(_))) {
                    return Err(SubmitError::Stopped.into());
                }
            }
            // The last word before the listener stops: the caller asks again elsewhere, or later.
            () = api.closed() => return Ok(respond(revision, answer)),
        }
    }
}

/// Gives a permit back, used or not. A backend that was not restarted takes traffic again.
#[utoipa::path(delete, path = "/v1/services/{service}/permits/{backend}", tag = "roll", operation_id = "return_permit",
    params(
        ("service" = String, Path, description = "The service.", example = "web"),
        ("backend" = String, Path, description = "The backend.", example = "a"),
    ),
    responses((status = 204, description = "The permit is returned.")))]
pub(super) async fn give_back(
    State(api): State<Api>,
    call: Call<(ServiceName, BackendId)>,
) -> Result<Gone, Problem> {
    let (service, backend) = &call.at;
    let request = call.change(service, Change::ReturnPermit(backend.clone()), None);
    Ok(Gone(api.control().submit(request).await?.revision))
}

/// Asks once, unless it can be seen from here that nothing would come of it: those who wait must not keep the controller busy.
async fn attempt(
    api: &Api,
    call: &Call<ServiceName, (), Json<PermitBody>>,
    id: &BackendId,
) -> Result<(Revision, PermitAnswer), Problem> {
    let current = api.control().current();
    let service = current.state.service(&call.at)?;
    let reasons = match service.backends.contains_key(id) && !service.roll.permits.contains_key(id) {
        true => Outlook::new(service, api.now()).obstacles(id),
        false => Vec::new(),
    };
    if !reasons.is_empty() {
        return Ok((current.revision, waiting(id, &Rejected { reasons })));
    }
    if let Some(answer) = permitted(api, service, id) {
        return Ok((current.revision, answer));
    }
    match api.control().submit(call.change(&call.at, Change::AskPermit { backend: id.clone() }, None)).await {
        Ok(done) => {
            let answer = permitted(api, done.state.service(&call.at)?, id);
            Ok((done.revision, answer.ok_or_else(Problem::internal)?))
        }
        Err(SubmitError::Rejected(rejected)) if is_for_now(&rejected) => {
            Ok((api.control().current().revision, waiting(id, &rejected)))
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether a refusal says "not yet".
fn is_for_now(rejected: &Rejected) -> bool {
    let is_for_now =
        |code| matches!(code, Code::RollFrozen | Code::BatchFull | Code::NotDrained | Code::BelowMinCapacity);
    rejected.reasons.iter().all(|reason| is_for_now(reason.code))
}

/// The answer to somebody who has a permit already.
fn permitted(api: &Api, service: &Service, id: &BackendId) -> Option<PermitAnswer> {
    if !service.roll.permits.contains_key(id) {
        return None;
    }
    Some(match Granted::new(service, id) {
        Some(granted) => PermitAnswer::Granted(granted),
        None => draining(&api.control().current(), service, id),
    })
}

fn draining(current: &Current, service: &Service, id: &BackendId) -> PermitAnswer {
    let entry = reconcile::entry(&current.snapshot, &service.name, id);
    let requests = match entry.map_or(0, |entry| entry.traffic.in_flight()) {
        0 => "nothing is in flight any more".to_owned(),
        1 => "1 request is in flight".to_owned(),
        several => format!("{several} requests are in flight"),
    };
    let backend = service.backends.get(id);
    let ends = backend.and_then(|backend| drain::backend_deadline(backend, service.policy.drain));
    let at_most = ends.map_or_else(String::new, |(_, ends)| format!(", until {} at most", time::write(ends)));
    let detail = format!("backend {id} drains: {requests}{at_most}");
    PermitAnswer::NotYet(NotYet {
        granted: false,
        backend: id.to_string(),
        state: NotYetState::Draining,
        reasons: vec![ReasonBody { code: "draining", detail, field: None }],
        retry_after: AGAIN_DRAINING_SECS,
    })
}

fn waiting(id: &BackendId, rejected: &Rejected) -> PermitAnswer {
    PermitAnswer::NotYet(NotYet {
        granted: false,
        backend: id.to_string(),
        state: NotYetState::Waiting,
        reasons: rejected.reasons.iter().map(ReasonBody::from).collect(),
        retry_after: AGAIN_WAITING_SECS,
    })
}

fn respond(revision: Revision, answer: PermitAnswer) -> Response {
    let retry_after = match &answer {
        PermitAnswer::Granted(_) => None,
        PermitAnswer::NotYet(not_yet) => Some(not_yet.retry_after),
    };
    let mut response = Answer::ok(revision, answer).into_response();
    if let Some(secs) = retry_after {
        *response.status_mut() = StatusCode::ACCEPTED;
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(secs));
    }
    response
}

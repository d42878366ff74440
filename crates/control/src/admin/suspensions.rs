//! Suspensions: freezes, in which nothing is flipped without force, and maintenance, in which clients are turned away.

use axum::extract::State;
use cutover_core::command::Change;
use cutover_core::id::ServiceName;
use cutover_core::suspend::Suspended;
use cutover_core::time::{Millis, Timestamp};

use super::answer::{Answer, Answered, Gone};
use super::api::Api;
use super::body::{Json, make_sense};
use super::call::Call;
use super::problem::Problem;
use super::text;
use super::wire::services::SuspensionView;
use super::wire::suspension::{FreezeBody, MaintenanceBody};
use super::wire::time;
use crate::document::Check;

/// Nobody suspends anything for less.
const LASTING_MIN: Millis = Millis::from_secs(1);

/// Refuses flips from now on, unless they are forced.
#[utoipa::path(put, path = "/v1/services/{service}/freeze", tag = "services", operation_id = "freeze",
    params(("service" = String, Path, description = "The service.", example = "web")),
    request_body = FreezeBody,
    responses(
        (status = 200, description = "The freeze replaces another one.", body = SuspensionView),
        (status = 201, description = "The service is frozen.", body = SuspensionView),
    ))]
pub(super) async fn freeze(
    State(api): State<Api>,
    call: Call<ServiceName, (), Json<FreezeBody>>,
) -> Answered<SuspensionView> {
    let FreezeBody { reason, owner, until, lasting } = &call.body.0;
    let now = api.now();
    let said = make_sense(|check| {
        let reason = text::required(check, "reason", reason);
        let owner = text::read(check, "owner", owner.as_deref());
        let until = end(check, (until.as_deref(), lasting.as_deref()), now);
        Some(Said { reason: Some(reason?), owner, until })
    })?;
    suspend(&api, &call, Suspended::Flips, said).await
}

/// Allows flips again. Done also when they are allowed already, so that a repetition is answered the same.
#[utoipa::path(delete, path = "/v1/services/{service}/freeze", tag = "services", operation_id = "unfreeze",
    params(("service" = String, Path, description = "The service.", example = "web")),
    responses((status = 204, description = "The service is not frozen any more.")))]
pub(super) async fn unfreeze(State(api): State<Api>, call: Call<ServiceName>) -> Result<Gone, Problem> {
    resume(&api, &call, Suspended::Flips).await
}

/// Turns clients away from now on: they get a 503 that says when to come again. What is under way ends as it would; probes, drains and
/// flips go on.
#[utoipa::path(put, path = "/v1/services/{service}/maintenance", tag = "services", operation_id = "begin_maintenance",
    params(("service" = String, Path, description = "The service.", example = "web")),
    request_body = MaintenanceBody,
    responses(
        (status = 200, description = "The maintenance replaces another one.", body = SuspensionView),
        (status = 201, description = "The service is in maintenance.", body = SuspensionView),
    ))]
pub(super) async fn begin_maintenance(
    State(api): State<Api>,
    call: Call<ServiceName, (), Json<MaintenanceBody>>,
) -> Answered<SuspensionView> {
    let MaintenanceBody { reason, until, lasting } = &call.body.0;
    let now = api.now();
    let said = make_sense(|check| {
        let reason = text::read(check, "reason", reason.as_deref());
        let until = end(check, (until.as_deref(), lasting.as_deref()), now);
        Some(Said { reason, owner: None, until })
    })?;
    suspend(&api, &call, Suspended::Requests, said).await
}

/// Lets clients in again, unless the policy of the service turns them away. Done also when it is over already, so that a repetition is
/// answered the same.
#[utoipa::path(delete, path = "/v1/services/{service}/maintenance", tag = "services", operation_id = "end_maintenance",
    params(("service" = String, Path, description = "The service.", example = "web")),
    responses((status = 204, description = "The maintenance is over.")))]
pub(super) async fn end_maintenance(
    State(api): State<Api>,
    call: Call<ServiceName>,
) -> Result<Gone, Problem> {
    resume(&api, &call, Suspended::Requests).await
}

/// What is said with a suspension.
struct Said {
    reason: Option<String>,
    owner: Option<String>,
    until: Option<Timestamp>,
}

/// When a suspension ends by itself, if that was said, in one of the two ways.
fn end(
    check: &mut Check<'_>,
    (until, lasting): (Option<&str>, Option<&str>),
    now: Timestamp,
) -> Option<Timestamp> {
    if let Some(lasting) = lasting {
        if until.is_some() {
            check.wrong("for", "stands beside `until`; say one of them");
        }
        return Some(now + check.duration_from("for", lasting, LASTING_MIN));
    }
    let until = until.map(time::parse);
    match &until {
        Some(Err(error)) => check.wrong("until", error),
        Some(Ok(until)) if *until <= now => {
            check.wrong("until", format_args!("is {}, which has passed", time::write(*until)));
        }
        Some(Ok(_)) | None => {}
    }
    until.and_then(Result::ok)
}

async fn suspend<B>(
    api: &Api,
    call: &Call<ServiceName, (), B>,
    what: Suspended,
    Said { reason, owner, until }: Said,
) -> Answered<SuspensionView> {
    let by = owner.unwrap_or_else(|| call.actor.name.clone());
    let change = Change::Suspend { what, reason: reason.clone().unwrap_or_default(), until, by };
    let done = api.control().submit(call.change(&call.at, change, reason)).await?;
    let before = done.before.services.get(&call.at).and_then(|before| what.of(before));
    let suspension = what.of(done.state.service(&call.at)?).map(SuspensionView::new);
    // What was suspended cannot be resumed in the state that it made.
    Ok(Answer::put(before.is_none(), done.revision, suspension.ok_or_else(Problem::internal)?))
}

async fn resume(api: &Api, call: &Call<ServiceName>, what: Suspended) -> Result<Gone, Problem> {
    let request = call.change(&call.at, Change::Resume(what), None);
    Gone::also_if(what.not_suspended(), api, api.control().submit(request).await)
}

//! Freezes: times in which nothing is flipped without force.

use axum::extract::State;
use cutover_core::command::Change;
use cutover_core::id::ServiceName;
use cutover_core::rejected::Code;

use super::answer::{Answer, Answered, Gone};
use super::api::Api;
use super::body::{Json, make_sense};
use super::call::Call;
use super::problem::Problem;
use super::text;
use super::wire::freeze::FreezeBody;
use super::wire::services::FreezeView;
use super::wire::time;

/// Refuses flips from now on, unless they are forced.
#[utoipa::path(put, path = "/v1/services/{service}/freeze", tag = "services", operation_id = "freeze",
    params(("service" = String, Path, description = "The service.", example = "web")),
    request_body = FreezeBody,
    responses(
        (status = 200, description = "The freeze replaces another one.", body = FreezeView),
        (status = 201, description = "The service is frozen.", body = FreezeView),
    ))]
pub(super) async fn set(
    State(api): State<Api>,
    call: Call<ServiceName, (), Json<FreezeBody>>,
) -> Answered<FreezeView> {
    let body = &call.body.0;
    let now = api.now();
    let (reason, until) = make_sense(|check| {
        let reason = text::required(check, "reason", &body.reason);
        let until = body.until.as_deref().map(time::parse);
        match &until {
            Some(Err(error)) => check.wrong("until", error),
            Some(Ok(until)) if *until <= now => {
                check.wrong("until", format_args!("is {}, which has passed", time::write(*until)));
            }
            Some(Ok(_)) | None => {}
        }
        Some((reason?, until.and_then(Result::ok)))
    })?;
    let by = call.actor.name.clone();
    let change = Change::Freeze { reason: reason.clone(), until, by };
    let done = api.control().submit(call.change(&call.at, change, Some(reason))).await?;
    let before = done.before.services.get(&call.at).and_then(|before| before.freeze.as_ref());
    let freeze = done.state.service(&call.at)?.freeze.as_ref().map(FreezeView::new);
    // What was set cannot be gone in the state that it made.
    Ok(Answer::put(before.is_none(), done.revision, freeze.ok_or_else(Problem::internal)?))
}

/// Allows flips again. Done also when they are allowed already, so that a repetition is answered the same.
#[utoipa::path(delete, path = "/v1/services/{service}/freeze", tag = "services", operation_id = "unfreeze",
    params(("service" = String, Path, description = "The service.", example = "web")),
    responses((status = 204, description = "The service is not frozen any more.")))]
pub(super) async fn lift(State(api): State<Api>, call: Call<ServiceName>) -> Result<Gone, Problem> {
    let request = call.change(&call.at, Change::Unfreeze, None);
    Gone::also_if(Code::NotFrozen, &api, api.control().submit(request).await)
}

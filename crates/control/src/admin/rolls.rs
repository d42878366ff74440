//! Rolls: how far one is, resume and abort.

use axum::extract::State;
use cutover_core::command::Change;
use cutover_core::id::ServiceName;

use super::answer::{Answer, Answered};
use super::api::Api;
use super::body::{Json, make_sense};
use super::call::Call;
use super::problem::Problem;
use super::query::Fresh;
use super::text;
use super::wire::roll::{RollAction, RollBody, RollPlan};
use crate::handle::Done;
use crate::reply::Reply;

/// How far the roll of a service is, and what stands in the way of each backend's restart.
#[utoipa::path(get, path = "/v1/services/{service}/roll", tag = "roll", operation_id = "show_roll",
    params(
        ("service" = String, Path, description = "The service.", example = "web"),
        ("revision" = Option<u64>, Query, description = "Answer when the state is newer than this revision, or when `timeout` is over."),
        ("timeout" = Option<String>, Query, description = "How long to wait, at most `1h`.", example = "30s"),
    ),
    responses((status = 200, description = "The roll.", body = RollPlan)))]
pub(super) async fn show(State(api): State<Api>, call: Call<ServiceName, Fresh>) -> Answered<RollPlan> {
    let current = api.fresh(call.query).await;
    let service = current.state.service(&call.at)?;
    Ok(Answer::ok(current.revision, RollPlan::new(service, api.now())))
}

/// Goes on with a frozen roll, or ends one where it is. 404 when there is none.
#[utoipa::path(post, path = "/v1/services/{service}/roll", tag = "roll", operation_id = "change_roll",
    params(
        ("service" = String, Path, description = "The service.", example = "web"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key is answered the same again, for 24 h."),
        ("If-Match" = Option<String>, Header, description = "Only if this is the revision; 412 otherwise.", example = "\"17\""),
    ),
    request_body = RollBody,
    responses((status = 200, description = "The roll as it is now.", body = RollPlan)))]
pub(super) async fn change(
    State(api): State<Api>,
    call: Call<ServiceName, (), Json<RollBody>>,
) -> Result<Reply, Problem> {
    let body = &call.body.0;
    let reason = make_sense(|check| Some(text::read(check, "reason", body.reason.as_deref())))?;
    let change = match body.action {
        RollAction::Resume => Change::ResumeRoll,
        RollAction::Abort => {
            Change::AbortRoll { reason: reason.clone().unwrap_or_else(|| format!("by {}", call.actor.name)) }
        }
    };
    let (clock, name) = (api.clone(), call.at.clone());
    let answer = move |done: &Done| {
        Ok(Answer::ok(done.revision, RollPlan::new(done.state.service(&name)?, clock.now())))
    };
    call.carry_out(&api, call.change(&call.at, change, reason), answer).await
}

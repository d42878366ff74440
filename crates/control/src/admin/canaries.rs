//! Canaries: a version gets a share of the new sessions, more of them, or gives them back.

use axum::extract::State;
use cutover_core::command::{Change, SetCanary};
use cutover_core::id::{Epoch, ServiceName, VersionLabel};

use super::answer::Answer;
use super::api::Api;
use super::body::{Json, make_sense};
use super::call::Call;
use super::problem::Problem;
use super::text;
use super::wire::canary::{CanaryBody, CanaryChanged, CanaryView};
use crate::handle::Done;
use crate::reply::Reply;

/// Gives a staged version a share of the new sessions, changes the share, lets its steps pause or go on, or ends it. Who is in a share is
/// in every larger one. What takes sessions from it again begins an epoch in which they go back to the active version. A flip to it
/// makes it active.
#[utoipa::path(post, path = "/v1/services/{service}/canary", tag = "switch", operation_id = "set_canary",
    params(
        ("service" = String, Path, description = "The service.", example = "web"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key is answered the same again, for 24 h."),
        ("If-Match" = Option<String>, Header, description = "Only if this is the revision; 412 otherwise.", example = "\"17\""),
    ),
    request_body = CanaryBody,
    responses((status = 200, description = "Every worker decides by it.", body = CanaryChanged)))]
pub(super) async fn set(
    State(api): State<Api>,
    call: Call<ServiceName, (), Json<CanaryBody>>,
) -> Result<Reply, Problem> {
    let body = &call.body.0;
    let (request, reason) = make_sense(|check| {
        let to: Option<VersionLabel> = check.parse("to", &body.to);
        let share = body.share.map(|share| check.share("share", share));
        let reason = text::read(check, "reason", body.reason.as_deref());
        let (paused, if_epoch) = (body.paused, body.if_epoch.map(Epoch));
        Some((SetCanary { to: to?, share, paused, if_epoch }, reason))
    })?;
    let name = call.at.clone();
    let answer = move |done: &Done| {
        let service = done.state.service(&name)?;
        let (canary, epoch) = (CanaryView::of(service), service.epoch.0);
        Ok(Answer::ok(done.revision, CanaryChanged { canary, epoch, revision: done.revision.0 }))
    };
    call.carry_out(&api, call.change(&call.at, Change::SetCanary(request), reason), answer).await
}

//! The switch and the way back.

use axum::extract::State;
use cutover_core::command::{Change, Flip, Rollback, Sessions};
use cutover_core::flip::obstacles;
use cutover_core::hook::must_ask;
use cutover_core::id::{Epoch, ServiceName, VersionLabel};
use cutover_core::rejected::{Code, Rejected};

use super::answer::{Answer, Answered};
use super::api::Api;
use super::body::{Json, make_sense};
use super::call::Call;
use super::problem::Problem;
use super::wire::flip::{DryRun, FlipAnswer, FlipBody, Flipped, RollbackBody, SessionsBody};
use super::{text, versions};
use crate::error::LeaveError;
use crate::handle::Done;
use crate::reply::Reply;

/// Makes a version active, in one step. Refused with every reason. With `dry_run`, answers what would happen, whether or not it would be
/// refused.
#[utoipa::path(post, path = "/v1/services/{service}/flip", tag = "switch", operation_id = "flip",
    params(
        ("service" = String, Path, description = "The service.", example = "web"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key is answered the same again, for 24 h."),
        ("If-Match" = Option<String>, Header, description = "Only if this is the revision; 412 otherwise.", example = "\"17\""),
    ),
    request_body = FlipBody,
    responses((status = 200, description = "Every worker serves the switch; or, with `dry_run`, the plan.", body = FlipAnswer)))]
pub(super) async fn flip(
    State(api): State<Api>,
    call: Call<ServiceName, (), Json<FlipBody>>,
) -> Result<Reply, Problem> {
    let body = &call.body.0;
    let (flip, reason) = make_sense(|check| {
        let to: Option<VersionLabel> = check.parse("to", &body.to);
        let reason = text::read(check, "reason", body.reason.as_deref());
        let (if_epoch, force) = (body.if_epoch.map(Epoch), body.force.unwrap_or(false));
        Some((Flip { to: to?, if_epoch, force }, reason))
    })?;
    if body.dry_run == Some(true) {
        call.is_about(api.control().current().revision)?;
        return dry_run(&api, &call.at, &flip)?.write();
    }
    let flip = with_leave(&api, &call, flip).await?;
    let service = call.at.clone();
    let answer = move |done: &Done| Ok(Answer::ok(done.revision, FlipAnswer::Done(flipped(done, &service)?)));
    call.carry_out(&api, call.change(&call.at, Change::Flip(flip), reason), answer).await
}

/// The flip once the `pre_flip` hooks let it be made, in the epoch in which they were asked. They are asked only if nothing else stands in
/// its way.
async fn with_leave(
    api: &Api,
    call: &Call<ServiceName, (), Json<FlipBody>>,
    flip: Flip,
) -> Result<Flip, Problem> {
    let (current, now) = (api.control().current(), api.now());
    let Some(service) = current.state.services.get(&call.at) else { return Ok(flip) };
    if flip.force || !must_ask(service, &flip.to, now) || !obstacles(service, &flip, now).is_empty() {
        return Ok(flip);
    }
    call.is_about(current.revision)?;
    match api.control().ask_leave(service, &flip.to, now, call.actor.clone()).await {
        Ok(()) => Ok(Flip { if_epoch: Some(service.epoch), ..flip }),
        Err(LeaveError::Refused(why)) => Err(Rejected::because(Code::HookFailed, why).into()),
        Err(LeaveError::Submit(error)) => Err(error.into()),
    }
}

/// Goes back to the version that was active before, at once, and rejects the one that is.
#[utoipa::path(post, path = "/v1/services/{service}/rollback", tag = "switch", operation_id = "rollback",
    params(
        ("service" = String, Path, description = "The service.", example = "web"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key is answered the same again, for 24 h."),
        ("If-Match" = Option<String>, Header, description = "Only if this is the revision; 412 otherwise.", example = "\"17\""),
    ),
    request_body = RollbackBody,
    responses((status = 200, description = "Every worker serves the switch.", body = Flipped)))]
pub(super) async fn rollback(
    State(api): State<Api>,
    call: Call<ServiceName, (), Json<RollbackBody>>,
) -> Result<Reply, Problem> {
    let body = &call.body.0;
    let reason = make_sense(|check| Some(text::read(check, "reason", body.reason.as_deref())))?;
    let rollback = Rollback {
        if_epoch: body.if_epoch.map(Epoch),
        sessions: match body.sessions {
            None | Some(SessionsBody::Move) => Sessions::Move,
            Some(SessionsBody::Keep) => Sessions::Keep,
        },
        reason: reason.clone().unwrap_or_else(|| format!("rolled back by {}", call.actor.name)),
    };
    let service = call.at.clone();
    let answer = move |done: &Done| {
        let flipped = flipped(done, &service)?;
        Ok(Answer::ok(done.revision, Flipped { rejected: flipped.from.clone(), ..flipped }))
    };
    call.carry_out(&api, call.change(&call.at, Change::Rollback(rollback), reason), answer).await
}

fn dry_run(api: &Api, name: &ServiceName, flip: &Flip) -> Answered<FlipAnswer> {
    let (current, now) = (api.control().current(), api.now());
    let service = current.state.service(name)?;
    let reasons = obstacles(service, flip, now);
    let active = service.active_version();
    let load = active.map(|active| versions::seen(&current, service, active).load).unwrap_or_default();
    let plan = DryRun::new(service, flip, &reasons, load, now);
    Ok(Answer::ok(current.revision, FlipAnswer::DryRun(plan)))
}

fn flipped(done: &Done, name: &ServiceName) -> Result<Flipped, Problem> {
    let service = done.state.service(name)?;
    let before = done.before.services.get(name).and_then(|before| before.active.as_ref());
    // After a switch something is active.
    let to = service.active.as_ref().ok_or_else(Problem::internal)?;
    Ok(Flipped {
        epoch: service.epoch.0,
        from: before.map(ToString::to_string),
        to: to.to_string(),
        revision: done.revision.0,
        rejected: None,
    })
}

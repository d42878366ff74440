//! Holds: leases by workers and jobs that say "I still run this version".

use axum::extract::State;
use cutover_core::command::Change;
use cutover_core::id::{HoldName, ServiceName, VersionLabel};
use cutover_core::rejected::Code;
use cutover_core::time::Millis;

use super::answer::{Answered, Gone};
use super::api::Api;
use super::body::{Json, make_sense};
use super::call::Call;
use super::problem::Problem;
use super::versions;
use super::wire::versions::{HoldBody, VersionView};

const TTL_MIN: Millis = Millis::from_secs(1);
const TTL_MAX: Millis = Millis::from_secs(7 * 24 * 3600);

type At = (ServiceName, VersionLabel, HoldName);

/// Takes a hold on a version, or renews it.
#[utoipa::path(put, path = "/v1/services/{service}/versions/{version}/holds/{hold}", tag = "versions", operation_id = "set_hold",
    params(
        ("service" = String, Path, description = "The service.", example = "web"),
        ("version" = String, Path, description = "The version, percent-encoded.", example = "v1"),
        ("hold" = String, Path, description = "The hold.", example = "worker-7"),
    ),
    request_body = HoldBody,
    responses(
        (status = 200, description = "The hold is renewed. The version as it is now.", body = VersionView),
        (status = 201, description = "The hold is taken. The version as it is now.", body = VersionView),
    ))]
pub(super) async fn set(State(api): State<Api>, call: Call<At, (), Json<HoldBody>>) -> Answered<VersionView> {
    let (service, version, hold) = call.at.clone();
    let ttl = make_sense(|check| {
        let ttl = check.duration("ttl", &call.body.0.ttl);
        if !(TTL_MIN..=TTL_MAX).contains(&ttl) && check.are_clean(&["ttl"]) {
            check.wrong("ttl", format_args!("is \"{ttl}\"; must be from \"{TTL_MIN}\" to \"7d\""));
        }
        Some(ttl)
    })?;
    let by = call.actor.name.clone();
    let change = Change::SetHold { version: version.clone(), hold: hold.clone(), ttl, by };
    let done = api.control().submit(call.change(&service, change, None)).await?;
    let before = done.before.services.get(&service).and_then(|before| before.versions.get(&version));
    let is_new = before.is_none_or(|before| !before.holds.contains_key(&hold));
    Ok(versions::changed(&api, &done, &(service, version))?.created(is_new))
}

/// Gives a hold up. Done also when it has lapsed, so that a repetition is answered the same.
#[utoipa::path(delete, path = "/v1/services/{service}/versions/{version}/holds/{hold}", tag = "versions", operation_id = "drop_hold",
    params(
        ("service" = String, Path, description = "The service.", example = "web"),
        ("version" = String, Path, description = "The version, percent-encoded.", example = "v1"),
        ("hold" = String, Path, description = "The hold.", example = "worker-7"),
    ),
    responses((status = 204, description = "The hold is gone.")))]
pub(super) async fn drop(State(api): State<Api>, call: Call<At>) -> Result<Gone, Problem> {
    let (service, version, hold) = call.at.clone();
    let request = call.change(&service, Change::DropHold { version, hold }, None);
    Gone::also_if(Code::UnknownHold, &api, api.control().submit(request).await)
}

//! Gates: named conditions of a flip, opened and closed by whoever knows.

use axum::extract::State;
use cutover_core::command::Change;
use cutover_core::id::{GateName, ServiceName, VersionLabel};

use super::answer::Answered;
use super::api::Api;
use super::body::{Json, make_sense};
use super::call::Call;
use super::wire::versions::{GateBody, VersionView};
use super::{text, versions};

/// Opens or closes a gate of a version. Any name will do; a flip needs those that the service's policy lists.
#[utoipa::path(put, path = "/v1/services/{service}/versions/{version}/gates/{gate}", tag = "versions", operation_id = "set_gate",
    params(
        ("service" = String, Path, description = "The service.", example = "web"),
        ("version" = String, Path, description = "The version, percent-encoded.", example = "v2"),
        ("gate" = String, Path, description = "The gate.", example = "expand"),
    ),
    request_body = GateBody,
    responses((status = 200, description = "The version as it is now.", body = VersionView)))]
pub(super) async fn set(
    State(api): State<Api>,
    call: Call<(ServiceName, VersionLabel, GateName), (), Json<GateBody>>,
) -> Answered<VersionView> {
    let (service, version, gate) = call.at.clone();
    let note = make_sense(|check| Some(text::read(check, "note", call.body.0.note.as_deref())))?;
    let change = Change::SetGate {
        version: version.clone(),
        gate,
        is_open: call.body.0.open,
        note: note.clone().unwrap_or_default(),
        is_ahead: call.body.0.ahead.unwrap_or(false),
        by: call.actor.name.clone(),
    };
    let done = api.control().submit(call.change(&service, change, note)).await?;
    versions::changed(&api, &done, &(service, version))
}

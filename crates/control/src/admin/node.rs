//! The node itself: status, probes, metrics, the API's own description.

use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use cutover_core::time::Millis;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use prometheus::{Encoder, TextEncoder};

use super::answer::{Answer, Answered};
use super::api::Api;
use super::auth::Caller;
use super::call::Call;
use super::config::Grant;
use super::openapi;
use super::problem::Problem;
use super::query::Fresh;
use super::wire::status::{CallerView, Member, Status, StoreView};
use super::wire::time;

/// The state of this node.
#[utoipa::path(get, path = "/v1/status", tag = "node", operation_id = "status",
    params(
        ("revision" = Option<u64>, Query, description = "Answer when the state is newer than this revision, or when `timeout` is over."),
        ("timeout" = Option<String>, Query, description = "How long to wait, at most `1h`.", example = "30s"),
    ),
    responses((status = 200, description = "The state of this node.", body = Status)))]
pub(super) async fn status(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    call: Call<(), Fresh>,
) -> Answered<Status> {
    let current = api.fresh(call.query).await;
    let about = api.control().about();
    let revision = current.revision.0;
    let status = Status {
        node: about.node.clone(),
        version: env!("CARGO_PKG_VERSION"),
        pid: std::process::id(),
        predecessor_pid: api.control().elder().pid(),
        started_at: time::write(about.started_at),
        uptime: Millis::from_secs(api.now().since(about.started_at).as_secs()).to_string(),
        ready: api.control().is_ready(),
        revision,
        store: StoreView { kind: about.store },
        caller: CallerView {
            role: caller.grant.as_str(),
            services: match &caller.grant {
                Grant::Register(services) => Some(services.iter().map(ToString::to_string).collect()),
                Grant::Read | Grant::Operate | Grant::Admin => None,
            },
            name: caller.name,
        },
        members: vec![Member { node: about.node.clone(), revision }],
    };
    Ok(Answer::ok(current.revision, status))
}

/// Whether the process lives.
#[utoipa::path(get, path = "/livez", tag = "node", operation_id = "livez",
    responses((status = 200, description = "It does.", body = str, content_type = "text/plain")))]
pub(super) async fn livez() -> &'static str {
    "ok\n"
}

/// Whether the state is loaded and served.
#[utoipa::path(get, path = "/readyz", tag = "node", operation_id = "readyz",
    responses(
        (status = 200, description = "It is.", body = str, content_type = "text/plain"),
        (status = 503, description = "Not yet, or not any more.", body = super::wire::problem::ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn readyz(State(api): State<Api>) -> Result<&'static str, Problem> {
    if api.control().is_ready() {
        return Ok("ok\n");
    }
    let detail = "no clients are taken, because the state is not loaded and served yet, or the process ends";
    Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", detail).retriable())
}

/// Everything that is counted, for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "node", operation_id = "metrics",
    responses((status = 200, description = "Prometheus text format.", body = str, content_type = "text/plain")))]
pub(super) async fn metrics(State(api): State<Api>) -> Response {
    exposition(api.registry())
}

/// The metrics of `registry` as an answer.
pub(super) fn exposition(registry: &prometheus::Registry) -> Response {
    let encoder = TextEncoder::new();
    let mut text = Vec::new();
    if let Err(error) = encoder.encode(&registry.gather(), &mut text) {
        tracing::error!(%error, "metrics can't be written");
        return Problem::internal().into_response();
    }
    ([(CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"))], text)
        .into_response()
}

/// This document.
#[utoipa::path(get, path = "/openapi.json", tag = "node", operation_id = "openapi",
    responses((status = 200, description = "OpenAPI 3.1.", body = Object, content_type = "application/json")))]
pub(super) async fn openapi(State(api): State<Api>) -> Response {
    let text = api.document(|| openapi::text().into());
    ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], text).into_response()
}

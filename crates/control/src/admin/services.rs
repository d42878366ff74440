//! Services: list, show, create or replace, remove.

use std::sync::Arc;

use axum::extract::State;
use cutover_core::backend::Origin;
use cutover_core::command::{Change, Command, Registration};
use cutover_core::id::{BackendId, ServiceName};
use cutover_core::policy::{Hook, Secret};
use cutover_core::service::{Service, Source};
use http::StatusCode;
use serde_json::Value;

use super::answer::{Answer, Answered, Gone};
use super::api::Api;
use super::backends::LEAVE_DEFAULT;
use super::body::Document;
use super::call::Call;
use super::problem::Problem;
use super::query::Fresh;
use super::wire::service::{HookSpec, ServiceSpec, UpstreamSpec, from_json};
use super::wire::services::{ServiceList, ServiceView};
use crate::document::{Check, Path, Problems};
use crate::handle::{self, Done};
use crate::shared_cookie;

/// All services.
#[utoipa::path(get, path = "/v1/services", tag = "services", operation_id = "list_services",
    params(
        ("revision" = Option<u64>, Query, description = "Answer when the state is newer than this revision, or when `timeout` is over."),
        ("timeout" = Option<String>, Query, description = "How long to wait, at most `1h`.", example = "30s"),
    ),
    responses((status = 200, description = "The services, by name.", body = ServiceList)))]
pub(super) async fn list(State(api): State<Api>, call: Call<(), Fresh>) -> Answered<ServiceList> {
    let current = api.fresh(call.query).await;
    let services = current
        .state
        .services
        .values()
        .map(|service| ServiceView::new(service, api.control().verdict(&service.name).as_ref()));
    let services = services.collect();
    Ok(Answer::ok(current.revision, ServiceList { services }))
}

/// One service, with its policy.
#[utoipa::path(get, path = "/v1/services/{service}", tag = "services", operation_id = "show_service",
    params(
        ("service" = String, Path, description = "The service.", example = "web"),
        ("revision" = Option<u64>, Query, description = "Answer when the state is newer than this revision, or when `timeout` is over."),
        ("timeout" = Option<String>, Query, description = "How long to wait, at most `1h`.", example = "30s"),
    ),
    responses((status = 200, description = "The service.", body = ServiceView)))]
pub(super) async fn show(State(api): State<Api>, call: Call<ServiceName, Fresh>) -> Answered<ServiceView> {
    let current = api.fresh(call.query).await;
    let service = current.state.service(&call.at)?;
    Ok(Answer::ok(current.revision, view(&api, service)))
}

/// Creates a service, or replaces its policy. What runs is kept: nothing is flipped, drained or deregistered by it, except that the
/// static backends become exactly those of the document.
#[utoipa::path(put, path = "/v1/services/{service}", tag = "services", operation_id = "put_service",
    params(("service" = String, Path, description = "The service.", example = "web")),
    request_body = ServiceSpec,
    responses(
        (status = 200, description = "The service was there and has this policy now.", body = ServiceView),
        (status = 201, description = "The service is created.", body = ServiceView),
    ))]
pub(super) async fn put(
    State(api): State<Api>,
    call: Call<ServiceName, (), Document>,
) -> Answered<ServiceView> {
    let name = &call.at;
    let (document, text) = with_secrets(&api, name, &call.body);
    let (spec, configured) = from_json(document, name).map_err(|problems| refusal(&call.body, problems))?;
    check_files(spec.upstream, spec.hook).await.map_err(|problems| refusal(&call.body, problems))?;
    let command = Command::PutService {
        service: name.clone(),
        policy: Arc::clone(&configured.policy),
        document: text.as_str().into(),
    };
    let done = api.control().submit(call.request(command, None)).await?;
    let before = done.before.services.get(name).cloned();
    let done = replace_static(&api, &call, before.as_deref(), configured.backends, done).await?;
    let policies = done.state.services.iter().map(|(name, service)| (name, &*service.policy));
    for shared in shared_cookie::find(policies).iter().filter(|shared| shared.services.contains(name)) {
        tracing::warn!(service = %name, "{shared}");
    }
    let service = done.state.service(name)?;
    Ok(Answer::put(before.is_none(), done.revision, view(&api, service)))
}

/// Removes a service with all its backends.
#[utoipa::path(delete, path = "/v1/services/{service}", tag = "services", operation_id = "remove_service",
    params(("service" = String, Path, description = "The service.", example = "web")),
    responses((status = 204, description = "The service is removed.")))]
pub(super) async fn remove(State(api): State<Api>, call: Call<ServiceName>) -> Result<Gone, Problem> {
    let request = call.request(Command::RemoveService(call.at.clone()), None);
    Ok(Gone(api.control().submit(request).await?.revision))
}

fn view(api: &Api, service: &Service) -> ServiceView {
    ServiceView::with_policy(service, api.control().verdict(&service.name).as_ref())
}

/// The document, in which hooks that name no secret have the one that they had: what is shown of a service can be put again.
fn with_secrets(api: &Api, name: &ServiceName, body: &Document) -> (Value, String) {
    let mut document = body.value.clone();
    let current = api.control().current();
    let known = current.state.services.get(name).map(|service| service.policy.hooks.as_slice());
    let hooks = document.get_mut("hook").and_then(Value::as_array_mut).into_iter().flatten();
    let mut is_changed = false;
    for hook in hooks.filter_map(Value::as_object_mut).filter(|hook| !hook.contains_key("secret")) {
        let says = |key: &str, text: &str| hook.get(key).and_then(Value::as_str) == Some(text);
        let is_it = |known: &&Hook| says("on", known.on.as_str()) && says("url", &known.url.to_string());
        let known = known.unwrap_or_default().iter().find(is_it).map(|known| &known.secret);
        if let Some(Secret::Given(secret)) = known {
            hook.insert("secret".to_owned(), Value::from(&**secret));
            is_changed = true;
        }
    }
    let text = if is_changed { document.to_string() } else { body.text.clone() };
    (document, text)
}

/// The files that a document names are on this host: now is when somebody is there to be told what is wrong with them.
async fn check_files(upstream: UpstreamSpec, hooks: Vec<HookSpec>) -> Result<(), Problems> {
    let checked = tokio::task::spawn_blocking(move || {
        let mut problems = Problems::default();
        let mut service = Check::new(Path::root(), &mut problems);
        upstream.check_files(&mut service.table("upstream").table("tls"));
        for (index, hook) in hooks.iter().enumerate() {
            hook.check_files(&mut service.element("hook", index));
        }
        problems
    });
    match checked.await {
        Ok(problems) if !problems.is_empty() => Err(problems),
        // A check that broke says nothing about the files.
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Makes the static backends those of the new document. Each step may be repeated: a PUT that fails half-way is simply sent again.
async fn replace_static(
    api: &Api,
    call: &Call<ServiceName, (), Document>,
    before: Option<&Service>,
    backends: Vec<Registration>,
    mut done: Done,
) -> Result<Done, Problem> {
    let is_listed = |id: &BackendId| backends.iter().any(|backend| backend.backend == *id);
    let outdated = before.map(static_backends).unwrap_or_default().into_iter().filter(|id| !is_listed(id));
    let mut changes: Vec<Change> =
        outdated.map(|backend| Change::Deregister { backend, drain: LEAVE_DEFAULT }).collect();
    changes.extend(backends.into_iter().map(Change::Register));
    for change in changes {
        let command = Command::Service(call.at.clone(), change);
        done = api.control().submit(handle::Request::new(command, call.actor.clone())).await?;
    }
    Ok(done)
}

/// The backends that the last document listed and that are still there as it left them: without a lease.
fn static_backends(service: &Service) -> Vec<BackendId> {
    let Source::Api(text) = &service.source else { return Vec::new() };
    let document = serde_json::from_str(text.text()).ok();
    let listed = document.and_then(|document| from_json(document, &service.name).ok());
    let is_static = |id: &BackendId| {
        service.backends.get(id).is_some_and(|backend| backend.origin == Origin::Registered(None))
    };
    let backends = listed.map(|(_, configured)| configured.backends).unwrap_or_default();
    backends.into_iter().map(|backend| backend.backend).filter(is_static).collect()
}

/// A document that deserializes has the right shape: what is wrong with it then is its sense.
fn refusal(body: &Document, problems: Problems) -> Problem {
    match serde_json::from_value::<ServiceSpec>(body.value.clone()) {
        Ok(_) => Problem::document(StatusCode::UNPROCESSABLE_ENTITY, "invalid", problems),
        Err(_) => Problem::document(StatusCode::BAD_REQUEST, "malformed", problems),
    }
}

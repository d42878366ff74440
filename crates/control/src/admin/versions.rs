//! Versions: list, show and wait; evict, reject, clear.

use axum::extract::State;
use cutover_core::command::Change;
use cutover_core::id::{ServiceName, VersionLabel};
use cutover_core::rejected::{Code, Rejected};
use cutover_core::service::Service;
use cutover_core::version::{Role, Version};
use http::StatusCode;

use super::answer::{Answer, Answered};
use super::api::{Api, Unreached};
use super::body::{Json, make_sense};
use super::call::Call;
use super::problem::Problem;
use super::query::{Fresh, FromQuery, Parameters};
use super::text;
use super::wire::problem::ProblemBody;
use super::wire::versions::{LatencyView, ReasonOnlyBody, Seen, VersionList, VersionView};
use crate::handle::{Current, Done};
use crate::reply::Reply;

type At = (ServiceName, VersionLabel);

/// `?wait=<role>&timeout=60s`, beside what every read understands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wait {
    role: Option<Role>,
    fresh: Fresh,
}

impl FromQuery for Wait {
    fn from_query(query: &mut Parameters) -> Result<Self, Problem> {
        let role = match query.text("wait") {
            None => None,
            Some(word) => Some(Role::parse(&word).ok_or_else(|| {
                let roles = Role::ALL.map(Role::as_str).join(", ");
                let detail = format!("wait is {word:?}; must be a role: {roles}");
                Problem::malformed("malformed_parameter", "wait", detail)
            })?),
        };
        Ok(Self { role, fresh: Fresh::from_query(query)? })
    }
}

/// `?latencies=true`, beside what every read understands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Listing {
    has_latencies: bool,
    fresh: Fresh,
}

impl FromQuery for Listing {
    fn from_query(query: &mut Parameters) -> Result<Self, Problem> {
        Ok(Self { has_latencies: query.flag("latencies")?, fresh: Fresh::from_query(query)? })
    }
}

/// All versions of a service.
#[utoipa::path(get, path = "/v1/services/{service}/versions", tag = "versions", operation_id = "list_versions",
    params(
        ("service" = String, Path, description = "The service.", example = "web"),
        ("revision" = Option<u64>, Query, description = "Answer when the state is newer than this revision, or when `timeout` is over."),
        ("timeout" = Option<String>, Query, description = "How long to wait, at most `1h`.", example = "30s"),
        ("latencies" = Option<bool>, Query, description = "Whether each version comes with its answers by their latency, `false` when it is not given."),
    ),
    responses((status = 200, description = "The versions, the newest first.", body = VersionList)))]
pub(super) async fn list(State(api): State<Api>, call: Call<ServiceName, Listing>) -> Answered<VersionList> {
    let current = api.fresh(call.query.fresh).await;
    let service = current.state.service(&call.at)?;
    let mut list = VersionList::new(service, |version| seen(&current, service, version), api.now());
    if call.query.has_latencies {
        for version in &mut list.versions {
            version.latencies = Some(latencies(&current, service, &version.version));
        }
    }
    Ok(Answer::ok(current.revision, list))
}

/// One version. With `wait`, answers when it has that role; `drained` is also reached by a rejected version of which nothing is left.
#[utoipa::path(get, path = "/v1/services/{service}/versions/{version}", tag = "versions", operation_id = "show_version",
    params(
        ("service" = String, Path, description = "The service.", example = "web"),
        ("version" = String, Path, description = "The version, percent-encoded.", example = "v2"),
        ("wait" = Option<String>, Query, description = "The role to wait for; 408 when it is not reached in time.", example = "drained"),
        ("timeout" = Option<String>, Query, description = "How long to wait, at most `1h`.", example = "60s"),
        ("revision" = Option<u64>, Query, description = "Answer when the state is newer than this, or when `timeout` is over. Not used with `wait`."),
    ),
    responses(
        (status = 200, description = "The version.", body = VersionView),
        (status = 408, description = "It does not have the role that was waited for.", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn show(State(api): State<Api>, call: Call<At, Wait>) -> Answered<VersionView> {
    let current = match call.query.role {
        None => api.fresh(call.query.fresh).await,
        Some(role) => reach(&api, &call, role).await?,
    };
    let (service, version) = find(&current, &call.at)?;
    let view = VersionView::new(service, version, seen(&current, service, version), api.now());
    Ok(Answer::ok(current.revision, view))
}

/// Ends the drain of a version now: what is left of it moves at its next request.
#[utoipa::path(post, path = "/v1/services/{service}/versions/{version}/evict", tag = "versions", operation_id = "evict_version",
    params(
        ("service" = String, Path, description = "The service.", example = "web"),
        ("version" = String, Path, description = "The version, percent-encoded.", example = "v1"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key is answered the same again, for 24 h."),
    ),
    request_body = ReasonOnlyBody,
    responses((status = 200, description = "The version as it is now.", body = VersionView)))]
pub(super) async fn evict(
    State(api): State<Api>,
    call: Call<At, (), Json<ReasonOnlyBody>>,
) -> Result<Reply, Problem> {
    judge(&api, &call, |version, _| Change::Evict(version)).await
}

/// Judges a version bad: it is never picked automatically, and a flip to it is refused.
#[utoipa::path(post, path = "/v1/services/{service}/versions/{version}/reject", tag = "versions", operation_id = "reject_version",
    params(
        ("service" = String, Path, description = "The service.", example = "web"),
        ("version" = String, Path, description = "The version, percent-encoded.", example = "v2"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key is answered the same again, for 24 h."),
    ),
    request_body = ReasonOnlyBody,
    responses((status = 200, description = "The version as it is now.", body = VersionView)))]
pub(super) async fn reject(
    State(api): State<Api>,
    call: Call<At, (), Json<ReasonOnlyBody>>,
) -> Result<Reply, Problem> {
    let by = format!("by {}", call.actor.name);
    judge(&api, &call, |version, reason| Change::Reject { version, reason: reason.unwrap_or(by) }).await
}

/// Takes a rejection or a supersession back.
#[utoipa::path(post, path = "/v1/services/{service}/versions/{version}/clear", tag = "versions", operation_id = "clear_version",
    params(
        ("service" = String, Path, description = "The service.", example = "web"),
        ("version" = String, Path, description = "The version, percent-encoded.", example = "v2"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key is answered the same again, for 24 h."),
    ),
    request_body = ReasonOnlyBody,
    responses((status = 200, description = "The version as it is now.", body = VersionView)))]
pub(super) async fn clear(
    State(api): State<Api>,
    call: Call<At, (), Json<ReasonOnlyBody>>,
) -> Result<Reply, Problem> {
    judge(&api, &call, |version, _| Change::Clear(version)).await
}

/// What a change made of a version.
pub(super) fn changed(api: &Api, done: &Done, at: &At) -> Answered<VersionView> {
    // The cells are as of now; the state is the one that the change made.
    let current = Current { revision: done.revision, state: done.state.clone(), ..api.control().current() };
    let (service, version) = find(&current, at)?;
    let view = VersionView::new(service, version, seen(&current, service, version), api.now());
    Ok(Answer::ok(done.revision, view))
}

/// What the data plane does for a version right now.
pub(super) fn seen(current: &Current, service: &Service, version: &Version) -> Seen {
    let set = current.snapshot.service(&service.name);
    let set = set.and_then(|set| set.version(version.label.as_str()));
    set.map(|set| Seen { load: set.load(), answering: set.traffic.answers.read() }).unwrap_or_default()
}

/// The answers of a version by their latency. What no worker knows any more has answered nothing.
fn latencies(current: &Current, service: &Service, label: &str) -> Vec<LatencyView> {
    let set = current.snapshot.service(&service.name).and_then(|set| set.version(label));
    set.map(|set| LatencyView::all(&set.traffic.answers.tally())).unwrap_or_default()
}

async fn judge(
    api: &Api,
    call: &Call<At, (), Json<ReasonOnlyBody>>,
    change: impl FnOnce(VersionLabel, Option<String>) -> Change,
) -> Result<Reply, Problem> {
    let (service, version) = &call.at;
    let reason = make_sense(|check| Some(text::read(check, "reason", call.body.0.reason.as_deref())))?;
    let change = change(version.clone(), reason.clone());
    let (shown, at) = (api.clone(), call.at.clone());
    let answer = move |done: &Done| changed(&shown, done, &at);
    call.carry_out(api, call.change(service, change, reason), answer).await
}

/// The state in which the version has the role that is waited for.
async fn reach(api: &Api, call: &Call<At, Wait>, wanted: Role) -> Result<Current, Problem> {
    // A version that is gone ends the wait as well: it will never have the role.
    let is_reached =
        |current: &Current| find(current, &call.at).map_or(true, |(_, version)| has_reached(version, wanted));
    match api.wait(call.query.fresh.timeout, is_reached).await {
        Ok(current) => Ok(current),
        Err(Unreached::TimedOut) => {
            let current = api.control().current();
            let (_, version) = find(&current, &call.at)?;
            let detail = format!("version {} is {}, not {wanted}", version.label, version.role);
            Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "role_not_reached", detail))
        }
        Err(Unreached::Stopped(problem)) => Err(problem),
    }
}

fn has_reached(version: &Version, wanted: Role) -> bool {
    version.role == wanted || (wanted == Role::Drained && version.drained.is_some())
}

fn find<'a>(current: &'a Current, (service, label): &At) -> Result<(&'a Service, &'a Version), Rejected> {
    let service = current.state.service(service)?;
    let version = service.versions.get(label).ok_or_else(|| {
        let detail = format!("no backend of {} ever reported version {label}", service.name);
        Rejected::because(Code::UnknownVersion, detail)
    })?;
    Ok((service, version))
}

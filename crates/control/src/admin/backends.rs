//! Backends: list, register, keep the lease, change, leave.

use std::collections::BTreeMap;

use axum::extract::State;
use cutover_core::address::Address;
use cutover_core::backend::{AdminState, Weight};
use cutover_core::command::{Change, Registration};
use cutover_core::id::{BackendId, ServiceName, VersionLabel};
use cutover_core::rejected::{Code, Rejected};
use cutover_core::snapshot::BackendEntry;
use cutover_core::state::State as ControlState;
use cutover_core::time::Millis;
use http::StatusCode;

use super::answer::{Answer, Answered, Gone};
use super::api::{Api, Unreached};
use super::body::{Json, make_sense};
use super::call::Call;
use super::problem::Problem;
use super::query::{Fresh, FromQuery, Parameters, WAIT_MAX};
use super::text;
use super::wire::backends::{
    AdminBody, BackendList, BackendLoad, BackendView, HeartbeatBody, PatchBody, ProbeView, RegisterBody,
    Registered,
};
use super::wire::{schema, time};
use crate::document::Check;
use crate::handle::{Current, Done};
use crate::probe::ProbeReport;
use crate::reply::Reply;

/// Time that a leaving backend has for what is in flight, when nobody says otherwise.
pub(super) const LEAVE_DEFAULT: Millis = Millis::from_secs(30);
/// Lease of a backend that names none.
const TTL_DEFAULT: Millis = Millis::from_secs(30);
const TTL_MIN: Millis = Millis::from_secs(1);
const TTL_MAX: Millis = Millis::from_secs(24 * 3600);
/// Longest boot id or zone in bytes.
const WORD_MAX: usize = 256;
const METADATA_MAX: usize = 64;
const METADATA_BYTES_MAX: usize = 16 * 1024;
/// Beyond its time, a leaving backend is removed at the next tick; then something is wrong.
const LEAVE_SLACK: Millis = Millis::from_secs(10);

type Backend = (ServiceName, BackendId);

/// How long a leaving backend has: `?drain=30s`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Leave {
    drain: Millis,
}

impl FromQuery for Leave {
    fn from_query(query: &mut Parameters) -> Result<Self, Problem> {
        Ok(Self { drain: query.duration("drain", WAIT_MAX)?.unwrap_or(LEAVE_DEFAULT) })
    }
}

/// All backends of a service.
#[utoipa::path(get, path = "/v1/services/{service}/backends", tag = "backends", operation_id = "list_backends",
    params(
        ("service" = String, Path, description = "The service.", example = "web"),
        ("revision" = Option<u64>, Query, description = "Answer when the state is newer than this revision, or when `timeout` is over."),
        ("timeout" = Option<String>, Query, description = "How long to wait, at most `1h`.", example = "30s"),
    ),
    responses((status = 200, description = "The backends, by id.", body = BackendList)))]
pub(super) async fn list(State(api): State<Api>, call: Call<ServiceName, Fresh>) -> Answered<BackendList> {
    let current = api.fresh(call.query).await;
    let service = current.state.service(&call.at)?;
    // One pass over the snapshot: a service may have thousands.
    let entries: BTreeMap<&BackendId, &BackendEntry> = current
        .snapshot
        .service(&call.at)
        .map(|set| set.backends.iter().map(|entry| (&entry.id, &**entry)).collect())
        .unwrap_or_default();
    let view = |backend: &cutover_core::backend::Backend| {
        let load = entries.get(&backend.id).map(|entry| load(entry)).unwrap_or_default();
        let probe = api.control().backend_probe(&call.at, &backend.id).map(|report| probe(&report));
        BackendView::new(backend, load, probe)
    };
    let backends = service.backends.values().map(|backend| view(backend)).collect();
    Ok(Answer::ok(current.revision, BackendList { backends }))
}

/// Registers a backend, or registers it again, which renews its lease.
#[utoipa::path(put, path = "/v1/services/{service}/backends/{backend}", tag = "backends", operation_id = "register_backend",
    params(
        ("service" = String, Path, description = "The service.", example = "web"),
        ("backend" = String, Path, description = "The backend.", example = "a"),
    ),
    request_body = RegisterBody,
    responses(
        (status = 200, description = "The backend was known and is registered for another lease.", body = Registered),
        (status = 201, description = "The backend is registered.", body = Registered),
    ))]
pub(super) async fn register(
    State(api): State<Api>,
    call: Call<Backend, (), Json<RegisterBody>>,
) -> Answered<Registered> {
    let (service, id) = &call.at;
    let registration = make_sense(|check| registration(id, &call.body.0, check))?;
    let done = api.control().submit(call.change(service, Change::Register(registration), None)).await?;
    let is_new = done.before.services.get(service).is_none_or(|before| !before.backends.contains_key(id));
    Ok(Answer::put(is_new, done.revision, registered(&done.state, &call.at)?))
}

/// Keeps the lease of a backend, and tells it what it should know. 404 = register again.
#[utoipa::path(post, path = "/v1/services/{service}/backends/{backend}/heartbeat", tag = "backends", operation_id = "heartbeat",
    params(
        ("service" = String, Path, description = "The service.", example = "web"),
        ("backend" = String, Path, description = "The backend.", example = "a"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key is answered the same again, for 24 h."),
    ),
    request_body = HeartbeatBody,
    responses((status = 200, description = "The lease is renewed.", body = Registered)))]
pub(super) async fn heartbeat(
    State(api): State<Api>,
    call: Call<Backend, (), Json<HeartbeatBody>>,
) -> Result<Reply, Problem> {
    let (service, id) = &call.at;
    let change = make_sense(|check| {
        let HeartbeatBody { version, boot_id } = &call.body.0;
        Some(Change::Heartbeat {
            backend: id.clone(),
            version: label(check, version.as_deref()),
            boot_id: word(check, "boot_id", boot_id.as_deref()),
        })
    })?;
    let at = call.at.clone();
    let answer = move |done: &Done| Ok(Answer::ok(done.revision, registered(&done.state, &at)?));
    call.carry_out(&api, call.change(service, change, None), answer).await
}

/// Changes what is wanted of a backend. Refused when less than `min_capacity` would stay usable, unless forced.
#[utoipa::path(patch, path = "/v1/services/{service}/backends/{backend}", tag = "backends", operation_id = "change_backend",
    params(
        ("service" = String, Path, description = "The service.", example = "web"),
        ("backend" = String, Path, description = "The backend.", example = "a"),
    ),
    request_body = PatchBody,
    responses((status = 200, description = "The backend as it is now.", body = BackendView)))]
pub(super) async fn change(
    State(api): State<Api>,
    call: Call<Backend, (), Json<PatchBody>>,
) -> Answered<BackendView> {
    let (service, id) = &call.at;
    let body = &call.body.0;
    let (change, reason) = make_sense(|check| {
        let change = Change::Patch {
            backend: id.clone(),
            admin: body.admin.map(|admin| match admin {
                AdminBody::Ready => AdminState::Ready,
                AdminBody::Drain => AdminState::Drain,
                AdminBody::Maint => AdminState::Maint,
            }),
            weight: body.weight.and_then(|value| weight(check, value)),
            force: body.force.unwrap_or(false),
            by: call.actor.name.clone(),
        };
        Some((change, text::read(check, "reason", body.reason.as_deref())))
    })?;
    let done = api.control().submit(call.change(service, change, reason)).await?;
    let backend = find(&done.state, &call.at)?;
    Ok(Answer::ok(done.revision, view(&api, &call.at, backend)))
}

/// Drains a backend and removes it. Answers when it is gone.
#[utoipa::path(delete, path = "/v1/services/{service}/backends/{backend}", tag = "backends", operation_id = "deregister_backend",
    params(
        ("service" = String, Path, description = "The service.", example = "web"),
        ("backend" = String, Path, description = "The backend.", example = "a"),
        ("drain" = Option<String>, Query, description = "Time it has for what is in flight, `0s` to `1h`; `30s` when it is not given.", example = "30s"),
    ),
    responses((status = 204, description = "The backend is gone.")))]
pub(super) async fn remove(State(api): State<Api>, call: Call<Backend, Leave>) -> Result<Gone, Problem> {
    let (service, id) = &call.at;
    let drain = call.query.drain;
    let change = Change::Deregister { backend: id.clone(), drain };
    let done = api.control().submit(call.change(service, change, None)).await?;
    // It may come back while it leaves: then it stays.
    let is_over =
        |current: &Current| find(&current.state, &call.at).map_or(true, |backend| backend.leaving.is_none());
    match api.wait(Millis(drain.0 + LEAVE_SLACK.0), is_over).await {
        Ok(current) if find(&current.state, &call.at).is_err() => {
            Ok(Gone(current.revision.max(done.revision)))
        }
        Ok(_) => {
            let detail = format!("backend {id} registered again before it was gone");
            Err(Problem::new(StatusCode::CONFLICT, "registered_again", detail))
        }
        Err(Unreached::TimedOut) => {
            let detail = format!("backend {id} drains, but is not gone yet");
            Err(Problem::new(StatusCode::GATEWAY_TIMEOUT, "still_draining", detail))
        }
        Err(Unreached::Stopped(problem)) => Err(problem),
    }
}

fn registration(id: &BackendId, body: &RegisterBody, check: &mut Check<'_>) -> Option<Registration> {
    let address: Option<Address> = check.parse("address", &body.address);
    Some(Registration {
        backend: id.clone(),
        version: label(check, body.version.as_deref()),
        weight: body.weight.map_or(Some(Weight::ONE), |value| weight(check, value)).unwrap_or(Weight::ONE),
        ttl: ttl(check, body.ttl.as_deref()),
        boot_id: word(check, "boot_id", body.boot_id.as_deref()),
        zone: word(check, "zone", body.zone.as_deref()),
        schema: schema::range(check, body.schema_min, body.schema_max),
        metadata: metadata(check, body.metadata.as_ref()),
        // Last, so that everything else is reported as well.
        address: address?,
    })
}

fn ttl(check: &mut Check<'_>, text: Option<&str>) -> Option<Millis> {
    let Some(text) = text else { return Some(TTL_DEFAULT) };
    let ttl = check.duration("ttl", text);
    if ttl.is_zero() {
        return None;
    }
    if !(TTL_MIN..=TTL_MAX).contains(&ttl) {
        check.wrong(
            "ttl",
            format_args!("is {text:?}; must be from \"{TTL_MIN}\" to \"1d\", or \"0\" for no lease"),
        );
    }
    Some(ttl)
}

fn label(check: &mut Check<'_>, text: Option<&str>) -> Option<VersionLabel> {
    check.parse("version", text?)
}

fn weight(check: &mut Check<'_>, value: u64) -> Option<Weight> {
    let weight = Weight::new(value);
    if weight.is_none() {
        check.wrong("weight", format_args!("is {value}; must be a whole number from 1 to 1000"));
    }
    weight
}

fn word(check: &mut Check<'_>, key: &str, text: Option<&str>) -> Option<String> {
    let text = text?;
    let is_word = !text.is_empty() && text.len() <= WORD_MAX && !text.chars().any(char::is_control);
    if !is_word {
        check.wrong(key, format_args!("must be 1 to {WORD_MAX} bytes without control characters"));
    }
    is_word.then(|| text.to_owned())
}

fn metadata(check: &mut Check<'_>, metadata: Option<&BTreeMap<String, String>>) -> BTreeMap<String, String> {
    let Some(metadata) = metadata else { return BTreeMap::new() };
    let bytes: usize = metadata.iter().map(|(key, value)| key.len() + value.len()).sum();
    if metadata.len() > METADATA_MAX || bytes > METADATA_BYTES_MAX {
        check.wrong(
            "metadata",
            format_args!(
                "has {} values and {bytes} bytes; at most {METADATA_MAX} and {METADATA_BYTES_MAX} are kept",
                metadata.len()
            ),
        );
    }
    metadata.clone()
}

fn find<'a>(
    state: &'a ControlState,
    (service, id): &Backend,
) -> Result<&'a cutover_core::backend::Backend, Rejected> {
    let backend = state.service(service)?.backends.get(id);
    let unknown = || Rejected::because(Code::UnknownBackend, format!("{service} has no backend {id}"));
    backend.map(|backend| &**backend).ok_or_else(unknown)
}

fn registered(state: &ControlState, at: &Backend) -> Result<Registered, Rejected> {
    Ok(Registered::new(state.service(&at.0)?, find(state, at)?))
}

fn view(api: &Api, (service, id): &Backend, backend: &cutover_core::backend::Backend) -> BackendView {
    let snapshot = api.control().current().snapshot;
    let set = snapshot.service(service);
    let entry = set.and_then(|set| set.backends.iter().find(|entry| entry.id == *id));
    let probe = api.control().backend_probe(service, id).map(|report| probe(&report));
    BackendView::new(backend, entry.map(|entry| load(entry)).unwrap_or_default(), probe)
}

fn load(entry: &BackendEntry) -> BackendLoad {
    BackendLoad {
        in_flight: entry.traffic.in_flight(),
        connections: entry.traffic.connections(),
        latency_us: entry.traffic.latency_us(),
    }
}

fn probe(report: &ProbeReport) -> ProbeView {
    ProbeView {
        at: time::write(report.at),
        ok: report.is_ok,
        took: Millis(u64::try_from(report.latency.as_millis()).unwrap_or(u64::MAX)).to_string(),
        detail: report.detail.clone(),
    }
}

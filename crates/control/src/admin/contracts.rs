//! What old code can't work with any more: contract migrations, and the schema of the database.

use axum::extract::State;
use cutover_core::command::Change;
use cutover_core::contract::{RecordContract, obstacles, still_answers};
use cutover_core::id::ServiceName;
use cutover_core::rejected::{Reason, Rejected};
use cutover_core::schema::{Schema, SetSchema};
use cutover_core::service::Service;

use super::answer::{Answer, Answered};
use super::api::Api;
use super::body::{Json, make_sense};
use super::call::Call;
use super::problem::Problem;
use super::wire::schema::{
    self, ContractAnswer, ContractBody, ContractDryRun, Contracted, SchemaAnswer, SchemaBody,
};
use super::wire::time;
use super::{text, versions};
use crate::handle::{Current, Done};
use crate::reply::Reply;

/// Records that the contract migration of the active version ran, after which nothing older may become active again, not even by force.
/// Refused with every reason while older code may still run. With `dry_run`, answers whether it may run now.
#[utoipa::path(post, path = "/v1/services/{service}/contract", tag = "migrations", operation_id = "contract",
    params(
        ("service" = String, Path, description = "The service.", example = "web"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key is answered the same again, for 24 h."),
        ("If-Match" = Option<String>, Header, description = "Only if this is the revision; 412 otherwise.", example = "\"17\""),
    ),
    request_body = ContractBody,
    responses((status = 200, description = "It is recorded, now or before; or, with `dry_run`, what stands in its way.", body = ContractAnswer)))]
pub(super) async fn contract(
    State(api): State<Api>,
    call: Call<ServiceName, (), Json<ContractBody>>,
) -> Result<Reply, Problem> {
    let body = &call.body.0;
    let (schema, note) = make_sense(|check| {
        let schema = schema::schema(check, "schema", body.schema);
        Some((schema, text::read(check, "note", body.note.as_deref())))
    })?;
    let request = RecordContract {
        note: note.clone().unwrap_or_default(),
        schema,
        force: body.force.unwrap_or(false),
        by: call.actor.name.clone(),
    };
    if body.dry_run == Some(true) {
        call.is_about(api.control().current().revision)?;
        return dry_run(&api, &call.at, &request)?.write();
    }
    let current = api.control().current();
    if let Some(service) = current.state.services.get(&call.at) {
        let busy = busy(&current, service, &request);
        if !busy.is_empty() {
            return Err(Rejected { reasons: [obstacles(service, &request), busy].concat() }.into());
        }
    }
    let service = call.at.clone();
    let answer =
        move |done: &Done| Ok(Answer::ok(done.revision, ContractAnswer::Done(contracted(done, &service)?)));
    call.carry_out(&api, call.change(&call.at, Change::Contract(request), note), answer).await
}

/// Says at which schema the database is. Versions whose range does not contain it are not flipped to. Refused, unless forced, while a
/// version serves that can't work with it.
#[utoipa::path(put, path = "/v1/services/{service}/schema", tag = "migrations", operation_id = "set_schema",
    params(("service" = String, Path, description = "The service.", example = "web")),
    request_body = SchemaBody,
    responses((status = 200, description = "Versions are held against this schema from now on.", body = SchemaAnswer)))]
pub(super) async fn set_schema(
    State(api): State<Api>,
    call: Call<ServiceName, (), Json<SchemaBody>>,
) -> Answered<SchemaAnswer> {
    let SchemaBody { schema, note, force } = &call.body.0;
    let (schema, note) = make_sense(|check| {
        let schema = schema::schema(check, "schema", Some(*schema));
        Some((schema, text::read(check, "note", note.as_deref())))
    })?;
    let change = Change::SetSchema(SetSchema { schema, force: force.unwrap_or(false) });
    let done = api.control().submit(call.change(&call.at, change, note)).await?;
    schema_answer(&done, &call.at)
}

/// Says that nobody counts the schemas of the database any more. Versions are held against none then.
#[utoipa::path(delete, path = "/v1/services/{service}/schema", tag = "migrations", operation_id = "forget_schema",
    params(("service" = String, Path, description = "The service.", example = "web")),
    responses((status = 200, description = "Versions are held against no schema any more.", body = SchemaAnswer)))]
pub(super) async fn forget_schema(State(api): State<Api>, call: Call<ServiceName>) -> Answered<SchemaAnswer> {
    let change = Change::SetSchema(SetSchema { schema: None, force: false });
    let done = api.control().submit(call.change(&call.at, change, None)).await?;
    schema_answer(&done, &call.at)
}

fn dry_run(api: &Api, name: &ServiceName, request: &RecordContract) -> Answered<ContractAnswer> {
    let current = api.control().current();
    let service = current.state.service(name)?;
    let reasons = [obstacles(service, request), busy(&current, service, request)].concat();
    let dry_run = ContractDryRun::new(service, request, &reasons);
    Ok(Answer::ok(current.revision, ContractAnswer::DryRun(dry_run)))
}

/// Versions that stand in the way because of what the data plane does for them right now. No worker begins anything more for them.
fn busy(current: &Current, service: &Service, request: &RecordContract) -> Vec<Reason> {
    let versions = service.versions.values().filter(|_| !request.force);
    let in_flight = |version| versions::seen(current, service, version).load.in_flight;
    versions.filter_map(|version| still_answers(service, version, in_flight(version))).collect()
}

fn contracted(done: &Done, name: &ServiceName) -> Result<Contracted, Problem> {
    let service = done.state.service(name)?;
    // What was recorded is there.
    let contract = service.contract.as_ref().ok_or_else(Problem::internal)?;
    let before = done.before.services.get(name).and_then(|before| before.contract.as_ref());
    Ok(Contracted {
        floor: contract.floor.to_string(),
        at: time::write(contract.at),
        by: contract.by.clone(),
        note: contract.note.clone(),
        schema: service.schema.map(Schema::value),
        already: before == Some(contract),
        revision: done.revision.0,
    })
}

fn schema_answer(done: &Done, name: &ServiceName) -> Answered<SchemaAnswer> {
    let before = done.before.services.get(name).and_then(|before| before.schema);
    let answer = SchemaAnswer {
        schema: done.state.service(name)?.schema.map(Schema::value),
        from: before.map(Schema::value),
        revision: done.revision.0,
    };
    Ok(Answer::ok(done.revision, answer))
}

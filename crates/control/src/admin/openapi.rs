//! The API's own description, OpenAPI 3.1, generated from the routes and their types.

use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, Parameter, ParameterIn};
use utoipa::openapi::request_body::RequestBody;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{
    ComponentsBuilder, Content, InfoBuilder, License, ObjectBuilder, OpenApi, OpenApiBuilder, PathItem, Ref,
    RefOr, Required, Response, Schema, Type,
};
use utoipa::{PartialSchema, ToSchema};
use utoipa_axum::router::OpenApiRouter;

use super::auth::Role;
use super::routes::{self, Route};
use super::wire::problem::{ProblemBody, ReasonBody};

/// The security scheme of bearer tokens.
const TOKEN: &str = "token";
/// The answer to a caller who should come back later.
const LATER: &str = "Later";

const DESCRIPTION: &str = "\
Every answer carries the revision of the control state in `Cutover-Revision`. A GET with `?revision=N&timeout=30s` waits until the state \
is newer than N and answers the state as it is then, or as it is when the time is over: compare the revisions to tell which.

Errors are `application/problem+json` (RFC 9457) and list every reason. Unknown fields and parameters are refused by name.

PUT and DELETE may be repeated, and so may a call for a permit. Every other POST takes an `Idempotency-Key`: a repeated request is \
answered the same again for 24 h and carried out once, also when the process ends in between: the answer is stored together with the \
change. An answer to a request that changed nothing, such as a refusal, is kept as long as the process lives; after that, the repeated \
request is decided anew. Changes take `If-Match: \"<revision>\"` and answer 412 when the state is at another one.

429 says in `Retry-After` when to come back: too much is asked for at once (`overloaded`), or too many wrong tokens came from this address \
(`wrong_tokens`). A right token is never refused for what others have presented.

Durations are strings (`500ms`, `30s`, `1h`), times RFC 3339 in UTC. Names in paths are percent-encoded.";

const TAGS: [(&str, &str); 8] = [
    ("services", "Applications behind the proxy and their policies"),
    ("backends", "The servers of a service"),
    ("versions", "What the servers run"),
    ("switch", "Which version gets new sessions"),
    ("migrations", "What the database is for old code"),
    ("roll", "Which server may be restarted"),
    ("history", "What happened"),
    ("node", "The proxy itself"),
];

/// The document.
#[must_use]
pub fn document() -> OpenApi {
    let base =
        OpenApiBuilder::new()
            .info(
                InfoBuilder::new()
                    .title("cutover admin API")
                    .version("1")
                    .description(Some(DESCRIPTION))
                    .license(Some(License::new("MIT OR Apache-2.0")))
                    .build(),
            )
            .tags(Some(TAGS.map(|(name, description)| {
                TagBuilder::new().name(name).description(Some(description)).build()
            })))
            .components(Some(
                ComponentsBuilder::new()
                    .schema(ProblemBody::name(), ProblemBody::schema())
                    .schema(ReasonBody::name(), ReasonBody::schema())
                    .response(LATER, later())
                    .security_scheme(TOKEN, SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)))
                    .build(),
            ))
            .build();
    let mut router = OpenApiRouter::with_openapi(base);
    for Route { role, methods: (schemas, mut paths, methods), .. } in routes::table() {
        for operation in paths.paths.values_mut().flat_map(operations) {
            complete(operation, role);
        }
        router = router.routes((schemas, paths, methods));
    }
    let mut document = router.into_openapi();
    optional_bodies(&mut document);
    document
}

/// The document as text.
pub(super) fn text() -> String {
    // Generated from constants: if it could not be written, the test of its golden file fails.
    document().to_pretty_json().unwrap_or_default()
}

/// Adds what all operations have in common: the role that they ask for, how names and times are written, and how errors look.
fn complete(operation: &mut Operation, role: Option<Role>) {
    for parameter in operation.parameters.iter_mut().flatten() {
        if let RefOr::T(parameter) = parameter {
            narrow(parameter);
        }
    }
    let responses = &mut operation.responses.responses;
    if let Some(role) = role {
        operation.security = Some(vec![SecurityRequirement::new(TOKEN, [role.as_str()])]);
        responses.insert("429".to_owned(), Ref::from_response_name(LATER).into());
    }
    responses.insert("default".to_owned(), problem("Anything else: a problem with every reason.").into());
}

/// Says which texts a parameter takes.
fn narrow(parameter: &mut Parameter) {
    let (pattern, is_path) = match (&parameter.parameter_in, parameter.name.as_str()) {
        (ParameterIn::Path, "service" | "gate") => ("^[A-Za-z0-9._-]{1,64}$", true),
        (ParameterIn::Path, "backend" | "hold") => (r"^[A-Za-z0-9._:@~+\[\]-]{1,128}$", true),
        (ParameterIn::Path, "version") => ("^[!-~]{1,128}$", true),
        (ParameterIn::Query, "timeout" | "drain") => (r"^(0|(\d+d)?(\d+h)?(\d+m)?(\d+s)?(\d+ms)?)$", false),
        (ParameterIn::Header, "Idempotency-Key") => (r"^[!-~]([ -~]{0,253}[!-~])?$", false),
        _ => return,
    };
    let least = if is_path { None } else { Some(1) };
    let text =
        ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern)).min_length(least).build();
    parameter.schema = Some(text.into());
}

/// A body may be left out where nothing must be in it.
fn optional_bodies(document: &mut OpenApi) {
    let schemas =
        document.components.as_ref().map(|components| components.schemas.clone()).unwrap_or_default();
    let is_needed = |body: &RequestBody| {
        let mut references = body.content.values().filter_map(|content| match content {
            RefOr::T(Content { schema: Some(RefOr::Ref(reference)), .. }) => Some(reference),
            _ => None,
        });
        references.any(|reference| {
            let name = reference.ref_location.rsplit('/').next().unwrap_or_default();
            matches!(schemas.get(name), Some(RefOr::T(Schema::Object(object))) if !object.required.is_empty())
        })
    };
    for operation in document.paths.paths.values_mut().flat_map(operations) {
        if let Some(RefOr::T(body)) = &mut operation.request_body
            && !is_needed(body)
        {
            body.required = Some(Required::False);
        }
    }
}

fn later() -> Response {
    let mut later =
        problem("Not now: too much is asked for at once, or too many wrong tokens came from this address.");
    let seconds = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).build();
    let description = Some("Seconds after which it may be tried again.");
    let header = HeaderBuilder::new().schema(Some(seconds)).description(description).build();
    later.headers.insert("Retry-After".to_owned(), header.into());
    later
}

fn problem(description: &str) -> Response {
    let mut problem = Response::new(description);
    let schema = Ref::from_schema_name(ProblemBody::name());
    problem.content.insert("application/problem+json".to_owned(), Content::new(Some(schema)).into());
    problem
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch].into_iter().flatten()
}

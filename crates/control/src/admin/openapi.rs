//! The API's own description, OpenAPI 3.1, generated from the routes and their types.

use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{
    ComponentsBuilder, Content, InfoBuilder, License, ObjectBuilder, OpenApi, OpenApiBuilder, PathItem, Ref,
    Response, Type,
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
    router.into_openapi()
}

/// The document as text.
pub(super) fn text() -> String {
    // Generated from constants: if it could not be written, the test of its golden file fails.
    document().to_pretty_json().unwrap_or_default()
}

/// Adds what all operations have in common: the role that they ask for, and how errors look.
fn complete(operation: &mut Operation, role: Option<Role>) {
    let responses = &mut operation.responses.responses;
    if let Some(role) = role {
        operation.security = Some(vec![SecurityRequirement::new(TOKEN, [role.as_str()])]);
        responses.insert("429".to_owned(), Ref::from_response_name(LATER).into());
    }
    responses.insert("default".to_owned(), problem("Anything else: a problem with every reason.").into());
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

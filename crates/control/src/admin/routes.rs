//! Every route of the API, and what it asks of its callers. Reads like the table of the documentation.

use std::any::Any;

use axum::Router;
use axum::extract::Request;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::StatusCode;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa_axum::router::{UtoipaMethodRouter, UtoipaMethodRouterExt};
use utoipa_axum::routes;

use super::api::Api;
use super::auth::{self, Role};
use super::problem::Problem;
use super::{
    answer, assets, backends, canaries, contracts, dashboard, flips, gates, history, holds, host, node,
    permits, previews, replies, rolls, services, suspensions, upgrades, versions,
};

/// A route.
pub(super) struct Route {
    /// The role that it asks for; `None` = anybody's.
    pub(super) role: Option<Role>,
    /// Whether a POST that is sent again under the same key is answered from memory.
    pub(super) is_remembered: bool,
    /// What it does.
    pub(super) methods: UtoipaMethodRouter<Api>,
}

/// Every route.
pub(super) fn table() -> Vec<Route> {
    let open = |methods| Route { role: None, is_remembered: false, methods };
    let guarded = |role, methods| Route { role: Some(role), is_remembered: true, methods };
    let read = |methods| guarded(Role::Read, methods);
    let register = |methods| guarded(Role::Register, methods);
    let operate = |methods| guarded(Role::Operate, methods);
    let admin = |methods| guarded(Role::Admin, methods);
    // A permit that was granted yesterday is no permit.
    let as_of_now = |route| Route { is_remembered: false, ..route };
    vec![
        read(routes!(services::list)),
        read(routes!(services::show)),
        admin(routes!(services::put)),
        admin(routes!(services::remove)),
        read(routes!(backends::list)),
        register(routes!(backends::register)),
        register(routes!(backends::heartbeat)),
        operate(routes!(backends::change)),
        register(routes!(backends::remove)),
        read(routes!(versions::list)),
        read(routes!(versions::show)),
        operate(routes!(flips::flip)),
        operate(routes!(flips::rollback)),
        operate(routes!(canaries::set)),
        operate(routes!(gates::set)),
        operate(routes!(contracts::contract)),
        operate(routes!(contracts::set_schema)),
        operate(routes!(contracts::forget_schema)),
        operate(routes!(versions::reject)),
        operate(routes!(versions::clear)),
        operate(routes!(versions::evict)),
        operate(routes!(previews::make)),
        register(routes!(holds::set)),
        register(routes!(holds::drop)),
        as_of_now(register(routes!(permits::ask))),
        register(routes!(permits::give_back)),
        read(routes!(rolls::show)),
        operate(routes!(rolls::change)),
        operate(routes!(suspensions::freeze)),
        operate(routes!(suspensions::unfreeze)),
        operate(routes!(suspensions::begin_maintenance)),
        operate(routes!(suspensions::end_maintenance)),
        read(routes!(assets::list)),
        operate(routes!(assets::drop_all)),
        read(routes!(history::timeline)),
        read(routes!(history::events)),
        read(routes!(node::status)),
        as_of_now(admin(routes!(upgrades::upgrade))),
        open(routes!(node::livez)),
        open(routes!(node::readyz)),
        read(routes!(node::metrics)),
        read(routes!(node::openapi)),
    ]
}

/// The API as a service. Connections put a [`Peer`](super::peer::Peer) into each request.
pub(super) fn router(api: Api) -> Router {
    let mut router = Router::new();
    for Route { role, is_remembered, methods } in table() {
        let methods = match is_remembered {
            true => {
                methods.map(|methods| methods.route_layer(from_fn_with_state(api.clone(), replies::repeat)))
            }
            false => methods,
        };
        let methods = match role {
            Some(role) => methods
                .map(|methods| methods.route_layer(from_fn_with_state((api.clone(), role), auth::demand))),
            None => methods,
        };
        let (_, paths, methods) = methods;
        for path in paths.paths.keys() {
            router = router.route(path, methods.clone());
        }
    }
    router
        .route("/", get(dashboard::page))
        .route("/assets/{name}", get(dashboard::asset))
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(api.clone(), host::check))
        .layer(from_fn_with_state(api.clone(), answer::stamp))
        .layer(CatchPanicLayer::custom(panicked))
        .with_state(api)
}

async fn unknown_path(request: Request) -> Problem {
    let detail = format!("there is nothing at {}", request.uri().path());
    Problem::missing("unknown_path", detail)
}

async fn wrong_method(request: Request) -> Problem {
    let detail = format!("{} is not allowed at {}", request.method(), request.uri().path());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
}

/// The panic itself is in the log already, with its place.
fn panicked(_: Box<dyn Any + Send>) -> Response {
    Problem::internal().into_response()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn a_panic_in_a_handler_is_a_problem_without_its_text() {
        let handler = async || -> &'static str { panic!("a secret") };
        let router = Router::new().route("/", get(handler)).layer(CatchPanicLayer::custom(panicked));
        let response = router.oneshot(Request::new(Body::empty())).await.unwrap();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let body = axum::body::to_bytes(response.into_body(), 4096).await.unwrap();
        assert!(!String::from_utf8_lossy(&body).contains("secret"));
    }
}

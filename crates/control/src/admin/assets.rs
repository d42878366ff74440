//! Assets that are kept beyond the servers that had them.

use std::sync::Arc;

use axum::extract::State;
use cutover_core::command::Change;
use cutover_core::id::ServiceName;
use cutover_vault::Vault;

use super::answer::{Answer, Answered, Gone};
use super::api::Api;
use super::call::Call;
use super::problem::Problem;
use super::query::{FromQuery, Parameters};
use super::wire::assets::{AssetView, Assets, VaultView};

/// Bytes of a path that is asked for.
const PATH_MAX: usize = 2048;

/// `?limit&after`.
#[derive(Debug, Clone)]
pub(super) struct Page {
    limit: usize,
    after: Option<String>,
}

impl FromQuery for Page {
    fn from_query(query: &mut Parameters) -> Result<Self, Problem> {
        Ok(Self { limit: query.limit()?, after: query.text("after") })
    }
}

/// `?path`.
#[derive(Debug, Clone)]
pub(super) struct Which {
    path: Option<String>,
}

impl FromQuery for Which {
    fn from_query(query: &mut Parameters) -> Result<Self, Problem> {
        let path = query.text("path");
        let is_path = |path: &str| {
            path.starts_with('/')
                && path.len() <= PATH_MAX
                && path.bytes().all(|byte| byte.is_ascii_graphic())
        };
        match path.as_deref().filter(|path| !is_path(path)) {
            Some(path) => Err(Problem::nonsense(
                "path",
                format!("path is {path:?}; must be a path as clients ask for it, such as \"/assets/app.js\""),
            )),
            None => Ok(Self { path }),
        }
    }
}

/// The assets that are kept of a service.
#[utoipa::path(get, path = "/v1/services/{service}/assets", tag = "services", operation_id = "assets",
    params(
        ("service" = String, Path, description = "The service.", example = "web"),
        ("limit" = Option<u64>, Query, description = "Assets to answer, 1 to 1000; 100 when it is not given. All codings of one path are on one page."),
        ("after" = Option<String>, Query, description = "Only assets behind this path: `next` of the page before."),
    ),
    responses((status = 200, description = "A page, in the order of paths.", body = Assets)))]
pub(super) async fn list(State(api): State<Api>, call: Call<ServiceName, Page>) -> Answered<Assets> {
    let current = api.control().current();
    current.state.service(&call.at)?;
    let Some(vault) = api.vaults().find(call.at.as_str()) else {
        return Ok(Answer::ok(current.revision, Assets { vault: None, assets: Vec::new(), next: None }));
    };
    let Page { limit, after } = call.query;
    let listed = blocking({
        let vault = Arc::clone(&vault);
        move || vault.list(after.as_deref(), limit)
    });
    let listed = listed.await?;
    let next = listed.last().filter(|_| listed.len() >= limit).map(|last| last.key.target.to_string());
    let assets = listed.iter().map(AssetView::from).collect();
    let vault = Some(VaultView::new(&vault));
    Ok(Answer::ok(current.revision, Assets { vault, assets, next }))
}

/// Drops assets that are kept of a service. Done also when there are none, so that a repetition is answered the same. What live versions
/// answer with is kept again when it is asked for next.
#[utoipa::path(delete, path = "/v1/services/{service}/assets", tag = "services", operation_id = "drop_assets",
    params(
        ("service" = String, Path, description = "The service.", example = "web"),
        ("path" = Option<String>, Query, description = "This path with any query, or path and query; all if it is not given.", example = "/assets/app-1f3c.js"),
    ),
    responses((status = 204, description = "They are gone.")))]
pub(super) async fn drop_all(
    State(api): State<Api>,
    call: Call<ServiceName, Which>,
) -> Result<Gone, Problem> {
    let current = api.control().current();
    current.state.service(&call.at)?;
    let Some(vault) = api.vaults().find(call.at.as_str()) else { return Ok(Gone(current.revision)) };
    let path = call.query.path.clone();
    // It is told before it is done: a drop that nobody knows of is worse than one that has to be repeated.
    let done = api.control().submit(call.change(&call.at, Change::DropAssets(path.clone()), None)).await?;
    let drop = move |vault: Arc<Vault>| vault.drop_assets(path.as_deref());
    blocking(move || drop(vault)).await?;
    Ok(Gone(done.revision))
}

/// Does what may wait for a disk.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Problem::internal())
}

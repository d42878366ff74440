//! The comparison: the same fleet, the same visitors and the same loop, one server at a time behind plain round robin.
//!
//! Every server is registered under one label, so that the proxy can't tell versions apart, and there are no pins: what
//! a balancer does that knows addresses and their health, and drains a server before it restarts.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    error::Error,
    judge::Verdict,
    lease::Leases,
    proxy::{ROUND_ROBIN, ROUND_ROBIN_HOST},
    release::Release,
    stage::Stage,
};

/// The one label of all.
const LABEL: &str = "any";

/// What was measured.
#[derive(Debug)]
pub(super) struct Comparison {
    pub(super) verdict: Verdict,
    /// From the first request for a permit to the return of the last server.
    pub(super) took: Duration,
}

/// Rolls the fleet, which runs `from`, to the release after it.
pub(super) async fn play(stage: &mut Stage<'_>, from: Release) -> Result<Comparison, Error> {
    let to = from.next();
    stage.progress.step("for comparison: the same servers behind plain round robin");
    let leases = Leases::take(&mut stage.admin, ROUND_ROBIN, stage.fleet, Some(LABEL)).await?;
    stage.await_fleet(ROUND_ROBIN, LABEL).await?;
    let crowd = stage.open(ROUND_ROBIN_HOST)?;
    stage.watch().await;

    let began = Instant::now();
    stage.restart_all(ROUND_ROBIN, to, async |_, _| Ok(())).await?;
    stage.await_roll(ROUND_ROBIN).await?;
    let took = began.elapsed();
    stage.watch().await;

    let visits = crowd.leave().await?;
    leases.end(&mut stage.admin).await?;
    Ok(Comparison { verdict: Verdict::over(&visits, &[]), took })
}

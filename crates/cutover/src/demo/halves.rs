//! The show: the fleet is upgraded by halves under load, flipped, rolled back, flipped again, and drained.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    error::Error,
    judge::Verdict,
    lease::Leases,
    proxy::{SHOP, SHOP_HOST},
    release::Release,
    stage::Stage,
    trace::{Change, ChangeKind},
    wait::until,
};

/// Time for a staged version to have its quorum, `stable_for` included.
const QUORUM_LIMIT: Duration = Duration::from_secs(20);
/// Time for the last session of the old version to end: a visit and an idle pin, and then the deadline of the drain.
const DRAIN_LIMIT: Duration = Duration::from_secs(75);

/// What was measured.
#[derive(Debug)]
pub(super) struct Show {
    pub(super) verdict: Verdict,
    pub(super) changes: Vec<Change>,
    pub(super) drained: Drained,
    /// What the whole fleet runs now.
    pub(super) release: Release,
}

/// How the old version came to its end.
#[derive(Debug)]
pub(super) struct Drained {
    /// From the flip's answer.
    pub(super) took: Duration,
    /// `proof` or `deadline`.
    pub(super) by: String,
}

/// Plays the upgrade from the first release to the second, which the whole fleet runs at its end.
pub(super) async fn play(stage: &mut Stage<'_>) -> Result<Show, Error> {
    let (old, new) = (Release::FIRST, Release::FIRST.next());
    let [first_half, second_half] = stage.fleet.halves();
    stage.progress.step(&format!("{} app servers register with {old}", stage.options.backends));
    let leases = Leases::take(&mut stage.admin, SHOP, stage.fleet, None).await?;
    stage.await_fleet(SHOP, &old.to_string()).await?;

    stage.progress.step(&format!("{} visitors arrive", stage.options.sessions));
    let crowd = stage.open(SHOP_HOST)?;
    stage.watch().await;

    stage.progress.step(&format!("the first half restarts with {new}, held back until the flip"));
    stage.upgrade(SHOP, first_half, new, &new.to_string()).await?;
    stage.watch().await;
    let mut changes = vec![flip(stage, old, new).await?];
    stage.watch().await;

    changes.push(rollback(stage, new, old).await?);
    stage.watch().await;

    stage.progress.step(&format!("{new} is cleared of its rejection, to be flipped to again"));
    stage.admin.clear(SHOP, new).await?;
    let flipped = flip(stage, old, new).await?;
    changes.push(flipped);
    stage.watch().await;

    stage.progress.step(&format!("{old} drains: its sessions end by themselves"));
    let by = stage.admin.drained(SHOP, old, DRAIN_LIMIT).await?;
    let drained = Drained { took: flipped.answered.elapsed(), by };

    stage.progress.step(&format!("the second half restarts with {new} and joins"));
    stage.upgrade(SHOP, second_half, new, &new.to_string()).await?;
    stage.await_fleet(SHOP, &new.to_string()).await?;
    stage.watch().await;

    let visits = crowd.leave().await?;
    leases.end(&mut stage.admin).await?;
    Ok(Show { verdict: Verdict::over(&visits, &changes), changes, drained, release: new })
}

/// Waits until the flip is allowed, then makes it.
async fn flip(stage: &mut Stage<'_>, from: Release, to: Release) -> Result<Change, Error> {
    let admin = &mut stage.admin;
    let what = format!("a flip to {to} is allowed");
    until(&what, QUORUM_LIMIT, async || Ok(admin.may_flip(SHOP, to).await?.then_some(()))).await?;
    let called = Instant::now();
    stage.admin.flip(SHOP, to).await?;
    let change = Change { kind: ChangeKind::Flip, from, to, called, answered: Instant::now() };
    stage
        .progress
        .step(&format!("flip to {to} in {:.1?}: new sessions get it, the others stay", change.took()));
    Ok(change)
}

async fn rollback(stage: &mut Stage<'_>, from: Release, to: Release) -> Result<Change, Error> {
    let called = Instant::now();
    stage.admin.rollback(SHOP).await?;
    let change = Change { kind: ChangeKind::Rollback, from, to, called, answered: Instant::now() };
    stage
        .progress
        .step(&format!("rollback to {to} in {:.1?}: sessions of {from} move at once", change.took()));
    Ok(change)
}

//! The show: a loop restarts every server under load, and cutover makes a roll by halves of it, whatever its operator does meanwhile.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    error::Error,
    judge::Verdict,
    lease::Leases,
    operator::Operator,
    proxy::{SHOP, SHOP_HOST},
    release::Release,
    stage::Stage,
    trace::Change,
};

/// What was measured.
#[derive(Debug)]
pub(super) struct Show {
    pub(super) verdict: Verdict,
    pub(super) changes: Vec<Change>,
    pub(super) drained: Drained,
    /// From the first request for a permit to the end of the roll, with all that the operator did.
    pub(super) took: Duration,
    /// What the whole fleet runs now.
    pub(super) release: Release,
}

/// What was left of the old version when the first of its servers that still ran it got its permit.
#[derive(Debug)]
pub(super) struct Drained {
    /// From the last flip's answer.
    pub(super) took: Duration,
    /// `proof` or `deadline`; nothing if it was not drained, which breaks a promise.
    pub(super) by: Option<String>,
}

/// Plays the upgrade from the first release to the second, which the whole fleet runs at its end.
pub(super) async fn play(stage: &mut Stage<'_>) -> Result<Show, Error> {
    let (old, new) = (Release::FIRST, Release::FIRST.next());
    stage.progress.step(&format!("{} app servers register with {old}", stage.options.backends));
    let leases = Leases::take(&mut stage.admin, SHOP, stage.fleet, None).await?;
    stage.await_fleet(SHOP, &old.to_string()).await?;

    stage.progress.step(&format!("{} visitors arrive", stage.options.sessions));
    let crowd = stage.open(SHOP_HOST)?;
    stage.watch().await;

    stage.progress.step("for every server: ask for the permit, kill it, start it with the next version");
    let began = Instant::now();
    let operator = Operator::of(stage);
    let (changes, (at, by)) = tokio::try_join!(operator.act(old, new), roll(stage, old, new))?;
    let took = began.elapsed();
    stage.progress.step(&format!("the roll is done: everybody is on {new}"));
    stage.watch().await;

    let visits = crowd.leave().await?;
    leases.end(&mut stage.admin).await?;
    let flipped = changes.last().map_or(began, |change| change.answered);
    let drained = Drained { took: at.saturating_duration_since(flipped), by };
    Ok(Show { verdict: Verdict::over(&visits, &changes), changes, drained, took, release: new })
}

/// The loop. Answers when the second batch began, and by what the old version was drained then.
async fn roll(stage: &mut Stage<'_>, old: Release, new: Release) -> Result<(Instant, Option<String>), Error> {
    let mut second = (Instant::now(), None);
    stage
        .restart_all(SHOP, new, async |admin, batch| {
            if batch == 2 {
                second = (Instant::now(), admin.drained(SHOP, old).await?);
            }
            Ok(())
        })
        .await?;
    stage.await_fleet(SHOP, &new.to_string()).await?;
    stage.await_roll(SHOP).await?;
    Ok(second)
}

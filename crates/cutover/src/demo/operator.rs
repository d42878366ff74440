//! The operator of the show, who works while the loop waits: flips, rolls back, and flips again.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{
    Options,
    admin::Admin,
    error::Error,
    progress::Progress,
    proxy::SHOP,
    release::Release,
    stage::Stage,
    trace::{Change, ChangeKind},
    wait::until,
};

/// Time from the flip to the rollback: the old version can't be drained so soon, because its pins live longer.
const REGRET: Duration = Duration::from_secs(2);
/// Time for each server to be restarted and seen, as long as the flip waits for them.
const LIMIT_PER_SERVER: Duration = Duration::from_secs(10);

/// Somebody with the admin API.
#[derive(Debug)]
pub(super) struct Operator<'a> {
    options: &'a Options,
    progress: &'a Progress,
    admin: Admin,
}

impl<'a> Operator<'a> {
    /// The operator of what is on the stage.
    pub(super) fn of(stage: &Stage<'a>) -> Self {
        Self { options: stage.options, progress: stage.progress, admin: stage.admin.another() }
    }

    /// Flips as soon as that is allowed, regrets it, and flips again. Answers the changes in order.
    pub(super) async fn act(mut self, old: Release, new: Release) -> Result<Vec<Change>, Error> {
        self.await_quorum(new).await?;
        self.progress.step(&format!("{new} is healthy, has its quorum, and nobody sees it"));
        self.watch().await;
        let mut changes = vec![self.flip(old, new).await?];
        sleep(REGRET).await;
        changes.push(self.rollback(new, old).await?);
        self.watch().await;
        self.progress.step(&format!("{new} is cleared of its rejection, to be flipped to again"));
        self.admin.clear(SHOP, new).await?;
        changes.push(self.flip(old, new).await?);
        // Only now: before the flip it would go on with servers of the old version while those have the traffic.
        self.admin.resume(SHOP).await?;
        self.progress.step("the roll is resumed");
        Ok(changes)
    }

    async fn await_quorum(&mut self, new: Release) -> Result<(), Error> {
        let admin = &mut self.admin;
        let limit = LIMIT_PER_SERVER * self.options.backends.into();
        until(&format!("a flip to {new} is allowed"), limit, async || {
            Ok(admin.may_flip(SHOP, new).await?.then_some(()))
        })
        .await
    }

    async fn watch(&self) {
        sleep(Duration::from_secs(self.options.seconds)).await;
    }

    async fn flip(&mut self, from: Release, to: Release) -> Result<Change, Error> {
        let called = Instant::now();
        self.admin.flip(SHOP, to).await?;
        let change = Change { kind: ChangeKind::Flip, from, to, called, answered: Instant::now() };
        let took = change.took();
        self.progress.step(&format!("flip to {to} in {took:.1?}: new sessions get it, the others stay"));
        Ok(change)
    }

    async fn rollback(&mut self, from: Release, to: Release) -> Result<Change, Error> {
        let called = Instant::now();
        self.admin.rollback(SHOP).await?;
        let change = Change { kind: ChangeKind::Rollback, from, to, called, answered: Instant::now() };
        let took = change.took();
        self.progress.step(&format!("rollback to {to} in {took:.1?}: sessions of {from} move at once"));
        Ok(change)
    }
}

//! What both parts of the demo play on: the proxy's admin API, the fleet, and the display.

use std::{net::SocketAddr, time::Duration};

use tokio::time::Instant;

use super::{
    Options,
    admin::{Admin, Backend, Permit},
    dice::Dice,
    error::Error,
    fleet::Fleet,
    live::Live,
    load::Load,
    progress::{Progress, Traffic},
    release::Release,
    session::Site,
    trace::Visit,
    wait::until,
};
use crate::job::told::Told;

/// Time for health checks to see what is there.
const LIMIT: Duration = Duration::from_secs(20);
/// How long cutover is told to wait in one call for a permit: what is waited for is known again after each.
const ROUND: Duration = Duration::from_millis(500);
/// Time for one permit: half of the fleet comes back meanwhile, the operator acts, and a version drains.
const PERMIT_LIMIT: Duration = Duration::from_secs(600);

/// The stage of the demo.
#[derive(Debug)]
pub(super) struct Stage<'a> {
    pub(super) options: &'a Options,
    pub(super) progress: &'a Progress,
    pub(super) proxy: SocketAddr,
    pub(super) admin: Admin,
    pub(super) fleet: &'a mut Fleet,
}

/// Visitors of one service, shown while they run.
#[derive(Debug)]
pub(super) struct Crowd {
    load: Load,
    _traffic: Traffic,
}

impl Crowd {
    /// Sends the last visitors home and answers all visits.
    pub(super) async fn leave(self) -> Result<Vec<Visit>, Error> {
        self.load.stop().await
    }
}

impl Stage<'_> {
    /// Lets visitors in.
    pub(super) fn open(&self, host: &'static str) -> Result<Crowd, Error> {
        let dice = Dice::from_entropy().map_err(Error::system("draw random bytes"))?;
        let site = Site { address: self.proxy, host, dice, live: Live::default() };
        let load = Load::start(site, self.options.sessions);
        let traffic = self.progress.traffic(load.site(), self.options.sessions);
        Ok(Crowd { load, _traffic: traffic })
    }

    /// Lets the visitors be for a while.
    pub(super) async fn watch(&self) {
        tokio::time::sleep(Duration::from_secs(self.options.seconds)).await;
    }

    /// The deploy script of somebody who knows nothing of halves, drains and versions: for every server, asks for the permit, restarts,
    /// and goes on with the next. `on_batch` is told each batch that cutover begins, before its first server restarts.
    pub(super) async fn restart_all(
        &mut self,
        service: &str,
        release: Release,
        mut on_batch: impl AsyncFnMut(&mut Admin, u64) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut last = 0;
        for server in self.fleet.servers_mut() {
            let name = &server.name;
            let (batch, batches) = permit(&mut self.admin, self.progress, service, name).await?;
            if batch != last {
                on_batch(&mut self.admin, batch).await?;
                last = batch;
            }
            self.progress.step(&format!("{name} restarts with {release} (batch {batch} of {batches})"));
            server.restart(release).await?;
        }
        Ok(())
    }

    /// Waits until the whole fleet is up with one version, and that version is active.
    pub(super) async fn await_fleet(&mut self, service: &str, version: &str) -> Result<(), Error> {
        let admin = &mut self.admin;
        let count = self.fleet.servers().len();
        let is_up = |backend: &&Backend| backend.is_up && backend.version.as_deref() == Some(version);
        until(
            &format!("{count} backends of {service} are up with {version}, which is active"),
            LIMIT,
            async || {
                let up = admin.backends(service).await?.iter().filter(is_up).count();
                let active = admin.active(service).await?;
                Ok((up == count && active.as_deref() == Some(version)).then_some(()))
            },
        )
        .await
    }

    /// Waits until cutover says that the roll is done.
    pub(super) async fn await_roll(&mut self, service: &str) -> Result<(), Error> {
        let admin = &mut self.admin;
        until(&format!("the roll of {service} is done"), LIMIT, async || {
            Ok((admin.roll_state(service).await? == "done").then_some(()))
        })
        .await
    }
}

/// Asks until a backend may be restarted, and shows what is waited for. Answers its batch, and how many there are.
async fn permit(
    admin: &mut Admin,
    progress: &Progress,
    service: &str,
    backend: &str,
) -> Result<(u64, u64), Error> {
    let mut told = Told::default();
    until(&format!("{backend} has its permit"), PERMIT_LIMIT, async || {
        Ok(match admin.permit(service, backend, ROUND).await? {
            Permit::Granted { batch, batches } => Some((batch, batches)),
            Permit::Draining => None,
            Permit::Waiting(why) => {
                if told.is_news(&why, Instant::now()) {
                    progress.step(&format!("{backend} waits: {why}"));
                }
                None
            }
        })
    })
    .await
}

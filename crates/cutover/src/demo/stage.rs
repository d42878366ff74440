//! What both parts of the demo play on: the proxy's admin API, the fleet, and the display.

use std::{net::SocketAddr, ops::Range, time::Duration};

use super::{
    Options,
    admin::{Admin, Backend},
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

/// Time for health checks to see what is there, and for requests in flight to end.
const LIMIT: Duration = Duration::from_secs(20);

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

    /// Restarts some servers in place with another release: drain, stop, start, wait until cutover sees them, ready.
    pub(super) async fn upgrade(
        &mut self,
        service: &str,
        which: Range<usize>,
        release: Release,
        seen_as: &str,
    ) -> Result<(), Error> {
        let names = self.fleet.names(which.clone());
        for name in &names {
            self.admin.set_admin(service, name, "drain").await?;
        }
        self.await_backends(service, &names, "have nothing in flight", |backend| backend.in_flight == 0)
            .await?;
        self.fleet.restart(which, release).await?;
        let is_back = |backend: &Backend| backend.is_up && backend.version.as_deref() == Some(seen_as);
        self.await_backends(service, &names, &format!("are up with {seen_as}"), is_back).await?;
        for name in &names {
            self.admin.set_admin(service, name, "ready").await?;
        }
        Ok(())
    }

    /// Waits until the whole fleet is up with one version, and that version is active.
    pub(super) async fn await_fleet(&mut self, service: &str, version: &str) -> Result<(), Error> {
        let names = self.fleet.names(0..self.fleet.servers().len());
        let is_up = |backend: &Backend| backend.is_up && backend.version.as_deref() == Some(version);
        self.await_backends(service, &names, &format!("are up with {version}"), is_up).await?;
        let what = format!("{version} is active in {service}");
        let admin = &mut self.admin;
        until(&what, LIMIT, async || {
            let active = admin.active(service).await?;
            Ok((active.as_deref() == Some(version)).then_some(()))
        })
        .await
    }

    async fn await_backends(
        &mut self,
        service: &str,
        names: &[String],
        how: &str,
        is_so: impl Fn(&Backend) -> bool,
    ) -> Result<(), Error> {
        let what = format!("{} {how}", names.join(", "));
        let admin = &mut self.admin;
        until(&what, LIMIT, async || {
            let backends = admin.backends(service).await?;
            let so = backends.iter().filter(|backend| names.contains(&backend.id) && is_so(backend)).count();
            Ok((so == names.len()).then_some(()))
        })
        .await
    }
}

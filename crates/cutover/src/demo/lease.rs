//! Registration of the fleet in a service, and the heartbeats that keep it.

use std::{net::SocketAddr, time::Duration};

use tokio::task::JoinHandle;

use super::{admin::Admin, error::Error, fleet::Fleet};

/// Time between two heartbeats of a backend: a fraction of the lease, so that some may be lost.
const EVERY: Duration = Duration::from_secs(3);

/// The fleet's registration in one service. Dropping it ends the heartbeats, `end` takes the backends out.
#[derive(Debug)]
pub(super) struct Leases {
    service: &'static str,
    backends: Vec<(String, SocketAddr)>,
    heartbeats: JoinHandle<()>,
}

impl Leases {
    /// Registers every server, under `label` if the service doesn't find out versions by itself.
    pub(super) async fn take(
        admin: &mut Admin,
        service: &'static str,
        fleet: &Fleet,
        label: Option<&'static str>,
    ) -> Result<Self, Error> {
        let backends: Vec<_> =
            fleet.servers().iter().map(|server| (server.name.clone(), server.address())).collect();
        for (name, address) in &backends {
            admin.register(service, name, *address, label).await?;
        }
        let heartbeats = tokio::spawn(keep(admin.another(), service, backends.clone(), label));
        Ok(Self { service, backends, heartbeats })
    }

    /// Ends the registration.
    pub(super) async fn end(self, admin: &mut Admin) -> Result<(), Error> {
        self.heartbeats.abort();
        for (name, _) in &self.backends {
            admin.deregister(self.service, name).await?;
        }
        Ok(())
    }
}

impl Drop for Leases {
    fn drop(&mut self) {
        self.heartbeats.abort();
    }
}

/// A heartbeat that fails is followed by the next; if all fail, the lease lapses, and the visitors meet it.
async fn keep(mut admin: Admin, service: &str, backends: Vec<(String, SocketAddr)>, label: Option<&str>) {
    loop {
        tokio::time::sleep(EVERY).await;
        for (name, address) in &backends {
            if let Ok(false) = admin.heartbeat(service, name).await {
                let _ = admin.register(service, name, *address, label).await;
            }
        }
    }
}

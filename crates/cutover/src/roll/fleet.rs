//! What a roll finds: the backends, what they run, and a roll that may be under way.

use cutover_core::policy::{RollPolicy, RollStrategy, Share};
use cutover_core::time::Millis;

use super::options::Options;
use super::template::Place;
use crate::ctl::Error;
use crate::ctl::client::{Client, path};
use crate::ctl::view::{Backend, Backends, Policy, Roll, RolledService};

/// A service at the beginning of a roll.
#[derive(Debug)]
pub(super) struct Fleet {
    /// Its active version, its expected weight and its policy.
    pub(super) service: RolledService,
    /// All of its backends.
    pub(super) backends: Vec<Backend>,
    /// The roll that is under way, or was last.
    pub(super) roll: Roll,
}

impl Fleet {
    /// Asks for all of it.
    ///
    /// # Errors
    /// The server can't be reached, or there is no such service.
    pub(super) async fn read(client: &Client, service: &str) -> Result<Self, Error> {
        let (_, found) = client.read(&path(&["services", service])).await?;
        let (_, Backends { backends }) = client.read(&path(&["services", service, "backends"])).await?;
        let roll = read_roll(client, service).await?;
        Ok(Self { service: found, backends, roll })
    }

    /// The backends that are to be restarted, in order.
    ///
    /// # Errors
    /// A name that no backend has; a roll that somebody began and nobody said what to do with.
    pub(super) fn targets(&self, options: &Options) -> Result<Vec<&Backend>, Error> {
        let is_known = |id: &&String| self.backends.iter().any(|backend| backend.id == **id);
        if let Some(unknown) = options.only.iter().find(|id| !is_known(id)) {
            return Err(Error::Usage(format!("{} has no backend {unknown:?}", options.service)));
        }
        let is_wanted = |id: &str| options.only.is_empty() || options.only.iter().any(|only| only == id);
        let mut targets: Vec<&Backend> =
            self.backends.iter().filter(|backend| is_wanted(&backend.id)).collect();
        if self.is_under_way() && !options.resume && !options.dry_run {
            return Err(Error::State(self.said_of_it(&options.service)));
        }
        if self.is_under_way() {
            targets.retain(|backend| !self.roll.is_done(&backend.id));
            // Those that were interrupted hold up the others.
            targets.sort_by_key(|backend| self.roll.permit(&backend.id).is_none());
        } else {
            // To ask for one that came back already is to begin another roll.
            targets.sort_by_key(|backend| !self.roll.came_back(&backend.id));
        }
        Ok(targets)
    }

    /// Whether somebody began a roll that leads to another version, or is in the middle of a restart. Single restarts that left the
    /// version as it was are no roll that has an end.
    #[must_use]
    pub(super) fn is_under_way(&self) -> bool {
        let roll = &self.roll;
        match roll.summary.state.as_str() {
            "frozen" => true,
            "running" => !roll.summary.permits.is_empty() || roll.to.is_some(),
            _ => false,
        }
    }

    /// Whether nobody gets a permit until somebody resumes or aborts the roll.
    #[must_use]
    pub(super) fn is_frozen(&self) -> bool {
        self.roll.summary.state == "frozen"
    }

    fn said_of_it(&self, service: &str) -> String {
        let roll = &self.roll.summary;
        let reason = roll.reason.as_deref().filter(|reason| !reason.is_empty());
        let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
        format!(
            "a roll of {service} is {}, in batch {} of {}{reason}; give --resume to go on with it, or end it with `cutover roll {service} --abort`",
            roll.state, roll.batch, roll.batches
        )
    }
}

/// Where the roll stands.
///
/// # Errors
/// The server can't be reached, or there is no such service.
pub(super) async fn read_roll(client: &Client, service: &str) -> Result<Roll, Error> {
    Ok(client.read(&path(&["services", service, "roll"])).await?.1)
}

/// Where a backend is.
#[must_use]
pub(super) fn place(backend: &Backend) -> Place {
    Place::new(&backend.id, &backend.address)
}

/// A share as the API writes it.
#[must_use]
pub(super) fn share(value: f64) -> Share {
    Share::new(value).unwrap_or(Share::ALL)
}

/// The order of restarts, as the core knows it.
#[must_use]
pub(super) fn order(policy: &Policy) -> RollPolicy {
    let strategy = match policy.roll.strategy.as_str() {
        "one-by-one" => RollStrategy::OneByOne,
        _ => RollStrategy::Batches(policy.roll.batches),
    };
    // Only the server watches the deadline.
    RollPolicy { strategy, permit_deadline: Millis::ZERO }
}

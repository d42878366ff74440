//! What is known about one backend from its probes, and what of it is news.

use std::time::{Duration, Instant};

use cutover_core::backend::{Backend, Identity, Operational};
use cutover_core::command::Finding;
use cutover_core::health::Health;
use cutover_core::id::{BackendId, ServiceName};
use cutover_core::policy::{IdentitySource, Policy};
use cutover_core::time::Timestamp;

use super::ask::{Answer, Failure};

/// Names a backend.
pub(super) type Key = (ServiceName, BackendId);

/// How long a finding may be on its way to the controller before it is said again.
const SAY_AGAIN: Duration = Duration::from_secs(1);

/// What a probe's outcome means to others.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum News {
    /// Nothing that they don't know.
    None,
    /// The controller believes something else.
    Found(Finding),
    /// The process that was known may be gone.
    ProcessGone,
}

/// What is known about one backend from its probes.
#[derive(Debug)]
pub(super) struct Target {
    generation: u32,
    health: Health,
    said: Option<(Finding, Instant)>,
}

impl Target {
    /// A backend that nothing is known about. One that was registered before this process `began` is believed at its first good answer.
    pub(super) fn new(backend: &Backend, began: Timestamp) -> Self {
        let is_back = backend.registered_at < began;
        let health = if is_back { Health::returning() } else { Health::starting() };
        Self { generation: backend.generation, health, said: None }
    }

    /// The generation that is probed.
    pub(super) fn generation(&self) -> u32 {
        self.generation
    }

    /// Takes over what the controller believes. Answers whether the backend must be asked at once: its process may have been replaced.
    pub(super) fn follow(&mut self, backend: &Backend) -> bool {
        if self.generation == backend.generation {
            return false;
        }
        self.generation = backend.generation;
        self.said = None;
        // A backend that is down lost its identity because of our own findings; it has to rise again in full.
        let is_suspect =
            backend.identity != Identity::Known && !matches!(backend.operational, Operational::Down(_));
        if is_suspect {
            self.health = Health::returning();
        }
        is_suspect
    }

    /// Counts the outcome of a probe of `generation`, given what the controller believes.
    pub(super) fn hear(
        &mut self,
        outcome: &Result<Answer, Failure>,
        backend: &Backend,
        policy: &Policy,
        now: Instant,
    ) -> News {
        let verdict = self.health.count(outcome.is_ok(), &policy.health);
        let finding = match (verdict, outcome) {
            (Some(true), Ok(answer)) => {
                Finding::Up { version: answer.version.clone(), boot_id: answer.boot_id.clone() }
            }
            (Some(false), Err(_)) => Finding::Down,
            (_, Err(failure)) if failure.is_process_gone && is_believed(backend) => return News::ProcessGone,
            (_, _) => return News::None,
        };
        if is_known(&finding, backend, policy.identity.source) {
            return News::None;
        }
        let is_on_its_way = |(said, at): &(Finding, Instant)| {
            *said == finding && now.saturating_duration_since(*at) < SAY_AGAIN
        };
        if self.said.as_ref().is_some_and(is_on_its_way) {
            return News::None;
        }
        self.said = Some((finding.clone(), now));
        News::Found(finding)
    }

    /// Says that the last news did not reach the controller.
    pub(super) fn unsaid(&mut self) {
        self.said = None;
    }
}

/// Whether user traffic may reach the backend because of what is believed about its process.
fn is_believed(backend: &Backend) -> bool {
    backend.identity == Identity::Known && matches!(backend.operational, Operational::Up(_))
}

/// Whether the controller believes just that.
fn is_known(finding: &Finding, backend: &Backend, source: IdentitySource) -> bool {
    match finding {
        Finding::Down => matches!(backend.operational, Operational::Down(_)),
        Finding::Up { version, boot_id } => {
            let told = match source {
                IdentitySource::Label => backend.label.as_ref(),
                IdentitySource::Health | IdentitySource::Response => {
                    version.as_ref().or(backend.label.as_ref())
                }
            };
            // Without any label its identity can't become known; all there is to tell is that it is up.
            let is_identified =
                told.is_none() || (backend.identity == Identity::Known && backend.version.as_ref() == told);
            let is_same_process = boot_id.is_none() || *boot_id == backend.boot_id;
            matches!(backend.operational, Operational::Up(_)) && is_identified && is_same_process
        }
    }
}

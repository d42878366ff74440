//! What is known about one backend from its probes, and what of it is news.

use std::time::{Duration, Instant};

use cutover_core::backend::{Backend, Identity, Operational};
use cutover_core::command::Finding;
use cutover_core::health::Health;
use cutover_core::id::{BackendId, ServiceName};
use cutover_core::policy::IdentitySource;
use cutover_core::service::Service;
use cutover_core::time::Timestamp;

use super::ask::{Answer, Failure};

/// Names a backend.
pub type Key = (ServiceName, BackendId);

/// How long a finding may be on its way to the controller before it is said again.
const SAY_AGAIN: Duration = Duration::from_secs(1);

/// What a probe's outcome means to others.
#[derive(Debug, PartialEq, Eq)]
pub enum News {
    /// Nothing that they don't know.
    None,
    /// The controller believes something else, or even that another process is there.
    Found {
        /// What is to be believed.
        finding: Finding,
        /// Whether it is about another process than the one that is believed to be there.
        is_another: bool,
    },
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

    /// Whether everybody waits for one good answer: what its process runs is not known, or contradicted.
    pub(super) fn is_awaited(&self, backend: &Backend) -> bool {
        self.health.is_awaited() || matches!(backend.identity, Identity::Mismatch(_))
    }

    /// Takes over what the controller believes. Answers whether the backend must be asked at once: its process may have been replaced.
    pub(super) fn follow(&mut self, backend: &Backend) -> bool {
        if self.generation == backend.generation {
            return false;
        }
        self.generation = backend.generation;
        self.said = None;
        // A backend that is down lost its identity because of our own findings; it has to rise again in full.
        if matches!(backend.operational, Operational::Down(_)) {
            return false;
        }
        if backend.identity == Identity::Unknown {
            self.health = Health::returning();
        }
        true
    }

    /// Counts the outcome of a probe of `generation`, given what the controller believes. One that was asked out of turn looks for a good
    /// answer: that there is none yet is no failure.
    pub(super) fn hear(
        &mut self,
        outcome: &Result<Answer, Failure>,
        is_out_of_turn: bool,
        (service, backend): (&Service, &Backend),
        now: Instant,
    ) -> News {
        match outcome {
            // Its restart was announced, and this is how a restart looks. The next probe may come too late to see it.
            Err(failure) if failure.is_process_gone && service.roll.is_granted(&backend.id) => {
                self.health.fall();
            }
            Err(_) if is_out_of_turn => {}
            Ok(_) | Err(_) => {
                self.health.count(outcome.is_ok(), &service.policy.health);
            }
        }
        let finding = match (self.health.verdict(), outcome) {
            (Some(true), Ok(answer)) => {
                Finding::Up { version: answer.version.clone(), boot_id: answer.boot_id.clone() }
            }
            (Some(false), Err(_)) => Finding::Down,
            (_, Err(failure)) if failure.is_process_gone && backend.is_believed() => {
                return News::ProcessGone;
            }
            (_, _) => return News::None,
        };
        self.tell(finding, backend, service.policy.identity.source, now)
    }

    /// Tells what the controller does not believe and was not told a moment ago.
    fn tell(&mut self, finding: Finding, backend: &Backend, source: IdentitySource, now: Instant) -> News {
        let is_on_its_way = |(said, at): &(Finding, Instant)| {
            *said == finding && now.saturating_duration_since(*at) < SAY_AGAIN
        };
        if is_known(&finding, backend, source) || self.said.as_ref().is_some_and(is_on_its_way) {
            return News::None;
        }
        self.said = Some((finding.clone(), now));
        let is_another = backend.is_believed() && is_another(&finding, backend, source);
        News::Found { finding, is_another }
    }

    /// Says that the last news did not reach the controller.
    pub(super) fn unsaid(&mut self) {
        self.said = None;
    }
}

/// Whether the controller believes just that.
fn is_known(finding: &Finding, backend: &Backend, source: IdentitySource) -> bool {
    match finding {
        Finding::Down => matches!(backend.operational, Operational::Down(_)),
        Finding::Up { version, boot_id } => {
            let told = backend.told(source, version.as_ref());
            // Without any label its identity can't become known; all there is to tell is that it is up.
            let is_identified = told.is_none()
                || (backend.identity == Identity::Known
                    && backend.version.as_ref() == told
                    && !backend.is_sighted);
            let is_same_process = boot_id.is_none() || *boot_id == backend.boot_id;
            matches!(backend.operational, Operational::Up(_)) && is_identified && is_same_process
        }
    }
}

/// Whether another process than the known one answered so.
fn is_another(finding: &Finding, backend: &Backend, source: IdentitySource) -> bool {
    match finding {
        Finding::Down => false,
        Finding::Up { version, boot_id } => {
            backend.is_another(backend.told(source, version.as_ref()), boot_id.as_deref())
        }
    }
}

//! What the head of an answer says about the process that gave it: whether it is the one that was decided for.

use cutover_core::id::VersionLabel;
use cutover_core::policy::IdentitySource;
use cutover_core::traffic::Sighting;

use crate::message::fields::Fields;
use crate::serve::decide::Decided;
use crate::upstream::Connection;
use crate::worker::Worker;

/// A process's name for itself is an id, not a text: what is longer is not compared.
const BOOT_ID_MAX: usize = 256;

/// By whom a request was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answerer {
    /// By the version that was decided for, as far as the answer says.
    Expected,
    /// By another version.
    OtherVersion,
    /// By another process than answered before, which does not say which version it runs.
    OtherProcess,
}

/// Reads who answered over `connection`, and notes what is news about the backend.
pub(crate) fn see(
    worker: &Worker,
    decided: &Decided,
    (member, connection): (usize, &Connection),
    fields: &Fields,
) -> Answerer {
    let policy = &decided.service.set.policy;
    if !policy.identity.source.is_strict() {
        return Answerer::Expected;
    }
    let identity = &decided.service.identity;
    let label = decided.version_set().label.as_str().as_bytes();
    let named = fields.configured(&identity.version);
    let is_named = named == Some(label);
    let is_other_version = named.is_some() && !is_named && policy.identity.source == IdentitySource::Response;
    let boot_id = fields.configured(&identity.process).filter(|boot_id| boot_id.len() <= BOOT_ID_MAX);
    let pool = decided.pool(member);
    let is_other_process =
        boot_id.is_some_and(|boot_id| !pool.is_same_process(connection.generation, boot_id));
    if !is_other_version && !is_other_process {
        return Answerer::Expected;
    }
    let text = |value: &[u8]| String::from_utf8(value.to_vec()).ok();
    let sighting = Sighting {
        generation: connection.generation,
        version: named
            .filter(|_| policy.identity.source == IdentitySource::Response)
            .and_then(|named| VersionLabel::parse(std::str::from_utf8(named).ok()?).ok()),
        boot_id: boot_id.and_then(text),
    };
    worker.note_sighting(&decided.version_set().members[member], sighting);
    match (is_other_version, is_named) {
        (true, _) => Answerer::OtherVersion,
        (false, true) => Answerer::Expected,
        (false, false) => Answerer::OtherProcess,
    }
}

/// Whether an answer names another version than the one that was decided for, where answers are believed.
pub(crate) fn is_other_version(decided: &Decided, fields: &Fields) -> bool {
    decided.service.set.policy.identity.source == IdentitySource::Response
        && fields
            .configured(&decided.service.identity.version)
            .is_some_and(|named| named != decided.version_set().label.as_str().as_bytes())
}

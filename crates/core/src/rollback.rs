//! Back to the version that was active before, in one call.

use std::sync::Arc;

use crate::bake;
use crate::command::{Rollback, Sessions};
use crate::flip::{activate, unfit, wrong_epoch};
use crate::rejected::{Code, Reason, Rejected};
use crate::service::Service;
use crate::time::Timestamp;
use crate::version::{Role, Version};

/// Makes the previously active version active again and rejects the one that is. Needs no quorum and ignores gates and
/// freezes: it is for emergencies.
pub(crate) fn rollback(service: &mut Service, request: &Rollback, now: Timestamp) -> Result<(), Rejected> {
    let mut reasons: Vec<Reason> = wrong_epoch(service, request.if_epoch).into_iter().collect();
    let target = target(service).cloned();
    if let Some(version) = &target {
        reasons.extend(unfit(service, version));
    }
    let to = target.map(|version| version.label.clone());
    match &to {
        None => {
            let detail = format!("no version of {} was active before and may be again", service.name);
            reasons.push(Reason::new(Code::NothingToRollBackTo, detail));
        }
        Some(to) if service.capacity(to).usable == 0 => {
            let detail = format!("version {to}, which was active before, has no usable backend any more");
            reasons.push(Reason::new(Code::NothingUsable, detail));
        }
        Some(_) => {}
    }
    Rejected::if_any(reasons)?;
    let (Some(to), Some(bad)) = (to, service.active.clone()) else { return Ok(()) };
    activate(service, &to, now);
    bake::roll_back(service);
    if let Some(bad) = service.version_mut(&bad) {
        bad.rejected = Some(request.reason.clone());
        if request.sessions == Sessions::Move {
            bad.role = Role::Rejected;
        }
    }
    Ok(())
}

/// The version that a rollback would go to: of those that were active before and weren't judged bad, the latest.
#[must_use]
pub fn target(service: &Service) -> Option<&Arc<Version>> {
    service
        .versions
        .values()
        .filter(|version| Some(&version.label) != service.active.as_ref() && version.rejected.is_none())
        .filter(|version| version.was_active())
        .max_by_key(|version| version.epoch)
}

//! What people and programs say about a version: gates, holds, rejections.

use std::sync::Arc;

use crate::canary;
use crate::hook;
use crate::id::{GateName, HoldName, VersionLabel};
use crate::rejected::{Code, Rejected};
use crate::service::Service;
use crate::time::{Millis, Timestamp};
use crate::version::{Gate, Hold, Role, Version};

/// Most gates of one version.
pub const GATES_MAX: usize = 64;
/// Most holds of one version.
pub const HOLDS_MAX: usize = 10_000;

/// How a gate is set.
pub(crate) struct Setting<'a> {
    pub(crate) is_open: bool,
    pub(crate) note: &'a str,
    /// Whether the version may be one that no backend ever reported.
    pub(crate) is_ahead: bool,
    pub(crate) by: &'a str,
}

pub(crate) fn set_gate(
    service: &mut Service,
    label: &VersionLabel,
    gate: &GateName,
    setting: &Setting<'_>,
    now: Timestamp,
) -> Result<(), Rejected> {
    if setting.is_ahead {
        announce(service, label, now);
    }
    let version = known(service, label)?;
    if !version.gates.contains_key(gate) && version.gates.len() >= GATES_MAX {
        return Err(Rejected::because(
            Code::LimitReached,
            format!("version {label} has {GATES_MAX} gates already"),
        ));
    }
    let &Setting { is_open, note, by, .. } = setting;
    let is_same = version.gates.get(gate).is_some_and(|old| old.is_open == is_open && old.note == note);
    if !is_same {
        version
            .gates
            .insert(gate.clone(), Gate { is_open, note: note.to_owned(), by: by.to_owned(), at: now });
    }
    Ok(())
}

pub(crate) fn set_hold(
    service: &mut Service,
    label: &VersionLabel,
    hold: &HoldName,
    ttl: Millis,
    by: &str,
    now: Timestamp,
) -> Result<(), Rejected> {
    let version = known(service, label)?;
    if !version.holds.contains_key(hold) && version.holds.len() >= HOLDS_MAX {
        return Err(Rejected::because(
            Code::LimitReached,
            format!("version {label} has {HOLDS_MAX} holds already"),
        ));
    }
    if let Role::Drained | Role::Retired = version.role {
        // Whoever waited for the drain may have acted on it: a hold can't be promised any more.
        let detail = format!("version {label} is {}; a hold on it would come too late", version.role);
        return Err(Rejected::because(Code::WrongRole, detail));
    }
    version.holds.insert(hold.clone(), Hold { ttl, expires_at: now + ttl, by: by.to_owned() });
    Ok(())
}

pub(crate) fn drop_hold(
    service: &mut Service,
    label: &VersionLabel,
    hold: &HoldName,
) -> Result<(), Rejected> {
    let version = known(service, label)?;
    match version.holds.remove(hold) {
        Some(_) => Ok(()),
        None => Err(Rejected::because(Code::UnknownHold, format!("version {label} has no hold {hold}"))),
    }
}

pub(crate) fn reject(service: &mut Service, label: &VersionLabel, reason: &str) -> Result<(), Rejected> {
    let version = known(service, label)?;
    match version.role {
        Role::Active => {
            let detail = format!("version {label} is active; roll back instead");
            return Err(Rejected::because(Code::WrongRole, detail));
        }
        // Its sessions stay: only a rollback moves them.
        Role::Draining => {}
        _ => version.role = Role::Rejected,
    }
    version.rejected = Some(reason.to_owned());
    // If it was the canary, its sessions go back.
    canary::follow(service);
    Ok(())
}

pub(crate) fn clear(service: &mut Service, label: &VersionLabel) -> Result<(), Rejected> {
    let is_forgiven = hook::forgive(service, label);
    let version = known(service, label)?;
    let is_rejected = version.rejected.is_some();
    match version.role {
        Role::Superseded => {
            version.is_kept = true;
            version.role = Role::Staged;
        }
        _ if is_forgiven && !is_rejected => {}
        _ if !is_rejected => {
            let detail = format!("version {label} is {}, neither rejected nor superseded", version.role);
            return Err(Rejected::because(Code::WrongRole, detail));
        }
        Role::Rejected => {
            version.role = match version {
                Version { epoch: None, .. } => Role::Staged,
                Version { drained: Some(_), .. } => Role::Drained,
                _ => Role::Draining,
            };
        }
        _ => {}
    }
    version.rejected = None;
    Ok(())
}

/// Ends holds that were not renewed.
pub(crate) fn lapse(service: &mut Service, now: Timestamp) {
    for version in service.versions.values_mut() {
        if version.holds.values().any(|hold| hold.expires_at <= now) {
            Arc::make_mut(version).holds.retain(|_, hold| hold.expires_at > now);
        }
    }
}

/// Makes a version known before any backend reports it. It takes its place in the order of versions now: one that is announced later
/// is newer, whichever is started first.
fn announce(service: &mut Service, label: &VersionLabel, now: Timestamp) {
    if service.versions.contains_key(label) {
        return;
    }
    let version = Version { role: Role::Retired, ..Version::new(label.clone(), service.next_seen, now) };
    service.next_seen += 1;
    service.versions.insert(label.clone(), Arc::new(version));
}

/// The version of this label, to be changed.
pub(crate) fn known<'a>(service: &'a mut Service, label: &VersionLabel) -> Result<&'a mut Version, Rejected> {
    let name = service.name.clone();
    service.version_mut(label).ok_or_else(|| {
        Rejected::because(Code::UnknownVersion, format!("no backend of {name} ever reported version {label}"))
    })
}

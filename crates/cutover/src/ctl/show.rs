//! Answers of the admin API as text for people.

use std::fmt::Write;

use serde_json::{Value, json};

use super::canary;
use super::judged::{self, millis, percent};
use super::share;
use super::table::{or_dash, table, time, until};
use super::view::{
    Backend, Canary, Contract, ContractDryRun, Contracted, DryRun, Entry, Flipped, Granted, Permit,
    Registered, Service, Status, Summary, Suspension, Version,
};

pub(super) fn status(status: &Status) -> String {
    let state = if status.ready { "ready" } else { "not ready" };
    format!(
        "node      {}\nstate     {state}\nversion   {}\npid       {}\nuptime    {}\nrevision  {}\nstore     {}\n",
        status.node, status.version, status.pid, status.uptime, status.revision, status.store.kind
    )
}

pub(super) fn services(services: &[Service]) -> String {
    if services.is_empty() {
        return "no services\n".to_owned();
    }
    table(
        &[
            "SERVICE",
            "ACTIVE",
            "EPOCH",
            "USABLE",
            "BACKENDS",
            "VERSIONS",
            "BAKE",
            "ROLL",
            "FROZEN",
            "MAINTENANCE",
            "SOURCE",
        ],
        services.iter().map(|service| {
            vec![
                service.name.clone(),
                or_dash(service.active.as_deref()),
                service.epoch.to_string(),
                format!("{}/{}", service.usable_weight, service.expected_weight),
                service.backends.to_string(),
                or_dash(Some(&versions_in_short(service))),
                or_dash(service.bake.as_ref().map(|bake| bake.state.as_str())),
                or_dash(roll_in_short(&service.roll).as_deref()),
                or_dash(suspended(service.freeze.as_ref()).as_deref()),
                or_dash(suspended(service.maintenance.as_ref()).as_deref()),
                or_dash(Some(&service.source)),
            ]
        }),
    )
}

fn versions_in_short(service: &Service) -> String {
    let versions = service.versions.iter().map(|version| format!("{} ({})", version.version, version.role));
    versions.collect::<Vec<_>>().join(", ")
}

/// Where a roll stands, in a few words; nothing where there is none.
fn roll_in_short(roll: &Summary) -> Option<String> {
    match roll.state.as_str() {
        "running" | "frozen" => Some(format!("{}, batch {} of {}", roll.state, roll.batch, roll.batches)),
        "" | "idle" => None,
        state => Some(state.to_owned()),
    }
}

/// A line for each service whose roll goes on or has something to say: who may be restarted, and why it goes no further.
pub(super) fn rolls(services: &[Service]) -> String {
    let mut text = String::new();
    for Service { name, roll, .. } in services {
        let reason = roll.reason.as_deref().filter(|reason| !reason.is_empty());
        let is_under_way = matches!(roll.state.as_str(), "running" | "frozen");
        if !is_under_way && reason.is_none() {
            continue;
        }
        let _ = write!(text, "{name}: the roll is {}", roll.state);
        if is_under_way {
            let _ = write!(text, " in batch {} of {}", roll.batch, roll.batches);
        }
        if let Some(reason) = reason {
            let _ = write!(text, ": {reason}");
        }
        if !roll.permits.is_empty() {
            let permits: Vec<String> = roll.permits.iter().map(permit).collect();
            let _ = write!(text, "; permits: {}", permits.join(", "));
        }
        text.push('\n');
    }
    text
}

/// What there is to say about services beyond the table.
pub(super) fn notes(services: &[Service]) -> String {
    rolls(services) + &canary::lines(services) + &judged::lines(services) + &databases(services)
}

/// A line for each service of whose database something is known.
fn databases(services: &[Service]) -> String {
    let mut text = String::new();
    for Service { name, contract, schema, .. } in services {
        if let Some(schema) = schema {
            let _ = writeln!(text, "{name}: the database is at schema {schema}");
        }
        if let Some(Contract { at, by, note, floor }) = contract {
            let at = time(at);
            let note = if note.is_empty() { String::new() } else { format!(" ({note})") };
            let _ = writeln!(
                text,
                "{name}: nothing older than {floor} becomes active again: contract at {at} by {by}{note}"
            );
        }
    }
    text
}

/// The rolls that are under way or have something to say, by service.
pub(super) fn rolls_document(services: &[Service]) -> Value {
    let rolls = services.iter().filter(|service| !matches!(service.roll.state.as_str(), "" | "idle"));
    Value::Object(rolls.map(|service| (service.name.clone(), json!(service.roll))).collect())
}

fn permit(permit: &Permit) -> String {
    match permit.deadline.as_deref() {
        Some(deadline) => format!("{} (back by {})", permit.backend, time(deadline)),
        None => format!("{} ({})", permit.backend, permit.state),
    }
}

/// Why something is suspended, and until when; nothing where it is not.
fn suspended(suspension: Option<&Suspension>) -> Option<String> {
    let Suspension { reason, until, .. } = suspension?;
    let reason = if reason.is_empty() { "yes" } else { reason };
    Some(match until {
        Some(end) => format!("{reason} until {}", time(end)),
        None => reason.to_owned(),
    })
}

/// The versions of a service, whose canary is this one.
pub(super) fn versions(versions: &[Version], canary: Option<&Canary>, now: jiff::Timestamp) -> String {
    if versions.is_empty() {
        return "no versions\n".to_owned();
    }
    table(
        &[
            "VERSION",
            "ROLE",
            "EPOCH",
            "BACKENDS",
            "USABLE",
            "IN FLIGHT",
            "TUNNELS",
            "ERRORS",
            "P99",
            "PINS",
            "HOLDS",
            "GATES",
        ],
        versions.iter().map(|version| {
            let share = canary.filter(|canary| canary.version == version.version).map(|canary| canary.share);
            let role = match (&version.drained, share) {
                (Some(drained), _) => format!("{} by {}", version.role, drained.by),
                (None, Some(share)) => format!("{}, {}", version.role, share::percent(share)),
                (None, None) => version.role.clone(),
            };
            vec![
                version.version.clone(),
                role,
                version.epoch.map_or_else(|| "-".to_owned(), |epoch| epoch.to_string()),
                format!("{}/{}", version.usable_backends, version.backends),
                format!("{}/{}", version.usable_weight, version.expected_weight),
                version.in_flight.to_string(),
                version.tunnels.to_string(),
                percent(version.error_rate),
                millis(version.p99_ms),
                until(version.latest_pin_expiry.as_deref(), now),
                or_dash(Some(&version.holds.keys().cloned().collect::<Vec<_>>().join(", "))),
                or_dash(Some(&gates(version))),
            ]
        }),
    )
}

fn gates(version: &Version) -> String {
    let state = |open| if open { "open" } else { "closed" };
    let gates = version.gates.iter().map(|(name, gate)| format!("{name} {}", state(gate.open)));
    gates.collect::<Vec<_>>().join(", ")
}

pub(super) fn backends(backends: &[Backend], now: jiff::Timestamp) -> String {
    if backends.is_empty() {
        return "no backends\n".to_owned();
    }
    table(
        &[
            "BACKEND",
            "ADDRESS",
            "VERSION",
            "WEIGHT",
            "ADMIN",
            "STATE",
            "IDENTITY",
            "IN FLIGHT",
            "LEASE",
            "LAST PROBE",
        ],
        backends.iter().map(|backend| {
            let version = backend.identity.version.as_deref().or(backend.version.as_deref());
            vec![
                backend.id.clone(),
                backend.address.clone(),
                or_dash(version),
                backend.weight.to_string(),
                backend.admin.clone(),
                backend.operational.clone(),
                backend.identity.state.clone(),
                backend.in_flight.to_string(),
                until(backend.lease_expires_at.as_deref(), now),
                or_dash(backend.last_probe.as_ref().map(|probe| probe.detail.as_str())),
            ]
        }),
    )
}

pub(super) fn registered(service: &str, backend: &str, answer: &Registered) -> String {
    let version = or_dash(answer.version.as_deref());
    let role = or_dash(answer.role.as_deref());
    format!("{service}/{backend}: {}, version {version}, role {role}, epoch {}\n", answer.admin, answer.epoch)
}

pub(super) fn granted(service: &str, backend: &str, granted: &Granted) -> String {
    let back = granted.deadline.as_deref().map(|at| format!(", back by {}", time(at))).unwrap_or_default();
    let Granted { batch, batches, .. } = granted;
    format!("{service}/{backend}: may be restarted, batch {batch} of {batches}{back}\n")
}

pub(super) fn flipped(service: &str, answer: &Flipped) -> String {
    let from = answer.from.as_ref().map(|from| format!(", was {from}")).unwrap_or_default();
    format!("{service}: {} is active in epoch {}{from}\n", answer.to, answer.epoch)
}

pub(super) fn dry_run(service: &str, answer: &DryRun) -> String {
    let DryRun { allowed, reasons, plan } = answer;
    let verdict = if *allowed { "is allowed" } else { "would be refused" };
    let from = or_dash(plan.from.as_deref());
    let mut text = format!("{service}: the flip from {from} to {} {verdict}\n", plan.to);
    for reason in reasons {
        let _ = writeln!(text, "  - {} ({})", reason.detail, reason.code);
    }
    let pins = plan
        .old
        .latest_pin_expiry
        .as_deref()
        .map_or_else(|| "none".to_owned(), |at| format!("until {}", time(at)));
    let _ = write!(
        text,
        "epoch      {}\ncapacity   {} backends, weight {} of {} expected\nold        {} in flight, {} tunnels, {} holds, pins {pins}\n\
         drain      {} expected, {} at most\n",
        plan.epoch,
        plan.capacity.usable_backends,
        plan.capacity.usable_weight,
        plan.capacity.expected_weight,
        plan.old.in_flight,
        plan.old.tunnels,
        plan.old.holds,
        plan.drain.expected,
        plan.drain.at_most,
    );
    if !plan.pre_flip.is_empty() {
        let _ = writeln!(text, "asks       {}", plan.pre_flip.join(", "));
    }
    text
}

pub(super) fn contracted(service: &str, answer: &Contracted) -> String {
    let Contracted { floor, at, by, already, .. } = answer;
    let (was, at) = (if *already { " already" } else { "" }, time(at));
    format!("{service}: nothing older than {floor} becomes active again;{was} recorded at {at} by {by}\n")
}

pub(super) fn contract_dry_run(service: &str, answer: &ContractDryRun) -> String {
    let ContractDryRun { allowed, reasons, floor, below } = answer;
    let verdict = if *allowed { "may run now" } else { "would be refused" };
    let mut text = format!("{service}: the contract migration {verdict}\n");
    for reason in reasons {
        let _ = writeln!(text, "  - {} ({})", reason.detail, reason.code);
    }
    let _ = writeln!(
        text,
        "floor      {}\nbelow      {}",
        or_dash(floor.as_deref()),
        or_dash(Some(&below.join(", ")))
    );
    text
}

/// The oldest first, as a log is read.
pub(super) fn timeline(entries: &[Entry], next: Option<u64>) -> String {
    let mut text = String::new();
    if let Some(next) = next {
        let _ = writeln!(text, "(older entries: --before {next})");
    }
    for line in entries.iter().rev().map(entry) {
        text.push_str(&line);
        text.push('\n');
    }
    if text.is_empty() { "nothing happened yet\n".to_owned() } else { text }
}

/// One line.
pub(super) fn entry(entry: &Entry) -> String {
    let mut line = format!("{}  {:<12}  {:<18}  {}", time(&entry.at), entry.service, entry.kind, entry.text);
    if !matches!(entry.actor.as_str(), "" | "cutover") {
        let _ = write!(line, " [by {}]", entry.actor);
    }
    if let Some(reason) = entry.reason.as_deref().filter(|reason| !reason.is_empty()) {
        let _ = write!(line, " [{reason}]");
    }
    if entry.forced {
        line.push_str(" [forced]");
    }
    line
}

//! `--dry-run`: the plan of a roll as text and as JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::fleet::{Fleet, order, share};
use super::options::Options;
use super::plan::{self, Member, Restart, Rules, Start, Step};
use crate::ctl::table::table;
use crate::ctl::view::Backend;
use crate::ctl::{Exit, Output};

/// The plan for restarting `targets`, in this order.
pub(super) fn output(options: &Options, fleet: &Fleet, targets: &[&Backend]) -> Output {
    let rules = rules(options, fleet);
    let steps = plan::steps(&members(fleet, targets), start(fleet), &rules);
    let is_stuck = steps.iter().any(|step| matches!(step, Step::Stuck(_)));
    Output {
        document: document(options, fleet, &rules, &steps),
        text: text(options, fleet, &rules, &steps),
        exit: if is_stuck { Exit::Failed } else { Exit::Done },
    }
}

fn rules(options: &Options, fleet: &Fleet) -> Rules {
    let policy = &fleet.service.policy;
    let registered = u32::try_from(fleet.backends.len()).unwrap_or(u32::MAX);
    let size = if fleet.is_under_way() { fleet.roll.size } else { registered };
    Rules {
        expected: fleet.service.expected_weight,
        min_capacity: share(policy.min_capacity),
        quorum_share: share(policy.flip.quorum.share),
        quorum_count: policy.flip.quorum.count,
        batch_size: order(policy).batch_size(size),
        parallel: usize::from(options.parallel),
    }
}

fn members(fleet: &Fleet, targets: &[&Backend]) -> Vec<Member> {
    let member = |backend: &&Backend| Member {
        id: backend.id.clone(),
        weight: backend.weight,
        is_active: backend.usable && backend.version == fleet.service.active,
    };
    targets.iter().map(member).collect()
}

fn start(fleet: &Fleet) -> Start {
    let usable_of = |version: Option<&String>| {
        let backends = fleet.backends.iter().filter(|backend| backend.usable);
        let of_it = backends.filter(|backend| version.is_some() && backend.version.as_ref() == version);
        of_it.map(|backend| backend.weight).collect::<Vec<_>>()
    };
    let active = usable_of(fleet.service.active.as_ref());
    if !fleet.is_under_way() {
        return Start { usable: active.iter().sum(), batch: 1, ..Start::default() };
    }
    let roll = &fleet.roll;
    let restarted = usable_of(roll.to.as_ref());
    let batch = roll.summary.batch.max(1);
    let size = order(&fleet.service.policy).batch_size(roll.size);
    let done = u32::try_from(roll.done.len()).unwrap_or(u32::MAX);
    Start {
        usable: active.iter().sum(),
        restarted: restarted.iter().sum(),
        restarted_count: u32::try_from(restarted.len()).unwrap_or(u32::MAX),
        is_flipped: roll.to.is_some() && roll.to == fleet.service.active,
        batch,
        taken: done.saturating_sub((batch - 1).saturating_mul(size)),
    }
}

fn text(options: &Options, fleet: &Fleet, rules: &Rules, steps: &[Step]) -> String {
    let service = &options.service;
    let active = fleet.service.active.as_deref().unwrap_or("nothing");
    let Rules { expected, batch_size, parallel, .. } = rules;
    let count: usize = steps.iter().map(restarted).sum();
    let mut text = format!(
        "{service}: {count} of {} backends in batches of {batch_size}, {parallel} at a time; {active} is active; \
         each has {} to come back\n",
        fleet.backends.len(),
        fleet.service.policy.roll.permit_deadline
    );
    let mut rows: Vec<Vec<String>> = Vec::new();
    for step in steps {
        if let Step::Restart(restart) = step {
            rows.push(row(restart));
            continue;
        }
        text.push_str(&rows_as_text(std::mem::take(&mut rows)));
        match step {
            Step::Flip(weight, backends) => {
                let needed = rules.quorum_share.of(*expected).max(1);
                let _ = writeln!(
                    text,
                    "flip    when {backends} backends (weight {weight}, quorum {needed} of {expected}) run the new version: {}",
                    flips(service, fleet)
                );
            }
            Step::Drain => {
                let drain = &fleet.service.policy.drain;
                let _ = writeln!(
                    text,
                    "drain   {active} until its last session ended, {} + {} at most; then the rest may go",
                    drain.deadline, drain.spread
                );
            }
            Step::Stuck(backends) => {
                let needed = rules.min_capacity.of(*expected);
                let _ = writeln!(
                    text,
                    "stuck   {}: less than {needed} of {expected} would be usable (min_capacity)",
                    backends.join(", ")
                );
            }
            Step::Restart(_) => {}
        }
    }
    text.push_str(&rows_as_text(rows));
    text
}

/// What the flip takes.
fn flips(service: &str, fleet: &Fleet) -> String {
    let flip = &fleet.service.policy.flip;
    let gates = match flip.gates.as_slice() {
        [] => String::new(),
        gates => format!(" and with the gates {} open", gates.join(", ")),
    };
    match flip.mode.as_str() {
        "auto" => format!("by itself after {} without a break{gates}", flip.stable_for),
        _ => format!("by `cutover flip {service} VERSION`, after {} without a break{gates}", flip.stable_for),
    }
}

fn restarted(step: &Step) -> usize {
    match step {
        Step::Restart(restart) => restart.backends.len(),
        _ => 0,
    }
}

fn row(restart: &Restart) -> Vec<String> {
    let Restart { batch, backends, before, meanwhile, after, needed, restarted } = restart;
    let numbers = [before, meanwhile, after, needed, restarted].map(ToString::to_string);
    [batch.to_string(), backends.join(", ")].into_iter().chain(numbers).collect()
}

fn rows_as_text(rows: Vec<Vec<String>>) -> String {
    if rows.is_empty() {
        return String::new();
    }
    table(&["BATCH", "BACKENDS", "USABLE", "MEANWHILE", "AFTER", "NEEDED", "NEW VERSION"], rows)
}

fn document(options: &Options, fleet: &Fleet, rules: &Rules, steps: &[Step]) -> Value {
    let step = |step: &Step| match step {
        Step::Restart(restart) => json!({
            "do": "restart",
            "batch": restart.batch,
            "backends": restart.backends,
            "usable": { "before": restart.before, "meanwhile": restart.meanwhile, "after": restart.after },
            "needed": restart.needed,
            "new_version": restart.restarted,
        }),
        Step::Flip(weight, backends) => {
            json!({ "do": "flip", "mode": fleet.service.policy.flip.mode, "weight": weight, "backends": backends })
        }
        Step::Drain => json!({ "do": "drain", "at_most": fleet.service.policy.drain.deadline }),
        Step::Stuck(backends) => json!({ "do": "stuck", "backends": backends }),
    };
    json!({
        "service": options.service,
        "active": fleet.service.active,
        "expected_weight": rules.expected,
        "batch_size": rules.batch_size,
        "parallel": rules.parallel,
        "steps": steps.iter().map(step).collect::<Vec<_>>(),
    })
}

//! `--dry-run`: what a deploy would do, and what stands in its way, as text and as JSON.

use std::time::Duration;

use serde_json::{Value, json};

use super::options::Options;
use super::plan::{self, Memory, Standing, Step, Wants};
use super::scene::Scene;
use crate::ctl::share::percent;
use crate::ctl::table::table;
use crate::ctl::{Exit, Output, Reason};

/// The plan from here on.
pub(super) fn output(options: &Options, wants: &Wants, scene: &Scene) -> Output {
    let memory = Memory::default();
    let obstacles = obstacles(wants, scene, &memory);
    let rows: Vec<Row> = rows(options, wants, scene, &memory);
    let before = scene.before(&wants.version).unwrap_or("nothing");
    let mut text = format!("{}: from {before} to {}\n", options.service, wants.version);
    let cells =
        rows.iter().map(|row| vec![row.step.as_str().to_owned(), row.state.to_owned(), row.detail.clone()]);
    text.push_str(&table(&["STEP", "STATE", ""], cells.collect::<Vec<Vec<String>>>()));
    if !obstacles.is_empty() {
        text.push_str("in the way:\n");
        text.extend(obstacles.iter().map(|Reason { code, detail }| format!("  - {detail} ({code})\n")));
    }
    let exit = if obstacles.is_empty() { Exit::Done } else { Exit::Failed };
    Output { document: document(options, scene, &rows, &obstacles), text, exit }
}

/// A step and what becomes of it.
#[derive(Debug)]
struct Row {
    step: Step,
    state: &'static str,
    detail: String,
}

/// What no wait removes.
fn obstacles(wants: &Wants, scene: &Scene, memory: &Memory) -> Vec<Reason> {
    let stuck = |step| match plan::standing(step, wants, scene, memory, Duration::ZERO) {
        Standing::Stuck(reasons) => reasons,
        _ => Vec::new(),
    };
    let mut all: Vec<Reason> = plan::hopeless(wants, scene, memory).into_iter().collect();
    for reason in Step::ALL.into_iter().filter(|step| is_known(*step, wants, scene)).flat_map(stuck) {
        if !all.iter().any(|known| known.code == reason.code) {
            all.push(reason);
        }
    }
    all
}

/// Whether anything can be said of a step now: what comes after the switch shows only then.
fn is_known(step: Step, wants: &Wants, scene: &Scene) -> bool {
    step <= Step::Flip || scene.is_active(&wants.version)
}

fn rows(options: &Options, wants: &Wants, scene: &Scene, memory: &Memory) -> Vec<Row> {
    let row = |step: Step| {
        let intent = intent(step, options, scene);
        let (state, detail) = match plan::standing(step, wants, scene, memory, Duration::ZERO) {
            _ if !is_known(step, wants, scene) => match intent {
                Some(intent) => ("to do", intent),
                None => return None,
            },
            Standing::Unwanted => return None,
            Standing::Done(how) => ("done", how),
            Standing::Ready(_) => ("to do", intent.unwrap_or_default()),
            Standing::Waits(what) => ("waits", what),
            Standing::Stuck(reasons) => {
                ("stuck", reasons.into_iter().map(|reason| reason.detail).collect::<Vec<_>>().join("; "))
            }
        };
        Some(Row { step, state, detail })
    };
    Step::ALL.into_iter().filter_map(row).collect()
}

/// What a step does, if it is wanted at all.
fn intent(step: Step, options: &Options, scene: &Scene) -> Option<String> {
    let Options { version, .. } = options;
    let before = || scene.before(version).unwrap_or("what is active then").to_owned();
    let commands = |names: &[(String, String)]| {
        let each = names.iter().map(|(name, command)| format!("`{command}`, then gate {name} is opened"));
        each.collect::<Vec<_>>().join("; ")
    };
    match step {
        Step::Expand => {
            options.expand.as_ref().map(|command| format!("`{command}`, then gate expand is opened"))
        }
        Step::Stage => match &options.run {
            Some(command) => Some(format!("`{command}`, then its backends are waited for")),
            None => Some("its backends are waited for".to_owned()),
        },
        Step::Gates => (!options.gates.is_empty()).then(|| commands(&options.gates)),
        Step::Canary => options.stages().map(|stages| match stages {
            [] => "by the steps of the service".to_owned(),
            stages => {
                let each = stages
                    .iter()
                    .map(|stage| format!("{} for {} s", percent(stage.share), stage.lasts.as_secs()));
                each.collect::<Vec<_>>().join(", ")
            }
        }),
        Step::Flip => {
            Some(format!("{version} becomes active, if the epoch is still {}", scene.service.epoch))
        }
        Step::Bake => Some(match options.bake {
            Some(least) => format!("{version} is watched for {} s at least", least.as_secs()),
            None => format!("{version} is watched for as long as the service wants"),
        }),
        Step::Drain => Some(match options.evict_after {
            Some(limit) => {
                format!("{} is waited for, and its sessions are moved after {} s", before(), limit.as_secs())
            }
            None => format!("{} is waited for until it is unused", before()),
        }),
        Step::Contract => {
            options.contract.as_ref().map(|command| format!("`{command}`, then it is recorded"))
        }
    }
}

fn document(options: &Options, scene: &Scene, rows: &[Row], obstacles: &[Reason]) -> Value {
    let step = |row: &Row| json!({ "step": row.step.as_str(), "state": row.state, "detail": row.detail });
    let reason = |reason: &Reason| json!({ "code": reason.code, "detail": reason.detail });
    json!({
        "service": options.service,
        "version": options.version,
        "from": scene.before(&options.version),
        "active": scene.service.active,
        "epoch": scene.service.epoch,
        "allowed": obstacles.is_empty(),
        "reasons": obstacles.iter().map(reason).collect::<Vec<_>>(),
        "steps": rows.iter().map(step).collect::<Vec<_>>(),
    })
}

//! What processes say about themselves: they register, and renew their leases by messages that may be late, lost, and doubled.

use std::collections::BTreeMap;

use cutover_core::backend::Weight;
use cutover_core::command::{Change, Registration};
use cutover_core::entropy::Entropy;
use cutover_core::id::VersionLabel;
use cutover_core::schema::{Schema, SchemaRange};
use cutover_core::time::{Millis, Timestamp};

use crate::fleet::{Fleet, MACHINES_MAX, address};

/// Time between two heartbeats.
const BEAT: Millis = Millis(3000);
/// Time for which a registration lasts.
const TTL: Millis = Millis(10_000);

/// The agents of all machines.
#[derive(Default)]
pub(crate) struct Agents {
    /// Whether registrations last only as long as they are renewed.
    has_leases: bool,
    pub(crate) is_reliable: bool,
    last: [Timestamp; MACHINES_MAX as usize],
    under_way: Vec<(Timestamp, u64, Change)>,
}

impl Agents {
    pub(crate) fn new(has_leases: bool) -> Self {
        Self { has_leases, ..Self::default() }
    }

    /// What the process of a machine registers.
    pub(crate) fn registration(&self, fleet: &Fleet, machine: u64) -> Option<Change> {
        let process = fleet.machine(machine).running.as_ref()?;
        Some(Change::Register(Registration {
            backend: fleet.machine(machine).name.clone(),
            address: address(machine),
            version: Some(process.runs.clone()),
            weight: Weight::ONE,
            ttl: self.has_leases.then_some(TTL),
            boot_id: fleet.boot_id(process),
            zone: None,
            schema: schemas(&process.runs),
            metadata: BTreeMap::new(),
        }))
    }

    /// The heartbeats that arrive now, and the machines that they are from.
    pub(crate) fn step(&mut self, fleet: &Fleet, now: Timestamp, dice: &mut Entropy) -> Vec<(u64, Change)> {
        if !self.has_leases {
            return Vec::new();
        }
        for machine in fleet.numbers() {
            let Some(process) = &fleet.machine(machine).running else { continue };
            let last = &mut self.last[machine as usize];
            if now.since(*last) < BEAT {
                continue;
            }
            *last = now;
            let backend = fleet.machine(machine).name.clone();
            let version = Some(process.runs.clone());
            let beat = Change::Heartbeat { backend, version, boot_id: fleet.boot_id(process) };
            let late = now + Millis(dice.below(4000));
            match if self.is_reliable { 99 } else { dice.below(20) } {
                0 | 1 => {}
                2 => self.under_way.extend([(now, machine, beat.clone()), (late, machine, beat)]),
                3 | 4 => self.under_way.push((late, machine, beat)),
                _ => self.under_way.push((now, machine, beat)),
            }
        }
        let (arrived, under_way) = self.under_way.drain(..).partition(|(at, ..)| *at <= now);
        self.under_way = under_way;
        Vec::from_iter::<Vec<_>>(arrived).into_iter().map(|(_, machine, beat)| (machine, beat)).collect()
    }
}

/// The schemas that a version can work with: some of those that operators say, and for every third version all of them.
fn schemas(version: &VersionLabel) -> SchemaRange {
    let number = version.as_str().bytes().fold(0, |number, byte| (number * 10 + u64::from(byte)) % 1000);
    if number % 3 == 0 {
        return SchemaRange::ANY;
    }
    SchemaRange { min: Schema::new(number % 3), max: Schema::new(number % 3 + 2) }
}

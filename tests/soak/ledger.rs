//! G6: a clerk who changes one thing after the other all the time, and looks whether what was acknowledged is there.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::admin::Outcome;
use super::deck::Dice;
use super::run::Run;
use super::tally::Guarantee;

/// Entries of the ledger: backends of a service that nobody visits.
const ENTRIES: u64 = 12;
/// Between two changes.
const PACE: Duration = Duration::from_millis(150);
/// Changes after which everything is looked at, if nothing was lost before.
const ROUND: u64 = 20;

/// What the clerk knows to be true, and what he can't know.
#[derive(Clone, Debug, Default)]
struct Known {
    /// Weights by name.
    entries: BTreeMap<String, u64>,
    /// The change whose answer was lost: it may have happened.
    unsure: Option<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Put(String, u64),
    Delete(String),
}

/// Works until visitors leave, and looks a last time.
pub(crate) async fn keep(run: &Run) {
    let (mut known, mut dice, mut changes) = (Known::default(), Dice::new(run.options.seed, 2), 0_u64);
    while !run.is_closed() {
        known.change(run, &mut dice).await;
        changes += 1;
        if known.unsure.is_some() || changes.is_multiple_of(ROUND) {
            known.look(run).await;
        }
        tokio::time::sleep(PACE).await;
    }
    known.look(run).await;
    run.note(&format!("the clerk made {changes} changes"));
}

impl Known {
    async fn change(&mut self, run: &Run, dice: &mut Dice) {
        let name = format!("entry-{}", dice.between(1, ENTRIES));
        let path = format!("/v1/services/ledger/backends/{name}");
        let change = match dice.one_in(3) && self.entries.contains_key(&name) {
            true => Change::Delete(name),
            false => Change::Put(name, dice.between(1, 100)),
        };
        let outcome = match &change {
            Change::Delete(_) => run.admin.call("DELETE", &format!("{path}?drain=0s"), &Value::Null).await,
            Change::Put(_, weight) => {
                let body = json!({ "address": "127.0.0.1:1", "version": "v1", "weight": weight, "ttl": "0" });
                run.admin.call("PUT", &path, &body).await
            }
        };
        match outcome {
            Outcome::Done(_) => self.happened(change),
            // Nothing was changed, which the next look shows.
            Outcome::Refused(..) => run.note(&format!("the clerk: {change:?}: {}", outcome.why())),
            Outcome::Lost(_) => {
                run.note(&format!("the clerk: {change:?}: {}", outcome.why()));
                self.unsure = Some(change);
            }
        }
    }

    /// Everything that was acknowledged is there, and at most the one change more whose answer was lost.
    async fn look(&mut self, run: &Run) {
        let Some(found) = read(run).await else { return };
        let (mut tally, at) = (run.tally(), Instant::now());
        if found != self.entries
            && let Some(unsure) = self.unsure.take()
        {
            self.happened(unsure);
        }
        self.unsure = None;
        tally.check_many(Guarantee::Lost, self.entries.len() as u64);
        let known = self.entries.clone();
        tally.check(Guarantee::Lost, found == known, at, || {
            format!("{known:?} was acknowledged, {found:?} is there")
        });
        self.entries = found;
        drop(tally);
        run.tell_news();
    }

    fn happened(&mut self, change: Change) {
        match change {
            Change::Put(name, weight) => _ = self.entries.insert(name, weight),
            Change::Delete(name) => _ = self.entries.remove(&name),
        }
    }
}

/// What is there, as soon as somebody says it.
async fn read(run: &Run) -> Option<BTreeMap<String, u64>> {
    let until = Instant::now() + Duration::from_secs(90);
    while Instant::now() < until {
        if let Some(answer) = run.admin.get("/v1/services/ledger/backends").await {
            let backends = answer["backends"].as_array().cloned().unwrap_or_default();
            let entry =
                |backend: &Value| Some((backend["id"].as_str()?.to_owned(), backend["weight"].as_u64()?));
            return Some(backends.iter().filter_map(entry).collect());
        }
        tokio::time::sleep(PACE).await;
    }
    run.find("nobody answers what is in the ledger".to_owned());
    None
}

#[test]
fn a_change_that_was_acknowledged_and_is_missing_would_be_seen() {
    let mut known = Known::default();
    known.happened(Change::Put("a".to_owned(), 3));
    known.happened(Change::Put("b".to_owned(), 4));
    known.happened(Change::Delete("a".to_owned()));
    assert_eq!(known.entries, BTreeMap::from([("b".to_owned(), 4)]));
}

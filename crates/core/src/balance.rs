//! Which backend of a version gets a request. All balancers honour weights, and none ever looks outside the version.

use std::sync::atomic::Ordering::Relaxed;

use crate::entropy::Entropy;
use crate::mix::{mix, unit};
use crate::policy::{Balance, Policy};
use crate::snapshot::{BackendEntry, VersionSet};
use crate::time::{Millis, Timestamp};

/// Most turns in a round-robin schedule. Weights that need more are scaled down, which changes their ratios by less than
/// one in a hundred.
const TURNS_MAX: u32 = 4096;
/// Draws before a scan takes over, so that a choice ends whatever the entropy is.
const DRAWS: usize = 8;

/// What a choice inside a version depends on.
#[derive(Debug, Clone, Copy)]
pub struct Choosing<'a> {
    /// The service's policy.
    pub policy: &'a Policy,
    /// The key of [`Balance::Hash`], if the request has one.
    pub hash_key: Option<u64>,
    /// Members that were tried already, as places.
    pub tried: &'a [usize],
    /// The time, for slow starts.
    pub now: Timestamp,
}

impl VersionSet {
    /// Chooses a ready member; `None` when there is none that may be sent to and was not tried.
    pub fn choose(&self, how: &Choosing<'_>, entropy: &mut Entropy) -> Option<usize> {
        let may_serve = |at: usize| !how.tried.contains(&at) && self.members[at].is_sendable();
        if self.ready == 0 {
            return None;
        }
        if let Balance::Hash(_) = how.policy.balance {
            let key = how.hash_key.unwrap_or_else(|| entropy.word());
            return self.rendezvous(key, may_serve);
        }
        if how.policy.balance == Balance::LeastConnections && how.policy.slow_start.is_zero() {
            return self.least_loaded(may_serve, entropy);
        }
        for _ in 0..DRAWS {
            let at = match how.policy.balance {
                Balance::RoundRobin => self.next_turn(),
                Balance::PowerOfTwo => self.better_of_two(entropy),
                Balance::PeakEwma => self.likely_better_of_two(entropy),
                Balance::LeastConnections | Balance::Hash(_) => self.least_loaded(may_serve, entropy)?,
            };
            if may_serve(at) && self.members[at].is_warm(how.policy.slow_start, how.now, entropy) {
                return Some(at);
            }
        }
        self.least_loaded(may_serve, entropy)
    }

    /// The place of the ready member that sessions tied to the backend with this hash go to. A draining one is among
    /// them, if sessions may stay with it.
    #[must_use]
    pub fn member_by_hash(&self, hash: u64) -> Option<usize> {
        self.members.iter().position(|entry| entry.hash == hash && entry.is_sendable())
    }

    /// The ready member to which `key` belongs, whatever the policy: the same one for as long as it may be sent to.
    #[must_use]
    pub fn choose_by_key(&self, key: u64) -> Option<usize> {
        self.rendezvous(key, |at| self.members[at].is_sendable())
    }

    fn next_turn(&self) -> usize {
        let turn = self.traffic.turn.fetch_add(1, Relaxed);
        #[expect(clippy::cast_possible_truncation, reason = "the remainder is below a usize")]
        usize::from(self.turns[(turn % self.turns.len() as u64) as usize])
    }

    /// Of two members the one with less load (Mitzenmacher, "The power of two choices", 2001).
    fn better_of_two(&self, entropy: &mut Entropy) -> usize {
        let (first, second) = self.two(entropy);
        let load = |at: usize| self.members[at].load_score();
        if load(second) < load(first) { second } else { first }
    }

    /// Of two members the one with the lower latency, the more surely the greater the difference: latencies always differ a little,
    /// and that little must not outvote the weights, by which the first one was drawn.
    fn likely_better_of_two(&self, entropy: &mut Entropy) -> usize {
        let (first, second) = self.two(entropy);
        let latency = |at: usize| self.members[at].latency_score();
        if entropy.unit() < 1.0 - latency(second) / latency(first) { second } else { first }
    }

    /// Draws two members by weight, different ones unless chance will not have it.
    fn two(&self, entropy: &mut Entropy) -> (usize, usize) {
        let first = self.draw(entropy);
        if self.ready == 1 {
            return (first, first);
        }
        let mut second = self.draw(entropy);
        for _ in 0..2 {
            if second != first {
                break;
            }
            second = self.draw(entropy);
        }
        (first, second)
    }

    fn draw(&self, entropy: &mut Entropy) -> usize {
        let total = self.cumulative.last().copied().unwrap_or(0);
        let point = entropy.below(u64::from(total));
        self.cumulative.partition_point(|&sum| u64::from(sum) <= point)
    }

    /// The member with the least load for its weight; of equal ones any, by weight.
    fn least_loaded(&self, may_serve: impl Fn(usize) -> bool, entropy: &mut Entropy) -> Option<usize> {
        let mut best: Option<(usize, f64)> = None;
        let mut equals = 0_u64;
        for at in (0..self.ready).filter(|&at| may_serve(at)) {
            let (score, weight) = (self.members[at].load_score(), u64::from(self.members[at].weight));
            match best {
                Some((_, least)) if score > least => {}
                Some((_, least)) if score >= least => {
                    // Weighted reservoir sampling (Chao, 1982): each of the equals stays with the chance of its weight.
                    equals += weight;
                    if entropy.below(equals) < weight {
                        best = Some((at, score));
                    }
                }
                _ => {
                    equals = weight;
                    best = Some((at, score));
                }
            }
        }
        best.map(|(at, _)| at)
    }

    /// Weighted rendezvous hashing (Thaler & Ravishankar, 1998; weights after Schindelhauer & Schomaker, 2005): a member
    /// that leaves moves only its own keys.
    fn rendezvous(&self, key: u64, may_serve: impl Fn(usize) -> bool) -> Option<usize> {
        let score = |at: usize| {
            let entry = &self.members[at];
            // In (0, 1): the logarithm is finite and negative.
            let drawn = unit(mix(key ^ entry.hash)).max(f64::MIN_POSITIVE);
            -f64::from(entry.weight) / drawn.ln()
        };
        (0..self.ready).filter(|&at| may_serve(at)).max_by(|&a, &b| score(a).total_cmp(&score(b)))
    }
}

impl BackendEntry {
    /// Zero for whoever has nothing to do, whatever its weight: then the draw, which is by weight, decides alone. Counting
    /// the request to come would count the weight twice, and starve the lighter ones while there is little to do.
    fn load_score(&self) -> f64 {
        f64::from(self.traffic.in_flight()) / f64::from(self.weight)
    }

    #[expect(clippy::cast_precision_loss, reason = "an average latency in microseconds is far below 2^52")]
    fn latency_score(&self) -> f64 {
        // One microsecond at least, so that the load still counts before anything was measured; one request at least, so
        // that the latency counts while there is no load.
        (self.load_score() + 1.0) * (self.traffic.latency_us().max(1) as f64)
    }

    /// Whether a backend that is still starting slowly takes this request: with a chance of its elapsed share of the
    /// window, a tenth at least (Envoy's slow start with aggression 1).
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of a window are far below 2^52")]
    fn is_warm(&self, window: Millis, now: Timestamp, entropy: &mut Entropy) -> bool {
        let age = self.up_since.map_or(window, |since| now.since(since));
        age >= window || entropy.unit() < (age.0 as f64 / window.0 as f64).max(0.1)
    }
}

/// Each weight added to those before it.
pub(crate) fn cumulative(weights: &[u16]) -> Vec<u32> {
    weights
        .iter()
        .scan(0_u32, |sum, &weight| {
            *sum += u32::from(weight);
            Some(*sum)
        })
        .collect()
}

/// The turns of smooth weighted round robin (as in nginx): each member gets as many turns as its weight, spread as evenly
/// as possible.
pub(crate) fn turns(weights: &[u16]) -> Vec<u16> {
    let divisor = weights.iter().fold(0, |divisor, &weight| gcd(divisor, weight)).max(1);
    let mut weights: Vec<i64> = weights.iter().map(|&weight| i64::from(weight / divisor)).collect();
    let total = |weights: &[i64]| weights.iter().sum::<i64>();
    let limit = i64::from(TURNS_MAX).max(i64::try_from(weights.len()).unwrap_or(i64::MAX));
    if total(&weights) > limit {
        let sum = total(&weights);
        weights.iter_mut().for_each(|weight| *weight = (*weight * limit / sum).max(1));
    }
    if weights.iter().all(|&weight| weight == 1) {
        return (0..).zip(&weights).map(|(at, _)| at).collect();
    }
    let total = total(&weights);
    let mut current = vec![0_i64; weights.len()];
    let mut turns = Vec::new();
    for _ in 0..total {
        let mut best = 0;
        for (at, weight) in weights.iter().enumerate() {
            current[at] += weight;
            if current[at] > current[best] {
                best = at;
            }
        }
        current[best] -= total;
        turns.push(u16::try_from(best).unwrap_or(u16::MAX));
    }
    turns
}

fn gcd(a: u16, b: u16) -> u16 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_smooth() {
        assert_eq!(turns(&[5, 1, 1]), [0, 0, 1, 0, 2, 0, 0]);
        assert_eq!(turns(&[10, 20]), [1, 0, 1]);
        assert_eq!(turns(&[7, 7, 7]), [0, 1, 2]);
        assert!(turns(&[]).is_empty());
    }

    #[test]
    fn turns_are_bounded_and_leave_nobody_out() {
        let weights: Vec<u16> = (0..6000).map(|at| 1 + at % 1000).collect();
        let turns = turns(&weights);
        assert!(turns.len() <= 12_000, "{}", turns.len());
        let served: std::collections::BTreeSet<u16> = turns.into_iter().collect();
        assert_eq!(served.len(), weights.len());
    }
}

//! A bet against the new version: how much is won by betting, second after second, that its mean is above what is allowed.
//!
//! As long as each second's mean is at most what is allowed, given all seconds before, no way of betting on more that goes by the past
//! alone wins on average. So the chance to ever multiply the stake by 100 is at most 1 in 100 (Ville's inequality), however often and for
//! however long one looks, and whatever else the seconds have to do with each other. The bets are those of Waudby-Smith & Ramdas,
//! "Estimating means of bounded random variables by betting", 2023, appendix B: close to the ones that grow fastest with the mean and
//! variance that were seen so far.

/// A bet, and what it has become.
#[derive(Debug, Clone, Copy)]
pub(super) struct Betting {
    /// The stake is 1.
    wealth: f64,
    /// Observations.
    count: f64,
    sum: f64,
    /// Sum of the squared distances of the observations from their mean (B. P. Welford, 1962).
    squares: f64,
}

impl Default for Betting {
    fn default() -> Self {
        Self { wealth: 1.0, count: 0.0, sum: 0.0, squares: 0.0 }
    }
}

impl Betting {
    /// Bets by what was seen before that the next observation is above `allowed`, and takes it in. Both are from 0 to 1, `allowed` is
    /// neither.
    pub(super) fn observe(&mut self, observed: f64, allowed: f64) {
        let excess = self.mean(allowed) - allowed;
        let bet = (excess / excess.mul_add(excess, self.variance(allowed))).clamp(0.0, 0.5 / allowed);
        self.wealth *= 1.0 + bet * (observed - allowed);
        let before = if self.count > 0.0 { self.sum / self.count } else { observed };
        self.count += 1.0;
        self.sum += observed;
        self.squares += (observed - before) * (observed - self.sum / self.count);
    }

    /// What the stake has become: the evidence that the mean is above what is allowed.
    pub(super) const fn wealth(&self) -> f64 {
        self.wealth
    }

    /// The mean that is believed: before the first observation it is twice what is allowed.
    fn mean(&self, allowed: f64) -> f64 {
        2.0_f64.mul_add(allowed, self.sum) / (self.count + 1.0)
    }

    /// The variance that is believed.
    fn variance(&self, allowed: f64) -> f64 {
        allowed.mul_add(1.0 - allowed, self.squares) / (self.count + 1.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_bets_are_those_of_the_formula() {
        let mut betting = Betting::default();
        // mean 0.02, variance 0.0099: the bet is 0.01 / (0.0099 + 0.0001) = 1.
        betting.observe(0.1, 0.01);
        assert!((betting.wealth() - 1.09).abs() < 1e-12, "{betting:?}");
        // mean (0.02 + 0.1) / 2 = 0.06, variance 0.0099 / 2: the bet is 0.05 / (0.00495 + 0.0025).
        betting.observe(0.0, 0.01);
        let second = 1.09 * (1.0 - 0.01 * (0.05 / 0.007_45));
        assert!((betting.wealth() - second).abs() < 1e-12, "{betting:?}");
        // mean 0.12 / 3, variance (0.0099 + 2 · 0.05²) / 3.
        betting.observe(0.2, 0.01);
        let expected = second * (1.0 + 0.19 * (0.03 / (0.0149 / 3.0 + 0.0009)));
        assert!((betting.wealth() - expected).abs() < 1e-12, "{betting:?}");
    }

    #[test]
    fn what_is_allowed_wins_nothing() {
        let mut betting = Betting::default();
        (0..10_000).for_each(|_| betting.observe(0.01, 0.01));
        assert!(betting.wealth() <= 1.0, "{betting:?}");
    }

    proptest! {
        #[test]
        fn a_bet_is_never_ruined_and_more_of_what_is_bad_never_wins_less_at_once(
            observed in proptest::collection::vec(0.0..=1.0, 1..200),
            allowed in 0.001..0.999,
        ) {
            let mut betting = Betting::default();
            for x in observed {
                let (mut worse, mut better) = (betting, betting);
                worse.observe(1.0, allowed);
                better.observe(0.0, allowed);
                betting.observe(x, allowed);
                let order = better.wealth() <= betting.wealth() && betting.wealth() <= worse.wealth();
                prop_assert!(order && betting.wealth() >= 0.0 && !betting.wealth().is_nan());
            }
        }
    }
}

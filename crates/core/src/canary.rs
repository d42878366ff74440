//! Whether a session belongs to the canary's share.

use crate::mix::{mix, unit};
use crate::policy::Share;

/// Whether the session with this pin id falls into `share` of all sessions.
///
/// Monotone in `share`: who is in a share is in every larger one, so a growing canary never moves anybody back.
#[must_use]
pub fn includes(pin_id: u64, share: Share) -> bool {
    // Mixed once more with a constant of its own, so that it is independent of other uses of the pin id.
    unit(mix(pin_id ^ 0xca11_a57e_5a1e_5e5a)) < share.value()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_growing_share_never_moves_anybody_back(id: u64, a in 0.0..=1.0, b in 0.0..=1.0) {
            let (small, large) = (f64::min(a, b), f64::max(a, b));
            let [small, large] = [small, large].map(|value| Share::new(value).unwrap());
            prop_assert!(!includes(id, small) || includes(id, large));
        }
    }

    #[test]
    fn nobody_is_in_no_share_and_everybody_in_the_whole() {
        let ids = 0..10_000_u64;
        assert!(ids.clone().all(|id| !includes(id, Share::new(0.0).unwrap())));
        assert!(ids.clone().all(|id| includes(id, Share::ALL)));
        let tenth = ids.filter(|&id| includes(id, Share::new(0.1).unwrap())).count();
        assert!((900..1100).contains(&tenth), "{tenth} of 10,000 in a share of 0.1");
    }
}

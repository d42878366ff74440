//! Chance by a seed: numbers, and decks of cards, so that each kind of chaos comes about as often as any other.

/// SplitMix64 (Steele, Lea and Flood 2014): the same seed throws the same numbers on every machine.
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    /// Of this seed, for this purpose: what is thrown for one changes nothing for the others.
    pub(crate) fn new(seed: u64, purpose: u64) -> Self {
        let mut dice = Self(seed ^ purpose.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        dice.roll();
        dice
    }

    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number of `low..=high`.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.roll() % (high - low + 1)
    }

    /// True once in so many times.
    pub(crate) fn one_in(&mut self, times: u64) -> bool {
        self.roll().is_multiple_of(times)
    }

    pub(crate) fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.roll() % length as u64).unwrap_or(0)
    }
}

/// Cards that are dealt until none is left, and then shuffled again.
#[derive(Clone, Debug)]
pub(crate) struct Deck<T> {
    cards: Vec<T>,
    rest: Vec<T>,
}

impl<T: Copy + PartialEq> Deck<T> {
    pub(crate) fn new(cards: Vec<T>) -> Self {
        Self { cards, rest: Vec::new() }
    }

    /// The next card that may be played; none if no card may.
    pub(crate) fn deal(&mut self, dice: &mut Dice, may: impl Fn(T) -> bool) -> Option<T> {
        if !self.rest.iter().any(|card| may(*card)) {
            self.rest.extend(self.cards.iter().copied());
        }
        let playable: Vec<usize> = (0..self.rest.len()).filter(|at| may(self.rest[*at])).collect();
        let at = *playable.get(dice.index(playable.len().max(1)))?;
        Some(self.rest.swap_remove(at))
    }
}

#[test]
fn a_deck_deals_every_card_before_any_comes_again_and_a_seed_deals_the_same() {
    let deal = || {
        let (mut deck, mut dice) = (Deck::new(vec![1, 2, 3, 4]), Dice::new(7, 1));
        (0..8).map(|_| deck.deal(&mut dice, |_| true).unwrap()).collect::<Vec<_>>()
    };
    let (mut first, second) = (deal(), deal());
    assert_eq!(first, second);
    first[..4].sort_unstable();
    assert_eq!(first[..4], [1, 2, 3, 4]);
    assert_eq!(Deck::new(vec![1]).deal(&mut Dice::new(7, 1), |_| false), None);
}

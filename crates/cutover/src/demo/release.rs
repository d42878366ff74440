//! The versions that the demo deploys, which have an order here and nowhere in cutover.

/// A release of the demo's app: `v1`, `v2`, …
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Release(u8);

impl Release {
    /// The release with which the fleet starts.
    pub(super) const FIRST: Self = Self(1);
    /// How many releases the demo may have: indices are below it.
    pub(super) const COUNT: usize = 8;

    /// The one after this.
    pub(super) fn next(self) -> Self {
        Self(self.0 + 1)
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let number = text.strip_prefix('v')?.parse().ok()?;
        (1..Self::COUNT).contains(&usize::from(number)).then_some(Self(number))
    }

    pub(super) fn index(self) -> usize {
        usize::from(self.0)
    }

    /// All releases, in order.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        (1..=u8::MAX).map(Self).take_while(|release| release.index() < Self::COUNT)
    }
}

impl std::fmt::Display for Release {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "v{}", self.0)
    }
}

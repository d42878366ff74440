//! What happened in histories, so that a run can tell that anything did.

use std::ops::AddAssign;

macro_rules! totals {
    ($($name:ident),* $(,)?) => {
        /// How often what happened.
        #[derive(Debug, Default, Clone, Copy)]
        pub(crate) struct Totals { $(pub(crate) $name: u64),* }

        impl AddAssign for Totals {
            fn add_assign(&mut self, other: Self) {
                $(self.$name += other.$name;)*
            }
        }

        impl Totals {
            /// A simulation in which nothing happens proves nothing.
            pub(crate) fn assert_eventful(&self, histories: u64) {
                let rare = [$((stringify!($name), self.$name)),*].into_iter().find(|&(_, count)| count * 10 < histories);
                assert!(rare.is_none(), "too little of {rare:?} in {histories} histories: {self:?}");
            }
        }
    };
}

totals!(
    served,
    failed,
    mixed,
    noticed,
    acknowledged,
    refused,
    unanswered,
    flips,
    drained,
    crashes,
    granted,
    frozen,
    rolls,
    abandoned,
    contracts,
    canaries,
    shrunk,
    navigated,
    judged,
);

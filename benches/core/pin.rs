//! What a pin costs: reading and verifying it, sealing one, and a whole decision about a request that carries one.

use std::hint::black_box;

use criterion::Criterion;
use cutover_core::decide::{Decision, PinAction};
use cutover_core::entropy::Entropy;
use cutover_core::id::ServiceName;
use cutover_core::pin::{NoPin, PinKey};
use cutover_core::policy::Policy;
use cutover_proxy::keyring::Keyring;

use crate::fleet::{self, facts};

pub(crate) fn pins(criterion: &mut Criterion) {
    let fleet = fleet::fleet([("web".to_owned(), Policy::default())], 10);
    let web = ServiceName::parse("web").expect("a name");
    let keyring = Keyring::new(&[PinKey { id: 1, secret: [7; 32], made_at: fleet::NOW }]);
    let mut entropy = Entropy::new(1);
    let Decision::Serve(choice) = fleet.snapshot.decide(&facts(Err(NoPin::Absent)), &mut entropy) else {
        unreachable!("the fleet is up")
    };
    let PinAction::Hand(pin, _) = choice.pin else { unreachable!("a new session gets a pin") };
    let token = keyring.seal(&pin, &web).expect("there is a key");

    criterion.bench_function("pin: decode and verify", |bencher| {
        bencher.iter(|| keyring.open(black_box(token.as_bytes()), &web));
    });
    criterion.bench_function("pin: seal and encode", |bencher| {
        bencher.iter(|| keyring.seal(black_box(&pin), &web));
    });
    criterion.bench_function("pin: verify, check dates and decide, 10 backends", |bencher| {
        bencher.iter(|| {
            let pin = keyring.open(black_box(token.as_bytes()), &web).and_then(|pin| {
                pin.check_dates(&fleet.snapshot.services[0].policy.pin, fleet::NOW)?;
                Ok(pin)
            });
            fleet.snapshot.decide(&facts(pin), &mut entropy)
        });
    });
}

//! The static backends of a service.

use std::collections::BTreeMap;

use cutover_core::address::Address;
use cutover_core::backend::Weight;
use cutover_core::command::Registration;
use cutover_core::id::{BackendId, VersionLabel};

use super::super::schema::range;
use super::spec::{BackendSpec, Identity, ServiceSpec};
use crate::document::Check;

/// The backends of `spec` as registrations without a lease.
pub(super) fn registrations(spec: &ServiceSpec, check: &mut Check<'_>) -> Vec<Registration> {
    let mut first_with: BTreeMap<BackendId, usize> = BTreeMap::new();
    let mut registrations = Vec::with_capacity(spec.backends.len());
    for (index, backend) in spec.backends.iter().enumerate() {
        let needs_version = spec.identity == Identity::Label && check.are_clean(&["identity"]);
        let mut check = check.element("backends", index);
        if needs_version && backend.version.is_none() {
            check.wrong(
                "version",
                "is missing; with identity = \"label\" every backend needs one, such as \"v1\"",
            );
        }
        let Some(registration) = registration(backend, &mut check) else { continue };
        match first_with.get(&registration.backend) {
            Some(first) => {
                let key = if backend.id.is_some() { "id" } else { "address" };
                check.wrong(
                    key,
                    format_args!(
                        "repeats backend {first}, {:?}; each needs its own id",
                        registration.backend
                    ),
                );
            }
            None => {
                first_with.insert(registration.backend.clone(), index);
                registrations.push(registration);
            }
        }
    }
    registrations
}

fn registration(backend: &BackendSpec, check: &mut Check<'_>) -> Option<Registration> {
    let address: Option<Address> = check.parse("address", &backend.address);
    let id: Option<BackendId> = match (&backend.id, &address) {
        (Some(id), _) => check.parse("id", id),
        // A socket path has slashes, which no id may have.
        (None, Some(Address::Unix { .. })) => {
            check.wrong("id", "is missing; a backend at a unix socket needs one, such as \"a\"");
            None
        }
        (None, Some(address)) => check.parse("address", &address.to_string()),
        (None, None) => None,
    };
    let version: Option<VersionLabel> =
        backend.version.as_ref().and_then(|version| check.parse("version", version));
    let weight = Weight::new(backend.weight).unwrap_or_else(|| {
        check.wrong("weight", format_args!("is {}; must be a whole number from 1 to 1000", backend.weight));
        Weight::ONE
    });
    Some(Registration {
        backend: id?,
        address: address?,
        version,
        weight,
        ttl: None,
        boot_id: None,
        zone: None,
        schema: range(check, backend.schema_min, backend.schema_max),
        metadata: BTreeMap::new(),
    })
}

//! Routes that two services claim. Which one would win is not for the order of a file to decide.

use std::collections::BTreeMap;

use cutover_control::document::{Check, Path, Problems};
use cutover_core::command::Configured;
use cutover_core::route::{HostPattern, PathPrefix};

/// Reports every host and path that an earlier service has already. `index` is the place of each service in the file.
pub(super) fn check(services: &[(usize, &Configured)], problems: &mut Problems) {
    let mut owners: BTreeMap<(Option<&HostPattern>, &PathPrefix), &Configured> = BTreeMap::new();
    for &(index, service) in services {
        let at = Path::root().key("service").index(index);
        for path in &service.policy.paths {
            for host in hosts(&service.policy.hosts) {
                match owners.get(&(host, path)) {
                    Some(owner) if owner.name != service.name => {
                        let key = if host.is_some() { "hosts" } else { "paths" };
                        let host = host.map_or("any host".to_owned(), |host| format!("host \"{host}\""));
                        Check::new(at.clone(), problems).wrong(
                            key,
                            format_args!(
                                "{host} with path {:?} belongs to service {:?} already; give one of them other hosts or paths",
                                path.as_str(),
                                owner.name
                            ),
                        );
                    }
                    Some(_) => {}
                    None => {
                        owners.insert((host, path), service);
                    }
                }
            }
        }
    }
}

fn hosts(patterns: &[HostPattern]) -> Vec<Option<&HostPattern>> {
    if patterns.is_empty() { vec![None] } else { patterns.iter().map(Some).collect() }
}

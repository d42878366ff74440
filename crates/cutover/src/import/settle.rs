//! Makes of a draft something that `cutover check` accepts: routes with one owner, names that differ, and no value that would be
//! refused. Whatever it takes out is said.

use std::collections::{BTreeMap, BTreeSet};

use cutover_control::admin::wire::service::ServiceSpec;
use cutover_control::document::{Path, Problems, Segment};
use cutover_core::id::ServiceName;
use serde_json::Value;

use super::draft::{Draft, Listener, Service};
use super::note::Note;
use super::tree::Directive;
use crate::config;
use crate::config::raw::{ListenerSpec, RawConfig};

/// Rounds of taking out what is refused; each takes out something of every item, so that few are ever needed.
const ROUNDS_MAX: usize = 50;
/// Bytes of a service's name.
const NAME_LEN_MAX: usize = 64;

/// Does it. `origin` is what stands for the configuration as a whole.
pub(super) fn settle(draft: &mut Draft, origin: &Directive) {
    merge(&mut draft.services);
    claim(draft);
    merge(&mut draft.services);
    name(&mut draft.services);
    for _ in 0..ROUNDS_MAX {
        let problems = problems(draft);
        if problems.is_empty() {
            break;
        }
        repair(draft, problems, origin);
    }
    tell_of_shared_servers(&mut draft.services);
    forget_repetitions(draft);
}

/// Services that differ only in their paths, or only in their hosts, are one: its versions come and go together.
fn merge(services: &mut Vec<Service>) {
    let mut merged: Vec<Service> = Vec::with_capacity(services.len());
    let mut places: BTreeMap<(String, Vec<String>), usize> = BTreeMap::new();
    for service in services.drain(..) {
        let (by_hosts, by_paths) = merge_keys(&service);
        let hosts_key = (by_hosts, service.spec.hosts.clone());
        let paths_key = (by_paths, service.spec.paths.clone());
        let is_merged = !service.spec.backends.is_empty();
        let place = places.get(&hosts_key).or_else(|| places.get(&paths_key)).copied();
        let Some(other) = place.filter(|_| is_merged).and_then(|place| merged.get_mut(place)) else {
            places.entry(hosts_key).or_insert(merged.len());
            places.entry(paths_key).or_insert(merged.len());
            merged.push(service);
            continue;
        };
        let is_same_hosts = other.spec.hosts == service.spec.hosts;
        // Hosts times paths: only where one of the two is the same is the sum of both what it was.
        if !is_same_hosts && other.spec.paths != service.spec.paths {
            merged.push(service);
            continue;
        }
        extend(&mut other.spec.paths, service.spec.paths);
        extend(&mut other.spec.hosts, service.spec.hosts);
        extend(&mut other.own_hosts, service.own_hosts);
        other.spec.redirect.extend(service.spec.redirect);
        other.notes.extend(service.notes);
    }
    *services = merged;
}

/// What two services have in common that may share their hosts, and those that may share their paths.
fn merge_keys(service: &Service) -> (String, String) {
    let spec = ServiceSpec {
        hosts: Vec::new(),
        paths: Vec::new(),
        redirect: Vec::new(),
        name: None,
        ..service.spec.clone()
    };
    let text = serde_json::to_string(&spec).unwrap_or_default();
    // Any host is not one host more.
    let any = if service.spec.hosts.is_empty() { "any" } else { "some" };
    (format!("hosts {text}"), format!("paths {any} {text}"))
}

fn extend(list: &mut Vec<String>, more: Vec<String>) {
    for item in more {
        if !list.contains(&item) {
            list.push(item);
        }
    }
}

/// Gives every route to the first service that has it, as the sources do.
fn claim(draft: &mut Draft) {
    let mut owners: BTreeMap<(String, String), String> = BTreeMap::new();
    let services = std::mem::take(&mut draft.services);
    for mut service in services {
        let key = |host: &str, path: &str| (host.to_ascii_lowercase(), route_path(path));
        if service.spec.hosts.is_empty()
            && !service.own_hosts.is_empty()
            && service.spec.paths.iter().any(|path| owners.contains_key(&key("", path)))
        {
            service.spec.hosts = service.own_hosts.clone();
        }
        let hosts =
            if service.spec.hosts.is_empty() { vec![String::new()] } else { service.spec.hosts.clone() };
        let mut left: BTreeMap<Vec<String>, Vec<String>> = BTreeMap::new();
        for host in &hosts {
            let mut paths = Vec::new();
            for path in &service.spec.paths {
                match owners.get(&key(host, path)) {
                    Some(owner) => {
                        let host = if host.is_empty() { "any host" } else { host };
                        let why = format!(
                            "{host} with path {path:?} belongs to what {owner} says, which comes first"
                        );
                        service.notes.push(Note::lost(&service.from, why));
                    }
                    None => {
                        owners.insert(key(host, path), service.from.place.to_string());
                        paths.push(path.clone());
                    }
                }
            }
            left.entry(paths).or_default().push(host.clone());
        }
        let mut notes = std::mem::take(&mut service.notes);
        for (paths, hosts) in left.into_iter().filter(|(paths, _)| !paths.is_empty()) {
            let mut part = service.clone();
            part.notes = std::mem::take(&mut notes);
            part.spec.paths = paths;
            part.spec.hosts = hosts.into_iter().filter(|host| !host.is_empty()).collect();
            draft.services.push(part);
        }
        draft.notes.append(&mut notes);
    }
}

fn route_path(path: &str) -> String {
    path.trim_end_matches('/').to_owned()
}

/// Gives each service a name that no other has.
fn name(services: &mut [Service]) {
    let mut taken = BTreeSet::new();
    for service in services {
        let wish: String = service
            .wish
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' })
            .take(NAME_LEN_MAX - 8)
            .collect();
        let wish = Some(wish.trim_matches(['-', '.'])).filter(|wish| !wish.is_empty()).unwrap_or("web");
        let name = (1..).map(|number| match number {
            1 => wish.to_owned(),
            number => format!("{wish}-{number}"),
        });
        let mut free = name.filter(|name| ServiceName::parse(name).is_ok() && !taken.contains(name));
        service.spec.name = free.next();
        taken.extend(service.spec.name.clone());
    }
}

/// Everything that `cutover check` would find.
fn problems(draft: &Draft) -> Problems {
    let raw = raw(draft);
    let mut problems = config::problems(&raw);
    if let Ok(value) = serde_json::to_value(&raw) {
        variables(&value, &Path::root(), &mut problems);
    }
    problems
}

/// The draft as a configuration. What is off keeps its place, with nothing in it that could be wrong.
pub(super) fn raw(draft: &Draft) -> RawConfig {
    let listener = |listener: &Listener| match listener.is_off {
        true => ListenerSpec { bind: vec!["127.0.0.1:0".to_owned()], ..ListenerSpec::default() },
        false => listener.spec.clone(),
    };
    RawConfig {
        listener: draft.listeners.iter().map(listener).collect(),
        service: draft.services.iter().map(|service| service.spec.clone()).collect(),
        ..draft.base.clone()
    }
}

/// Text that would be taken for the name of an environment variable.
fn variables(value: &Value, at: &Path, problems: &mut Problems) {
    match value {
        Value::String(text) if text.contains("${") => {
            problems.value(
                at,
                format_args!(
                    "{text:?} has \"${{\", which stands for the environment in a configuration of cutover"
                ),
            );
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| variables(item, &at.index(index), problems));
        }
        Value::Object(table) => {
            table.iter().for_each(|(key, value)| variables(value, &at.key(key), problems));
        }
        _ => {}
    }
}

/// Takes out what is refused, from the last to the first, so that what is left keeps its place meanwhile.
fn repair(draft: &mut Draft, problems: Problems, origin: &Directive) {
    let mut problems: Vec<_> = problems.into_iter().collect();
    problems.sort_by(|a, b| b.path.cmp(&a.path));
    for problem in problems {
        let why = format!("{problem}; it was left out");
        match problem.path.segments() {
            [Segment::Key(list), Segment::Index(at), rest @ ..] if list == "listener" => {
                let Some(listener) = draft.listeners.get_mut(*at) else { continue };
                let why = format!("{why}, the listener is a comment until that is right");
                listener.notes.push(Note::lost(&listener.from, why));
                let spec = &mut listener.spec;
                match rest {
                    [Segment::Key(key), Segment::Index(at)] if key == "bind" && *at < spec.bind.len() => {
                        spec.bind.remove(*at);
                        listener.is_off = spec.bind.is_empty();
                    }
                    _ => listener.is_off = true,
                }
            }
            [Segment::Key(list), Segment::Index(at), rest @ ..] if list == "service" => {
                let Some(service) = draft.services.get_mut(*at) else { continue };
                let note = Note::lost(&service.from, why);
                if service_without(service, rest) {
                    service.notes.push(note);
                } else {
                    let service = draft.services.remove(*at);
                    draft.notes.extend(service.notes);
                    draft.notes.push(note);
                }
            }
            _ => {
                draft.notes.push(Note::lost(origin, why));
                draft.base = RawConfig::default();
            }
        }
    }
}

/// Takes a value out of a service; `false` when nothing of the service can be left then.
fn service_without(service: &mut Service, path: &[Segment]) -> bool {
    let spec = &mut service.spec;
    let is_limited = !spec.hosts.is_empty();
    let is_out = match path {
        // Half of a backend, of a redirect, or of a pair is nothing.
        [list @ Segment::Key(key), index @ Segment::Index(_), ..]
            if key == "backends" || key == "redirect" =>
        {
            take_out(spec, &[list.clone(), index.clone()])
        }
        [Segment::Key(upstream), Segment::Key(tls), Segment::Key(file), ..]
            if upstream == "upstream" && tls == "tls" && (file == "cert" || file == "key") =>
        {
            spec.upstream.tls.cert.clear();
            spec.upstream.tls.key.clear();
            true
        }
        [Segment::Key(key)] if key == "hosts" || key == "paths" || key == "name" => false,
        path => take_out(spec, path),
    };
    // Without a host it would answer for any.
    is_out && !service.spec.paths.is_empty() && is_limited != service.spec.hosts.is_empty()
}

fn take_out(spec: &mut ServiceSpec, path: &[Segment]) -> bool {
    let value = serde_json::to_value(&*spec).ok();
    let left =
        value.and_then(|value| without(value, path)).and_then(|left| serde_json::from_value(left).ok());
    left.map(|left| *spec = left).is_some()
}

/// `value` without what is at `path`; `None` if there is nothing.
fn without(mut value: Value, path: &[Segment]) -> Option<Value> {
    let (last, above) = path.split_last()?;
    let mut at = &mut value;
    for segment in above {
        at = match segment {
            Segment::Key(key) => at.get_mut(key.as_str())?,
            Segment::Index(index) => at.get_mut(*index)?,
        };
    }
    match (last, at) {
        (Segment::Key(key), Value::Object(table)) => drop(table.remove(key)?),
        (Segment::Index(index), Value::Array(items)) if *index < items.len() => drop(items.remove(*index)),
        _ => return None,
    }
    Some(value)
}

/// Versions of one set of servers are told apart in each service on its own.
fn tell_of_shared_servers(services: &mut [Service]) {
    let mut owners: BTreeMap<String, String> = BTreeMap::new();
    for service in services {
        let addresses = service.spec.backends.iter().map(|backend| backend.address.clone());
        let addresses: Vec<_> = addresses.collect();
        if let Some(name) = addresses.iter().find_map(|address| owners.get(address)) {
            let why = format!(
                "these servers are in service {name:?} too; versions are switched in each service, so flip both"
            );
            service.notes.push(Note::changed(&service.from, why));
        }
        let name = service.spec.name.clone().unwrap_or_default();
        for address in addresses {
            owners.entry(address).or_insert_with(|| name.clone());
        }
    }
}

/// A directive that counts for several services is talked about once.
fn forget_repetitions(draft: &mut Draft) {
    let mut said = BTreeSet::new();
    let mut once = |notes: &mut Vec<Note>| {
        notes.sort_by(|a, b| (&a.place, a.kind).cmp(&(&b.place, b.kind)));
        notes.retain(|note| said.insert((note.place.clone(), note.why.clone())));
    };
    draft.listeners.iter_mut().for_each(|listener| once(&mut listener.notes));
    draft.services.iter_mut().for_each(|service| once(&mut service.notes));
    once(&mut draft.notes);
}

//! Configurations of Apache httpd 2.4: virtual hosts, `ProxyPass`, balancers.

mod balancer;
mod check;
mod host;
mod reader;
mod reason;
mod redirect;
mod route;
mod setting;
mod tls;

use super::draft::Draft;
use super::files::Files;
use super::tree::{Directive, named};
use super::{ImportError, Read};
use check::HealthChecks;
use host::Host;
use route::{Plan, Site};

/// Reads the configuration.
///
/// # Errors
/// It can't be read, or is none of Apache.
pub(super) fn import(files: &mut Files) -> Result<(Draft, Read), ImportError> {
    let tree = reader::read(files)?;
    let mut draft = Draft::default();
    translate(&tree, files, &mut draft);
    Ok((draft, Read { tree, why: reason::why }))
}

fn translate(tree: &[Directive], files: &Files, draft: &mut Draft) {
    let mut notes = Vec::new();
    let mut hosts: Vec<Host<'_>> = Vec::new();
    for tag in named(tree, "virtualhost") {
        hosts.push(Host::new(Some(tag), tag.inner(), &draft.ledger, &mut notes));
    }
    hosts.push(Host::new(None, tree, &draft.ledger, &mut notes));
    let mut plans: Vec<_> = hosts.iter().map(|host| Plan::of(host, tree, draft)).collect();
    for (host, plan) in hosts.iter_mut().zip(&plans) {
        host.is_redirect = plan.is_redirect();
    }
    draft.listeners = host::listeners(tree, &mut hosts, files, &draft.ledger, &mut notes);
    draft.notes.append(&mut notes);
    let scopes: Vec<&[Directive]> = hosts.iter().rev().map(|host| host.scope).collect();
    let balancers = balancer::balancers(&scopes);
    let checks = HealthChecks::of(&scopes, &draft.ledger);
    let site = Site { main: tree, files, balancers: &balancers, checks: &checks };
    for (host, plan) in hosts.iter().zip(plans.drain(..)) {
        plan.carry_out(host, &site, draft);
    }
}

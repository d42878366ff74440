//! Configurations of Apache httpd 2.4: virtual hosts, `ProxyPass`, balancers.

mod balancer;
mod check;
mod host;
mod reader;
mod redirect;
mod route;
mod setting;
mod tls;

use super::draft::Draft;
use super::files::Files;
use super::note::Kind;
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
    Ok((draft, Read { tree, why }))
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

/// What there is to say about a directive that nothing above asked for.
fn why(directive: &Directive) -> (Kind, &'static str) {
    let is_in = |names: &[&str]| names.contains(&directive.name.as_str());
    if directive.is("location")
        && directive
            .inner()
            .iter()
            .any(|inner| inner.is("sethandler") && inner.keyword(0) == "balancer-manager")
    {
        return (
            Kind::Lost,
            "there is no balancer-manager: `cutover status` shows what it showed, `cutover permit` and `cutover roll` do what scripts did with it",
        );
    }
    if is_in(&[
        "loadmodule",
        "user",
        "group",
        "pidfile",
        "mutex",
        "defaultruntimedir",
        "serveradmin",
        "serversignature",
        "servertokens",
        "keepalive",
        "maxkeepaliverequests",
        "keepalivetimeout",
        "hostnamelookups",
        "usecanonicalname",
        "accessfilename",
        "loglevel",
        "typesconfig",
        "addtype",
        "mimemagicfile",
        "directoryindex",
        "namevirtualhost",
        "startservers",
        "minsparethreads",
        "maxsparethreads",
        "threadsperchild",
        "threadlimit",
        "maxrequestworkers",
        "maxconnectionsperchild",
        "serverlimit",
        "traceenable",
        "proxyrequests",
        "proxyvia",
        "proxystatus",
        "listenbacklog",
        "sslsessioncache",
        "sslsessioncachetimeout",
        "sslrandomseed",
        "sslpassphrasedialog",
        "sslstrictsnivhostcheck",
        "protocols",
        "balancerpersist",
        "balancergrowth",
        "balancerinherit",
    ]) {
        return (Kind::Moot, "cutover has its own way of this");
    }
    match directive.name.as_str() {
        "ifdefine" | "ifmodule" | "ifversion" | "iffile" => (Kind::Moot, "its condition does not hold"),
        "include" | "includeoptional" => {
            (Kind::Lost, "a file that it names can't be read; import again where it is")
        }
        "proxypassmatch" | "locationmatch" => (
            Kind::Lost,
            "regular expressions choose no service; write a service with the path prefixes that are meant",
        ),
        "sethandler" => (Kind::Lost, "there are no handlers; requests go to services"),
        "customlog" | "errorlog" | "logformat" | "transferlog" => (
            Kind::Lost,
            "the access log of all services is one, see [access_log]; errors are logged to standard error",
        ),
        "directory" | "files" | "filesmatch" | "directorymatch" | "alias" | "scriptalias" | "aliasmatch" => (
            Kind::Lost,
            "cutover serves no files; let the app serve them, or a server of files that is a service of its own",
        ),
        "require" | "order" | "allow" | "deny" | "requireany" | "requireall" | "authtype" | "authname"
        | "authuserfile" | "satisfy" => {
            (Kind::Lost, "cutover does not decide who may see what; let the app do it")
        }
        "sslciphersuite"
        | "sslhonorcipherorder"
        | "sslsessiontickets"
        | "sslcompression"
        | "sslusestapling"
        | "sslopensslconfcmd" => (Kind::Moot, "TLS is that of rustls: what is safe today, and nothing else"),
        "proxy" => (Kind::Lost, "no ProxyPass sends anything there"),
        "balancermember" | "proxyset" => (Kind::Lost, "no ProxyPass uses this group"),
        "location" => (Kind::Lost, "nothing in it is proxied, and all in it is left out"),
        "setenv" | "setenvif" | "browsermatch" | "setenvifnocase" => {
            (Kind::Lost, "there are no variables of a request; let the app look at its headers")
        }
        _ => (
            Kind::Lost,
            "cutover has nothing like it, or nothing that is proxied asks for it; leave it to the app, or see config/reference.toml",
        ),
    }
}

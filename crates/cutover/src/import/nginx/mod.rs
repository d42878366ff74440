//! Configurations of nginx: servers, locations, upstreams.

mod levels;
mod location;
mod reader;
mod reason;
mod server;
mod setting;
mod upstream;

use super::draft::Draft;
use super::files::Files;
use super::note::{Ledger, Note};
use super::tree::{Directive, named};
use super::{ImportError, Read};
use levels::Levels;
use location::Site;
use server::Server;

/// Reads the configuration.
///
/// # Errors
/// It can't be read, or is none of nginx.
pub(super) fn import(files: &mut Files) -> Result<(Draft, Read), ImportError> {
    let mut tree = reader::read(files)?;
    let mut draft = Draft::default();
    let ledger = std::mem::take(&mut draft.ledger);
    // The file of one site stands inside of `http`, wherever that is.
    let is_whole = tree.iter().any(|directive| directive.is("http"));
    if is_whole {
        tree.iter().filter(|directive| directive.is("http")).for_each(|http| ledger.see(http));
        let scope: Vec<Directive> = tree
            .iter()
            .filter(|directive| directive.is("http"))
            .flat_map(|http| http.inner().to_vec())
            .collect();
        translate(&scope, files, &ledger, &mut draft);
    } else {
        translate(&tree, files, &ledger, &mut draft);
    }
    draft.ledger = ledger;
    tree.shrink_to_fit();
    Ok((draft, Read { tree, why: reason::why }))
}

fn translate(scope: &[Directive], files: &Files, ledger: &Ledger, draft: &mut Draft) {
    let http = Levels::of(scope, ledger);
    let groups: Vec<_> = named(scope, "upstream").collect();
    let mut servers: Vec<_> = named(scope, "server").map(|block| Server::new(block, &http)).collect();
    for server in &mut servers {
        server.is_redirect = location::is_redirect(server);
        draft.notes.append(&mut server.notes);
    }
    draft.listeners = server::listeners(&mut servers, files);
    let site = Site { files, groups: &groups };
    servers.iter().for_each(|server| location::carry_out(server, &site, draft));
    access_log(&servers, &http, files, draft);
}

/// The log of all services is one: the first that is spoken of.
fn access_log(servers: &[Server<'_>], http: &Levels<'_>, files: &Files, draft: &mut Draft) {
    let mut taken = false;
    let own = servers.iter().flat_map(|server| named(server.block.inner(), "access_log"));
    let all: Vec<_> = http.all("access_log").into_iter().chain(own).collect();
    for log in all {
        http.ledger().see(log);
        let path = if log.keyword(0) == "off" { String::new() } else { files.absolute(log.arg(0)) };
        let is_there =
            path.is_empty() || std::path::Path::new(&path).parent().is_some_and(std::path::Path::is_dir);
        if taken || !is_there || log.arg(0).starts_with("syslog:") {
            draft.notes.push(Note::lost(log, "there is one access log, of all services; see [access_log]"));
            continue;
        }
        taken = true;
        draft.base.access_log.path = path;
        draft.notes.push(Note::changed(
            log,
            "the access log is one of all services, in the combined format or as JSON",
        ));
    }
}

//! `location` blocks, and what a server does without one: the services that they make.

use super::super::draft::{Draft, Service, covers};
use super::super::files::Files;
use super::super::note::Note;
use super::super::pattern::{prefix_of, trimmed};
use super::super::target::Target;
use super::super::tree::{Directive, named};
use super::levels::Levels;
use super::server::Server;
use super::{setting, upstream};

/// Why files are not served.
pub(super) const NO_FILES: &str =
    "cutover serves no files; let the app serve them, or a server of files that is a service of its own";

/// Makes the services of a server.
pub(super) struct Site<'a> {
    pub(super) files: &'a Files,
    pub(super) groups: &'a [&'a Directive],
}

/// What `return` says.
enum Return {
    ToHttps,
    /// Where to, with what status, and whether the whole path is put behind it.
    Elsewhere(String, u16, bool),
}

/// Whether a server only tells clients to come back over TLS.
pub(super) fn is_redirect(server: &Server<'_>) -> bool {
    let scope = server.block.inner();
    let is_to_https = |scope: &[Directive]| {
        named(scope, "return")
            .next_back()
            .is_some_and(|directive| matches!(returned(directive), Ok(Return::ToHttps)))
    };
    let passes = |location: &Directive| location.inner().iter().any(is_pass);
    let in_root =
        named(scope, "location").any(|location| location.arg(0) == "/" && is_to_https(location.inner()));
    (is_to_https(scope) || in_root) && !named(scope, "location").any(passes)
}

/// Makes the services of `server`.
pub(super) fn carry_out(server: &Server<'_>, site: &Site<'_>, draft: &mut Draft) {
    let mut services = Vec::new();
    let ledger = server.levels.ledger();
    let scope = server.block.inner();
    for location in named(scope, "location") {
        visit(location, server, &server.levels, site, &mut services, &mut draft.notes);
    }
    // Whatever is not found as a file goes to a named location.
    if let Some(location) =
        fallback(scope, scope).filter(|_| !named(scope, "location").any(|location| location.arg(0) == "/"))
    {
        let levels = server.levels.with(location.inner());
        services.extend(pass(location, "/", server, &levels, site, &mut draft.notes));
    }
    for directive in named(scope, "return").chain(named(scope, "rewrite")) {
        if directive.is("return") && server.is_redirect {
            ledger.see(directive);
        } else if let Err(why) = redirect(directive, "/", server, &mut services) {
            draft.notes.push(Note::lost(directive, why));
        } else {
            ledger.see(directive);
        }
    }
    draft.services.append(&mut services);
}

/// A location, and those in it.
fn visit<'a>(
    location: &'a Directive,
    server: &Server<'a>,
    outer: &Levels<'a>,
    site: &Site<'_>,
    services: &mut Vec<Service>,
    notes: &mut Vec<Note>,
) {
    let ledger = outer.ledger();
    let (modifier, path) = match location.args.as_slice() {
        [path] if path.starts_with('@') => return,
        [path] => match path.strip_prefix('=') {
            Some(exact) => ("=", exact),
            None => ("", path.as_str()),
        },
        [modifier, path, ..] => (modifier.as_str(), path.as_str()),
        [] => return,
    };
    let scope = location.inner();
    let levels = outer.with(scope);
    let has_more = scope.iter().any(|inner| inner.is("location"));
    let server_scope = server.block.inner();
    if modifier.starts_with('~') || path.starts_with('~') {
        let why =
            "regular expressions choose no service; write a service with the path prefixes that are meant";
        return notes.push(Note::lost(location, why));
    }
    let passes = scope.iter().any(is_pass);
    let through = fallback(scope, server_scope).filter(|_| !passes);
    let returns = named(scope, "return").next_back();
    if !passes && through.is_none() && returns.is_none() && !has_more {
        let why = match path.contains(".well-known/acme-challenge") {
            true => {
                "cutover gets certificates by itself, see [listener.tls.acme]; files are for a server of files"
            }
            false => NO_FILES,
        };
        return notes.push(Note::lost(location, why));
    }
    ledger.see(location);
    if let Some(through) = through {
        services.extend(pass(through, path, server, &levels.with(through.inner()), site, notes));
    } else if passes {
        services.extend(pass(location, path, server, &levels, site, notes));
    } else if let Some(directive) = returns {
        match redirect(directive, path, server, services) {
            Ok(()) => ledger.see(directive),
            Err(_) if server.is_redirect => ledger.see(directive),
            Err(why) => notes.push(Note::lost(directive, why)),
        }
    }
    if modifier == "=" {
        notes.push(Note::changed(location, "what is under this path goes there, too"));
    } else if passes && !path.ends_with('/') && modifier.is_empty() {
        notes.push(Note::changed(
            location,
            format!("it is for {path} and what is under {path}/, and not for {path}anything"),
        ));
    }
    named(scope, "location").for_each(|inner| visit(inner, server, &levels, site, services, notes));
}

fn is_pass(directive: &Directive) -> bool {
    matches!(directive.name.as_str(), "proxy_pass" | "grpc_pass")
}

/// The named location that is asked for what is no file.
fn fallback<'a>(scope: &[Directive], server: &'a [Directive]) -> Option<&'a Directive> {
    let name = named(scope, "try_files").next_back()?.args.last()?;
    let passes = |location: &&Directive| location.inner().iter().any(is_pass);
    named(server, "location").find(|location| location.arg(0) == name && name.starts_with('@')).filter(passes)
}

/// The service of a location that passes requests on.
fn pass<'a>(
    location: &'a Directive,
    path: &str,
    server: &Server<'a>,
    levels: &Levels<'a>,
    site: &Site<'_>,
    notes: &mut Vec<Note>,
) -> Option<Service> {
    let ledger = levels.ledger();
    ledger.see(location);
    let directive = location.inner().iter().rfind(|inner| is_pass(inner))?;
    ledger.see(directive);
    let url = match directive.arg(0) {
        url if url.contains("://") => url.to_owned(),
        address => format!("grpc://{address}"),
    };
    let target = match Target::parse(&url) {
        Ok(_) if url.contains('$') => {
            Err("servers are not chosen by variables; name them in `backends`".to_owned())
        }
        Ok(target) => target.protocol().map(|_| target),
        Err(why) => Err(why),
    };
    let target = match target {
        Ok(target) => target,
        Err(why) => {
            notes.push(Note::lost(directive, why));
            return None;
        }
    };
    let path = trimmed(path);
    let is_group = site.groups.iter().any(|group| group.arg(0) == target.address);
    let wish = match server.names.first() {
        _ if is_group => target.address.clone(),
        Some(name) => format!("{name}{}", path.trim_end_matches('/')),
        None => path.trim_matches('/').to_owned(),
    };
    let mut service = Service::new(directive, wish, &path);
    service.answer_for(&server.names, server.is_default);
    upstream::fill(&mut service, directive, &target, site.groups, ledger);
    if target.has_path && !location.arg(0).starts_with('@') {
        service.rewrite(&path, &target);
    }
    setting::apply(&mut service, levels, site.files);
    if let Some(root) = levels.last("root") {
        service.lost(root, NO_FILES);
    }
    if let Some(files) = levels.last("try_files") {
        service.lost(files, "cutover looks for no files; all requests go to the app");
    }
    for rewrite in named(location.inner(), "rewrite") {
        ledger.see(rewrite);
        let to = rewrite.arg(1).strip_suffix("$1").filter(|to| to.starts_with('/') && !to.contains('$'));
        let is_here = prefix_of(rewrite.arg(0)).is_some_and(|prefix| trimmed(&prefix) == path);
        let is_inside = matches!(rewrite.arg(2), "break" | "last");
        match to.filter(|_| is_here && is_inside && !target.has_path) {
            Some(to) => {
                let to = format!("http://app{to}");
                if let Ok(target) = Target::parse(&to) {
                    service.rewrite(&path, &target);
                }
            }
            None => service.lost(
                rewrite,
                "rules rewrite path prefixes only; see rewrite_prefix and [[service.redirect]]",
            ),
        }
    }
    Some(service)
}

/// Adds what `return` or `rewrite … permanent` says, for requests under `path`.
fn redirect(
    directive: &Directive,
    path: &str,
    server: &Server<'_>,
    services: &mut Vec<Service>,
) -> Result<(), String> {
    let path = trimmed(path);
    let (from, to, status) = if directive.is("rewrite") {
        let status = match directive.arg(2) {
            "permanent" => 301,
            "redirect" => 302,
            _ => {
                return Err("rules rewrite path prefixes only; see rewrite_prefix and [[service.redirect]]"
                    .to_owned());
            }
        };
        let from = prefix_of(directive.arg(0))
            .ok_or("a redirect is for a path prefix; write [[service.redirect]]")?;
        let to = directive
            .arg(1)
            .strip_suffix("$1")
            .ok_or("what it matched is not kept; write [[service.redirect]]")?;
        (trimmed(&from), trimmed(to), status)
    } else {
        match returned(directive)? {
            Return::ToHttps => {
                return Err("a listener sends everything to TLS or nothing; set redirect_to_https if everything is meant".to_owned());
            }
            Return::Elsewhere(to, status, true) => {
                let to = format!("{}{}", to.trim_end_matches('/'), path.trim_end_matches('/'));
                (path, to, status)
            }
            Return::Elsewhere(to, status, false) => (path, trimmed(&to), status),
        }
    };
    if to.contains('$') {
        return Err(
            "where to is fixed, with what is behind the prefix; write [[service.redirect]]".to_owned()
        );
    }
    match services
        .iter_mut()
        .find(|service| service.covers(&from) || service.spec.paths.iter().any(|own| covers(&from, own)))
    {
        Some(service) => service.redirect(&from, &to, status),
        None => {
            let wish = server.names.first().map_or("redirect", String::as_str);
            let mut service = Service::new(directive, wish, &from);
            service.answer_for(&server.names, server.is_default);
            service.redirect(&from, &to, status);
            services.push(service);
        }
    }
    Ok(())
}

fn returned(directive: &Directive) -> Result<Return, String> {
    let (status, to) = match directive.args.as_slice() {
        [url] if url.contains("://") => (302, url.as_str()),
        [status, url, ..] => (status.parse().unwrap_or(0), url.as_str()),
        _ => (0, ""),
    };
    if !matches!(status, 301 | 302 | 303 | 307 | 308) {
        return Err("cutover answers redirects and errors of its own; let the app answer this".to_owned());
    }
    let is_same_host = ["https://$host", "https://$http_host", "https://$server_name"];
    let path = is_same_host.iter().find_map(|host| to.strip_prefix(host));
    if path.is_some_and(|path| matches!(path, "$request_uri" | "$uri" | "$uri$is_args$args")) {
        return Ok(Return::ToHttps);
    }
    for whole in ["$request_uri", "$uri$is_args$args", "$uri"] {
        if let Some(to) = to.strip_suffix(whole) {
            return Ok(Return::Elsewhere(to.replace("$scheme", "https"), status, true));
        }
    }
    Ok(Return::Elsewhere(to.to_owned(), status, false))
}

//! Configurations of nginx: servers, locations, upstreams.

mod levels;
mod location;
mod reader;
mod server;
mod setting;
mod upstream;

use super::draft::Draft;
use super::files::Files;
use super::note::{Kind, Ledger, Note};
use super::tree::{Directive, named};
use super::{ImportError, Read};
use levels::Levels;
use location::{NO_FILES, Site};
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
    Ok((draft, Read { tree, why }))
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

/// What there is to say about a directive that nothing above asked for.
fn why(directive: &Directive) -> (Kind, &'static str) {
    const OWN_WAY: [&str; 44] = [
        "user",
        "worker_processes",
        "worker_connections",
        "worker_rlimit_nofile",
        "pid",
        "events",
        "load_module",
        "sendfile",
        "tcp_nopush",
        "tcp_nodelay",
        "types",
        "default_type",
        "types_hash_max_size",
        "server_tokens",
        "keepalive_timeout",
        "keepalive_requests",
        "server_names_hash_bucket_size",
        "server_names_hash_max_size",
        "server_name_in_redirect",
        "gzip_vary",
        "gzip_proxied",
        "gzip_comp_level",
        "gzip_buffers",
        "gzip_http_version",
        "gzip_types",
        "gzip_disable",
        "gzip_static",
        "proxy_http_version",
        "proxy_buffering",
        "proxy_buffers",
        "proxy_buffer_size",
        "proxy_busy_buffers_size",
        "proxy_request_buffering",
        "proxy_redirect",
        "http2",
        "multi_accept",
        "use",
        "client_body_buffer_size",
        "client_header_buffer_size",
        "large_client_header_buffers",
        "proxy_headers_hash_max_size",
        "proxy_headers_hash_bucket_size",
        "server_names_hash",
        "resolver",
    ];
    if OWN_WAY.contains(&directive.name.as_str()) {
        return (Kind::Moot, "cutover has its own way of this");
    }
    if directive.name.starts_with("ssl_") || directive.name.starts_with("proxy_ssl_") {
        return (Kind::Moot, "TLS is that of rustls: what is safe today, and nothing else");
    }
    if directive.name.starts_with("proxy_cache") || directive.name.starts_with("fastcgi_cache") {
        return (Kind::Lost, "cutover keeps no answers; put a cache before it");
    }
    match directive.name.as_str() {
        "include" => (Kind::Lost, "a file that it names can't be read; import again where it is"),
        "map" | "geo" | "split_clients" | "set" | "if" => (
            Kind::Lost,
            "there are no variables and no conditions of a request; let the app look at its headers",
        ),
        "root" | "alias" | "index" | "try_files" | "expires" | "autoindex" | "etag" => (Kind::Lost, NO_FILES),
        "location" => (Kind::Lost, "nothing goes there"),
        "upstream" => (Kind::Lost, "nothing is passed to it"),
        "stream" | "mail" => (Kind::Lost, "cutover balances HTTP; keep another balancer for other protocols"),
        "fastcgi_pass" | "uwsgi_pass" | "scgi_pass" | "memcached_pass" => {
            (Kind::Lost, "cutover speaks HTTP with backends; let the app listen for HTTP")
        }
        "error_log" | "log_format" | "access_log" | "rewrite_log" => (
            Kind::Lost,
            "there is one access log, of all services, see [access_log]; errors are logged to standard error",
        ),
        "allow"
        | "deny"
        | "auth_basic"
        | "auth_basic_user_file"
        | "auth_request"
        | "satisfy"
        | "internal" => (Kind::Lost, "cutover does not decide who may see what; let the app do it"),
        "limit_conn" | "limit_conn_zone" => (Kind::Lost, "see max_connections_per_client of [[listener]]"),
        "limit_req_zone" | "limit_req_status" => (Kind::Lost, "see [service.rate_limit]"),
        "send_timeout" | "client_header_timeout" => (Kind::Lost, "see [limits]"),
        "mirror" => (Kind::Lost, "requests go to one version only"),
        _ => (
            Kind::Lost,
            "cutover has nothing like it, or nothing that is passed on asks for it; leave it to the app, or see config/reference.toml",
        ),
    }
}

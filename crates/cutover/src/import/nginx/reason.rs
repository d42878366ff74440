//! What is said about directives of nginx that nothing else here asks for.

use super::super::note::{ACCOUNT, Kind};
use super::super::tree::Directive;
use super::location::NO_FILES;

/// What there is to say about a directive that nothing above asked for.
pub(super) fn why(directive: &Directive) -> (Kind, &'static str) {
    if directive.is_one_of("user") {
        return ACCOUNT;
    }
    if directive.is_one_of(OWN_WAY) {
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

/// What cutover has its own way of.
const OWN_WAY: &str = "
    worker_processes worker_connections worker_rlimit_nofile pid events load_module sendfile
    tcp_nopush tcp_nodelay types default_type types_hash_max_size server_tokens keepalive_timeout
    keepalive_requests server_names_hash_bucket_size server_names_hash_max_size server_name_in_redirect
    gzip_vary gzip_proxied gzip_comp_level gzip_buffers gzip_http_version gzip_types gzip_disable
    gzip_static proxy_http_version proxy_buffering proxy_buffers proxy_buffer_size
    proxy_busy_buffers_size proxy_request_buffering proxy_redirect http2 multi_accept use
    client_body_buffer_size client_header_buffer_size large_client_header_buffers
    proxy_headers_hash_max_size proxy_headers_hash_bucket_size server_names_hash resolver";

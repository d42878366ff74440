//! nginx: one worker, an upstream with kept connections, sessions by the user id module's cookie and a consistent hash.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use super::{CERTIFICATE, KEY, Place};
use crate::client::Addresses;
use crate::error::Error;
use crate::load::CALLS;

pub(super) fn prepare(program: &Path, place: &Place) -> Result<Command, Error> {
    let upstreams = upstreams(place);
    let Addresses { http, tls, h2c } = place.listen;
    let directory = place.directory.display();
    // A large body stays in memory, in few pieces. `user root` only counts for root, whose private directory others can't enter.
    let text = format!(
        "daemon off;
user root;
worker_processes 1;
worker_rlimit_nofile 16384;
pid {directory}/nginx.pid;
error_log {directory}/error.log error;
events {{ worker_connections 16384; multi_accept on; }}
http {{
  access_log off;
  server_tokens off;
  tcp_nodelay on;
  keepalive_timeout 75s;
  keepalive_requests 1000000000;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  proxy_buffer_size 16k;
  proxy_buffers 8 64k;
  proxy_busy_buffers_size 128k;
  proxy_max_temp_file_size 0;
{upstreams}  server {{
    listen {http} backlog=4096;
    listen {tls} ssl http2 backlog=4096;
    listen {h2c} http2 backlog=4096;
    ssl_certificate {directory}/{CERTIFICATE};
    ssl_certificate_key {directory}/{KEY};
    ssl_protocols TLSv1.2 TLSv1.3;
    userid on;
    userid_name lb;
    userid_path /;
    location / {{
      proxy_pass http://app;
      proxy_http_version 1.1;
      proxy_set_header Connection \"\";
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
    }}
    location {CALLS}/ {{
      userid off;
      grpc_pass grpc://calls;
      grpc_set_header Host $host;
      grpc_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      grpc_set_header X-Forwarded-Proto $scheme;
    }}
  }}
}}
"
    );
    let file = place.write("nginx.conf", &text)?;
    let mut command = Command::new(program);
    command.arg("-e").arg(place.directory.join("error.log")).arg("-c").arg(file);
    Ok(command)
}

/// The application, once for visitors with sessions and once for calls.
fn upstreams(place: &Place) -> String {
    let mut servers = String::new();
    for backend in &place.backends {
        let _ = writeln!(servers, "    server {backend};");
    }
    let upstream = |name: &str, balance: &str| {
        format!(
            "  upstream {name} {{
{balance}{servers}    keepalive 128;
    keepalive_requests 1000000000;
    keepalive_timeout 60s;
  }}
"
        )
    };
    upstream("app", "    hash $uid_got$uid_set consistent;\n") + &upstream("calls", "")
}

//! nginx: one worker, an upstream with kept connections, sessions by the user id module's cookie and a consistent hash.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use super::Place;
use crate::error::Error;

pub(super) fn prepare(program: &Path, place: &Place) -> Result<Command, Error> {
    let mut servers = String::new();
    for backend in &place.backends {
        let _ = writeln!(servers, "    server {backend};");
    }
    let (listen, directory) = (place.listen, place.directory.display());
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
  upstream app {{
    hash $uid_got$uid_set consistent;
{servers}    keepalive 128;
    keepalive_requests 1000000000;
    keepalive_timeout 60s;
  }}
  server {{
    listen {listen} backlog=4096;
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
  }}
}}
"
    );
    let file = place.write("nginx.conf", &text)?;
    let mut command = Command::new(program);
    command.arg("-e").arg(place.directory.join("error.log")).arg("-c").arg(file);
    Ok(command)
}

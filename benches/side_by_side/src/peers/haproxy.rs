//! HAProxy: one thread, connections to the servers shared by all clients, sessions by an inserted cookie, splicing where it helps.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use super::Place;
use crate::client::Addresses;
use crate::error::Error;
use crate::load::CALLS;

pub(super) fn prepare(program: &Path, place: &Place) -> Result<Command, Error> {
    let mut servers = String::new();
    for (number, backend) in place.backends.iter().enumerate() {
        let _ =
            writeln!(servers, "  server app{number} {backend} check cookie app{number} pool-max-conn 128");
    }
    let mut calls = String::new();
    for (number, backend) in place.backends.iter().enumerate() {
        let _ = writeln!(calls, "  server app{number} {backend} check proto h2 pool-max-conn 128");
    }
    let Addresses { http, tls, h2c } = place.listen;
    let pem = place.write("both.pem", &format!("{}{}", place.certificate, place.key))?;
    let pem = pem.display();
    // The connections of the idle measure take two descriptors each in its reckoning.
    let text = format!(
        "global
  nbthread 1
  maxconn 7000
defaults
  mode http
  timeout connect 2s
  timeout client 75s
  timeout server 60s
  timeout http-keep-alive 75s
  option http-keep-alive
  option forwardfor
  option splice-response
  http-reuse always
frontend clients
  bind {http} backlog 4096
  bind {h2c} proto h2 backlog 4096
  bind {tls} ssl crt {pem} alpn h2,http/1.1 backlog 4096
  http-request set-header X-Forwarded-Proto http unless {{ ssl_fc }}
  http-request set-header X-Forwarded-Proto https if {{ ssl_fc }}
  use_backend calls if {{ path_beg {CALLS}/ }}
  default_backend app
backend app
  balance leastconn
  cookie SERVERID insert indirect nocache
{servers}backend calls
  balance leastconn
{calls}"
    );
    let file = place.write("haproxy.cfg", &text)?;
    let mut command = Command::new(program);
    command.arg("-db").arg("-f").arg(file);
    Ok(command)
}

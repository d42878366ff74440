//! HAProxy: one thread, connections to the servers shared by all clients, sessions by an inserted cookie, splicing where it helps.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use super::Place;
use crate::error::Error;

pub(super) fn prepare(program: &Path, place: &Place) -> Result<Command, Error> {
    let mut servers = String::new();
    for (number, backend) in place.backends.iter().enumerate() {
        let _ =
            writeln!(servers, "  server app{number} {backend} check cookie app{number} pool-max-conn 128");
    }
    let listen = place.listen;
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
  bind {listen} backlog 4096
  http-request set-header X-Forwarded-Proto http
  default_backend app
backend app
  balance leastconn
  cookie SERVERID insert indirect nocache
{servers}"
    );
    let file = place.write("haproxy.cfg", &text)?;
    let mut command = Command::new(program);
    command.arg("-db").arg("-f").arg(file);
    Ok(command)
}

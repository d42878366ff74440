//! Traefik: routes from a file, sessions by its sticky cookie.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use super::Place;
use crate::error::Error;

pub(super) fn prepare(program: &Path, place: &Place) -> Result<Command, Error> {
    let mut servers = String::new();
    for backend in &place.backends {
        let _ = writeln!(servers, "          - url: http://{backend}");
    }
    let routes = format!(
        "http:
  routers:
    all:
      rule: PathPrefix(`/`)
      entryPoints: [clients]
      service: app
  services:
    app:
      loadBalancer:
        serversTransport: kept
        sticky:
          cookie:
            name: lb
        servers:
{servers}  serversTransports:
    kept:
      maxIdleConnsPerHost: 128
"
    );
    let routes = place.write("routes.yaml", &routes)?;
    let text = format!(
        "global:
  checkNewVersion: false
  sendAnonymousUsage: false
log:
  level: ERROR
entryPoints:
  clients:
    address: {}
providers:
  file:
    filename: {}
    watch: false
",
        place.listen.http,
        routes.display()
    );
    let file = place.write("traefik.yaml", &text)?;
    let mut command = Command::new(program);
    command.arg(format!("--configFile={}", file.display()));
    Ok(command)
}

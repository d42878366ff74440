//! cutover: one worker, pins on, health checks as they are by default.

use std::path::Path;
use std::process::Command;

use super::{CERTIFICATE, KEY, Place};
use crate::client::Addresses;
use crate::error::Error;
use crate::load::CALLS;

/// Where the access log goes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Logging {
    Off,
    File,
}

pub(super) fn prepare(program: &Path, place: &Place, logging: Logging) -> Result<Command, Error> {
    let backends: Vec<String> =
        place.backends.iter().map(|backend| format!("{{ address = \"{backend}\" }}")).collect();
    let Addresses { http, tls, h2c } = place.listen;
    let (admin, backends, directory) = (place.admin, backends.join(", "), place.directory.display());
    let access_log = match logging {
        Logging::Off => String::new(),
        Logging::File => format!("{directory}/access.log"),
    };
    let text = format!(
        "[node]
name = \"bench\"
workers = 1
state_dir = \"{directory}/state\"
[[listener]]
bind = [\"{http}\", \"{h2c}\"]
[[listener]]
bind = [\"{tls}\"]
protocol = \"https\"
tls = {{ certs = [{{ cert = \"{directory}/{CERTIFICATE}\", key = \"{directory}/{KEY}\" }}] }}
[admin]
listen = \"{admin}\"
[store]
kind = \"memory\"
[access_log]
path = \"{access_log}\"
[[service]]
name = \"app\"
backends = [{backends}]
[[service]]
name = \"calls\"
paths = [\"{CALLS}\"]
backends = [{backends}]
upstream.protocol = \"h2c\"
pin.policy = \"none\"
"
    );
    let file = place.write("cutover.toml", &text)?;
    let mut command = Command::new(program);
    command.arg("serve").arg("--config").arg(file);
    Ok(command)
}

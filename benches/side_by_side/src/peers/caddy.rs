//! Caddy: sessions by its cookie policy.

use std::path::Path;
use std::process::Command;

use super::Place;
use crate::error::Error;

pub(super) fn prepare(program: &Path, place: &Place) -> Result<Command, Error> {
    let backends: Vec<String> = place.backends.iter().map(ToString::to_string).collect();
    let (port, address, backends) = (place.listen.http.port(), place.listen.http.ip(), backends.join(" "));
    let text = format!(
        "{{
\tadmin off
\tauto_https off
\tpersist_config off
\tservers {{
\t\tprotocols h1
\t}}
}}
http://:{port} {{
\tbind {address}
\treverse_proxy {backends} {{
\t\tlb_policy cookie lb
\t\ttransport http {{
\t\t\tkeepalive 60s
\t\t\tkeepalive_idle_conns_per_host 128
\t\t\tcompression off
\t\t}}
\t}}
}}
"
    );
    let file = place.write("Caddyfile", &text)?;
    let mut command = Command::new(program);
    command.args(["run", "--adapter", "caddyfile", "--config"]).arg(file);
    command
        .env("HOME", &place.directory)
        .env("XDG_CONFIG_HOME", &place.directory)
        .env("XDG_DATA_HOME", &place.directory);
    Ok(command)
}

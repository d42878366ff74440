//! Apache: the event MPM with one child, a balancer with kept connections, sessions by a route cookie.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use super::Place;
use crate::error::Error;

const MODULES: &str = "/usr/lib/apache2/modules";
const NEEDED: [&str; 9] = [
    "mpm_event",
    "authz_core",
    "headers",
    "proxy",
    "proxy_http",
    "proxy_balancer",
    "slotmem_shm",
    "lbmethod_bybusyness",
    "watchdog",
];

pub(super) fn prepare(program: &Path, place: &Place) -> Result<Command, Error> {
    let mut modules = String::new();
    for module in NEEDED.iter().filter(|module| Path::new(&format!("{MODULES}/mod_{module}.so")).exists()) {
        let _ = writeln!(modules, "LoadModule {module}_module {MODULES}/mod_{module}.so");
    }
    let mut members = String::new();
    for (number, backend) in place.backends.iter().enumerate() {
        let _ = writeln!(
            members,
            "  BalancerMember http://{backend} route=app{number} keepalive=On max=128 ttl=60"
        );
    }
    let (listen, directory) = (place.listen.http, place.directory.display());
    // One child whose listener holds thousands of idle connections; its threads only work.
    let text = format!(
        "{modules}ServerRoot {directory}
DefaultRuntimeDir {directory}
PidFile {directory}/apache.pid
ServerName shop.example
User www-data
Group www-data
ErrorLog {directory}/error.log
LogLevel error
Listen {listen}
ListenBacklog 4096
ServerLimit 1
StartServers 1
ThreadLimit 128
ThreadsPerChild 128
MaxRequestWorkers 128
AsyncRequestWorkerFactor 128
MaxConnectionsPerChild 0
KeepAlive On
KeepAliveTimeout 75
MaxKeepAliveRequests 0
ServerTokens Prod
ProxyPreserveHost On
ProxyTimeout 60
RequestHeader set X-Forwarded-Proto http
Header add Set-Cookie \"ROUTEID=.%{{BALANCER_WORKER_ROUTE}}e; path=/\" env=BALANCER_ROUTE_CHANGED
<Proxy balancer://app>
{members}  ProxySet stickysession=ROUTEID lbmethod=bybusyness
</Proxy>
ProxyPass / balancer://app/
"
    );
    let file = place.write("apache.conf", &text)?;
    let mut command = Command::new(program);
    command.arg("-DFOREGROUND").arg("-f").arg(file);
    Ok(command)
}

//! Ten thousand connections that idle: what each costs, and that the others do not notice.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use crate::app::App;
use crate::client::Client;
use crate::world::Setup;

const CONNECTIONS: usize = 10_000;
/// User memory of one, with everything that it has allocated. The release build has to stay below 4 KiB; what the compiler's
/// optimizations change is the size of a state between two requests, which is small with and without them.
const BYTES_MAX: usize = 4 << 10;

/// Bytes of this process that are in memory.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// Descriptors that this process may have open.
fn descriptors() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    line.split_whitespace().nth(3).unwrap().parse().unwrap_or(usize::MAX)
}

#[test]
fn ten_thousand_idle_connections_cost_little_and_disturb_nobody() {
    // The proxy is in a process of its own: its memory is measured, and each side needs a descriptor per connection.
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", "idle::host"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut hear = |name: &str| {
        let line = said.find(|line| line.contains(name)).expect("the child says it");
        line.rsplit(' ').next().unwrap().to_owned()
    };
    let address: SocketAddr = hear("address").parse().unwrap();
    // A machine that allows fewer descriptors is measured with fewer connections.
    let count = CONNECTIONS.min(descriptors() - 200);
    Client::connect(address).get("/");
    let mut ask = child.stdin.take().unwrap();
    ask.write_all(b"\n").unwrap();
    let before: usize = hear("resident").parse().unwrap();
    let mut idle = Vec::with_capacity(count);
    for at in 0..count {
        let mut client = Client::connect(address);
        // Some have not sent anything yet, most wait for their next request.
        if at % 4 > 0 {
            assert_eq!(client.get("/").status(), 200);
        }
        idle.push(client);
    }
    ask.write_all(b"\n").unwrap();
    let after: usize = hear("resident").parse().unwrap();
    let each = (after - before) / count;
    assert!(each < BYTES_MAX, "{each} bytes for each of {count}");
    // Everybody is still served: a new one, and each of them.
    assert_eq!(Client::connect(address).get("/").status(), 200);
    assert!(idle.iter_mut().all(|client| client.get("/").status() == 200));
    drop(ask);
    assert!(child.wait().unwrap().success());
}

#[test]
#[ignore = "the child process of the test above"]
fn host() {
    let app = App::saying("ok");
    let world = Setup::new(&[("a", &app.address.to_string(), "v1")]).max_connections(20_000).start();
    println!("address {}", world.address);
    for line in std::io::stdin().lines() {
        line.unwrap();
        println!("resident {}", resident());
    }
}

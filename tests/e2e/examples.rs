//! Every example in `config/` starts, by the real binary, and does what its comment says.

mod app;
mod example;
mod grpc;
mod production;
mod several;
mod tls;

use app::App;
use example::Example;
use rcgen::generate_simple_self_signed;

use crate::support::http::{Connection, Request};
use crate::support::wait::until;

#[test]
fn check_accepts_every_example() {
    let names = example::names();
    assert!(names.len() >= 7, "{names:?}");
    for name in names {
        let example = Example::of(&name, &[]);
        for host in ["example.com", "example.org"] {
            certify(&example, host);
        }
        std::fs::write(example.path(production::PAGE), "sorry").unwrap();
        assert_eq!(example.check(), None, "{name}");
    }
}

#[tokio::test]
async fn the_reference_starts_and_has_nobody_to_ask() {
    let mut example = Example::of("reference.toml", &[]);
    example.start().await;

    let answer = Connection::open(example.port(8080)).await.ask(&Request::get("/")).await;

    assert_eq!(answer.status(), 503, "{answer:?}");
    assert!(example.path("/var/lib/cutover").is_dir(), "its state is where it says");
}

#[tokio::test]
async fn the_least_serves_by_two_servers_that_tell_their_version() {
    let apps = [App::start("a", "v7").await, App::start("b", "v7").await];
    let given = [("127.0.0.1:3001", apps[0].address()), ("127.0.0.1:3002", apps[1].address())];
    let mut example = Example::of("minimal.toml", &given);
    example.start().await;
    example.admin().until_usable("v7", 2).await;
    example.admin().until_role("v7", "active").await;

    let mut client = Connection::open(example.port(8080)).await;
    for app in ["a v7", "b v7"] {
        until("both servers answer", async || {
            client.ask(&Request::get("/short")).await.text().eq(app).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn everything_but_clients_is_on_unix_sockets() {
    let directory = tempfile::tempdir().unwrap();
    let sockets = ["blue", "green"].map(|name| directory.path().join(name));
    let _apps = [App::unix(&sockets[0], "blue", "v1"), App::unix(&sockets[1], "green", "v2")];
    let here = |socket: &std::path::Path| format!("unix:{}", socket.display());
    let given =
        [("unix:/run/app/blue.sock", here(&sockets[0])), ("unix:/run/app/green.sock", here(&sockets[1]))];
    let mut example = Example::of("unix-socket.toml", &given);
    example.launch();

    let front = example.port(80);
    let first = until("it serves", async || {
        let mut client = Connection::try_open(front).await.ok()?;
        let answer = client.try_ask(&Request::get("/short")).await.ok()?;
        (answer.status() == 200).then(|| answer.text())
    })
    .await;
    let to = if first == "blue v1" { "v2" } else { "v1" };
    let socket = example.path("/run/cutover/admin.sock");
    // The second one may not have been found healthy yet, and has to be for five seconds.
    until("the command line flips", async || {
        let flip = ["flip", "app", to, "--force"];
        let done = crate::support::cutover::run(&here(&socket), &flip, directory.path()).await;
        (done.code == 0).then_some(())
    })
    .await;
    let second = Connection::open(front).await.ask(&Request::get("/short")).await.text();
    assert_eq!(second, if to == "v1" { "blue v1" } else { "green v2" });
}

/// Puts a certificate for `host`, and for what is reached without a name, where the examples have one; answers its file.
fn certify(example: &Example, host: &str) -> std::path::PathBuf {
    let names = [host, &format!("www.{host}"), "127.0.0.1"].map(str::to_owned);
    let made = generate_simple_self_signed(names).unwrap();
    std::fs::write(example.path(&format!("/etc/cutover/{host}.key")), made.signing_key.serialize_pem())
        .unwrap();
    let file = example.path(&format!("/etc/cutover/{host}.pem"));
    std::fs::write(&file, made.cert.pem()).unwrap();
    file
}

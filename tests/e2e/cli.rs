//! The command line against a real server: what it prints, and how it ends.

use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::support::app::App;
use crate::support::config::Service;
use crate::support::cutover::{Done, run};
use crate::support::stage::Stage;
use crate::support::wait::within;

#[tokio::test]
async fn every_command_that_looks_prints_a_table_and_json() {
    let stage = Stage::v1_and_v2().await;
    let looks: [(&[&str], &[&str]); 6] = [
        (&["status"], &["e2e", "ready", "embedded"]),
        (&["services"], &["web", "v1", "v2", "staged"]),
        (&["services", "web"], &["web", "v1"]),
        (&["backends", "web"], &["a", "b", "v1", "v2", "up", "ready", "known"]),
        (&["versions", "web"], &["v1", "active", "v2", "staged"]),
        (&["timeline", "web"], &["v1"]),
    ];

    for (command, words) in looks {
        let table = good(stage.cli(command).await);
        for word in words {
            assert!(table.contains(word), "{command:?} does not say {word}:\n{table}");
        }
        let json = good(stage.cli(&[command, &["--json"]].concat()).await);
        let json: Value =
            serde_json::from_str(&json).unwrap_or_else(|error| panic!("{command:?}: {error}: {json}"));
        assert!(json.is_object(), "{command:?}: {json}");
    }
    let version = good(stage.cli(&["versions", "web", "v2", "--json"]).await);
    assert_eq!(serde_json::from_str::<Value>(&version).unwrap()["role"], "staged");
}

#[tokio::test]
async fn a_deploy_can_be_made_by_commands_alone() {
    let service = Service::new("web").set("flip.gates", vec!["expand"]).set("pin.idle", "1s");
    let stage = Stage::v1_with(service).await;
    let app = App::start("v2").await;
    let address = app.address();
    let cli = async |line: &str| good(stage.cli(&line.split(' ').collect::<Vec<_>>()).await);

    cli(&format!("register web b --address {address} --ttl 60s")).await;
    stage.until_usable("b").await;
    cli("heartbeat web b").await;
    cli("wait web v2 --for staged --timeout 10s").await;
    let plan = stage.cli(&["flip", "web", "v2", "--dry-run"]).await;
    assert!(plan.code == 1 && plan.stdout.contains("expand") && plan.stdout.contains("refused"), "{plan:?}");
    cli("gate web v2 expand --note migrated").await;
    cli("hold web v1 worker --ttl 1m").await;
    let flipped = cli("flip web v2 --reason release --if-epoch 1").await;
    assert!(flipped.contains("v2") && flipped.contains('2'), "{flipped}");
    let late = stage.cli(&["wait", "web", "v1", "--for", "drained", "--timeout", "1500ms"]).await;
    assert_eq!(late.code, 4, "drained in spite of the hold: {late:?}");
    cli("hold web v1 worker --release").await;
    cli("wait web v1 --for drained --timeout 15s").await;
    let json: Value = serde_json::from_str(&cli("rollback web --reason red --json").await).unwrap();
    assert_eq!((&json["to"], &json["rejected"]), (&"v1".into(), &"v2".into()));
    cli("clear web v2").await;
    cli("freeze web --reason holidays").await;
    assert!(cli("services").await.contains("holidays"));
    assert_eq!(stage.cli(&["flip", "web", "v2"]).await.code, 1);
    cli("freeze web --off").await;
    cli("drain web b --wait --timeout 10s").await;
    cli("maint web b").await;
    cli("ready web b --wait --timeout 10s").await;
    cli("hold web v1 worker --ttl 1m").await;
    cli("flip web v2").await;
    cli("evict web v1").await;
    cli("hold web v1 worker --release").await;
    cli("wait web v1 --for drained --timeout 15s").await;
    cli("flip web v1 --force --wait --timeout 15s").await;
    cli("flip web v2 --wait --timeout 15s").await;
    cli("reject web v1 --reason old").await;
    cli("deregister web a --drain 0s").await;
    let history = cli("timeline web --limit 200").await;
    assert!(history.contains("release") && history.contains("red"), "{history}");
}

#[tokio::test]
async fn events_are_followed_as_they_happen() {
    let stage = Stage::v1_and_v2().await;
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_cutover"));
    command.args([
        "events",
        "--json",
        "--service",
        "web",
        "--admin",
        &format!("http://{}", stage.admin_address()),
    ]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let mut follower = command.spawn().unwrap();
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines();

    // Whatever the follower has missed by then it is told, or it is told the next one.
    let told = async {
        loop {
            let line = lines.next_line().await.unwrap().expect("it ended");
            let event: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
            if event["kind"] == "frozen" {
                return event;
            }
        }
    };
    let freezing = async {
        loop {
            stage.cli(&["freeze", "web", "--reason", "holidays"]).await;
            stage.cli(&["freeze", "web", "--off"]).await;
        }
    };
    let event = tokio::select! {
        event = within("an event", told) => event,
        () = freezing => unreachable!("it freezes for ever"),
    };

    assert_eq!(event["service"], "web", "{event}");
    follower.kill().await.unwrap();
}

#[tokio::test]
async fn services_are_put_from_files_and_deleted() {
    let stage = Stage::v1().await;
    let (toml, json) = (stage.file("made.toml"), stage.file("made.json"));
    std::fs::write(&toml, "hosts = [\"made.test\"]\n[pin]\nidle = \"5m\"\n").unwrap();
    std::fs::write(&json, "{\"hosts\": [\"made.test\"], \"pin\": {\"idle\": \"6m\"}}").unwrap();

    for (file, idle) in [(&toml, "5m"), (&json, "6m")] {
        good(stage.cli(&["services", "put", "made", &file.to_string_lossy()]).await);
        assert_eq!(stage.admin().get("/v1/services/made").await["policy"]["pin"]["idle"], idle);
    }
    std::fs::write(&toml, "hots = []\n").unwrap();
    let bad = stage.cli(&["services", "put", "made", &toml.to_string_lossy()]).await;
    assert!(bad.code == 1 && bad.stderr.contains("hots"), "{bad:?}");
    good(stage.cli(&["services", "delete", "made"]).await);

    assert_eq!(stage.cli(&["services", "made"]).await.code, 1);
}

#[tokio::test]
async fn what_is_refused_ends_with_1_and_every_reason() {
    let service = Service::new("web").set("flip.gates", vec!["expand", "smoke"]);
    let stage = Stage::v1_and_v2_with(service).await;

    let refused = stage.cli(&["flip", "web", "v2"]).await;
    let json = stage.cli(&["flip", "web", "v2", "--json"]).await;

    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.stderr.contains("expand") && refused.stderr.contains("smoke"), "{refused:?}");
    assert_eq!(json.code, 1, "{json:?}");
    let problem: Value =
        serde_json::from_str(&json.stdout).unwrap_or_else(|error| panic!("{error}: {json:?}"));
    assert_eq!(problem["reasons"].as_array().unwrap().len(), 2, "{problem}");
    for unknown in [["versions", "nope"], ["backends", "nope"], ["timeline", "nope"]] {
        assert_eq!(stage.cli(&unknown).await.code, 1, "{unknown:?}");
    }
}

#[tokio::test]
async fn wrong_usage_ends_with_2_and_an_absent_server_with_3() {
    let directory = tempfile::tempdir().unwrap();
    let nobody = format!("http://{}", crate::support::port::Port::reserve().address());
    for wrong in [
        &["flip"][..],
        &["flipp", "web"],
        &["flip", "web", "v2", "--if-epoch", "x"],
        &["wait", "web", "v1"],
        &[],
    ] {
        let done = run(&nobody, wrong, directory.path()).await;
        assert_eq!((done.code, done.stdout.is_empty()), (2, true), "{wrong:?}: {done:?}");
    }
    for absent in [&["status"][..], &["flip", "web", "v2"], &["backends", "web", "--json"]] {
        assert_eq!(run(&nobody, absent, directory.path()).await.code, 3, "{absent:?}");
    }
    let by_socket = run("unix:/nowhere/admin.sock", &["status"], directory.path()).await;
    assert_eq!(by_socket.code, 3, "{by_socket:?}");
}

#[tokio::test]
async fn check_names_every_mistake_with_its_place() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("bad.toml");
    let path = file.to_string_lossy().into_owned();
    std::fs::write(&file, "[node]\nworker = 3\n\n[[service]]\nname = \"a b\"\npin.idle = 5\n").unwrap();

    let bad = run("http://127.0.0.1:1", &["check", &path], directory.path()).await;
    std::fs::write(&file, "[[service]]\nname = \"web\"\n").unwrap();
    let good = run("http://127.0.0.1:1", &["check", &path], directory.path()).await;

    assert_eq!(bad.code, 1, "{bad:?}");
    let said = format!("{}{}", bad.stdout, bad.stderr);
    for place in ["2:1", "5:8", "6:12"] {
        assert!(said.lines().any(|line| line.contains(&format!("{path}:{place}: "))), "{place}:\n{said}");
    }
    assert_eq!(good.code, 0, "{good:?}");
}

#[tokio::test]
async fn commands_that_need_no_server_print_what_they_make() {
    let directory = tempfile::tempdir().unwrap();
    let made = async |arguments: &[&str]| good(run("http://127.0.0.1:1", arguments, directory.path()).await);

    for shell in ["bash", "zsh", "fish"] {
        assert!(made(&["completions", shell]).await.contains("cutover"), "{shell}");
    }
    assert!(made(&["man"]).await.contains(".TH"));
    let (one, two) = (made(&["token", "--name", "ci"]).await, made(&["token", "--name", "ci"]).await);
    assert!(one.contains("sha256") && one != two, "{one}");
    assert!(made(&["--version"]).await.contains(env!("CARGO_PKG_VERSION")));
    assert!(made(&["--help"]).await.contains("flip"));
}

#[tokio::test]
async fn a_token_opens_what_its_role_may_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let made =
        run("http://127.0.0.1:1", &["token", "--json", "--role", "read", "--name", "eye"], directory.path())
            .await;
    let made: Value = serde_json::from_str(&good(made)).unwrap();
    let (token, hash) = (made["token"].as_str().unwrap(), made["sha256"].as_str().unwrap());
    let config = crate::support::config::Config::of(Service::new("web"))
        .set("admin.open", false)
        .admin_token("eye", hash, "read");
    let cutover = crate::support::cutover::Cutover::start(&config).await;

    let (with, without) = (["status", "--token", token], ["status"]);
    assert_eq!(cutover.cli(&with).await.code, 0);
    let refused = cutover.cli(&without).await;
    assert_eq!(refused.code, 1, "{refused:?}");
    let ready = cutover.cli(&["status", "--ready"]).await;
    assert_eq!(
        (ready.code, ready.stdout.as_str()),
        (0, "ready\n"),
        "who watches it needs no token: {ready:?}"
    );
    let flip = cutover.cli(&["freeze", "web", "--reason", "x", "--token", token]).await;
    assert!(flip.code == 1 && !flip.stderr.contains(token), "{flip:?}");
}

/// What a command printed that must have done its work.
fn good(done: Done) -> String {
    assert_eq!(done.code, 0, "{done:?}");
    done.stdout
}

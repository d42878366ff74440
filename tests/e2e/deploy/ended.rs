//! A deploy that is ended at one of its steps, by Ctrl-C or as by a power cut: the same command again finishes it, and what ran does not
//! run again.

use rustix::process::Signal;

use super::{deploy, finish, service, succeeded, web};
use crate::support::app::App;
use crate::support::stage::Stage;
use crate::support::wait::until;

/// The commands of the deploy, in their order.
const COMMANDS: [&str; 4] = ["expand", "stage", "smoke", "contract"];

#[tokio::test]
async fn at_its_additive_migration() {
    at_command("expand").await;
}

#[tokio::test]
async fn while_backends_start() {
    at_command("stage").await;
}

#[tokio::test]
async fn at_a_gate() {
    at_command("smoke").await;
}

#[tokio::test]
async fn at_its_destructive_migration() {
    at_command("contract").await;
}

#[tokio::test]
async fn while_backends_are_waited_for() {
    for signal in [Signal::INT, Signal::KILL] {
        let scene = Scene::open().await;
        scene.app.set_health(500).await;
        let said = scene.end_at("stage: ", "usable", signal).await;
        assert_said(signal, &said, "v1 is active (epoch 1), as before");
        scene.app.set_health(0).await;
        // That there are backends by now says that what starts them ran.
        scene.stage.until_usable("b").await;
        scene.finish(&COMMANDS).await;
    }
}

#[tokio::test]
async fn in_the_canary() {
    for signal in [Signal::INT, Signal::KILL] {
        let scene = Scene::open().await;
        let said = scene.end_at("canary: ", "50 % of the sessions", signal).await;
        assert_said(signal, &said, "`cutover canary web --abort`");
        scene.finish(&COMMANDS).await;
    }
}

#[tokio::test]
async fn in_the_bake() {
    for signal in [Signal::INT, Signal::KILL] {
        let scene = Scene::open().await;
        let said = scene.end_at("bake: ", "is watched", signal).await;
        assert_said(signal, &said, "`cutover rollback web`");
        scene.finish(&COMMANDS).await;
    }
}

#[tokio::test]
async fn while_the_old_version_drains() {
    for signal in [Signal::INT, Signal::KILL] {
        let scene = Scene::open().await;
        let hold = scene.stage.cli(&["hold", "web", "v1", "worker", "--ttl", "5m"]).await;
        assert_eq!(hold.code, 0, "{hold:?}");
        let said = scene.end_at("drain: ", "held by worker", signal).await;
        assert_said(signal, &said, "v1 drains");
        let released = scene.stage.cli(&["hold", "web", "v1", "worker", "--release"]).await;
        assert_eq!(released.code, 0, "{released:?}");
        scene.finish(&COMMANDS).await;
    }
}

/// v1 is active, v2 runs and is registered by a command of the deploy.
#[derive(Debug)]
struct Scene {
    stage: Stage,
    app: App,
}

/// Ends it in the middle of a command, by each signal.
async fn at_command(name: &str) {
    for signal in [Signal::INT, Signal::KILL] {
        let scene = Scene::open().await;
        scene.hold(name);
        let mut client = scene.deploy("first.log");
        until(&format!("{name} runs"), async || scene.ran("begun").contains(&name.to_owned()).then_some(()))
            .await;

        client.signal(signal);
        if signal == Signal::INT {
            until("it says so", async || client.output().contains("interrupted by SIGINT").then_some(()))
                .await;
        } else {
            client.exit().await;
        }
        scene.release(name);
        until(&format!("{name} ended"), async || scene.ran("ended").contains(&name.to_owned()).then_some(()))
            .await;
        let status = finish(&mut client).await;

        if signal == Signal::INT {
            // After the last one nothing is left to be interrupted.
            assert_eq!(status, i32::from(name != "contract"), "{}", client.output());
            assert!(name == "contract" || client.output().contains("to go on: "), "{}", client.output());
        }
        // Killed, it could not tell the server how the command ended. That there are backends the server knows by itself.
        let is_unknown = signal == Signal::KILL && name != "stage";
        scene.finish(&if is_unknown { twice(name) } else { COMMANDS.to_vec() }).await;
    }
}

/// All commands, and this one once more.
fn twice(name: &str) -> Vec<&'static str> {
    COMMANDS.into_iter().flat_map(|command| vec![command; if command == name { 2 } else { 1 }]).collect()
}

fn assert_said(signal: Signal, said: &str, expected: &str) {
    if signal == Signal::INT {
        assert!(said.contains(expected) && said.contains("to go on: "), "{said}");
    }
}

impl Scene {
    async fn open() -> Self {
        let stage = Stage::v1_with(service().set("bake.duration", "1s")).await;
        Self { stage, app: App::start("v2").await }
    }

    fn deploy(&self, log: &str) -> crate::support::child::Child {
        let command = |name: &str, then: &str| {
            format!(
                "echo {name} >> begun; while test -e {name}.held; do sleep 0.02; done; {then} echo {name} >> ended"
            )
        };
        let register =
            format!("cutover register web b --ttl 0s --version v2 --address {} &&", self.app.address());
        let [expand, stage, smoke, contract] = COMMANDS.map(|name| match name {
            "stage" => command(name, &register),
            _ => command(name, ""),
        });
        let smoke = format!("smoke={smoke}");
        let arguments = [
            ["--expand", &expand],
            ["--run", &stage],
            ["--gate", &smoke],
            ["--canary", "10%:200ms,50%:1s"],
            ["--bake", "1s"],
            ["--contract", &contract],
        ];
        deploy(&self.stage, log, arguments.as_flattened())
    }

    /// Ends a deploy when it waits at a step, and answers what it said.
    async fn end_at(&self, step: &str, wait: &str, signal: Signal) -> String {
        let mut client = self.deploy("first.log");
        until(&format!("{step}{wait}"), async || {
            let said = client.output();
            said.lines().any(|line| line.contains(step) && line.contains(wait)).then_some(())
        })
        .await;
        client.signal(signal);
        let status = finish(&mut client).await;
        assert!(status == 1 || signal == Signal::KILL, "{}", client.output());
        client.output()
    }

    /// Runs the same command again, after which all is done and exactly these commands ran.
    async fn finish(&self, ran: &[&str]) {
        succeeded(self.deploy("second.log")).await;
        assert_eq!(self.ran("ended"), ran);
        let service = web(&self.stage).await;
        assert_eq!((&service["active"], &service["epoch"]), (&"v2".into(), &2.into()), "one flip");
        assert_eq!(service["contract"]["floor"], "v2");
        succeeded(self.deploy("third.log")).await;
        assert_eq!(self.ran("ended"), ran, "a deploy that is done does nothing");
    }

    fn hold(&self, name: &str) {
        std::fs::write(self.stage.file(&format!("{name}.held")), "").unwrap();
    }

    fn release(&self, name: &str) {
        std::fs::remove_file(self.stage.file(&format!("{name}.held"))).unwrap();
    }

    fn ran(&self, file: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.stage.file(file)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

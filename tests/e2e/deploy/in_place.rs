//! Servers without spare ones: the command that brings the backends is a roll, and the service switches by itself in its middle.

use super::{deploy, finish, service, web};
use crate::support::config::Config;
use crate::support::deployer::Deployer;
use crate::support::load::Load;
use crate::support::stage::Stage;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_is_rolled_between_its_two_migrations() {
    let service =
        service().set("flip.mode", "auto").set("flip.stable_for", "100ms").set("flip.gates", vec!["expand"]);
    let mut stage = Stage::empty(&Config::of(service)).await;
    for id in ["a", "b", "c", "d"] {
        stage.add(id, "v1").await;
    }
    stage.admin().until_usable("v1", 4).await;
    let deployer = Deployer::start(std::mem::take(&mut stage.apps), "v2");
    let load = Load::start_paced(stage.proxy(), 4, std::time::Duration::from_millis(10));
    load.go_on(100).await;

    let roll = format!("cutover roll web --resume --run '{}'", deployer.command());
    let (expand, contract) = ("echo expand >> ran", "echo contract >> ran");
    let arguments = ["--expand", expand, "--run", &roll, "--contract", contract];
    let mut client = deploy(&stage, "deploy.log", &arguments);

    assert_eq!(finish(&mut client).await, 0, "{}", client.output());
    load.stop().await.assert_flawless();
    assert_eq!(deployer.done(), ["a", "b", "c", "d"]);
    assert_eq!(std::fs::read_to_string(stage.file("ran")).unwrap(), "expand\ncontract\n");
    let service = web(&stage).await;
    assert_eq!((&service["active"], &service["contract"]["floor"]), (&"v2".into(), &"v2".into()));
}

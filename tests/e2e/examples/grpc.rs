//! `config/grpc.toml`: calls, health as gRPC has it, and a decision for each call.

use futures_util::stream;
use tonic::Request;

use super::example::Example;
use crate::grpc::{Client, Server};
use crate::support::wait::until;

#[tokio::test]
async fn calls_of_one_connection_are_decided_one_by_one() {
    let servers = [Server::start("v1").await, Server::start("v1").await];
    let given = [
        ("127.0.0.1:50061", servers[0].address().to_string()),
        ("127.0.0.1:50062", servers[1].address().to_string()),
    ];
    let mut example = Example::of("grpc.toml", &given);
    example.start().await;
    let path = "/v1/services/greeter/versions/v1";
    until("both answer as healthy", async || {
        let found = example.admin().call("GET", path, &serde_json::Value::Null).await;
        (found.status() == 200 && found.json()["usable_backends"] == 2 && found.json()["role"] == "active")
            .then_some(())
    })
    .await;
    let client = Client::at(example.port(50051)).await;

    let answer = client.unary("/e2e.Echo/Unary", Request::new(b"hello".to_vec())).await.unwrap();
    assert_eq!(answer.into_inner(), b"hello");
    let sum = client.send_all("/e2e.Echo/Sum", stream::iter(vec![vec![0; 100]; 100])).await.unwrap();
    assert_eq!(sum.into_inner(), b"10000");
    let calls: Vec<_> = (0..4)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.unary("/e2e.Echo/Wait", Request::new(Vec::new())).await })
        })
        .collect();

    until("each server has two of four", async || {
        servers.iter().all(|server| server.waiting() == 2).then_some(())
    })
    .await;
    calls.iter().for_each(tokio::task::JoinHandle::abort);
}

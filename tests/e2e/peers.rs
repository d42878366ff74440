//! Clients that others wrote: curl and h2load.

use std::process::Output;

use tokio::process::Command;

use crate::support::stage::Stage;
use crate::support::wait::within;

#[tokio::test]
async fn curl_gets_pages_keeps_its_pin_and_sends_bodies() {
    let stage = Stage::v1_and_v2().await;
    let url = format!("http://{}", stage.proxy());
    let jar = stage.file("cookies").to_string_lossy().into_owned();
    let body = stage.file("body");
    // Large enough that curl asks with `Expect: 100-continue`.
    std::fs::write(&body, vec![b'x'; 3 << 20]).unwrap();
    let Some(page) = run("curl", &["-sS", "--fail", "-c", &jar, &format!("{url}/set-header")]).await else {
        return;
    };
    assert_eq!(text(&page), "version v1\n");
    stage.admin().flip("v2").await;

    let pinned = run("curl", &["-sS", "--fail", "-b", &jar, &format!("{url}/set-header")]).await.unwrap();
    let fresh = run("curl", &["-sS", "--fail", &format!("{url}/set-header")]).await.unwrap();
    assert_eq!((text(&pinned), text(&fresh)), ("version v1\n".to_owned(), "version v2\n".to_owned()));

    let (data, sink) = (format!("@{}", body.display()), format!("{url}/sink"));
    for chunked in [&["-H", "Transfer-Encoding: chunked"][..], &[], &["-H", "Expect: 100-continue"], &["-0"]]
    {
        let arguments = [&["-sS", "--fail", "--data-binary", &data, &sink], chunked].concat();
        let sent = run("curl", &arguments).await.unwrap();
        let seen: serde_json::Value = serde_json::from_slice(&sent.stdout).unwrap();
        assert_eq!(seen["bytes"], 3 << 20, "{chunked:?}: {}", text(&sent));
    }
}

#[tokio::test]
async fn h2load_finds_nothing_wrong_during_a_flip() {
    let stage = Stage::v1_and_v2().await;
    let url = format!("http://{}/set-header", stage.proxy());

    let arguments = ["--h1", "-n", "20000", "-c", "16", "-t", "1", &url];
    let flipping = async {
        stage.admin().flip("v2").await;
        stage.admin().flip("v1").await;
        stage.admin().flip("v2").await;
    };
    let (loaded, ()) = tokio::join!(run("h2load", &arguments), flipping);

    let Some(loaded) = loaded else { return };
    let said = text(&loaded);
    assert!(
        said.contains("20000 total, 20000 started, 20000 done, 20000 succeeded, 0 failed, 0 errored"),
        "{said}"
    );
    assert!(said.contains("status codes: 20000 2xx"), "{said}");
}

/// Runs a program to its end, which must be a good one; `None` if it is not installed.
async fn run(program: &str, arguments: &[&str]) -> Option<Output> {
    let output = within(program, Command::new(program).args(arguments).kill_on_drop(true).output()).await;
    match output {
        Ok(output) => {
            assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
            Some(output)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("skipped: {program} is not installed");
            None
        }
        Err(error) => panic!("can't run {program}: {error}"),
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

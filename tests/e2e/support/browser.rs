//! Chromium, driven by its DevTools protocol: tabs, what their pages compute, and everything that went wrong in them.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::child::Child;
use super::wait::{until, within};

/// A command that starts Chromium without a window, with its profile in `profile` and nothing else of the user's.
pub(crate) fn chromium(profile: &Path) -> Command {
    let mut command = Command::new("chromium");
    command.args([
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
    ]);
    command.args(["--disable-background-networking", "--disable-component-update", "--disable-sync"]);
    command.args(["--no-proxy-server", "--ignore-certificate-errors"]);
    command.arg(format!("--user-data-dir={}", profile.display()));
    command
}

/// Whether Chromium is there; says so if not.
pub(crate) fn is_installed() -> bool {
    let found = Command::new("chromium").arg("--version").output().is_ok();
    if !found {
        eprintln!("skipped: chromium is not installed");
    }
    found
}

/// A running browser. Its tabs share its cookies and its cache.
#[derive(Debug)]
pub(crate) struct Browser {
    wire: Arc<Mutex<Wire>>,
    _child: Child,
}

/// An open tab.
#[derive(Debug)]
pub(crate) struct Tab {
    wire: Arc<Mutex<Wire>>,
    session: String,
}

/// An answer that a tab got.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    pub(crate) url: String,
    pub(crate) status: u64,
    headers: Value,
}

/// The one connection to the browser, over which it says what happens in all tabs.
#[derive(Debug)]
struct Wire {
    socket: WebSocketStream<TcpStream>,
    last_id: u64,
    /// What was told about tabs, oldest first: session, method, parameters.
    events: Vec<(String, String, Value)>,
}

impl Browser {
    /// Starts it, with its files in `directory`.
    pub(crate) async fn start(directory: &Path) -> Self {
        let profile = directory.join("chromium");
        let mut command = chromium(&profile);
        command.args(["--remote-debugging-port=0", "about:blank"]);
        let child = Child::spawn("chromium", &mut command, &directory.join("chromium.log"));
        let told = profile.join("DevToolsActivePort");
        let (port, path) = until("chromium tells where it listens", async || {
            let text = std::fs::read_to_string(&told).ok()?;
            let (port, path) = text.split_once('\n')?;
            path.starts_with('/').then(|| (port.to_owned(), path.to_owned()))
        })
        .await;
        let stream = TcpStream::connect(format!("127.0.0.1:{port}")).await.unwrap();
        let opened = tokio_tungstenite::client_async(format!("ws://127.0.0.1:{port}{path}"), stream);
        let (socket, _) = within("the browser's protocol", Box::pin(opened)).await.unwrap();
        let wire = Wire { socket, last_id: 0, events: Vec::new() };
        Self { wire: Arc::new(Mutex::new(wire)), _child: child }
    }

    /// Opens a tab with `url`, and waits until all of it is loaded.
    pub(crate) async fn open(&self, url: &str) -> Tab {
        let mut wire = self.wire.lock().await;
        let target = wire.call("", "Target.createTarget", json!({ "url": "about:blank" })).await;
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = wire.call("", "Target.attachToTarget", attach).await;
        let session = attached["sessionId"].as_str().unwrap().to_owned();
        for domain in ["Page", "Runtime", "Log", "Network"] {
            wire.call(&session, &format!("{domain}.enable"), json!({})).await;
        }
        drop(wire);
        let tab = Tab { wire: Arc::clone(&self.wire), session };
        tab.visit(url).await;
        tab
    }
}

impl Tab {
    /// Goes to `url` as a person does who types it, and waits until all of it is loaded.
    pub(crate) async fn visit(&self, url: &str) {
        let mut wire = self.wire.lock().await;
        let went = wire.call(&self.session, "Page.navigate", json!({ "url": url })).await;
        assert_eq!(went.get("errorText"), None, "{url}");
        drop(wire);
        self.until("document.readyState === 'complete' && location.href !== 'about:blank'", &json!(true))
            .await;
    }

    /// Empties the cache of the whole browser: what is loaded from now on comes from the servers.
    pub(crate) async fn clear_cache(&self) {
        self.wire.lock().await.call(&self.session, "Network.clearBrowserCache", json!({})).await;
    }

    /// The value of a JavaScript expression, awaited if it is a promise; `Err` where it threw, or while no page is there.
    pub(crate) async fn eval(&self, expression: &str) -> Result<Value, String> {
        let parameters = json!({
            "expression": expression, "awaitPromise": true, "returnByValue": true, "userGesture": true,
        });
        let answer = self.wire.lock().await.try_call(&self.session, "Runtime.evaluate", parameters).await?;
        match answer.get("exceptionDetails") {
            Some(thrown) => Err(thrown.to_string()),
            None => Ok(answer["result"]["value"].clone()),
        }
    }

    /// Waits until an expression has this value, with what it had and all complaints if it never does.
    pub(crate) async fn until(&self, expression: &str, wanted: &Value) {
        let mut last = Ok(Value::Null);
        let looked = async {
            loop {
                last = self.eval(expression).await;
                if last.as_ref() == Ok(wanted) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        if tokio::time::timeout(super::wait::LIMIT, looked).await.is_err() {
            panic!("{expression} is {last:?}, not {wanted}; complaints: {:#?}", self.complaints().await);
        }
    }

    /// Waits until the element that `selector` finds has this text.
    pub(crate) async fn until_text(&self, selector: &str, text: &str) {
        self.until(&format!("document.querySelector({selector:?})?.textContent"), &json!(text)).await;
    }

    /// Clicks on the element that `selector` finds, once it is there.
    pub(crate) async fn click(&self, selector: &str) {
        let element = format!("document.querySelector({selector:?})");
        self.until(&format!("{element} !== null"), &json!(true)).await;
        self.eval(&format!("{element}.click()")).await.unwrap();
    }

    /// Presses a key of this name: `Tab`, `Escape`.
    pub(crate) async fn press(&self, key: &str) {
        let code = match key {
            "Tab" => 9,
            "Escape" => 27,
            other => panic!("say which code {other} has"),
        };
        let mut wire = self.wire.lock().await;
        for kind in ["rawKeyDown", "keyUp"] {
            let event = json!({ "type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code });
            wire.call(&self.session, "Input.dispatchKeyEvent", event).await;
        }
    }

    /// Shows the page so wide, in pixels, to somebody who likes this colour scheme.
    pub(crate) async fn screen(&self, width: u32, scheme: &str) {
        let mut wire = self.wire.lock().await;
        let metrics = json!({ "width": width, "height": 800, "deviceScaleFactor": 1, "mobile": false });
        wire.call(&self.session, "Emulation.setDeviceMetricsOverride", metrics).await;
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        wire.call(&self.session, "Emulation.setEmulatedMedia", media).await;
    }

    /// Keeps a picture of what is on the screen, for people to look at, where `CUTOVER_E2E_PICTURES` names a directory.
    pub(crate) async fn picture(&self, name: &str) {
        let Some(directory) = std::env::var_os("CUTOVER_E2E_PICTURES") else { return };
        let taken = self.wire.lock().await.call(&self.session, "Page.captureScreenshot", json!({})).await;
        let bytes = STANDARD.decode(taken["data"].as_str().unwrap()).unwrap();
        std::fs::write(Path::new(&directory).join(format!("{name}.png")), bytes).unwrap();
    }

    /// Nothing was held against the pages of this tab, and every answer that it got was a success.
    pub(crate) async fn assert_flawless(&self) {
        assert_eq!(self.complaints().await, Vec::<String>::new());
        let failed: Vec<_> =
            self.loaded("").await.into_iter().filter(|answer| answer.status >= 400).collect();
        assert!(failed.is_empty(), "{failed:#?}");
    }

    /// Everything that the console and the browser's own log held against the pages of this tab so far, as errors or warnings.
    pub(crate) async fn complaints(&self) -> Vec<String> {
        let told = self.told().await;
        let complaints = told.iter().filter_map(|(method, event)| match method.as_str() {
            "Runtime.exceptionThrown" => Some(event["exceptionDetails"].to_string()),
            "Runtime.consoleAPICalled"
                if ["error", "warning", "assert"].contains(&event["type"].as_str()?) =>
            {
                Some(event["args"].to_string())
            }
            "Log.entryAdded" if ["error", "warning"].contains(&event["entry"]["level"].as_str()?) => {
                Some(event["entry"].to_string())
            }
            _ => None,
        });
        complaints.collect()
    }

    /// All answers that this tab got so far whose URL contains `part`, oldest first.
    pub(crate) async fn loaded(&self, part: &str) -> Vec<Loaded> {
        let told = self.told().await;
        let answers = told.into_iter().filter(|(method, _)| method == "Network.responseReceived");
        let loaded = answers.map(|(_, event)| Loaded {
            url: event["response"]["url"].as_str().unwrap_or_default().to_owned(),
            status: event["response"]["status"].as_u64().unwrap_or_default(),
            headers: event["response"]["headers"].clone(),
        });
        loaded.filter(|answer| answer.url.contains(part)).collect()
    }

    async fn told(&self) -> Vec<(String, Value)> {
        let mut wire = self.wire.lock().await;
        // What came before its answer is read with it.
        wire.call(&self.session, "Page.getNavigationHistory", json!({})).await;
        let own = wire.events.iter().filter(|(session, ..)| *session == self.session);
        own.map(|(_, method, event)| (method.clone(), event.clone())).collect()
    }
}

impl Loaded {
    /// The value of a header field.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.headers.as_object()?.iter();
        fields.find(|(known, _)| known.eq_ignore_ascii_case(name))?.1.as_str()
    }
}

impl Wire {
    async fn call(&mut self, session: &str, method: &str, parameters: Value) -> Value {
        let answer = self.try_call(session, method, parameters).await;
        answer.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    async fn try_call(&mut self, session: &str, method: &str, parameters: Value) -> Result<Value, String> {
        self.last_id += 1;
        let id = self.last_id;
        let mut message = json!({ "id": id, "method": method, "params": parameters });
        if !session.is_empty() {
            message["sessionId"] = session.into();
        }
        self.socket.send(Message::text(message.to_string())).await.unwrap();
        within(&format!("an answer to {method}"), async {
            loop {
                let mut message = self.receive().await;
                if message["id"] == id {
                    return match message.get("error") {
                        Some(error) => Err(error.to_string()),
                        None => Ok(message["result"].take()),
                    };
                }
                if let (Some(session), Some(method)) =
                    (message["sessionId"].as_str(), message["method"].as_str())
                {
                    let event = (session.to_owned(), method.to_owned(), message["params"].clone());
                    self.events.push(event);
                }
            }
        })
        .await
    }

    async fn receive(&mut self) -> Value {
        loop {
            let message = self.socket.next().await.expect("chromium ended").unwrap();
            if let Message::Text(text) = message {
                return serde_json::from_str(text.as_str()).unwrap();
            }
        }
    }
}

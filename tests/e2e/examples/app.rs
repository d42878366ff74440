//! An application for examples: pages with its name and what reached it, and health in every form that an example reads.

use std::future::pending;
use std::path::Path;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, UnixListener};
use tokio::task::{AbortHandle, JoinSet};

/// Bytes of a page that tell nothing.
const FILLING: usize = 4096;

/// A running application. It, and what it serves, ends when this is dropped.
#[derive(Debug)]
pub(super) struct App {
    address: String,
    serving: AbortHandle,
}

#[derive(Clone, Debug)]
struct Site {
    name: String,
    version: String,
}

impl App {
    pub(super) async fn start(name: &str, version: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, site) = (listener.local_addr().unwrap().to_string(), Site::new(name, version));
        let serving = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, site.clone()));
            }
            pending::<()>().await;
        });
        Self { address, serving: serving.abort_handle() }
    }

    pub(super) fn unix(path: &Path, name: &str, version: &str) -> Self {
        let (listener, site) = (UnixListener::bind(path).unwrap(), Site::new(name, version));
        let serving = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, site.clone()));
            }
            pending::<()>().await;
        });
        Self { address: format!("unix:{}", path.display()), serving: serving.abort_handle() }
    }

    /// Where it listens, as backends are written.
    pub(super) fn address(&self) -> String {
        self.address.clone()
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Site {
    fn new(name: &str, version: &str) -> Self {
        Self { name: name.to_owned(), version: version.to_owned() }
    }

    /// The answer to a request with this head.
    fn answer(&self, head: &str) -> String {
        let Self { name, version } = self;
        let (media, body) = match head.split(' ').nth(1).unwrap_or_default() {
            "/up" | "/healthz" => {
                ("application/json", format!("{{\"build\": {{\"version\": \"{version}\"}}}}"))
            }
            "/short" => ("text/html", format!("{name} {version}")),
            _ => ("text/html", format!("{name} {version}\n{head}\n{}", "-".repeat(FILLING))),
        };
        let length = body.len();
        let body = if head.starts_with("HEAD ") { String::new() } else { body };
        format!(
            "HTTP/1.1 200 OK\r\nX-App-Version: {version}\r\nServer: {name}\r\nX-Powered-By: hope\r\n\
             Content-Type: {media}\r\nContent-Length: {length}\r\n\r\n{body}"
        )
    }
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, site: Site) {
    let mut buffer = Vec::new();
    loop {
        while let Some(end) = buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            let head: Vec<u8> = buffer.drain(..end + 4).collect();
            let answer = site.answer(&String::from_utf8_lossy(&head));
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
        if !matches!(stream.read_buf(&mut buffer).await, Ok(read) if read > 0) {
            return;
        }
    }
}

//! Visitors who write and read names, each in sessions of their own, whichever version answers: every value must be the one that was
//! written.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;

use crate::support::http::{Connection, Request};

/// Requests of one session; then its visitor begins another one.
const REQUESTS: usize = 12;
/// Time between two requests of a visitor.
const PACE: Duration = Duration::from_millis(10);
/// Longest wait for one answer.
const LIMIT: Duration = Duration::from_secs(10);

/// Running load.
#[derive(Debug)]
pub(super) struct People {
    shared: Arc<Shared>,
    visitors: JoinSet<()>,
}

/// What the visitors met.
#[derive(Clone, Debug, Default)]
pub(super) struct Met {
    pub(super) requests: u64,
    pub(super) failed: Vec<String>,
    /// Values that one version wrote and the other one read.
    pub(super) across: u64,
    /// Answers of v1 and of v2.
    pub(super) by: [u64; 2],
}

#[derive(Debug)]
struct Shared {
    address: SocketAddr,
    is_over: AtomicBool,
    /// Everybody whom anybody wrote: id, name, and the version that wrote it.
    written: Mutex<Vec<(String, String, String)>>,
    met: Mutex<Met>,
}

impl People {
    pub(super) fn start(address: SocketAddr, visitors: usize) -> Self {
        let (is_over, written, met) = (AtomicBool::new(false), Mutex::default(), Mutex::default());
        let shared = Arc::new(Shared { address, is_over, written, met });
        let visitors = (0..visitors).map(|number| visit(Arc::clone(&shared), number)).collect();
        Self { shared, visitors }
    }

    /// What they met so far.
    pub(super) fn met(&self) -> Met {
        lock(&self.shared.met).clone()
    }

    /// Waits for so many more requests.
    pub(super) async fn go_on(&self, requests: u64) {
        let wanted = self.met().requests + requests;
        crate::support::wait::until("visitors go on", async || (self.met().requests >= wanted).then_some(()))
            .await;
    }

    /// Lets every visitor finish, and answers what they met.
    pub(super) async fn stop(mut self) -> Met {
        self.shared.is_over.store(true, Ordering::Relaxed);
        while let Some(ended) = self.visitors.join_next().await {
            ended.unwrap();
        }
        self.met()
    }
}

/// One visitor after the other, until it is over.
async fn visit(shared: Arc<Shared>, number: usize) {
    let mut count = 0_usize;
    while !shared.is_over.load(Ordering::Relaxed) {
        let mut session = (None, None);
        for _ in 0..REQUESTS {
            tokio::time::sleep(PACE).await;
            count += 1;
            let done = match (count % 3, pick(&shared, count)) {
                (0, _) | (_, None) => {
                    write(&shared, &mut session, format!("visitor {number}, name {count}")).await
                }
                (_, Some(known)) => read(&shared, &mut session, known).await,
            };
            let mut met = lock(&shared.met);
            met.requests += 1;
            if let Err(failure) = done {
                met.failed.push(failure);
                break;
            }
        }
    }
}

/// A connection, and the pin that it was given.
type Session = (Option<Connection>, Option<String>);

async fn write(shared: &Shared, session: &mut Session, name: String) -> Result<(), String> {
    let (id, version) = ask(shared, session, Request::post("/people", name.clone())).await?;
    lock(&shared.written).push((id, name, version));
    Ok(())
}

async fn read(shared: &Shared, session: &mut Session, known: (String, String, String)) -> Result<(), String> {
    let (id, name, writer) = known;
    let (found, version) = ask(shared, session, Request::get(&format!("/people/{id}"))).await?;
    if found != name {
        return Err(format!("{version} says {found:?} of {name:?}, which {writer} wrote"));
    }
    lock(&shared.met).across += u64::from(version != writer);
    Ok(())
}

/// The text of a good answer, and the version that gave it.
async fn ask(shared: &Shared, session: &mut Session, request: Request) -> Result<(String, String), String> {
    let (connection, pin) = session;
    let request = match pin {
        Some(pin) => request.field("Cookie", pin),
        None => request,
    };
    let asked = async {
        let connection = match connection {
            Some(connection) => connection,
            empty => empty.insert(Connection::try_open(shared.address).await?),
        };
        connection.try_ask(&request).await
    };
    let answer = tokio::time::timeout(LIMIT, asked).await.map_err(|_| "no answer in time".to_owned())?;
    let answer = answer.map_err(|error| format!("no answer: {error}"))?;
    if answer.status() != 200 {
        return Err(format!("{answer:?}"));
    }
    if let Some(cookie) = answer.set_cookie("cutover").and_then(|cookie| cookie.split(';').next()) {
        *pin = Some(cookie.to_owned());
    }
    let version = answer.version().to_owned();
    lock(&shared.met).by[usize::from(version == "v2")] += 1;
    Ok((answer.text(), version))
}

/// Somebody whom somebody wrote, often one of the last.
fn pick(shared: &Shared, count: usize) -> Option<(String, String, String)> {
    let written = lock(&shared.written);
    let back = count.wrapping_mul(7) % if count.is_multiple_of(2) { 8 } else { written.len().max(1) };
    written.iter().rev().nth(back).or(written.last()).cloned()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

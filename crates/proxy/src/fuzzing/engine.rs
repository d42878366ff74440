//! The engine on one connection, without a listener, a thread, or a clock that it waits for.

use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::sync::Arc;

use cutover_core::publish;
use cutover_core::snapshot::Snapshot;
use prometheus::Registry;
use tokio::net::UnixStream;

use crate::client::accept::{Admission, Front};
use crate::client::connection;
use crate::config::{Limits, ListenerConfig};
use crate::io::stream::Stream;
use crate::telemetry::metrics::Metrics;
use crate::upstream::reach::Reach;
use crate::worker::Worker;

/// A worker that serves what it is handed.
pub struct Engine {
    worker: Rc<Worker>,
    fronts: Arc<[Front]>,
}

impl Engine {
    /// A worker that decides by `snapshot`.
    ///
    /// # Errors
    /// What the registry of metrics says.
    pub fn new(snapshot: Snapshot, limits: Limits) -> prometheus::Result<Self> {
        let (_, mut readers) = publish::channel(snapshot, vec![Box::new(|| {})], Box::new(|| {}));
        let metrics = Arc::new(Metrics::new(&Registry::new())?);
        let worker = Worker::new(limits, Reach::default(), readers.remove(0), metrics, None, 1);
        Ok(Self {
            worker: Rc::new(worker),
            fronts: [Front::new(
                ListenerConfig { max_connections: u32::MAX, ..ListenerConfig::default() },
                443,
                None,
            )]
            .into(),
        })
    }

    /// Serves a client until its connection is over. It has to run in a runtime of one thread with all drivers.
    pub fn serve(&self, client: UnixStream) -> impl Future<Output = ()> + use<> {
        let admission = Admission::take(&self.fronts, 0);
        let served = admission.map(|admission| {
            let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
            connection::serve_stream(&self.worker, Stream::Unix(client), peer, admission)
        });
        async move {
            if let Some(served) = served {
                served.await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::Shutdown;

    use cutover_core::policy::Policy;
    use tokio::runtime::{Builder, LocalOptions};

    use super::*;
    use crate::worker::fleet::Fleet;

    #[test]
    fn a_client_is_served_without_a_listener() {
        let runtime =
            Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).unwrap();
        let (mut client, served) = std::os::unix::net::UnixStream::pair().unwrap();
        served.set_nonblocking(true).unwrap();
        client.write_all(b"GET /.cutover/version HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        runtime.block_on(async {
            let engine = Engine::new(Fleet::new(Policy::default()).snapshot, Limits::default()).unwrap();
            engine.serve(UnixStream::from_std(served).unwrap()).await;
        });
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
}

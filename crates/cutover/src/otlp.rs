//! Sends spans to a collector by OTLP over HTTP, off the path of requests: what the collector does not take is counted and forgotten.

use std::time::{Duration, SystemTime};

use cutover_proxy::trace::{Kind, Span, SpanSink, Value, spans};
use http::Uri;
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_http::hyper::HyperClient;
use opentelemetry_otlp::{
    ExporterBuildError, Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use prometheus::IntCounter;
use tokio::sync::mpsc::Receiver;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

#[cfg(test)]
mod tests;

/// Spans in one message: about a mebibyte at most.
const BATCH_MAX: usize = 512;
/// How long a batch that is not full waits for more.
const GATHER: Duration = Duration::from_millis(500);
/// How long a collector may take for a batch.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(10);
/// Time between two complaints about the same trouble.
const COMPLAIN_EVERY: Duration = Duration::from_secs(60);

/// What sends spans. It ends when no worker makes any more.
#[derive(Debug)]
pub(crate) struct Sender(JoinHandle<()>);

/// Starts to send to the collector at `url`, as the node called `node`. Spans that it does not get are counted in `dropped`. Must be
/// called on a tokio runtime.
///
/// # Errors
/// The exporter can't be made, such as for a variable of its environment that makes no sense.
pub(crate) fn start(
    url: &Uri,
    node: &str,
    dropped: IntCounter,
) -> Result<(SpanSink, Sender), ExporterBuildError> {
    let mut exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(HyperClient::with_default_connector(EXPORT_TIMEOUT, None))
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(format!("{}/v1/traces", url.to_string().trim_end_matches('/')))
        .with_timeout(EXPORT_TIMEOUT)
        .build()?;
    let attributes = [
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("service.instance.id", node.to_owned()),
    ];
    let resource = Resource::builder_empty().with_service_name("cutover").with_attributes(attributes).build();
    exporter.set_resource(&resource);
    let (sink, waiting) = spans(dropped.clone());
    Ok((sink, Sender(tokio::spawn(send(exporter, waiting, dropped)))))
}

impl Sender {
    /// Waits until the last spans are sent, for `limit` at most. Called when no worker runs any more.
    pub(crate) async fn finish(self, limit: Duration) {
        if timeout(limit, self.0).await.is_err() {
            tracing::warn!("the last spans could not be sent");
        }
    }
}

async fn send(exporter: SpanExporter, mut waiting: Receiver<Span>, dropped: IntCounter) {
    let scope = InstrumentationScope::builder("cutover").with_version(env!("CARGO_PKG_VERSION")).build();
    let mut batch = Vec::with_capacity(BATCH_MAX);
    let mut complained_at: Option<Instant> = None;
    while waiting.recv_many(&mut batch, BATCH_MAX).await > 0 {
        if batch.len() < BATCH_MAX && !waiting.is_closed() {
            sleep(GATHER).await;
            while batch.len() < BATCH_MAX
                && let Ok(span) = waiting.try_recv()
            {
                batch.push(span);
            }
        }
        let count = batch.len() as u64;
        let spans = batch.drain(..).map(|span| data(span, &scope)).collect();
        if let Err(error) = exporter.export(spans).await {
            dropped.inc_by(count);
            if complained_at.is_none_or(|at| at.elapsed() >= COMPLAIN_EVERY) {
                tracing::warn!(%error, spans = count, "the collector of traces does not take them");
                complained_at = Some(Instant::now());
            }
        }
    }
}

/// A span in the words of the exporter.
fn data(span: Span, scope: &InstrumentationScope) -> SpanData {
    let trace = TraceId::from_bytes(span.trace.to_be_bytes());
    let id = |id: u64| SpanId::from_bytes(id.to_be_bytes());
    SpanData {
        span_context: SpanContext::new(trace, id(span.id), TraceFlags::SAMPLED, false, TraceState::NONE),
        parent_span_id: span.parent.map_or(SpanId::INVALID, |parent| id(parent.id)),
        parent_span_is_remote: span.parent.is_some_and(|parent| parent.is_remote),
        span_kind: match span.kind {
            Kind::Server => SpanKind::Server,
            Kind::Client => SpanKind::Client,
        },
        name: span.name.into(),
        start_time: span.began,
        end_time: SystemTime::max(span.ended, span.began),
        attributes: span.attributes.into_iter().map(|(name, value)| attribute(name, value)).collect(),
        dropped_attributes_count: 0,
        events: Default::default(),
        links: Default::default(),
        // What went wrong is in its attributes.
        status: if span.is_failed { Status::error("") } else { Status::Unset },
        instrumentation_scope: scope.clone(),
    }
}

fn attribute(name: &'static str, value: Value) -> KeyValue {
    match value {
        Value::Text(text) => KeyValue::new(name, text),
        Value::Number(number) => KeyValue::new(name, number),
    }
}

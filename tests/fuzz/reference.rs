//! What hyper understands: its server of a stream of requests, its client of an answer.

use std::cell::RefCell;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;

use crate::message::{Answer, Fields, Message};

/// The requests in `input`, as far as they are whole.
pub fn requests(input: &[u8]) -> Vec<Message> {
    let got = Rc::new(RefCell::new(Vec::new()));
    let service = service_fn(|request| take(Rc::clone(&got), request));
    let stream = Stream { input: input.to_vec(), at: 0, is_open: true };
    let mut serving = pin!(http1::Builder::new().half_close(true).serve_connection(stream, service));
    let mut cx = Context::from_waker(Waker::noop());
    // Nothing that it waits for is ever late, so it yields at most to itself.
    let is_over = (0..10_000).any(|_| serving.as_mut().poll(&mut cx).is_ready());
    assert!(is_over, "hyper does not end");
    got.take()
}

/// The answer in `input` to a request without a body, if it is whole.
pub fn answer(method: &str, input: &[u8]) -> Option<Answer> {
    // Nothing comes before it is asked for.
    let stream = Stream { input: input.to_vec(), at: 0, is_open: false };
    let mut asking = pin!(async {
        let (mut sender, connection) = client::conn::http1::handshake(stream).await.ok()?;
        let request = Request::builder().method(method).uri("/").header("host", "a");
        let request = request.body(Empty::<Bytes>::new()).ok()?;
        let asked = async {
            let (head, body) = sender.send_request(request).await.ok()?.into_parts();
            Some((head, body.collect().await.ok()?))
        };
        let mut connection = pin!(connection);
        let mut asked = pin!(asked);
        std::future::poll_fn(|cx| {
            _ = connection.as_mut().poll(cx);
            asked.as_mut().poll(cx)
        })
        .await
    });
    let mut cx = Context::from_waker(Waker::noop());
    let polled = (0..10_000).find_map(|_| match asking.as_mut().poll(&mut cx) {
        Poll::Ready(answer) => Some(answer),
        Poll::Pending => None,
    });
    let Some(answer) = polled else { panic!("hyper does not end") };
    let (head, body) = answer?;
    let trailers = body.trailers().map(fields).unwrap_or_default();
    let (fields, body) = (fields(&head.headers), body.to_bytes().to_vec());
    let message = Message { fields, body, trailers, ..Message::default() };
    Some(Answer { status: head.status.as_u16(), message, is_whole: true })
}

async fn take(
    got: Rc<RefCell<Vec<Message>>>,
    request: Request<Incoming>,
) -> Result<Response<Empty<Bytes>>, hyper::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?;
    let trailers = body.trailers().map(fields).unwrap_or_default();
    let target = head.uri.path_and_query().map_or_else(|| head.uri.to_string(), ToString::to_string);
    got.borrow_mut().push(Message {
        method: head.method.to_string(),
        target,
        authority: head.uri.authority().map(ToString::to_string),
        fields: fields(&head.headers),
        body: body.to_bytes().to_vec(),
        trailers,
    });
    Ok(Response::new(Empty::new()))
}

fn fields(map: &HeaderMap) -> Fields {
    map.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect()
}

/// The input, then its end. What is written is nobody's business.
struct Stream {
    input: Vec<u8>,
    at: usize,
    /// Whether it can be read: from the first write on at the latest.
    is_open: bool,
}

impl Read for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut to: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.is_open {
            return Poll::Pending;
        }
        let count = to.remaining().min(self.input.len() - self.at);
        to.put_slice(&self.input[self.at..][..count]);
        self.at += count;
        Poll::Ready(Ok(()))
    }
}

impl Write for Stream {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.is_open = true;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

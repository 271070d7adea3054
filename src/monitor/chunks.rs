//! Response bodies that are produced while they are sent.

use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::Response;
use hyper::body::Frame;
use hyper::header::{self, HeaderValue};
use tokio::sync::mpsc;

use super::response::Body;

type BoxError = Box<dyn Error + Send + Sync>;

/// Receives the chunks, or the error that ends them.
pub type ChunkReceiver = mpsc::Receiver<Result<Bytes, BoxError>>;

/// Sends the chunks of one stream.
pub struct ChunkSender(mpsc::Sender<Result<Bytes, BoxError>>);

/// Returns both ends of a stream. At most one chunk waits, so a slow reader slows down the sender.
pub fn chunk_channel() -> (ChunkSender, ChunkReceiver) {
    let (sender, receiver) = mpsc::channel(1);
    (ChunkSender(sender), receiver)
}

impl ChunkSender {
    /// Sends a chunk once the one before was received. Returns `false` if nobody reads any more.
    pub async fn send(&self, chunk: impl Into<Bytes>) -> bool {
        self.0.send(Ok(chunk.into())).await.is_ok()
    }

    /// Ends the stream with an error. A response is cut then, so that nobody takes it for complete.
    pub async fn fail(&self, error: impl Into<BoxError>) {
        // The reader may have gone.
        let _ = self.0.send(Err(error.into())).await;
    }
}

/// Returns a response whose body `produce` sends. The producer is dropped with the response, so it
/// never outlives its client.
pub(super) fn streamed<F>(
    media: &'static str,
    produce: impl FnOnce(ChunkSender) -> F,
) -> Response<Body>
where
    F: Future<Output = ()> + Send + 'static,
{
    let (sender, receiver) = chunk_channel();
    let body = StreamedBody { producer: Some(Box::pin(produce(sender))), receiver };
    let mut response = Response::new(body.boxed_unsync());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    response
}

struct StreamedBody {
    producer: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    receiver: ChunkReceiver,
}

impl hyper::body::Body for StreamedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Some(producer) = &mut self.producer
            && producer.as_mut().poll(context).is_ready()
        {
            self.producer = None;
        }
        self.receiver.poll_recv(context).map(|chunk| chunk.map(|chunk| chunk.map(Frame::data)))
    }
}

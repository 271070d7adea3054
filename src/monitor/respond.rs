//! Responses: their bodies, and the headers that all of them carry.

use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Frame;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use tokio::sync::{Semaphore, mpsc};

/// What is sent: a page as a whole, or a stream.
pub type Body = UnsyncBoxBody<Bytes, Box<dyn Error + Send + Sync>>;

/// Media type of pages.
pub const HTML: &str = "text/html; charset=utf-8";
/// Media type of JSON.
pub const JSON: &str = "application/json";
/// Media type of text.
pub const TEXT: &str = "text/plain; charset=utf-8";

/// Time for reading a directory, or a piece of a file.
pub const DISK_WITHIN: Duration = Duration::from_secs(10);
/// What is read from the disk at a time.
const READS: usize = 2;

/// On every response of the monitor, whatever it is. The pages need nothing from anywhere else, so they may not ask.
const PROTECTION: [(HeaderName, &str); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Why a request gets no page.
#[derive(Debug, Clone)]
pub struct Problem {
    /// Its kind.
    pub status: StatusCode,
    /// In words, for whoever asked.
    pub text: String,
    /// A header that belongs to it, `Allow` for 405.
    pub header: Option<(HeaderName, HeaderValue)>,
}

/// A response, or why there is none.
pub type Answer = Result<Response<Body>, Problem>;

impl Problem {
    /// Without a header.
    pub fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self { status, text: text.into(), header: None }
    }

    /// There is no such page or file.
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "There is nothing at this address.")
    }

    /// What should have worked did not.
    pub fn internal(error: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
    }
}

/// Does on another thread what may wait for a disk. A disk that does not answer in time is a problem of its own. Whoever goes away
/// before it is their turn leaves nothing to be done: otherwise requests that nobody waits for would pile up.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    static TURNS: Semaphore = Semaphore::const_new(READS);
    let done = async {
        let turn = TURNS.acquire().await.map_err(Problem::internal)?;
        let work = move || {
            let _turn = turn;
            work()
        };
        tokio::task::spawn_blocking(work).await.map_err(Problem::internal)
    };
    let late = |_| Problem::new(StatusCode::SERVICE_UNAVAILABLE, "The disk does not answer.");
    tokio::time::timeout(DISK_WITHIN, done).await.map_err(late)?
}

/// A response whose body is known as a whole.
pub fn whole(status: StatusCode, media: &'static str, body: impl Into<Bytes>) -> Response<Body> {
    let body = body.into();
    let length = body.len();
    let mut response =
        Response::new(Full::new(body).map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
    response
}

/// A value as JSON, indented for people. What cannot be written as JSON is a fault of ours, and answered with 500.
pub fn json(status: StatusCode, value: &impl serde::Serialize) -> Response<Body> {
    match serde_json::to_vec_pretty(value) {
        Ok(mut text) => {
            text.push(b'\n');
            whole(status, JSON, text)
        }
        Err(error) => whole(StatusCode::INTERNAL_SERVER_ERROR, TEXT, format!("{error}\n")),
    }
}

/// A response whose body is made while it is sent: `produce` is given the end to write to, and the body ends with it. Dropped
/// with the response, so that it never outlives its client.
pub fn streamed<F>(media: &'static str, produce: impl FnOnce(Pieces) -> F) -> Response<Body>
where
    F: Future<Output = ()> + Send + 'static,
{
    let (pieces, receiver) = Pieces::new();
    let body = Produced { producer: Some(Box::pin(produce(pieces))), receiver };
    let mut response = Response::new(body.boxed_unsync());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    response
}

/// The end of a stream that is read from: pieces, or what went wrong at last.
pub type Received = mpsc::Receiver<Result<Bytes, Box<dyn Error + Send + Sync>>>;

/// The end of a stream that is written to.
pub struct Pieces(mpsc::Sender<Result<Bytes, Box<dyn Error + Send + Sync>>>);

impl Pieces {
    /// Both ends. One piece waits at most: who reads slowly slows down who writes.
    pub fn new() -> (Self, Received) {
        let (sender, receiver) = mpsc::channel(1);
        (Self(sender), receiver)
    }

    /// Sends a piece, waiting until the one before is on its way. False: nobody reads any more.
    pub async fn send(&self, piece: impl Into<Bytes>) -> bool {
        self.0.send(Ok(piece.into())).await.is_ok()
    }

    /// Cuts the connection, so that nobody takes what was sent for the whole.
    pub async fn fail(&self, error: impl Into<Box<dyn Error + Send + Sync>>) {
        // Nobody left to be told is told enough.
        let _ = self.0.send(Err(error.into())).await;
    }
}

struct Produced {
    producer: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    receiver: Received,
}

impl hyper::body::Body for Produced {
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Some(producer) = &mut self.producer
            && producer.as_mut().poll(context).is_ready()
        {
            self.producer = None;
        }
        self.receiver.poll_recv(context).map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}

/// Adds what every response carries. What changes may not be kept by anybody, unless the response says otherwise.
pub fn protect(response: &mut Response<Body>) {
    let headers = response.headers_mut();
    for (name, value) in PROTECTION {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}

/// The response to HEAD that GET would have had: without its body, with its length where it is known.
pub fn without_body(response: Response<Body>) -> Response<Body> {
    response.map(|_| Full::default().map_err(|never| match never {}).boxed_unsync())
}

/// Whether the client would rather have JSON than a page.
pub fn wants_json(headers: &HeaderMap) -> bool {
    prefers(headers, "application/json", "text/html")
}

/// Whether the client named `one` media type, and would rather have it than the `other`.
pub fn prefers(headers: &HeaderMap, one: &str, other: &str) -> bool {
    let quality = |wanted: &str| {
        let accepted =
            headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let ranges = accepted.flat_map(|value| value.split(','));
        ranges.filter_map(|range| weight(range, wanted)).fold(0.0, f32::max)
    };
    quality(one) > quality(other)
}

/// The weight that one media range of an `Accept` header gives to exactly `wanted`.
fn weight(range: &str, wanted: &str) -> Option<f32> {
    let mut parts = range.split(';').map(str::trim);
    let name = parts.next()?;
    if !name.eq_ignore_ascii_case(wanted) {
        return None;
    }
    let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
    Some(weight.map_or(1.0, |weight| weight.parse().unwrap_or(0.0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::tests::on_a_runtime;
    use std::sync::Arc;
    use std::sync::Mutex;
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering;

    #[test]
    fn json_is_for_who_prefers_it() {
        let cases = [
            ("application/json", true),
            ("application/json, text/plain, */*", true),
            ("text/html;q=0.5, Application/JSON;q=0.9", true),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", false),
            ("text/html, application/json", false),
            ("*/*", false),
            ("application/json;q=0", false),
            ("application/json;q=nonsense", false),
            ("", false),
        ];
        for (accept, wanted) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().unwrap());
            assert_eq!(wants_json(&headers), wanted, "{accept}");
        }
        assert!(!wants_json(&HeaderMap::new()));
    }

    #[test]
    fn whoever_goes_away_before_their_turn_leaves_nothing_to_be_done() {
        static STARTED: AtomicUsize = AtomicUsize::new(0);
        static DONE: AtomicUsize = AtomicUsize::new(0);
        on_a_runtime(async {
            let (hold, held) = std::sync::mpsc::channel::<()>();
            let held = Arc::new(Mutex::new(held));
            let busy = (0..READS).map(|_| {
                let held = held.clone();
                tokio::spawn(blocking(move || {
                    STARTED.fetch_add(1, Ordering::SeqCst);
                    held.lock().unwrap().recv()
                }))
            });
            let busy: Vec<_> = busy.collect();
            while STARTED.load(Ordering::SeqCst) < READS {
                tokio::task::yield_now().await;
            }
            for _ in 0..50 {
                let gone = tokio::spawn(blocking(|| DONE.fetch_add(1, Ordering::SeqCst)));
                tokio::task::yield_now().await;
                gone.abort();
                assert!(gone.await.is_err());
            }
            drop(hold);
            for one in busy {
                assert!(one.await.unwrap().is_ok());
            }
            assert!(blocking(|| ()).await.is_ok());
            assert_eq!(DONE.load(Ordering::SeqCst), 0);
        });
    }
}

//! Accepts the monitor's connections and keeps their limits: how many, how long a request may take to come, how long a
//! response may be stuck. Who comes when there are as many as may be takes the place of whoever has been idle for longest.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::{Body as _, Frame, Incoming, SizeHint};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio_io_timeout::TimeoutStream;

use crate::connection_limit::{ConnectionLimit, Permit};
use crate::monitor::Backend;
use crate::monitor::respond::{Body, TEXT, whole};
use crate::monitor::router::Router;

/// Size of a request's line and headers together, and how many headers.
const HEAD_SIZE: usize = 16 * 1024;
const HEADERS: usize = 64;
/// Size of a request's body, and the time for it.
const BODY_SIZE: usize = 64 * 1024;
const BODY_WITHIN: Duration = Duration::from_secs(10);
/// Pause after a failed accept, which mostly means that descriptors have run out.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);
/// A client that vanished without a word is noticed after about two minutes, also on a stream that is merely quiet.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(60);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(15);

/// What clients may take of the monitor.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at a time; a further one takes the place of an idle one.
    pub connections: usize,
    /// Time for a request's head, from the end of the response before it on.
    pub head_within: Duration,
    /// A response that cannot go on for this long is given up.
    pub stuck_within: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let ten = Duration::from_secs(10);
        Self { connections: 128, head_within: ten, stuck_within: ten }
    }
}

/// A listening socket.
#[derive(Debug)]
pub enum Accepting {
    /// A TCP port.
    Tcp(TcpListener),
    /// A unix socket.
    Unix(UnixListener),
}

/// The client of a request: its address, or `None` on a unix socket.
pub type Remote = Option<IpAddr>;

/// Who is asked before the pages: the health check, the user's own monitor app.
pub trait Before: Send + Sync + 'static {
    /// Breaks with the response, or goes on to the pages with the request, whose body may be read by then. Is asked before
    /// the request's `Host` is looked at, and its response is sent as it is; see [`Router::knows_host`] and [`body`].
    fn answer(
        &self,
        request: Request<Incoming>,
        remote: Remote,
    ) -> impl Future<Output = ControlFlow<Response<Body>, Request<Incoming>>> + Send;
}

/// Nobody is asked.
impl Before for () {
    async fn answer(
        &self,
        request: Request<Incoming>,
        _remote: Remote,
    ) -> ControlFlow<Response<Body>, Request<Incoming>> {
        ControlFlow::Continue(request)
    }
}

enum Stream {
    Tcp(TcpStream, Remote),
    Unix(UnixStream),
}

impl Accepting {
    async fn accept(&self) -> io::Result<Stream> {
        match self {
            Self::Tcp(listener) => {
                let (stream, remote) = listener.accept().await?;
                // A response goes out in few writes, and none should wait for the acknowledgement of another. A socket that
                // refuses an option is as good.
                let _ = stream.set_nodelay(true);
                let keepalive =
                    TcpKeepalive::new().with_time(KEEPALIVE_AFTER).with_interval(KEEPALIVE_EVERY);
                let _ = SockRef::from(&stream).set_tcp_keepalive(&keepalive.with_retries(4));
                Ok(Stream::Tcp(stream, Some(remote.ip().to_canonical())))
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok(Stream::Unix(stream))
            }
        }
    }
}

/// Accepts and answers until it is dropped, and with it every connection. Nothing that a client does ends it. One for each
/// router, since it takes the router's samples too.
pub async fn serve<B: Backend>(
    listener: Accepting,
    router: Arc<Router<B>>,
    before: Arc<impl Before>,
) {
    serve_within(Limits::default(), listener, router, before).await;
}

/// As [`serve`], within other limits.
pub async fn serve_within<B: Backend>(
    limits: Limits,
    listener: Accepting,
    router: Arc<Router<B>>,
    before: Arc<impl Before>,
) {
    let accepting = accept(limits, listener, router.clone(), before);
    tokio::join!(router.watch(), accepting);
}

async fn accept<B: Backend>(
    limits: Limits,
    listener: Accepting,
    router: Arc<Router<B>>,
    before: Arc<impl Before>,
) {
    let limit = ConnectionLimit::new(limits.connections);
    let mut connections = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok(stream) => {
                let permit = limit.acquire().await;
                while connections.try_join_next().is_some() {}
                let answers = Answers {
                    router: router.clone(),
                    before: before.clone(),
                    permit: Arc::new(permit),
                };
                connections.spawn(async move {
                    match stream {
                        Stream::Tcp(stream, remote) => {
                            attend(limits, stream, remote, answers).await
                        }
                        Stream::Unix(stream) => attend(limits, stream, None, answers).await,
                    }
                });
            }
            Err(error) => {
                tracing::debug!(%error, "the monitor cannot accept");
                tokio::time::sleep(ACCEPT_AGAIN).await;
            }
        }
        // Whoever has already asked is busy before the next one needs a place.
        tokio::task::yield_now().await;
    }
}

/// What answers the requests of one client.
struct Answers<B, F> {
    router: Arc<Router<B>>,
    before: Arc<F>,
    permit: Arc<Permit>,
}

impl<B: Backend, F: Before> Answers<B, F> {
    /// The client is busy until the response has been taken to its end.
    async fn answer(&self, request: Request<Incoming>, remote: Remote) -> Response<Body> {
        let busy = self.permit.begin_request();
        if request.body().size_hint().lower() > BODY_SIZE as u64 {
            return too_large();
        }
        let response = match self.before.answer(request, remote).await {
            ControlFlow::Break(response) => response,
            ControlFlow::Continue(request) => self.router.answer(request).await,
        };
        response.map(|body| Held { body, _kept: busy }.boxed_unsync())
    }
}

/// A body, and what is kept until it is dropped.
struct Held<T> {
    body: Body,
    _kept: T,
}

impl<T: Unpin> hyper::body::Body for Held<T> {
    type Data = <Body as hyper::body::Body>::Data;
    type Error = <Body as hyper::body::Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Answers the requests of one client until it, a limit, or somebody who needs the place ends the connection.
async fn attend<B: Backend, F: Before, S>(
    limits: Limits,
    stream: S,
    remote: Remote,
    answers: Answers<B, F>,
) where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let mut stream = Box::pin(TimeoutStream::new(stream));
    stream.as_mut().set_write_timeout_pinned(Some(limits.stuck_within));
    let service = hyper::service::service_fn(|request: Request<Incoming>| {
        let answers = &answers;
        async move { Ok::<_, Infallible>(answers.answer(request, remote).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_within)
        .max_buf_size(HEAD_SIZE)
        .max_headers(HEADERS)
        .serve_connection(TokioIo::new(stream), service);
    let ended = tokio::select! {
        biased;
        ended = connection => ended,
        () = answers.permit.evicted() => return tracing::debug!("an idle connection of the monitor goes for another one"),
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection of the monitor ended");
    }
}

/// The body of a request as a whole, within the monitor's limits; otherwise the response that says which was broken.
pub async fn body(request: Request<Incoming>) -> Result<Bytes, Response<Body>> {
    let body = Limited::new(request.into_body(), BODY_SIZE).collect();
    match tokio::time::timeout(BODY_WITHIN, body).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => {
            Err(whole(StatusCode::BAD_REQUEST, TEXT, "the body did not come as a whole\n"))
        }
        Err(_) => Err(whole(StatusCode::REQUEST_TIMEOUT, TEXT, "the body did not come in time\n")),
    }
}

fn too_large() -> Response<Body> {
    whole(StatusCode::PAYLOAD_TOO_LARGE, TEXT, format!("a body may have {BODY_SIZE} bytes\n"))
}

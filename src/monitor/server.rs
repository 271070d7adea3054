//! Accepts connections and answers their requests, within limits: how many connections, how long a
//! request may take to arrive, how long a response may be stuck.

use std::convert::Infallible;
use std::future::Future;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::{Body as _, Frame, Incoming, SizeHint};
use hyper::header::{self, HeaderValue};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;
use tokio_io_timeout::TimeoutStream;

use super::listener::{Acceptor, ClientIp, ClientStream};
use super::response::{Body, TEXT, whole};
use super::router::{Router, StatusSource};
use crate::connection_limit::{ConnectionLimit, Permit};

/// The size of a request's line and headers together, and the number of headers.
const MAX_HEAD: usize = 16 * 1024;
const MAX_HEADERS: usize = 64;
/// The announced size of a request's body.
const MAX_BODY: usize = 64 * 1024;
/// Pause after a failed accept, which mostly means that descriptors have run out.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Connections at a time. A further one takes the place of the longest idle one.
    pub(super) connections: usize,
    /// Time for a request's head, from the end of the response before it.
    pub(super) head_within: Duration,
    /// A connection whose client reads nothing for this long is closed.
    pub(super) write_within: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let ten = Duration::from_secs(10);
        Self { connections: 128, head_within: ten, write_within: ten }
    }
}

/// Sees each request before the pages.
pub(super) trait RequestFilter: Send + Sync + 'static {
    /// Breaks with a response, which is sent as it is, or leaves the request to the pages. The
    /// request's `Host` was not checked yet; see [`Router::knows_host`].
    fn filter(
        &self,
        request: Request<Incoming>,
        client: ClientIp,
    ) -> impl Future<Output = ControlFlow<Response<Body>, Request<Incoming>>> + Send;
}

/// Serves until it is dropped, and with it every connection; or until the router was closed and the
/// last connection has ended. No client can end it. Call it once for a router, since it also takes
/// the router's samples.
pub(super) async fn serve<C: StatusSource>(
    acceptor: Acceptor,
    router: Arc<Router<C>>,
    filter: Arc<impl RequestFilter>,
) {
    serve_within(Limits::default(), acceptor, router, filter).await;
}

pub(super) async fn serve_within<C: StatusSource>(
    limits: Limits,
    acceptor: Acceptor,
    router: Arc<Router<C>>,
    filter: Arc<impl RequestFilter>,
) {
    let accepting = accept(limits, acceptor, router.clone(), filter);
    tokio::select! {
        () = router.watch() => {}
        () = accepting => {}
    }
}

async fn accept<C: StatusSource>(
    limits: Limits,
    acceptor: Acceptor,
    router: Arc<Router<C>>,
    filter: Arc<impl RequestFilter>,
) {
    let limit = ConnectionLimit::new(limits.connections);
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = acceptor.accept() => accepted,
            () = router.closed() => break,
        };
        match accepted {
            Ok(stream) => {
                let permit = limit.acquire().await;
                while connections.try_join_next().is_some() {}
                let (router, filter) = (router.clone(), filter.clone());
                let connection = Connection { router, filter, permit };
                connections.spawn(async move {
                    match stream {
                        ClientStream::Tcp(stream, client) => {
                            connection.serve(limits, stream, client).await;
                        }
                        ClientStream::Unix(stream) => connection.serve(limits, stream, None).await,
                    }
                });
            }
            Err(error) => {
                tracing::debug!(%error, "the monitor cannot accept");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
        // A client whose request has arrived becomes busy before the next one needs a permit.
        tokio::task::yield_now().await;
    }
    drop(acceptor);
    while connections.join_next().await.is_some() {}
}

struct Connection<C, F> {
    router: Arc<Router<C>>,
    filter: Arc<F>,
    permit: Permit,
}

impl<C: StatusSource, F: RequestFilter> Connection<C, F> {
    /// Answers requests until the client, a limit or an eviction ends the connection.
    async fn serve<S>(self, limits: Limits, stream: S, client: ClientIp)
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let mut stream = Box::pin(TimeoutStream::new(stream));
        stream.as_mut().set_write_timeout_pinned(Some(limits.write_within));
        let service = hyper::service::service_fn(|request: Request<Incoming>| {
            let connection = &self;
            async move { Ok::<_, Infallible>(connection.answer(request, client).await) }
        });
        let served = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.head_within)
            .max_buf_size(MAX_HEAD)
            .max_headers(MAX_HEADERS)
            .serve_connection(TokioIo::new(stream), service);
        let ended = tokio::select! {
            biased;
            ended = served => ended,
            () = self.permit.evicted() => {
                return tracing::debug!("an idle connection of the monitor goes for another one");
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection of the monitor ended");
        }
    }

    /// Keeps the connection busy until the response is sent.
    async fn answer(&self, request: Request<Incoming>, client: ClientIp) -> Response<Body> {
        let guard = self.permit.begin_request();
        if request.body().size_hint().lower() > MAX_BODY as u64 {
            return too_large();
        }
        let mut response = match self.filter.filter(request, client).await {
            ControlFlow::Break(response) => response,
            ControlFlow::Continue(request) => self.router.answer(request).await,
        };
        if self.router.is_closing() {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response.map(|body| GuardedBody { body, _guard: guard }.boxed_unsync())
    }
}

/// A body with a guard that lives as long.
struct GuardedBody<G> {
    body: Body,
    _guard: G,
}

impl<G: Unpin> hyper::body::Body for GuardedBody<G> {
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

fn too_large() -> Response<Body> {
    whole(StatusCode::PAYLOAD_TOO_LARGE, TEXT, format!("a body may have {MAX_BODY} bytes\n"))
}

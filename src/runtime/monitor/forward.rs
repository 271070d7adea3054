//! The user's own monitor app gets requests first; what it does not know (404) falls to the pages.
//!
//! It runs in JavaScript, in the master or the single process. Each request goes to it over a socket pair of its own, whose other end the
//! front hands to the app's server, so that nothing else on the machine can connect there.

use std::os::unix::net::UnixStream as StdUnixStream;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

use super::{FrontDoor, Switching};
use crate::http::monitor::{Body, Remote};

/// What the app does not begin to answer in this time is answered by the pages, or with 504.
const BEGINS_WITHIN: Duration = Duration::from_secs(5);

/// Headers that concern one connection and not the message.
const HOP_BY_HOP: [HeaderName; 6] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

impl<B: Switching> FrontDoor<B> {
    /// The app's answer, or that of the pages.
    pub(super) async fn forward(&self, request: Request<Incoming>, remote: Remote) -> Response<Body> {
        if !self.router.knows_host(request.uri(), request.headers()) {
            return self.pages(request.into_parts().0).await;
        }
        let (head, body) = request.into_parts();
        let pages = head.clone();
        let asked = tokio::time::timeout(BEGINS_WITHIN, self.ask(head, body, remote));
        match asked.await {
            Ok(Ok(response)) if response.status() == StatusCode::NOT_FOUND => {
                let page = self.pages(pages).await;
                if page.status() == StatusCode::NOT_FOUND { response } else { page }
            }
            Ok(Ok(response)) => response,
            other => {
                let reason = other
                    .map_or_else(|_| "it did not answer in time".to_owned(), |failed| failed.err().unwrap_or_default());
                tracing::warn!(reason, "the monitor app does not answer");
                if matches!(pages.method, Method::GET | Method::HEAD) {
                    return self.pages(pages).await;
                }
                let mut response = Response::<Body>::default();
                *response.status_mut() = StatusCode::GATEWAY_TIMEOUT;
                response
            }
        }
    }

    async fn pages(&self, head: Parts) -> Response<Body> {
        self.router.answer(Request::from_parts(head, ())).await
    }

    async fn ask(&self, mut head: Parts, body: Incoming, remote: Remote) -> Result<Response<Body>, String> {
        let (ours, theirs) = StdUnixStream::pair().map_err(|error| error.to_string())?;
        ours.set_nonblocking(true).map_err(|error| error.to_string())?;
        let ours = UnixStream::from_std(ours).map_err(|error| error.to_string())?;
        if !self.parts.front.upgrade().is_some_and(|front| front.connect(theirs.into())) {
            return Err("the master's script takes nothing".to_owned());
        }
        strip(&mut head.headers);
        if let Some(address) = remote.and_then(|address| HeaderValue::from_str(&address.to_string()).ok()) {
            head.headers.insert(HeaderName::from_static("x-forwarded-for"), address);
        }
        let words = |error: hyper::Error| error.to_string();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(ours)).await.map_err(words)?;
        // Ends with the response, or when its client is gone and nobody reads it any more.
        tokio::spawn(connection);
        let response = sender.send_request(Request::from_parts(head, body)).await.map_err(words)?;
        let (mut head, body) = response.into_parts();
        strip(&mut head.headers);
        Ok(Response::from_parts(head, body.map_err(Into::into).boxed_unsync()))
    }
}

fn strip(headers: &mut HeaderMap) {
    HOP_BY_HOP.iter().for_each(|name| drop(headers.remove(name)));
    headers.remove("keep-alive");
}

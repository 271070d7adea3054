//! The user's own monitor app gets requests first; what it does not know (404) falls to the pages.
//!
//! It runs in JavaScript, in the master or the single process. Each request goes to it over a socket pair of its own, whose other end the
//! embedder hands to the app's server, so that nothing else on the machine can connect there.

use std::os::unix::net::UnixStream as StdUnixStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

use crate::monitor::thread::{FrontDoor, Switching};
use crate::monitor::{Body, Remote};

/// What the app does not begin to answer in this time is answered by the pages, or with 504.
const BEGINS_WITHIN: Duration = Duration::from_secs(5);

/// Requests that may wait for JavaScript to take them; each holds a descriptor of the master, whether or not its client still waits.
const UNTAKEN: usize = 16;

/// What is known of the user's own monitor app.
#[derive(Debug, Default)]
pub struct MonitorApp {
    given: AtomicBool,
    untaken: AtomicUsize,
}

impl MonitorApp {
    /// There is one, from now on.
    pub fn give(&self) {
        self.given.store(true, Ordering::Relaxed);
    }

    /// Whether there is one, which may turn out late.
    pub fn is_given(&self) -> bool {
        self.given.load(Ordering::Relaxed)
    }

    /// JavaScript took a request.
    pub fn taken(&self) {
        let less = |untaken: usize| untaken.checked_sub(1);
        let _ = self.untaken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    /// Whether one more may wait; it is counted then.
    fn may_wait(&self) -> bool {
        let more = |untaken: usize| (untaken < UNTAKEN).then_some(untaken + 1);
        self.untaken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }
}

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
    pub(super) async fn forward(
        &self,
        request: Request<Incoming>,
        remote: Remote,
    ) -> Response<Body> {
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
                let reason = other.map_or_else(
                    |_| "it did not answer in time".to_owned(),
                    |failed| failed.err().unwrap_or_default(),
                );
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

    async fn ask(
        &self,
        mut head: Parts,
        body: Incoming,
        remote: Remote,
    ) -> Result<Response<Body>, String> {
        if !self.parts.app.may_wait() {
            return Err("the script takes nothing: it is busy".to_owned());
        }
        let (ours, theirs) = StdUnixStream::pair()
            .inspect_err(|_| self.parts.app.taken())
            .map_err(|error| error.to_string())?;
        if !self.parts.embedder.upgrade().is_some_and(|embedder| embedder.forward(theirs.into())) {
            self.parts.app.taken();
            return Err("the script takes nothing: it ends".to_owned());
        }
        ours.set_nonblocking(true).map_err(|error| error.to_string())?;
        let ours = UnixStream::from_std(ours).map_err(|error| error.to_string())?;
        strip(&mut head.headers);
        if let Some(address) =
            remote.and_then(|address| HeaderValue::from_str(&address.to_string()).ok())
        {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_script_holds_no_more_descriptors_than_may_wait() {
        let app = MonitorApp::default();
        assert!((0..UNTAKEN).all(|_| app.may_wait()));
        assert!(!app.may_wait());
        app.taken();
        assert!(app.may_wait() && !app.may_wait());
        (0..2 * UNTAKEN).for_each(|_| app.taken());
        assert_eq!(
            (0..2 * UNTAKEN).filter(|_| app.may_wait()).count(),
            UNTAKEN,
            "a call too many frees nothing"
        );
    }
}

//! The user's own monitor app, which runs in JavaScript in the master or in the single process.
//!
//! Each request goes to it over a socket pair. The embedder hands the other end to the app's
//! server, so that nothing else on the machine can connect there.

use std::os::unix::net::UnixStream as StdUnixStream;
use std::sync::Weak;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

use super::listener::ClientIp;
use super::response::Body;
use crate::embedder::Embedder;

/// Limit for the head of the app's response.
const HEAD_WITHIN: Duration = Duration::from_secs(5);
/// Connections that JavaScript has not taken yet. Each holds a descriptor of the master, even if
/// its client has gone.
const MAX_UNTAKEN: usize = 16;

/// Headers of one connection, not of the message.
const HOP_BY_HOP: [HeaderName; 6] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

#[derive(Debug, Default)]
pub(crate) struct UserApp {
    exists: AtomicBool,
    untaken: AtomicUsize,
}

impl UserApp {
    /// From now on the app gets requests.
    pub(crate) fn enable(&self) {
        self.exists.store(true, Ordering::Relaxed);
    }

    pub(super) fn exists(&self) -> bool {
        self.exists.load(Ordering::Relaxed)
    }

    /// JavaScript took a connection.
    pub(crate) fn taken(&self) {
        let less = |untaken: usize| untaken.checked_sub(1);
        let _ = self.untaken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    /// Counts one more untaken connection. Returns `false` if there are too many.
    fn try_add(&self) -> bool {
        let more = |untaken: usize| (untaken < MAX_UNTAKEN).then_some(untaken + 1);
        self.untaken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    /// Returns the app's response. An error is a text for people.
    pub(super) async fn forward(
        &self,
        embedder: &Weak<dyn Embedder>,
        head: Parts,
        body: Incoming,
        client: ClientIp,
    ) -> Result<Response<Body>, String> {
        let exchange = self.exchange(embedder, head, body, client);
        let late = |_| "it did not answer in time".to_owned();
        tokio::time::timeout(HEAD_WITHIN, exchange).await.map_err(late)?
    }

    async fn exchange(
        &self,
        embedder: &Weak<dyn Embedder>,
        mut head: Parts,
        body: Incoming,
        client: ClientIp,
    ) -> Result<Response<Body>, String> {
        let stream = self.connect(embedder)?;
        remove_hop_by_hop(&mut head.headers);
        if let Some(address) =
            client.and_then(|address| HeaderValue::from_str(&address.to_string()).ok())
        {
            head.headers.insert(HeaderName::from_static("x-forwarded-for"), address);
        }
        let text = |error: hyper::Error| error.to_string();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(text)?;
        // Ends with the response, or when the client has gone and nobody reads it.
        tokio::spawn(connection);
        let response = sender.send_request(Request::from_parts(head, body)).await.map_err(text)?;
        let (mut head, body) = response.into_parts();
        remove_hop_by_hop(&mut head.headers);
        Ok(Response::from_parts(head, body.map_err(Into::into).boxed_unsync()))
    }

    fn connect(&self, embedder: &Weak<dyn Embedder>) -> Result<UnixStream, String> {
        if !self.try_add() {
            return Err("the script takes nothing: it is busy".to_owned());
        }
        let text = |error: std::io::Error| error.to_string();
        let (ours, theirs) = StdUnixStream::pair().inspect_err(|_| self.taken()).map_err(text)?;
        if !embedder.upgrade().is_some_and(|embedder| embedder.forward(theirs.into())) {
            self.taken();
            return Err("the script takes nothing: it ends".to_owned());
        }
        ours.set_nonblocking(true).map_err(text)?;
        UnixStream::from_std(ours).map_err(text)
    }
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    HOP_BY_HOP.iter().for_each(|name| drop(headers.remove(name)));
    headers.remove("keep-alive");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_script_limits_the_descriptors_held_for_it() {
        let app = UserApp::default();
        assert!((0..MAX_UNTAKEN).all(|_| app.try_add()));
        assert!(!app.try_add());
        app.taken();
        assert!(app.try_add() && !app.try_add());
        (0..2 * MAX_UNTAKEN).for_each(|_| app.taken());
        assert_eq!(
            (0..2 * MAX_UNTAKEN).filter(|_| app.try_add()).count(),
            MAX_UNTAKEN,
            "a call too many frees nothing"
        );
    }
}

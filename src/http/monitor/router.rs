//! Which path shows what, and to whom.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::http::request::Parts;
use hyper::http::uri::Authority;
use hyper::{Method, Request, Response, StatusCode, Uri};

use super::respond::{self, Body, TEXT, whole};
use super::{Backend, Settings};
use crate::error::{ClusterError, Result};
use crate::ipc::status::Status;

/// A cluster that does not say how it is within this time is not shown.
const STATUS_WITHIN: Duration = Duration::from_secs(5);

/// The monitor's pages.
pub struct Router<B> {
    settings: Settings,
    /// Before every path: `settings.path` without a slash at its end, so empty for `/`.
    prefix: String,
    backend: Arc<B>,
}

impl<B: Backend> Router<B> {
    /// Pages about `backend`.
    pub fn new(settings: Settings, backend: Arc<B>) -> Arc<Self> {
        let prefix = settings.path.trim_end_matches('/').to_owned();
        Arc::new(Self { settings, prefix, backend })
    }

    /// Whether the request's `Host` is one that this monitor is known by.
    pub fn knows_host(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        self.settings.hosts.is_empty() || is_known(&self.settings.hosts, uri, headers)
    }

    /// Answers a request; never fails. The body is not read.
    pub async fn answer<T>(&self, request: Request<T>) -> Response<Body> {
        let (request, body) = request.into_parts();
        drop(body);
        let mut response = self.find(&request).await;
        respond::protect(&mut response);
        if request.method == Method::HEAD { respond::without_body(response) } else { response }
    }

    async fn find(&self, request: &Parts) -> Response<Body> {
        if !self.knows_host(&request.uri, &request.headers) {
            return whole(StatusCode::MISDIRECTED_REQUEST, TEXT, "this monitor has another name\n");
        }
        let Some(path) = request.uri.path().strip_prefix(self.prefix.as_str()) else { return not_found() };
        if !matches!(request.method, Method::GET | Method::HEAD) {
            let mut response = whole(StatusCode::METHOD_NOT_ALLOWED, TEXT, "GET or HEAD\n");
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        match path {
            "" | "/" | "/status.json" => match self.status().await {
                Ok(status) => respond::json(StatusCode::OK, &status),
                Err(error) => whole(StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("{error}\n")),
            },
            _ => not_found(),
        }
    }

    async fn status(&self) -> Result<Status> {
        let late = |_| ClusterError::WrongState { command: "show the cluster", state: "too busy to answer" };
        tokio::time::timeout(STATUS_WITHIN, self.backend.status()).await.map_err(late)?
    }
}

fn not_found() -> Response<Body> {
    whole(StatusCode::NOT_FOUND, TEXT, "there is no such page\n")
}

/// Whether `Host`, and the target where it names a host too, are among `hosts`.
fn is_known(hosts: &[String], uri: &Uri, headers: &HeaderMap) -> bool {
    let mut named = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (named.next(), named.next()) else { return false };
    let Ok(host) = Authority::try_from(host.as_bytes()) else { return false };
    [Some(&host), uri.authority()].into_iter().flatten().all(|authority| {
        let found = authority.host();
        !authority.as_str().contains('@') && hosts.iter().any(|known| is_same(known, found))
    })
}

/// Whether two hosts are the same, whatever the case of their letters and the brackets and spelling of IPv6.
fn is_same(one: &str, other: &str) -> bool {
    let bare = |host: &str| host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    let (one, other) = (bare(one), bare(other));
    match (one.parse::<IpAddr>(), other.parse::<IpAddr>()) {
        (Ok(one), Ok(other)) => one == other,
        _ => one == other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_compared_without_port_case_and_spelling() {
        let hosts = ["localhost", "127.0.0.1", "::1"].map(String::from);
        let known = |target: &str, host: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().unwrap());
            is_known(&hosts, &target.parse().unwrap(), &headers)
        };
        for host in ["localhost", "LOCALHOST:3001", "127.0.0.1:1", "[::1]", "[0:0:0:0:0:0:0:1]:3001"] {
            assert!(known("/", host), "{host}");
        }
        for host in
            ["", "evil.example", "localhost.evil.example", "localhost@evil.example", "a@localhost", "[::2]", "::1 x"]
        {
            assert!(!known("/", host), "{host}");
        }
        assert!(known("http://localhost:3001/", "localhost:3001"));
        assert!(!known("http://evil.example/", "localhost"), "the target counts too");
    }

    #[test]
    fn no_host_and_two_hosts_are_nobody() {
        let hosts = ["localhost".to_owned()];
        let mut headers = HeaderMap::new();
        assert!(!is_known(&hosts, &"/".parse().unwrap(), &headers));
        headers.append(header::HOST, HeaderValue::from_static("localhost"));
        headers.append(header::HOST, HeaderValue::from_static("localhost"));
        assert!(!is_known(&hosts, &"/".parse().unwrap(), &headers));
    }
}

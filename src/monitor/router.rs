//! Which path shows what, and to whom.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::http::request::Parts;
use hyper::http::uri::Authority;
use hyper::{Method, Request, Response, StatusCode, Uri};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::MissedTickBehavior;

use crate::monitor::history::EVERY;
use crate::monitor::live::Live;
use crate::monitor::logs::Wanted;
use crate::monitor::page::{Deps, Frame, Logs, Page};
use crate::monitor::respond::{Answer, Body, Problem, whole};
use crate::monitor::{Backend, Settings, assets, dependencies, logs, metrics, page, respond};
use crate::protocol::status::Status;

/// How many responses may last: live pages and files that are followed.
const STREAMS: usize = 32;
/// A cluster that does not say how it is within this time is not shown.
const STATUS_WITHIN: Duration = Duration::from_secs(5);

/// The monitor's pages.
pub struct Router<B> {
    settings: Settings,
    /// Before every path: `settings.path` without a slash at its end, so empty for `/`.
    prefix: String,
    backend: Arc<B>,
    live: Arc<Live>,
    deps: dependencies::Cache,
    /// Places of responses that last until the client has enough.
    places: Arc<Semaphore>,
}

impl<B: Backend> Router<B> {
    /// Pages about `backend`.
    pub fn new(settings: Settings, backend: Arc<B>) -> Arc<Self> {
        let prefix = settings.path.trim_end_matches('/').to_owned();
        let deps = dependencies::Cache::new(settings.root.clone());
        let (live, places) = (Arc::new(Live::default()), Arc::new(Semaphore::new(STREAMS)));
        Arc::new(Self { settings, prefix, backend, live, deps, places })
    }

    /// Takes the samples of which the first page is made, for ever; `serve` runs it beside the connections.
    pub async fn watch(&self) {
        let mut ticks = tokio::time::interval(EVERY);
        // A machine that slept has nothing to catch up on.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.live.add(self.status().await.ok());
        }
    }

    /// Whether the request's `Host` is one that this monitor is known by.
    pub fn knows_host(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        self.settings.hosts.is_empty() || is_known(&self.settings.hosts, uri, headers)
    }

    /// Answers a request; never fails. The body is not read.
    pub async fn answer<T>(&self, request: Request<T>) -> Response<Body> {
        let (request, body) = request.into_parts();
        drop(body);
        let mut response =
            self.find(&request).await.unwrap_or_else(|problem| self.explain(problem, &request));
        respond::protect(&mut response);
        if request.method == Method::HEAD { respond::without_body(response) } else { response }
    }

    async fn find(&self, request: &Parts) -> Answer {
        if !self.knows_host(&request.uri, &request.headers) {
            return Err(Problem::new(
                StatusCode::MISDIRECTED_REQUEST,
                "This monitor is not known by that name.",
            ));
        }
        let path =
            request.uri.path().strip_prefix(self.prefix.as_str()).ok_or_else(Problem::not_found)?;
        if !matches!(request.method, Method::GET | Method::HEAD) {
            return Err(Problem {
                header: Some((header::ALLOW, HeaderValue::from_static("GET, HEAD"))),
                ..Problem::new(
                    StatusCode::METHOD_NOT_ALLOWED,
                    "Everything here is only for reading.",
                )
            });
        }
        let json = respond::wants_json(&request.headers);
        match path {
            "" | "/" if json => self.json().await,
            "" | "/" => self.page().await,
            "/status.json" => self.json().await,
            "/live" => self.events().await,
            "/metrics" => self.metrics(&request.headers).await,
            "/deps" => self.deps(json).await,
            "/deps.json" => self.deps(true).await,
            "/logs" | "/logs/" => self.logs(json).await,
            _ => match path.strip_prefix("/logs/") {
                Some(name) => self.log(name, request).await,
                None => assets::find(path, &request.headers).ok_or_else(Problem::not_found),
            },
        }
    }

    /// A problem as the client can read it.
    fn explain(&self, problem: Problem, request: &Parts) -> Response<Body> {
        let mut response = if respond::wants_json(&request.headers) {
            respond::json(
                problem.status,
                &serde_json::json!({ "error": { "message": problem.text } }),
            )
        } else {
            page::problem(&self.prefix, &problem)
        };
        response.headers_mut().extend(problem.header);
        response
    }

    async fn status(&self) -> Result<Status, Problem> {
        let unavailable = |text| Problem::new(StatusCode::SERVICE_UNAVAILABLE, text);
        match tokio::time::timeout(STATUS_WITHIN, self.backend.status()).await {
            Ok(status) => status.map_err(|error| unavailable(error.message())),
            Err(_) => Err(unavailable("The cluster does not answer.".to_owned())),
        }
    }

    async fn json(&self) -> Answer {
        let mut response = respond::json(StatusCode::OK, &self.status().await?);
        vary(&mut response);
        Ok(response)
    }

    async fn metrics(&self, headers: &HeaderMap) -> Answer {
        let (media, text) =
            metrics::page(self.status().await?, headers).map_err(Problem::internal)?;
        let mut response = whole(StatusCode::OK, media, text);
        vary(&mut response);
        Ok(response)
    }

    async fn page(&self) -> Answer {
        let live = self.html().await?;
        let mut response =
            page::render(StatusCode::OK, &Page { frame: self.frame("Overview"), live: &live })?;
        vary(&mut response);
        Ok(response)
    }

    /// The live part; just after the start the first sample is not there yet.
    async fn html(&self) -> Result<Arc<str>, Problem> {
        if let Some(html) = self.live.html() {
            return Ok(html);
        }
        self.live.add(Some(self.status().await?));
        self.live.html().ok_or_else(|| Problem::internal("there is nothing to show"))
    }

    async fn events(&self) -> Answer {
        let place = self.place()?;
        self.html().await?;
        Ok(self.live.clone().stream(place))
    }

    async fn deps(&self, json: bool) -> Answer {
        let tree = self.deps.tree().await?;
        let mut response = if json {
            respond::json(StatusCode::OK, &*tree)
        } else {
            page::render(StatusCode::OK, &Deps::new(self.frame("Dependencies"), &tree))?
        };
        vary(&mut response);
        Ok(response)
    }

    async fn logs(&self, json: bool) -> Answer {
        let logs = logs::list(self.settings.logs.clone()).await?;
        let mut response = if json {
            respond::json(StatusCode::OK, &logs)
        } else {
            page::render(StatusCode::OK, &Logs { frame: self.frame("Logs"), logs: &logs })?
        };
        vary(&mut response);
        Ok(response)
    }

    async fn log(&self, name: &str, request: &Parts) -> Answer {
        let wanted = Wanted::parse(request.uri.query().unwrap_or(""))?;
        let place = wanted.follow.then(|| self.place()).transpose()?;
        logs::file(self.settings.logs.clone(), name, wanted, request, place).await
    }

    /// A place for a response that lasts.
    fn place(&self) -> Result<OwnedSemaphorePermit, Problem> {
        self.places.clone().try_acquire_owned().map_err(|_| Problem {
            header: Some((header::RETRY_AFTER, HeaderValue::from_static("10"))),
            ..Problem::new(StatusCode::SERVICE_UNAVAILABLE, "Too many are watching already.")
        })
    }

    fn frame(&self, title: &'static str) -> Frame<'_> {
        Frame { prefix: &self.prefix, title }
    }
}

/// The same address has several forms.
fn vary(response: &mut Response<Body>) {
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept"));
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
        for host in
            ["localhost", "LOCALHOST:3001", "127.0.0.1:1", "[::1]", "[0:0:0:0:0:0:0:1]:3001"]
        {
            assert!(known("/", host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "localhost@evil.example",
            "a@localhost",
            "[::2]",
            "::1 x",
        ] {
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

//! The paths of the monitor, and what each shows. Every page is read-only.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode, Uri};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::MissedTickBehavior;

use super::dependencies::DependencyCache;
use super::history::SAMPLE_EVERY;
use super::hosts::is_known;
use super::live::LiveFeed;
use super::logs::{self, LogQuery};
use super::pages::{self, DependenciesPage, Frame, LogPage, LogsPage, OverviewPage};
use super::response::{self, Body, PageError, PageResult, whole};
use super::{metrics, negotiation};
use crate::error::Result as ClusterResult;
use crate::protocol::status::Status;

/// Long-lived responses at the same time: live pages and followed files.
const MAX_STREAMS: usize = 32;
/// A cluster that does not return its status within this time is not shown.
const STATUS_WITHIN: Duration = Duration::from_secs(5);

/// The cluster that a monitor shows.
pub(crate) trait StatusSource: Send + Sync + 'static {
    /// Returns the present status. Fails only if the cluster has ended.
    fn status(&self) -> impl Future<Output = ClusterResult<Status>> + Send;
}

#[derive(Debug, Clone)]
pub(super) struct Settings {
    /// What people call the cluster.
    pub(super) name: String,
    /// The path of the overview, such as `/`. All other paths are below it.
    pub(super) path: String,
    /// Names and addresses that a `Host` header may have, without port. Empty: any.
    pub(super) hosts: Vec<String>,
    /// The directory whose files `/logs` shows.
    pub(super) logs: PathBuf,
    /// The directory of the app's `package.json`, for `/deps`.
    pub(super) root: PathBuf,
}

pub(super) struct Router<C> {
    settings: Settings,
    /// `settings.path` without a slash at its end, so empty for `/`.
    prefix: String,
    cluster: Arc<C>,
    live: Arc<LiveFeed>,
    dependencies: DependencyCache,
    streams: Arc<Semaphore>,
    /// Another master answers from now on.
    closing: watch::Sender<bool>,
}

impl<C: StatusSource> Router<C> {
    pub(super) fn new(settings: Settings, cluster: Arc<C>) -> Arc<Self> {
        let prefix = settings.path.trim_end_matches('/').to_owned();
        let dependencies = DependencyCache::new(settings.root.clone());
        let streams = Arc::new(Semaphore::new(MAX_STREAMS));
        let (live, closing) = (Arc::default(), watch::Sender::new(false));
        Arc::new(Self { settings, prefix, cluster, live, dependencies, streams, closing })
    }

    /// Has all connections end after their next answer, and no more accepted.
    pub(super) fn close(&self) {
        self.closing.send_replace(true);
    }

    pub(super) fn is_closing(&self) -> bool {
        *self.closing.borrow()
    }

    /// Returns once it is closing.
    pub(super) async fn closed(&self) {
        // The sender is this router's own.
        let _ = self.closing.subscribe().wait_for(|closing| *closing).await;
    }

    /// Takes the samples of the overview, for ever.
    pub(super) async fn watch(&self) {
        let mut ticks = tokio::time::interval(SAMPLE_EVERY);
        // After a sleep of the machine there is nothing to catch up on.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.live.add(self.status().await.ok());
        }
    }

    /// Whether the request's `Host` is a name of this monitor.
    pub(super) fn knows_host(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        self.settings.hosts.is_empty() || is_known(&self.settings.hosts, uri, headers)
    }

    /// Answers a request without reading its body. Never fails.
    pub(super) async fn answer<T>(&self, request: Request<T>) -> Response<Body> {
        let (request, body) = request.into_parts();
        drop(body);
        let mut response =
            self.find(&request).await.unwrap_or_else(|error| self.explain(error, &request));
        response::protect(&mut response);
        if request.method == Method::HEAD { response::without_body(response) } else { response }
    }

    async fn find(&self, request: &Parts) -> PageResult {
        if !self.knows_host(&request.uri, &request.headers) {
            return Err(PageError::new(
                StatusCode::MISDIRECTED_REQUEST,
                "This monitor is not known by that name.",
            ));
        }
        let path = request
            .uri
            .path()
            .strip_prefix(self.prefix.as_str())
            .ok_or_else(PageError::not_found)?;
        if !matches!(request.method, Method::GET | Method::HEAD) {
            return Err(PageError {
                header: Some((header::ALLOW, HeaderValue::from_static("GET, HEAD"))),
                ..PageError::new(
                    StatusCode::METHOD_NOT_ALLOWED,
                    "Everything here is only for reading.",
                )
            });
        }
        let json = negotiation::prefers_json(&request.headers);
        match path {
            "" | "/" if json => self.json().await,
            "" | "/" => self.overview().await,
            "/status.json" => self.json().await,
            "/live" => self.events().await,
            "/metrics" => self.metrics(&request.headers).await,
            "/deps" => self.dependencies(json).await,
            "/deps.json" => self.dependencies(true).await,
            "/logs" | "/logs/" => self.logs(json).await,
            _ => match path.strip_prefix("/logs/") {
                Some(name) => self.log(name, request).await,
                None => pages::asset(path, &request.headers).ok_or_else(PageError::not_found),
            },
        }
    }

    /// Returns an error as JSON or as a page.
    fn explain(&self, error: PageError, request: &Parts) -> Response<Body> {
        let mut response = if negotiation::prefers_json(&request.headers) {
            let value = serde_json::json!({ "error": { "message": error.text } });
            response::json(error.status, &value)
        } else {
            pages::error_page(self.frame("Problem"), &error)
        };
        response.headers_mut().extend(error.header);
        response
    }

    async fn status(&self) -> Result<Status, PageError> {
        let unavailable = |text| PageError::new(StatusCode::SERVICE_UNAVAILABLE, text);
        match tokio::time::timeout(STATUS_WITHIN, self.cluster.status()).await {
            Ok(status) => status.map_err(|error| unavailable(error.message())),
            Err(_) => Err(unavailable("The cluster does not answer.".to_owned())),
        }
    }

    async fn json(&self) -> PageResult {
        let mut response = response::json(StatusCode::OK, &self.status().await?);
        vary(&mut response);
        Ok(response)
    }

    async fn metrics(&self, headers: &HeaderMap) -> PageResult {
        let (media, text) =
            metrics::page(self.status().await?, headers).map_err(PageError::internal)?;
        let mut response = whole(StatusCode::OK, media, text);
        vary(&mut response);
        Ok(response)
    }

    async fn overview(&self) -> PageResult {
        let live = self.live_html().await?;
        let mut response = pages::render(
            StatusCode::OK,
            &OverviewPage { frame: self.frame("Overview"), live: &live },
        )?;
        vary(&mut response);
        Ok(response)
    }

    /// Returns the live part. Takes the first sample if there is none yet.
    async fn live_html(&self) -> Result<Arc<str>, PageError> {
        if let Some(html) = self.live.html() {
            return Ok(html);
        }
        self.live.add(Some(self.status().await?));
        self.live.html().ok_or_else(|| PageError::internal("there is nothing to show"))
    }

    async fn events(&self) -> PageResult {
        let permit = self.stream_permit()?;
        self.live_html().await?;
        Ok(self.live.clone().stream(permit))
    }

    async fn dependencies(&self, json: bool) -> PageResult {
        let tree = self.dependencies.tree().await?;
        let mut response = if json {
            response::json(StatusCode::OK, &*tree)
        } else {
            pages::render(
                StatusCode::OK,
                &DependenciesPage::new(self.frame("Dependencies"), &tree),
            )?
        };
        vary(&mut response);
        Ok(response)
    }

    async fn logs(&self, json: bool) -> PageResult {
        let logs = logs::list(self.settings.logs.clone()).await?;
        let mut response = if json {
            response::json(StatusCode::OK, &logs)
        } else {
            pages::render(StatusCode::OK, &LogsPage { frame: self.frame("Logs"), logs: &logs })?
        };
        vary(&mut response);
        Ok(response)
    }

    async fn log(&self, name: &str, request: &Parts) -> PageResult {
        let query = LogQuery::parse(request.uri.query().unwrap_or(""))?;
        if query.is_page {
            let file = logs::known(self.settings.logs.clone(), name).await?;
            let page = LogPage { frame: self.frame("Log"), name: &file.name, link: &file.link };
            return pages::render(StatusCode::OK, &page);
        }
        let permit = query.follow.then(|| self.stream_permit()).transpose()?;
        logs::file(self.settings.logs.clone(), name, query, request, permit).await
    }

    /// Returns the permit for a long-lived response.
    fn stream_permit(&self) -> Result<OwnedSemaphorePermit, PageError> {
        self.streams.clone().try_acquire_owned().map_err(|_| PageError {
            header: Some((header::RETRY_AFTER, HeaderValue::from_static("10"))),
            ..PageError::new(StatusCode::SERVICE_UNAVAILABLE, "Too many are watching already.")
        })
    }

    fn frame(&self, title: &'static str) -> Frame<'_> {
        Frame { prefix: &self.prefix, name: &self.settings.name, title }
    }
}

/// Marks a response whose address has several forms.
fn vary(response: &mut Response<Body>) {
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept"));
}

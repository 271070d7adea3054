//! The monitor's thread: its listening socket, what stands in front of its pages (health check, the user's own monitor app), its end.
//!
//! A thread with a runtime of its own, so that whatever strangers do there holds up neither supervision nor the app.

use std::net::{IpAddr, SocketAddr};
use std::ops::ControlFlow;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{self, HeaderMap};
use hyper::{Method, Request, Response};
use tokio::sync::oneshot;

use crate::changed::Changed;
use crate::config::{Config, Port};
use crate::embedder::Embedder;
use crate::error::{ClusterError, Result};
use crate::health::check::{Answer, Client, Ecv, Route};
use crate::health::verdict::HealthChecker;
pub use crate::monitor::app::MonitorApp;
use crate::monitor::{Accepting, Backend, Before, Body, Remote, Router, Settings, serve};
use crate::os::address::{Address, resolve};
use crate::os::listener::Listener;
use crate::os::thread;

/// Threads that read files for the pages.
const READERS: usize = 2;
/// At the end, a reader that is stuck in the file system gets this long.
const LAST_READS: Duration = Duration::from_millis(100);
/// Unaccepted connections that may wait.
const BACKLOG: i32 = 128;

/// The monitor's address, bound, before anybody is answered there.
#[derive(Debug)]
pub struct Bound {
    pub(super) listener: Listener,
    pub(super) host: String,
}

impl Bound {
    /// Binds what `monPort` and `monHost` say; `None` if the monitor is off. Fails as the app's own ports do.
    pub fn bind(config: &Config) -> Result<Option<Self>> {
        let address = match &config.mon_port {
            None => return Ok(None),
            Some(Port::Tcp(port)) => {
                Address::Tcp { host: Some(resolve(&config.mon_host)?), port: *port, v6_only: false }
            }
            Some(Port::Unix(path)) => {
                Address::Unix(std::path::absolute(path).unwrap_or_else(|_| path.into()))
            }
        };
        let fail =
            |source| ClusterError::from_listen(format!("{address} (option 'monPort')"), source);
        let listener = Listener::bind(&address, BACKLOG).map_err(fail)?;
        Ok(Some(Self { listener, host: config.mon_host.clone() }))
    }

    /// Names by which a monitor on loopback may be called, so that a page of somebody else's, whose name was made to lead here,
    /// reads nothing (DNS rebinding). Empty: any, for a monitor that others are to reach.
    pub(super) fn hosts(&self) -> Vec<String> {
        match self.listener.address() {
            Address::Tcp { host: Some(ip), .. } if ip.is_loopback() => {
                ["localhost", "127.0.0.1", "::1", &self.host, &ip.to_string()]
                    .map(str::to_owned)
                    .into()
            }
            _ => Vec::new(),
        }
    }

    /// Where it listens, as `status()` shows it: `host:port` or the socket's path.
    pub fn address(&self) -> String {
        self.listener.address().to_string()
    }

    pub(super) fn accepting(&self) -> std::io::Result<Accepting> {
        let socket: OwnedFd = self.listener.as_fd().try_clone_to_owned()?;
        Ok(match self.listener.address() {
            Address::Tcp { .. } => {
                Accepting::Tcp(tokio::net::TcpListener::from_std(socket.into())?)
            }
            Address::Unix(_) => Accepting::Unix(tokio::net::UnixListener::from_std(socket.into())?),
        })
    }
}

/// What the monitor shows and asks.
pub struct Parts<B> {
    /// The options.
    pub config: Config,
    /// Directory of the app's `package.json`.
    pub root: std::path::PathBuf,
    /// The cluster.
    pub backend: Arc<B>,
    /// The health check; `None` if it is off.
    pub judge: Option<Arc<HealthChecker>>,
    /// The user's own monitor app.
    pub app: Arc<MonitorApp>,
    /// Who takes connections for it.
    pub embedder: Weak<dyn Embedder>,
}

/// A running monitor; dropped, it ends.
#[derive(Debug)]
pub struct Monitor {
    pub(super) stop: Option<oneshot::Sender<()>>,
    pub(super) thread: Option<std::thread::JoinHandle<()>>,
}

impl Monitor {
    /// Starts the thread.
    pub fn start<B: Switching>(bound: Bound, parts: Parts<B>) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(READERS)
            .build()
            .map_err(ClusterError::system("starting the monitor's runtime"))?;
        let accepting = {
            let _inside = runtime.enter();
            bound.accepting().map_err(ClusterError::system("serving the monitor's port"))?
        };
        let (stop, stopped) = oneshot::channel();
        let run = move || {
            runtime.block_on(async {
                tokio::select! {
                    () = attend(accepting, &bound, parts) => {}
                    _ = stopped => {}
                }
            });
            runtime.shutdown_timeout(LAST_READS);
            // Only now, so that the socket's path goes when nobody is answered there any more.
            drop(bound);
        };
        let thread = thread::start("cluster2-monitor", run);
        let thread = thread.map_err(ClusterError::system("starting the monitor's thread"))?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

pub(super) async fn attend<B: Switching>(accepting: Accepting, bound: &Bound, parts: Parts<B>) {
    let settings = Settings {
        path: parts.config.mon_path.clone(),
        hosts: bound.hosts(),
        logs: parts.config.logs.clone(),
        root: parts.root.clone(),
    };
    let router = Router::new(settings, Arc::clone(&parts.backend));
    let ip = match bound.listener.address() {
        Address::Tcp { host, .. } => *host,
        Address::Unix(_) => None,
    };
    let port = match &parts.config.ports[..] {
        [Port::Tcp(port), ..] => port.to_string(),
        [Port::Unix(path), ..] => path.clone(),
        [] => String::new(),
    };
    let door =
        FrontDoor { router: Arc::clone(&router), parts, ip, port, unhealthy: Mutex::default() };
    serve(accepting, router, Arc::new(door)).await;
}

/// A cluster whose health check the monitor can switch.
pub trait Switching: Backend {
    /// Tells of a switch that has been made: the direction, and who asked for it.
    fn switched(&self, disabled: bool, by: String) -> impl Future<Output = ()> + Send;
    /// Tells that checks on the monitor's port find something else than before: the problem, or none.
    fn checked(&self, problem: Option<String>) -> impl Future<Output = ()> + Send;
    /// Whether there is a worker to send clients to.
    fn is_ready(&self) -> impl Future<Output = bool> + Send;
}

/// What is asked before the pages.
pub(super) struct FrontDoor<B> {
    pub(super) router: Arc<Router<B>>,
    pub(super) parts: Parts<B>,
    /// Our address; `None` on a unix socket.
    pub(super) ip: Option<IpAddr>,
    /// The app's first port.
    pub(super) port: String,
    /// Whether the last check here found something.
    pub(super) unhealthy: Mutex<Changed<bool>>,
}

impl<B: Switching> Before for FrontDoor<B> {
    async fn answer(
        &self,
        request: Request<Incoming>,
        remote: Remote,
    ) -> ControlFlow<Response<Body>, Request<Incoming>> {
        let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
        if let Some(judge) = &self.parts.judge
            && let Some(route) = judge.check.ecv.route(request.method().as_str(), target)
        {
            let answer = match route {
                Route::Check => self.check(judge, request.headers()).await,
                Route::Switch { disabled } => self.switch(judge, disabled, &request, remote).await,
            };
            return ControlFlow::Break(respond(answer, request.method()));
        }
        if self.parts.app.is_given() {
            return ControlFlow::Break(self.forward(request, remote).await);
        }
        ControlFlow::Continue(request)
    }
}

impl<B: Switching> FrontDoor<B> {
    pub(super) async fn check(&self, judge: &Arc<HealthChecker>, headers: &HeaderMap) -> Answer {
        let problem = if judge.check.is_disabled() {
            None
        } else if self.parts.backend.is_ready().await {
            let problem = judge.problem().await;
            if self.is_news(problem.is_some()) {
                self.parts.backend.checked(problem.clone()).await;
            }
            problem
        } else {
            Some("no worker is ready".to_owned())
        };
        let ip =
            self.called_by(headers).map_or_else(|| "127.0.0.1".to_owned(), |ip| ip.to_string());
        judge.check.answer(&ip, &self.port, problem.as_deref())
    }

    fn is_news(&self, is_unhealthy: bool) -> bool {
        self.unhealthy.lock().unwrap_or_else(PoisonError::into_inner).set(is_unhealthy)
    }

    /// Our address as the client sees it: bound to all addresses, the one that it named.
    pub(super) fn called_by(&self, headers: &HeaderMap) -> Option<IpAddr> {
        let bound = self.ip?;
        if !bound.is_unspecified() {
            return Some(bound);
        }
        let host = headers.get(header::HOST)?.to_str().ok()?;
        host.parse::<SocketAddr>().map(|address| address.ip()).or_else(|_| host.parse()).ok()
    }

    pub(super) async fn switch(
        &self,
        judge: &HealthChecker,
        disabled: bool,
        request: &Request<Incoming>,
        remote: Remote,
    ) -> Answer {
        let check = &judge.check;
        let headers = request.headers();
        let authorization = headers.get(header::AUTHORIZATION).map(|value| value.as_bytes());
        let from_a_page =
            headers.contains_key(header::ORIGIN) || !self.router.knows_host(request.uri(), headers);
        let client = remote.map_or(Client::Unix, Client::At);
        let who = client.to_string();
        if let Err(refusal) = check.ecv.admit(client, authorization, from_a_page) {
            if let Some(message) = check.refused(refusal, &who) {
                self.parts.backend.warn(message).await;
            }
            return Ecv::refused(refusal, check.since());
        }
        if check.switch(disabled) {
            self.parts.backend.switched(disabled, who).await;
        }
        Ecv::switched(check.since())
    }
}

pub(super) fn respond(answer: Answer, method: &Method) -> Response<Body> {
    let body = if method == Method::HEAD { Bytes::new() } else { Bytes::from(answer.body) };
    let mut response = Response::builder().status(answer.status);
    // That a connection stays is hyper's to say, which knows what the client wants.
    for (name, value) in answer.headers.into_iter().filter(|(_, value)| value != "keep-alive") {
        response = response.header(name, value);
    }
    let body = Full::new(body).map_err(|never| match never {}).boxed_unsync();
    // Our own headers are always valid; an empty response would be the honest answer if they were not.
    response.body(body).unwrap_or_default()
}

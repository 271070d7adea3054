//! The health check on the monitor's port: a load balancer that asks there learns of the whole
//! cluster.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use hyper::header::{self, HeaderMap};

use super::answer::HealthAnswer;
use super::checker::HealthChecker;
use super::guard::Client;
use super::problem::Problem;
use super::routes::Route;
use super::switch::SwitchRequest;
use crate::changed::Changed;
use crate::config::{Config, Port};

/// The cluster that the health check reports to and asks.
pub(crate) trait ClusterHealth: Send + Sync + 'static {
    /// Returns why there is no worker to send clients to. `None`: there is one.
    fn unavailable(&self) -> impl Future<Output = Problem> + Send;
    /// Reports a changed result of the checks on the monitor's port.
    fn checked(&self, problem: Problem) -> impl Future<Output = ()> + Send;
    /// Reports a switch that was made: the direction, and who made it.
    fn switched(&self, disabled: bool, by: String) -> impl Future<Output = ()> + Send;
    /// Warns the operator: the event `warning`.
    fn warn(&self, message: String) -> impl Future<Output = ()> + Send;
}

pub(crate) struct HealthResponder<C> {
    checker: Arc<HealthChecker>,
    cluster: Arc<C>,
    /// The monitor's address. `None` on a unix socket.
    ip: Option<IpAddr>,
    /// The app's first port, or the path of its unix socket.
    app_port: String,
    /// Whether the last check here found a problem.
    is_unhealthy: Mutex<Changed<bool>>,
}

impl<C: ClusterHealth> HealthResponder<C> {
    /// `ip` is the monitor's address, `None` on a unix socket.
    pub(crate) fn new(
        checker: Arc<HealthChecker>,
        cluster: Arc<C>,
        config: &Config,
        ip: Option<IpAddr>,
    ) -> Self {
        let app_port = match &config.ports[..] {
            [Port::Tcp(port), ..] => port.to_string(),
            [Port::Unix(path), ..] => path.clone(),
            [] => String::new(),
        };
        Self { checker, cluster, ip, app_port, is_unhealthy: Mutex::default() }
    }

    /// Returns what a request wants of the health check. `None`: it is not for us.
    pub(crate) fn route(&self, method: &str, target: &str) -> Option<Route> {
        self.checker.check.route(method, target)
    }

    /// Answers a request for `route`. `client` is `None` on a unix socket. `is_known_host` says
    /// whether its `Host` is a name of the monitor.
    pub(crate) async fn answer(
        &self,
        route: Route,
        headers: &HeaderMap,
        client: Option<IpAddr>,
        is_known_host: bool,
    ) -> HealthAnswer {
        let disabled = match route {
            Route::Check => return self.check(headers).await,
            Route::Enable => false,
            Route::Disable => true,
        };
        let request = SwitchRequest {
            disabled,
            client: client.map_or(Client::Unix, Client::At),
            authorization: headers.get(header::AUTHORIZATION).map(|value| value.as_bytes()),
            from_page: headers.contains_key(header::ORIGIN) || !is_known_host,
        };
        self.switch(request).await
    }

    async fn check(&self, headers: &HeaderMap) -> HealthAnswer {
        let check = &self.checker.check;
        let problem = if check.is_disabled() {
            None
        } else {
            match self.cluster.unavailable().await {
                None => {
                    let problem = self.checker.problem().await;
                    self.report(&problem).await;
                    problem
                }
                unavailable => unavailable,
            }
        };
        let ip = self.local_ip(headers);
        let ip = ip.map_or_else(|| "127.0.0.1".to_owned(), |ip| ip.to_string());
        check.answer(&ip, &self.app_port, problem.as_deref())
    }

    async fn report(&self, problem: &Problem) {
        let has_changed = {
            let mut is_unhealthy = self.is_unhealthy.lock().unwrap_or_else(PoisonError::into_inner);
            is_unhealthy.set(problem.is_some())
        };
        if has_changed {
            self.cluster.checked(problem.clone()).await;
        }
    }

    /// Returns our address as the client sees it: the one in `Host` if we listen on all.
    fn local_ip(&self, headers: &HeaderMap) -> Option<IpAddr> {
        let ip = self.ip?;
        if !ip.is_unspecified() {
            return Some(ip);
        }
        let host = headers.get(header::HOST)?.to_str().ok()?;
        host.parse::<SocketAddr>().map(|address| address.ip()).or_else(|_| host.parse()).ok()
    }

    async fn switch(&self, request: SwitchRequest<'_>) -> HealthAnswer {
        let switched = self.checker.check.switch(request);
        if let Some(warning) = switched.warning {
            self.cluster.warn(warning).await;
        }
        if switched.changed {
            self.cluster.switched(request.disabled, request.client.to_string()).await;
        }
        switched.answer
    }
}

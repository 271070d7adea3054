//! The health check of one app, without JavaScript and without the master: routes, answers,
//! switch, and the probe of the monitor URI.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::answer::{HealthAnswer, LocalEnd, Verdict};
use super::guard::Guard;
use super::probe::probe;
use super::routes::{Route, Routes};
use super::switch::{Refusals, SwitchRequest, Switched};
use super::target::Target;
use crate::embedder::Answered;
use crate::os::process;
use crate::os::scoreboard::Header;
use crate::protocol::Endpoint;
use crate::{config, os};

#[derive(Debug)]
pub(crate) struct HealthCheck {
    routes: Routes,
    guard: Guard,
    refusals: Refusals,
    pub(super) header: Header,
    /// The option `ecv.monitor`.
    monitor: Option<String>,
    target: Mutex<Option<Target>>,
    pub(super) timeout: Duration,
    hostname: String,
}

impl HealthCheck {
    /// `config` is the option `ecv`. A monitor that is a path is not probed before
    /// [`Self::set_app`].
    pub(crate) fn new(config: &config::EcvOptions, header: Header) -> Self {
        Self {
            routes: Routes::new(config),
            guard: Guard::new(config.token.clone(), config.allow.as_deref()),
            refusals: Refusals::default(),
            header,
            monitor: config.monitor.clone(),
            target: Mutex::default(),
            timeout: Duration::from_millis(config.timeout),
            hostname: process::hostname(),
        }
    }

    /// Sets the server of the app on which a monitor that is a path is probed.
    pub(crate) fn set_app(&self, app: Endpoint) {
        let target = self.monitor.as_deref().and_then(|monitor| Target::new(monitor, app));
        *self.target.lock().unwrap_or_else(PoisonError::into_inner) = target;
    }

    /// Returns what a request wants of the health check. `None`: it is the app's.
    pub(crate) fn route(&self, method: &str, target: &str) -> Option<Route> {
        self.routes.find(method, target)
    }

    /// Whether a check is answered with DISABLED, whatever a probe would find.
    pub(super) fn is_disabled(&self) -> bool {
        self.disabled_since().0
    }

    /// Returns whether a check is answered with DISABLED, and since when the health check has been
    /// in this state, milliseconds since 1970.
    fn disabled_since(&self) -> (bool, u64) {
        let switched = self.header.switched();
        self.header.leaving().map_or(switched, |since| (true, since))
    }

    /// Answers a check that arrived at our `ip` and `port` and found `problem`.
    pub(crate) fn answer(&self, ip: &str, port: &str, problem: Option<&str>) -> HealthAnswer {
        let (disabled, since) = self.disabled_since();
        let verdict = match (disabled, problem) {
            (true, _) => Verdict::Disabled,
            (false, Some(_)) => Verdict::Warning,
            (false, None) => Verdict::Available,
        };
        let local = LocalEnd { ip, port, hostname: &self.hostname };
        HealthAnswer::check(verdict, since, os::wall(), local)
    }

    /// Switches for all processes at once, if the client may.
    pub(crate) fn switch(&self, request: SwitchRequest<'_>) -> Switched {
        if let Err(refusal) =
            self.guard.admit(request.client, request.authorization, request.from_page)
        {
            let warning = self.refusals.add(refusal, request.client);
            let answer = HealthAnswer::refused(refusal, self.switched_at());
            return Switched { answer, changed: false, warning };
        }
        let changed = self.header.switch(request.disabled, os::wall());
        let answer = HealthAnswer::switched(self.switched_at());
        Switched { answer, changed, warning: None }
    }

    /// Returns the time of the last switch, milliseconds since 1970.
    fn switched_at(&self) -> u64 {
        self.header.switched().1
    }

    /// Probes the monitor URI and returns its answer, or `None` if there is no URI. Any status but
    /// 2xx is an error too. An error is a text for people.
    pub(crate) async fn probe(&self) -> Result<Option<Answered>, String> {
        let target = self.target.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match target {
            None => Ok(None),
            Some(target) => probe(&target, self.timeout).await.map(Some),
        }
    }

    /// Does the same as [`Self::probe`], on a runtime of its own. Blocks the calling thread.
    pub(crate) fn probe_blocking(&self) -> Result<Option<Answered>, String> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(1)
            .build()
            .map_err(|error| format!("the probe cannot start: {error}"))?;
        let result = runtime.block_on(self.probe());
        // Does not wait for a name service that does not answer.
        runtime.shutdown_background();
        result
    }
}

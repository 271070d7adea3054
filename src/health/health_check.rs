//! The health check of one app, without JavaScript and without the master: routes, answers and
//! switch.
//!
//! What always holds: it needs no I/O, and so little code that a worker's addon has all of it. The
//! probe of the monitor URI is apart, in [`MonitorUri`](super::MonitorUri).

use super::answer::{HealthAnswer, LocalEnd, Verdict};
use super::guard::Guard;
use super::routes::{Route, Routes};
use super::switch::{Refusals, SwitchRequest, Switched};
use crate::os::process;
use crate::os::scoreboard::Header;
use crate::{config, os};

/// The health check of one app.
#[derive(Debug)]
pub struct HealthCheck {
    routes: Routes,
    guard: Guard,
    refusals: Refusals,
    pub(super) header: Header,
    hostname: String,
}

impl HealthCheck {
    /// `config` is the option `ecv`.
    pub fn new(config: &config::EcvOptions, header: Header) -> Self {
        Self {
            routes: Routes::new(config),
            guard: Guard::new(config.token.clone(), config.allow.as_deref()),
            refusals: Refusals::default(),
            header,
            hostname: process::hostname(),
        }
    }

    /// Returns what a request wants of the health check. `None`: it is the app's.
    pub fn route(&self, method: &str, target: &str) -> Option<Route> {
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
    pub fn answer(&self, ip: &str, port: &str, problem: Option<&str>) -> HealthAnswer {
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
    pub fn switch(&self, request: SwitchRequest<'_>) -> Switched {
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
}

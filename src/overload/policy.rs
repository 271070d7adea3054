//! What the dispatcher has to know about the option `overload`.

use std::fmt;

use crate::config::OverloadOptions;
use crate::os::scoreboard::Header;

/// Says whether a request is one of the health check, by its method and its target.
type IsHealthCheck = Box<dyn Fn(&str, &str) -> bool + Send>;

/// When to shed connections, and which of them not.
pub struct OverloadPolicy {
    pub(super) limits: OverloadOptions,
    /// Counts what was accepted.
    pub(super) header: Header,
    is_health_check: IsHealthCheck,
}

impl OverloadPolicy {
    /// `limits`: the option. `header`: that of the workers' scoreboard. `is_health_check` gets the
    /// method and the target of a request; those for which it returns `true` are not shed.
    pub fn new(
        limits: OverloadOptions,
        header: Header,
        is_health_check: impl Fn(&str, &str) -> bool + Send + 'static,
    ) -> Self {
        Self { limits, header, is_health_check: Box::new(is_health_check) }
    }

    /// Returns what says whether a request goes to a worker. `may_pass`: whether any does.
    pub(super) fn passes(&self, may_pass: bool) -> impl Fn(&str, &str) -> bool {
        move |method, target| may_pass && (self.is_health_check)(method, target)
    }
}

impl fmt::Debug for OverloadPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OverloadPolicy").field("limits", &self.limits).finish_non_exhaustive()
    }
}

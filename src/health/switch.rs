//! Switching the health check off and on: by a request, or by a command.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use super::answer::HealthAnswer;
use super::guard::{Client, Refusal};
use crate::config::Config;
use crate::counts::counted;
use crate::error::{ClusterError, Result};
use crate::os;
use crate::os::scoreboard::Header;
use crate::protocol::time::Time;

/// The shortest time between two warnings about refused requests, milliseconds.
const WARN_EVERY: u64 = 10_000;

/// A request to switch.
#[derive(Debug, Clone, Copy)]
pub struct SwitchRequest<'a> {
    /// The direction.
    pub disabled: bool,
    /// Who asks.
    pub client: Client,
    /// The header of that name.
    pub authorization: Option<&'a [u8]>,
    /// Whether a browser sends the request for a web page, which may be anybody's.
    pub from_page: bool,
}

/// The outcome of a request to switch.
#[derive(Debug)]
pub struct Switched {
    /// The answer to the client.
    pub answer: HealthAnswer,
    /// Whether it was switched the other way before.
    pub changed: bool,
    /// A warning for the operator, if a refusal must be reported now.
    pub warning: Option<String>,
}

/// Counts refused requests. A flood of them causes few warnings.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    unreported: AtomicU64,
    /// Milliseconds of `os::now`. 0: no report yet.
    reported_at: AtomicU64,
}

impl Refusals {
    /// Counts a refusal. Returns the warning if one is due.
    pub(super) fn add(&self, refusal: Refusal, client: Client) -> Option<String> {
        self.unreported.fetch_add(1, Ordering::Relaxed);
        let now = os::now().max(1);
        let due = |last: u64| (last == 0 || now >= last + WARN_EVERY).then_some(now);
        self.reported_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, due).ok()?;
        let count = self.unreported.swap(0, Ordering::Relaxed);
        let status = refusal.status();
        Some(format!(
            "refused {} to switch the health check, the last one with {status}, from {client}",
            counted(count, "request")
        ))
    }
}

/// Switches the health check of a cluster for a command, and returns the command's answer. Calls
/// `on_change` with who switched if it was switched the other way before. Fails with `WrongState`
/// if the cluster has no health check.
pub(crate) fn switch_by_command(
    config: &Config,
    header: &Header,
    disabled: bool,
    on_change: impl FnOnce(String),
) -> Result<Value> {
    if config.ecv.is_none() {
        return Err(ClusterError::WrongState {
            command: "switch the health check",
            state: "without one",
        });
    }
    if header.switch(disabled, os::wall()) {
        on_change("a command".to_owned());
    }
    let (disabled, since) = header.switched();
    Ok(json!({ "disabled": disabled, "since": Time::from_millis(since) }))
}

//! The monitor URI of one app (the option `ecv.monitor`), which says whether the app is healthy.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::probe::probe;
use super::target::Target;
use crate::config;
use crate::embedder::Answered;
use crate::protocol::Endpoint;

/// A monitor URI, or none.
#[derive(Debug)]
pub struct MonitorUri {
    /// The option `ecv.monitor`.
    monitor: Option<String>,
    target: Mutex<Option<Target>>,
    timeout: Duration,
}

impl MonitorUri {
    /// `config` is the option `ecv`. A monitor that is a path is not probed before
    /// [`Self::set_app`].
    pub fn new(config: &config::EcvOptions) -> Self {
        Self {
            monitor: config.monitor.clone(),
            target: Mutex::default(),
            timeout: Duration::from_millis(config.timeout),
        }
    }

    /// Sets the server of the app on which a monitor that is a path is probed.
    pub fn set_app(&self, app: Endpoint) {
        let target = self.monitor.as_deref().and_then(|monitor| Target::new(monitor, app));
        *self.target.lock().unwrap_or_else(PoisonError::into_inner) = target;
    }

    /// Probes the monitor URI and returns its answer, or `None` if there is no URI. Any status but
    /// 2xx is an error too. An error is a text for people.
    pub async fn probe(&self) -> Result<Option<Answered>, String> {
        let target = self.target.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match target {
            None => Ok(None),
            Some(target) => probe(&target, self.timeout).await.map(Some),
        }
    }

    /// Does the same as [`Self::probe`], on a runtime of its own. Blocks the calling thread.
    pub fn probe_blocking(&self) -> Result<Option<Answered>, String> {
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

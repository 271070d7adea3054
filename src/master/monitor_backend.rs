//! The cluster, as its monitor sees it: messages to the supervisor's task.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

use super::inbox::{Input, Inputs};
use crate::error::{ClusterError, Result};
use crate::health::{ClusterHealth, Problem};
use crate::monitor::StatusSource;
use crate::protocol::status::Status;
use crate::quota::Quota;

/// Messages of the monitor's thread that the supervisor has not read; a sender of more waits.
const UNREAD: usize = 64;

pub(super) struct MonitorBackend {
    inputs: Inputs,
    quota: Quota,
    availability: Arc<Availability>,
}

/// Whether there is a worker to send clients to, for the monitor's thread.
#[derive(Debug, Default)]
pub(super) struct Availability(Mutex<Problem>);

impl Availability {
    /// Sets why there is none, or that there is one.
    pub(super) fn set(&self, unavailable: Problem) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = unavailable;
    }

    fn get(&self) -> Problem {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl MonitorBackend {
    pub(super) fn new(inputs: Inputs, availability: Arc<Availability>) -> Self {
        Self { inputs, quota: Quota::new(UNREAD), availability }
    }

    /// Sends at once, and then waits if too many messages are unread: a client that leaves
    /// meanwhile takes no message with it.
    async fn send(&self, input: Input) {
        let share = self.quota.try_take(1);
        let is_full = share.is_none();
        self.inputs.send_within(share, input);
        if is_full {
            drop(self.quota.take(1).await);
        }
    }
}

impl StatusSource for MonitorBackend {
    async fn status(&self) -> Result<Status> {
        let ended = || ClusterError::WrongState { command: "show the cluster", state: "ended" };
        let (reply, status) = oneshot::channel();
        self.send(Input::Status(reply)).await;
        status.await.map_err(|_| ended())
    }
}

impl ClusterHealth for MonitorBackend {
    async fn warn(&self, message: String) {
        self.send(Input::Warning(message)).await;
    }

    async fn switched(&self, disabled: bool, by: String) {
        self.send(Input::Switched { disabled, by }).await;
    }

    async fn checked(&self, problem: Option<String>) {
        self.send(Input::Checked { problem }).await;
    }

    async fn unavailable(&self) -> Problem {
        self.availability.get()
    }
}

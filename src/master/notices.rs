//! The state machine's notices: the events that the embedder gets, and replies that wait for them.

use std::time::SystemTime;

use serde_json::json;

use super::task::Task;
use crate::embedder::MasterEvent;
use crate::error::ClusterError;
use crate::os::scoreboard::Field;
use crate::protocol::status::{LastExit, Time};
use crate::protocol::worker::{Exit, WorkerId};
use crate::supervision::{Cause, LastWords, Notice};

impl Task {
    pub(super) fn announce(&mut self, notice: Notice) {
        let event = match notice {
            Notice::Forked { pid } => MasterEvent::Forked { pid },
            Notice::Listening { pid } => {
                let handle = self.workers.values().find(|handle| handle.pid == pid);
                let endpoints = handle.into_iter().flat_map(|handle| &handle.endpoints);
                let addresses = endpoints.map(|endpoint| endpoint.at.to_string()).collect();
                MasterEvent::Listening { pid, addresses }
            }
            Notice::Died { worker, pid, exit, cause, last_words } => {
                let executed = self.executions.forget(worker);
                let executed = executed.filter(|_| cause == Cause::Unresponsive).map(Box::new);
                *self.past.deaths.entry(cause.word()).or_default() += 1;
                let (code, signal) = match exit {
                    Exit::Code(code) => (Some(code), None),
                    Exit::Signal(signal) => (None, Some(signal)),
                };
                let LastWords { slot, error, lines } = last_words;
                let (at, reason) = (Time(SystemTime::now()), cause.word());
                let last = LastExit { at, pid, code, signal, reason, error: error.clone(), lines };
                self.last_exits.insert(slot, last);
                let event = MasterEvent::Died { pid, code, signal, reason, error, executed };
                return self.emit_in(Some(slot), event);
            }
            Notice::DrainTimedOut { worker, pid } => {
                MasterEvent::Warning { message: self.drain_timed_out(worker, pid) }
            }
            Notice::Reloading { slot, pid, replaced, total } => {
                MasterEvent::Reloading { slot, pid, replaced, total }
            }
            Notice::Reloaded { round, replaced, again } => {
                self.past.reloads += 1;
                self.replies.reloaded(round, || Ok(json!({ "replaced": replaced })));
                MasterEvent::Reload { replaced, again }
            }
            Notice::ReloadFailed { round, reason } => {
                self.past.reloads_failed += 1;
                let error = || ClusterError::ReloadFailed { reason: reason.clone() };
                self.replies.reloaded(round, || Err(error()));
                MasterEvent::ReloadFailed { message: error().message() }
            }
            Notice::Recycling { pid, reason } => MasterEvent::Recycle { pid, reason },
            Notice::Unresponsive { worker, pid, age } => {
                let executing = Box::new(self.executions.report(worker));
                MasterEvent::Unresponsive { pid, age, executing }
            }
            Notice::Blocked { worker, pid, duration } => {
                let executing = Box::new(self.executions.report(worker));
                MasterEvent::Blocked { pid, duration, executing }
            }
            Notice::Disabled { pid, reason } => MasterEvent::Disable { pid, reason },
            Notice::Enabled => MasterEvent::Enable,
            Notice::Warning(message) => MasterEvent::Warning { message },
        };
        self.emit(event);
    }

    /// Remembers the event, and passes it on to the embedder.
    pub(super) fn emit(&mut self, event: MasterEvent) {
        let of = |pid: u32| self.parts.supervisor.workers().find(|(_, one)| one.pid == Some(pid));
        let worker = event.describe().and_then(|described| of(described.pid?));
        let slot = worker.map(|(_, worker)| worker.slot);
        self.emit_in(slot, event);
    }

    fn emit_in(&mut self, slot: Option<u32>, event: MasterEvent) {
        if let Some(described) = event.describe() {
            self.parts.embedder.record(self.journal.add(described, slot));
        }
        self.parts.embedder.emit(event);
    }

    fn drain_timed_out(&self, worker: WorkerId, pid: u32) -> String {
        let row = self.workers.get(&worker).map(|handle| &handle.row);
        let connections = row.map_or(0, |row| row.count(Field::ConnectionsActive));
        let limit = self.parts.info.config.shutdown_timeout;
        format!(
            "worker {pid} did not finish within {limit} ms (shutdownTimeout); it was killed with \
             {connections} open connections"
        )
    }
}

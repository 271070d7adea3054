//! The state machine's notices: the events that the embedder gets, and replies that wait for them.

use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use serde_json::json;

use super::task::Task;
use crate::counts::counted;
use crate::embedder::MasterEvent;
use crate::error::ClusterError;
use crate::monitor::format::{self, plain_bytes};
use crate::os;
use crate::os::scoreboard::Field;
use crate::protocol::status::LastExit;
use crate::protocol::time::Time;
use crate::protocol::worker::{Exit, WorkerId};
use crate::supervision::{Cause, LastWords, Limit, Notice, Passed, Threshold};

impl Task {
    pub(super) fn announce(&mut self, notice: Notice) {
        let event = match notice {
            Notice::Forked { pid } => MasterEvent::Forked { pid },
            Notice::Spare { pid } => MasterEvent::Spare { pid },
            Notice::Activated { pid } => MasterEvent::Activated { pid },
            Notice::Listening { pid } => {
                self.has_started_worker = true;
                let handle = self.workers.values().find(|handle| handle.pid == pid);
                let endpoints = handle.into_iter().flat_map(|handle| &handle.endpoints);
                let addresses = endpoints.map(|endpoint| endpoint.at.to_string()).collect();
                MasterEvent::Listening { pid, addresses }
            }
            Notice::Died { worker, pid, exit, cause, last_words } => {
                let executed = self.executions.forget(worker);
                let executed = executed.filter(|_| cause == Cause::Unresponsive).map(Box::new);
                *self.past.exits.entry(cause.word()).or_default() += 1;
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
            Notice::Scaled { before, workers, utilization } => {
                match workers > before {
                    true => self.past.scaled_up += 1,
                    false => self.past.scaled_down += 1,
                }
                let utilization = utilization.map(|parts| f64::from(parts) / 1_000.0);
                let reason = if utilization.is_some() { "load" } else { "command" };
                MasterEvent::Scale { from: before, to: workers, reason, utilization }
            }
            Notice::NotScaled { workers, limit } => {
                let Some(message) = describe_limit(workers, limit) else { return };
                MasterEvent::Warning { message }
            }
            Notice::Recycling { pid, passed } => {
                MasterEvent::Recycle { pid, reason: describe_passed(passed) }
            }
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

    /// Emits an event when an overload begins or is over.
    pub(super) fn observe_overload(&mut self) {
        let shed = self.parts.dispatcher.counts().shed.load(Ordering::Relaxed);
        if let Some(event) = self.overload.observe(shed, os::now(), os::wall()) {
            self.emit(event);
        }
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
        let connections = counted(connections, "open connection");
        let limit = self.parts.info.config.shutdown_timeout;
        format!(
            "worker {pid} did not finish within {limit} ms (shutdownTimeout); it was killed with \
             {connections}"
        )
    }
}

/// Describes what keeps the number of workers from growing. `None`: `status` shows it, and nobody
/// has to do anything.
fn describe_limit(workers: u32, limit: Limit) -> Option<String> {
    let why = match limit {
        Limit::Most => return None,
        Limit::Memory { needed, available } => format!(
            "it needs {} of memory, with one that a reload starts beside it, and {} is available",
            plain_bytes(needed),
            plain_bytes(available)
        ),
        Limit::Crashes { slot } => format!("the workers of slot {slot} do not stay"),
    };
    let workers = counted(u64::from(workers), "worker");
    Some(format!("there is work for more than {workers}, but no further one starts: {why}"))
}

/// Describes a limit that a worker passed, with units.
fn describe_passed(Passed { threshold, value, limit }: Passed) -> String {
    let (name, [value, limit]) = match threshold {
        Threshold::Connections => {
            ("connThreshold", [counted(value, "connection"), format::count(limit)])
        }
        Threshold::Uptime => {
            let time = |millis| format::duration(Duration::from_millis(millis));
            ("uptimeThreshold", [value, limit].map(time))
        }
        Threshold::Memory => {
            ("memThreshold", [value, limit].map(|bytes| format::bytes(bytes as f64)))
        }
    };
    format!("{value}, above {limit} ({name})").replace('\u{a0}', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_keeps_the_number_from_growing_is_said_with_its_reason() {
        let memory = Limit::Memory { needed: 240 << 20, available: 80 << 20 };
        let [memory, crashes] =
            [memory, Limit::Crashes { slot: 3 }].map(|limit| describe_limit(4, limit).unwrap());
        let first = "there is work for more than 4 workers, but no further one starts: ";
        let why = "it needs 240 MiB of memory, with one that a reload starts beside it, and 80 MiB \
                   is available";
        assert_eq!(memory, format!("{first}{why}"));
        assert_eq!(crashes, format!("{first}the workers of slot 3 do not stay"));
        assert_eq!(describe_limit(4, Limit::Most), None);
    }

    #[test]
    fn a_passed_limit_has_its_unit_and_the_name_of_its_option() {
        let passed = |threshold, value, limit| describe_passed(Passed { threshold, value, limit });
        assert_eq!(
            [
                passed(Threshold::Connections, 12_000, 10_000),
                passed(Threshold::Uptime, 3_660_000, 3_600_000),
                passed(Threshold::Memory, 320 << 20, 300 << 20),
            ],
            [
                "12,000 connections, above 10,000 (connThreshold)",
                "1 h 1 min, above 1 h 0 min (uptimeThreshold)",
                "320 MiB, above 300 MiB (memThreshold)",
            ]
        );
    }
}

//! Questions of the supervisor and of commands, what workers execute, and their results.
//!
//! What always holds: one question of each worker is open at a time, however many ask.

use std::collections::BTreeSet;

use serde_json::json;

use super::inbox::Input;
use super::task::Task;
use crate::error::ClusterError;
use crate::os::process;
use crate::protocol::execution::{Execution, WaitReason, Waiting};
use crate::protocol::worker::WorkerId;
use crate::remote::Reply;
use crate::supervision::Event;

impl Task {
    /// Asks what a worker executes; `dying`: it is killed then. The answer comes as
    /// `Input::Executed`.
    pub(super) fn ask_execution(&mut self, worker: WorkerId, dying: bool) {
        let Some(handle) = self.workers.get_mut(&worker) else { return };
        // The latest result may be an hour old.
        self.executions.forget(worker);
        let is_stopped = process::is_stopped(handle.pid);
        if is_stopped || !handle.execution.ask(dying) {
            let stopped =
                Waiting { reason: WaitReason::Stopped, call: None, file: None, child: None };
            let waiting = is_stopped.then_some(stopped);
            let execution = Execution { waiting, ..Execution::default() };
            self.parts.inputs.send(Input::Executed(worker, Box::new(execution)));
        }
    }

    /// Answers with what the worker `pid` executes, or all workers.
    pub(super) fn show_executions(&mut self, pid: Option<u32>, reply: Reply) {
        let is_asked = |of: u32| pid.is_none_or(|pid| pid == of);
        let pending: BTreeSet<_> = self
            .workers
            .iter()
            .filter(|(_, handle)| is_asked(handle.pid))
            .map(|(id, _)| *id)
            .collect();
        if let (Some(pid), true) = (pid, pending.is_empty()) {
            return reply(Err(ClusterError::WorkerUnknown { pid }));
        }
        let workers: Vec<_> = pending.iter().copied().collect();
        let is_single = pid.is_some();
        self.executions.wait(pending, is_single, reply);
        workers.into_iter().for_each(|worker| self.ask_execution(worker, false));
    }

    pub(super) fn on_executed(&mut self, worker: WorkerId, execution: Execution) {
        let Some(handle) = self.workers.get_mut(&worker) else { return };
        handle.execution.answered();
        let pid = handle.pid;
        self.executions.insert(worker, execution);
        // It may have turned meanwhile.
        self.sample();
        let record = self.parts.supervisor.worker(worker);
        let slot = record.map_or(0, |record| record.slot);
        let stuck_for = record.and_then(|record| self.parts.supervisor.stuck_for(record));
        let mut result = json!(self.executions.report(worker));
        result["pid"] = json!(pid);
        result["stuckFor"] = json!(stuck_for);
        self.executions.answer(worker, slot, Some(result));
        self.apply(Event::Executed { worker });
    }

    /// A worker is gone: no result of it will come.
    pub(super) fn end_execution(&mut self, worker: WorkerId) {
        self.executions.answer(worker, 0, None);
    }
}

//! What workers execute: the latest results, and the commands that wait for one.
//!
//! What always holds: each command is answered, at the latest when its workers are gone.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::embedder::ExecutionReport;
use crate::error::ClusterError;
use crate::protocol::execution::Execution;
use crate::protocol::worker::WorkerId;
use crate::remote::Reply;

/// The results, and the commands that wait.
#[derive(Default)]
pub(super) struct ExecutionResults {
    /// Of workers that live, or whose death is not reported yet.
    latest: BTreeMap<WorkerId, Execution>,
    waiting: Vec<WaitingCommand>,
}

/// A command that waits for what workers execute.
struct WaitingCommand {
    pending: BTreeSet<WorkerId>,
    /// In the order of the slots.
    results: BTreeMap<(u32, WorkerId), Value>,
    /// Whether the answer is that of one worker instead of a list.
    is_single: bool,
    reply: Reply,
}

impl ExecutionResults {
    /// Returns the latest result.
    pub(super) fn report(&self, worker: WorkerId) -> ExecutionReport {
        self.latest.get(&worker).cloned().unwrap_or_default().into()
    }

    /// Forgets the latest result of a worker, and returns it.
    pub(super) fn forget(&mut self, worker: WorkerId) -> Option<ExecutionReport> {
        self.latest.remove(&worker).map(ExecutionReport::from)
    }

    /// Takes the result of `worker`.
    pub(super) fn insert(&mut self, worker: WorkerId, execution: Execution) {
        self.latest.insert(worker, execution);
    }

    /// Has `reply` wait for the results of `pending`; `is_single`: the answer is that of one worker
    /// instead of a list.
    pub(super) fn wait(&mut self, pending: BTreeSet<WorkerId>, is_single: bool, reply: Reply) {
        let command = WaitingCommand { pending, results: BTreeMap::new(), is_single, reply };
        self.waiting.push(command);
        self.answer_complete();
    }

    /// Gives the answer of `worker`, which has `slot`, to the commands. `None`: it is gone.
    pub(super) fn answer(&mut self, worker: WorkerId, slot: u32, result: Option<Value>) {
        for command in &mut self.waiting {
            if command.pending.remove(&worker)
                && let Some(result) = &result
            {
                command.results.insert((slot, worker), result.clone());
            }
        }
        self.answer_complete();
    }

    fn answer_complete(&mut self) {
        for command in std::mem::take(&mut self.waiting) {
            if command.pending.is_empty() {
                command.answer();
            } else {
                self.waiting.push(command);
            }
        }
    }
}

impl WaitingCommand {
    fn answer(self) {
        let mut results = self.results.into_values();
        (self.reply)(match (self.is_single, results.next()) {
            (true, Some(result)) => Ok(result),
            (true, None) => {
                Err(ClusterError::WrongState { command: "show the stack", state: "ended" })
            }
            (false, first) => {
                Ok(json!({ "workers": first.into_iter().chain(results).collect::<Vec<_>>() }))
            }
        });
    }
}

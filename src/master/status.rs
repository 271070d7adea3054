//! The status of the cluster, from the state machine's records, the scoreboard and the dispatcher.

use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use super::task::Task;
use super::worker_handle::WorkerHandle;
use crate::protocol::scaling::ScalingStatus;
use crate::protocol::status::{
    MasterStatus, ReloadProgress, SlotStatus, Status, UnhealthyWorker, WorkerStatus,
};
use crate::protocol::time::Time;
use crate::protocol::totals::Totals;
use crate::supervision::{Cause, Limit, Progress, Scaling, SlotRecord, WorkerRecord, WorkerState};
use crate::{os, status};

impl Task {
    /// Returns the status as of now: takes a sample first.
    pub(super) fn status(&mut self) -> Status {
        self.sample();
        let supervisor = &self.parts.supervisor;
        let workers = supervisor.workers().filter_map(|(id, record)| {
            let handle = self.workers.get(&id)?;
            let slot = supervisor.slot(record.slot)?;
            Some(worker_status(record, handle, supervisor.stuck_for(record), slot))
        });
        let mut workers: Vec<_> = workers.collect();
        workers.sort_by_key(|worker| (worker.slot, worker.generation));
        let slots = supervisor.slots().map(|slot| self.slot_status(slot, &workers)).collect();
        let own = supervisor.master_problem().map(|problem| (std::process::id(), problem));
        let problems = supervisor.problems().chain(own);
        let unhealthy =
            |(pid, problem): (u32, &str)| UnhealthyWorker { pid, reason: problem.to_owned() };
        Status {
            running: true,
            master: self.master_status(),
            workers,
            ecv: status::health(
                &self.parts.board.header(),
                self.unavailable(),
                problems.map(unhealthy).collect(),
            ),
            overload: self.overload.status(),
            totals: self.totals(),
            slots,
            events: self.journal.after(0),
        }
    }

    fn master_status(&self) -> MasterStatus {
        let supervisor = &self.parts.supervisor;
        let (is_running, target) = (!supervisor.phase().is_leaving(), supervisor.target());
        let reload = supervisor
            .reload_progress()
            .map(|Progress { replaced, total, again }| ReloadProgress { replaced, total, again });
        let scaling = supervisor.scaling().map(scaling_status);
        let upgrade = self.upgrade_status().or_else(|| self.takeover_status());
        MasterStatus {
            scaling,
            spares: supervisor.spares(),
            reload,
            upgrade,
            ..self.parts.info.master(is_running, target, self.listening(), &self.usage)
        }
    }

    fn slot_status(&self, record: SlotRecord, workers: &[WorkerStatus]) -> SlotStatus {
        let SlotRecord { slot, holder, refill_at, restarts, crashes } = record;
        let pid = holder.and_then(|id| self.parts.supervisor.worker(id)?.pid);
        let worker = workers.iter().find(|worker| Some(worker.pid) == pid);
        let wait = |at: u64| Duration::from_millis(at.saturating_sub(os::now()));
        SlotStatus {
            slot,
            state: worker.map_or("waiting", |worker| worker.state),
            pid,
            next_start: refill_at.map(|at| Time(SystemTime::now() + wait(at))),
            restarts,
            crashes,
            last_exit: self.last_exits.get(&slot).cloned(),
        }
    }

    /// The addresses at which ready workers serve, in the order of the first worker that said so.
    fn listening(&self) -> Vec<String> {
        let mut listening: Vec<String> = Vec::new();
        for (id, record) in self.parts.supervisor.ready_workers() {
            let Some(handle) = self.workers.get(&id) else { continue };
            let said = handle.endpoints.iter().map(|endpoint| endpoint.at.to_string());
            let served = said.filter(|address| {
                record.addresses.contains(address) || handle.own_addresses.contains(address)
            });
            for address in served.chain(record.addresses.iter().cloned()) {
                if !listening.contains(&address) {
                    listening.push(address);
                }
            }
        }
        listening
    }

    pub(super) fn totals(&self) -> Totals {
        let mut totals = self.past.clone();
        self.workers.values().for_each(|handle| status::add_counts(&mut totals, &handle.row));
        let counts = self.parts.dispatcher.counts();
        totals.handed = counts.handed.load(Ordering::Relaxed);
        totals.reclaimed = counts.reclaimed.load(Ordering::Relaxed);
        totals.moved = counts.moved.load(Ordering::Relaxed);
        totals.retried = counts.retried.load(Ordering::Relaxed);
        totals.shed = counts.shed.load(Ordering::Relaxed);
        self.inherited.add_to(&mut totals, &Cause::WORDS);
        totals.waiting = counts.waiting.load(Ordering::Relaxed);
        totals
    }
}

fn scaling_status(Scaling { least, most, utilization, limit }: Scaling) -> ScalingStatus {
    let utilization = utilization.map(|parts| f64::from(parts) / 1_000.0);
    let [most_word, memory, crashes] = ScalingStatus::LIMITS;
    let limited_by = limit.map(|limit| match limit {
        Limit::Most => most_word,
        Limit::Memory { .. } => memory,
        Limit::Crashes { .. } => crashes,
    });
    ScalingStatus { min: least, max: most, utilization, limited_by }
}

fn worker_status(
    record: &WorkerRecord,
    handle: &WorkerHandle,
    stuck_for: Option<u64>,
    slot: SlotRecord,
) -> WorkerStatus {
    let numbers = status::worker_numbers(handle.pid, &handle.row, &handle.usage, stuck_for);
    let state = match record.state {
        WorkerState::Starting { .. } if stuck_for.is_some() => numbers.state,
        WorkerState::Starting { .. } => "starting",
        WorkerState::Waiting { .. } => "spare",
        WorkerState::Ready { .. } => numbers.state,
        WorkerState::Draining { .. } => "draining",
        WorkerState::Killed { .. } => "killed",
    };
    WorkerStatus {
        slot: record.slot,
        generation: record.generation,
        state,
        started_at: Time(handle.started_at),
        restarts: slot.restarts,
        crashes: slot.crashes,
        ..numbers
    }
}

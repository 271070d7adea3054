//! Executes what the state machine of `supervision` decides.

use std::collections::VecDeque;
use std::os::fd::AsFd;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::inbox::Input;
use super::launch::{PlainOptions, WorkerIdentity};
use super::task::Task;
use super::worker_handle::{Listeners, SharedMemory, WorkerHandle};
use crate::config::Balance;
use crate::dispatcher::Request;
use crate::handover::PredecessorEvent;
use crate::health::Problem;
use crate::os::process::Identity;
use crate::os::thread;
use crate::os::{self, memory};
use crate::protocol::worker::WorkerId;
use crate::supervision::{Action, Event, Outcome, Phase};

/// How long the kernel may take for the process before a worker, milliseconds.
const LONGEST_END: u64 = 10_000;

/// The phase of a master whose successor has everything.
const HANDED_OVER: Phase = Phase::ShuttingDown { outcome: Outcome::HandedOver };

impl Task {
    /// Feeds `event` to the state machine, with the events that its actions cause at once, and
    /// passes on the new state to those who follow it.
    pub(super) fn apply(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            for action in self.parts.supervisor.on_event(event, os::now()) {
                events.extend(self.execute(action));
            }
        }
        self.follow_takeover();
        self.aim_health_check();
        // The health check of a monitor that ends still answers what it found before.
        if self.parts.supervisor.phase() != &HANDED_OVER {
            self.parts.availability.set(self.unavailable());
        }
        self.parts.notifier.update(&self.parts.supervisor);
    }

    /// Has the monitor's health check ask the oldest worker that is ready: a new one may not stay.
    fn aim_health_check(&mut self) {
        let Some(checker) = &self.parts.checker else { return };
        let mut ready = self.parts.supervisor.ready_workers();
        let oldest = ready.find_map(|(id, _)| self.workers.get(&id)?.endpoints.first());
        if let Some(endpoint) = oldest.cloned()
            && self.probed.set(Some(endpoint.clone()))
        {
            checker.set_app(endpoint);
        }
    }

    /// Why there is no worker to send clients to: none is ready, or all that serve the address that
    /// the health check probes are stuck.
    pub(super) fn unavailable(&self) -> Problem {
        let supervisor = &self.parts.supervisor;
        let mut ready = supervisor.ready_workers().peekable();
        if ready.peek().is_none() {
            return Some("no worker is ready".to_owned());
        }
        let first = |id| self.workers.get(&id).and_then(|handle| handle.endpoints.first());
        let probed = ready.clone().find_map(|(id, _)| first(id));
        let serves = |id| {
            let handle: Option<&WorkerHandle> = self.workers.get(&id);
            handle.is_some_and(|handle| probed.is_none_or(|at| handle.endpoints.contains(at)))
        };
        let waits = ready.filter(|(id, _)| serves(*id));
        let waits: Option<Vec<_>> = waits.map(|(_, worker)| supervisor.stuck_for(worker)).collect();
        let shortest = waits?.into_iter().min()? / 1_000;
        Some(format!("no event loop of a worker has turned for {shortest} s"))
    }

    fn execute(&mut self, action: Action) -> Option<Event> {
        match action {
            Action::Spawn { worker, slot, generation, spare } => {
                return Some(self.start_worker(worker, slot, generation, spare));
            }
            Action::Activate { worker } => {
                self.parts.dispatcher.send(Request::Activate(worker));
            }
            Action::Drain { worker } => {
                if let Some(handle) = self.workers.get_mut(&worker) {
                    handle.draining_since = Some(os::now());
                }
                self.parts.dispatcher.send(Request::Drain(worker));
            }
            Action::Ask { worker, dying } => self.ask_execution(worker, dying),
            Action::AskToBeat { worker } => {
                self.parts.dispatcher.send(Request::Beat(worker));
            }
            Action::Kill { worker } => {
                self.workers.get(&worker).into_iter().for_each(WorkerHandle::kill);
            }
            Action::MeasureMemory => {
                return Some(Event::MemoryMeasured { available: memory::available() });
            }
            Action::StopAdmitting => self.stop_admitting(),
            Action::Notify(notice) => self.announce(notice),
            Action::Finish(outcome) => self.finish(outcome),
        }
        None
    }

    fn finish(&mut self, outcome: Outcome) {
        match &outcome {
            Outcome::HandedOver => self.advance_upgrade(PredecessorEvent::Drained),
            Outcome::StartFailed { reason } => self.refuse_takeover(reason),
            Outcome::Clean => {}
        }
        self.outcome = Some(outcome);
    }

    fn stop_admitting(&self) {
        let (done, closed) = oneshot::channel();
        self.parts.dispatcher.send(Request::StopAdmitting(done));
        let inputs = self.parts.inputs.clone();
        thread::task("closing to new clients", async move {
            // An error means that the dispatcher has ended, and its sockets with it: also closed.
            let _ = closed.await;
            inputs.send(Input::Closed);
        });
    }

    /// Starts a worker. Returns what came of it.
    fn start_worker(&mut self, worker: WorkerId, slot: u32, generation: u32, spare: bool) -> Event {
        let failed = |reason: String| Event::SpawnFailed { worker, reason };
        let output = match self.parts.logs.as_ref().map(|logs| logs.open(slot)).transpose() {
            Ok(output) => output,
            Err(error) => return failed(error.message()),
        };
        let Some(row) = self.free_rows.pop_first().and_then(|index| self.parts.board.row(index))
        else {
            return failed("the scoreboard is full: too many workers are still draining".into());
        };
        let row_index = row.index();
        let ending = self.ending_in(slot);
        let before = ending.and_then(|id| self.workers.get(&id));
        let after = before.and_then(|handle| Identity::of(handle.pid).ok());
        let identity =
            WorkerIdentity { spare, after, ..self.identity(worker, slot, generation, row_index) };
        let parts = &mut self.parts;
        let output = output.as_ref().map(|files| files.each_ref().map(AsFd::as_fd));
        let written = output.and_then(|[_, err]| rustix::fs::fstat(err).ok());
        let (embedder, inputs) = (Arc::clone(&parts.embedder), parts.inputs.clone());
        match WorkerHandle::start(
            &identity,
            &parts.launch,
            output,
            SharedMemory { board: &parts.board, code: &mut self.code },
            row,
            Listeners { embedder, inputs },
            &mut self.worker_tasks,
        ) {
            Ok((mut handle, link)) => {
                let written = written.map(|file| file.st_size.unsigned_abs());
                handle.errors_before = written.unwrap_or_default();
                let ending = ending.and_then(|id| self.workers.get_mut(&id));
                ending.into_iter().for_each(|ending| ending.errors_until = written);
                let pid = handle.pid;
                tracing::info!(pid, slot, generation, spare, "a worker was started");
                parts.dispatcher.send(Request::Attach(Box::new(link)));
                parts.pids.add_worker(pid);
                self.workers.insert(worker, handle);
                Event::Spawned { worker, pid }
            }
            Err(error) => {
                self.free_rows.insert(row_index);
                failed(format!("{}: {error}", parts.launch.program))
            }
        }
    }

    /// The latest worker of a slot whose process ends.
    fn ending_in(&self, slot: u32) -> Option<WorkerId> {
        let workers = self.parts.supervisor.workers();
        let ending = workers.filter(|(_, worker)| worker.slot == slot && worker.is_ending);
        ending.map(|(id, _)| id).last()
    }

    fn identity(&self, worker: WorkerId, slot: u32, generation: u32, row: usize) -> WorkerIdentity {
        let config = &self.parts.info.config;
        let launch = &self.parts.launch;
        let plain = || PlainOptions { ecv: config.ecv.clone(), timeout: config.timeout };
        WorkerIdentity {
            id: worker.0,
            slot,
            generation,
            spare: false,
            row,
            orphan_limit: config.shutdown_timeout,
            beat: self.parts.supervisor.beat_interval(),
            move_idle: config.move_idle,
            seizes: config.move_idle && config.balance != Balance::IpHash,
            retry: config.retry,
            pids: config.pids.clone(),
            output: config.output,
            logs: self.parts.logs.as_ref().map(|logs| logs.path().to_owned()),
            after: None,
            node_options: launch.replaced_options(),
            end_limit: LONGEST_END.min(config.start_timeout / 2),
            inspect_port: launch.inspect_port(row),
            cwd: launch.cwd.clone(),
            ready_after: (!config.listen).then_some(config.min_ready_time),
            serve: launch.plain.then(plain),
        }
    }
}

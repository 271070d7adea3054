//! What the supervisor is asked, by its own embedder or from elsewhere, and the picture of the cluster.

use std::sync::atomic::Ordering;

use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::config::MAX_WORKERS;
use crate::error::{ClusterError, Result};
use crate::health::verdict;
use crate::master::inbox::Signal;
use crate::master::task::Task;
use crate::master::worker_handle::WorkerHandle;
use crate::protocol::control::Command;
use crate::protocol::status::{
    Master, Reload, Status, Time, Totals, Unhealthy, Worker as WorkerStatus,
};
use crate::remote::server::Reply;
use crate::supervision::{Event, Progress, WorkerRecord, WorkerState};
use crate::{os, snapshot};

/// A message that is one line of JSON, as Node's IPC wants it.
fn one_line(message: String) -> Result<String> {
    if !message.contains('\n') && serde_json::from_str::<&RawValue>(&message).is_ok() {
        return Ok(message);
    }
    let got = message.chars().take(60).collect();
    Err(ClusterError::OptionInvalid {
        name: "message".into(),
        expected: "one line of JSON".into(),
        got,
    })
}

impl Task {
    pub(super) fn on_command(&mut self, command: Command, reply: Reply) {
        tracing::debug!(?command, "asked");
        match command {
            Command::Status => reply(Ok(json!(self.status()))),
            Command::Stop => {
                self.at_end.push(reply);
                self.apply(Event::Stop);
            }
            Command::Shutdown { wait } => {
                match (wait, self.door_shut) {
                    (true, _) => self.at_end.push(reply),
                    (false, true) => reply(Ok(self.parts.facts.left())),
                    (false, false) => self.at_door.push(reply),
                }
                self.leave();
            }
            Command::Reload { addresses_may_change } if self.parts.supervisor.is_running() => {
                self.at_reload.push((self.parts.supervisor.next_round(), reply));
                self.reload(addresses_may_change);
            }
            Command::Reload { .. } => {
                reply(Err(ClusterError::WrongState { command: "reload", state: "shutting down" }))
            }
            Command::Ecv { disabled } => reply(self.switch(disabled)),
            Command::ReopenLogs => self.reopen_logs(reply),
            Command::Scale { workers } => reply(self.scale(workers.into())),
            Command::ScaleBy { by } => {
                let target = i64::from(self.parts.supervisor.target());
                reply(self.scale(target.saturating_add(by.into())));
            }
            Command::Send { pid, message } => {
                reply(one_line(message).and_then(|message| self.send(pid, &message)))
            }
            Command::Broadcast { message } => reply(one_line(message).map(|message| {
                let sent = self.members.values().filter(|member| member.send(&message)).count();
                json!({ "sent": sent })
            })),
        }
    }

    /// Does what a signal wants; what comes of it is told by events.
    pub(super) fn on_signal(&mut self, signal: Signal) {
        tracing::debug!(?signal, "asked");
        match signal {
            Signal::Shutdown => self.leave(),
            Signal::Stop => self.apply(Event::Stop),
            Signal::Reload => self.reload(false),
            Signal::ReopenLogs if self.parts.logs.is_some() => self.parts.dispatcher.reopen(),
            Signal::ReopenLogs => {}
        }
    }

    fn leave(&mut self) {
        self.parts.board.header().leave(os::wall());
        self.apply(Event::Shutdown);
    }

    fn reload(&mut self, addresses_may_change: bool) {
        if self.parts.supervisor.is_running() {
            self.parts.notifier.reload_asked();
            self.apply(Event::Reload { addresses_may_change });
        }
    }

    fn switch(&mut self, disabled: bool) -> Result<Value> {
        let header = self.parts.board.header();
        let mut by = None;
        let answer =
            verdict::switch(&self.parts.facts.config, &header, disabled, |who| by = Some(who));
        by.into_iter().for_each(|by| self.apply(Event::Switched { disabled, by }));
        answer
    }

    fn reopen_logs(&mut self, reply: Reply) {
        if self.parts.logs.is_none() {
            let state = "not writing log files (option 'output')";
            return reply(Err(ClusterError::WrongState { command: "reopen logs", state }));
        }
        self.parts.dispatcher.reopen();
        self.at_reopen.wait(self.members.keys().copied().collect(), reply);
    }

    fn scale(&mut self, workers: i64) -> Result<Value> {
        let wanted =
            u32::try_from(workers).ok().filter(|wanted| (1..=MAX_WORKERS).contains(wanted));
        let Some(workers) = wanted else {
            return Err(ClusterError::OptionInvalid {
                name: "workers".into(),
                expected: format!("a whole number from 1 to {MAX_WORKERS}"),
                got: workers.to_string(),
            });
        };
        if !self.parts.supervisor.is_running() {
            return Err(ClusterError::WrongState { command: "scale", state: "shutting down" });
        }
        let before = self.parts.supervisor.target();
        self.apply(Event::Scale { workers });
        Ok(json!({ "before": before, "workers": workers }))
    }

    fn send(&self, pid: u32, message: &str) -> Result<Value> {
        match self.members.values().find(|member| member.pid == pid) {
            None => Err(ClusterError::WorkerUnknown { pid }),
            Some(member) if member.send(message) => Ok(json!({ "sent": 1 })),
            Some(_) => Err(ClusterError::WorkerBusy { pid }),
        }
    }

    pub(super) fn status(&self) -> Status {
        let supervisor = &self.parts.supervisor;
        let workers = supervisor.workers().filter_map(|(id, worker)| {
            let member = self.members.get(&id)?;
            Some(worker_status(worker, member, supervisor.restarts(worker.slot)))
        });
        let mut workers: Vec<_> = workers.collect();
        workers.sort_by_key(|worker| (worker.slot, worker.generation));
        let own = supervisor.master_problem().map(|problem| (std::process::id(), problem));
        let problems = supervisor.problems().chain(own);
        let problems = problems.map(|(pid, problem)| Unhealthy { pid, reason: problem.to_owned() });
        Status {
            running: true,
            master: self.master(),
            workers,
            ecv: snapshot::ecv(&self.parts.board.header(), problems.collect()),
            totals: self.totals(),
        }
    }

    fn master(&self) -> Master {
        let supervisor = &self.parts.supervisor;
        let reload = supervisor
            .reload_progress()
            .map(|Progress { replaced, total, again }| Reload { replaced, total, again });
        Master {
            reload,
            ..self.parts.facts.master(
                supervisor.is_running(),
                supervisor.target(),
                self.listening(),
            )
        }
    }

    /// What is served now: by all workers that are ready, in the order of the first one that says so.
    fn listening(&self) -> Vec<String> {
        let mut listening: Vec<String> = Vec::new();
        let ready = self.parts.supervisor.workers().filter(|(_, worker)| worker.is_ready());
        for (id, worker) in ready {
            let Some(member) = self.members.get(&id) else { continue };
            let told = member.places.iter().map(|place| place.at.to_string());
            let served =
                told.filter(|place| worker.addresses.contains(place) || member.own.contains(place));
            for address in served.chain(worker.addresses.iter().cloned()) {
                if !listening.contains(&address) {
                    listening.push(address);
                }
            }
        }
        listening
    }

    fn totals(&self) -> Totals {
        let mut totals = self.past.clone();
        self.members.values().for_each(|member| snapshot::add(&mut totals, &member.row));
        let counts = self.parts.dispatcher.counts();
        totals.handed = counts.handed.load(Ordering::Relaxed);
        totals.reclaimed = counts.reclaimed.load(Ordering::Relaxed);
        totals.moved = counts.moved.load(Ordering::Relaxed);
        totals.waiting = counts.waiting.load(Ordering::Relaxed);
        totals
    }
}

/// The status of one worker.
fn worker_status(worker: &WorkerRecord, member: &WorkerHandle, restarts: u32) -> WorkerStatus {
    let state = match worker.state {
        WorkerState::Starting { .. } => "starting",
        WorkerState::Ready { .. } => "ready",
        WorkerState::Draining { .. } => "draining",
        WorkerState::Killed { .. } => "killed",
    };
    let (slot, generation) = (worker.slot, worker.generation);
    let started_at = Time(member.started_at);
    WorkerStatus {
        slot,
        pid: member.pid,
        generation,
        state,
        started_at,
        restarts,
        ..snapshot::numbers(&member.row)
    }
}

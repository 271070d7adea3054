//! The start of a worker.

use std::os::fd::AsFd;
use std::sync::Arc;

use crate::dispatcher::event_loop::Request;
use crate::master::task::Task;
use crate::master::worker_handle::{Identity, Listeners, Serve, WorkerHandle};
use crate::protocol::worker::WorkerId;
use crate::supervision::Event;

impl Task {
    pub(super) fn spawn(&mut self, worker: WorkerId, slot: u32, generation: u32) -> Event {
        let failed = |reason: String| Event::SpawnFailed { worker, reason };
        let output = match self.parts.logs.as_ref().map(|logs| logs.open(slot)).transpose() {
            Ok(output) => output,
            Err(error) => return failed(error.to_string()),
        };
        let Some(row) = self.free_rows.pop_first().and_then(|index| self.parts.board.row(index))
        else {
            return failed("the scoreboard is full: too many workers are still draining".into());
        };
        let identity = self.identity(worker, slot, generation, row.index());
        let parts = &mut self.parts;
        let output = output.as_ref().map(|files| files.each_ref().map(AsFd::as_fd));
        let listeners =
            Listeners { embedder: Arc::clone(&parts.embedder), inputs: parts.inputs.clone() };
        let attending = &mut self.attending;
        match WorkerHandle::start(
            &identity,
            &parts.launch,
            output,
            &parts.board,
            row.clone(),
            listeners,
            attending,
        ) {
            Ok((member, peer)) => {
                tracing::info!(pid = member.pid, slot, generation, "a worker was started");
                parts.dispatcher.send(Request::Attach(Box::new(peer)));
                parts.pids.add_worker(member.pid);
                let pid = member.pid;
                self.members.insert(worker, member);
                Event::Spawned { worker, pid }
            }
            Err(error) => {
                self.free_rows.insert(row.index());
                failed(format!("{}: {error}", self.parts.launch.program))
            }
        }
    }

    fn identity(&self, worker: WorkerId, slot: u32, generation: u32, row: usize) -> Identity {
        let config = &self.parts.facts.config;
        Identity {
            id: worker.0,
            slot,
            generation,
            row,
            orphan_limit: config.shutdown_timeout,
            // Several beats within the limit, so that one that is late harms nobody.
            beat: (config.max_heartbeat_delay / 4).clamp(100, 1_000),
            move_idle: config.move_idle,
            pids: config.pids.clone(),
            output: config.output,
            logs: self.parts.logs.as_ref().map(|logs| logs.path().to_owned()),
            inspect_port: self.parts.launch.inspect_port(row),
            cwd: self.parts.launch.cwd.clone(),
            serve: self
                .parts
                .launch
                .plain
                .then(|| Serve { ecv: config.ecv.clone(), timeout: config.timeout }),
        }
    }
}

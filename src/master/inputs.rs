//! What the supervisor's task does with each message of its inbox.

use std::path::Path;

use super::inbox::Input;
use super::last_lines;
use super::task::Task;
use super::worker_handle::WorkerHandle;
use crate::dispatcher::Request;
use crate::embedder::MasterEvent;
use crate::os;
use crate::protocol::Report;
use crate::protocol::worker::{Exit, WorkerId};
use crate::protocol::{Endpoint, EndpointAddress};
use crate::status;
use crate::supervision::{Cause, Event, LastWords, WorkerState};

impl Task {
    pub(super) fn on_input(&mut self, input: Input) {
        match input {
            Input::Report(worker, report) => self.on_report(worker, report),
            Input::Serves(worker, addresses) => {
                let addresses = addresses.iter().map(EndpointAddress::to_string).collect();
                self.apply(Event::Serves { worker, addresses });
            }
            Input::SaysReady(worker) => {
                self.parts.dispatcher.send(Request::Announce(worker));
            }
            Input::Ending(worker) => self.apply(Event::Ending { worker }),
            Input::Exited(worker, exit) => {
                self.apply(Event::Ending { worker });
                // Its last reports, such as why it ended, come before its end.
                if !self.parts.dispatcher.send(Request::Detach(worker, exit)) {
                    self.on_gone(worker, exit);
                }
            }
            Input::Gone(worker, exit) => self.on_gone(worker, exit),
            Input::Executed(worker, execution) => self.on_executed(worker, *execution),
            Input::Command(command, reply) => self.on_command(command, reply),
            Input::Signal(signal) => self.on_signal(signal),
            // The client may have left.
            Input::Status(reply) => drop(reply.send(self.status())),
            Input::Checked { problem } => self.apply(Event::MasterChecked { problem }),
            Input::Switched { disabled, by } => self.on_switched(disabled, by),
            Input::Warning(message) => self.warn(message),
            Input::SocketsCopied(copied) => self.on_sockets_copied(copied),
            Input::Heir(pid, news) => self.on_heir(pid, news),
            Input::Predecessor(news) => self.on_predecessor(news),
            Input::Adopted(adopted) => self.on_adopted(adopted),
            Input::Closed => {
                self.is_closed = true;
                self.replies.closed(&self.parts.info.end_answer());
            }
        }
    }

    fn on_report(&mut self, worker: WorkerId, report: Report) {
        match report {
            Report::Waiting { .. } => {
                self.watch_exit(worker);
                self.apply(Event::Waiting { worker });
            }
            Report::Ready { endpoints, .. } => self.on_ready(worker, endpoints),
            Report::Leaving => self.apply(Event::Leaving { worker }),
            Report::Signal { signal } => {
                // Reports come before the end of their worker, so its handle is there.
                if let Some(handle) = self.workers.get(&worker) {
                    self.parts.embedder.emit(MasterEvent::Signal { pid: handle.pid, signal });
                }
            }
            Report::LastWords { words } => {
                self.apply(Event::UncaughtError { worker, message: words });
            }
            Report::Checked { problem } => self.apply(Event::Checked { worker, problem }),
            Report::Switched { disabled, by } => self.on_switched(disabled, by),
            Report::Warning { message } => self.warn(message),
            Report::Inspected { problem } => self.replies.inspected(worker, problem.as_deref()),
            Report::Reopened => self.replies.reopened(worker),
            report => tracing::error!(worker = worker.0, ?report, "not for the supervisor"),
        }
    }

    /// The health check was switched here, which another master of the same cluster has to know.
    pub(super) fn on_switched(&mut self, disabled: bool, by: String) {
        self.tell_heir_switched(disabled, &by);
        self.tell_predecessor_switched(disabled, &by);
        self.apply(Event::Switched { disabled, by });
    }

    fn on_ready(&mut self, worker: WorkerId, mut endpoints: Vec<Endpoint>) {
        if let (Some(handle), Some(record)) =
            (self.workers.get_mut(&worker), self.parts.supervisor.worker(worker))
        {
            let cwd = self.parts.launch.cwd.as_deref().map(Path::new);
            for endpoint in &mut endpoints {
                endpoint.at.anchor(cwd, |path| record.addresses.contains(path));
            }
            let addresses = endpoints.iter().map(|endpoint| endpoint.at.to_string());
            handle.own_addresses =
                addresses.filter(|address| !record.addresses.contains(address)).collect();
            handle.endpoints = endpoints;
        }
        self.watch_exit(worker);
        self.apply(Event::Ready { worker });
    }

    /// Waits for news of the end of a worker, which holds its lock by now.
    fn watch_exit(&self, worker: WorkerId) {
        if let (Some(news), Some(handle)) = (&self.parts.exit_news, self.workers.get(&worker)) {
            news.add(worker.0, &handle.row);
        }
    }

    fn on_gone(&mut self, worker: WorkerId, exit: Exit) {
        while self.worker_tasks.try_join_next().is_some() {}
        let record = self.parts.supervisor.worker(worker);
        if record.is_some_and(|record| may_be_of_compiled_code(record.state, exit)) {
            self.code.renew();
        }
        if let Some(handle) = self.workers.remove(&worker) {
            tracing::info!(pid = handle.pid, ?exit, "a worker is gone");
            self.parts.pids.remove_worker(handle.pid);
            status::add_counts(&mut self.past, &handle.row);
            if let Some(since) = handle.draining_since {
                self.past.drains.add(os::now().saturating_sub(since));
            }
            if let Some(news) = &self.parts.exit_news {
                news.remove(worker.0);
            }
            self.free_rows.insert(handle.row.index());
            self.read_last_lines(worker, &handle);
        }
        self.replies.reopened(worker);
        self.replies.inspected(worker, Some("it has ended"));
        self.end_execution(worker);
        self.apply(Event::Exited { worker, exit });
    }

    /// Finds what a worker that is gone wrote last to standard error. Its file has also what Node,
    /// V8 and addons wrote; but an uncaught error is told apart from the lines before it.
    fn read_last_lines(&mut self, worker: WorkerId, handle: &WorkerHandle) {
        let Some(record) = self.parts.supervisor.worker(worker) else { return };
        let LastWords { slot, error, .. } = record.last_words();
        let file = self.parts.logs.as_ref().filter(|_| error.is_none());
        let (from, until) = (handle.errors_before, handle.errors_until);
        let mut lines = file.map(|logs| logs.last_lines(slot, from, until)).unwrap_or_default();
        if lines.is_empty() {
            lines = last_lines::of(&handle.row.last_text());
        }
        self.apply(Event::LastLines { worker, lines });
    }

    pub(super) fn warn(&mut self, message: String) {
        self.emit(MasterEvent::Warning { message });
    }
}

/// Whether a worker may have ended by what another one had compiled: before it was ready, or by
/// what a broken program ends by.
fn may_be_of_compiled_code(state: WorkerState, exit: Exit) -> bool {
    let is_broken =
        matches!(exit, Exit::Signal("SIGSEGV" | "SIGILL" | "SIGBUS" | "SIGTRAP" | "SIGABRT"));
    let late = WorkerState::Killed { cause: Cause::StartTimeout };
    is_broken || state == late || matches!(state, WorkerState::Starting { .. })
}

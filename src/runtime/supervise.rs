//! The supervisor's task: feeds the state machine of `core` with what happens, and executes what it answers.
//!
//! The one owner of all supervision state. It waits for nothing but its inbox and the next deadline.

mod commands;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio::time::MissedTickBehavior;

use super::dispatcher::{Dispatcher, Request};
use super::health::Judge;
use super::member::{Identity, Launch, Member, Serve};
use super::monitor::Monitor;
use super::notify::{self, Notifier};
use super::output::{Logs, Reopening};
use super::pids::Pids;
use super::status;
use super::{Failure, Front, Told};
use crate::core::Millis;
use crate::core::event::{Action, Event, Notice, Outcome, Reading};
use crate::core::supervisor::Supervisor;
use crate::core::worker::{Cause, Exit, State, WorkerId};
use crate::error::{ClusterError, Result};
use crate::ipc::control::Command;
use crate::ipc::frame::Report;
use crate::ipc::place::Place;
use crate::ipc::status::{Status, Totals};
use crate::sys;
use crate::sys::scoreboard::{Field, Scoreboard};

/// Takes the answer to a command.
pub type Reply = Box<dyn FnOnce(Result<Value>) + Send>;

/// What comes into the supervisor's inbox.
pub enum Input {
    /// A worker reported something over its channel.
    Report(WorkerId, Report),
    /// A worker sent a message over Node's IPC.
    Message(WorkerId, Box<RawValue>),
    /// A worker's process has ended.
    Exited(WorkerId, Exit),
    /// And the dispatcher has heard it to the end.
    Gone(WorkerId, Exit),
    /// Somebody asks something.
    Command(Command, Reply),
    /// The monitor wants the picture of the cluster.
    Status(oneshot::Sender<Status>),
    /// Checks on the monitor's port find something else than before.
    Checked(Option<String>),
    /// The monitor switched the health check: the direction, and who asked.
    Switched(bool, String),
    /// The monitor has something to tell.
    Warning(String),
    /// Nobody new gets in any more.
    DoorShut,
}

/// What the task is made of; see [`Supervise::run`].
pub struct Supervise {
    /// The state machine.
    pub supervisor: Supervisor,
    /// The thread that accepts.
    pub dispatcher: Dispatcher,
    /// The shared memory.
    pub board: Arc<Scoreboard>,
    /// The directory.
    pub pids: Pids,
    /// How workers are started.
    pub launch: Launch,
    /// The workers' log files, if they write into some.
    pub logs: Option<Logs>,
    /// Who embeds us.
    pub front: Arc<dyn Front>,
    /// Our own inbox, for those who report to it.
    pub inputs: mpsc::Sender<Input>,
    /// What does not change, for `status()`.
    pub facts: status::Facts,
    /// The health check on the monitor's port, if it is on.
    pub judge: Option<Arc<Judge>>,
    /// Whether any worker is ready, for the monitor's thread.
    pub ready: Arc<AtomicBool>,
    /// The monitor, if it is on; it ends with the cluster.
    pub monitor: Option<Monitor>,
    /// Tells the service manager.
    pub notifier: Notifier,
}

/// The task's own state.
struct Task {
    parts: Supervise,
    members: BTreeMap<WorkerId, Member>,
    free_rows: BTreeSet<usize>,
    /// What was counted, but for what living workers and the dispatcher count themselves.
    past: Totals,
    /// Who waits for the door to be shut.
    at_door: Vec<Reply>,
    /// Who waits for the end.
    at_end: Vec<Reply>,
    /// Who waits for the reload.
    at_reload: Vec<Reply>,
    /// Who waits for log files.
    at_reopen: Reopening,
    door_shut: bool,
    /// Where the app listens, as the worker that became ready last says.
    places: Vec<Place>,
    outcome: Option<Outcome>,
}

impl Supervise {
    /// Runs the cluster until it has ended, and gives the front back: letting go of it lets the process end.
    pub async fn run(self, mut inbox: mpsc::Receiver<Input>) -> Arc<dyn Front> {
        let free_rows = (0..self.board.rows()).collect();
        let mut task = Task {
            parts: self,
            members: BTreeMap::new(),
            free_rows,
            past: Totals::default(),
            at_door: Vec::new(),
            at_end: Vec::new(),
            at_reload: Vec::new(),
            at_reopen: Reopening::default(),
            door_shut: false,
            places: Vec::new(),
            outcome: None,
        };
        task.apply(Event::Start);
        let mut samples = tokio::time::interval(Duration::from_millis(task.parts.supervisor.sample_interval()));
        samples.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut signs_of_life = task.parts.notifier.ticks();
        while task.outcome.is_none() {
            let wait = task.parts.supervisor.next_deadline().map(|at| at.saturating_sub(sys::now()));
            tokio::select! {
                Some(input) = inbox.recv() => task.on_input(input),
                () = sleep(wait) => task.apply(Event::Tick),
                _ = samples.tick() => task.sample(),
                () = notify::tick(&mut signs_of_life) => task.give_sign_of_life(),
            }
        }
        task.end()
    }
}

async fn sleep(wait: Option<Millis>) {
    match wait {
        Some(wait) => tokio::time::sleep(Duration::from_millis(wait)).await,
        None => std::future::pending().await,
    }
}

impl Task {
    fn give_sign_of_life(&self) {
        if let Some(answered) = self.parts.notifier.tick() {
            self.parts.dispatcher.send(Request::Answer(answered));
        }
    }

    fn on_input(&mut self, input: Input) {
        match input {
            Input::Report(worker, Report::Ready { places, .. }) => self.ready(worker, places),
            Input::Report(worker, Report::Leaving) => self.apply(Event::Leaving { worker }),
            Input::Report(worker, Report::Signal { signal }) => {
                self.tell_of(worker, |pid| Told::Signal { pid, signal });
            }
            Input::Report(worker, Report::LastWords { words }) => self.apply(Event::LastWords { worker, words }),
            Input::Report(worker, Report::Checked { problem }) => self.apply(Event::Checked { worker, problem }),
            Input::Checked(problem) => self.apply(Event::MasterChecked { problem }),
            Input::Report(_, Report::Switched { disabled, by }) | Input::Switched(disabled, by) => {
                self.apply(Event::Switched { disabled, by });
            }
            Input::Report(_, Report::Warning { message }) | Input::Warning(message) => {
                self.parts.front.tell(Told::Warning { message });
            }
            Input::Report(worker, Report::Reopened) => self.at_reopen.done(worker),
            Input::Report(worker, Report::LastLines { lines }) => self.apply(Event::LastLines { worker, lines }),
            Input::Report(worker, report) => tracing::error!(worker = worker.0, ?report, "not for the supervisor"),
            Input::Message(worker, message) => self.tell_of(worker, |pid| Told::Message { pid, message }),
            Input::Exited(worker, exit) => {
                // What it reported last, such as why it ended, comes before its end.
                if !self.parts.dispatcher.send(Request::Detach(worker, exit)) {
                    self.gone(worker, exit);
                }
            }
            Input::Gone(worker, exit) => self.gone(worker, exit),
            Input::Command(command, reply) => self.on_command(command, reply),
            // Who asked may have gone in the meantime.
            Input::Status(asked) => drop(asked.send(self.status())),
            Input::DoorShut => {
                self.door_shut = true;
                for reply in std::mem::take(&mut self.at_door) {
                    reply(Ok(self.parts.facts.left()));
                }
            }
        }
    }

    fn ready(&mut self, worker: WorkerId, places: Vec<Place>) {
        if let (Some(judge), Some(app)) = (&self.parts.judge, places.first()) {
            judge.check.aim(app.clone());
        }
        self.places = places;
        self.apply(Event::Ready { worker });
    }

    fn sample(&mut self) {
        let reading = |(id, member): (&WorkerId, &Member)| Reading {
            worker: *id,
            beat: member.row.count(Field::Beat),
            connections: member.row.count(Field::ConnectionsTotal),
            memory: member.row.count(Field::Rss),
        };
        let readings = self.members.iter().map(reading).collect();
        self.apply(Event::Sample { readings });
    }

    fn tell_of(&self, worker: WorkerId, told: impl FnOnce(u32) -> Told) {
        // A worker that is gone has nothing more to tell: everything it sent came before its end.
        if let Some(member) = self.members.get(&worker) {
            self.parts.front.tell(told(member.pid));
        }
    }

    fn gone(&mut self, worker: WorkerId, exit: Exit) {
        if let Some(member) = self.members.remove(&worker) {
            tracing::info!(pid = member.pid, ?exit, "a worker is gone");
            self.parts.pids.remove_worker(member.pid);
            status::add(&mut self.past, &member.row);
            if let Some(since) = member.draining_since {
                self.past.drains.add(sys::now().saturating_sub(since));
            }
            self.free_rows.insert(member.row.index());
        }
        self.at_reopen.done(worker);
        self.apply(Event::Exited { worker, exit });
    }

    /// Feeds one event, and whatever its actions bring about at once.
    fn apply(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            for action in self.parts.supervisor.on_event(event, sys::now()) {
                events.extend(self.execute(action));
            }
        }
        let ready = self.parts.supervisor.workers().any(|(_, worker)| matches!(worker.state, State::Ready { .. }));
        self.parts.ready.store(ready, Ordering::Relaxed);
        self.parts.notifier.update(&self.parts.supervisor);
    }

    fn execute(&mut self, action: Action) -> Option<Event> {
        match action {
            Action::Spawn { worker, slot, generation } => return Some(self.spawn(worker, slot, generation)),
            Action::Drain { worker } => {
                if let Some(member) = self.members.get_mut(&worker) {
                    member.draining_since = Some(sys::now());
                }
                self.parts.dispatcher.send(Request::Drain(worker));
            }
            Action::Kill { worker } => {
                if let Some(member) = self.members.get(&worker) {
                    member.kill();
                }
            }
            Action::CloseDoor => self.shut_door(),
            Action::Tell(notice) => self.tell(notice),
            Action::Finish(outcome) => self.outcome = Some(outcome),
        }
        None
    }

    fn spawn(&mut self, worker: WorkerId, slot: u32, generation: u32) -> Event {
        let failed = |reason: String| Event::SpawnFailed { worker, reason };
        let output = match self.parts.logs.as_ref().map(|logs| logs.open(slot)).transpose() {
            Ok(output) => output,
            Err(error) => return failed(error.to_string()),
        };
        let Some(row) = self.free_rows.pop_first().and_then(|index| self.parts.board.row(index)) else {
            return failed("the scoreboard is full: too many workers are still draining".into());
        };
        let identity = self.identity(worker, slot, generation, row.index());
        let parts = &self.parts;
        let output = output.as_ref().map(|files| files.each_ref().map(AsFd::as_fd));
        match Member::start(&identity, &parts.launch, output, &parts.board, row.clone(), parts.inputs.clone()) {
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
            pids: config.pids.clone(),
            output: config.output,
            logs: self.parts.logs.as_ref().map(|logs| logs.path().to_owned()),
            inspect_port: self.parts.launch.inspect_port(row),
            cwd: self.parts.launch.cwd.clone(),
            serve: self.parts.launch.plain.then(|| Serve { ecv: config.ecv.clone(), timeout: config.timeout }),
        }
    }

    fn shut_door(&mut self) {
        let (done, shut) = oneshot::channel();
        self.parts.dispatcher.send(Request::ShutDoor(done));
        let inputs = self.parts.inputs.clone();
        tokio::spawn(async move {
            // An error means that the dispatcher is gone, and its sockets with it: shut as well.
            let _ = shut.await;
            let _ = inputs.send(Input::DoorShut).await;
        });
    }

    fn tell(&mut self, notice: Notice) {
        let told = match notice {
            Notice::Forked { pid } => Told::Forked { pid },
            Notice::Listening { pid } => {
                Told::Listening { pid, places: self.places.iter().map(|place| place.at.to_string()).collect() }
            }
            Notice::Died { pid, exit, cause } => {
                self.count_death(cause);
                let (code, signal) = match exit {
                    Exit::Code(code) => (Some(code), None),
                    Exit::Signal(signal) => (None, Some(signal)),
                };
                Told::Died { pid, code, signal, reason: cause.word() }
            }
            Notice::Cut { worker, pid } => {
                let connections = self.members.get(&worker).map_or(0, |m| m.row.count(Field::ConnectionsActive));
                let limit = self.parts.facts.config.shutdown_timeout;
                let message = format!(
                    "worker {pid} did not finish within {limit} ms (shutdownTimeout); it was killed with {connections} open connections"
                );
                Told::Warning { message }
            }
            Notice::Reloading { slot, pid, replaced, total } => Told::Reloading { slot, pid, replaced, total },
            Notice::Reloaded { replaced } => {
                self.past.reloads += 1;
                self.answer_reload(|| Ok(json!({ "replaced": replaced })));
                Told::Reload { replaced }
            }
            Notice::ReloadFailed { reason } => {
                self.past.reloads_failed += 1;
                let error = || ClusterError::ReloadFailed { reason: reason.clone() };
                self.answer_reload(|| Err(error()));
                Told::Warning { message: error().to_string() }
            }
            Notice::Recycling { pid, reason } => Told::Recycle { pid, reason },
            Notice::Unresponsive { pid, age } => Told::Unresponsive { pid, age },
            Notice::Disabled { pid, reason } => Told::Disable { pid, reason },
            Notice::Enabled => Told::Enable,
            Notice::Warning(message) => Told::Warning { message },
        };
        self.parts.front.tell(told);
    }

    fn count_death(&mut self, cause: Cause) {
        *self.past.deaths.entry(cause.word()).or_default() += 1;
    }

    fn answer_reload(&mut self, answer: impl Fn() -> Result<Value>) {
        for reply in std::mem::take(&mut self.at_reload) {
            reply(answer());
        }
    }

    fn end(self) -> Arc<dyn Front> {
        let Self { parts, at_door, at_end, outcome, .. } = self;
        drop(parts.dispatcher);
        drop(parts.monitor);
        parts.pids.release();
        for reply in at_door.into_iter().chain(at_end) {
            reply(Ok(parts.facts.left()));
        }
        let error = match outcome {
            Some(Outcome::StartFailed { reason }) => {
                let error = ClusterError::StartFailed { reason };
                Some(Failure { code: error.code().into(), message: error.to_string() })
            }
            _ => None,
        };
        tracing::info!("the cluster has ended");
        parts.front.tell(Told::Finished { error });
        parts.front
    }
}

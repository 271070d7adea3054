//! The supervisor's task: feeds the state machine of `core` with what happens, and executes what it answers.
//!
//! The one owner of all supervision state. It waits for nothing but its inbox and the next deadline. What always holds: before
//! it looks at a deadline it has heard what had come by then; and messages between users' scripts never pass through it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::changed::Changed;
use crate::clock::Millis;
use crate::dispatcher::event_loop::{Dispatcher, Request};
use crate::embedder::{Embedder, Failure, MasterEvent};
use crate::error::ClusterError;
use crate::health::verdict::HealthChecker;
use crate::master::inbox::Inbox;
use crate::master::inbox::Input;
use crate::master::inbox::Inputs;
use crate::master::log_files::{Logs, Reopening};
use crate::master::node_ipc::LAST_WORDS;
use crate::master::systemd::Notifier;
use crate::master::worker_handle::{Launch, WorkerHandle};
use crate::master::{notices, systemd};
use crate::monitor::thread::Monitor;
use crate::os::scoreboard::{Field, Scoreboard};
use crate::os::thread::Guard;
use crate::protocol::endpoint::{At, Endpoint};
use crate::protocol::frame::Report;
use crate::protocol::status::Totals;
use crate::protocol::worker::{Exit, WorkerId};
use crate::remote::pid_directory::Pids;
use crate::remote::server::Control;
use crate::remote::server::Reply;
use crate::supervision::{Action, Event, Outcome, Reading, Supervisor};
use crate::{os, snapshot};

/// How often it is looked whether others still find this cluster.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(1);

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
    pub embedder: Arc<dyn Embedder>,
    /// Our own inbox, for those who report to it.
    pub inputs: Inputs,
    /// What does not change, for `status()`.
    pub facts: snapshot::Facts,
    /// The health check on the monitor's port, if it is on.
    pub judge: Option<Arc<HealthChecker>>,
    /// Whether any worker is ready, for the monitor's thread.
    pub ready: Arc<AtomicBool>,
    /// The monitor, if it is on; it ends with the cluster.
    pub monitor: Option<Monitor>,
    /// Tells the service manager.
    pub notifier: Notifier,
}

/// The task's own state.
pub(super) struct Task {
    pub(super) parts: Supervise,
    pub(super) control: Control,
    /// Why others do not find this cluster in its directory, if they do not.
    pub(super) hidden: Changed<Option<String>>,
    pub(super) members: BTreeMap<WorkerId, WorkerHandle>,
    /// The tasks of the members, and of those that are gone and not heard to the end.
    pub(super) attending: JoinSet<()>,
    pub(super) free_rows: BTreeSet<usize>,
    /// What was counted, but for what living workers and the dispatcher count themselves.
    pub(super) past: Totals,
    /// Who waits for the door to be shut.
    pub(super) at_door: Vec<Reply>,
    /// Who waits for the end.
    pub(super) at_end: Vec<Reply>,
    /// Who waits for the end of which round of a reload.
    pub(super) at_reload: Vec<(u32, Reply)>,
    /// Who waits for log files.
    pub(super) at_reopen: Reopening,
    pub(super) door_shut: bool,
    /// Where the monitor's health check asks the app.
    pub(super) aimed: Changed<Option<Endpoint>>,
    pub(super) outcome: Option<Outcome>,
}

impl Supervise {
    /// Runs the cluster until it has ended and the last answers are out, and gives the embedder back: letting go of it lets the
    /// process end.
    pub async fn run(self, mut inbox: Inbox, control: UnixListener) -> Arc<dyn Embedder> {
        let inputs = self.inputs.clone();
        let execute = move |command, reply| {
            inputs.send(Input::Command(command, reply));
        };
        let control = Control::start(control, Arc::new(execute));
        let free_rows = (0..self.board.rows()).collect();
        let mut task = Task {
            parts: self,
            control,
            hidden: Changed::default(),
            members: BTreeMap::new(),
            attending: JoinSet::new(),
            free_rows,
            past: Totals::default(),
            at_door: Vec::new(),
            at_end: Vec::new(),
            at_reload: Vec::new(),
            at_reopen: Reopening::default(),
            door_shut: false,
            aimed: Changed::default(),
            outcome: None,
        };
        task.apply(Event::Start);
        let mut samples =
            tokio::time::interval(Duration::from_millis(task.parts.supervisor.sample_interval()));
        samples.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut looks = tokio::time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut signs_of_life = task.parts.notifier.ticks();
        while task.outcome.is_none() {
            let wait = task.parts.supervisor.next_tick().map(|at| at.saturating_sub(os::now()));
            let due = tokio::select! {
                // Last: what comes into the inbox without a pause stops no clock.
                biased;
                () = sleep(wait) => Due::Tick,
                _ = samples.tick() => Due::Sample,
                _ = looks.tick() => Due::Look,
                () = systemd::tick(&mut signs_of_life) => Due::SignOfLife,
                input = inbox.next() => Due::Input(input),
            };
            task.act(due, &mut inbox);
        }
        task.hear_last_words().await;
        let (embedder, control) = task.end();
        control.end().await;
        embedder
    }
}

/// What the supervisor's task woke up for.
pub(super) enum Due {
    Input(Input),
    Tick,
    Sample,
    Look,
    SignOfLife,
}

pub(super) async fn sleep(wait: Option<Millis>) {
    match wait {
        Some(wait) => tokio::time::sleep(Duration::from_millis(wait)).await,
        None => std::future::pending().await,
    }
}

impl Task {
    /// Does what it is time for, once it has heard what had come by then.
    pub(super) fn act(&mut self, due: Due, inbox: &mut Inbox) {
        if !matches!(due, Due::Input(_)) {
            inbox.hear(|input| self.on_input(input));
        }
        match due {
            Due::Input(input) => self.on_input(input),
            Due::Tick => self.apply(Event::Tick),
            Due::Sample => self.sample(),
            Due::Look => self.stay_found(),
            Due::SignOfLife => self.give_sign_of_life(),
        }
    }

    pub(super) fn give_sign_of_life(&self) {
        if let Some(answered) = self.parts.notifier.tick() {
            self.parts.dispatcher.send(Request::Answer(answered));
        }
    }

    pub(super) fn on_input(&mut self, input: Input) {
        match input {
            Input::Report(worker, Report::Ready { places, .. }) => self.ready(worker, places),
            Input::Report(worker, Report::Leaving) => self.apply(Event::Leaving { worker }),
            Input::Report(worker, Report::Signal { signal }) => {
                self.tell_of(worker, |pid| MasterEvent::Signal { pid, signal });
            }
            Input::Report(worker, Report::LastWords { words }) => {
                self.apply(Event::UncaughtError { worker, message: words })
            }
            Input::Report(worker, Report::Checked { problem }) => {
                self.apply(Event::Checked { worker, problem })
            }
            Input::Checked(problem) => self.apply(Event::MasterChecked { problem }),
            Input::Report(_, Report::Switched { disabled, by }) | Input::Switched(disabled, by) => {
                self.apply(Event::Switched { disabled, by });
            }
            Input::Report(_, Report::Warning { message }) | Input::Warning(message) => {
                self.parts.embedder.tell(MasterEvent::Warning { message });
            }
            Input::Report(worker, Report::Reopened) => self.at_reopen.done(worker),
            Input::Report(worker, Report::LastLines { lines }) => {
                self.apply(Event::LastLines { worker, lines })
            }
            Input::Report(worker, report) => {
                tracing::error!(worker = worker.0, ?report, "not for the supervisor")
            }
            Input::Serves(worker, addresses) => {
                let addresses = addresses.iter().map(At::to_string).collect();
                self.apply(Event::Serves { worker, addresses });
            }
            Input::MessageTooLong(pid, length) => {
                self.parts.embedder.tell(notices::message_too_long(pid, length))
            }
            Input::MessagesLost(pid) => self.parts.embedder.tell(notices::messages_lost(pid)),
            Input::Exited(worker, exit) => {
                // What it reported last, such as why it ended, comes before its end.
                if !self.parts.dispatcher.send(Request::Detach(worker, exit)) {
                    self.gone(worker, exit);
                }
            }
            Input::Gone(worker, exit) => self.gone(worker, exit),
            Input::Command(command, reply) => self.on_command(command, reply),
            Input::Signal(signal) => self.on_signal(signal),
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

    pub(super) fn ready(&mut self, worker: WorkerId, mut places: Vec<Endpoint>) {
        if let (Some(member), Some(known)) =
            (self.members.get_mut(&worker), self.parts.supervisor.worker(worker))
        {
            let cwd = self.parts.launch.cwd.as_deref().map(Path::new);
            for place in &mut places {
                place.at.anchor(cwd, |path| known.addresses.contains(path));
            }
            let told = places.iter().map(|place| place.at.to_string());
            member.own = told.filter(|place| !known.addresses.contains(place)).collect();
            member.places = places;
        }
        self.apply(Event::Ready { worker });
    }

    /// Has the monitor's health check ask where an app is that serves: that of the oldest worker, since a new one may not stay.
    pub(super) fn aim(&mut self) {
        let Some(judge) = &self.parts.judge else { return };
        let ready = self.parts.supervisor.workers().filter(|(_, worker)| worker.is_ready());
        let first = ready.filter_map(|(id, _)| self.members.get(&id)?.places.first()).next();
        if let Some(place) = first.cloned()
            && self.aimed.set(Some(place.clone()))
        {
            judge.check.aim(place);
        }
    }

    pub(super) fn sample(&mut self) {
        let reading = |(id, member): (&WorkerId, &WorkerHandle)| Reading {
            worker: *id,
            beat: member.row.count(Field::Beat),
            connections: member.row.count(Field::ConnectionsTotal),
            memory: member.row.count(Field::Rss),
        };
        let readings = self.members.iter().map(reading).collect();
        self.apply(Event::Sample { readings });
    }

    pub(super) fn tell_of(&self, worker: WorkerId, told: impl FnOnce(u32) -> MasterEvent) {
        // A worker that is gone has nothing more to tell: everything it sent came before its end.
        if let Some(member) = self.members.get(&worker) {
            self.parts.embedder.tell(told(member.pid));
        }
    }

    /// Lets the embedder have what workers sent before they ended, but holds up the end for no longer than for one of them.
    pub(super) async fn hear_last_words(&mut self) {
        let attending = &mut self.attending;
        let _ = tokio::time::timeout(LAST_WORDS, async {
            while attending.join_next().await.is_some() {}
        })
        .await;
    }

    pub(super) fn gone(&mut self, worker: WorkerId, exit: Exit) {
        while self.attending.try_join_next().is_some() {}
        if let Some(member) = self.members.remove(&worker) {
            tracing::info!(pid = member.pid, ?exit, "a worker is gone");
            self.parts.pids.remove_worker(member.pid);
            snapshot::add(&mut self.past, &member.row);
            if let Some(since) = member.draining_since {
                self.past.drains.add(os::now().saturating_sub(since));
            }
            self.free_rows.insert(member.row.index());
        }
        self.at_reopen.done(worker);
        self.apply(Event::Exited { worker, exit });
    }

    /// Feeds one event, and whatever its actions bring about at once.
    pub(super) fn apply(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            for action in self.parts.supervisor.on_event(event, os::now()) {
                events.extend(self.execute(action));
            }
        }
        let ready = self.parts.supervisor.workers().any(|(_, worker)| worker.is_ready());
        self.parts.ready.store(ready, Ordering::Relaxed);
        self.aim();
        self.parts.notifier.update(&self.parts.supervisor);
    }

    pub(super) fn execute(&mut self, action: Action) -> Option<Event> {
        match action {
            Action::Spawn { worker, slot, generation } => {
                return Some(self.spawn(worker, slot, generation));
            }
            Action::Drain { worker } => {
                if let Some(member) = self.members.get_mut(&worker) {
                    member.draining_since = Some(os::now());
                }
                self.parts.dispatcher.send(Request::Drain(worker));
            }
            Action::Kill { worker } => {
                if let Some(member) = self.members.get(&worker) {
                    member.kill();
                }
            }
            Action::StopAdmitting => self.shut_door(),
            Action::Notify(notice) => self.tell(notice),
            Action::Finish(outcome) => self.outcome = Some(outcome),
        }
        None
    }

    pub(super) fn shut_door(&mut self) {
        let (done, shut) = oneshot::channel();
        self.parts.dispatcher.send(Request::ShutDoor(done));
        let inputs = self.parts.inputs.clone();
        tokio::spawn(async move {
            let _guard = Guard("shutting the door");
            // An error means that the dispatcher is gone, and its sockets with it: shut as well.
            let _ = shut.await;
            inputs.send(Input::DoorShut);
        });
    }

    /// Makes again what somebody removed from the `pids` directory.
    pub(super) fn stay_found(&mut self) {
        let problem = match self.parts.pids.restore() {
            Ok(None) => None,
            Ok(Some(socket)) => {
                tracing::info!("the control socket was made again");
                self.control.renew(socket);
                None
            }
            Err(error) => Some(format!("others do not find this cluster any more: {error}")),
        };
        let workers = || self.parts.pids.restore_workers().err();
        let problem = problem.or_else(|| {
            workers()
                .map(|error| format!("others do not find all workers of this cluster: {error}"))
        });
        if self.hidden.set(problem.clone())
            && let Some(message) = problem
        {
            self.parts.embedder.tell(MasterEvent::Warning { message });
        }
    }

    pub(super) fn end(self) -> (Arc<dyn Embedder>, Control) {
        let Self { parts, control, at_door, at_end, outcome, .. } = self;
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
        parts.embedder.tell(MasterEvent::Finished { error });
        (parts.embedder, control)
    }
}

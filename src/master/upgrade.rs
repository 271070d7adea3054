//! Another master takes over from this one: what the state machine of `handover` decides is
//! executed here.
//!
//! What always holds: until this master has stepped down, it does all that it does without an heir,
//! except that nothing ends a socket. Afterwards it sends what comes to the heir, and ends with its
//! last worker.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use signal_hook::consts::{SIGHUP, SIGTERM, SIGUSR2};
use tokio::sync::oneshot;

use super::handover_link::HandoverLink;
use super::heir_process::HeirProcess;
use super::inbox::{HeirNews, Input, Signal};
use super::task::Task;
use super::upgrade_state::{Farewell, Running, Stage, Upgrade};
use crate::dispatcher::{LegacySocket, Request};
use crate::embedder::MasterEvent;
use crate::error::{ClusterError, Result};
use crate::handover::{Predecessor, PredecessorAction, PredecessorEvent, Step};
use crate::os::channel::Channel;
use crate::os::handover::{HeirCommand, VARIABLE};
use crate::os::{self, activation, holder, process};
use crate::protocol::ListenerId;
use crate::protocol::control::UpgradeRequest;
use crate::protocol::handover::{
    CarriedTotals, FromHeir, Item, Legacy, PROTOCOL, ToHeir, from_heir, print, shorten,
};
use crate::protocol::status::UpgradeStatus;
use crate::remote::Reply;
use crate::supervision::Event;

/// How long an heir may take to be ready, unless the command says it, milliseconds.
const TIMEOUT: u64 = 60_000;
/// Variables that are about this process, not about its heir.
const OWN_VARIABLES: [&str; 6] = [
    VARIABLE,
    "WATCHDOG_PID",
    "LISTEN_PID",
    "LISTEN_PIDFDID",
    "NODE_CHANNEL_FD",
    "NODE_CHANNEL_SERIALIZATION_MODE",
];

impl Task {
    /// Starts an upgrade, or refuses it.
    pub(super) fn upgrade(&mut self, request: UpgradeRequest, reply: Reply) {
        match self.prepare_upgrade(request) {
            Ok(stage) => {
                self.upgrade = Some(Upgrade { reply: Some(reply), stage });
                self.lend(true);
                let (copied, copies) = oneshot::channel();
                self.parts.dispatcher.send(Request::CopySockets(copied));
                let inputs = self.parts.inputs.clone();
                tokio::spawn(async move {
                    let gone = || Err(io::ErrorKind::BrokenPipe.into());
                    inputs.send(Input::SocketsCopied(copies.await.unwrap_or_else(|_| gone())));
                });
            }
            Err(error) => reply(Err(error)),
        }
    }

    fn prepare_upgrade(&self, request: UpgradeRequest) -> Result<Stage> {
        let wrong = |state| Err(ClusterError::WrongState { command: "upgrade", state });
        if !self.parts.supervisor.is_running() || self.parts.supervisor.phase().is_leaving() {
            return wrong("shutting down");
        }
        if self.parts.supervisor.is_reloading() {
            return wrong("reloading");
        }
        if self.upgrade.is_some() || self.takeover.is_some() {
            return wrong("being upgraded");
        }
        if self.parts.supervisor.ready_workers().next().is_none() {
            return wrong("starting");
        }
        if std::process::id() == 1 && self.needs_holder() && !holder::is_prepared() {
            return Err(ClusterError::UpgradeFailed {
                reason: "the command line of cluster2-rs is not installed, which has to stay as \
                         process 1"
                    .to_owned(),
            });
        }
        let timeout = request.timeout.unwrap_or(TIMEOUT);
        Ok(Stage::Copying { command: self.heir_command(request), timeout })
    }

    /// Whether this process has to stay once another one is master: a container ends with its
    /// process 1. Otherwise a service manager learns of the new one, and after an upgrade a holder is
    /// there already.
    fn needs_holder(&self) -> bool {
        let is_first = std::process::id() == 1;
        self.parts.holder.is_none() && (is_first || !self.parts.notifier.is_on())
    }

    /// What the heir is started by: the command that started this process, except for what the
    /// request says.
    fn heir_command(&self, request: UpgradeRequest) -> HeirCommand {
        let origin = &self.parts.origin;
        let known: Vec<OsString> = self.parts.launch.command.iter().map(OsString::from).collect();
        // A process that gave itself another title has lost its arguments.
        let pairs = || known.iter().zip(&origin.args);
        let is_intact = known.is_empty()
            || known.len() == origin.args.len()
                && pairs().all(|(known, own)| known.is_empty() == own.is_empty());
        let own = if is_intact { origin.args.clone() } else { known };
        let args = match request.args {
            Some(args) if !args.is_empty() => args.into_iter().map(OsString::from).collect(),
            _ => own,
        };
        let mut env: BTreeMap<_, _> = origin.env.clone();
        env.retain(|name, _| OWN_VARIABLES.iter().all(|own| name != own));
        env.extend(request.env.into_iter().map(|(name, value)| (name.into(), value.into())));
        let cwd = request.cwd.map_or_else(|| origin.cwd.clone(), |cwd| origin.cwd.join(cwd));
        HeirCommand { args, env, cwd }
    }

    /// Sets whether another master has the sockets too, for all who could end them.
    fn lend(&self, lent: bool) {
        self.parts.board.header().lend_sockets(lent);
        self.parts.dispatcher.send(Request::Lend(lent));
    }

    pub(super) fn on_sockets_copied(&mut self, copied: io::Result<Vec<LegacySocket>>) {
        let Some(Upgrade { reply, stage: Stage::Copying { command, timeout } }) =
            self.upgrade.take()
        else {
            return;
        };
        match copied.and_then(|sockets| self.start_heir(&command, timeout, sockets)) {
            Ok(running) => {
                let pid = running.heir.pid;
                tracing::info!(pid, "another master was started to take over");
                self.emit(MasterEvent::Upgrading { pid });
                let stage = Stage::Running(Box::new(running));
                self.upgrade = Some(Upgrade { reply, stage });
            }
            Err(error) => {
                self.lend(false);
                let program = command.args.first().cloned().unwrap_or_default();
                let reason = format!("cannot start {}: {error}", program.display());
                self.fail_upgrade(reply, &reason);
            }
        }
    }

    fn start_heir(
        &self,
        command: &HeirCommand,
        timeout: u64,
        sockets: Vec<LegacySocket>,
    ) -> io::Result<Running> {
        let (messages, their_messages) = Channel::pair()?;
        let (connections, their_connections) = Channel::pair()?;
        let pair = self.needs_holder().then(Channel::pair).transpose()?;
        let (holder, their_holder) = pair.unzip();
        let told = self.parts.holder.as_ref().or(their_holder.as_ref()).map(AsFd::as_fd);
        let is_adopted = told.is_none();
        let heir = HeirProcess::start(
            command,
            &their_messages,
            &their_connections,
            told,
            is_adopted,
            self.parts.inputs.clone(),
        )?;
        if let Some(holder) = &self.parts.holder {
            let offered = holder::offer(holder, heir.pid, heir.pidfd.as_fd());
            offered.inspect_err(|_| heir.kill())?;
        }
        let (inputs, pid) = (self.parts.inputs.clone(), heir.pid);
        let read = move |message: Option<&[u8]>| {
            let news = match message {
                Some(message) => from_heir(message).map(HeirNews::Message),
                None => Some(HeirNews::Closed),
            };
            if let Some(news) = news {
                inputs.send(Input::Heir(pid, news));
            }
        };
        let link = HandoverLink::start(messages, read).inspect_err(|_| heir.kill())?;
        let places = sockets.iter().map(|socket| (socket.key, socket.place())).collect();
        self.pass_on(&link, sockets);
        self.parts.dispatcher.send(Request::Relay { channel: connections, is_heir: false });
        let config = &self.parts.info.config;
        let limit = config.shutdown_delay.saturating_add(config.shutdown_timeout);
        let machine = Predecessor::begin(heir.pid, os::now(), timeout, limit);
        Ok(Running { machine, heir, link, ready: 0, target: 0, holder, places })
    }

    /// Sends all that this master has.
    fn pass_on(&self, link: &HandoverLink, sockets: Vec<LegacySocket>) {
        let (last_id, generations) = self.parts.supervisor.numbers();
        let legacy = Legacy {
            protocol: PROTOCOL,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            last_id,
            generations,
            rows: self.workers.values().map(|handle| handle.row.index() as u32).collect(),
            disabled: self.parts.board.header().switched().0,
            totals: CarriedTotals::from(&self.totals()),
        };
        link.send(print(&ToHeir::Legacy(legacy)), None);
        let item = |item: Item, fd: OwnedFd| link.send(print(&ToHeir::Item(item)), Some(fd));
        for LegacySocket { key, wanted, inherited, socket } in sockets {
            item(Item::Listener { id: key, wanted, inherited }, socket);
        }
        for passed in activation::passed() {
            if let Ok(fd) = passed.fd.try_clone() {
                item(Item::Passed { name: passed.name.clone() }, fd);
            }
        }
        if let Some(Ok(monitor)) = self.parts.monitor.as_ref().map(|monitor| monitor.share()) {
            item(Item::Monitor, monitor);
        }
        if let Ok((lock, control)) = self.parts.pids.copies() {
            item(Item::Lock, lock);
            item(Item::Control, control);
        }
        link.send(print(&ToHeir::Complete), None);
    }

    pub(super) fn on_heir(&mut self, pid: u32, news: HeirNews) {
        // Of one whose upgrade is over.
        if self.running().is_none_or(|running| running.heir.pid != pid) {
            return;
        }
        let event = match news {
            HeirNews::Message(FromHeir::Switched { disabled, by }) => {
                return self.switched_by_other_master(disabled, by);
            }
            HeirNews::Message(message) => PredecessorEvent::Message(message),
            HeirNews::Closed => PredecessorEvent::Closed,
            HeirNews::Exited(exit) => {
                let lines = self.running_mut().map(|running| {
                    running.heir.has_ended = true;
                    running.heir.last_lines()
                });
                PredecessorEvent::Exited { exit, lines: lines.unwrap_or_default() }
            }
        };
        self.advance_upgrade(event);
    }

    /// Feeds the state machine, and executes its actions.
    pub(super) fn advance_upgrade(&mut self, event: PredecessorEvent) {
        let Some(running) = self.running_mut() else { return };
        for action in running.machine.on_event(event, os::now()) {
            self.execute_upgrade(action);
        }
    }

    fn running(&self) -> Option<&Running> {
        match &self.upgrade.as_ref()?.stage {
            Stage::Running(running) => Some(running),
            Stage::Copying { .. } => None,
        }
    }

    fn running_mut(&mut self) -> Option<&mut Running> {
        match &mut self.upgrade.as_mut()?.stage {
            Stage::Running(running) => Some(running),
            Stage::Copying { .. } => None,
        }
    }

    fn execute_upgrade(&mut self, action: PredecessorAction) {
        let Some(running) = self.running() else { return };
        match action {
            PredecessorAction::Send(message) => running.link.send(print(&message), None),
            PredecessorAction::Terminate => running.heir.terminate(),
            PredecessorAction::Kill => running.heir.kill(),
            PredecessorAction::StepDown { adopted, monitor, pids } => {
                self.step_down(adopted, monitor, pids);
            }
            PredecessorAction::Keep => {
                self.parts.dispatcher.send(Request::Keep { last: true });
            }
            PredecessorAction::Reclaim => self.reclaim(),
            PredecessorAction::Return => {
                self.parts.dispatcher.send(Request::Keep { last: false });
                self.apply(Event::TakeBack);
            }
            PredecessorAction::OutliveHeir => self.tell_holder_own(),
            PredecessorAction::Announce(step) => self.announce_step(&step),
            PredecessorAction::Finish(result) => self.finish_upgrade(result),
        }
    }

    /// The heir answers commands: this master's workers drain.
    fn step_down(&mut self, adopted: Vec<ListenerId>, has_monitor: bool, has_pids: bool) {
        let Some(running) = self.running_mut() else { return };
        running.places.retain(|(key, _)| !adopted.contains(key));
        let closed: Vec<_> = running.places.iter().map(|(_, place)| place.clone()).collect();
        let pid = running.heir.pid;
        if !closed.is_empty() {
            let places = closed.join(", ");
            self.warn(format!("no worker of the new master serves {places}, which closes"));
        }
        let Some(running) = self.running() else { return };
        if let Some(holder) = &self.parts.holder
            && let Err(error) = holder::tell(holder, pid, running.heir.pidfd.as_fd())
        {
            tracing::error!(%error, "the holder does not learn of the new master");
        }
        self.parts.notifier.drain();
        // With a directory of its own, the heir leaves this one to this master.
        if has_pids {
            self.parts.pids.step_back();
            self.control.pause();
        }
        if let Some(monitor) = self.monitor.take() {
            monitor.end_gently();
        }
        if let Some(listener) = self.parts.monitor.as_ref().filter(|_| has_monitor) {
            listener.set_lent(true);
        }
        self.parts.dispatcher.send(Request::GiveAway(Some(adopted)));
        self.apply(Event::HandOver);
    }

    /// The heir is gone: everything is this master's alone again.
    fn reclaim(&mut self) {
        self.lend(false);
        self.parts.pids.remove_dead_workers();
        self.answer_commands();
        if let Some(monitor) = &self.parts.monitor {
            monitor.set_lent(false);
        }
        if self.monitor.is_none() {
            self.start_monitor();
        }
        self.tell_holder_own();
        self.parts.notifier.take_over(&self.parts.supervisor);
    }

    fn tell_holder_own(&self) {
        if let Some(holder) = &self.parts.holder
            && let Err(error) = holder::tell_own(holder)
        {
            tracing::error!(%error, "the holder does not learn who is master");
        }
    }

    fn announce_step(&mut self, step: &Step) {
        let Some(running) = self.running_mut() else { return };
        match step {
            Step::Progress { ready, target } => {
                (running.ready, running.target) = (*ready, *target);
            }
            Step::TookOver => tracing::info!(pid = running.heir.pid, "another master took over"),
        }
    }

    fn finish_upgrade(&mut self, result: std::result::Result<(), String>) {
        let Some(Upgrade { reply, stage: Stage::Running(running) }) = self.upgrade.take() else {
            return;
        };
        let Running { heir, link, holder, places, .. } = *running;
        if let Err(reason) = result {
            // Where the process that was started had not become it, somebody may still listen.
            link.send(print(&ToHeir::GiveUp { ending: false, abrupt: false }), None);
            return self.fail_upgrade(reply, &reason);
        }
        let is_held = holder.is_some() || self.parts.holder.is_some();
        if !heir.has_ended {
            holder::plan(heir.pid, &heir.pidfd, holder);
            if !is_held {
                self.parts.notifier.hand_over(heir.pid);
            }
        }
        let closed = places.into_iter().map(|(_, place)| place).collect();
        let has_ended = heir.has_ended;
        self.farewell = Some(Farewell { pid: heir.pid, has_ended, closed, link, reply });
    }

    fn fail_upgrade(&mut self, reply: Option<Reply>, reason: &str) {
        let error = ClusterError::UpgradeFailed { reason: shorten(reason) };
        self.warn(error.message());
        if let Some(reply) = reply {
            reply(Err(error));
        }
    }

    /// Has an upgrade undone, because this cluster ends. `abrupt`: at once.
    pub(super) fn cancel_upgrade(&mut self, abrupt: bool) {
        let reason = "the cluster is shutting down".to_owned();
        if matches!(&self.upgrade, Some(Upgrade { stage: Stage::Copying { .. }, .. }))
            && let Some(Upgrade { reply, .. }) = self.upgrade.take()
        {
            self.lend(false);
            return self.fail_upgrade(reply, &reason);
        }
        if self.running().is_some_and(|running| !running.machine.has_stepped_down()) {
            self.advance_upgrade(PredecessorEvent::Cancel { reason, abrupt });
            // The heir ends too: nobody may go on with the sockets.
            self.lend(false);
        }
    }

    /// Whether an heir that was told to end still has requests: this master ends after it, as after
    /// its workers.
    pub(super) fn waits_for_heir(&self) -> bool {
        self.running()
            .is_some_and(|running| running.machine.is_called_off() && running.machine.has_heard())
    }

    /// This master ends: one that was started to take over, and has not said anything, goes with it.
    pub(super) fn drop_unknown_heir(&self) {
        if let Some(running) = self.running().filter(|running| !running.machine.has_heard()) {
            running.heir.kill();
        }
    }

    /// Passes a signal on to the master that took over. Returns `false` if there is none.
    pub(super) fn pass_on_signal(&self, signal: Signal) -> bool {
        let Some(running) = self.running().filter(|running| running.machine.has_stepped_down())
        else {
            return false;
        };
        let number = match signal {
            Signal::Shutdown | Signal::Stop => SIGTERM,
            Signal::Reload => SIGHUP,
            Signal::ReopenLogs => SIGUSR2,
        };
        if let Err(error) = process::send_signal(&*running.heir.pidfd, number) {
            tracing::error!(%error, "cannot pass a signal on to the new master");
        }
        true
    }

    /// Tells the other master of a switch of the health check.
    pub(super) fn tell_heir_switched(&self, disabled: bool, by: &str) {
        if let Some(running) = self.running() {
            let switched = ToHeir::Switched { disabled, by: shorten(by) };
            running.link.send(print(&switched), None);
        }
    }

    /// Tells the heir, once it has taken over, what was counted so far.
    pub(super) fn tell_heir_counts(&self) {
        if let Some(running) = self.running().filter(|running| running.machine.has_stepped_down()) {
            let totals = CarriedTotals::from(&self.totals());
            let workers = self.workers.len() as u32;
            running.link.send_unless_busy(print(&ToHeir::Counted { totals, workers }));
        }
    }

    pub(super) fn upgrade_deadline(&self) -> Option<u64> {
        self.running()?.machine.deadline()
    }

    pub(super) fn upgrade_status(&self) -> Option<UpgradeStatus> {
        let Running { machine, heir, ready, target, .. } = self.running()?;
        Some(UpgradeStatus {
            pid: heir.pid,
            state: machine.word(),
            ready: *ready,
            target: *target,
            draining: if machine.has_stepped_down() { self.workers.len() as u32 } else { 0 },
        })
    }
}

//! How another master is started that takes over from this one, and what it gets.
//!
//! What always holds: from then on until the upgrade is over, nothing ends a socket.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use tokio::sync::oneshot;

use super::handover_link::HandoverLink;
use super::heir_command::heir_command;
use super::heir_process::HeirProcess;
use super::inbox::{HeirNews, Input};
use super::task::Task;
use super::upgrade_state::{Running, Stage, Upgrade};
use crate::dispatcher::Request;
use crate::embedder::MasterEvent;
use crate::error::{ClusterError, Result};
use crate::handover::Predecessor;
use crate::listeners::LegacySocket;
use crate::monitor::format::plain_bytes;
use crate::os::channel::Channel;
use crate::os::handover::HeirCommand;
use crate::os::scoreboard::Field;
use crate::os::{self, activation, holder, memory, thread};
use crate::protocol::carried_totals::CarriedTotals;
use crate::protocol::control::UpgradeRequest;
use crate::protocol::handover::{Item, Legacy, PROTOCOL, ToHeir, from_heir, print, shorten};
use crate::remote::Reply;

/// How long an heir may take to be ready, unless the command says it, milliseconds.
const TIMEOUT: u64 = 60_000;

impl Task {
    /// Starts an upgrade, or refuses it.
    pub(super) fn upgrade(&mut self, request: UpgradeRequest, reply: Reply) {
        match self.prepare_upgrade(request) {
            Ok(stage) => {
                let warning = self.memory_warning();
                if let Some(warning) = &warning {
                    self.warn(warning.clone());
                }
                self.upgrade = Some(Upgrade { reply: Some(reply), warning, stage });
                self.lend(true);
                let (copied, copies) = oneshot::channel();
                self.parts.dispatcher.send(Request::CopySockets(copied));
                let inputs = self.parts.inputs.clone();
                thread::task("copying the sockets", async move {
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
        let command = heir_command(&self.parts.origin, &self.parts.launch, request);
        Ok(Stage::Copying { command, timeout })
    }

    /// What to say if there is hardly memory for as many workers once more.
    fn memory_warning(&self) -> Option<String> {
        let used = self.workers.values().map(|handle| handle.row.count(Field::Rss)).sum::<u64>();
        let available = memory::available().filter(|available| *available < used)?;
        let [used, available] = [used, available].map(plain_bytes);
        Some(format!(
            "until the old workers have drained, the new ones need as much memory again: the old \
             ones take {used}, and {available} is available"
        ))
    }

    /// Whether this process has to stay once another one is master: a container ends with its
    /// process 1. Otherwise a service manager learns of the new one, and after an upgrade a holder
    /// is there already.
    fn needs_holder(&self) -> bool {
        let is_first = std::process::id() == 1;
        self.parts.holder.is_none() && (is_first || !self.parts.notifier.is_on())
    }

    /// Sets whether another master has the sockets too, for all who could end them.
    pub(super) fn lend(&self, lent: bool) {
        self.parts.board.header().lend_sockets(lent);
        self.parts.dispatcher.send(Request::Lend(lent));
    }

    pub(super) fn on_sockets_copied(&mut self, copied: io::Result<Vec<LegacySocket>>) {
        let Some(Upgrade { reply, warning, stage: Stage::Copying { command, timeout } }) =
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
                self.upgrade = Some(Upgrade { reply, warning, stage });
            }
            Err(error) => {
                self.lend(false);
                let program = command.args.first().cloned().unwrap_or_default();
                let mut reason = format!("cannot start {}: {error}", program.display());
                // The kernel names neither.
                if !command.cwd.is_dir() {
                    let directory = command.cwd.display();
                    reason = format!("there is no directory {directory} any more to start it in");
                }
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
        let holder_end = self.parts.holder.as_ref().or(their_holder.as_ref()).map(AsFd::as_fd);
        let is_adopted = holder_end.is_none();
        let heir = HeirProcess::start(
            command,
            &their_messages,
            &their_connections,
            holder_end,
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
        let addresses = sockets.iter().map(|socket| (socket.key, socket.describe())).collect();
        self.pass_on(&link, sockets);
        self.parts.dispatcher.send(Request::Relay { channel: connections, is_heir: false });
        let config = &self.parts.info.config;
        let limit = config.shutdown_delay.saturating_add(config.shutdown_timeout);
        let machine = Predecessor::begin(heir.pid, os::now(), timeout, limit);
        Ok(Running { machine, heir, link, ready: 0, target: 0, holder, addresses })
    }

    /// Sends all that this master has.
    fn pass_on(&self, link: &HandoverLink, sockets: Vec<LegacySocket>) {
        let (last_id, generations) = self.parts.supervisor.numbers();
        let legacy = Legacy {
            protocol: PROTOCOL,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            last_id,
            workers: self.parts.supervisor.target(),
            generations,
            rows: self.workers.values().map(|handle| handle.row.index() as u32).collect(),
            disabled: self.parts.board.header().switched().0,
            totals: CarriedTotals::from(&self.totals()),
        };
        link.send(print(&ToHeir::Legacy(Box::new(legacy))), None);
        let item = |item: Item, fd: OwnedFd| link.send(print(&ToHeir::Item(item)), Some(fd));
        for LegacySocket { key: id, wanted, inherited, served_after, socket } in sockets {
            item(Item::Listener { id, wanted, inherited, served_after }, socket);
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

    pub(super) fn fail_upgrade(&mut self, reply: Option<Reply>, reason: &str) {
        let error = ClusterError::UpgradeFailed { reason: shorten(reason) };
        self.warn(error.message());
        if let Some(reply) = reply {
            reply(Err(error));
        }
    }
}

//! What the supervisor tells its embedder, and whoever waits for a reload.

use serde_json::{Value, json};

use crate::embedder::MasterEvent;
use crate::error::{ClusterError, Result};
use crate::master::node_ipc::UNTAKEN;
use crate::master::task::Task;
use crate::os::scoreboard::Field;
use crate::protocol::node::MAX_LINE;
use crate::protocol::worker::Exit;
use crate::remote::server::Reply;
use crate::supervision::{Cause, Notice};

/// Worker `pid` sent a message of `length` bytes, which was skipped.
pub(super) fn message_too_long(pid: u32, length: u64) -> MasterEvent {
    let message = format!(
        "worker {pid} sent a message of {length} bytes by process.send(), and the limit is {MAX_LINE} bytes of JSON (8 MiB); \
         it was dropped: send it in parts, or pass a file's name"
    );
    MasterEvent::Warning { message }
}

/// Worker `pid` is gone, and the embedder took none of its last messages for as long as they wait.
pub(super) fn messages_lost(pid: u32) -> MasterEvent {
    let limit = UNTAKEN.as_secs();
    let message = format!(
        "the last messages of worker {pid} are lost: it is gone, and the master's script took none for {limit} s"
    );
    MasterEvent::Warning { message }
}

impl Task {
    pub(super) fn tell(&mut self, notice: Notice) {
        let told = match notice {
            Notice::Forked { pid } => MasterEvent::Forked { pid },
            Notice::Listening { pid } => {
                let member = self.members.values().find(|member| member.pid == pid);
                let places = member.into_iter().flat_map(|member| &member.places);
                MasterEvent::Listening {
                    pid,
                    places: places.map(|place| place.at.to_string()).collect(),
                }
            }
            Notice::Died { pid, exit, cause } => {
                self.count_death(cause);
                let (code, signal) = match exit {
                    Exit::Code(code) => (Some(code), None),
                    Exit::Signal(signal) => (None, Some(signal)),
                };
                MasterEvent::Died { pid, code, signal, reason: cause.word() }
            }
            Notice::DrainTimedOut { worker, pid } => {
                let connections =
                    self.members.get(&worker).map_or(0, |m| m.row.count(Field::ConnectionsActive));
                let limit = self.parts.facts.config.shutdown_timeout;
                let message = format!(
                    "worker {pid} did not finish within {limit} ms (shutdownTimeout); it was killed with {connections} open connections"
                );
                MasterEvent::Warning { message }
            }
            Notice::Reloading { slot, pid, replaced, total } => {
                MasterEvent::Reloading { slot, pid, replaced, total }
            }
            Notice::Reloaded { round, replaced, again } => {
                self.past.reloads += 1;
                self.answer_reload(round, || Ok(json!({ "replaced": replaced })));
                MasterEvent::Reload { replaced, again }
            }
            Notice::ReloadFailed { round, reason } => {
                self.past.reloads_failed += 1;
                let error = || ClusterError::ReloadFailed { reason: reason.clone() };
                self.answer_reload(round, || Err(error()));
                MasterEvent::Warning { message: error().to_string() }
            }
            Notice::Recycling { pid, reason } => MasterEvent::Recycle { pid, reason },
            Notice::Unresponsive { pid, age } => MasterEvent::Unresponsive { pid, age },
            Notice::Disabled { pid, reason } => MasterEvent::Disable { pid, reason },
            Notice::Enabled => MasterEvent::Enable,
            Notice::Warning(message) => MasterEvent::Warning { message },
        };
        self.parts.embedder.tell(told);
    }

    fn count_death(&mut self, cause: Cause) {
        *self.past.deaths.entry(cause.word()).or_default() += 1;
    }

    /// Answers those who wait for `round`.
    fn answer_reload(&mut self, round: u32, answer: impl Fn() -> Result<Value>) {
        let (over, later) =
            std::mem::take(&mut self.at_reload).into_iter().partition(|(of, _)| *of <= round);
        self.at_reload = later;
        let over: Vec<(u32, Reply)> = over;
        over.into_iter().for_each(|(_, reply)| reply(answer()));
    }
}

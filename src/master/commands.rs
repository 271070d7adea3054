//! Commands and signals: what the embedder and other processes ask of the cluster.

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::inbox::Signal;
use super::replies::Until;
use super::task::Task;
use crate::config::MAX_WORKERS;
use crate::dispatcher::Request;
use crate::error::{ClusterError, Result};
use crate::handover::HeirEvent;
use crate::health;
use crate::os;
use crate::protocol::Inspection;
use crate::protocol::control::Command;
use crate::remote::Reply;
use crate::supervision::Event;

/// The longest path of a file.
const MAX_PATH: usize = 4096;

impl Task {
    pub(super) fn on_command(&mut self, command: Command, reply: Reply) {
        tracing::debug!(?command, "asked");
        match command {
            Command::Status => reply(Ok(json!(self.status()))),
            Command::Events { after } => {
                reply(Ok(
                    json!({ "pid": std::process::id(), "events": self.journal.after(after) }),
                ));
            }
            Command::Stop => {
                self.replies.add(Until::Ended, reply);
                self.stop();
            }
            Command::Shutdown { wait } => {
                match wait {
                    true => self.replies.add(Until::Ended, reply),
                    false if self.is_closed => reply(Ok(self.parts.info.end_answer())),
                    false => self.replies.add(Until::Closed, reply),
                }
                self.shut_down();
            }
            Command::Upgrade(request) => self.upgrade(request, reply),
            Command::Reload { .. } if self.upgrade.is_some() => {
                let state = "being upgraded";
                reply(Err(ClusterError::WrongState { command: "reload", state }));
            }
            Command::Reload { addresses_may_change } if self.parts.supervisor.is_running() => {
                let round = self.parts.supervisor.next_round();
                self.replies.add(Until::Reloaded { round }, reply);
                self.reload(addresses_may_change);
            }
            Command::Reload { .. } => {
                reply(Err(ClusterError::WrongState { command: "reload", state: "shutting down" }))
            }
            Command::Restart => self.restart(reply),
            Command::Ecv { disabled } => reply(self.switch_health_check(disabled)),
            Command::Stack { pid } => self.show_executions(pid, reply),
            Command::Inspect { pid, inspection } => self.inspect(pid, inspection, reply),
            Command::ReopenLogs => self.reopen_logs(reply),
            Command::Scale { workers } => {
                reply(self.scale(workers.into(), || format!("to {workers}")))
            }
            Command::ScaleBy { by } => {
                let now = self.least_workers();
                let asked = || format!("by {by} from {now}");
                reply(self.scale(i64::from(now).saturating_add(by.into()), asked));
            }
            Command::Send { pid, message } => {
                reply(one_line(message).and_then(|message| self.send(pid, &message)))
            }
            Command::Broadcast { message } => reply(one_line(message).map(|message| {
                let sent = self.workers.values().filter(|handle| handle.send(&message)).count();
                json!({ "sent": sent })
            })),
        }
    }

    /// Does what a signal asks for; only events say what comes of it.
    pub(super) fn on_signal(&mut self, signal: Signal) {
        tracing::debug!(?signal, "asked");
        // To stop ends what drains here too.
        if !matches!(signal, Signal::Stop) && self.pass_on_signal(signal) {
            return;
        }
        match signal {
            Signal::Shutdown => self.shut_down(),
            Signal::Stop => self.stop(),
            Signal::Reload => self.reload(false),
            Signal::ReopenLogs if self.parts.logs.is_some() => self.parts.dispatcher.reopen_logs(),
            Signal::ReopenLogs => {}
        }
    }

    fn stop(&mut self) {
        self.pass_on_signal(Signal::Stop);
        self.cancel_upgrade(true);
        self.advance_takeover(HeirEvent::Ending);
        self.apply(Event::Stop);
    }

    fn shut_down(&mut self) {
        self.pass_on_signal(Signal::Shutdown);
        self.cancel_upgrade(false);
        self.advance_takeover(HeirEvent::Ending);
        self.parts.board.header().leave(os::wall());
        self.apply(Event::Shutdown);
    }

    fn reload(&mut self, addresses_may_change: bool) {
        if self.upgrade.is_some() {
            return self.warn("no reload while another master takes over".to_owned());
        }
        if self.parts.supervisor.is_running() {
            self.parts.notifier.reload_asked();
            self.code.renew();
            self.apply(Event::Reload { addresses_may_change });
        }
    }

    fn restart(&mut self, reply: Reply) {
        let refused = |state| ClusterError::WrongState { command: "restart", state };
        if !self.parts.supervisor.is_running() {
            return reply(Err(refused("shutting down")));
        }
        if let Err(state) = self.parts.embedder.restart() {
            return reply(Err(refused(state)));
        }
        self.parts.notifier.restart_asked();
        self.replies.add(Until::Ended, reply);
        self.shut_down();
    }

    fn switch_health_check(&mut self, disabled: bool) -> Result<Value> {
        let header = self.parts.board.header();
        let mut switched_by = None;
        let config = &self.parts.info.config;
        let answer =
            health::switch_by_command(config, &header, disabled, |by| switched_by = Some(by));
        if let Some(by) = switched_by {
            self.on_switched(disabled, by);
        }
        answer
    }

    fn inspect(&mut self, pid: u32, inspection: Inspection, reply: Reply) {
        let Some((worker, _)) = self.workers.iter().find(|(_, handle)| handle.pid == pid) else {
            return reply(Err(ClusterError::WorkerUnknown { pid }));
        };
        let worker = *worker;
        let path = inspection.path();
        if !path.starts_with('/') || path.len() > MAX_PATH {
            return reply(Err(ClusterError::OptionInvalid {
                name: "path".into(),
                expected: "an absolute path".into(),
                got: path.chars().take(60).collect(),
            }));
        }
        if self.replies.has_inspected(worker) {
            let state = "looking inside that worker already";
            return reply(Err(ClusterError::WrongState { command: "look inside a worker", state }));
        }
        self.replies.add(Until::Inspected { worker }, reply);
        self.parts.dispatcher.send(Request::Inspect(worker, inspection));
    }

    fn reopen_logs(&mut self, reply: Reply) {
        if self.parts.logs.is_none() {
            let state = "not writing log files (option 'output')";
            return reply(Err(ClusterError::WrongState { command: "reopen logs", state }));
        }
        self.parts.dispatcher.reopen_logs();
        self.replies.add_reopening(self.workers.keys().copied().collect(), reply);
    }

    /// The number of workers that `scale` changes.
    fn least_workers(&self) -> u32 {
        let supervisor = &self.parts.supervisor;
        supervisor.scaling().map_or(supervisor.target(), |scaling| scaling.least)
    }

    /// `asked`: how the number was asked for, in words.
    fn scale(&mut self, workers: i64, asked: impl Fn() -> String) -> Result<Value> {
        let (most, why) = match self.parts.info.config.max_workers {
            Some(most) => (most, " (option 'maxWorkers')"),
            None => (MAX_WORKERS, ""),
        };
        let wanted = u32::try_from(workers).ok().filter(|wanted| (1..=most).contains(wanted));
        let Some(workers) = wanted else {
            return Err(ClusterError::ScaleInvalid { asked: asked(), most, why });
        };
        if !self.parts.supervisor.is_running() {
            return Err(ClusterError::WrongState { command: "scale", state: "shutting down" });
        }
        let before = self.least_workers();
        self.apply(Event::Scale { workers });
        let supervisor = &self.parts.supervisor;
        // Then it is the least, and work decides whether there are more.
        let scaling = supervisor.scaling().map(|scaling| (supervisor.target(), scaling.most));
        Ok(match scaling {
            Some((now, most)) => {
                json!({ "before": before, "workers": workers, "now": now, "max": most })
            }
            None => json!({ "before": before, "workers": workers }),
        })
    }

    fn send(&self, pid: u32, message: &str) -> Result<Value> {
        match self.workers.values().find(|handle| handle.pid == pid) {
            None => Err(ClusterError::WorkerUnknown { pid }),
            Some(handle) if handle.send(message) => Ok(json!({ "sent": 1 })),
            Some(_) => Err(ClusterError::WorkerBusy { pid }),
        }
    }
}

/// Returns `message` if it is one line of JSON, as Node's IPC needs it.
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

//! Describes the events of a cluster in words, for the journal and the master's own lines.

use super::events::{ExecutionReport, MasterEvent};
use crate::counts::counted;
use crate::protocol::status::{Level, is_crash};

/// An event in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Description {
    /// The `type` of the record.
    pub(crate) kind: &'static str,
    pub(crate) level: Level,
    /// The worker that it is about.
    pub(crate) pid: Option<u32>,
    pub(crate) message: String,
}

impl MasterEvent {
    /// Describes the event. `None`: it is only for the embedder.
    pub(crate) fn describe(&self) -> Option<Description> {
        let described = |kind, level, pid: Option<u32>, message: String| {
            Some(Description { kind, level, pid, message })
        };
        match self {
            Self::Forked { pid } => {
                described("start", Level::Info, Some(*pid), format!("worker {pid} was started"))
            }
            Self::Spare { pid } => {
                let message = format!("worker {pid} waits as a spare");
                described("spare", Level::Info, Some(*pid), message)
            }
            Self::Activated { pid } => {
                let message = format!("spare {pid} is activated");
                described("spare", Level::Info, Some(*pid), message)
            }
            Self::Listening { pid, addresses } => {
                let at = addresses.join(", ");
                let listening = if at.is_empty() { "" } else { ", listening on " };
                let message = format!("worker {pid} is ready{listening}{at}");
                described("ready", Level::Info, Some(*pid), message)
            }
            Self::Died { pid, .. } => {
                let (level, message) = self.describe_exit();
                described("exit", level, Some(*pid), message)
            }
            Self::Reloading { slot, pid, replaced, total } => {
                let number = replaced + 1;
                let message =
                    format!("reload {number} of {total}: replacing worker {pid} in slot {slot}");
                described("reload", Level::Info, Some(*pid), message)
            }
            Self::Reload { replaced, again } => {
                let next = if *again { "; once more, as was asked for meanwhile" } else { "" };
                let message = format!("reload: {}{next}", all_are_new(u64::from(*replaced)));
                described("reload", Level::Info, None, message)
            }
            Self::Scale { from, to, utilization, .. } => {
                let why = match utilization {
                    Some(part) => format!("{:.0}% busy over 10 s", part * 100.0),
                    None => "as a command asked".to_owned(),
                };
                let workers = counted(u64::from(*to), "worker");
                let message = format!("from {from} to {workers}: {why}");
                described("scale", Level::Info, None, message)
            }
            Self::Recycle { pid, reason } => {
                let message = format!("worker {pid} is being recycled: {reason}");
                described("recycle", Level::Info, Some(*pid), message)
            }
            Self::Unresponsive { pid, age, executing } => {
                let what = executing_lines(executing);
                let message = format!(
                    "worker {pid} hangs, its event loop did not turn for {age} ms; it is replaced. \
                     It is {what}"
                );
                described("stuck", Level::Error, Some(*pid), message)
            }
            Self::Blocked { pid, duration, executing } => {
                let what = executing_lines(executing);
                let message =
                    format!("worker {pid} has been blocked for {duration} ms so far. It is {what}");
                described("blocked", Level::Warn, Some(*pid), message)
            }
            Self::Disable { pid, reason } => {
                let of = pid.map_or(String::new(), |pid| format!("worker {pid}: "));
                described("switch", Level::Warn, *pid, format!("out of rotation: {of}{reason}"))
            }
            Self::Enable => described("switch", Level::Info, None, "in rotation again".to_owned()),
            Self::Overload { active: true, .. } => {
                let message = "overload: connections that wait for too long are answered 503";
                described("overload", Level::Warn, None, message.to_owned())
            }
            Self::Overload { active: false, shed, duration } => {
                let message = format!(
                    "the overload is over, after {duration} ms: {} got a 503",
                    counted(*shed, "connection"),
                );
                described("overload", Level::Info, None, message)
            }
            Self::Warning { message } => described("warning", Level::Warn, None, message.clone()),
            Self::ReloadFailed { message } => {
                described("reload", Level::Error, None, message.clone())
            }
            Self::Upgrading { pid } => {
                let message = format!("upgrade: master {pid} was started to take over");
                described("upgrade", Level::Info, None, message)
            }
            Self::Upgrade { pid } => {
                let message = format!("upgrade: master {pid} has taken over");
                described("upgrade", Level::Info, None, message)
            }
            Self::Takeover { pid, version } => {
                let message = format!("took over from master {pid} (cluster2-rs {version})");
                described("upgrade", Level::Info, None, message)
            }
            Self::Signal { .. }
            | Self::Message { .. }
            | Self::Validate { .. }
            | Self::Finished { .. } => None,
        }
    }

    fn describe_exit(&self) -> (Level, String) {
        let Self::Died { pid, code, signal, reason, error, executed } = self else {
            return (Level::Info, String::new());
        };
        let how = match (code, signal) {
            (Some(code), _) => format!("exit code {code}"),
            (_, Some(signal)) => (*signal).to_owned(),
            _ => "ended".to_owned(),
        };
        let level = match *reason {
            // It served nobody.
            "spare" => Level::Warn,
            reason if is_crash(reason) => Level::Error,
            _ => Level::Info,
        };
        let error = error.as_ref().filter(|_| level != Level::Info);
        let error = error.map_or(String::new(), |error| format!(": {error}"));
        let executed = executed.as_deref().map(innermost);
        let executed = executed.map_or(String::new(), |executed| format!("; it was {executed}"));
        (level, format!("worker {pid} is gone ({reason}, {how}){error}{executed}"))
    }
}

/// Describes what a worker executes: in words, and with its stack on indented lines.
pub fn executing_lines(report: &ExecutionReport) -> String {
    match (&report.stack, report.execution.describe_waiting()) {
        (Some(stack), _) => format!("executing\n{stack}"),
        (None, Some(waiting)) => waiting,
        (None, None) => "executing something that cannot be seen".to_owned(),
    }
}

/// Describes what a worker executes in one line.
fn innermost(report: &ExecutionReport) -> String {
    match report.execution.frames.first() {
        Some(frame) => {
            format!("executing {}", frame.to_string().trim_start().trim_start_matches("at "))
        }
        None => executing_lines(report),
    }
}

/// Describes the result of a reload of `replaced` workers.
pub fn all_are_new(replaced: u64) -> String {
    match replaced {
        1 => "its worker is new".to_owned(),
        _ => format!("all {} are new", counted(replaced, "worker")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_worker_that_was_lost_is_an_error_and_says_why() {
        let died = |reason| MasterEvent::Died {
            pid: 7,
            code: Some(1),
            signal: None,
            reason,
            error: Some("Error: no database".into()),
            executed: None,
        };
        let crash = died("crash").describe().unwrap();
        assert_eq!((crash.kind, crash.level, crash.pid), ("exit", Level::Error, Some(7)));
        assert_eq!(crash.message, "worker 7 is gone (crash, exit code 1): Error: no database");
        let reload = died("reload").describe().unwrap();
        assert_eq!(reload.level, Level::Info);
        assert_eq!(reload.message, "worker 7 is gone (reload, exit code 1)");
    }
}

//! Commands and their answers, on the control socket and between an embedder and its own master.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::messages::Inspection;
use crate::error::{ClusterError, Result};

/// The longest command or answer, bytes.
pub const MAX_BODY: usize = 8 * 1024 * 1024;

/// A request to a cluster. Answers are JSON; see `docs/internals/architecture.md`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "camelCase")]
pub enum Command {
    /// Answers what `status()` documents.
    Status,
    /// Answers with the last events, as `status()` has them.
    Events {
        /// Only those after this number.
        #[serde(default)]
        after: u64,
    },
    /// Kill all workers; answers when they are gone.
    Stop,
    /// Shut down gracefully; answers when the cluster is closed to new clients, or with `wait` when
    /// all workers are gone.
    Shutdown {
        /// Whether to wait for the end of the drain.
        #[serde(default)]
        wait: bool,
    },
    /// Replace all workers, one after another; answers when that is done.
    Reload {
        /// Whether the new code may listen on other addresses.
        #[serde(default, rename = "addressesMayChange")]
        addresses_may_change: bool,
    },
    /// Shut down gracefully and start again; answers when the cluster has ended. Only a master that
    /// can start itself again does this.
    Restart,
    /// Have another master take over; answers when the old one has nothing left.
    Upgrade(UpgradeRequest),
    /// Take the cluster out of the load balancers' rotation, or back into it; answers at once.
    Ecv {
        /// Whether to take it out.
        disabled: bool,
    },
    /// What workers execute; answers within a second.
    Stack {
        /// Which worker; `None`: all.
        pid: Option<u32>,
    },
    /// Have a worker look inside itself by Node's inspector, and write what it sees; answers when
    /// that is done.
    Inspect {
        /// Which worker.
        pid: u32,
        /// What to write.
        #[serde(flatten)]
        inspection: Inspection,
    },
    /// Have all workers open their log files again; answers when all have.
    ReopenLogs,
    /// Change the number of workers; answers at once.
    Scale {
        /// The new number.
        workers: u32,
    },
    /// Change the number of workers by a difference; answers as `Scale`.
    ScaleBy {
        /// Positive: more workers.
        by: i32,
    },
    /// A message to one worker.
    Send {
        /// The worker.
        pid: u32,
        /// Any JSON value, as text: it arrives exactly as it was written.
        message: String,
    },
    /// A message to all workers; answers with their number.
    Broadcast {
        /// Any JSON value, as text.
        message: String,
    },
}

/// How another master is started.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct UpgradeRequest {
    /// The program and its arguments. `None`: as the present master was started.
    pub args: Option<Vec<String>>,
    /// Variables besides those with which the present master was started.
    pub env: BTreeMap<String, String>,
    /// Working directory. `None`: that in which the present master was started.
    pub cwd: Option<String>,
    /// How long until all its workers have to be ready, milliseconds.
    pub timeout: Option<u64>,
}

/// Returns an answer as it travels: `{"ok": …}` or `{"error": {"code", "message"}}`.
pub fn seal(answer: &Result<Value>) -> Value {
    match answer {
        Ok(value) => json!({ "ok": value }),
        Err(error) => json!({ "error": { "code": error.code(), "message": error.message() } }),
    }
}

/// Returns the answer that was sealed. `Err(None)`: `sealed` is not an answer.
pub fn unseal(mut sealed: Value) -> std::result::Result<Value, Option<ClusterError>> {
    if let Some(ok) = sealed.get_mut("ok") {
        return Ok(ok.take());
    }
    let text = |name: &str| sealed["error"][name].as_str().map(str::to_owned);
    match (text("code"), text("message")) {
        (Some(code), Some(message)) => Err(Some(ClusterError::Remote { code, message })),
        _ => Err(None),
    }
}

/// Returns the reason that goes with a switch of the health check on behalf of `by`.
pub fn switched_off_by(by: &str) -> String {
    format!("switched off by {by}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_keeps_its_code_and_words_on_the_way() {
        let error = ClusterError::WorkerUnknown { pid: 7 };
        let (code, words) = (error.code().to_owned(), error.message());
        let back = unseal(seal(&Err(error))).unwrap_err().unwrap();
        assert_eq!((back.code(), back.message()), (code.as_str(), words));
        assert_eq!(unseal(seal(&Ok(json!(1)))).unwrap(), json!(1));
        assert!(unseal(json!({})).unwrap_err().is_none());
    }
}

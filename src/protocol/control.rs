//! What is said over the control socket, and by a embedder to its own master: commands and their answers.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::{ClusterError, Result};

/// The longest command or answer, bytes.
pub const MAX_BODY: usize = 8 * 1024 * 1024;

/// What a cluster can be asked to do. Answers are JSON; see `docs/internals/architecture.md`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "camelCase")]
pub enum Command {
    /// Answers what `status()` documents.
    Status,
    /// Kill all; answers when they are gone.
    Stop,
    /// Leave gracefully; answers when the door is shut, or with `wait` when all workers are gone.
    Shutdown {
        /// Whether to wait for the end of the drain.
        #[serde(default)]
        wait: bool,
    },
    /// Replace all workers, one after another; answers when that is done.
    Reload {
        /// Whether the new code may listen elsewhere.
        #[serde(default, rename = "addressesMayChange")]
        addresses_may_change: bool,
    },
    /// Take the cluster out of the load balancers' rotation, or back into it; answers at once.
    Ecv {
        /// Out of it.
        disabled: bool,
    },
    /// Workers open their log files anew; answers when all have.
    ReopenLogs,
    /// Change the number of workers; answers at once.
    Scale {
        /// To so many.
        workers: u32,
    },
    /// Change the number of workers by so many; answers as `Scale`.
    ScaleBy {
        /// More, or less.
        by: i32,
    },
    /// A message to one worker.
    Send {
        /// Which.
        pid: u32,
        /// Any JSON value, as text: it arrives exactly as it was written.
        message: String,
    },
    /// A message to all workers; answers to how many.
    Broadcast {
        /// Any JSON value, as text.
        message: String,
    },
}

/// An answer as it travels: `{"ok": …}` or `{"error": {"code", "message"}}`.
pub fn seal(answer: &Result<Value>) -> Value {
    match answer {
        Ok(value) => json!({ "ok": value }),
        Err(error) => json!({ "error": { "code": error.code(), "message": error.to_string() } }),
    }
}

/// The answer in a sealed one. `Err(None)`: it is none.
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

/// The reason that goes with a switch of the health check, on behalf of `by`.
pub fn switched_off_by(by: &str) -> String {
    format!("switched off by {by}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_keeps_its_code_and_words_on_the_way() {
        let error = ClusterError::WorkerUnknown { pid: 7 };
        let (code, words) = (error.code().to_owned(), error.to_string());
        let back = unseal(seal(&Err(error))).unwrap_err().unwrap();
        assert_eq!((back.code(), back.to_string()), (code.as_str(), words));
        assert_eq!(unseal(seal(&Ok(json!(1)))).unwrap(), json!(1));
        assert!(unseal(json!({})).unwrap_err().is_none());
    }
}

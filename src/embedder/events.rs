//! What an embedder is told.

use std::os::fd::OwnedFd;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::quota::Share;

/// What the master tells its embedder. As JSON, `lib/master/master.js` turns it into events.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum MasterEvent {
    /// A worker process exists.
    Forked {
        /// It.
        pid: u32,
    },
    /// A worker is ready.
    Listening {
        /// It.
        pid: u32,
        /// Where the app listens, `host:port` or a path each.
        places: Vec<String>,
    },
    /// A worker is gone.
    Died {
        /// It.
        pid: u32,
        /// Its exit code, if it returned one.
        code: Option<i32>,
        /// The signal that ended it, if one did.
        signal: Option<&'static str>,
        /// See `Cause::word`.
        reason: &'static str,
    },
    /// A worker received a signal.
    Signal {
        /// It.
        pid: u32,
        /// `SIGTERM` and so on.
        signal: String,
    },
    /// A worker sent a message.
    Message {
        /// It.
        pid: u32,
        /// Its number among all workers, as `cluster.worker.id` is in it.
        id: u32,
        /// What it sent.
        message: Box<RawValue>,
    },
    /// A reload goes on to its next worker.
    Reloading {
        /// The place.
        slot: u32,
        /// The worker that is to go.
        pid: u32,
        /// How many are done.
        replaced: u32,
        /// How many there are.
        total: u32,
    },
    /// A reload is complete.
    Reload {
        /// How many workers are new.
        replaced: u32,
        /// Whether another one follows, which was asked for meanwhile.
        again: bool,
    },
    /// A worker passed a threshold and is being replaced.
    Recycle {
        /// It.
        pid: u32,
        /// Which threshold, in words.
        reason: String,
    },
    /// A worker's event loop is stuck; it is killed and replaced.
    Unresponsive {
        /// It.
        pid: u32,
        /// For how long, milliseconds.
        age: u64,
    },
    /// Load balancers are told to send no more clients.
    Disable {
        /// The worker whose check failed; `None` if it was switched off.
        pid: Option<u32>,
        /// Why.
        reason: String,
    },
    /// Load balancers are told to send clients again.
    Enable,
    /// The user's validator is wanted, for a check on the monitor's port.
    Validate {
        /// Comes back in the answer.
        id: u32,
        /// What the monitor URI answered, if there is one.
        answered: Option<Answered>,
    },
    /// Something that a person should know.
    Warning {
        /// In words.
        message: String,
    },
    /// The cluster has ended; nothing follows.
    Finished {
        /// Why, if it was not asked to.
        error: Option<Failure>,
    },
}

/// An error for a embedder: a stable code and the words.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Failure {
    /// `CLUSTER2_ERR_…`
    pub code: String,
    /// For people.
    pub message: String,
}

/// Whoever embeds a master. Called on our threads; must not block.
pub trait Embedder: Send + Sync + 'static {
    /// Something happened.
    fn tell(&self, told: MasterEvent);

    /// The worker `pid`, by its number `id`, sent a message, whose `share` is held until it is dealt with: the worker is read no further
    /// than its quota.
    fn message(&self, pid: u32, id: u32, message: Box<RawValue>, share: Share);

    /// The worker `pid` has sent its last message.
    fn silent(&self, pid: u32);

    /// A request for the user's monitor app waits on this connection. False: there is nobody to take it.
    fn connect(&self, connection: OwnedFd) -> bool;
}

/// What was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answered {
    /// Status code.
    pub status: u16,
    /// Headers, names in lower case; of repeated ones, all.
    pub headers: Vec<(String, String)>,
    /// The beginning of the body; what is no UTF-8 is replaced.
    pub body: String,
}

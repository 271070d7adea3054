//! What master and worker say to each other: orders go to the worker, reports go to the master.
//!
//! `frame` says how they travel.

use serde::{Deserialize, Serialize};

use super::endpoint::Endpoint;

/// Names a listening socket of the master.
pub(crate) type ListenerId = u32;

/// From the master.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum Order {
    /// The answer to `Bind`: the listener exists.
    Bound {
        /// `seq` of the `Bind`.
        seq: u32,
        /// The listener's id.
        listener: ListenerId,
        /// For TCP: what `server.address()` returns.
        address: Option<BoundAddress>,
        /// For a unix socket: its path.
        path: Option<String>,
        /// Set if its socket came along, to accept from it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        shared: Option<SharedSocket>,
    },
    /// The answer to `Bind`: the socket cannot be bound.
    BindFailed {
        /// `seq` of the `Bind`.
        seq: u32,
        /// The kernel's error number, positive.
        errno: i32,
    },
    /// The answer to `Unserve`, where that is a question.
    Unserved,
    /// Finish what you have, then report `Drained`.
    Drain {
        /// Whether to give idle connections back, because another worker can take them.
        moving: bool,
        /// Listeners that no other worker serves, besides those of earlier orders: keep their
        /// connections.
        #[serde(default)]
        retired: Vec<ListenerId>,
    },
    /// No connection is on its way to you: end.
    Leave,
    /// You are a spare no longer: listen. Ask for each address again by `Bind`.
    Activate,
    /// Do nothing: taking this order is the sign of life that the master asks for.
    Beat,
    /// Open your log files again, then report `Reopened`.
    Reopen,
    /// Look inside by Node's inspector, then report `Inspected`.
    Inspect(Inspection),
    /// Descriptors that wake the workers of these rows came along.
    Wakers {
        /// Rows on the scoreboard, in the order of the descriptors.
        rows: Vec<u32>,
    },
}

/// What Node's inspector is to write, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "camelCase")]
pub enum Inspection {
    /// Where processor time goes.
    Profile {
        /// For how long it looks.
        seconds: u32,
        /// A new file, absolute.
        path: String,
    },
    /// All objects.
    Heap {
        /// A new file, absolute.
        path: String,
    },
}

impl Inspection {
    /// The file.
    pub fn path(&self) -> &str {
        match self {
            Self::Profile { path, .. } | Self::Heap { path } => path,
        }
    }
}

/// A listening socket from which several workers accept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedSocket {
    /// Its bit on the scoreboard, below [`MAX_SHARED`](crate::os::admission_row::MAX_SHARED).
    pub bit: u32,
    /// Whether it was inherited: it goes on listening when the cluster is gone.
    pub inherited: bool,
    /// Where the option `overload` is on: how long a turn of the event loop should take at most,
    /// milliseconds, and connections that are accepted have to be counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn: Option<u64>,
}

/// Address of a TCP listener as Node shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoundAddress {
    /// An IP address as text.
    pub address: String,
    /// `IPv4` or `IPv6`.
    pub family: String,
    /// The bound port, never 0.
    pub port: u16,
}

/// From a worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum Report {
    /// A server wants to listen. That of a spare wants to know whether it can, and where.
    Bind {
        /// Comes back in the answer.
        seq: u32,
        /// The address, and how to listen on it.
        wanted: Wanted,
    },
    /// The worker serves this listener from now on.
    Serve {
        /// The listener.
        listener: ListenerId,
        /// Whether it accepts by itself. If not, send it connections.
        #[serde(default)]
        accepts: bool,
        /// Whether its server speaks HTTP/1 without TLS.
        #[serde(default)]
        http1: bool,
    },
    /// The worker serves this listener no more.
    Unserve {
        /// The listener.
        listener: ListenerId,
    },
    /// The script of a spare has come to its `listen`, which waits for `Activate`.
    Waiting {
        /// `false` for a script that does not know us, because it may start further servers.
        settled: bool,
    },
    /// All servers of the app listen. Sent again when further servers listen later.
    Ready {
        /// Where they listen.
        endpoints: Vec<Endpoint>,
        /// `false` for a script that does not know us, because it may start further servers.
        settled: bool,
    },
    /// The worker begins to drain by itself.
    Leaving,
    /// The worker has nothing left to finish.
    Drained,
    /// The number of connections for which the worker has descriptors.
    Room {
        /// How many it will have taken then, since its start. `None`: as many as can come.
        until: Option<u64>,
    },
    /// The worker opened its log files again, or cannot.
    Reopened,
    /// The worker has written what `Inspect` asked for, or cannot.
    Inspected {
        /// Why it cannot.
        problem: Option<String>,
    },
    /// The worker is about to end because of an uncaught error.
    LastWords {
        /// The error, shortened.
        words: String,
    },
    /// The health check's result changed.
    Checked {
        /// What it found wrong. `None`: the app is healthy.
        problem: Option<String>,
    },
    /// The worker switched the health check in the scoreboard's header.
    Switched {
        /// Whether it is off now.
        disabled: bool,
        /// Who asked, in words.
        by: String,
    },
    /// A message for a person.
    Warning {
        /// The message.
        message: String,
    },
    /// The worker received a signal.
    Signal {
        /// Its name, `SIGTERM`.
        signal: String,
    },
}

/// A listener as a worker asks for it. Equal requests of all workers get the same listener.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Wanted {
    /// An IP address, `None` for all; or the path of a unix socket where `port` is `None`.
    pub address: Option<String>,
    /// TCP port.
    pub port: Option<u16>,
    /// Whether `::` leaves out IPv4.
    #[serde(default)]
    pub v6_only: bool,
    /// Length of the queue of unaccepted connections.
    #[serde(default)]
    pub backlog: u16,
    /// Tells several `listen(0)` of one worker apart.
    #[serde(default)]
    pub index: u32,
}

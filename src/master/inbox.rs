//! The supervisor's inbox: what it must know. Sending never waits and never fails while the supervisor lives, and what was
//! sent is heard in its order; so nothing can be lost. Messages between users' scripts do not come here.
//!
//! It has no limit of its own: whoever sends is bounded. What always holds: from each of these no more waits than is said here.
//!
//! | from | what waits at most |
//! | --- | --- |
//! | the task of a worker (`node_ipc.rs`) | its end, once; lines that were too long, within the quota of its messages |
//! | the dispatcher | reports of a worker within its `Quota` (`peer.rs`), and its end, once |
//! | the embedder | commands within `ASKED` bytes that are not answered yet (`master.rs`); each signal once |
//! | the control socket | one command for each client |
//! | the monitor | within its `Quota` (`master.rs`), and one for each of its connections |
//! | the supervisor itself | that the door is shut, once |

use tokio::sync::mpsc;
use tokio::sync::oneshot;

use crate::protocol::control::Command;
use crate::protocol::endpoint::At;
use crate::protocol::frame::Report;
use crate::protocol::status::Status;
use crate::protocol::worker::{Exit, WorkerId};
use crate::quota::Share;
use crate::remote::server::Reply;

/// How many are heard before the supervisor looks at its deadlines again.
const BATCH: usize = 1024;

/// What the supervisor must know.
pub enum Input {
    /// A worker reported something over its channel.
    Report(WorkerId, Report),
    /// Where a worker gets connections from the door has changed: all of its addresses.
    Serves(WorkerId, Vec<At>),
    /// The process of a worker sent a message of so many bytes over Node's IPC, which was skipped.
    MessageTooLong(u32, u64),
    /// The last messages of a worker that is gone, a process of this number, were not taken in time.
    MessagesLost(u32),
    /// A worker's process has ended.
    Exited(WorkerId, Exit),
    /// And the dispatcher has heard it to the end.
    Gone(WorkerId, Exit),
    /// Somebody asks something.
    Command(Command, Reply),
    /// A signal wants this of the cluster; nobody waits for the answer.
    Signal(Signal),
    /// The monitor wants the picture of the cluster.
    Status(oneshot::Sender<Status>),
    /// Checks on the monitor's port find something else than before.
    Checked(Option<String>),
    /// The monitor switched the health check: the direction, and who asked.
    Switched(bool, String),
    /// The monitor has something to tell.
    Warning(String),
    /// Nobody new gets in any more.
    DoorShut,
}

/// What a signal to the master wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Leave gracefully.
    Shutdown,
    /// Leave at once.
    Stop,
    /// Replace all workers.
    Reload,
    /// Open log files again.
    ReopenLogs,
}

/// The senders' end.
#[derive(Clone)]
pub struct Inputs(mpsc::UnboundedSender<(Input, Option<Share>)>);

/// The supervisor's end.
pub struct Inbox(mpsc::UnboundedReceiver<(Input, Option<Share>)>);

/// Both ends of an inbox.
pub fn open() -> (Inputs, Inbox) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (Inputs(sender), Inbox(receiver))
}

impl Inputs {
    /// Sends what is bounded by its nature; see the module's text. False: the supervisor has ended.
    pub fn send(&self, input: Input) -> bool {
        self.0.send((input, None)).is_ok()
    }

    /// Sends what occupies a `share` until it has been heard.
    pub fn send_within(&self, share: Option<Share>, input: Input) -> bool {
        self.0.send((input, share)).is_ok()
    }
}

impl Inbox {
    /// Calls `hear` with what has come, up to a batch of it.
    pub fn hear(&mut self, mut hear: impl FnMut(Input)) {
        for _ in 0..BATCH {
            let Ok((input, _share)) = self.0.try_recv() else { return };
            hear(input);
        }
    }

    /// Waits until something has come, and returns it.
    pub async fn next(&mut self) -> Input {
        match self.0.recv().await {
            Some((input, _share)) => input,
            // The supervisor has a sender of its own.
            None => std::future::pending().await,
        }
    }
}

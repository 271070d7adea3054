//! Tells JavaScript what happens: the embedder of a master and of a single process.
//!
//! JavaScript is only woken, once for whatever comes until it has taken all; it takes from the mailbox on its own thread.

use std::os::fd::{IntoRawFd, OwnedFd};
use std::sync::Arc;

use napi::Status;
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::binding::print;
use crate::embedder::mailbox::{Item, Mailbox};
use crate::embedder::{Embedder, MasterEvent};
use crate::os;
use crate::quota::Share;

/// Keeps the event loop alive while it is held.
pub type Strong = ThreadsafeFunction<(), (), (), Status, false>;
/// Does not.
pub type Weak = ThreadsafeFunction<(), (), (), Status, false, true>;

/// A function of JavaScript that is called when there is something to take.
pub trait Wake: Send + Sync + 'static {
    /// Calls it soon.
    fn wake(&self);
}

impl<const WEAK: bool> Wake for ThreadsafeFunction<(), (), (), Status, false, WEAK> {
    fn wake(&self) {
        // Its queue has no limit, and holds one call at most. It is closed only with the environment, with all that would take.
        let status = self.call((), ThreadsafeFunctionCallMode::NonBlocking);
        if !matches!(status, Status::Ok | Status::Closing) {
            tracing::error!(%status, "JavaScript cannot be woken");
        }
    }
}

/// See the module's text.
pub struct AddonFront<W> {
    wake: W,
    mailbox: Arc<Mailbox>,
}

impl<W: Wake> AddonFront<W> {
    /// A embedder, and what JavaScript takes from.
    pub fn new(wake: W) -> (Arc<Self>, Arc<Mailbox>) {
        let mailbox = Arc::<Mailbox>::default();
        (Arc::new(Self { wake, mailbox: Arc::clone(&mailbox) }), mailbox)
    }

    fn wake_if(&self, is_asleep: bool) {
        if is_asleep {
            self.wake.wake();
        }
    }
}

impl<W: Wake> Embedder for AddonFront<W> {
    fn tell(&self, told: MasterEvent) {
        self.wake_if(self.mailbox.tell(told));
    }

    fn message(&self, pid: u32, id: u32, message: Box<RawValue>, share: Share) {
        self.wake_if(self.mailbox.message(pid, id, message, share));
    }

    fn silent(&self, pid: u32) {
        self.wake_if(self.mailbox.silent(pid));
    }

    fn connect(&self, connection: OwnedFd) -> bool {
        self.wake_if(self.mailbox.connect(connection));
        true
    }
}

/// What comes next for JavaScript: a JSON array of events. `None`: there is nothing; it is woken when there is.
pub fn take(mailbox: &Mailbox) -> napi::Result<Option<String>> {
    let Some(batch) = mailbox.take(os::now()) else { return Ok(None) };
    let events = batch.into_iter().map(|item| match item {
        Item::MasterEvent(told) => Event::MasterEvent(told),
        // JavaScript's from now on.
        Item::Visitor(connection) => {
            Event::Visitor(json!({ "type": "visitor", "fd": connection.into_raw_fd() }))
        }
    });
    print(&events.collect::<Vec<_>>()).map(Some)
}

#[derive(serde::Serialize)]
#[serde(untagged)]
enum Event {
    MasterEvent(MasterEvent),
    Visitor(Value),
}

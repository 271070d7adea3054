//! Passes events to JavaScript, which embeds a master or a single process.
//!
//! JavaScript is only woken, once for all events until it has taken them; it takes them from the
//! mailbox on its own thread.

use std::os::fd::{IntoRawFd, OwnedFd};
use std::sync::Arc;

use cluster2_rs::embedder::{Embedder, MasterEvent};
use cluster2_rs::embedder::{Item, Mailbox};
use cluster2_rs::os;
use cluster2_rs::quota::Share;
use cluster2_shared_addon::convert::print;
use napi::Status;
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// Wakes JavaScript, and keeps the event loop alive while it is held.
pub(crate) type StrongWake = ThreadsafeFunction<(), (), (), Status, false>;
/// Wakes JavaScript, and does not keep the event loop alive.
pub(crate) type WeakWake = ThreadsafeFunction<(), (), (), Status, false, true>;

/// A function of JavaScript that is called when there are events to take.
pub(crate) trait Wake: Send + Sync + 'static {
    /// Calls it soon.
    fn wake(&self);
}

impl<const WEAK: bool> Wake for ThreadsafeFunction<(), (), (), Status, false, WEAK> {
    fn wake(&self) {
        // Its queue has no limit, and holds one call at most. It closes only with the environment.
        let status = self.call((), ThreadsafeFunctionCallMode::NonBlocking);
        if !matches!(status, Status::Ok | Status::Closing) {
            tracing::error!(%status, "JavaScript cannot be woken");
        }
    }
}

/// The embedder that JavaScript is.
pub(crate) struct AddonEmbedder<W> {
    wake: W,
    mailbox: Arc<Mailbox>,
}

impl<W: Wake> AddonEmbedder<W> {
    /// Returns an embedder, and the mailbox from which JavaScript takes.
    pub(crate) fn new(wake: W) -> (Arc<Self>, Arc<Mailbox>) {
        let mailbox = Arc::<Mailbox>::default();
        (Arc::new(Self { wake, mailbox: Arc::clone(&mailbox) }), mailbox)
    }

    fn wake_if(&self, is_asleep: bool) {
        if is_asleep {
            self.wake.wake();
        }
    }
}

impl<W: Wake> Embedder for AddonEmbedder<W> {
    fn emit(&self, event: MasterEvent) {
        self.wake_if(self.mailbox.emit(event));
    }

    fn message(&self, pid: u32, id: u32, message: Box<RawValue>, share: Share) {
        self.wake_if(self.mailbox.message(pid, id, message, share));
    }

    fn end_of_messages(&self, pid: u32) {
        self.wake_if(self.mailbox.end_of_messages(pid));
    }

    fn forward(&self, connection: OwnedFd) -> bool {
        self.wake_if(self.mailbox.forward(connection));
        true
    }
}

/// Takes the next events, as a JSON array. `None`: there are none, and JavaScript is woken when
/// there are.
pub(crate) fn take(mailbox: &Mailbox) -> napi::Result<Option<String>> {
    let Some(batch) = mailbox.take(os::now()) else { return Ok(None) };
    let events = batch.into_iter().map(|item| match item {
        Item::Event(event) => Event::MasterEvent(event),
        // JavaScript owns it from now on.
        Item::Connection(connection) => {
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

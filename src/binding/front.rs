//! Tells JavaScript what happens: the front of a master and of a single process.

use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd};
use std::sync::Arc;

use napi::Status;
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use serde_json::json;

use super::print;
use crate::runtime::{Front, Told};

/// Events that may wait for JavaScript's event loop.
const MAX_WAITING: usize = 65_536;

/// Keeps the event loop alive while it is held.
pub type Strong = ThreadsafeFunction<String, (), String, Status, false, false, MAX_WAITING>;
/// Does not.
pub type Weak = ThreadsafeFunction<String, (), String, Status, false, true, MAX_WAITING>;

/// A function of JavaScript that takes an event as JSON.
pub trait Listener: Send + Sync + 'static {
    /// Whether the event is on its way.
    fn hear(&self, text: String) -> bool;
}

impl<const WEAK: bool> Listener for ThreadsafeFunction<String, (), String, Status, false, WEAK, MAX_WAITING> {
    fn hear(&self, text: String) -> bool {
        match self.call(text, ThreadsafeFunctionCallMode::NonBlocking) {
            Status::Ok => true,
            Status::Closing => false,
            status => {
                tracing::error!(%status, "an event was lost: the event loop does not keep up");
                false
            }
        }
    }
}

/// See the module's text.
pub struct AddonFront<L>(pub Arc<L>);

impl<L: Listener> Front for AddonFront<L> {
    fn tell(&self, told: Told) {
        if let Ok(text) = print(&told) {
            self.0.hear(text);
        }
    }

    fn connect(&self, connection: OwnedFd) -> bool {
        let told = json!({ "type": "visitor", "fd": connection.as_raw_fd() });
        let taken = self.0.hear(told.to_string());
        if taken {
            // JavaScript's from now on.
            let _ = connection.into_raw_fd();
        }
        taken
    }
}

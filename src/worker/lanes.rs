//! The lanes on which this worker accepts by itself.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};

use crate::os::listener;
use crate::protocol::{ListenerId, Order};

/// A descriptor of each lane that JavaScript has, so that the orphan watch can stop the lanes while
/// the event loop is stuck.
#[derive(Debug, Clone, Default)]
pub(super) struct Lanes(Arc<Mutex<BTreeMap<ListenerId, OwnedFd>>>);

impl Lanes {
    /// Takes the lane of an order from the descriptors that came with it, and remembers it. If no
    /// descriptor is left for a copy, only JavaScript can close it.
    pub(super) fn take(&self, order: Order, fds: Vec<OwnedFd>) -> (Order, Option<OwnedFd>) {
        let lane = fds.into_iter().next();
        if let (Order::Bound { listener, .. }, Some(lane)) = (&order, &lane)
            && let (Ok(copy), Ok(mut lanes)) = (lane.try_clone(), self.0.lock())
        {
            lanes.insert(*listener, copy);
        }
        (order, lane)
    }

    /// Forgets the lane of a listener, which JavaScript closes.
    pub(super) fn remove(&self, listener: ListenerId) {
        if let Ok(mut lanes) = self.0.lock() {
            lanes.remove(&listener);
        }
    }

    /// Ends the listening of all lanes, as that of the master's other sockets ended with it.
    pub(super) fn stop_listening(&self) {
        if let Ok(lanes) = self.0.lock() {
            lanes.values().for_each(listener::stop_listening);
        }
    }
}

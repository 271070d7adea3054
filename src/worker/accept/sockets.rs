//! The listening sockets that this worker has in common with others.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::os::accept_queue::{accept, stop_listening};
use crate::os::scoreboard::Header;
use crate::protocol::{ListenerId, SharedSocket};

/// The sockets, also for the watch thread, which ends them while the event loop is stuck.
#[derive(Debug, Clone)]
pub(in crate::worker) struct SharedSockets {
    /// Says whether another master has them too.
    header: Header,
    state: Arc<Mutex<SocketsState>>,
}

#[derive(Debug, Default)]
struct SocketsState {
    sockets: BTreeMap<ListenerId, (SharedSocket, Arc<OwnedFd>)>,
    /// Connections that waited when the master died.
    rescued: Vec<(OwnedFd, ListenerId)>,
}

impl SharedSockets {
    pub(super) fn new(header: Header) -> Self {
        Self { header, state: Arc::default() }
    }

    pub(super) fn insert(&self, listener: ListenerId, shared: SharedSocket, socket: OwnedFd) {
        self.state().sockets.insert(listener, (shared, Arc::new(socket)));
    }

    pub(super) fn get(&self, listener: ListenerId) -> Option<(SharedSocket, Arc<OwnedFd>)> {
        self.state().sockets.get(&listener).cloned()
    }

    pub(super) fn remove(&self, listener: ListenerId) {
        self.state().sockets.remove(&listener);
    }

    pub(super) fn clear(&self) {
        self.state().sockets.clear();
    }

    /// The master is gone: takes the connections that wait, and ends the listening for all who have
    /// the sockets, as that of the master's other sockets ended with it. Others will accept from
    /// inherited ones, and from all that another master has.
    pub(in crate::worker) fn end(&self) {
        let are_lent = self.header.are_sockets_lent();
        let mut state = self.state();
        for (listener, (shared, socket)) in std::mem::take(&mut state.sockets) {
            if shared.inherited || are_lent {
                continue;
            }
            let waiting = std::iter::from_fn(|| accept(&*socket).ok());
            state.rescued.extend(waiting.map(|connection| (connection, listener)));
            stop_listening(&*socket);
        }
    }

    pub(super) fn take_rescued(&self) -> Vec<(OwnedFd, ListenerId)> {
        std::mem::take(&mut self.state().rescued)
    }

    fn state(&self) -> MutexGuard<'_, SocketsState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

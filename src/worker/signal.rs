//! What a worker takes from its master.

use std::os::fd::OwnedFd;

use crate::protocol::{Order, Origin};

/// The result of one [`MasterLink::take`](super::MasterLink::take).
#[derive(Debug)]
pub enum WorkerSignal {
    /// Connections, each with where it came from.
    Connections(Vec<(OwnedFd, Origin)>),
    /// An order.
    Order(Order),
    /// There is nothing to take.
    Nothing,
    /// There are connections, but no descriptors for them. The event loop does not poll the channel
    /// again before [`MasterLink::catch_up`](super::MasterLink::catch_up).
    Starved,
    /// The master is gone.
    Orphaned,
}

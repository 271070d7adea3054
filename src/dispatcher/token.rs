//! What an epoll event is about.

use rustix::event::epoll;

use crate::protocol::ListenerId;
use crate::protocol::worker::WorkerId;

const LISTENER: u64 = 1 << 32;
const WORKER: u64 = 2 << 32;
const RELAY: u64 = 3 << 32;
const SHED: u64 = 1 << 63;

/// The kind is in the upper half of the number that epoll keeps, the id in the lower; for those
/// that are shed, of which there may be more than 2^32, the kind is the highest bit alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    /// Requests wait.
    Wake,
    /// The listening socket of this number.
    Listener(ListenerId),
    Worker(WorkerId),
    /// The other master.
    Relay,
    /// The connection of this number that is shed. It is below 2^63.
    Shed(u64),
}

impl Token {
    pub(super) fn data(self) -> epoll::EventData {
        epoll::EventData::new_u64(match self {
            Self::Wake => 0,
            Self::Listener(id) => LISTENER | u64::from(id),
            Self::Worker(WorkerId(id)) => WORKER | u64::from(id),
            Self::Relay => RELAY,
            Self::Shed(number) => SHED | number,
        })
    }

    pub(super) fn of(data: epoll::EventData) -> Self {
        let number = data.u64();
        if number & SHED != 0 {
            return Self::Shed(number & !SHED);
        }
        let id = number as u32;
        match number & !u64::from(u32::MAX) {
            LISTENER => Self::Listener(id),
            WORKER => Self::Worker(WorkerId(id)),
            RELAY => Self::Relay,
            _ => Self::Wake,
        }
    }
}

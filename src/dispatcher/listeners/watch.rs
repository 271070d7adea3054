//! How epoll watches one listening socket.
//!
//! What always holds: a socket that another process has too, as a worker its lane, is taken off
//! epoll before it is closed here, since closing alone would not end its watch.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::event::epoll;

use crate::clock::Millis;
use crate::protocol::worker::WorkerId;

/// What the dispatcher wants of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::dispatcher) enum Interest {
    /// Nothing: connections wait in its queue.
    Off,
    /// To accept.
    Accept,
    /// A worker accepts; to check now and then whether it does.
    Guard(LaneProgress),
}

/// How many connections a worker ever had at some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::dispatcher) struct LaneProgress {
    pub(in crate::dispatcher) worker: WorkerId,
    pub(in crate::dispatcher) connections: u64,
}

#[derive(Debug, Clone, Copy)]
enum WatchState {
    Off,
    Accept,
    /// Epoll reports once that somebody came, and is silent then, however many follow.
    Armed(LaneProgress),
    /// Somebody came; to be checked at this time.
    Due(LaneProgress, Millis),
    /// It was checked.
    Spent,
}

#[derive(Debug)]
pub(super) struct Watch {
    state: WatchState,
    epoll: Option<Arc<OwnedFd>>,
}

impl Watch {
    /// Not watched yet.
    pub(super) fn new() -> Self {
        Self { state: WatchState::Off, epoll: None }
    }

    /// Watches `socket` as is wanted.
    pub(super) fn set(
        &mut self,
        socket: impl AsFd,
        wanted: Interest,
        epoll: &Arc<OwnedFd>,
        token: epoll::EventData,
    ) -> io::Result<()> {
        use WatchState::{Accept, Armed, Due, Off};
        let (state, flags) = match (self.state, wanted) {
            (Off, Interest::Off)
            | (Accept, Interest::Accept)
            | (Armed(_) | Due(..), Interest::Guard(_)) => return Ok(()),
            (_, Interest::Off) => return self.end(socket),
            (_, Interest::Accept) => (Accept, epoll::EventFlags::IN),
            (_, Interest::Guard(progress)) => {
                (Armed(progress), epoll::EventFlags::IN | epoll::EventFlags::ONESHOT)
            }
        };
        match self.epoll {
            Some(_) => epoll::modify(epoll, socket, token, flags)?,
            None => epoll::add(epoll, socket, token, flags)?,
        }
        self.epoll = Some(Arc::clone(epoll));
        self.state = state;
        Ok(())
    }

    /// Ends the watch.
    pub(super) fn end(&mut self, socket: impl AsFd) -> io::Result<()> {
        self.state = WatchState::Off;
        self.epoll.take().map_or(Ok(()), |epoll| Ok(epoll::delete(&epoll, socket)?))
    }

    /// Somebody came. Returns whether to accept here; a guarded socket is checked at `check_at`
    /// instead.
    pub(super) fn came(&mut self, check_at: Millis) -> bool {
        if let WatchState::Armed(progress) = self.state {
            self.state = WatchState::Due(progress, check_at);
        }
        matches!(self.state, WatchState::Accept)
    }

    /// When to check.
    pub(super) fn due(&self) -> Option<Millis> {
        if let WatchState::Due(_, at) = self.state { Some(at) } else { None }
    }

    /// If it is time to check: how far the worker was when nobody was there yet.
    pub(super) fn take_due(&mut self, now: Millis) -> Option<LaneProgress> {
        match self.state {
            WatchState::Due(progress, at) if at <= now => {
                self.state = WatchState::Spent;
                Some(progress)
            }
            _ => None,
        }
    }
}

//! How epoll watches one listening socket.
//!
//! What always holds: a socket that another process has too is taken off epoll before it is closed
//! here, since closing alone would not end its watch.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::event::epoll;

use crate::clock::Millis;

/// How long after somebody came to a guarded socket its queue is checked, milliseconds.
pub(crate) const CHECK_AFTER: Millis = 25;

/// What the dispatcher wants of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interest {
    /// Nothing: connections wait in its queue.
    Off,
    /// To accept.
    Accept,
    /// Workers accept; to check now and then whether they do.
    Guard,
}

/// The result of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finding {
    /// Nobody waits, or workers have accepted.
    Moves,
    Stands,
    /// As at the check before.
    StillStands,
}

/// How many connections the workers had, before somebody came or at a check that found the queue
/// standing.
#[derive(Debug, Clone, Copy)]
struct Before {
    progress: u64,
    stood: bool,
}

#[derive(Debug, Clone, Copy)]
enum WatchState {
    Off,
    Accept,
    /// Epoll reports once that somebody came, and is silent then, however many follow.
    Armed(Before),
    /// Somebody came; to be checked at this time.
    Due(Before, Millis),
    /// It was checked, and stood then or not.
    Checked(Option<Before>),
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

    /// Watches `socket` as is wanted. `progress` returns how many connections its workers had.
    pub(super) fn set(
        &mut self,
        socket: impl AsFd,
        wanted: Interest,
        progress: impl FnOnce() -> u64,
        epoll: &Arc<OwnedFd>,
        token: epoll::EventData,
    ) -> io::Result<()> {
        use WatchState::{Accept, Armed, Checked, Due, Off};
        let (state, flags) = match (self.state, wanted) {
            (Off, Interest::Off)
            | (Accept, Interest::Accept)
            | (Armed(_) | Due(..), Interest::Guard) => return Ok(()),
            (_, Interest::Off) => return self.end(socket),
            (_, Interest::Accept) => (Accept, epoll::EventFlags::IN),
            (state, Interest::Guard) => {
                let stood = if let Checked(before) = state { before } else { None };
                let before = stood.unwrap_or_else(|| Before { progress: progress(), stood: false });
                (Armed(before), epoll::EventFlags::IN | epoll::EventFlags::ONESHOT)
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

    /// Somebody came at `now`. Returns whether to accept here; a guarded socket is checked later.
    pub(super) fn came(&mut self, now: Millis) -> bool {
        if let WatchState::Armed(before) = self.state {
            self.state = WatchState::Due(before, now + CHECK_AFTER);
        }
        matches!(self.state, WatchState::Accept)
    }

    /// Whether epoll will report the next one that comes to a guarded socket.
    pub(super) fn is_armed(&self) -> bool {
        matches!(self.state, WatchState::Armed(_))
    }

    /// When to check.
    pub(super) fn due(&self) -> Option<Millis> {
        if let WatchState::Due(_, at) = self.state { Some(at) } else { None }
    }

    /// Checks if it is time. `progress` as for `set`; `waits` returns whether somebody waits.
    pub(super) fn take_due(
        &mut self,
        now: Millis,
        progress: impl FnOnce() -> u64,
        waits: impl FnOnce() -> bool,
    ) -> Option<Finding> {
        let WatchState::Due(before, at) = self.state else { return None };
        if at > now {
            return None;
        }
        let progress = progress();
        let stands = progress == before.progress && waits();
        self.state = WatchState::Checked(stands.then_some(Before { progress, stood: true }));
        Some(match (stands, before.stood) {
            (false, _) => Finding::Moves,
            (true, false) => Finding::Stands,
            (true, true) => Finding::StillStands,
        })
    }
}

//! How epoll watches one listening socket.
//!
//! What always holds: a socket that somebody else has too, as a worker its lane, is taken off epoll before it is closed here, since
//! closing alone would not end its watch.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::event::epoll;

use crate::clock::Millis;
use crate::protocol::worker::WorkerId;

/// How a socket is to be watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attention {
    /// Not at all: who is in its queue waits there.
    Off,
    /// Whoever comes is accepted here.
    Accept,
    /// A worker accepts; now and then it is looked at whether it does.
    Guard(Progress),
}

/// How many connections a worker ever had at some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Which worker.
    pub worker: WorkerId,
    /// How many.
    pub connections: u64,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Off,
    Accept,
    /// Epoll tells once that somebody came, and is silent then, however many follow.
    Armed(Progress),
    /// Somebody came; it is time to look at this time.
    Due(Progress, Millis),
    /// It was looked at.
    Spent,
}

/// See the module's text.
#[derive(Debug)]
pub struct Watch {
    state: State,
    epoll: Option<Arc<OwnedFd>>,
}

impl Watch {
    /// Not watched yet.
    pub(in crate::dispatcher) fn new() -> Self {
        Self { state: State::Off, epoll: None }
    }

    /// Watches `socket` as is wanted.
    pub fn set(
        &mut self,
        socket: impl AsFd,
        wanted: Attention,
        epoll: &Arc<OwnedFd>,
        token: u64,
    ) -> io::Result<()> {
        let (state, flags) = match (self.state, wanted) {
            (State::Off, Attention::Off)
            | (State::Accept, Attention::Accept)
            | (State::Armed(_) | State::Due(..), Attention::Guard(_)) => return Ok(()),
            (_, Attention::Off) => return self.end(socket),
            (_, Attention::Accept) => (State::Accept, epoll::EventFlags::IN),
            (_, Attention::Guard(progress)) => {
                (State::Armed(progress), epoll::EventFlags::IN | epoll::EventFlags::ONESHOT)
            }
        };
        let token = epoll::EventData::new_u64(token);
        match self.epoll {
            Some(_) => epoll::modify(epoll, socket, token, flags)?,
            None => epoll::add(epoll, socket, token, flags)?,
        }
        self.epoll = Some(Arc::clone(epoll));
        self.state = state;
        Ok(())
    }

    /// Ends it.
    pub fn end(&mut self, socket: impl AsFd) -> io::Result<()> {
        self.state = State::Off;
        self.epoll.take().map_or(Ok(()), |epoll| Ok(epoll::delete(&epoll, socket)?))
    }

    /// Somebody came. Whether it is to be accepted here; where it is only looked at, it is time for that at `look`.
    pub fn came(&mut self, look: Millis) -> bool {
        if let State::Armed(progress) = self.state {
            self.state = State::Due(progress, look);
        }
        matches!(self.state, State::Accept)
    }

    /// When it is time to look.
    pub fn due(&self) -> Option<Millis> {
        if let State::Due(_, at) = self.state { Some(at) } else { None }
    }

    /// If it is time to look: how far the worker was when nobody was there yet.
    pub fn take_due(&mut self, now: Millis) -> Option<Progress> {
        match self.state {
            State::Due(progress, at) if at <= now => {
                self.state = State::Spent;
                Some(progress)
            }
            _ => None,
        }
    }
}

//! Sockets and connections that two masters have, while one takes over from the other.
//!
//! What always holds: a connection for the other master is here until the channel to it has it. If
//! that master is gone, what is here goes to workers as usual. Connections are named by the former
//! master's number of their listener; each master knows its own number for that.

use std::collections::{BTreeMap, VecDeque};
use std::io;

use rustix::event::epoll;

use crate::connection::Connection;
use crate::dispatcher::event_loop::EventLoop;
use crate::dispatcher::link::WorkerLink;
use crate::dispatcher::other_master::Relay;
use crate::dispatcher::token::Token;
use crate::os::channel::{Channel, MAX_BYTES, is_full};
use crate::protocol::ListenerId;
use crate::protocol::frame::{self, WorkerFrame};

/// Frames read at once, so that they do not starve the workers.
const READ_AT_ONCE: usize = 64;

impl EventLoop {
    pub(super) fn open_relay(&mut self, channel: Channel, is_heir: bool) {
        // What the one before it sent last.
        self.read_relay();
        let watched = epoll::add(&self.epoll, &channel, Token::Relay.data(), epoll::EventFlags::IN);
        if let Err(error) = watched {
            tracing::error!(%error, "cannot watch the other master");
        }
        let (given, outbox) = (BTreeMap::new(), VecDeque::new());
        self.relay = Some(Relay { channel, is_heir, given, outbox });
    }

    /// Gives the other master what comes from now on: of the listeners that it adopted, or that
    /// came from it. The predecessor closes the others, as their clients will find nobody there.
    pub(super) fn give_away(&mut self, adopted: Option<&[ListenerId]>) {
        let keys: Vec<_> = match adopted {
            Some(adopted) => adopted.iter().map(|key| (*key, *key)).collect(),
            None => self.listeners.keys(),
        };
        if let Some(relay) = &mut self.relay {
            relay.given = keys.iter().copied().collect();
        }
        for (listener, _) in &keys {
            self.listeners.leave(*listener);
        }
        for listener in self.listeners.open() {
            if adopted.is_some_and(|adopted| !adopted.contains(&listener)) {
                self.listeners.keep(listener);
                // The workers, which are about to drain, get what is left of it.
                self.give_up(listener);
            }
        }
        self.assign_rescued();
    }

    /// Returns the connection, unless it is the other master's.
    pub(super) fn give_to_other_master(&mut self, connection: Connection) -> Option<Connection> {
        let Some(relay) = &mut self.relay else { return Some(connection) };
        if !relay.given.contains_key(&connection.origin.listener) {
            return Some(connection);
        }
        relay.outbox.push_back(connection);
        None
    }

    /// Keeps what comes from now on. `last`: no other workers will come, so draining ones keep what
    /// they have, and get what is here.
    pub(super) fn keep_connections(&mut self, last: bool) {
        let mut left = VecDeque::new();
        if let Some(relay) = &mut self.relay {
            relay.given.clear();
            left = std::mem::take(&mut relay.outbox);
        }
        if last {
            self.workers.admit_draining_everywhere();
            self.drain_again(false);
        }
        left.into_iter().for_each(|connection| self.assign(connection, None));
    }

    /// Whether another master gets what comes.
    pub(super) fn is_giving_away(&self) -> bool {
        self.relay.as_ref().is_some_and(|relay| !relay.given.is_empty())
    }

    /// Whether connections wait for room in the channel to the other master.
    pub(super) fn relay_waits(&self) -> bool {
        self.relay.as_ref().is_some_and(|relay| !relay.outbox.is_empty())
    }

    /// Sends as much as fits. The rest is tried again soon.
    pub(super) fn flush_relay(&mut self) {
        while let Some(relay) = &mut self.relay {
            match relay.send() {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if is_full(&error) => return,
                Err(error) => {
                    tracing::warn!(%error, "the other master takes no more connections");
                    return self.close_relay();
                }
            }
        }
    }

    /// Takes the connections that the other master sent.
    pub(super) fn read_relay(&mut self) {
        let mut buffer = [0; MAX_BYTES];
        for _ in 0..READ_AT_ONCE {
            let Some(relay) = &self.relay else { return };
            match relay.channel.receive(&mut buffer) {
                Ok(Some(received)) => {
                    let frame = frame::from_worker(received.bytes, received.fds.len());
                    let Ok(WorkerFrame::Connections(origins, request)) = frame else {
                        tracing::error!("what another master sent makes no sense");
                        continue;
                    };
                    Connection::from_frame(received.fds, origins, request)
                        .for_each(|connection| self.take_over(connection));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::QuotaExceeded => {
                    if self.reserve.make_room() {
                        continue;
                    }
                    return tracing::warn!(
                        "no descriptors are left for another master's connections"
                    );
                }
                Ok(None) | Err(_) => return self.close_relay(),
            }
        }
    }

    fn take_over(&mut self, mut connection: Connection) {
        let key = connection.origin.listener;
        let own = match &self.relay {
            Some(Relay { is_heir: true, .. }) => self.listeners.by_key(key),
            _ => Some(key).filter(|key| self.listeners.is_open(*key)),
        };
        match own {
            Some(listener) => {
                connection.origin.listener = listener;
                self.assign(connection, None);
            }
            None => tracing::warn!("another master sent a connection that nobody serves here"),
        }
    }

    /// The other master is gone: what it did not take goes to workers, or waits for them.
    fn close_relay(&mut self) {
        let Some(relay) = self.relay.take() else { return };
        relay.outbox.into_iter().for_each(|connection| self.assign(connection, None));
    }

    /// The former master's numbers of the listeners that a worker serves here.
    pub(super) fn adopted(&self) -> Vec<ListenerId> {
        let serves = |link: &WorkerLink, listener| !link.is_spare() && link.claims(listener);
        let is_served = |listener| self.workers.iter().any(|link| serves(link, listener));
        let keys = self.listeners.keys().into_iter();
        keys.filter(|(listener, _)| is_served(*listener)).map(|(_, key)| key).collect()
    }
}

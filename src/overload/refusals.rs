//! Connections that are shed, from when they were accepted until they are closed.
//!
//! What always holds: their number is bounded; the one with the lowest number is the one whose time
//! is over first; none is closed before its answer was written, unless its client is gone; and each
//! answer is counted once.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown};

use crate::clock::Millis;
use crate::connection::Connection;
use crate::os::descriptors;
use crate::overload::request::{Sent, peek};
use crate::protocol::ListenerId;

/// How long a client may take to send its request line, and then to close, milliseconds.
pub(crate) const PATIENCE: Millis = 2_000;
/// The most connections, where descriptors allow it.
const MOST: usize = 1024;
/// The part of this process's descriptors that they may have.
const PART: usize = 4;
/// What is read from a client at once, bytes.
const READ_AT_ONCE: usize = 64 * 1024;

const ANSWER: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n\
                        Content-Length: 0\r\nConnection: close\r\n\r\n";

#[derive(Debug)]
enum Refused {
    /// Its request line is not whole.
    Asking(Connection),
    /// It was answered, and half-closed. Its client may still send.
    Answered(OwnedFd),
}

/// What became of a connection.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It has to go to a worker.
    HealthCheck(Connection),
    /// It was answered, its client has said nothing yet, or is gone.
    Nothing,
}

#[derive(Debug)]
pub(super) struct Refusals {
    /// Each with the time at which it is answered, or closed.
    all: BTreeMap<u64, (Refused, Millis)>,
    next: u64,
    most: usize,
    /// What epoll reports of the connection with a number.
    token: fn(u64) -> EventData,
    /// Answers that were written, and not counted yet.
    answered: usize,
    /// Room for what is read and ignored.
    buffer: Box<[u8]>,
}

impl Refusals {
    /// `token` returns what epoll reports of the connection with a number.
    pub(super) fn new(token: fn(u64) -> EventData) -> Self {
        let most = (descriptors::limit() / PART).clamp(1, MOST);
        let buffer = vec![0; READ_AT_ONCE].into_boxed_slice();
        Self { all: BTreeMap::new(), next: 0, most, token, answered: 0, buffer }
    }

    /// Takes a connection that was accepted to be shed. `passes` says, by its method and target,
    /// whether a request goes to a worker.
    pub(super) fn add(
        &mut self,
        connection: Connection,
        epoll: &OwnedFd,
        now: Millis,
        passes: impl Fn(&str, &str) -> bool,
    ) -> Outcome {
        match peek(&connection.fd, passes) {
            Sent::Ended => Outcome::Nothing,
            Sent::HealthCheck => Outcome::HealthCheck(connection),
            Sent::Other => {
                self.answer(connection.fd, epoll, now);
                Outcome::Nothing
            }
            Sent::Nothing => {
                self.keep(Refused::Asking(connection), epoll, now);
                Outcome::Nothing
            }
        }
    }

    /// Epoll has reported something of the connection with this number. `passes` as for `add`.
    pub(super) fn on_event(
        &mut self,
        number: u64,
        epoll: &OwnedFd,
        now: Millis,
        passes: impl Fn(&str, &str) -> bool,
    ) -> Outcome {
        // It may have been closed for lack of room, in this very turn.
        let Some((refused, _)) = self.all.get(&number) else { return Outcome::Nothing };
        let has_news = match refused {
            Refused::Answered(socket) => !read_off(socket, &mut self.buffer),
            Refused::Asking(connection) => peek(&connection.fd, &passes) != Sent::Nothing,
        };
        match if has_news { self.take_out(number, epoll) } else { None } {
            Some(connection) => self.add(connection, epoll, now, passes),
            None => Outcome::Nothing,
        }
    }

    /// Answers those that have sent no request line in their time, and closes those whose client
    /// has not closed in its time.
    pub(super) fn expire(&mut self, epoll: &OwnedFd, now: Millis) {
        while let Some((&number, _)) =
            self.all.first_key_value().filter(|(_, (_, until))| *until <= now)
        {
            if let Some(connection) = self.take_out(number, epoll) {
                self.answer(connection.fd, epoll, now);
            }
        }
    }

    /// Returns how many answers were written since the last call.
    pub(super) fn take_answered(&mut self) -> usize {
        std::mem::take(&mut self.answered)
    }

    /// Closes all that were answered, because descriptors are lacking.
    pub(super) fn make_room(&mut self) {
        self.all.retain(|_, (refused, _)| matches!(refused, Refused::Asking(_)));
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Returns the listener of a connection whose request line is not whole.
    pub(super) fn listener(&self, number: u64) -> Option<ListenerId> {
        match &self.all.get(&number)?.0 {
            Refused::Asking(connection) => Some(connection.origin.listener),
            Refused::Answered(_) => None,
        }
    }

    /// When `expire` has something to do.
    pub(super) fn next_expiry(&self) -> Option<Millis> {
        self.all.first_key_value().map(|(_, (_, until))| *until)
    }

    /// Takes one out, and returns it if its request line is not whole; otherwise it is closed.
    /// Epoll forgets it: a worker may have it next.
    fn take_out(&mut self, number: u64, epoll: &OwnedFd) -> Option<Connection> {
        match self.all.remove(&number)?.0 {
            Refused::Asking(connection) => {
                // It fails only if it was not watched, which is as good.
                let _ = epoll::delete(epoll, &connection.fd);
                Some(connection)
            }
            Refused::Answered(_) => None,
        }
    }

    fn answer(&mut self, socket: OwnedFd, epoll: &OwnedFd, now: Millis) {
        if self.write_answer(&socket) {
            self.keep(Refused::Answered(socket), epoll, now);
        }
    }

    /// Writes the answer, after which the client gets no more. Returns `false` if the client is
    /// gone.
    fn write_answer(&mut self, socket: &OwnedFd) -> bool {
        // What is not read would reset the connection when it is closed.
        read_off(socket, &mut self.buffer);
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        // Nothing was sent before, so that there is room for all of it.
        let is_written = rustix::net::send(socket, ANSWER, flags).is_ok()
            && rustix::net::shutdown(socket, Shutdown::Write).is_ok();
        self.answered += usize::from(is_written);
        is_written
    }

    fn keep(&mut self, refused: Refused, epoll: &OwnedFd, now: Millis) {
        if self.all.len() >= self.most {
            self.drop_oldest();
        }
        let number = self.next;
        self.next += 1;
        // Edge-triggered where what has come is not read off.
        let (socket, flags) = match &refused {
            Refused::Asking(connection) => (connection.fd.as_fd(), EventFlags::ET),
            Refused::Answered(socket) => (socket.as_fd(), EventFlags::empty()),
        };
        let token = (self.token)(number);
        match epoll::add(epoll, socket, token, flags | EventFlags::IN | EventFlags::RDHUP) {
            Ok(()) => drop(self.all.insert(number, (refused, now + PATIENCE))),
            Err(error) => tracing::warn!(%error, "cannot watch a connection that is shed"),
        }
    }

    fn drop_oldest(&mut self) {
        if let Some((_, (Refused::Asking(connection), _))) = self.all.pop_first() {
            self.write_answer(&connection.fd);
        }
    }
}

/// Reads what a client has sent, as far as it fits into `buffer`. Returns `false` if the client has
/// closed.
fn read_off(socket: &OwnedFd, buffer: &mut [u8]) -> bool {
    match rustix::net::recv(socket, buffer, RecvFlags::DONTWAIT) {
        Ok((_, length)) => length > 0,
        Err(error) => matches!(error, Errno::WOULDBLOCK | Errno::INTR),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::protocol::{Origin, Past};

    /// A client, and what was accepted of it.
    fn accepted(sent: &[u8]) -> (UnixStream, Connection) {
        let (mut client, server) = UnixStream::pair().unwrap();
        client.write_all(sent).unwrap();
        let origin = Origin { listener: 1, past: Past::default() };
        (client, Connection { fd: server.into(), origin, client: None, request: None })
    }

    fn answer(mut client: UnixStream) -> Vec<u8> {
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).unwrap();
        answer
    }

    #[test]
    fn beyond_the_limit_the_oldest_is_answered_counted_and_closed() {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
        let mut refusals = Refusals { most: 2, ..Refusals::new(EventData::new_u64) };
        let mut add = |sent| {
            let (client, connection) = accepted(sent);
            refusals.add(connection, &epoll, 0, |_, _| false);
            (client, refusals.all.len())
        };
        let (silent, _) = add(b"");
        let (second, two) = add(b"GET / HTTP/1.1\r\n\r\n");
        let (_third, still_two) = add(b"GET / HTTP/1.1\r\n\r\n");
        assert_eq!((two, still_two), (2, 2));
        assert_eq!(answer(silent), ANSWER);
        let (_fourth, _) = add(b"GET / HTTP/1.1\r\n\r\n");
        assert_eq!(answer(second), ANSWER);
        assert_eq!(refusals.take_answered(), 4, "the one that had not asked counts too");
        refusals.make_room();
        assert_eq!((refusals.all.len(), refusals.take_answered()), (0, 0));
    }

    #[test]
    fn one_that_is_passed_on_is_not_watched_any_more() {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
        let mut refusals = Refusals::new(EventData::new_u64);
        let (mut client, connection) = accepted(b"");
        let passes = |_: &str, target: &str| target == "/ecv";
        let outcome = refusals.add(connection, &epoll, 0, passes);
        assert!(matches!(outcome, Outcome::Nothing));
        client.write_all(b"GET /ecv HTTP/1.1\r\n\r\n").unwrap();
        let outcome = refusals.on_event(0, &epoll, 0, passes);
        let Outcome::HealthCheck(connection) = outcome else { panic!("{outcome:?}") };
        assert!(epoll::delete(&epoll, &connection.fd).is_err(), "it was deleted");
        assert_eq!(refusals.next_expiry(), None);
    }
}

//! Connections that go back to the master, which finds another worker for each.
//!
//! What always holds: a connection is the master's only once its descriptor is in the channel. What
//! is not sent stays with its owner here.

use std::io;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use super::master_link::MasterLink;
use crate::error::{ClusterError, Result};
use crate::os::channel::{self, MAX_FDS};
use crate::protocol::frame::{self, MAX_REQUEST};
use crate::protocol::{Origin, Past};

/// The pause where too many descriptors of this user are in flight, which cannot be polled for.
const IN_FLIGHT_PAUSE: Duration = Duration::from_millis(1);

impl MasterLink {
    /// Gives a connection back to the master, which finds another worker for it. `fd` stays open
    /// here. Returns `false` if there is no room for it now.
    pub fn give_back(&mut self, fd: i32, origin: Origin) -> Result<bool> {
        // It went to another worker while this one was stuck.
        if !self.claim(fd) {
            return Ok(true);
        }
        match self.give_until(&[(fd, origin)], Instant::now()) {
            Ok(()) => Ok(true),
            Err(error) if channel::is_full(&error) => Ok(false),
            Err(source) => Err(failed(source)),
        }
    }

    /// Gives connections back at the end of this process, and those that it accepted and that
    /// nobody took. Waits for room, for at most `limit`. Those that cannot be sent end with this
    /// process; the descriptors stay open until then. Returns how many were sent.
    pub fn give_last(&mut self, connections: &[(i32, Origin)], limit: Duration) -> Result<usize> {
        let deadline = Instant::now() + limit;
        let mut accepted = Vec::new();
        loop {
            let some = self.acceptor.borrow_mut().take();
            if some.is_empty() {
                break;
            }
            accepted.extend(some);
        }
        let new = |listener| Origin { listener, past: Past::default() };
        let accepted_all = accepted.iter().map(|(fd, listener)| (fd.as_raw_fd(), new(*listener)));
        let idle = connections.iter().copied().filter(|(fd, _)| self.claim(*fd));
        let all: Vec<_> = accepted_all.chain(idle).collect();
        let mut sent = 0;
        for some in all.chunks(MAX_FDS) {
            match self.give_until(some, deadline) {
                Ok(()) => sent += some.len(),
                // One of them is not open any more: the others may be.
                Err(error) if channel::is_closed(&error) => {
                    for one in some.chunks(1) {
                        sent += usize::from(self.give_until(one, deadline).is_ok());
                    }
                }
                Err(error) if channel::is_full(&error) => break,
                Err(source) => return Err(failed(source)),
            }
        }
        Ok(sent)
    }

    /// From now on nobody else gives this connection away. Returns `false` if that has happened.
    fn claim(&self, fd: i32) -> bool {
        self.idle_marks.is_none_or(|marks| marks.claim(fd))
    }

    /// Gives a connection back with the request on it that another worker is to answer, at most
    /// [`MAX_REQUEST`] bytes. Waits for room, for at most `limit`. `fd` stays open here. Returns
    /// `false` if there is no room.
    pub fn give_request(
        &mut self,
        fd: i32,
        origin: Origin,
        request: &[u8],
        limit: Duration,
    ) -> Result<bool> {
        if !(1..=MAX_REQUEST).contains(&request.len()) {
            return Err(failed(io::ErrorKind::InvalidInput.into()));
        }
        if !self.claim(fd) {
            return Ok(true);
        }
        let frame = frame::request(origin, request);
        match self.send_until(&frame, &[fd], Instant::now() + limit) {
            Ok(()) => Ok(true),
            Err(error) if channel::is_full(&error) => Ok(false),
            Err(source) => Err(failed(source)),
        }
    }

    /// Sends at most [`MAX_FDS`] connections in one frame, all or none.
    fn give_until(&self, connections: &[(i32, Origin)], deadline: Instant) -> io::Result<()> {
        let frame = frame::connections(connections.iter().map(|(_, origin)| *origin));
        let fds: Vec<i32> = connections.iter().map(|(fd, _)| *fd).collect();
        self.send_until(&frame, &fds, deadline)
    }

    fn send_until(&self, frame: &[u8], fds: &[i32], deadline: Instant) -> io::Result<()> {
        loop {
            let full = match self.channel.send_numbers(frame, fds) {
                Err(error) if channel::is_full(&error) => error,
                result => return result,
            };
            if Instant::now() >= deadline {
                return Err(full);
            }
            if full.kind() == io::ErrorKind::WouldBlock {
                self.channel.wait_writable(deadline)?;
            } else {
                std::thread::sleep(IN_FLIGHT_PAUSE);
            }
        }
    }
}

fn failed(source: io::Error) -> ClusterError {
    ClusterError::System { doing: "giving a connection back", source }
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;
    use std::thread;

    use super::*;
    use crate::os::channel::{Channel, MAX_BYTES};
    use crate::os::scoreboard::Scoreboard;
    use crate::os::waker::Waker;
    use crate::protocol::frame::WorkerFrame;

    fn worker() -> (MasterLink, Channel) {
        let board = Scoreboard::create(1).unwrap();
        let (master, channel) = Channel::pair().unwrap();
        let (_, orders) = Channel::pair().unwrap();
        let waker = Waker::new().unwrap();
        let row = board.row(0).unwrap();
        (MasterLink::new(channel, orders, waker, row, board.header()), master)
    }

    /// A connection given back as its `n`th one.
    fn nth(n: u32, fd: &OwnedFd) -> (i32, Origin) {
        let past = Past { stage: 2, since: n, ..Past::default() };
        (fd.as_raw_fd(), Origin { listener: 1, past })
    }

    /// Takes what was given back, each as its `since`.
    fn take_back(master: &Channel) -> Vec<u32> {
        let mut buffer = [0; MAX_BYTES];
        let mut all = Vec::new();
        while let Ok(Some(received)) = master.receive(&mut buffer) {
            let frame = frame::from_worker(received.bytes, received.fds.len()).unwrap();
            let WorkerFrame::Connections(origins, None) = frame else { panic!("{frame:?}") };
            all.extend(origins.iter().map(|origin| origin.past.since));
        }
        all
    }

    fn some_fd() -> OwnedFd {
        Channel::pair().unwrap().0.into()
    }

    #[test]
    fn the_last_ones_wait_for_room_and_come_once_each_in_order() {
        let (mut worker, master) = worker();
        let fd = some_fd();
        let count = 20_000;
        let all: Vec<_> = (0..count).map(|n| nth(n, &fd)).collect();
        let reader = thread::spawn(move || {
            let mut back = Vec::new();
            while back.len() < count as usize {
                assert!(master.wait_readable(Instant::now() + Duration::from_secs(5)).unwrap());
                back.extend(take_back(&master));
            }
            back
        });
        let sent = worker.give_last(&all, Duration::from_secs(5)).unwrap();
        assert_eq!(sent, count as usize);
        assert_eq!(reader.join().unwrap(), (0..count).collect::<Vec<_>>());
    }

    #[test]
    fn a_master_that_does_not_read_is_waited_for_until_the_limit_only() {
        let (mut worker, master) = worker();
        let fd = some_fd();
        let all: Vec<_> = (0..20_000).map(|n| nth(n, &fd)).collect();
        let (limit, began) = (Duration::from_millis(30), Instant::now());
        let sent = worker.give_last(&all, limit).unwrap();
        assert!(began.elapsed() >= limit && began.elapsed() < Duration::from_secs(5));
        assert!(sent > 0 && sent < all.len());
        assert_eq!(take_back(&master), (0..sent as u32).collect::<Vec<_>>());
    }

    #[test]
    fn one_that_is_not_open_costs_no_other() {
        let (mut worker, master) = worker();
        let fd = some_fd();
        let closed = (i32::MAX, nth(1, &fd).1);
        let sent = worker.give_last(&[nth(0, &fd), closed, nth(2, &fd)], Duration::ZERO).unwrap();
        assert_eq!((sent, take_back(&master)), (2, vec![0, 2]));
    }

    #[test]
    fn a_request_goes_with_its_connection_unless_it_is_too_long() {
        let (mut worker, master) = worker();
        let fd = some_fd();
        let (number, origin) = nth(7, &fd);
        let longest = [b'x'; MAX_REQUEST];
        let mut give =
            |number, request: &[u8]| worker.give_request(number, origin, request, Duration::ZERO);
        assert!(give(number, &longest).unwrap());
        assert!(give(number, &[b'x'; MAX_REQUEST + 1]).is_err());
        assert!(give(number, b"").is_err());
        assert!(give(i32::MAX, b"x").is_err(), "its descriptor is not open");
        let mut buffer = [0; MAX_BYTES];
        let received = master.receive(&mut buffer).unwrap().unwrap();
        let frame = frame::from_worker(received.bytes, received.fds.len()).unwrap();
        assert_eq!(frame, WorkerFrame::Connections(vec![origin], Some(longest.as_slice().into())));
        assert!(master.receive(&mut buffer).is_err(), "and nothing else was sent");
        while give(number, &longest).unwrap() {}
    }

    #[test]
    fn without_a_master_nothing_is_waited_for() {
        let (mut worker, master) = worker();
        drop(master);
        let fd = some_fd();
        assert!(worker.give_last(&[nth(0, &fd)], Duration::from_secs(5)).is_err());
    }
}

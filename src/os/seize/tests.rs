//! The kernel's counts, and the signal handler on sockets of a test.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::event::epoll;

use super::consumed::{Counts, count_from_here, counts};
use super::given::Given;
use super::seizer::Seizer;
use super::table::Table;
use crate::os::channel::{Channel, MAX_BYTES};
use crate::os::descriptors::alone::alone;

fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    client.set_nodelay(true).unwrap();
    (client, listener.accept().unwrap().0)
}

/// Waits until the kernel has that many bytes to read.
fn arrived(fd: impl AsFd, unread: u64) {
    let end = std::time::Instant::now() + std::time::Duration::from_secs(5);
    while super::consumed::unread(fd.as_fd()) != Some(unread) {
        assert!(std::time::Instant::now() < end, "the bytes do not come");
        std::thread::yield_now();
    }
}

#[test]
fn the_kernel_counts_what_was_read_of_tcp() {
    let (mut client, mut server) = tcp();
    assert_eq!(counts(server.as_fd()), Some(Counts { read: 0, unread: 0 }));
    client.write_all(&[1; 10]).unwrap();
    arrived(&server, 10);
    assert_eq!(counts(server.as_fd()), Some(Counts { read: 0, unread: 10 }));
    server.read_exact(&mut [0; 4]).unwrap();
    assert_eq!(counts(server.as_fd()), Some(Counts { read: 4, unread: 6 }));
    assert_eq!(count_from_here(server.as_fd(), false, false), Some(4));
    client.shutdown(std::net::Shutdown::Write).unwrap();
    server.read_exact(&mut [0; 6]).unwrap();
    assert_eq!(server.read(&mut [0; 1]).unwrap(), 0);
    assert_eq!(counts(server.as_fd()), None, "the client has ended it");
}

#[test]
fn the_counts_of_tcp_hold_while_bytes_come_in() {
    let (mut client, mut server) = tcp();
    let writer = std::thread::spawn(move || {
        for _ in 0..2000 {
            client.write_all(&[1; 777]).unwrap();
        }
        client
    });
    let mut read = 0;
    let mut buffer = [0; 5000];
    while read < 2000 * 777 {
        read += server.read(&mut buffer).unwrap() as u64;
        // `None`: bytes came in each time.
        if let Some(counts) = counts(server.as_fd()) {
            assert_eq!(counts.read, read);
        }
    }
    drop(writer.join().unwrap());
}

#[test]
fn the_kernel_counts_what_was_read_of_a_unix_socket() {
    let (mut client, mut server) = UnixStream::pair().unwrap();
    client.write_all(&[1; 10]).unwrap();
    server.read_exact(&mut [0; 3]).unwrap();
    assert_eq!(count_from_here(server.as_fd(), true, false), Some(0));
    assert_eq!(counts(server.as_fd()), Some(Counts { read: 0, unread: 7 }));
    server.read_exact(&mut [0; 5]).unwrap();
    client.write_all(&[1; 2]).unwrap();
    assert_eq!(counts(server.as_fd()), Some(Counts { read: 5, unread: 4 }));
    drop(client);
    assert_eq!(counts(server.as_fd()), None, "the client has ended it");
}

/// A process with a seizer. A process has at most one, so each test runs in its own.
struct World {
    table: &'static Table,
    seizer: &'static Seizer,
    turns: &'static AtomicU64,
    master: Channel,
    epoll: std::os::fd::OwnedFd,
}

const ORIGIN: Given = Given { listener: 7, stage: 0, since: 0, timeout: 3, requests: 2 };

/// The listener and the number of requests of each, as two bytes.
fn encode(given: &[Given], buffer: &mut [u8; 1024]) -> usize {
    for (given, place) in given.iter().zip(buffer.chunks_exact_mut(2)) {
        place.copy_from_slice(&[given.listener as u8, given.requests as u8]);
    }
    given.len() * 2
}

fn world() -> World {
    let table = Table::create().unwrap();
    let (master, worker) = Channel::pair().unwrap();
    let turns: &'static AtomicU64 = Box::leak(Box::new(AtomicU64::new(0)));
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
    let seizer = Seizer::start(table, Arc::new(worker), epoll.as_raw_fd(), turns, encode).unwrap();
    World { table, seizer, turns, master, epoll }
}

impl World {
    /// Gives the order from another thread, and waits for its end.
    fn order(&self, fds: &[i32]) -> u64 {
        let before = self.seizer.taken();
        let (seizer, turn) = (self.seizer, self.turns.load(Ordering::Relaxed));
        let fds = fds.to_vec();
        std::thread::spawn(move || seizer.order(&fds, turn)).join().unwrap();
        while !self.seizer.is_done() {
            std::thread::yield_now();
        }
        self.seizer.taken() - before
    }

    fn adopted(&self) -> (TcpStream, TcpStream) {
        let (client, server) = tcp();
        server.set_nonblocking(true).unwrap();
        self.table.adopt(server.as_fd(), &ORIGIN, true);
        (client, server)
    }
}

#[test]
fn a_connection_of_which_nothing_was_read_lives_on_elsewhere() {
    alone("os::seize::tests::a_connection_of_which_nothing_was_read_lives_on_elsewhere", || {
        let world = world();
        let (mut client, mut server) = world.adopted();
        let data = epoll::EventData::new_u64(server.as_raw_fd() as u64);
        epoll::add(&world.epoll, &server, data, epoll::EventFlags::IN).unwrap();
        let number = server.as_raw_fd();
        assert_eq!(world.order(&[number]), 0, "nothing waits on it");
        client.write_all(b"request").unwrap();
        arrived(&server, 7);
        assert_eq!(world.seizer.candidates(true, 9), [number]);
        assert_eq!(world.order(&[number]), 1);

        let mut buffer = [0; MAX_BYTES];
        let received = world.master.receive(&mut buffer).unwrap().unwrap();
        assert_eq!(received.bytes, [7, 2]);
        let mut moved = TcpStream::from(received.fds.into_iter().next().unwrap());
        let mut text = [0; 7];
        moved.read_exact(&mut text).unwrap();
        moved.write_all(b"answer").unwrap();
        assert_eq!(&text, b"request");
        client.read_exact(&mut [0; 6]).unwrap();

        assert!(world.table.is_taken(number) && world.seizer.candidates(true, 9).is_empty());
        assert_eq!(server.read(&mut text).unwrap(), 0, "its old owner reads the end");
        let mut events = Vec::with_capacity(4);
        let room = rustix::buffer::spare_capacity(&mut events);
        epoll::wait(&world.epoll, room, None).unwrap();
        assert_eq!(events[0].data.u64(), number as u64, "and an event says so");
        assert_eq!(world.order(&[number]), 0, "once");
        drop(server);
        client.write_all(b"more").unwrap();
        moved.read_exact(&mut [0; 4]).unwrap();
        // The number again, for another connection.
        let (mut client, server) = world.adopted();
        assert!(!world.table.is_taken(server.as_raw_fd()));
        client.write_all(b"x").unwrap();
        arrived(&server, 1);
        assert_eq!(world.order(&[server.as_raw_fd()]), 1);
    });
}

#[test]
fn what_is_not_wholly_with_the_kernel_is_not_taken() {
    alone("os::seize::tests::what_is_not_wholly_with_the_kernel_is_not_taken", || {
        let world = world();
        let (mut client, mut server) = world.adopted();
        let number = server.as_raw_fd();
        client.write_all(b"request").unwrap();
        arrived(&server, 7);
        world.table.mark(number, -1.0);
        assert_eq!(world.order(&[number]), 0, "JavaScript says that it is busy");
        world.table.mark(number, 0.0);
        server.read_exact(&mut [0; 3]).unwrap();
        assert_eq!(world.order(&[number]), 0, "a part was read");
        world.table.mark(number, 3.0);
        let turn = world.turns.fetch_add(1, Ordering::Relaxed);
        assert!(world.seizer.order(&[number], turn) && world.seizer.is_done());
        assert_eq!(world.seizer.taken(), 0, "the event loop has turned");
        world.table.forget_cookie(number);
        assert_eq!(world.order(&[number]), 0, "another socket has the number");
        world.table.adopt(server.as_fd(), &Given { stage: 1, ..ORIGIN }, true);
        client.shutdown(std::net::Shutdown::Write).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(20));
        assert_eq!(world.order(&[number]), 0, "its client has ended it");
        assert_eq!(world.order(&[-1, 0, 70_000, i32::MAX]), 0);
        assert_eq!(server.read(&mut [0; 9]).unwrap(), 4, "it is as it was");
    });
}

#[test]
fn what_finds_no_room_stays_as_it_was() {
    alone("os::seize::tests::what_finds_no_room_stays_as_it_was", || {
        let mut world = world();
        let all: Vec<_> = (0..40).map(|_| world.adopted()).collect();
        let fds: Vec<i32> = all.iter().map(|(_, server)| server.as_raw_fd()).collect();
        for (mut client, server) in all.iter().map(|(client, server)| (client, server)) {
            client.write_all(b"x").unwrap();
            arrived(server, 1);
        }
        let mut buffer = [0; MAX_BYTES];
        assert_eq!(world.order(&fds[..33]), 33, "in two frames");
        assert_eq!(world.master.receive(&mut buffer).unwrap().unwrap().fds.len(), 32);
        assert_eq!(world.master.receive(&mut buffer).unwrap().unwrap().fds.len(), 1);
        world.master = Channel::pair().unwrap().0;
        assert_eq!(world.order(&fds), 0, "the master is gone");
        for (mut server, fd) in all.iter().map(|(_, server)| server).zip(&fds).skip(33) {
            assert!(!world.table.is_taken(*fd));
            assert_eq!(server.read(&mut [0; 2]).unwrap(), 1);
        }
    });
}

#[test]
fn an_app_that_handles_the_signal_turns_it_off() {
    alone("os::seize::tests::an_app_that_handles_the_signal_turns_it_off", || {
        let world = world();
        let (mut client, server) = world.adopted();
        client.write_all(b"x").unwrap();
        arrived(&server, 1);
        let _handled =
            signal_hook::flag::register(libc::SIGURG, Arc::new(AtomicBool::new(false))).unwrap();
        assert_eq!(world.order(&[server.as_raw_fd()]), 0);
        let (master, worker) = Channel::pair().unwrap();
        let (channel, epoll) = (Arc::new(worker), world.epoll.as_raw_fd());
        assert!(Seizer::start(world.table, channel, epoll, world.turns, encode).is_none());
        drop(master);
    });
}

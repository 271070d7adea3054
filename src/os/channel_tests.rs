//! Messages and their descriptors, also where there is no room for them.

use std::fs::File;
use std::io::{Read, Seek, Write};

use super::descriptors::alone::{alone, leave};
use super::*;

#[test]
fn a_message_keeps_its_border_and_its_descriptors() {
    let (master, worker) = Channel::pair().unwrap();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"through the channel").unwrap();
    master.send(b"one", &[file.as_fd(), file.as_fd()]).unwrap();
    master.send(b"two", &[]).unwrap();

    let mut buffer = [0; MAX_BYTES];
    let received = worker.receive(&mut buffer).unwrap().unwrap();
    assert_eq!((received.bytes, received.fds.len()), (&b"one"[..], 2));
    let mut copy = File::from(received.fds.into_iter().next().unwrap());
    let mut text = String::new();
    copy.rewind().unwrap();
    copy.read_to_string(&mut text).unwrap();
    assert_eq!(text, "through the channel");
    assert_eq!(worker.receive(&mut buffer).unwrap().unwrap().bytes, b"two");
    assert_eq!(worker.receive(&mut buffer).unwrap_err().kind(), io::ErrorKind::WouldBlock);
}

#[test]
fn what_was_not_taken_can_be_read_back_once() {
    let (master, worker) = Channel::pair().unwrap();
    let kept = worker.duplicate().unwrap();
    let mut buffer = [0; MAX_BYTES];
    master.send(b"a", &[]).unwrap();
    master.send(b"b", &[]).unwrap();
    assert_eq!(worker.receive(&mut buffer).unwrap().unwrap().bytes, b"a");
    drop(worker);
    assert_eq!(kept.receive(&mut buffer).unwrap().unwrap().bytes, b"b", "survives the worker");
    assert_eq!(kept.receive(&mut buffer).unwrap_err().kind(), io::ErrorKind::WouldBlock);
}

#[test]
fn a_message_stays_until_there_is_room_for_all_of_its_descriptors() {
    alone(
        "os::channel::tests::a_message_stays_until_there_is_room_for_all_of_its_descriptors",
        || {
            let (master, worker) = Channel::pair().unwrap();
            let (client, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
            master.send(b"connections", &[theirs.as_fd(); MAX_FDS]).unwrap();
            master.send(b"behind", &[]).unwrap();
            drop(theirs);
            let mut buffer = [0; MAX_BYTES];
            for free in [0, 1, 4, 5, MAX_FDS - 1, MAX_FDS, MAX_FDS + 3] {
                leave(free);
                assert_eq!(
                    worker.receive(&mut buffer).unwrap_err().kind(),
                    io::ErrorKind::QuotaExceeded,
                    "{free} free"
                );
                assert_eq!(
                    descriptors::room(MAX_FDS, worker.as_fd()),
                    free.saturating_sub(4).min(MAX_FDS)
                );
            }
            leave(MAX_FDS + 4);
            let received = worker.receive(&mut buffer).unwrap().unwrap();
            assert_eq!((received.bytes, received.fds.len()), (&b"connections"[..], MAX_FDS));
            let first = received.fds.into_iter().next().unwrap();
            // A message without descriptors needs no room.
            leave(0);
            assert_eq!(worker.receive(&mut buffer).unwrap().unwrap().bytes, b"behind");
            // No other copy of the connection is left.
            let mut stream = std::os::unix::net::UnixStream::from(first);
            stream.write_all(b"!").unwrap();
            drop(stream);
            let mut text = String::new();
            (&client).read_to_string(&mut text).unwrap();
            assert_eq!(text, "!");
        },
    );
}

#[test]
fn what_is_good_without_its_descriptors_comes_without_them() {
    alone("os::channel::tests::what_is_good_without_its_descriptors_comes_without_them", || {
        let (master, worker) = Channel::pair().unwrap();
        master.send(b"order", &[worker.as_fd()]).unwrap();
        master.send(b"order", &[worker.as_fd()]).unwrap();
        let mut buffer = [0; MAX_BYTES];
        leave(0);
        let received = worker.receive_lossy(&mut buffer).unwrap().unwrap();
        assert_eq!((received.bytes, received.fds.len()), (&b"order"[..], 0));
        leave(1);
        assert_eq!(worker.receive_lossy(&mut buffer).unwrap().unwrap().fds.len(), 1);
        drop(master);
        assert!(worker.receive_lossy(&mut buffer).unwrap().is_none());
    });
}

#[test]
fn more_descriptors_than_allowed_are_no_lack_of_room() {
    let (master, worker) = Channel::pair().unwrap();
    let control = [worker.as_fd(); MAX_FDS + 1];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS + 1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    assert!(ancillary.push(SendAncillaryMessage::ScmRights(&control)));
    rustix::net::sendmsg(
        &master.0,
        &[IoSlice::new(b"too many")],
        &mut ancillary,
        SendFlags::empty(),
    )
    .unwrap();
    master.send(b"next", &[]).unwrap();
    let mut buffer = [0; MAX_BYTES];
    assert_eq!(worker.receive(&mut buffer).unwrap_err().kind(), io::ErrorKind::InvalidData);
    assert_eq!(worker.receive(&mut buffer).unwrap().unwrap().bytes, b"next");
}

#[test]
fn a_full_channel_would_block_and_a_lost_master_is_an_end() {
    let (master, worker) = Channel::pair().unwrap();
    let full = (0..1_000_000).find_map(|_| master.send(&[7; 1000], &[]).err()).expect("fills up");
    assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
    drop(master);
    let mut buffer = [0; MAX_BYTES];
    while worker.receive(&mut buffer).unwrap().is_some() {}
}

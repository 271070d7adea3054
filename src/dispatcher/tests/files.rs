//! Unix sockets whose file a script removes.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use tokio::sync::oneshot;

use crate::config::Balance;
use crate::dispatcher::messages::Request;
use crate::dispatcher::tests::played::Played;
use crate::dispatcher::tests::still::Still;
use crate::listeners::ListenerSet;
use crate::os::channel::Channel;
use crate::protocol::frame::MasterFrame;
use crate::protocol::{ListenerId, Order, Report, Wanted};

/// How long until a lost file is seen, milliseconds.
const SOON: u64 = 50;

struct UnixSocket {
    _directory: tempfile::TempDir,
    path: PathBuf,
}

impl UnixSocket {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self { path: directory.path().join("app.sock"), _directory: directory }
    }

    /// Binds as a worker that listens does.
    fn bind(&self, still: &mut Still, worker: &Played) {
        let address = Some(self.path.to_str().unwrap().to_owned());
        let wanted = Wanted { address, port: None, v6_only: false, backlog: 16, index: 0 };
        worker.report(&Report::Bind { seq: 1, wanted });
        still.settle();
        let order = worker.next_order();
        let Some(MasterFrame::Order(Order::Bound { listener, .. })) = order else {
            panic!("{order:?}");
        };
        worker.serve(listener);
        still.settle();
    }

    fn remove(&self) {
        fs::remove_file(&self.path).unwrap();
    }

    /// Whether a client of it comes to `worker`.
    fn leads_to(&self, still: &mut Still, worker: &Played) -> bool {
        let Ok(_client) = UnixStream::connect(&self.path) else { return false };
        still.settle();
        worker.take_all() == 1
    }
}

#[test]
fn is_there_again_long_before_the_leaving_worker_that_removed_it_is_gone() {
    let (mut still, [first, second]) = Still::with_ready(Balance::RoundRobin);
    let socket = UnixSocket::new();
    for worker in [&first, &second] {
        socket.bind(&mut still, worker);
    }
    socket.remove();
    still.pass(SOON);
    assert!(!socket.path.exists(), "nobody asked for it");
    first.report(&Report::Leaving);
    still.settle();
    still.pass(SOON);
    assert!(socket.leads_to(&mut still, &second));
}

/// A predecessor and its heir with one unix socket, each with one worker that is ready.
struct Pair {
    old: Still,
    new: Still,
    old_worker: Played,
    new_worker: Played,
    socket: UnixSocket,
}

impl Pair {
    /// `before`: what the heir's script does before it listens.
    fn new(before: impl FnOnce(&UnixSocket)) -> Self {
        Self::with(|socket, _| before(socket))
    }

    /// As `new`, with what the old master does meanwhile.
    fn with(before: impl FnOnce(&UnixSocket, &mut Still)) -> Self {
        let mut old = Still::new(Balance::RoundRobin);
        let (old_worker, socket) = (old.worker(1), UnixSocket::new());
        socket.bind(&mut old, &old_worker);
        old.ask(Request::Lend(true));
        let (reply, mut copies) = oneshot::channel();
        old.ask(Request::CopySockets(reply));
        let copies = copies.try_recv().unwrap().unwrap();
        let set = ListenerSet::default().with_legacy(copies);
        let mut new = Still::of(set, Balance::RoundRobin);
        let new_worker = new.worker(2);
        before(&socket, &mut old);
        socket.bind(&mut new, &new_worker);
        let (ours, theirs) = Channel::pair().unwrap();
        old.ask(Request::Relay { channel: ours, is_heir: false });
        new.ask(Request::Relay { channel: theirs, is_heir: true });
        Self { old, new, old_worker, new_worker, socket }
    }

    /// Lets the heir take over.
    fn hand_over(&mut self) {
        let adopted = self.lead();
        self.old.ask(Request::GiveAway(Some(adopted)));
        self.pass();
    }

    /// Lets the heir lead. Returns what the former master gives away then.
    fn lead(&mut self) -> Vec<ListenerId> {
        let (reply, mut adopted) = oneshot::channel();
        self.new.ask(Request::ListAdopted(reply));
        self.new.ask(Request::Own { alone: false });
        adopted.try_recv().unwrap()
    }

    fn pass(&mut self) {
        for _ in 0..2 {
            self.old.pass(SOON);
            self.new.pass(SOON);
        }
    }

    fn leads_to_the_heir(&mut self) -> bool {
        self.socket.leads_to(&mut self.new, &self.new_worker)
    }
}

#[test]
fn is_there_for_the_worker_of_an_heir_that_removed_it_and_its_clients_are_the_heirs() {
    let mut pair = Pair::new(UnixSocket::remove);
    assert!(pair.socket.path.exists(), "the script may change its rights");
    assert!(pair.leads_to_the_heir());
    pair.hand_over();
    drop(pair.old);
    pair.new.ask(Request::Own { alone: true });
    assert!(pair.socket.leads_to(&mut pair.new, &pair.new_worker), "also without the old master");
}

/// The old master may bind it again between the moment when the heir's script removes it and the one
/// when that listens.
#[test]
fn keeps_the_rights_that_the_heirs_script_gave_to_the_file_that_the_old_master_had_made() {
    for first_removes in [UnixSocket::remove, |_: &UnixSocket| {}] {
        let mut pair = Pair::new(first_removes);
        pair.socket.remove();
        pair.old.pass(SOON);
        assert!(pair.socket.leads_to(&mut pair.old, &pair.old_worker));
        pair.socket.bind(&mut pair.new, &pair.new_worker);
        fs::set_permissions(&pair.socket.path, Permissions::from_mode(0o606)).unwrap();
        pair.new_worker.ready();
        pair.new.settle();
        pair.hand_over();
        // The heir looked whether somebody listens there.
        pair.new_worker.take_all();
        assert!(pair.leads_to_the_heir());
        assert_eq!(fs::metadata(&pair.socket.path).unwrap().mode() & 0o777, 0o606);
    }
}

#[test]
fn is_the_heirs_if_the_old_master_is_killed_after_it_bound_it_again() {
    let mut pair = Pair::with(|socket, old| {
        socket.remove();
        old.pass(SOON);
    });
    let kept = pair.socket.path.with_extension("kept");
    fs::hard_link(&pair.socket.path, &kept).unwrap();
    drop(pair.old);
    fs::rename(&kept, &pair.socket.path).unwrap();
    pair.new.ask(Request::Own { alone: true });
    assert!(pair.socket.leads_to(&mut pair.new, &pair.new_worker));
}

/// The number of a file that was removed is given to the next one.
#[test]
fn stays_if_the_old_master_is_gone_before_the_heir_sees_that_it_removed_its_file() {
    let mut pair = Pair::with(|socket, old| {
        socket.remove();
        old.pass(SOON);
    });
    let adopted = pair.lead();
    pair.old.ask(Request::GiveAway(Some(adopted)));
    drop(pair.old);
    pair.new.ask(Request::Own { alone: true });
    assert!(pair.socket.leads_to(&mut pair.new, &pair.new_worker));
    pair.new.pass(SOON);
    assert!(pair.socket.leads_to(&mut pair.new, &pair.new_worker));
}

#[test]
fn those_who_waited_at_the_file_that_an_heirs_script_removed_are_served() {
    let mut waiting = None;
    let mut pair = Pair::new(|socket| {
        waiting = Some(UnixStream::connect(&socket.path).unwrap());
        socket.remove();
    });
    pair.pass();
    assert_eq!(pair.new_worker.take_all() + pair.old_worker.take_all(), 1);
}

#[test]
fn is_there_again_if_a_worker_of_the_old_master_removes_it_at_its_end() {
    let mut pair = Pair::new(|_| {});
    pair.hand_over();
    pair.socket.remove();
    pair.old.detach(1);
    pair.pass();
    assert!(pair.leads_to_the_heir());
}

#[test]
fn is_the_old_masters_again_if_the_heir_is_gone() {
    for remove in [UnixSocket::remove, |_: &UnixSocket| {}] {
        let Pair { mut old, new, old_worker, socket, .. } = Pair::new(UnixSocket::remove);
        // As if it was killed: its socket is closed, and the file is there.
        let kept = socket.path.with_extension("kept");
        fs::hard_link(&socket.path, &kept).unwrap();
        drop(new);
        fs::rename(&kept, &socket.path).unwrap();
        remove(&socket);
        old.ask(Request::Lend(false));
        assert!(socket.leads_to(&mut old, &old_worker));
    }
}

#[test]
fn is_the_heirs_if_the_old_master_had_to_bind_it_again_meanwhile() {
    let mut pair = Pair::new(|_| {});
    pair.socket.remove();
    pair.old.pass(SOON);
    assert!(pair.socket.leads_to(&mut pair.old, &pair.old_worker));
    pair.hand_over();
    assert!(pair.leads_to_the_heir());
}

#[test]
fn is_there_again_within_milliseconds_of_the_handover() {
    let mut pair = Pair::with(|socket, old| {
        socket.remove();
        old.pass(SOON);
    });
    pair.new.pass(SOON);
    let adopted = pair.lead();
    pair.new.pass(3);
    pair.old.ask(Request::GiveAway(Some(adopted)));
    assert!(!pair.socket.path.exists());
    pair.new.pass(2);
    assert!(pair.leads_to_the_heir());
}

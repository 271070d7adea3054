//! The dispatcher: the master's thread that owns the listening sockets, accepts, and hands connections to workers.
//!
//! One epoll loop; it never waits for anybody. What always holds: an accepted connection is in exactly one place, which is
//! `waiting`, a peer's outbox, a peer's channel (a departed one's too), or a worker that took it. So whatever happens to a worker, each
//! connection that it did not take is still here, or can be read back from its channel, and goes to another one.
//!
//! A worker gets connections of a listener from its `Serve` on, until it drains. While the door is being shut, draining
//! workers get what is left in the queues. A drained worker may leave only when nothing is on the way to it.

mod door;
mod inherited;
mod lanes;
mod peer;
mod watch;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use rustix::event::{EventfdFlags, Timespec, epoll};
use tokio::sync::oneshot;

use crate::config::{Balance, MAX_WORKERS};
use crate::core::Millis;
use crate::core::balance::{Balancer, Candidate};
use crate::core::worker::{Exit, WorkerId};
use crate::error::{ClusterError, Result};
use crate::ipc::frame::{ListenerId, Order, Report};
use crate::sys;
pub use door::Door;
use peer::Received;
pub use peer::{Connection, Peer};

/// A connection that its worker did not take in this time goes to a free one, milliseconds.
const TAKE_WITHIN: Millis = 25;
/// How long the emptied queues are watched after the door was shut, for handshakes that were under way, milliseconds.
const DOOR_GRACE: Millis = 100;
/// How long a worker's readiness is kept back while it does not serve yet what the others serve, milliseconds: what takes longer is
/// taken for a change of the script.
const SETTLE_WITHIN: Millis = 5_000;
/// Retry interval while connections wait and every worker is full, milliseconds.
const RETRY: Millis = 5;

/// What the dispatcher is told.
#[derive(Debug)]
pub enum Request {
    /// A new worker.
    Attach(Box<Peer>),
    /// A worker that is gone: what it did not take goes to others. Answered with `Heard::Gone`, after its last reports.
    Detach(WorkerId, Exit),
    /// A worker that gets nothing new and is to finish what it has.
    Drain(WorkerId),
    /// All workers are to open their log files anew.
    Reopen,
    /// Set this: a sign that the thread turns.
    Answer(Arc<AtomicBool>),
    /// Accept nothing new; answered once nobody new gets in.
    ShutDoor(oneshot::Sender<()>),
    /// Close everything and end the thread.
    End,
}

/// What the dispatcher tells of a worker.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// It reported something.
    Report(Report),
    /// It is gone, and has been heard to the end.
    Gone(Exit),
}

/// What the dispatcher did so far; it writes, others read.
#[derive(Debug, Default)]
pub struct Counts {
    /// Connections given to workers.
    pub handed: AtomicU64,
    /// Connections taken back from workers that died or did not take them in time.
    pub reclaimed: AtomicU64,
    /// Connections that workers gave back for another one.
    pub moved: AtomicU64,
    /// Connections that wait for a worker now.
    pub waiting: AtomicU64,
}

impl Counts {
    fn add(counter: &AtomicU64, count: usize) {
        counter.fetch_add(count as u64, Ordering::Relaxed);
    }
}

/// Who is told.
pub type Tell = Box<dyn FnMut(WorkerId, Heard) + Send>;

/// The rest of the master's end of the thread.
#[derive(Debug)]
pub struct Dispatcher {
    requests: SyncSender<Request>,
    wake: Arc<OwnedFd>,
    counts: Arc<Counts>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Dispatcher {
    /// Binds nothing yet. `tell` is called on the dispatcher's thread with what workers report, and must not block.
    pub fn start(door: Door, policy: Balance, tell: Tell) -> Result<Self> {
        let wake = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(ClusterError::system("eventfd"))?;
        let wake = Arc::new(wake);
        // More than the supervisor can have to say before the loop turns once.
        let (requests, inbox) = sync_channel(8 * MAX_WORKERS as usize);
        let counts = Arc::new(Counts::default());
        let mut run = Loop::new(door, policy, Arc::clone(&wake), inbox, tell, Arc::clone(&counts))
            .map_err(ClusterError::system("setting up the dispatcher"))?;
        let thread = std::thread::Builder::new()
            .name("cluster2-dispatch".into())
            .spawn(move || run.run())
            .map_err(ClusterError::system("starting the dispatcher's thread"))?;
        Ok(Self { requests, wake, counts, thread: Some(thread) })
    }

    /// What it did so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Asks; never blocks. Fails only if the thread is gone or hopelessly behind.
    pub fn send(&self, request: Request) -> bool {
        let sent = match self.requests.try_send(request) {
            Ok(()) => true,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => false,
        };
        // A full counter is a wake-up that has not been seen yet.
        let _ = rustix::io::write(&*self.wake, &1u64.to_ne_bytes());
        sent
    }
}

impl Drop for Dispatcher {
    fn drop(&mut self) {
        self.send(Request::End);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Loop {
    epoll: Arc<OwnedFd>,
    wake: Arc<OwnedFd>,
    inbox: Receiver<Request>,
    tell: Tell,
    door: Door,
    balancer: Balancer,
    peers: BTreeMap<WorkerId, Peer>,
    /// Workers that are gone, but whose channels are not empty yet.
    departed: Vec<Peer>,
    waiting: VecDeque<Connection>,
    candidates: Vec<Candidate>,
    counts: Arc<Counts>,
    ended: bool,
}

/// Epoll tokens: the kind in the upper half, the number in the lower.
const WAKE: u64 = 0;
const LISTENER: u64 = 1 << 32;
const PEER: u64 = 2 << 32;

impl Loop {
    fn new(
        door: Door,
        policy: Balance,
        wake: Arc<OwnedFd>,
        inbox: Receiver<Request>,
        tell: Tell,
        counts: Arc<Counts>,
    ) -> io::Result<Self> {
        let epoll = Arc::new(epoll::create(epoll::CreateFlags::CLOEXEC)?);
        epoll::add(&epoll, &*wake, epoll::EventData::new_u64(WAKE), epoll::EventFlags::IN)?;
        Ok(Self {
            epoll,
            wake,
            inbox,
            tell,
            door,
            balancer: Balancer::new(policy),
            peers: BTreeMap::new(),
            departed: Vec::new(),
            waiting: VecDeque::new(),
            candidates: Vec::new(),
            counts,
            ended: false,
        })
    }

    fn run(&mut self) {
        // Where a processor is free it runs at once. Where all are busy, the workers have enough to do: woken in their stead for each
        // connection, it would hand over one at a time, and cost them as much as the requests.
        if let Err(error) = sys::process::let_others_work() {
            tracing::debug!(%error, "the dispatcher's thread cannot be made patient");
        }
        let mut events = Vec::with_capacity(256);
        while !self.ended {
            let timeout = self.next_wake().map(|at| {
                let wait = Duration::from_millis(at.saturating_sub(sys::now()));
                Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: i64::from(wait.subsec_nanos()) }
            });
            events.clear();
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), timeout.as_ref()) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => {
                    tracing::error!(%error, "the dispatcher cannot wait");
                    return;
                }
            }
            let now = sys::now();
            for event in &events {
                self.on_event(event.data.u64(), event.flags, now);
            }
            self.on_time(now);
            self.flush(now);
            self.watch_listeners(now);
            self.counts.waiting.store(self.waiting.len() as u64, Ordering::Relaxed);
        }
    }

    fn on_event(&mut self, token: u64, flags: epoll::EventFlags, now: Millis) {
        let number = token as u32;
        match token & !u64::from(u32::MAX) {
            LISTENER => self.accept(number, now),
            PEER => {
                if flags.intersects(epoll::EventFlags::OUT) {
                    self.with_peer(WorkerId(number), Peer::unblock);
                }
                if flags.intersects(epoll::EventFlags::IN) {
                    self.hear(WorkerId(number));
                }
            }
            _ => self.read_inbox(now),
        }
    }

    fn with_peer(&mut self, worker: WorkerId, action: impl FnOnce(&mut Peer)) {
        if let Some(peer) = self.peers.get_mut(&worker) {
            action(peer);
        }
    }

    fn read_inbox(&mut self, now: Millis) {
        let _ = rustix::io::read(&*self.wake, &mut [0; 8]);
        while let Ok(request) = self.inbox.try_recv() {
            match request {
                Request::Attach(peer) => self.attach(*peer),
                Request::Detach(worker, exit) => {
                    self.detach(worker);
                    (self.tell)(worker, Heard::Gone(exit));
                }
                Request::Drain(worker) => {
                    let moving = !self.door.is_shut();
                    self.with_peer(worker, |peer| peer.drain(moving));
                }
                Request::Reopen => self.peers.values_mut().for_each(|peer| peer.order(&Order::Reopen)),
                Request::Answer(answered) => answered.store(true, Ordering::Relaxed),
                Request::ShutDoor(done) => self.shut_door(now, done),
                Request::End => self.ended = true,
            }
        }
    }

    fn attach(&mut self, peer: Peer) {
        let token = PEER | u64::from(peer.id().0);
        match epoll::add(&self.epoll, peer.channel(), epoll::EventData::new_u64(token), epoll::EventFlags::IN) {
            Ok(()) => drop(self.peers.insert(peer.id(), peer)),
            Err(error) => tracing::error!(%error, "cannot watch a worker's channel"),
        }
    }

    fn detach(&mut self, worker: WorkerId) {
        // Its last reports still lie in the channel, and maybe connections that it gave back.
        while self.hear(worker) {}
        if let Some(peer) = self.peers.remove(&worker) {
            self.departed.push(peer);
            self.empty_departed();
            self.release_unserved();
        }
    }

    /// Takes back what workers that are gone left in their channels, as far as there are descriptors for it.
    fn empty_departed(&mut self) {
        let (waiting, counts) = (&mut self.waiting, &self.counts);
        self.departed.retain_mut(|peer| {
            // There is something left only if descriptors were lacking when it was detached.
            while let Some(received) = peer.receive() {
                if let Received::Connections(back) = received {
                    Counts::add(&counts.moved, back.len());
                    waiting.extend(back);
                }
            }
            let (left, all) = peer.take_back();
            if !left.is_empty() {
                tracing::info!(worker = peer.id().0, connections = left.len(), "reclaimed from a worker that is gone");
            }
            Counts::add(&counts.reclaimed, left.len());
            waiting.extend(left);
            !all
        });
    }

    /// Closes what nobody serves any more, once it is sure that nobody will: every worker that may still serve is ready.
    /// Connections that wait there would wait for ever.
    fn release_unserved(&mut self) {
        let mut open = self.peers.values().filter(|peer| peer.is_open()).peekable();
        if open.peek().is_none() || !open.all(Peer::is_ready) {
            return;
        }
        let served = |listener| self.peers.values().any(|peer| peer.claims(listener));
        self.door.release_unserved(served);
        self.waiting.retain(|connection| served(connection.origin.listener));
    }

    /// Reads what came from a worker, a bounded number of frames at a time. False: there was nothing more.
    fn hear(&mut self, worker: WorkerId) -> bool {
        for _ in 0..64 {
            match self.peers.get_mut(&worker).and_then(Peer::receive) {
                Some(Received::Report(report)) => self.on_report(worker, report),
                Some(Received::Connections(back)) => {
                    Counts::add(&self.counts.moved, back.len());
                    back.into_iter().for_each(|connection| self.place(connection, Some(worker)));
                    self.release_unserved();
                }
                None => return false,
            }
        }
        true
    }

    fn on_report(&mut self, worker: WorkerId, report: Report) {
        match report {
            Report::Bind { seq, wanted } => {
                let peers = &self.peers;
                let claimed = |listener| peers.values().any(|peer| peer.claims(listener));
                let (answer, lane) = match self.door.bind(&wanted, claimed) {
                    Ok(listener) => {
                        let slot = self.peers.get(&worker).filter(|peer| peer.is_open()).map(Peer::slot);
                        let lane = slot.and_then(|slot| self.door.lane(listener, slot));
                        self.with_peer(worker, |peer| peer.claim(listener));
                        self.waiting.extend(self.door.take_rescued());
                        let (address, path) = self.door.place(listener);
                        (Order::Bound { seq, listener, address, path }, lane)
                    }
                    Err(errno) => (Order::BindFailed { seq, errno }, None),
                };
                self.with_peer(worker, |peer| peer.order_with(&answer, lane));
            }
            Report::Serve { listener, lane } => {
                self.with_peer(worker, |peer| peer.serve(listener, lane));
                self.announce_settled(sys::now());
            }
            Report::Unserve { listener } => {
                self.with_peer(worker, |peer| peer.unserve(listener));
                self.release_unserved();
            }
            Report::Drained => self.with_peer(worker, Peer::ask_to_leave),
            report @ Report::Ready { settled: false, .. } if !self.peers.get(&worker).is_some_and(Peer::is_ready) => {
                self.with_peer(worker, |peer| peer.keep_back(report, sys::now() + SETTLE_WITHIN));
                self.announce_settled(sys::now());
            }
            report @ Report::Ready { .. } => self.announce(worker, report),
            report => (self.tell)(worker, Heard::Report(report)),
        }
    }

    fn announce(&mut self, worker: WorkerId, ready: Report) {
        self.with_peer(worker, Peer::set_ready);
        self.release_unserved();
        (self.tell)(worker, Heard::Report(ready));
    }

    /// Tells of workers whose readiness was kept back, if they now serve all that the others serve, or if it is time.
    fn announce_settled(&mut self, now: Millis) {
        // Asked in every turn, and true in nearly all of them.
        if self.peers.values().all(|peer| peer.kept_back_until().is_none()) {
            return;
        }
        let others: BTreeSet<ListenerId> =
            self.peers.values().filter(|peer| peer.is_ready() && peer.is_open()).flat_map(Peer::serves).collect();
        let expected: Vec<ListenerId> = others.into_iter().chain(self.door.pinned()).collect();
        let settled = self.peers.values_mut().filter_map(|peer| Some((peer.id(), peer.settled(&expected, now)?)));
        for (worker, ready) in settled.collect::<Vec<_>>() {
            self.announce(worker, ready);
        }
    }

    fn accept(&mut self, listener: u32, now: Millis) {
        for connection in self.door.accept(listener, now) {
            self.place(connection, None);
        }
    }

    /// Gives a connection to the best worker, rather not to `not`, or lets it wait.
    fn place(&mut self, connection: Connection, not: Option<WorkerId>) {
        let leaving = self.door.is_shut();
        self.candidates.clear();
        let able = self.peers.values().filter(|peer| peer.can_take(connection.origin.listener, leaving));
        self.candidates.extend(able.map(Peer::candidate));
        if self.candidates.len() > 1 || !leaving {
            self.candidates.retain(|candidate| Some(candidate.worker) != not);
        }
        match self.balancer.choose(&self.candidates, connection.client).and_then(|id| self.peers.get_mut(&id)) {
            Some(peer) => {
                Counts::add(&self.counts.handed, 1);
                peer.give(connection);
            }
            None => self.waiting.push_back(connection),
        }
    }

    fn shut_door(&mut self, now: Millis, done: oneshot::Sender<()>) {
        for connection in self.door.shut(now + DOOR_GRACE) {
            self.place(connection, None);
        }
        // Whoever is in the middle of moving its connections has nobody to move them to any more.
        self.peers.values_mut().filter(|peer| !peer.is_open()).for_each(|peer| peer.drain(false));
        // Who asked may have gone in the meantime.
        let _ = done.send(());
    }

    fn on_time(&mut self, now: Millis) {
        for connection in self.door.close_after_grace(now) {
            self.place(connection, None);
        }
        self.empty_departed();
        self.announce_settled(now);
        for _ in 0..self.waiting.len() {
            if let Some(connection) = self.waiting.pop_front() {
                self.place(connection, None);
            }
        }
        self.look_at_lanes(now);
        self.reclaim(now);
        if !self.door.is_closing() {
            self.peers.values_mut().for_each(Peer::grant_leave);
        }
    }

    /// Takes connections back from workers that did not take them in time, where another worker is free.
    fn reclaim(&mut self, now: Millis) {
        self.peers.values_mut().for_each(Peer::settle);
        if self.balancer.is_sticky() {
            return;
        }
        let late: Vec<WorkerId> =
            self.peers.values().filter(|peer| peer.is_late(now, TAKE_WITHIN)).map(Peer::id).collect();
        for id in late {
            if !self.peers.values().any(|peer| peer.id() != id && peer.is_free()) {
                continue;
            }
            let Some(back) = self.peers.get_mut(&id).map(|peer| peer.reclaim(now)) else { continue };
            tracing::debug!(worker = id.0, connections = back.len(), "reclaimed from a worker that is busy");
            Counts::add(&self.counts.reclaimed, back.len());
            for connection in back {
                self.place(connection, Some(id));
            }
        }
    }

    fn flush(&mut self, now: Millis) {
        for peer in self.peers.values_mut() {
            if let Some(blocked) = peer.flush(now) {
                let flags =
                    if blocked { epoll::EventFlags::IN | epoll::EventFlags::OUT } else { epoll::EventFlags::IN };
                let token = epoll::EventData::new_u64(PEER | u64::from(peer.id().0));
                if let Err(error) = epoll::modify(&self.epoll, peer.channel(), token, flags) {
                    tracing::error!(%error, "cannot watch a worker's channel");
                }
            }
        }
    }

    fn next_wake(&self) -> Option<Millis> {
        let now = sys::now();
        let late =
            self.peers.values().filter_map(|peer| peer.oldest_untaken()).map(|at| (at + TAKE_WITHIN).max(now + RETRY));
        // Waiting for a worker to come needs no clock; waiting for one to take something does.
        let full = (!self.waiting.is_empty() && self.peers.values().any(Peer::is_open)).then(|| now + RETRY);
        let unsent = self.peers.values().any(Peer::must_retry).then(|| now + RETRY);
        let kept_back = self.peers.values().filter_map(Peer::kept_back_until);
        let departed = (!self.departed.is_empty()).then(|| now + RETRY);
        late.chain(full).chain(kept_back).chain(unsent).chain(departed).chain(self.door.next_wake()).min()
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;

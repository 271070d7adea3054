//! The dispatcher: the master's thread that owns the listening sockets, accepts, and hands connections to workers.
//!
//! One epoll loop; it never waits for anybody. What always holds: an accepted connection is in exactly one place, which is
//! a line, a peer's outbox, a peer's channel (a departed one's too), or a worker that took it. So whatever happens to a worker, each
//! connection that it did not take is still here, or can be read back from its channel, and goes to another one.
//!
//! A turn of the loop walks over no worker that has nothing to do with it: `unsent` and `busy` name those that have.
//!
//! A worker gets connections of a listener from its `Serve` on, until it drains. While the door is being shut, draining
//! workers get what is left in the queues. A drained worker may leave only when nothing is on the way to it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use rustix::event::{EventfdFlags, Timespec, epoll};
use tokio::sync::oneshot;

use crate::clock::Millis;
use crate::config::Balance;
pub use crate::dispatcher::link::state::Connection;
pub use crate::dispatcher::link::state::WorkerLink;
use crate::dispatcher::listeners::set::BATCH;
pub use crate::dispatcher::listeners::set::ListenerSet;
use crate::dispatcher::wait_queues::WaitQueues;
use crate::error::{ClusterError, Result};
use crate::os;
use crate::os::thread;
use crate::protocol::EndpointAddress;
use crate::protocol::worker::{Exit, WorkerId};
use crate::protocol::{ListenerId, Order, Report};
use crate::quota::Share;

/// A connection that its worker did not take in this time goes to a free one, milliseconds.
pub const TAKE_WITHIN: Millis = 25;
/// How long the emptied queues are watched after the door was shut, for handshakes that were under way, milliseconds.
pub(super) const DOOR_GRACE: Millis = 100;
/// How long a worker's readiness is kept back while it does not serve yet what the others serve, milliseconds: what takes longer is
/// taken for a change of the script.
pub(super) const SETTLE_WITHIN: Millis = 5_000;
/// Retry interval while connections wait and every worker is full, milliseconds.
pub(super) const RETRY: Millis = 5;

/// What the dispatcher is told. None is ever lost, and few wait: one of each kind, and of those that name a worker one for each
/// worker that has a row on the scoreboard, which it keeps until its `Detach` was answered.
#[derive(Debug)]
pub enum Request {
    /// A new worker.
    Attach(Box<WorkerLink>),
    /// A worker that is gone: what it did not take goes to others. Answered with `DispatcherEvent::Gone`, after its last reports.
    Detach(WorkerId, Exit),
    /// A worker that gets nothing new and is to finish what it has.
    Drain(WorkerId),
    /// All workers open their log files again; the flag says that this waits.
    Reopen(Arc<AtomicBool>),
    /// Set this: a sign that the thread turns.
    Answer(Arc<AtomicBool>),
    /// Accept nothing new; answered once nobody new gets in.
    ShutDoor(oneshot::Sender<()>),
    /// Close everything and end the thread.
    End,
}

/// What the dispatcher tells of a worker.
#[derive(Debug)]
pub enum DispatcherEvent {
    /// It reported something, which holds this share until whoever is told has dealt with it.
    Report(Report, Option<Share>),
    /// What it serves has changed: all of its addresses. Holds a share likewise.
    Serves(Vec<EndpointAddress>, Option<Share>),
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
    pub(super) fn add(counter: &AtomicU64, count: usize) {
        counter.fetch_add(count as u64, Ordering::Relaxed);
    }
}

/// Who is told.
pub type Tell = Box<dyn FnMut(WorkerId, DispatcherEvent) + Send>;

/// The rest of the master's end of the thread.
#[derive(Debug)]
pub struct Dispatcher {
    pub(super) requests: Sender<Request>,
    pub(super) reopen_waits: Arc<AtomicBool>,
    pub(super) wake: Arc<OwnedFd>,
    pub(super) counts: Arc<Counts>,
    pub(super) thread: Option<std::thread::JoinHandle<()>>,
}

impl Dispatcher {
    /// Binds nothing yet. `tell` is called on the dispatcher's thread with what workers report, and must not block.
    pub fn start(door: ListenerSet, policy: Balance, tell: Tell) -> Result<Self> {
        let wake = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(ClusterError::system("eventfd"))?;
        let wake = Arc::new(wake);
        // Bounded by what is sent, see `Request`.
        let (requests, inbox) = channel();
        let counts = Arc::new(Counts::default());
        let mut run =
            EventLoop::new(door, policy, Arc::clone(&wake), inbox, tell, Arc::clone(&counts))
                .map_err(ClusterError::system("setting up the dispatcher"))?;
        let thread = thread::start("cluster2-dispatch", move || run.run())
            .map_err(ClusterError::system("starting the dispatcher's thread"))?;
        Ok(Self { requests, reopen_waits: Arc::default(), wake, counts, thread: Some(thread) })
    }

    /// What it did so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Has all workers open their log files again.
    pub fn reopen(&self) {
        if !self.reopen_waits.swap(true, Ordering::AcqRel) {
            self.send(Request::Reopen(Arc::clone(&self.reopen_waits)));
        }
    }

    /// Asks; never blocks. Fails only if the thread is gone.
    pub fn send(&self, request: Request) -> bool {
        let sent = self.requests.send(request).is_ok();
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

pub(super) struct EventLoop {
    pub(super) epoll: Arc<OwnedFd>,
    pub(super) wake: Arc<OwnedFd>,
    pub(super) inbox: Receiver<Request>,
    pub(super) tell: Tell,
    pub(super) door: ListenerSet,
    pub(super) lines: WaitQueues,
    /// Listeners that only draining workers still have connections of (see `unserved`).
    pub(super) retired: BTreeSet<ListenerId>,
    pub(super) peers: BTreeMap<WorkerId, WorkerLink>,
    /// Workers for whom something lies in their outboxes, in ascending order.
    pub(super) unsent: Vec<WorkerId>,
    /// Workers that have to be looked at again (`WorkerLink::next_look`), in ascending order; and when the first of them.
    pub(super) busy: Vec<WorkerId>,
    pub(super) look_at: Millis,
    /// Workers whose reports are not read, because too much of what they reported or asked waits; see `WorkerLink::is_full`.
    pub(super) unheard: Vec<WorkerId>,
    /// Workers that are gone, but whose channels are not empty yet.
    pub(super) departed: Vec<WorkerLink>,
    pub(super) counts: Arc<Counts>,
    /// The time of this turn.
    pub(super) now: Millis,
    pub(super) ended: bool,
}

/// Later than anything.
pub(super) const NEVER: Millis = Millis::MAX;

/// Epoll tokens: the kind in the upper half, the number in the lower.
pub(super) const WAKE: u64 = 0;
pub(super) const LISTENER: u64 = 1 << 32;
pub(super) const PEER: u64 = 2 << 32;

impl EventLoop {
    pub(super) fn new(
        door: ListenerSet,
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
            lines: WaitQueues::new(policy),
            retired: BTreeSet::new(),
            peers: BTreeMap::new(),
            unsent: Vec::new(),
            busy: Vec::new(),
            look_at: NEVER,
            unheard: Vec::new(),
            departed: Vec::new(),
            counts,
            now: os::now(),
            ended: false,
        })
    }

    pub(super) fn run(&mut self) {
        // Where a processor is free it runs at once. Where all are busy, the workers have enough to do: woken in their stead for each
        // connection, it would hand over one at a time, and cost them as much as the requests.
        if let Err(error) = os::process::let_others_work() {
            tracing::debug!(%error, "the dispatcher's thread cannot be made patient");
        }
        let mut events = Vec::with_capacity(256);
        while !self.ended {
            if let Err(error) = self.turn(&mut events) {
                thread::fail("cluster2-dispatch", format_args!("it cannot wait: {error}"));
            }
        }
    }

    /// Waits for something to do, and does it. `events` is room for what epoll says.
    pub(super) fn turn(&mut self, events: &mut Vec<epoll::Event>) -> rustix::io::Result<()> {
        let timeout = self.next_wake().map(|at| {
            let wait = Duration::from_millis(at.saturating_sub(os::now()));
            Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: i64::from(wait.subsec_nanos()) }
        });
        events.clear();
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(events), timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error),
        }
        self.act(events, os::now());
        Ok(())
    }

    /// Does what there is to do for `events`, and what it is time for.
    pub(super) fn act(&mut self, events: &[epoll::Event], now: Millis) {
        self.now = now;
        for event in events {
            self.on_event(event.data.u64(), event.flags);
        }
        self.on_time();
        self.flush();
        self.watch_listeners();
        self.counts.waiting.store(self.lines.waiting() as u64, Ordering::Relaxed);
    }

    pub(super) fn on_event(&mut self, token: u64, flags: epoll::EventFlags) {
        let number = token as u32;
        match token & !u64::from(u32::MAX) {
            LISTENER => self.accept(number),
            PEER => {
                if flags.intersects(epoll::EventFlags::OUT) {
                    self.with_peer(WorkerId(number), WorkerLink::unblock);
                }
                if flags.intersects(epoll::EventFlags::IN) {
                    self.hear(WorkerId(number));
                }
            }
            _ => self.read_inbox(),
        }
    }

    pub(super) fn with_peer(&mut self, worker: WorkerId, action: impl FnOnce(&mut WorkerLink)) {
        if let Some(peer) = self.peers.get_mut(&worker) {
            action(peer);
            self.attend(worker);
        }
    }

    /// Puts a worker into the lines that it may be given connections of, after any of that has changed.
    pub(super) fn enrol(&mut self, worker: WorkerId) {
        let (is_shut, retired) = (self.door.is_shut(), &self.retired);
        let is_leaving = |listener| is_shut || retired.contains(&listener);
        if let Some(peer) = self.peers.get_mut(&worker) {
            self.lines.enrol(peer, is_shut, is_leaving);
        }
    }

    pub(super) fn all_workers(&self) -> Vec<WorkerId> {
        self.peers.keys().copied().collect()
    }

    pub(super) fn read_inbox(&mut self) {
        let _ = rustix::io::read(&*self.wake, &mut [0; 8]);
        while let Ok(request) = self.inbox.try_recv() {
            match request {
                Request::Attach(peer) => self.attach(*peer),
                Request::Detach(worker, exit) => {
                    self.detach(worker);
                    (self.tell)(worker, DispatcherEvent::Gone(exit));
                }
                Request::Drain(worker) => self.drain(worker),
                Request::Reopen(waits) => {
                    waits.store(false, Ordering::Release);
                    for worker in self.all_workers() {
                        self.with_peer(worker, |peer| peer.order_once(&Order::Reopen));
                    }
                }
                Request::Answer(answered) => answered.store(true, Ordering::Relaxed),
                Request::ShutDoor(done) => self.shut_door(done),
                Request::End => self.ended = true,
            }
        }
    }

    pub(super) fn accept(&mut self, listener: u32) {
        for _ in 0..BATCH {
            let Some(connection) = self.door.accept(listener, self.now) else { return };
            self.place(connection, None);
        }
    }

    pub(super) fn shut_door(&mut self, done: oneshot::Sender<()>) {
        let queued = self.door.shut(self.now + DOOR_GRACE);
        self.all_workers().into_iter().for_each(|worker| self.enrol(worker));
        for connection in queued {
            self.place(connection, None);
        }
        // Whoever is in the middle of moving its connections has nobody to move them to any more.
        self.tell_draining(false);
        // Who asked may have gone in the meantime.
        let _ = done.send(());
    }

    pub(super) fn on_time(&mut self) {
        for connection in self.door.close_after_grace(self.now) {
            self.place(connection, None);
        }
        self.empty_departed();
        self.hear_unheard();
        self.look_at_lanes();
        if self.look_at <= self.now {
            self.look_at_busy();
        }
        self.place_waiting();
    }

    pub(super) fn next_wake(&self) -> Option<Millis> {
        let now = self.now;
        let look = (self.look_at != NEVER).then_some(self.look_at);
        // Waiting for a worker to come needs no clock; waiting for one to take something does.
        let full = (self.lines.waiting() > 0 && self.peers.values().any(WorkerLink::is_open))
            .then(|| now + RETRY);
        let must_retry = |worker| self.peers.get(worker).is_some_and(WorkerLink::must_retry);
        let unsent = self.unsent.iter().any(must_retry).then(|| now + RETRY);
        let is_unread = !self.departed.is_empty() || !self.unheard.is_empty();
        let unread = is_unread.then(|| now + RETRY);
        look.into_iter().chain(full).chain(unsent).chain(unread).chain(self.door.next_wake()).min()
    }
}

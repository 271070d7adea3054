//! The epoll loop: one turn after the other.
//!
//! A turn does what the events say, then what it is time for, then sends what lies in outboxes, and
//! last watches those listeners of which some worker can take connections. It walks over no worker
//! that has nothing to do with it (see `workers`).

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use rustix::event::epoll;
use tokio::sync::oneshot;

use crate::clock::Millis;
use crate::config::Balance;
use crate::connection::Connection;
use crate::dispatcher::link::{RETRY, WorkerLink};
use crate::dispatcher::messages::{Counts, DispatcherEvent, Notify, Request};
use crate::dispatcher::other_master::Relay;
use crate::dispatcher::token::Token;
use crate::dispatcher::workers::WorkerSet;
use crate::listeners::ListenerSet;
use crate::os::channel::MAX_FDS;
use crate::os::reserve::Reserve;
use crate::os::thread;
use crate::os::waker::Waker;
use crate::os::{self, timespec};
use crate::overload::{OverloadPolicy, Shedding};
use crate::protocol::Order;

/// How long the last connections for another master may take to be sent, milliseconds.
const LAST_RELAYS: Millis = 2_000;
/// Connections accepted from one socket in one turn, so that none of them starves the others.
const ACCEPTED_AT_ONCE: usize = 64;

pub(super) struct EventLoop {
    pub(super) epoll: Arc<OwnedFd>,
    wake: Arc<Waker>,
    requests: Receiver<Request>,
    pub(super) notify: Notify,
    pub(super) listeners: ListenerSet,
    pub(super) workers: WorkerSet,
    /// Workers that are gone, but whose channels are not empty yet.
    pub(super) departed: Vec<WorkerLink>,
    /// Connections of and for another master.
    pub(super) relay: Option<Relay>,
    /// Where the option `overload` is on.
    pub(super) shedding: Option<Shedding>,
    /// Room for connections that a worker gives back.
    pub(super) reserve: Reserve,
    pub(super) counts: Arc<Counts>,
    /// The time of this turn.
    pub(super) now: Millis,
    ended: bool,
    /// By when it ends, once it was asked to.
    ends_at: Option<Millis>,
}

impl EventLoop {
    pub(super) fn new(
        listeners: ListenerSet,
        policy: Balance,
        overload: Option<OverloadPolicy>,
        wake: Arc<Waker>,
        requests: Receiver<Request>,
        notify: Notify,
        counts: Arc<Counts>,
    ) -> io::Result<Self> {
        let epoll = Arc::new(epoll::create(epoll::CreateFlags::CLOEXEC)?);
        epoll::add(&epoll, &*wake, Token::Wake.data(), epoll::EventFlags::IN)?;
        let reserve = Reserve::new(&*epoll, MAX_FDS)?;
        Ok(Self {
            epoll,
            wake,
            requests,
            notify,
            listeners,
            workers: WorkerSet::new(policy),
            departed: Vec::new(),
            relay: None,
            shedding: overload
                .map(|policy| Shedding::new(policy, |number| Token::Shed(number).data())),
            reserve,
            counts,
            now: os::now(),
            ended: false,
            ends_at: None,
        })
    }

    /// Turns until it is asked to end.
    pub(super) fn run(&mut self) {
        // Where a processor is free it runs at once. Where all are busy, the workers have enough to
        // do: if it ran before them for each connection, it would hand over one at a time, and that
        // would cost them as much as the requests.
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

    /// Waits for something to do, and does it. `events` is room for what epoll reports.
    fn turn(&mut self, events: &mut Vec<epoll::Event>) -> rustix::io::Result<()> {
        let timeout = self
            .next_wake()
            .map(|at| timespec(Duration::from_millis(at.saturating_sub(os::now()))));
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
            self.on_event(Token::of(event.data), event.flags);
        }
        self.on_time();
        self.workers.flush(&self.epoll, self.now);
        // Before anything else takes the room that these connections had.
        self.reserve.refill();
        self.flush_relay();
        self.watch_listeners();
        self.ended = self.ends_at.is_some_and(|at| at <= self.now || !self.relay_waits());
        self.counts.waiting.store(self.workers.queues().waiting() as u64, Ordering::Relaxed);
    }

    fn on_event(&mut self, token: Token, flags: epoll::EventFlags) {
        match token {
            Token::Wake => self.read_requests(),
            Token::Listener(socket) => {
                self.accept_by(|set, now| set.accept(socket, now));
                self.gauge(socket);
            }
            Token::Relay => self.read_relay(),
            Token::Shed(number) => self.on_shed_event(number),
            Token::Worker(worker) => {
                if flags.intersects(epoll::EventFlags::OUT) {
                    self.workers.change(worker, WorkerLink::unblock);
                }
                if flags.intersects(epoll::EventFlags::IN) {
                    self.read_from(worker);
                }
            }
        }
    }

    pub(super) fn read_requests(&mut self) {
        self.wake.clear();
        while let Ok(request) = self.requests.try_recv() {
            match request {
                Request::Attach(link) => self.attach(*link),
                Request::Detach(worker, exit) => {
                    self.detach(worker);
                    (self.notify)(worker, DispatcherEvent::Gone(exit));
                }
                Request::Activate(worker) => {
                    self.workers.change(worker, WorkerLink::activate);
                }
                Request::Announce(worker) => self.announce_idle(worker),
                Request::Beat(worker) => {
                    self.workers.change(worker, |link| link.order_once(&Order::Beat));
                }
                Request::Inspect(worker, inspection) => {
                    let order = Order::Inspect(inspection);
                    self.workers.change(worker, |link| link.order(&order));
                }
                Request::Drain(worker) => self.drain(worker),
                Request::ReopenLogs(waits) => {
                    waits.store(false, Ordering::Release);
                    for worker in self.workers.ids() {
                        self.workers.change(worker, |link| link.order_once(&Order::Reopen));
                    }
                }
                Request::Ping(answered) => answered.store(true, Ordering::Relaxed),
                Request::StopAdmitting(done) => self.stop_admitting(done),
                Request::Lend(lent) => {
                    self.listeners.lend(lent);
                    self.assign_rescued();
                }
                Request::CopySockets(reply) => {
                    drop(reply.send(self.listeners.copies(self.served_after())));
                }
                Request::Relay { channel, is_heir } => self.open_relay(channel, is_heir),
                Request::GiveAway(adopted) => self.give_away(adopted.as_deref()),
                Request::Keep { last } => self.keep_connections(last),
                Request::ListAdopted(reply) => drop(reply.send(self.adopted())),
                Request::Own { alone } => {
                    self.listeners.own(alone, self.now);
                    self.assign_rescued();
                    self.release_unserved();
                }
                Request::End => self.ends_at = Some(self.now + LAST_RELAYS),
            }
        }
    }

    /// Assigns what `accept` returns, up to `ACCEPTED_AT_ONCE` connections.
    pub(super) fn accept_by(
        &mut self,
        accept: impl Fn(&mut ListenerSet, Millis) -> Option<Connection>,
    ) {
        for _ in 0..ACCEPTED_AT_ONCE {
            let Some(connection) = accept(&mut self.listeners, self.now) else { return };
            self.assign(connection, None);
        }
    }

    fn stop_admitting(&mut self, done: oneshot::Sender<()>) {
        let queued = self.listeners.stop_admitting(self.now);
        self.workers.admit_draining_everywhere();
        for connection in queued {
            self.assign(connection, None);
        }
        // Workers that are moving their connections have nobody to move them to any more.
        self.drain_again(false);
        // The requester may be gone by now.
        let _ = done.send(());
    }

    fn on_time(&mut self) {
        for connection in self.listeners.close_after_grace(self.now) {
            self.assign(connection, None);
        }
        self.look_at_files();
        self.empty_departed();
        self.resume_reports();
        self.check_queues();
        self.shed();
        if self.workers.next_poll().is_some_and(|at| at <= self.now) {
            self.poll_due();
        }
        self.assign_waiting();
    }

    fn look_at_files(&mut self) {
        if self.listeners.has_files() {
            self.listeners.look_at_files(self.is_leaving(), self.now);
            self.assign_rescued();
        }
    }

    /// Whether a worker is about to end.
    fn is_leaving(&self) -> bool {
        self.workers.iter().any(|link| !link.is_open())
    }

    /// When to turn again although nothing happens. `None`: never.
    pub(super) fn next_wake(&self) -> Option<Millis> {
        // A connection that waits for a worker to come needs no clock; one that waits for a worker
        // to have room does.
        let is_waiting =
            || self.workers.queues().waiting() > 0 && self.workers.iter().any(WorkerLink::is_open);
        let must_retry = !self.departed.is_empty()
            || self.workers.must_retry()
            || self.relay_waits()
            || is_waiting();
        let retry = must_retry.then(|| self.now + RETRY);
        let shed = self.shedding.as_ref().and_then(Shedding::next_wake);
        let has_files = self.listeners.has_files();
        let look = has_files.then(|| self.listeners.next_look(self.is_leaving())).flatten();
        let times = [self.workers.next_poll(), retry, self.listeners.next_wake(), shed, look];
        times.into_iter().flatten().min()
    }
}

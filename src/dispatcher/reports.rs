//! What workers report, and the answers.

use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;

use crate::clock::Millis;
use crate::dispatcher::event_loop::EventLoop;
use crate::dispatcher::link::{Incoming, WorkerLink};
use crate::dispatcher::messages::DispatcherEvent;
use crate::os::channel::Channel;
use crate::protocol::worker::WorkerId;
use crate::protocol::{ListenerId, Order, Report, Wanted, frame};

/// How long a worker's readiness is deferred while it does not serve yet what the others serve,
/// milliseconds; twice as long as the newest of these took, if that is more. What takes longer
/// counts as a change of the script.
pub(super) const SETTLE_WITHIN: Millis = 5_000;
/// Frames read from one worker at once, so that it does not starve the others.
const READ_AT_ONCE: usize = 64;

impl EventLoop {
    /// Reads what came from a worker, as far as it is its turn and not too much of it waits. What
    /// is not read holds up the worker itself.
    pub(super) fn read_from(&mut self, worker: WorkerId) {
        for _ in 0..READ_AT_ONCE {
            if self.workers.get(worker).is_some_and(WorkerLink::must_pause) {
                self.workers.change(worker, |link| link.pause(&self.epoll));
            }
            if !self.read_frame(worker) {
                return;
            }
        }
    }

    /// Reads the last reports of a worker that is gone, and connections that it gave back.
    pub(super) fn read_to_the_end(&mut self, worker: WorkerId) {
        self.workers.change(worker, WorkerLink::read_to_the_end);
        while self.read_frame(worker) {}
    }

    /// Goes on reading the reports of paused workers, where no longer too many wait.
    pub(super) fn resume_reports(&mut self) {
        for worker in self.workers.take_paused() {
            let resumed = self.workers.change(worker, |link| {
                // Nothing reported room for what it is sent meanwhile.
                link.unblock();
                let resumed = !link.is_full();
                if resumed {
                    link.resume(&self.epoll);
                }
                resumed
            });
            if resumed == Some(true) {
                self.read_from(worker);
            }
        }
    }

    /// Reads one frame. Returns whether there was one.
    fn read_frame(&mut self, worker: WorkerId) -> bool {
        match self.workers.receive(worker, &mut self.reserve) {
            Some(Incoming::Report(report)) => self.on_report(worker, report, None),
            Some(Incoming::Question(report, asker)) => self.on_report(worker, report, Some(&asker)),
            Some(Incoming::Connections(back)) => {
                self.counts.given_back(&back);
                self.workers.change(worker, |link| link.stall_if_stuck(self.now));
                back.into_iter().for_each(|connection| self.assign(connection, Some(worker)));
            }
            None => {
                if let Some(link) = self.workers.get(worker) {
                    link.unwatch_if_closed(&self.epoll);
                }
                return false;
            }
        }
        true
    }

    /// `asker`: where the worker waits for the answer, if it does.
    fn on_report(&mut self, worker: WorkerId, report: Report, asker: Option<&Channel>) {
        match report {
            Report::Bind { seq, wanted } => {
                let is_spare = self.workers.get(worker).is_some_and(WorkerLink::is_spare);
                let (answer, socket) = if is_spare {
                    (self.try_bind(worker, seq, &wanted), None)
                } else {
                    self.bind(worker, seq, &wanted)
                };
                match asker {
                    Some(asker) => reply(asker, &answer, socket),
                    None => {
                        self.workers.change(worker, |link| link.order_with(&answer, socket));
                    }
                }
            }
            Report::Serve { listener, accepts, http1 } => {
                self.workers.change(worker, |link| {
                    link.serve(listener, accepts, http1);
                    link.note_served(self.now);
                });
                self.notify_served(worker);
                self.announce_settled();
            }
            Report::Unserve { listener } => {
                self.unserve(worker, listener);
                if let Some(asker) = asker {
                    reply(asker, &Order::Unserved, None);
                }
            }
            Report::Leaving => {
                self.workers.change(worker, WorkerLink::leave_by_itself);
                // The supervisor will ask for it anyway. What its script closes meanwhile stays
                // open for the worker that comes after it.
                self.drain(worker);
                self.pass_on(worker, report);
            }
            Report::Room { until } => {
                self.workers.change(worker, |link| link.set_room(until));
            }
            Report::Drained => {
                self.workers.change(worker, WorkerLink::ask_to_leave);
            }
            Report::Waiting { .. }
                if !self.workers.get(worker).is_some_and(WorkerLink::is_spare) =>
            {
                // It was activated meanwhile.
            }
            report
            @ (Report::Ready { settled: false, .. } | Report::Waiting { settled: false })
                if !self.workers.get(worker).is_some_and(WorkerLink::is_ready) =>
            {
                let until = self.now + SETTLE_WITHIN.max(2 * self.served_after());
                self.workers.change(worker, |link| link.defer_ready(report, until));
                self.announce_settled();
            }
            report @ Report::Ready { .. } => self.announce(worker, report),
            report => self.pass_on(worker, report),
        }
    }

    fn bind(&mut self, worker: WorkerId, seq: u32, wanted: &Wanted) -> (Order, Option<OwnedFd>) {
        let workers = &self.workers;
        // Nobody would be let in: an address that only a leaving worker wants is its own matter.
        let is_leaving = |link: &WorkerLink| !link.is_open() && link.is_ready();
        if workers.get(worker).is_some_and(is_leaving) && !self.listeners.has(wanted) {
            let errno = Errno::CANCELED.raw_os_error();
            return (Order::BindFailed { seq, errno }, None);
        }
        let claimed = |listener| workers.iter().any(|link| link.claims(listener));
        match self.listeners.bind(wanted, claimed) {
            Ok(listener) => {
                let (shared, socket) = self.share(worker, listener).unzip();
                self.workers.change(worker, |link| link.claim(listener));
                self.workers.reinstate(listener);
                self.assign_rescued();
                let (address, path) = self.listeners.address(listener);
                (Order::Bound { seq, listener, address, path, shared }, socket)
            }
            Err(errno) => (Order::BindFailed { seq, errno }, None),
        }
    }

    /// Answers a spare: whether it could listen, and where. It gets no socket, and a listener that
    /// nobody has yet is not kept, since nobody would serve it.
    fn try_bind(&mut self, worker: WorkerId, seq: u32, wanted: &Wanted) -> Order {
        let open = self.listeners.open();
        let workers = &self.workers;
        let claimed = |listener| workers.iter().any(|link| link.claims(listener));
        let listener = match self.listeners.bind(wanted, claimed) {
            Ok(listener) => listener,
            Err(errno) => return Order::BindFailed { seq, errno },
        };
        self.assign_rescued();
        let (address, path) = self.listeners.address(listener);
        if open.contains(&listener) {
            self.workers.change(worker, |link| link.claim(listener));
            self.announce_settled();
        } else {
            self.listeners.release(listener);
        }
        Order::Bound { seq, listener, address, path, shared: None }
    }

    /// Passes on what a worker serves now.
    pub(super) fn notify_served(&mut self, worker: WorkerId) {
        let serves = self.workers.get(worker).into_iter().flat_map(WorkerLink::serves);
        let addresses = serves.filter_map(|listener| self.listeners.endpoint(listener)).collect();
        let share = self.workers.get(worker).and_then(WorkerLink::share);
        (self.notify)(worker, DispatcherEvent::Serves(addresses, share));
    }

    /// Announces a worker that does not listen, once.
    pub(super) fn announce_idle(&mut self, worker: WorkerId) {
        if self.workers.get(worker).is_some_and(|link| !link.is_ready()) {
            self.announce(worker, Report::Ready { endpoints: Vec::new(), settled: true });
        }
    }

    fn announce(&mut self, worker: WorkerId, ready: Report) {
        self.workers.change(worker, WorkerLink::set_ready);
        self.listeners.refresh_modes();
        self.release_unserved();
        self.pass_on(worker, ready);
    }

    /// How long the newest worker, here or at the former master, took to serve all after it
    /// served its first listener, milliseconds.
    pub(super) fn served_after(&self) -> Millis {
        self.newest().map_or(self.listeners.led_served_after(), WorkerLink::served_after)
    }

    /// The newest worker that is ready, and stays.
    fn newest(&self) -> Option<&WorkerLink> {
        self.workers.iter().rfind(|link| link.is_ready() && link.is_open())
    }

    fn pass_on(&mut self, worker: WorkerId, report: Report) {
        // It is passed on without a share too: whether there is room was checked before reading.
        let share = self.workers.get(worker).and_then(WorkerLink::share);
        (self.notify)(worker, DispatcherEvent::Report(report, share));
    }

    /// Announces workers whose readiness was deferred, if they now serve all that the newest one
    /// serves, or if it is time.
    pub(super) fn announce_settled(&mut self) {
        let is_deferred = |link: &WorkerLink| link.deferred_until().is_some();
        let deferred: Vec<WorkerId> = self
            .workers
            .due()
            .iter()
            .copied()
            .filter(|worker| self.workers.get(*worker).is_some_and(is_deferred))
            .collect();
        if deferred.is_empty() {
            return;
        }
        // Where older workers serve more than the newest, that was found to be a change of the
        // script.
        let newest = self.newest().into_iter().flat_map(WorkerLink::serves);
        let own = newest.chain(self.listeners.pinned());
        // Those of another master, which this one may take over from, count too.
        let expected: Option<Vec<ListenerId>> =
            self.listeners.led().map(|led| own.chain(led).collect());
        for worker in deferred {
            let take = |link: &mut WorkerLink| link.take_deferred(expected.as_deref(), self.now);
            match self.workers.change(worker, take).flatten() {
                Some(waiting @ Report::Waiting { .. }) => self.pass_on(worker, waiting),
                Some(ready) => self.announce(worker, ready),
                None => {}
            }
        }
    }
}

/// Answers a question. A worker that waits no longer has asked again by a report.
fn reply(asker: &Channel, answer: &Order, socket: Option<OwnedFd>) {
    let socket = socket.as_ref().map(OwnedFd::as_fd);
    if let Err(error) = asker.send(&frame::order(answer), socket.as_slice()) {
        tracing::debug!(%error, "a worker does not wait for its answer any more");
    }
}

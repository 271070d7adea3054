//! Having others serve the idle connections of this worker while its event loop is stuck.
//!
//! A part of the watch thread, which never touches a connection itself: it orders the JavaScript
//! thread by a signal (`os::seize`). What always holds:
//!
//! - An idle worker costs nothing: the watch sleeps until its event loop has something to do.
//! - A busy one costs a look at its turns each [`STUCK_AFTER`]. The epoll of the event loop is left
//!   alone meanwhile: to ask it whether something waits changes the order in which it tells what
//!   does, and then some connections wait for two rounds of a saturated worker, others for none.
//! - In a master on trial none is taken within the first [`LONG_ON_TRIAL`]: one that is on its way
//!   through a master is lost if that is killed, and until it has taken over that must cost nothing.
//! - No connection is taken while no other worker is free (`free_workers`), and none while this one
//!   drains.
//! - The first order is for few connections, and each next one for twice as many while another
//!   worker stays free, for half as many when none was: one that is slow with these gets no more.
//! - A connection that came from another worker and was not used since is taken only from
//!   [`LONG`] on. Busy workers would throw such connections at each other.

use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};

use super::free_workers::FreeWorkers;
use crate::os;
use crate::os::channel::Channel;
use crate::os::descriptors::by_number;
use crate::os::scoreboard::Row;
use crate::os::seize::{CHAOS, Encode, Given, Seizer, Table};
use crate::protocol::{Origin, Past, frame};

/// An event loop that leaves something waiting for so long is stuck.
const STUCK_AFTER: Duration = Duration::from_millis(25);
/// How often the watch looks while it is.
const TICK: Duration = Duration::from_millis(if CHAOS { 1 } else { 2 });
/// From then on a stuck event loop gives away also what others just gave to it.
const LONG: Duration = Duration::from_millis(100);
/// From then on connections are taken although the former master may still go on.
const LONG_ON_TRIAL: Duration = Duration::from_secs(1);
/// After so long without an answer an order is taken back: the thread does not run.
const OBEYED_WITHIN: Duration = Duration::from_secs(5);
/// The turns of a free worker take less than this part of the time that this event loop is stuck,
/// or than two ticks.
const FASTER: u32 = 2;
/// The most connections in the first order; the next one may have twice as many.
const FIRST_ORDER: usize = if CHAOS { usize::MAX / 2 } else { 2 };
/// After a look at many connections the watch pauses for so many times the processor time that it
/// took. The time that it waited for a processor does not count: where these are busy, connections
/// would wait the more.
const REST: u32 = 4;

#[derive(Debug, Clone, Copy)]
enum LoopState {
    /// Sleeps until the event loop has something to do.
    Asleep,
    /// It had, and had turned so often.
    Busy { turn: u64, until: Instant },
    /// It has not turned since. Whether something still waits is asked at `check`.
    Stuck { turn: u64, since: Instant, next: Instant, check: Instant },
}

/// Notices that the event loop is stuck.
pub(super) struct StuckWatch {
    seizer: &'static Seizer,
    row: Row,
    turns: &'static AtomicU64,
    /// The epoll of the event loop.
    backend: i32,
    state: LoopState,
    /// Since when an order is under way.
    ordered: Option<Instant>,
    /// How many connections the next order may have.
    most: usize,
    others: FreeWorkers,
}

impl StuckWatch {
    /// Called on the JavaScript thread. `backend`: the epoll of its event loop, whose turns `turns`
    /// counts. Returns `None` where the app handles the signal itself.
    pub(super) fn start(
        table: &'static Table,
        channel: Arc<Channel>,
        backend: i32,
        turns: &'static AtomicU64,
        row: Row,
    ) -> Option<Self> {
        let encode: Encode = encode;
        let seizer = Seizer::start(table, channel, backend, turns, encode)?;
        let state = LoopState::Asleep;
        let others = FreeWorkers::new(row.clone());
        Some(Self { seizer, row, turns, backend, state, ordered: None, most: FIRST_ORDER, others })
    }

    /// What ends the sleep of the watch, beside [`Self::wait`].
    pub(super) fn awaited(&self) -> Option<BorrowedFd<'_>> {
        if matches!(self.state, LoopState::Asleep) { by_number(self.backend).ok() } else { None }
    }

    /// How long the watch may sleep.
    pub(super) fn wait(&self) -> Option<Duration> {
        match self.state {
            LoopState::Asleep => None,
            LoopState::Busy { until, .. } => Some(until),
            LoopState::Stuck { next, .. } => Some(next),
        }
        .map(|due| due.saturating_duration_since(Instant::now()))
    }

    /// Does what is due.
    pub(super) fn turn(&mut self) {
        let now = Instant::now();
        match self.state {
            LoopState::Asleep if CHAOS => self.begin(self.turned(), now, now),
            LoopState::Asleep if self.has_events() => self.be_busy(now),
            LoopState::Busy { turn, until } if until <= now => {
                if self.turned() != turn {
                    self.be_busy(now);
                } else if self.has_events() {
                    self.row.admission().set_stuck(true);
                    self.begin(turn, until.checked_sub(STUCK_AFTER).unwrap_or(until), now);
                } else {
                    self.state = LoopState::Asleep;
                }
            }
            LoopState::Stuck { turn, since, next, check } if next <= now => {
                self.tick(turn, since, now, check);
            }
            LoopState::Asleep | LoopState::Busy { .. } | LoopState::Stuck { .. } => {}
        }
    }

    fn be_busy(&mut self, now: Instant) {
        self.state = LoopState::Busy { turn: self.turned(), until: now + STUCK_AFTER };
    }

    fn begin(&mut self, turn: u64, since: Instant, now: Instant) {
        self.tick(turn, since, now, now + LONG);
    }

    fn end(&mut self) {
        self.row.admission().set_stuck(false);
        self.most = FIRST_ORDER;
    }

    fn tick(&mut self, turn: u64, since: Instant, now: Instant, check: Instant) {
        let turned = self.turned();
        let has_turned = turned != turn;
        // One turn alone may be the end of one long callback before another.
        let is_over = turned > turn + 1 || (has_turned && self.row.admission().is_polling());
        if is_over && !CHAOS {
            self.end();
            return self.be_busy(now);
        }
        let (since, mut check) = if has_turned { (now, now + STUCK_AFTER) } else { (since, check) };
        let age = now.saturating_duration_since(since);
        if !CHAOS && check <= now {
            if !self.has_events() {
                self.end();
                return self.state = LoopState::Asleep;
            }
            check = now + LONG;
        }
        let before = os::thread_time();
        if CHAOS || age >= STUCK_AFTER {
            self.order(turned, age);
        }
        let took = os::thread_time().saturating_sub(before);
        let next = Instant::now() + TICK.max(took * REST);
        self.state = LoopState::Stuck { turn: turned, since, next, check };
    }

    fn order(&mut self, turn: u64, age: Duration) {
        if let Some(at) = self.ordered {
            if !self.seizer.is_done() {
                if at.elapsed() > OBEYED_WITHIN {
                    self.seizer.take_back();
                }
                return;
            }
            self.ordered = None;
        }
        // Set again, because a worker may begin to serve while it is stuck.
        if !self.row.admission().set_stuck(!CHAOS) || !self.is_other_free(age) {
            self.most = (self.most / 2).max(FIRST_ORDER);
            return;
        }
        if self.row.board().header().is_on_trial() && age < LONG_ON_TRIAL {
            return;
        }
        let candidates = self.seizer.candidates(CHAOS || age >= LONG, self.most);
        if !candidates.is_empty() && self.seizer.order(&candidates, turn) {
            self.ordered = Some(Instant::now());
            self.most = self.most.saturating_mul(2);
        }
    }

    /// `age`: for how long the event loop is stuck.
    fn is_other_free(&mut self, age: Duration) -> bool {
        if CHAOS {
            return self.others.is_one_alive();
        }
        self.others.is_one_free(Instant::now(), (age / FASTER).max(TICK * 2))
    }

    fn turned(&self) -> u64 {
        self.turns.load(Ordering::Relaxed)
    }

    /// Whether something waits for the event loop.
    fn has_events(&self) -> bool {
        let Ok(backend) = by_number(self.backend) else { return false };
        let at_once = Timespec::default();
        let mut polled = [PollFd::from_borrowed_fd(backend, PollFlags::IN)];
        rustix::event::poll(&mut polled, Some(&at_once)).is_ok_and(|ready| ready > 0)
    }
}

/// Writes the frame for connections, in a signal handler.
fn encode(given: &[Given], buffer: &mut [u8; 1024]) -> usize {
    let frame = frame::connections(given.iter().map(|given| {
        let Given { listener, stage, since, timeout, requests } = *given;
        Origin { listener, past: Past { stage, since, timeout, requests } }
    }));
    match buffer.get_mut(..frame.len()) {
        Some(place) => {
            place.copy_from_slice(&frame);
            frame.len()
        }
        None => 0,
    }
}

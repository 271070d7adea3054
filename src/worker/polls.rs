//! What a worker's link does on the event loop, and the thread that watches it.
//!
//! Node's own event loop polls the channel and the orders, and only tells JavaScript that there is
//! something to take.

use std::cell::RefCell;
use std::ffi::c_void;
use std::io;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use super::accept::Acceptor;
use super::beat_timer::BeatTimer;
use super::execution::Responder;
use super::master_link::{ChannelPoll, MasterLink, OrdersState};
use super::stuck_watch::StuckWatch;
use super::turns::Turns;
use super::watch;
use crate::error::{ClusterError, Result};
use crate::os::exit_lock;
use crate::os::seize::Table;
use crate::os::uv::{self, Poll};

impl MasterLink {
    /// Starts the polls, the beats, and the watch. `seizes`: others serve its idle connections
    /// while its event loop is stuck. Calls `notify` on this thread when there may be something to
    /// take. `event_loop` is Node's own, of this thread.
    pub fn watch(
        &mut self,
        event_loop: *mut c_void,
        beat: Duration,
        orphan_limit: Duration,
        seizes: bool,
        notify: impl Fn() + 'static,
    ) -> Result<()> {
        if let Err(error) = exit_lock::hold(&self.row) {
            tracing::debug!(%error, "the master learns late of the end of this worker");
        }
        let notify = Rc::new(notify);
        self.poll_orders(event_loop, Rc::clone(&notify))
            .map_err(ClusterError::system("looking for orders"))?;
        self.poll_channel(event_loop, Rc::clone(&notify))
            .map_err(ClusterError::system("looking at the channel"))?;
        Acceptor::start(&self.acceptor, event_loop, notify)
            .map_err(ClusterError::system("preparing to accept"))?;
        let beats = BeatTimer::start(event_loop, self.row.clone(), beat)
            .map_err(ClusterError::system("starting the beats"))?;
        let turns = self
            .count_turns(event_loop, beats)
            .map_err(ClusterError::system("counting the turns of the event loop"))?;
        let respond = |channel| Responder::new(channel, event_loop, turns);
        let responder = self.execution.take().map(respond);
        let stuck = if seizes { self.watch_stuck(event_loop, turns)? } else { None };
        let sockets = self.acceptor.borrow().sockets().clone();
        watch::start(Arc::clone(&self.orders), sockets, orphan_limit, responder, stuck)
    }

    /// Counts the turns of the event loop in the row, for the watch and for other workers. `beats`
    /// follow them.
    fn count_turns(
        &self,
        event_loop: *mut c_void,
        beats: Rc<RefCell<BeatTimer>>,
    ) -> io::Result<&'static AtomicU64> {
        let mut turns = Turns::new(self.row.clone());
        let count = turns.count();
        uv::before_each_poll(event_loop, move || {
            turns.turn();
            beats.borrow_mut().on_turn();
        })?;
        Ok(count)
    }

    fn watch_stuck(
        &mut self,
        event_loop: *mut c_void,
        turns: &'static AtomicU64,
    ) -> Result<Option<StuckWatch>> {
        let Some(backend) = uv::epoll_of(event_loop) else { return Ok(None) };
        let table = Table::create().map_err(ClusterError::system("mapping the idle marks"))?;
        let channel = Arc::clone(&self.channel);
        let watch = StuckWatch::start(table, channel, backend, turns, self.row.clone());
        self.idle_marks = watch.is_some().then_some(table);
        Ok(watch)
    }

    fn poll_orders(
        &mut self,
        event_loop: *mut c_void,
        notify: Rc<impl Fn() + 'static>,
    ) -> io::Result<()> {
        let state = Rc::clone(&self.orders_state);
        let readable = move || {
            if state.get() == OrdersState::Read {
                state.set(OrdersState::Unread);
            }
            notify();
            // Until JavaScript has taken everything, and knows.
            state.get() != OrdersState::Ended { reported: true }
        };
        self.orders_poll = Some(Poll::start(event_loop, self.orders.as_fd(), readable)?);
        Ok(())
    }

    fn poll_channel(
        &mut self,
        event_loop: *mut c_void,
        notify: Rc<impl Fn() + 'static>,
    ) -> io::Result<()> {
        let state = Rc::clone(&self.channel_poll);
        let readable = move || {
            notify();
            state.get() == ChannelPoll::Active
        };
        self.poll = Some(Poll::start(event_loop, self.channel.as_fd(), readable)?);
        Ok(())
    }
}

//! The watch: a thread that waits for the end of the master, for questions what the worker
//! executes, and for an event loop that is stuck.
//!
//! When the master has ended, it ends the sockets from which this worker accepts, gives the event
//! loop `orphan_limit` to finish, and ends the process. So a worker whose event loop is stuck does
//! not outlive its master for long.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, epoll};

use super::accept::SharedSockets;
use super::execution::Responder;
use super::stuck_watch::StuckWatch;
use crate::clock::{Clock, MAX_WAIT, Millis};
use crate::error::{ClusterError, Result};
use crate::os::channel::Channel;
use crate::os::thread;
use crate::os::{self, timespec};

/// The events of the watch.
const HANG_UP: u64 = 0;
const QUESTION: u64 = 1;

/// Starts the watch. `orders` is this worker's end of its orders.
pub(super) fn start(
    orders: Arc<Channel>,
    sockets: SharedSockets,
    orphan_limit: Duration,
    mut responder: Option<Responder>,
    mut stuck: Option<StuckWatch>,
) -> Result<()> {
    let epoll = watched(&orders, responder.as_ref())
        .map_err(ClusterError::system("watching the master"))?;
    let watch = move || {
        until_orphaned(&epoll, &mut responder, &mut stuck);
        sockets.end();
        // Kept until here, so that the watched descriptor stays open.
        drop(orders);
        grant(orphan_limit);
        tracing::error!("the master is gone and the event loop did not end in time");
        os::process::kill_self();
    };
    thread::start("cluster2-watch", watch).map_err(ClusterError::system("starting the watch"))?;
    Ok(())
}

fn watched(orders: &Channel, responder: Option<&Responder>) -> io::Result<OwnedFd> {
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let flags = epoll::EventFlags::RDHUP | epoll::EventFlags::ET;
    epoll::add(&epoll, orders, epoll::EventData::new_u64(HANG_UP), flags)?;
    if let Some(responder) = responder {
        let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
        let question = epoll::EventData::new_u64(QUESTION);
        epoll::add(&epoll, responder.readable(), question, flags)?;
    }
    Ok(epoll)
}

fn until_orphaned(
    epoll: &OwnedFd,
    responder: &mut Option<Responder>,
    stuck: &mut Option<StuckWatch>,
) {
    let mut events: Vec<epoll::Event> = Vec::with_capacity(2);
    while events.iter().all(|event| event.data.u64() != HANG_UP) {
        events.clear();
        let waits = [
            responder.as_ref().and_then(Responder::wait),
            stuck.as_ref().and_then(StuckWatch::wait),
        ];
        let wait = waits.into_iter().flatten().min().map(timespec);
        let waited = sleep(epoll, stuck.as_ref(), wait.as_ref())
            .and_then(|has_events| if has_events { take(epoll, &mut events) } else { Ok(()) });
        match waited {
            Ok(()) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return tracing::error!(%error, "the watch cannot wait"),
        }
        // Each turn costs a system call, and nearly all that ends the sleep is of a busy event
        // loop.
        if let Some(responder) = responder
            && (!events.is_empty() || responder.wait().is_some())
        {
            responder.turn();
        }
        if let Some(stuck) = stuck {
            stuck.turn();
        }
    }
}

/// Waits for `wait` at most. Returns whether the watch itself has events.
///
/// The event loop's epoll is polled, not added to ours: then each of its events would cost a call.
fn sleep(
    epoll: &OwnedFd,
    stuck: Option<&StuckWatch>,
    wait: Option<&Timespec>,
) -> rustix::io::Result<bool> {
    let own = PollFd::new(epoll, PollFlags::IN);
    match stuck.and_then(StuckWatch::awaited) {
        Some(backend) => {
            let mut polled = [own, PollFd::from_borrowed_fd(backend, PollFlags::IN)];
            rustix::event::poll(&mut polled, wait)?;
            Ok(!polled[0].revents().is_empty())
        }
        None => rustix::event::poll(&mut [own], wait).map(|ready| ready > 0),
    }
}

/// Takes the events of the watch itself.
fn take(epoll: &OwnedFd, events: &mut Vec<epoll::Event>) -> rustix::io::Result<()> {
    let at_once = Timespec::default();
    let room = rustix::buffer::spare_capacity(events);
    epoll::wait(epoll.as_fd(), room, Some(&at_once)).map(drop)
}

/// Waits for `limit`, without the time in which this process was stopped.
fn grant(limit: Duration) {
    let mut clock = Clock::default();
    let end = clock.turn(os::now()) + limit.as_millis() as Millis;
    loop {
        let machine = os::now();
        let wait = end.saturating_sub(clock.turn(machine)).min(MAX_WAIT);
        if wait == 0 {
            return;
        }
        clock.wait(machine, wait);
        std::thread::sleep(Duration::from_millis(wait));
    }
}

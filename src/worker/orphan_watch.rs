//! The orphan watch: a thread that waits for the end of the master.
//!
//! It then stops the lanes, gives the event loop `orphan_limit` to finish, and ends the process. So
//! a worker whose event loop is stuck does not outlive its master for long.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::event::epoll;

use super::lanes::Lanes;
use crate::clock::{Clock, MAX_WAIT, Millis};
use crate::error::{ClusterError, Result};
use crate::os;
use crate::os::channel::Channel;
use crate::os::thread;

/// Starts the watch. `orders` is this worker's end of its orders.
pub(super) fn start(orders: Arc<Channel>, lanes: Lanes, orphan_limit: Duration) -> Result<()> {
    let epoll = hang_up_of(&orders).map_err(ClusterError::system("watching the master"))?;
    let watch = move || {
        until_orphaned(&epoll);
        lanes.stop_listening();
        // Kept until here, so that the watched descriptor stays open.
        drop(orders);
        grant(orphan_limit);
        tracing::error!("the master is gone and the event loop did not end in time");
        os::process::kill_self();
    };
    thread::start("cluster2-watch", watch).map_err(ClusterError::system("starting the watch"))?;
    Ok(())
}

fn hang_up_of(orders: &Channel) -> io::Result<OwnedFd> {
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let flags = epoll::EventFlags::RDHUP | epoll::EventFlags::ET;
    epoll::add(&epoll, orders, epoll::EventData::new_u64(0), flags)?;
    Ok(epoll)
}

fn until_orphaned(epoll: &OwnedFd) {
    let mut events = Vec::with_capacity(1);
    while events.is_empty() {
        match epoll::wait(epoll.as_fd(), rustix::buffer::spare_capacity(&mut events), None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return tracing::error!(%error, "the watch cannot wait"),
        }
    }
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

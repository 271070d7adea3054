//! The handle of the dispatcher's thread: starts it, and sends it requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

use crate::config::Balance;
use crate::dispatcher::event_loop::EventLoop;
use crate::dispatcher::messages::{Counts, Notify, Request};
use crate::error::{ClusterError, Result};
use crate::listeners::ListenerSet;
use crate::os::thread;
use crate::os::waker::Waker;
use crate::overload::OverloadPolicy;

/// A running dispatcher. Dropped, it closes everything and ends.
#[derive(Debug)]
pub struct Dispatcher {
    requests: Sender<Request>,
    /// Whether `Request::ReopenLogs` was sent and not yet read.
    reopen_waits: Arc<AtomicBool>,
    wake: Arc<Waker>,
    counts: Arc<Counts>,
    thread: Option<JoinHandle<()>>,
}

impl Dispatcher {
    /// Starts the thread, which accepts on `listeners` and on those that workers will ask for.
    /// `overload`: the option, if it is on. `notify` is called on that thread, and must not block.
    pub fn start(
        listeners: ListenerSet,
        policy: Balance,
        overload: Option<OverloadPolicy>,
        notify: Notify,
    ) -> Result<Self> {
        let wake = Arc::new(Waker::new().map_err(ClusterError::system("eventfd"))?);
        // Bounded by what is sent, see `Request`.
        let (requests, inbox) = channel();
        let counts = Arc::new(Counts::default());
        let mut event_loop = EventLoop::new(
            listeners,
            policy,
            overload,
            Arc::clone(&wake),
            inbox,
            notify,
            Arc::clone(&counts),
        )
        .map_err(ClusterError::system("setting up the dispatcher"))?;
        let thread = thread::start("cluster2-dispatch", move || event_loop.run())
            .map_err(ClusterError::system("starting the dispatcher's thread"))?;
        Ok(Self { requests, reopen_waits: Arc::default(), wake, counts, thread: Some(thread) })
    }

    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Has all workers open their log files again.
    pub(crate) fn reopen_logs(&self) {
        if !self.reopen_waits.swap(true, Ordering::AcqRel) {
            self.send(Request::ReopenLogs(Arc::clone(&self.reopen_waits)));
        }
    }

    /// Sends a request; never blocks. Returns `false` if the thread is gone.
    pub fn send(&self, request: Request) -> bool {
        let sent = self.requests.send(request).is_ok();
        self.wake.wake();
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

//! One end of the conversation of two masters.
//!
//! Two tasks: one reads, one writes what waits. What always holds: neither holds up the supervisor,
//! and messages arrive in the order in which they were sent. What waits is bounded: one message for
//! each socket, each step and each switch of the health check. What is said again and again is only
//! said while nothing waits.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

use crate::os::channel::{Channel, MAX_BYTES, is_full};
use crate::os::thread;

/// How long to wait for room before it is tried again.
const RETRY: Duration = Duration::from_millis(50);

/// Something to send.
enum Outgoing {
    Message(Vec<u8>, Option<OwnedFd>),
    /// Answered once all before it was sent.
    Flush(oneshot::Sender<()>),
}

/// Sends to another master.
#[derive(Debug)]
pub(super) struct HandoverLink {
    outgoing: mpsc::UnboundedSender<Outgoing>,
    /// How many messages were not sent yet.
    waiting: Arc<AtomicUsize>,
    reading: AbortHandle,
}

/// What waits is still sent; then the other side sees the end.
impl Drop for HandoverLink {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

impl std::fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Outgoing")
    }
}

impl HandoverLink {
    /// Must be called on the supervisor's runtime. Calls `read` with each message that comes, and
    /// with `None` once the other side is gone.
    pub(super) fn start(
        channel: Channel,
        read: impl Fn(Option<&[u8]>) + Send + 'static,
    ) -> io::Result<Self> {
        let channel = Arc::new(channel);
        let (sender, outgoing) = mpsc::unbounded_channel();
        let readable = channel.watchable()?;
        let writable = channel.watchable()?;
        let receiving = receive(Arc::clone(&channel), readable, read);
        let reading = thread::task("listening to another master", receiving).abort_handle();
        let waiting = Arc::<AtomicUsize>::default();
        let sending = send(channel, writable, outgoing, Arc::clone(&waiting));
        thread::task("speaking to another master", sending);
        Ok(Self { outgoing: sender, waiting, reading })
    }

    /// Sends a message, with a descriptor if one belongs to it. To a master that is gone it is
    /// lost.
    pub(super) fn send(&self, message: Vec<u8>, fd: Option<OwnedFd>) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let _ = self.outgoing.send(Outgoing::Message(message, fd));
    }

    /// Sends a message that a later one replaces, unless others wait: that master may be stopped.
    pub(super) fn send_unless_busy(&self, message: Vec<u8>) {
        if self.waiting.load(Ordering::Relaxed) == 0 {
            self.send(message, None);
        }
    }

    /// Returns what is answered once all was sent, or the other side is gone.
    pub(super) fn flush(&self) -> oneshot::Receiver<()> {
        let (done, flushed) = oneshot::channel();
        let _ = self.outgoing.send(Outgoing::Flush(done));
        flushed
    }
}

async fn receive(channel: Arc<Channel>, fd: AsyncFd<OwnedFd>, read: impl Fn(Option<&[u8]>)) {
    let mut buffer = Box::new([0; MAX_BYTES]);
    loop {
        let Ok(mut ready) = fd.readable().await else { return read(None) };
        match channel.receive_lossy(&mut buffer) {
            // No message in this direction carries a descriptor.
            Ok(Some(received)) => read(Some(received.bytes)),
            Ok(None) => return read(None),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {}
            Err(_) => return read(None),
        }
    }
}

async fn send(
    channel: Arc<Channel>,
    fd: AsyncFd<OwnedFd>,
    mut outgoing: mpsc::UnboundedReceiver<Outgoing>,
    waiting: Arc<AtomicUsize>,
) {
    while let Some(next) = outgoing.recv().await {
        match next {
            Outgoing::Message(message, passed) => {
                let passed = passed.as_ref().map(AsFd::as_fd);
                while let Err(error) = channel.send(&message, passed.as_slice()) {
                    if !is_full(&error) {
                        tracing::debug!(%error, "another master does not listen any more");
                        break;
                    }
                    // Too many descriptors on their way (ETOOMANYREFS): nothing tells of room.
                    match tokio::time::timeout(RETRY, fd.writable()).await {
                        Ok(Ok(mut ready)) => ready.clear_ready(),
                        Ok(Err(_)) => return,
                        Err(_) => {}
                    }
                }
                waiting.fetch_sub(1, Ordering::Relaxed);
            }
            Outgoing::Flush(done) => drop(done.send(())),
        }
    }
}

//! Node's own IPC with one worker: lines of JSON in both directions.
//!
//! A worker is read no further than its embedder takes its messages, as a pipe that is full;
//! nothing else waits for that. A line longer than `MAX_LINE` is skipped, is never held in memory
//! as a whole, and costs only itself: a warning says so, and reading goes on after it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::value::RawValue;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;

use super::inbox::{Input, Inputs};
use crate::embedder::{Embedder, MESSAGE_OVERHEAD};
use crate::protocol::node;
use crate::protocol::node::MAX_LINE;
use crate::protocol::worker::WorkerId;
use crate::quota::{Quota, Share};

/// Bytes of the line buffer that are kept between two lines.
const SMALL_LINE: usize = 64 * 1024;
/// Bytes of messages of one worker that its embedder has not taken; as much as a pipe holds.
const UNTAKEN_BYTES: usize = 64 * 1024;

/// What `process.send('ready')` sends.
const READY: &str = "\"ready\"";

/// Messages to a worker. Each occupies its share until the worker's end of the socket has taken it.
pub(super) type Outgoing = mpsc::UnboundedReceiver<(String, Share)>;

/// Where the messages of one worker go. Dropped, it tells the embedder that no more will come.
pub(super) struct Messages {
    pub(super) worker: WorkerId,
    pub(super) pid: u32,
    pub(super) inputs: Inputs,
    embedder: Arc<dyn Embedder>,
    quota: Quota,
    /// The message `ready`, which counts once, says that the worker is ready.
    tells_readiness: AtomicBool,
    /// The embedder has taken so little that reading waits for it.
    is_untaken: AtomicBool,
}

impl Messages {
    pub(super) fn new(
        worker: WorkerId,
        pid: u32,
        embedder: Arc<dyn Embedder>,
        inputs: Inputs,
    ) -> Self {
        let (quota, is_untaken) = (Quota::new(UNTAKEN_BYTES), AtomicBool::default());
        Self {
            worker,
            pid,
            inputs,
            embedder,
            quota,
            tells_readiness: AtomicBool::default(),
            is_untaken,
        }
    }

    /// Sets whether the message `ready` says that the worker is ready, as it does with PM2.
    pub(super) fn with_readiness(self, tells_readiness: bool) -> Self {
        self.tells_readiness.store(tells_readiness, Ordering::Relaxed);
        self
    }

    /// Whether reading waits for the embedder.
    pub(super) fn is_untaken(&self) -> bool {
        self.is_untaken.load(Ordering::Relaxed)
    }

    /// Waits until the embedder has taken enough for a message of so many bytes.
    async fn share(&self, bytes: usize) -> Share {
        self.is_untaken.store(true, Ordering::Relaxed);
        let share = self.quota.take(bytes + MESSAGE_OVERHEAD).await;
        self.is_untaken.store(false, Ordering::Relaxed);
        share
    }

    /// Passes on what the worker sends, until it has closed its end. Sends answers to Node's own
    /// lines to `answers`.
    pub(super) async fn read(&self, reader: OwnedReadHalf, answers: mpsc::Sender<String>) {
        let mut reader = BufReader::new(reader);
        let mut line = Vec::new();
        loop {
            line.clear();
            line.shrink_to(SMALL_LINE);
            let most = MAX_LINE as u64 + 1;
            let length = (&mut reader).take(most).read_until(b'\n', &mut line).await.unwrap_or(0);
            if length == 0 {
                return;
            }
            let (message, answer) = if line.pop_if(|last| *last == b'\n').is_some() {
                parse(self.worker, &line)
            } else {
                let Some(rest) = skip_line(&mut reader).await else { return };
                let warning = Input::Warning(too_long(self.pid, length as u64 + rest));
                self.inputs.send_within(Some(self.share(0).await), warning);
                (None, node::answer_to_skipped(&line))
            };
            if let Some(message) = message {
                if message.get() == READY && self.tells_readiness.swap(false, Ordering::Relaxed) {
                    self.inputs.send(Input::SaysReady(self.worker));
                }
                let share = self.share(message.get().len()).await;
                self.embedder.message(self.pid, self.worker.0, message, share);
            }
            // A worker that reads no answers is read no further.
            if let Some(answer) = answer {
                let _ = answers.send(answer).await;
            }
        }
    }
}

impl Drop for Messages {
    fn drop(&mut self) {
        self.embedder.end_of_messages(self.pid);
    }
}

fn too_long(pid: u32, length: u64) -> String {
    format!(
        "worker {pid} sent a message of {length} bytes by process.send(), and the limit is \
         {MAX_LINE} bytes of JSON (8 MiB); it was dropped: send it in parts, or pass a file's name"
    )
}

/// Returns the message in a line, and the answer to it, if there are any.
fn parse(worker: WorkerId, line: &[u8]) -> (Option<Box<RawValue>>, Option<String>) {
    match std::str::from_utf8(line).map_or(node::NodeLine::Malformed, node::read) {
        node::NodeLine::Message(message) => (Some(message), None),
        node::NodeLine::MessageWithHandle { message, answer } => {
            tracing::warn!(
                worker = worker.0,
                "a handle sent with a message was closed: the master takes none"
            );
            (Some(message), Some(answer))
        }
        node::NodeLine::Internal(answer) => (None, answer),
        node::NodeLine::Malformed => {
            tracing::warn!(worker = worker.0, "a message is not valid JSON");
            (None, None)
        }
    }
}

/// Reads past the next line break. Returns how many bytes came before it; `None` if none came.
async fn skip_line(reader: &mut (impl AsyncBufRead + Unpin)) -> Option<u64> {
    let mut skipped = 0;
    loop {
        let bytes = reader.fill_buf().await.ok()?;
        let line_break = bytes.iter().position(|byte| *byte == b'\n');
        let (before, used) = line_break.map_or((bytes.len(), bytes.len()), |at| (at, at + 1));
        if used == 0 {
            return None;
        }
        reader.consume(used);
        skipped += before as u64;
        if line_break.is_some() {
            return Some(skipped);
        }
    }
}

/// Writes messages and answers, until there can be no more of either or the worker has closed its
/// end.
pub(super) async fn write(
    mut writer: OwnedWriteHalf,
    mut outgoing: Outgoing,
    mut answers: mpsc::Receiver<String>,
) {
    loop {
        let (mut line, _share) = tokio::select! {
            biased;
            Some(answer) = answers.recv() => (answer, None),
            Some((line, share)) = outgoing.recv() => (line, Some(share)),
            else => return,
        };
        line.push('\n');
        if writer.write_all(line.as_bytes()).await.is_err() {
            return;
        }
    }
}

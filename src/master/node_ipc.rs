//! One task for each worker: Node's own IPC lines in both directions, and the end of the process.
//!
//! The end is known to the supervisor at once. What the worker sent before it is told before it (see `mailbox.rs`): the
//! task reads on for as long as `LAST_WORDS` and `UNTAKEN` allow. A worker is read no further than its embedder takes its
//! messages, as a pipe that is full; nothing else waits for that. A line longer than `MAX_LINE` is skipped, is never held
//! in memory as a whole, and costs only itself: the supervisor is told of it, and what comes after it is read.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::value::RawValue;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Interest};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;

use crate::embedder::Embedder;
use crate::embedder::mailbox::OVERHEAD;
use crate::master::inbox::{Input, Inputs};
use crate::os::process::{Exited, reap, signal_name};
use crate::os::thread::Guard;
use crate::protocol::node;
use crate::protocol::node::MAX_LINE;
use crate::protocol::worker::{Exit, WorkerId};
use crate::quota::{Quota, Share};

/// What is kept of the buffer for lines between two of them, bytes.
const SMALL_LINE: usize = 64 * 1024;
/// Bytes of messages of one worker that its embedder has not taken; as much as a pipe holds.
const UNTAKEN_BYTES: usize = 64 * 1024;
/// Answers to Node's own lines that the worker has not read; it is read no further then.
const MAX_ANSWERS: usize = 16;
/// How long more is expected from a worker that is gone, where something else still holds its end.
pub const LAST_WORDS: Duration = Duration::from_millis(500);
/// How long the last messages of a worker that is gone wait for a embedder that takes none.
pub const UNTAKEN: Duration = Duration::from_secs(10);

/// What a worker is sent: each line occupies its share until the worker's end of the socket has taken it.
pub type Outgoing = mpsc::UnboundedReceiver<(String, Share)>;

/// Where the lines of one worker go.
pub struct Line {
    worker: WorkerId,
    pid: u32,
    embedder: Arc<dyn Embedder>,
    inputs: Inputs,
    quota: Quota,
    /// The embedder has taken so little that reading waits for it.
    is_untaken: AtomicBool,
}

impl Line {
    /// The line of a worker that was just started.
    pub fn new(worker: WorkerId, pid: u32, embedder: Arc<dyn Embedder>, inputs: Inputs) -> Self {
        Self {
            worker,
            pid,
            embedder,
            inputs,
            quota: Quota::new(UNTAKEN_BYTES),
            is_untaken: AtomicBool::default(),
        }
    }

    /// Waits until the embedder has taken enough for a message of so many bytes.
    async fn share(&self, bytes: usize) -> Share {
        self.is_untaken.store(true, Ordering::Relaxed);
        let share = self.quota.take(bytes + OVERHEAD).await;
        self.is_untaken.store(false, Ordering::Relaxed);
        share
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.embedder.silent(self.pid);
    }
}

/// Attends to one worker until its process is gone and reaped, and its last messages are told.
pub async fn attend(
    line: Line,
    pidfd: AsyncFd<Arc<OwnedFd>>,
    stream: UnixStream,
    outgoing: Outgoing,
) {
    let _guard = Guard("attending to a worker");
    let (reader, writer) = stream.into_split();
    let (answers, to_answer) = mpsc::channel(MAX_ANSWERS);
    let mut writing = std::pin::pin!(write(writer, outgoing, to_answer));
    let mut reading = std::pin::pin!(read(&line, reader, answers));
    let (mut silent, mut deaf) = (false, false);
    let exit = loop {
        tokio::select! {
            biased;
            exited = ended(&pidfd) => break exited,
            () = &mut writing, if !deaf => deaf = true,
            () = &mut reading, if !silent => silent = true,
        }
    };
    line.inputs.send(Input::Exited(line.worker, exit));
    let since = Instant::now();
    while !silent && tokio::time::timeout(LAST_WORDS, &mut reading).await.is_err() {
        let is_untaken = line.is_untaken.load(Ordering::Relaxed);
        if is_untaken && since.elapsed() >= UNTAKEN {
            line.inputs.send(Input::MessagesLost(line.pid));
        }
        silent = !is_untaken || since.elapsed() >= UNTAKEN;
    }
}

async fn ended(pidfd: &AsyncFd<Arc<OwnedFd>>) -> Exit {
    loop {
        let Ok(mut ready) = pidfd.ready(Interest::READABLE).await else { return Exit::Code(-1) };
        match reap(&**pidfd.get_ref()) {
            Ok(Some(Exited::Code(code))) => return Exit::Code(code),
            Ok(Some(Exited::Signal(signal))) => return Exit::Signal(signal_name(signal)),
            Ok(None) => ready.clear_ready(),
            Err(error) => {
                tracing::error!(%error, "a worker's end cannot be read");
                return Exit::Code(-1);
            }
        }
    }
}

async fn read(line: &Line, reader: OwnedReadHalf, answers: mpsc::Sender<String>) {
    let mut reader = BufReader::new(reader);
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        bytes.shrink_to(SMALL_LINE);
        let most = MAX_LINE as u64 + 1;
        let length = (&mut reader).take(most).read_until(b'\n', &mut bytes).await.unwrap_or(0);
        if length == 0 {
            return;
        }
        let (message, answer) = if bytes.pop_if(|last| *last == b'\n').is_some() {
            understand(line.worker, &bytes)
        } else {
            let Some(rest) = skip_line(&mut reader).await else { return };
            let share = line.share(0).await;
            line.inputs
                .send_within(Some(share), Input::MessageTooLong(line.pid, length as u64 + rest));
            (None, node::answer_to_skipped(&bytes))
        };
        if let Some(message) = message {
            let share = line.share(message.get().len()).await;
            line.embedder.message(line.pid, line.worker.0, message, share);
        }
        // Whoever reads no answers is read no further.
        if let Some(answer) = answer {
            let _ = answers.send(answer).await;
        }
    }
}

/// What a line means: a message, and what to answer.
fn understand(worker: WorkerId, line: &[u8]) -> (Option<Box<RawValue>>, Option<String>) {
    match std::str::from_utf8(line).map_or(node::Line::Malformed, node::read) {
        node::Line::Message(message) => (Some(message), None),
        node::Line::MessageWithHandle { message, answer } => {
            tracing::warn!(
                worker = worker.0,
                "a handle sent with a message was closed: the master takes none"
            );
            (Some(message), Some(answer))
        }
        node::Line::Internal(answer) => (None, answer),
        node::Line::Malformed => {
            tracing::warn!(worker = worker.0, "a message that is no JSON");
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

async fn write(
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

//! One task for each worker: Node's own IPC lines in both directions, and the end of the process.
//!
//! What a worker sent before it ended is told before its end. A line longer than `MAX_LINE` is skipped, is never held
//! in memory as a whole, and costs only itself: the supervisor is told of it, and what comes after it is read.

use std::os::fd::OwnedFd;
use std::time::Duration;

use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Interest};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;

use super::supervise::Input;
use crate::core::worker::{Exit, WorkerId};
use crate::ipc::node::{self, Line, MAX_LINE};
use crate::sys::process::{Exited, reap, signal_name};

/// What is kept of the buffer for lines between two of them, bytes.
const SMALL_LINE: usize = 64 * 1024;
/// How long a dead worker's last words are listened to.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Attends to one worker until its process is gone and reaped.
pub async fn attend(
    worker: WorkerId,
    pidfd: AsyncFd<OwnedFd>,
    stream: UnixStream,
    outgoing: mpsc::Receiver<String>,
    answers: mpsc::Sender<String>,
    inputs: mpsc::Sender<Input>,
) {
    let (reader, writer) = stream.into_split();
    let writing = tokio::spawn(write(writer, outgoing));
    let mut reading = std::pin::pin!(read(worker, reader, answers, inputs.clone()));
    let mut silent = false;
    let exit = loop {
        tokio::select! {
            () = &mut reading, if !silent => silent = true,
            exited = ended(&pidfd) => break exited,
        }
    };
    if !silent {
        let _ = tokio::time::timeout(LAST_WORDS, reading).await;
    }
    writing.abort();
    // Fails only when the supervisor itself has ended.
    let _ = inputs.send(Input::Exited(worker, exit)).await;
}

async fn ended(pidfd: &AsyncFd<OwnedFd>) -> Exit {
    loop {
        let Ok(mut ready) = pidfd.ready(Interest::READABLE).await else { return Exit::Code(-1) };
        match reap(pidfd.get_ref()) {
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

async fn read(worker: WorkerId, reader: OwnedReadHalf, answers: mpsc::Sender<String>, inputs: mpsc::Sender<Input>) {
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
        if line.pop_if(|last| *last == b'\n').is_none() {
            let Some(rest) = skip_line(&mut reader).await else { return };
            if let Some(answer) = node::answer_to_skipped(&line) {
                let _ = answers.try_send(answer);
            }
            if inputs.send(Input::MessageTooLong(worker, length as u64 + rest)).await.is_err() {
                return;
            }
            continue;
        }
        let (message, answer) = match std::str::from_utf8(&line).map_or(Line::Malformed, node::read) {
            Line::Message(message) => (Some(message), None),
            Line::MessageWithHandle { message, answer } => {
                tracing::warn!(worker = worker.0, "a handle sent with a message was closed: the master takes none");
                (Some(message), Some(answer))
            }
            Line::Internal(answer) => (None, answer),
            Line::Malformed => {
                tracing::warn!(worker = worker.0, "a message that is no JSON");
                (None, None)
            }
        };
        if let Some(answer) = answer {
            let _ = answers.try_send(answer);
        }
        if let Some(message) = message
            && inputs.send(Input::Message(worker, message)).await.is_err()
        {
            return;
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

async fn write(mut writer: OwnedWriteHalf, mut outgoing: mpsc::Receiver<String>) {
    while let Some(mut line) = outgoing.recv().await {
        line.push('\n');
        if writer.write_all(line.as_bytes()).await.is_err() {
            return;
        }
    }
}

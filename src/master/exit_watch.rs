//! One task for each worker: watches its process, and keeps Node's IPC with it going.
//!
//! The supervisor learns of the exit at once. The embedder gets what the worker sent before it (see
//! `mailbox.rs`): the task reads on for as long as [`LAST_MESSAGES`] and [`UNTAKEN`] allow.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::UnixStream;
use tokio::sync::mpsc;

use super::inbox::Input;
use super::node_ipc::{self, Messages, Outgoing};
use crate::os::process::{ExitStatus, reap, signal_name};
use crate::os::thread::Guard;
use crate::protocol::worker::Exit;

/// Answers to Node's own lines that the worker has not read; it is read no further then.
const MAX_ANSWERS: usize = 16;
/// How long to wait for more messages after the exit, where another process still holds the
/// worker's end.
pub(super) const LAST_MESSAGES: Duration = Duration::from_millis(500);
/// How long the last messages wait for an embedder that takes none.
const UNTAKEN: Duration = Duration::from_secs(10);

/// Serves one worker until its process is reaped and its last messages are passed on.
pub(super) async fn watch(
    messages: Messages,
    pidfd: AsyncFd<Arc<OwnedFd>>,
    stream: UnixStream,
    outgoing: Outgoing,
) {
    let _guard = Guard("attending to a worker");
    let (reader, writer) = stream.into_split();
    let (answers, to_answer) = mpsc::channel(MAX_ANSWERS);
    let mut writing = std::pin::pin!(node_ipc::write(writer, outgoing, to_answer));
    let mut reading = std::pin::pin!(messages.read(reader, answers));
    let (mut all_read, mut all_written) = (false, false);
    let exit = loop {
        tokio::select! {
            biased;
            exit = exited(&pidfd) => break exit,
            () = &mut writing, if !all_written => all_written = true,
            () = &mut reading, if !all_read => all_read = true,
        }
    };
    messages.inputs.send(Input::Exited(messages.worker, exit));
    let since = Instant::now();
    while !all_read && tokio::time::timeout(LAST_MESSAGES, &mut reading).await.is_err() {
        if !messages.is_untaken() {
            return;
        }
        if since.elapsed() >= UNTAKEN {
            messages.inputs.send(Input::Warning(lost(messages.pid)));
            return;
        }
    }
}

/// Waits for the end of a process, and reaps it.
pub(super) async fn exited(pidfd: &AsyncFd<Arc<OwnedFd>>) -> Exit {
    loop {
        let Ok(mut ready) = pidfd.ready(Interest::READABLE).await else { return Exit::Code(-1) };
        match reap(&**pidfd.get_ref()) {
            Ok(Some(ExitStatus::Code(code))) => return Exit::Code(code),
            Ok(Some(ExitStatus::Signal(signal))) => return Exit::Signal(signal_name(signal)),
            Ok(None) => ready.clear_ready(),
            Err(error) => {
                tracing::error!(%error, "a worker's end cannot be read");
                return Exit::Code(-1);
            }
        }
    }
}

/// Waits for the end of a process that another one reaps: nobody here learns how it ended.
pub(super) async fn gone(pidfd: &AsyncFd<Arc<OwnedFd>>) -> Option<Exit> {
    let _ = pidfd.ready(Interest::READABLE).await;
    None
}

fn lost(pid: u32) -> String {
    let limit = UNTAKEN.as_secs();
    format!(
        "the last messages of worker {pid} are lost: it is gone, and the master's script took none \
         for {limit} s"
    )
}

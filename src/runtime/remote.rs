//! Commands to a cluster that runs in another process, found through its `pids` directory.
//!
//! Runs in whoever asks. The control socket first; a master that does not answer is signalled through its pidfd. Nothing
//! running is an answer, not an error. Nothing is ever signalled that does not hold the lock on its pid file.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::{Value, json};

use super::pids::Running;
use crate::error::{ClusterError, Result};
use crate::http::control;
use crate::ipc::control::{Command, unseal};
use crate::sys::process;

/// An answer that needs no waiting comes within this time.
const PROMPT: Duration = Duration::from_secs(5);
/// A stop is abrupt: a master that has not killed its workers by then is killed with them.
const STOP_WITHIN: Duration = Duration::from_millis(400);

/// Asks the cluster of `pids`. `patience` bounds the wait for a `Shutdown` or a `Reload`.
///
/// Blocks the calling thread. `Stop`, `Shutdown` and `Status` answer `{"running": false}` where nobody runs; the others
/// fail with `NotRunning`.
pub fn ask(pids: &Path, command: &Command, patience: Duration) -> Result<Value> {
    let Some(running) = Running::find(pids) else {
        return match command {
            Command::Stop | Command::Shutdown { .. } | Command::Status => Ok(json!({ "running": false })),
            _ => Err(ClusterError::NotRunning { pids: pids.into() }),
        };
    };
    match command {
        Command::Stop => stop(pids, &running),
        Command::Shutdown { wait: false } => {
            converse(pids, &running, command, patience).or_else(|error| match error {
                // A deaf master still has its signal handler; it may even be the answer that got lost.
                ClusterError::Control { .. } => terminate(&running, error),
                other => Err(other),
            })
        }
        Command::Shutdown { wait: true } | Command::Reload => converse(pids, &running, command, patience),
        _ => converse(pids, &running, command, PROMPT),
    }
}

fn converse(pids: &Path, running: &Running, command: &Command, limit: Duration) -> Result<Value> {
    let fail = |reason: String| ClusterError::Control { pids: pids.into(), reason };
    let stream = running.connect().map_err(|error| fail(error.to_string()))?;
    stream.set_nonblocking(true).map_err(ClusterError::system("setting a socket non-blocking"))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(ClusterError::system("starting the runtime"))?;
    let answer = runtime.block_on(async {
        let stream = tokio::net::UnixStream::from_std(stream).map_err(|error| error.to_string())?;
        match tokio::time::timeout(limit, control::request(stream, command)).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("no answer within {} ms", limit.as_millis())),
        }
    });
    unseal(answer.map_err(fail)?).map_err(|error| error.unwrap_or_else(|| fail("its answer makes no sense".into())))
}

fn stop(pids: &Path, running: &Running) -> Result<Value> {
    // Whatever it answers, what counts is that it ends.
    let answer = converse(pids, running, &Command::Stop, STOP_WITHIN);
    if answer.is_err() || !ended(&running.pidfd, STOP_WITHIN) {
        tracing::warn!(pid = running.pid, "the master does not stop by itself; it is killed");
        let workers = running.workers();
        let fail = |error: std::io::Error| ClusterError::Control {
            pids: pids.into(),
            reason: format!("and it cannot be killed: {error}"),
        };
        process::kill(&running.pidfd).map_err(fail)?;
        for worker in &workers {
            process::kill(worker).map_err(fail)?;
        }
        if std::iter::once(&running.pidfd).chain(&workers).all(|pidfd| ended(pidfd, STOP_WITHIN)) {
            running.clean_up();
        }
    }
    Ok(json!({ "running": true, "pid": running.pid }))
}

fn terminate(running: &Running, error: ClusterError) -> Result<Value> {
    match process::terminate(&running.pidfd) {
        Ok(()) => Ok(json!({ "running": true, "pid": running.pid })),
        Err(_) => Err(error),
    }
}

fn ended(pidfd: &OwnedFd, limit: Duration) -> bool {
    let limit = Timespec { tv_sec: limit.as_secs() as i64, tv_nsec: i64::from(limit.subsec_nanos()) };
    poll(&mut [PollFd::new(pidfd, PollFlags::IN)], Some(&limit)).is_ok_and(|ready| ready > 0)
}

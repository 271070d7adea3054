//! Sends commands to a cluster that runs in another process, found through its `pids` directory.
//!
//! Tries the control socket first. A master that does not answer is signalled through its pidfd,
//! and only if it holds the lock of its directory. A cluster that does not run is an answer, not an
//! error.
//!
//! The options of the running cluster limit commands that take long. The client has no limit of
//! its own for them: it waits for as long as the master answers others (`PULSE`).

use std::cell::Cell;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use serde_json::{Value, json};
use tokio::net::UnixStream;

use super::http;
use super::running_cluster::RunningCluster;
use crate::error::{ClusterError, Result};
use crate::os::{process, timespec};
use crate::protocol::control::{Command, unseal};

/// Limit of a command that is answered at once.
const PROMPT_WITHIN: Duration = Duration::from_secs(5);
/// Limit of [`glance`].
const GLANCE_WITHIN: Duration = Duration::from_secs(1);
/// A master that answers nothing for this long is stuck.
const STUCK_AFTER: Duration = Duration::from_secs(10);
/// How often a master is asked for a sign of life during a long command.
const PULSE: Duration = Duration::from_secs(2);
/// A stop is abrupt: a master that has not killed its workers by then is killed with them.
const STOP_WITHIN: Duration = Duration::from_millis(400);
/// A shutdown by signal shows no sign of life. No shutdown has a reason to take this long.
const END_WITHIN: Duration = Duration::from_secs(3600);
/// A master has no control socket while it starts, and restores one that somebody removed. This
/// covers both.
const SOCKET_WITHIN: Duration = Duration::from_millis(2500);
/// How often a missing socket is tried again.
const SOCKET_RETRY: Duration = Duration::from_millis(50);

/// Sends `command` to the cluster of `pids`. Blocks the calling thread until it is answered.
///
/// If no cluster runs, `Stop`, `Shutdown` and `Status` answer `{"running": false}`, with a `reason`
/// if the directory does not exist; the others fail with `NotRunning`. All fail with
/// `PidsUnreadable` if the directory cannot be read, and with `Control` if the master does not
/// answer.
pub fn ask(pids: &Path, command: &Command) -> Result<Value> {
    let client = match ClusterClient::find(pids) {
        Err(error @ ClusterError::NotRunning { is_missing, .. }) => {
            return match command {
                Command::Stop | Command::Shutdown { .. } | Command::Status if is_missing => {
                    Ok(json!({ "running": false, "reason": error.message() }))
                }
                Command::Stop | Command::Shutdown { .. } | Command::Status => {
                    Ok(json!({ "running": false }))
                }
                _ => Err(error),
            };
        }
        other => other?,
    };
    match command {
        Command::Stop => client.stop(),
        Command::Shutdown { wait } => client.execute(command, None).or_else(|error| match error {
            // Waiting for a stuck master would be in vain.
            ClusterError::Control { .. } if !wait || !client.was_connected.get() => {
                client.terminate(*wait, error)
            }
            other => Err(other),
        }),
        Command::Reload { .. }
        | Command::Restart
        | Command::Inspect { .. }
        | Command::Upgrade(_) => client.execute(command, None),
        _ => client.execute(command, Some(PROMPT_WITHIN)),
    }
}

/// Returns the status of the cluster of `pids` if it answers within a second.
pub fn glance(pids: &Path) -> Option<Value> {
    ClusterClient::find(pids).ok()?.execute(&Command::Status, Some(GLANCE_WITHIN)).ok()
}

struct ClusterClient<'a> {
    pids: &'a Path,
    running: RunningCluster,
    was_connected: Cell<bool>,
    /// Whether it has answered nothing for `STUCK_AFTER`.
    is_stuck: Cell<bool>,
}

impl<'a> ClusterClient<'a> {
    fn find(pids: &'a Path) -> Result<Self> {
        Ok(Self {
            pids,
            running: RunningCluster::find(pids)?,
            was_connected: Cell::new(false),
            is_stuck: Cell::new(false),
        })
    }

    fn fail(&self, reason: impl Into<String>) -> ClusterError {
        ClusterError::Control { pids: self.pids.into(), reason: reason.into() }
    }

    /// Sends `command` and waits for its answer: for `limit`, or for as long as the master shows
    /// signs of life.
    fn execute(&self, command: &Command, limit: Option<Duration>) -> Result<Value> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(ClusterError::system("starting the runtime"))?;
        let answer = runtime.block_on(async {
            tokio::select! {
                answer = self.request(command) => answer,
                reason = self.gives_up(limit) => Err(reason),
            }
        });
        unseal(answer.map_err(|reason| self.fail(reason))?)
            .map_err(|error| error.unwrap_or_else(|| self.fail("its answer makes no sense")))
    }

    async fn request(&self, command: &Command) -> std::result::Result<Value, String> {
        http::request(self.connect().await?, command).await
    }

    async fn connect(&self) -> std::result::Result<UnixStream, String> {
        let begun = Instant::now();
        loop {
            match self.running.connect().and_then(UnixStream::from_std) {
                // The callers have a limit.
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    tokio::time::sleep(SOCKET_RETRY).await
                }
                Err(error) if is_missing(&error) && begun.elapsed() < SOCKET_WITHIN => {
                    tokio::time::sleep(SOCKET_RETRY).await;
                }
                Ok(stream) => {
                    self.was_connected.set(true);
                    return Ok(stream);
                }
                Err(error) => return Err(format!("control.sock: {error}")),
            }
        }
    }

    /// Returns the reason when waiting any longer is useless.
    async fn gives_up(&self, limit: Option<Duration>) -> String {
        if let Some(limit) = limit {
            tokio::time::sleep(limit).await;
            return format!("no answer within {} ms", limit.as_millis());
        }
        let mut last_sign = Instant::now();
        while last_sign.elapsed() < STUCK_AFTER {
            tokio::time::sleep(PULSE).await;
            let left = STUCK_AFTER.saturating_sub(last_sign.elapsed());
            if let Ok(Ok(_)) = tokio::time::timeout(left, self.request(&Command::Status)).await {
                last_sign = Instant::now();
            }
        }
        self.is_stuck.set(true);
        "its master is stuck or stopped; `cluster2 stop` ends it".to_owned()
    }

    fn stop(&self) -> Result<Value> {
        let Some((pid, pidfd)) = &self.running.master else {
            return self.execute(&Command::Stop, Some(PROMPT_WITHIN));
        };
        // Its end counts, not its answer.
        let answer = self.execute(&Command::Stop, Some(STOP_WITHIN));
        if answer.is_err() || !ended(pidfd, STOP_WITHIN) {
            tracing::warn!(pid, "the master does not stop by itself; it is killed");
            self.kill(pidfd)
                .map_err(|error| self.fail(format!("and it cannot be killed: {error}")))?;
        }
        Ok(json!({ "running": true, "pid": pid }))
    }

    fn kill(&self, master: &OwnedFd) -> std::io::Result<()> {
        let workers = self.running.workers();
        process::kill(master)?;
        workers.iter().try_for_each(process::kill)?;
        if std::iter::once(master).chain(&workers).all(|pidfd| ended(pidfd, STOP_WITHIN)) {
            self.running.clean_up();
        }
        Ok(())
    }

    /// Sends SIGTERM, which works without the control socket. With `wait`, returns when master and
    /// workers have exited.
    fn terminate(&self, wait: bool, error: ClusterError) -> Result<Value> {
        let Some((pid, pidfd)) = &self.running.master else { return Err(error) };
        let workers = self.running.workers();
        process::terminate(pidfd).map_err(|_| error)?;
        if self.is_stuck.get() {
            // The signal is pending, as the request was.
            return Err(self.fail(
                "its master is stuck or stopped; SIGTERM was sent, and ends it gracefully when it \
                 goes on; `cluster2 stop` ends it at once",
            ));
        }
        if wait {
            let deadline = Instant::now() + END_WITHIN;
            let left = || deadline.saturating_duration_since(Instant::now());
            if !std::iter::once(pidfd).chain(&workers).all(|pidfd| ended(pidfd, left())) {
                return Err(self.fail(format!(
                    "its master has not ended {} s after SIGTERM",
                    END_WITHIN.as_secs()
                )));
            }
        }
        Ok(json!({ "running": true, "pid": pid }))
    }
}

/// Whether the socket does not exist, or has no listener.
fn is_missing(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused)
}

fn ended(pidfd: &OwnedFd, limit: Duration) -> bool {
    let limit = timespec(limit);
    poll(&mut [PollFd::new(pidfd, PollFlags::IN)], Some(&limit)).is_ok_and(|ready| ready > 0)
}

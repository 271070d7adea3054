//! Commands to a cluster that runs in another process, found through its `pids` directory.
//!
//! Runs in whoever asks. The control socket first; a master that does not answer is signalled through its pidfd. Nothing
//! running is an answer, not an error. Nothing is ever signalled that does not hold the lock on its pid file.
//!
//! What takes long has its limits in the master, by the options of the running cluster. So whoever waits for it has none of
//! its own: it waits for as long as the master answers others (*pulse*).

use std::cell::Cell;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::{Value, json};
use tokio::net::UnixStream;

use crate::error::{ClusterError, Result};
use crate::os::process;
use crate::protocol::control::{Command, unseal};
use crate::remote::http;
use crate::remote::pid_directory::Running;

/// An answer that needs no waiting comes within this time.
const PROMPT: Duration = Duration::from_secs(5);
/// Who only looks on waits for so long.
const GLANCE: Duration = Duration::from_secs(1);
/// A master that answers nobody for so long is stuck.
const SILENT: Duration = Duration::from_secs(10);
/// How often it is asked for a sign of life meanwhile.
const PULSE: Duration = Duration::from_secs(2);
/// A stop is abrupt: a master that has not killed its workers by then is killed with them.
const STOP_WITHIN: Duration = Duration::from_millis(400);
/// A shutdown that was asked for by a signal shows no sign of life; this is more than any has reason to take.
const END_WITHIN: Duration = Duration::from_secs(3600);
/// A master makes its control socket again if somebody removed it, and has none yet while it starts; this covers both.
const SOCKET_WITHIN: Duration = Duration::from_millis(2500);
/// How often the socket is tried meanwhile.
const TRY_EVERY: Duration = Duration::from_millis(50);

/// Asks the cluster of `pids`, and blocks the calling thread until it has answered.
///
/// `Stop`, `Shutdown` and `Status` answer `{"running": false}` where nobody runs, with a `reason` if there is not even the
/// directory; the others fail with `NotRunning`. All fail with `PidsUnreadable` where nobody can tell, and with `Control` if
/// the master does not answer.
pub fn ask(pids: &Path, command: &Command) -> Result<Value> {
    let asked = match Asked::find(pids) {
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
        Command::Stop => asked.stop(),
        Command::Shutdown { wait } => asked.converse(command, None).or_else(|error| match error {
            // One that is stuck would be waited for in vain.
            ClusterError::Control { .. } if !wait || !asked.was_connected.get() => {
                asked.terminate(*wait, error)
            }
            other => Err(other),
        }),
        Command::Reload { .. } => asked.converse(command, None),
        _ => asked.converse(command, Some(PROMPT)),
    }
}

/// The status of a cluster that tells it soon; for who only looks on.
pub fn glance(pids: &Path) -> Option<Value> {
    Asked::find(pids).ok()?.converse(&Command::Status, Some(GLANCE)).ok()
}

/// A running cluster, and where it was found.
struct Asked<'a> {
    pids: &'a Path,
    running: Running,
    was_connected: Cell<bool>,
    /// Whether it answered nobody for as long as one waits.
    is_silent: Cell<bool>,
}

impl<'a> Asked<'a> {
    fn find(pids: &'a Path) -> Result<Self> {
        Ok(Self {
            pids,
            running: Running::find(pids)?,
            was_connected: Cell::new(false),
            is_silent: Cell::new(false),
        })
    }

    fn fail(&self, reason: impl Into<String>) -> ClusterError {
        ClusterError::Control { pids: self.pids.into(), reason: reason.into() }
    }

    /// Sends the command and waits for its answer: for `limit`, or for as long as the master shows that it lives.
    fn converse(&self, command: &Command, limit: Option<Duration>) -> Result<Value> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(ClusterError::system("starting the runtime"))?;
        let answer = runtime.block_on(async {
            tokio::select! {
                answer = self.request(command) => answer,
                reason = self.silence(limit) => Err(reason),
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
                // Whoever waits for this has a limit.
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    tokio::time::sleep(TRY_EVERY).await
                }
                Err(error) if is_missing(&error) && begun.elapsed() < SOCKET_WITHIN => {
                    tokio::time::sleep(TRY_EVERY).await;
                }
                Ok(stream) => {
                    self.was_connected.set(true);
                    return Ok(stream);
                }
                Err(error) => return Err(format!("control.sock: {error}")),
            }
        }
    }

    /// Returns, with the reason, when there is nothing more to wait for.
    async fn silence(&self, limit: Option<Duration>) -> String {
        if let Some(limit) = limit {
            tokio::time::sleep(limit).await;
            return format!("no answer within {} ms", limit.as_millis());
        }
        let mut heard = Instant::now();
        while heard.elapsed() < SILENT {
            tokio::time::sleep(PULSE).await;
            let left = SILENT.saturating_sub(heard.elapsed());
            if let Ok(Ok(_)) = tokio::time::timeout(left, self.request(&Command::Status)).await {
                heard = Instant::now();
            }
        }
        self.is_silent.set(true);
        "its master is stuck or stopped; `cluster2 stop` ends it".to_owned()
    }

    fn stop(&self) -> Result<Value> {
        let Some((pid, pidfd)) = &self.running.master else {
            return self.converse(&Command::Stop, Some(PROMPT));
        };
        // Whatever it answers, what counts is that it ends.
        let answer = self.converse(&Command::Stop, Some(STOP_WITHIN));
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

    /// Asks by signal, which a deaf master may still hear. With `wait` until master and workers are gone.
    fn terminate(&self, wait: bool, error: ClusterError) -> Result<Value> {
        let Some((pid, pidfd)) = &self.running.master else { return Err(error) };
        let workers = self.running.workers();
        process::terminate(pidfd).map_err(|_| error)?;
        if self.is_silent.get() {
            // The signal waits for it as the request did; nobody knows when it begins.
            return Err(self.fail(
                "its master is stuck or stopped; SIGTERM was sent, and ends it gracefully when it goes on; \
                 `cluster2 stop` ends it at once",
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

/// Whether nobody listens there, or nothing is there at all.
fn is_missing(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused)
}

fn ended(pidfd: &OwnedFd, limit: Duration) -> bool {
    let limit =
        Timespec { tv_sec: limit.as_secs() as i64, tv_nsec: i64::from(limit.subsec_nanos()) };
    poll(&mut [PollFd::new(pidfd, PollFlags::IN)], Some(&limit)).is_ok_and(|ready| ready > 0)
}

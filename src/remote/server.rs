//! The master's control socket: accepts whoever asks, and passes the commands on to the supervisor.
//!
//! Runs on the supervisor's thread. The socket may change while the cluster runs: if somebody removed its file, there is
//! another one. Answers that are under way are not touched by that.

use std::os::unix::net::UnixListener as Bound;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

use crate::connection_limit::{ConnectionLimit, Permit};
use crate::error::{ClusterError, Result};
use crate::protocol::control::Command;
use crate::remote::http;

/// Clients at the same time; a further one takes the place of the one that has been silent for longest.
const CLIENTS: usize = 64;
/// How long the last answers may take to be written.
const LAST_ANSWERS: Duration = Duration::from_millis(200);
/// Pause after a failed accept.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Takes the answer to a command.
pub type Reply = Box<dyn FnOnce(Result<Value>) + Send>;

/// Passes a command on to the supervisor. Must not block; a `Reply` that is dropped says that the cluster has ended.
pub type Execute = Arc<dyn Fn(Command, Reply) + Send + Sync>;

/// Serves the control socket.
pub struct Control {
    accepting: JoinHandle<()>,
    shared: Shared,
}

#[derive(Clone)]
struct Shared {
    room: Arc<ConnectionLimit>,
    clients: Arc<Mutex<JoinSet<()>>>,
    execute: Execute,
}

impl Control {
    /// Serves that socket.
    pub fn start(socket: Bound, execute: Execute) -> Self {
        let shared =
            Shared { room: ConnectionLimit::new(CLIENTS), clients: Arc::default(), execute };
        Self { accepting: tokio::spawn(accept(socket, shared.clone())), shared }
    }

    /// Serves this socket from now on.
    pub fn renew(&mut self, socket: Bound) {
        self.accepting.abort();
        self.accepting = tokio::spawn(accept(socket, self.shared.clone()));
    }

    /// Accepts nobody any more, and lets the last answers out.
    pub async fn end(self) {
        self.accepting.abort();
        let mut clients = std::mem::take(
            &mut *self.shared.clients.lock().unwrap_or_else(PoisonError::into_inner),
        );
        let _ = tokio::time::timeout(LAST_ANSWERS, async {
            while clients.join_next().await.is_some() {}
        })
        .await;
    }
}

async fn accept(socket: Bound, shared: Shared) {
    let listener = match UnixListener::from_std(socket) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "the control socket cannot be served"),
    };
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let place = shared.room.enter().await;
                let mut clients = shared.clients.lock().unwrap_or_else(PoisonError::into_inner);
                while clients.try_join_next().is_some() {}
                clients.spawn(serve(stream, place, Arc::clone(&shared.execute)));
            }
            Err(error) => {
                tracing::warn!(%error, "the control socket cannot accept; trying again");
                tokio::time::sleep(ACCEPT_AGAIN).await;
            }
        }
        // Whoever has already asked is busy before the next one needs a place.
        tokio::task::yield_now().await;
    }
}

async fn serve(stream: UnixStream, place: Permit, execute: Execute) {
    let answer = |command: Command| {
        let (busy, execute) = (place.busy(), Arc::clone(&execute));
        async move {
            let _busy = busy;
            let (answer, answered) = oneshot::channel();
            let reply: Reply = Box::new(move |result| drop(answer.send(result)));
            let ended = || ClusterError::WrongState { command: "do that", state: "ended" };
            execute(command, reply);
            answered.await.map_err(|_| ended())?
        }
    };
    tokio::select! {
        biased;
        served = http::serve(stream, answer) => {
            if let Err(error) = served {
                tracing::debug!(%error, "a client of the control socket");
            }
        }
        () = place.is_wanted() => tracing::debug!("a silent client of the control socket goes for another one"),
    }
}

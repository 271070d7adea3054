//! The server of the control socket: accepts clients, and passes their commands to the supervisor.
//!
//! Runs on the supervisor's thread. The socket may change while the cluster runs, if somebody
//! removed its file. Requests under way are answered all the same.

use std::os::unix::net::UnixListener as BoundListener;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

use super::http;
use crate::connection_limit::{ConnectionLimit, Permit};
use crate::error::{ClusterError, Result};
use crate::os::thread;
use crate::protocol::control::Command;

/// Clients at the same time. A further one takes the place of the longest silent one.
const MAX_CLIENTS: usize = 64;
/// How long writing the last answers may take.
const LAST_ANSWERS_WITHIN: Duration = Duration::from_millis(200);
/// Pause after a failed accept.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Takes the answer to a command.
pub(crate) type Reply = Box<dyn FnOnce(Result<Value>) + Send>;

/// Passes a command on to the supervisor. Must not block. A `Reply` that is dropped means that the
/// cluster has ended.
pub(crate) type Execute = Arc<dyn Fn(Command, Reply) + Send + Sync>;

pub(crate) struct ControlServer {
    accepting: JoinHandle<()>,
    shared: Shared,
}

#[derive(Clone)]
struct Shared {
    limit: Arc<ConnectionLimit>,
    clients: Arc<Mutex<JoinSet<()>>>,
    execute: Execute,
}

impl ControlServer {
    /// Serves `socket`. `None`: there is none yet.
    pub(crate) fn start(socket: Option<BoundListener>, execute: Execute) -> Self {
        let limit = ConnectionLimit::new(MAX_CLIENTS);
        let shared = Shared { limit, clients: Arc::default(), execute };
        let accepting = match socket {
            Some(socket) => serving(socket, &shared),
            None => thread::task("no control socket", std::future::ready(())),
        };
        Self { accepting, shared }
    }

    /// Accepts no more clients. Those that are there are answered.
    pub(crate) fn pause(&self) {
        self.accepting.abort();
    }

    /// Serves `socket` instead of the one before.
    pub(crate) fn renew(&mut self, socket: BoundListener) {
        self.accepting.abort();
        self.accepting = serving(socket, &self.shared);
    }

    /// Stops accepting, and writes the last answers.
    pub(crate) async fn end(self) {
        self.accepting.abort();
        let mut clients = std::mem::take(
            &mut *self.shared.clients.lock().unwrap_or_else(PoisonError::into_inner),
        );
        let _ = tokio::time::timeout(LAST_ANSWERS_WITHIN, async {
            while clients.join_next().await.is_some() {}
        })
        .await;
    }
}

fn serving(socket: BoundListener, shared: &Shared) -> JoinHandle<()> {
    thread::task("serving the control socket", accept(socket, shared.clone()))
}

async fn accept(socket: BoundListener, shared: Shared) {
    let listener = match UnixListener::from_std(socket) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "the control socket cannot be served"),
    };
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let permit = shared.limit.acquire().await;
                let mut clients = shared.clients.lock().unwrap_or_else(PoisonError::into_inner);
                while clients.try_join_next().is_some() {}
                clients.spawn(serve(stream, permit, Arc::clone(&shared.execute)));
            }
            Err(error) => {
                tracing::warn!(%error, "the control socket cannot accept; trying again");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
        // A client whose request has arrived becomes busy before the next one needs a permit.
        tokio::task::yield_now().await;
    }
}

async fn serve(stream: UnixStream, permit: Permit, execute: Execute) {
    let answer = |command: Command| {
        let (request, execute) = (permit.begin_request(), Arc::clone(&execute));
        async move {
            let _request = request;
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
        () = permit.evicted() => {
            tracing::debug!("a silent client of the control socket goes for another one");
        }
    }
}

//! The master's end of one worker's answers to what it executes.
//!
//! One task for each worker, which asks and waits for the answer. What always holds: it reads only
//! while a question is open, no more than [`MAX_MESSAGES`], and gives up after [`ANSWERED_WITHIN`];
//! so a worker that sends without being asked fills its own socket and nothing else. Each question
//! has one result.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram as StdDatagram;
use std::time::Duration;

use tokio::net::UnixDatagram;
use tokio::sync::mpsc;

use super::inbox::{Input, Inputs};
use crate::os::channel::{Channel, MAX_BYTES};
use crate::os::thread;
use crate::protocol::execution::{Execution, ExecutionAnswer, ExecutionRequest};
use crate::protocol::worker::WorkerId;
use crate::supervision::STACK_WITHIN;

/// Messages that are read for one question: two parts, and late ones of earlier questions.
const MAX_MESSAGES: usize = 16;

/// How long the answer may take: the supervisor still gets the result in time.
const ANSWERED_WITHIN: Duration = Duration::from_millis(STACK_WITHIN - 100);

/// Asks one worker.
#[derive(Debug)]
pub(super) struct ExecutionLink {
    questions: mpsc::Sender<bool>,
    /// Whether a result is under way.
    is_open: bool,
}

impl ExecutionLink {
    /// Must be called on the supervisor's runtime. `channel` is the master's end.
    pub(super) fn start(worker: WorkerId, channel: Channel, inputs: Inputs) -> io::Result<Self> {
        // A datagram socket of tokio reads whole messages, as this one has them.
        let socket = UnixDatagram::from_std(StdDatagram::from(OwnedFd::from(channel)))?;
        let (questions, asked) = mpsc::channel(1);
        thread::task("asking what a worker executes", ask(worker, socket, asked, inputs));
        Ok(Self { questions, is_open: false })
    }

    /// Asks, unless a result is under way already: then that counts for both. Returns `false` if
    /// the worker cannot be asked.
    pub(super) fn ask(&mut self, dying: bool) -> bool {
        if !self.is_open {
            self.is_open = self.questions.try_send(dying).is_ok();
        }
        self.is_open
    }

    /// The result has come.
    pub(super) fn answered(&mut self) {
        self.is_open = false;
    }
}

async fn ask(
    worker: WorkerId,
    socket: UnixDatagram,
    mut questions: mpsc::Receiver<bool>,
    inputs: Inputs,
) {
    let mut id = 0;
    while let Some(dying) = questions.recv().await {
        id += 1;
        let mut execution = Execution::default();
        // What came before the end of the time counts.
        let exchanged = exchange(&socket, ExecutionRequest { id, dying }, &mut execution);
        let _ = tokio::time::timeout(ANSWERED_WITHIN, exchanged).await;
        inputs.send(Input::Executed(worker, Box::new(execution)));
    }
}

/// Asks, and collects the parts of the answer until it is complete.
async fn exchange(
    socket: &UnixDatagram,
    question: ExecutionRequest,
    execution: &mut Execution,
) -> io::Result<()> {
    socket.send(&serde_json::to_vec(&question)?).await?;
    let mut buffer = vec![0; MAX_BYTES];
    for _ in 0..MAX_MESSAGES {
        let length = socket.recv(&mut buffer).await?;
        if length == 0 {
            break;
        }
        let Ok(answer) = serde_json::from_slice::<ExecutionAnswer>(&buffer[..length]) else {
            continue;
        };
        if answer.id == question.id {
            execution.complete_with(answer.execution, answer.in_call);
            if answer.complete {
                break;
            }
        }
    }
    Ok(())
}

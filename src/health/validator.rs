//! The user's validator, a JavaScript function that the embedder calls.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::oneshot;

use super::problem::Problem;
use crate::embedder::{Answered, Embedder, MasterEvent};

pub(super) struct Validator {
    embedder: Weak<dyn Embedder>,
    timeout: Duration,
    next_id: AtomicU32,
    pending: Mutex<BTreeMap<u32, oneshot::Sender<Problem>>>,
}

impl Validator {
    pub(super) fn new(embedder: Weak<dyn Embedder>, timeout: Duration) -> Self {
        Self { embedder, timeout, next_id: AtomicU32::default(), pending: Mutex::default() }
    }

    /// Has the validator called with the monitor URI's answer, and waits for its verdict.
    pub(super) async fn validate(&self, answered: Option<Answered>) -> Problem {
        let Some(embedder) = self.embedder.upgrade() else {
            return Some("the cluster has ended".into());
        };
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (sender, verdict) = oneshot::channel();
        {
            let mut pending = self.pending();
            pending.retain(|_, waiting| !waiting.is_closed());
            pending.insert(id, sender);
        }
        embedder.emit(MasterEvent::Validate { id, answered });
        drop(embedder);
        match tokio::time::timeout(self.timeout, verdict).await {
            Ok(Ok(problem)) => problem,
            Ok(Err(_)) => Some("the validator was given up".into()),
            Err(_) => {
                Some(format!("the validator did not answer within {} ms", self.timeout.as_millis()))
            }
        }
    }

    /// Takes the answer to question `id`. Ignores it if it is late, or if nothing was asked.
    pub(super) fn answered(&self, id: u32, problem: Problem) {
        let waiting = self.pending().remove(&id);
        if let Some(waiting) = waiting {
            let _ = waiting.send(problem);
        }
    }

    fn pending(&self) -> MutexGuard<'_, BTreeMap<u32, oneshot::Sender<Problem>>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

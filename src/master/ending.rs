//! The end of the task: what others have to hear before this process ends.

use std::sync::Arc;
use std::time::Duration;

use super::exit_watch::LAST_MESSAGES;
use super::task::Task;
use crate::embedder::{Embedder, Failure, MasterEvent};
use crate::error::ClusterError;
use crate::remote::ControlServer;
use crate::supervision::Outcome;

/// How long another master may take for what this one said last.
const LAST_WORDS: Duration = Duration::from_millis(200);

impl Task {
    /// Waits for the last messages of all workers, no longer than for those of a single one.
    pub(super) async fn finish_messages(&mut self) {
        let all = async { while self.worker_tasks.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(LAST_MESSAGES, all).await;
    }

    /// Waits until another master has heard what this one said last.
    pub(super) async fn finish_words(&mut self) {
        if let Some(said) = self.last_words.take() {
            let _ = tokio::time::timeout(LAST_WORDS, said).await;
        }
    }

    pub(super) async fn end(self) -> (Arc<dyn Embedder>, ControlServer) {
        self.drop_unknown_heir();
        let totals = self.totals();
        let Self { parts, control, replies, outcome, monitor, farewell, .. } = self;
        drop(parts.dispatcher);
        let goes_on = farewell.as_ref().filter(|farewell| !farewell.has_ended);
        let successor = goes_on.map(|farewell| farewell.pid);
        if let Some(farewell) = farewell {
            let pid = farewell.pid;
            farewell.say(&totals).await;
            parts.embedder.emit(MasterEvent::Upgrade { pid });
        }
        drop(monitor);
        drop(parts.monitor);
        parts.pids.release();
        replies.ended(&parts.info.end_answer());
        let error = match outcome {
            Some(Outcome::StartFailed { reason }) => {
                let error = ClusterError::StartFailed { reason };
                Some(Failure { code: error.code().into(), message: error.message() })
            }
            _ => None,
        };
        tracing::info!("the cluster has ended");
        parts.embedder.emit(MasterEvent::Finished { error, successor });
        (parts.embedder, control)
    }
}

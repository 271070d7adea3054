//! Replies to commands that are given once something has happened.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::error::Result;
use crate::protocol::worker::WorkerId;
use crate::remote::server::Reply;

/// What a reply waits for.
pub(super) enum Until {
    /// No new client is admitted.
    Closed,
    /// The cluster has ended.
    Ended,
    /// This round of a reload is over.
    Reloaded { round: u32 },
    /// The `pending` of `workers` workers have opened their log files again, or are gone.
    LogsReopened { pending: BTreeSet<WorkerId>, workers: usize },
}

/// Replies that wait. Those that are still here at the end of the cluster are dropped, which tells
/// who asked that it has ended.
#[derive(Default)]
pub(super) struct WaitingReplies(Vec<(Until, Reply)>);

impl WaitingReplies {
    pub(super) fn add(&mut self, until: Until, reply: Reply) {
        self.0.push((until, reply));
    }

    /// Has `reply` wait until all of `workers` have opened their log files again.
    pub(super) fn add_reopening(&mut self, workers: BTreeSet<WorkerId>, reply: Reply) {
        self.add(Until::LogsReopened { workers: workers.len(), pending: workers }, reply);
        self.answer_reopened();
    }

    /// No new client is admitted any more.
    pub(super) fn closed(&mut self, answer: &Value) {
        self.answer(|until| matches!(until, Until::Closed).then(|| Ok(answer.clone())));
    }

    /// Round `round` of a reload, and all before it, are over.
    pub(super) fn reloaded(&mut self, round: u32, answer: impl Fn() -> Result<Value>) {
        self.answer(|until| match until {
            Until::Reloaded { round: of } if *of <= round => Some(answer()),
            _ => None,
        });
    }

    /// `worker` has opened its log files again, or is gone.
    pub(super) fn reopened(&mut self, worker: WorkerId) {
        for (until, _) in &mut self.0 {
            if let Until::LogsReopened { pending, .. } = until {
                pending.remove(&worker);
            }
        }
        self.answer_reopened();
    }

    /// The cluster has ended.
    pub(super) fn ended(mut self, answer: &Value) {
        let is_over = |until: &Until| matches!(until, Until::Closed | Until::Ended);
        self.answer(|until| is_over(until).then(|| Ok(answer.clone())));
    }

    fn answer_reopened(&mut self) {
        self.answer(|until| match until {
            Until::LogsReopened { pending, workers } if pending.is_empty() => {
                Some(Ok(json!({ "workers": workers })))
            }
            _ => None,
        });
    }

    /// Gives the replies for which `answer_to` has an answer.
    fn answer(&mut self, answer_to: impl Fn(&Until) -> Option<Result<Value>>) {
        for (until, reply) in std::mem::take(&mut self.0) {
            match answer_to(&until) {
                Some(answer) => reply(answer),
                None => self.0.push((until, reply)),
            }
        }
    }
}

//! Replies to commands that are given once something has happened.

use std::collections::BTreeSet;
use std::io;

use serde_json::{Value, json};

use crate::error::{ClusterError, Result};
use crate::protocol::worker::WorkerId;
use crate::remote::Reply;

/// What a reply waits for.
pub(super) enum Until {
    /// No new client is admitted.
    Closed,
    /// The cluster has ended.
    Ended,
    /// This round of a reload is over.
    Reloaded { round: u32 },
    /// This worker has looked inside itself.
    Inspected { worker: WorkerId },
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

    /// Whether a reply waits until `worker` has looked inside itself.
    pub(super) fn has_inspected(&self, worker: WorkerId) -> bool {
        let is_of =
            |until: &Until| matches!(until, Until::Inspected { worker: of } if *of == worker);
        self.0.iter().any(|(until, _)| is_of(until))
    }

    /// `worker` has looked inside itself, or cannot because of `problem`.
    pub(super) fn inspected(&mut self, worker: WorkerId, problem: Option<&str>) {
        self.answer(|until| match (until, problem) {
            (Until::Inspected { worker: of }, _) if *of != worker => None,
            (Until::Inspected { .. }, None) => Some(Ok(json!({}))),
            (Until::Inspected { .. }, Some(problem)) => Some(Err(ClusterError::System {
                doing: "looking inside the worker",
                source: io::Error::other(problem.to_owned()),
            })),
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

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// The answers that replies have got, with the names of the replies.
    #[derive(Clone, Default)]
    struct Answers(Arc<Mutex<Vec<String>>>);

    impl Answers {
        fn reply(&self, name: &'static str) -> Reply {
            let answers = Arc::clone(&self.0);
            Box::new(move |answer| {
                answers.lock().unwrap().push(format!("{name}: {}", answer.unwrap()));
            })
        }

        fn take(&self) -> Vec<String> {
            std::mem::take(&mut *self.0.lock().unwrap())
        }
    }

    #[test]
    fn a_round_of_a_reload_answers_those_who_wait_for_it_or_an_earlier_one() {
        let (mut replies, answers) = (WaitingReplies::default(), Answers::default());
        replies.add(Until::Reloaded { round: 1 }, answers.reply("first"));
        replies.add(Until::Reloaded { round: 2 }, answers.reply("second"));
        replies.add(Until::Reloaded { round: 3 }, answers.reply("third"));
        replies.reloaded(2, || Ok(json!(4)));
        assert_eq!(answers.take(), ["first: 4", "second: 4"]);
        replies.reloaded(3, || Ok(json!(5)));
        assert_eq!(answers.take(), ["third: 5"]);
    }

    #[test]
    fn log_files_are_reopened_when_the_last_worker_has_done_so_and_at_once_without_workers() {
        let (mut replies, answers) = (WaitingReplies::default(), Answers::default());
        replies.add_reopening([WorkerId(1), WorkerId(2)].into(), answers.reply("two"));
        replies.add_reopening(BTreeSet::new(), answers.reply("none"));
        replies.reopened(WorkerId(1));
        assert_eq!(answers.take(), [r#"none: {"workers":0}"#]);
        replies.reopened(WorkerId(2));
        assert_eq!(answers.take(), [r#"two: {"workers":2}"#]);
    }

    #[test]
    fn the_end_answers_those_who_wait_for_it_and_drops_all_others() {
        let (mut replies, answers) = (WaitingReplies::default(), Answers::default());
        replies.add(Until::Closed, answers.reply("closed"));
        replies.add(Until::Ended, answers.reply("ended"));
        replies.add(Until::Reloaded { round: 1 }, answers.reply("reloaded"));
        replies.closed(&json!(1));
        assert_eq!(answers.take(), ["closed: 1"]);
        replies.add(Until::Closed, answers.reply("closed late"));
        replies.ended(&json!(2));
        assert_eq!(answers.take(), ["ended: 2", "closed late: 2"]);
        assert_eq!(Arc::strong_count(&answers.0), 1, "no reply is left");
    }
}

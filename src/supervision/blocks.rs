//! What is remembered of a worker whose event loop does not turn.

use std::collections::VecDeque;

use crate::clock::Millis;

/// How long what a worker executes is waited for, milliseconds.
pub(crate) const STACK_WITHIN: Millis = 1_000;
/// Blocks of one worker that are reported in a minute.
const MOST: usize = 10;
const MINUTE: Millis = 60_000;
/// The shortest time between two reported blocks of one worker.
const PAUSE: Millis = 1_000;

/// What a worker executes was asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Question {
    /// When it is given up.
    pub(super) until: Millis,
    /// When the event loop had last turned, and for how long it had not.
    pub(super) beat: Millis,
    pub(super) age: Millis,
    pub(super) reason: Reason,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// It will be killed.
    Unresponsive,
    /// It is blocked for longer than `blocked_after`.
    Blocked,
}

/// The blocks of a worker that were reported.
#[derive(Debug, Clone, Default)]
pub(super) struct Blocks {
    /// Whether the one under way was, or is not because there were too many.
    pub(super) is_known: bool,
    /// When the last ones were.
    reported: VecDeque<Millis>,
}

impl Blocks {
    /// A block began at the latest now. Returns whether to report it.
    pub(super) fn begin(&mut self, now: Millis) -> bool {
        if std::mem::replace(&mut self.is_known, true) {
            return false;
        }
        self.reported.retain(|at| now.saturating_sub(*at) < MINUTE);
        let is_soon = self.reported.back().is_some_and(|at| now.saturating_sub(*at) < PAUSE);
        let is_reported = !is_soon && self.reported.len() < MOST;
        if is_reported {
            self.reported.push_back(now);
        }
        is_reported
    }
}

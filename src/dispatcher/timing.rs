//! The dispatcher's deadlines and intervals, milliseconds.

use crate::clock::Millis;

/// A connection that its worker did not take in this time goes to a free one.
pub(super) const TAKE_WITHIN: Millis = 3;
/// How long a worker's readiness is deferred while it does not serve yet what the others serve.
/// What takes longer counts as a change of the script.
pub(super) const SETTLE_WITHIN: Millis = 5_000;
/// Retry interval for what epoll does not report, such as connections that wait while every worker
/// is full.
pub(super) const RETRY: Millis = 3;

/// How long the last connections for another master may take to be sent.
pub(super) const LAST_RELAYS: Millis = 2_000;

/// Later than anything.
pub(super) const NEVER: Millis = Millis::MAX;

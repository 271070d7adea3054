//! A quota: how many bytes or entries of one sender may wait in a queue.
//!
//! Every queue between two threads that is not bounded by its nature has one. What always holds:
//!
//! - An entry holds its [`Share`] until the receiver has dealt with it.
//! - A sender that has used up its quota waits, which passes the pressure on to its own senders,
//!   or gets an error.
//! - A queue never holds more than the quota and one entry.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How much the entries of one sender may occupy.
#[derive(Debug, Clone)]
pub(crate) struct Quota(Arc<Semaphore>);

/// What one entry occupies. Dropping it frees that.
#[derive(Debug)]
pub struct Share(#[expect(dead_code, reason = "held, never read")] OwnedSemaphorePermit);

impl Quota {
    /// Returns a quota of `size` bytes or entries, at least 1.
    pub(crate) fn new(size: usize) -> Self {
        Self(Arc::new(Semaphore::new(size.clamp(1, Semaphore::MAX_PERMITS))))
    }

    /// Waits until some of the quota is free, and takes `size` of it. A larger entry takes all that
    /// is left.
    pub(crate) async fn take(&self, size: usize) -> Share {
        match Arc::clone(&self.0).acquire_owned().await {
            Ok(first) => self.fill(first, size),
            // The semaphore is never closed.
            Err(_) => std::future::pending().await,
        }
    }

    /// As `take`, without waiting. Returns `None` if the quota is used up.
    pub(crate) fn try_take(&self, size: usize) -> Option<Share> {
        Some(self.fill(Arc::clone(&self.0).try_acquire_owned().ok()?, size))
    }

    fn fill(&self, mut first: OwnedSemaphorePermit, size: usize) -> Share {
        let more = size.saturating_sub(1).min(self.0.available_permits());
        let more = u32::try_from(more).unwrap_or(u32::MAX);
        if let Ok(more) = Arc::clone(&self.0).try_acquire_many_owned(more) {
            first.merge(more);
        }
        Share(first)
    }

    /// Whether the next entry has to wait.
    pub(crate) fn is_full(&self) -> bool {
        self.0.available_permits() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropping_a_share_frees_it() {
        let quota = Quota::new(100);
        let first = quota.try_take(60).unwrap();
        let second = quota.try_take(40).unwrap();
        assert!(quota.is_full() && quota.try_take(1).is_none());
        drop(first);
        assert!(!quota.is_full());
        drop((second, quota.try_take(60).unwrap()));
        let all: Vec<_> = (0..100).map(|_| quota.try_take(1).unwrap()).collect();
        assert!(quota.is_full());
        drop(all);
    }

    #[test]
    fn an_entry_larger_than_the_quota_is_taken_alone_and_frees_no_more_than_it_took() {
        let quota = Quota::new(10);
        let large = quota.try_take(usize::MAX).unwrap();
        assert!(quota.try_take(1).is_none());
        drop(large);
        let small: Vec<_> = (0..10).map(|_| quota.try_take(1).unwrap()).collect();
        assert!(quota.try_take(1).is_none());
        drop(small);
    }

    #[test]
    fn a_waiting_sender_goes_on_when_a_share_is_free() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let quota = Quota::new(1);
            let share = quota.take(1).await;
            let waiting = tokio::spawn({
                let quota = quota.clone();
                async move { drop(quota.take(1).await) }
            });
            tokio::task::yield_now().await;
            assert!(!waiting.is_finished());
            drop(share);
            waiting.await.unwrap();
        });
    }
}

//! A quota: how many bytes, or entries, of one sender may wait in a queue.
//!
//! Each queue between two threads that is not bounded by its nature has one. What always holds: an entry holds its
//! [`Share`] until the receiver has dealt with it; a sender that has used up its quota either waits, so that the pressure goes on
//! to whoever sends to it, or is told; and no more waits than the quota and one entry.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What the entries of one sender may occupy.
#[derive(Debug, Clone)]
pub struct Quota(Arc<Semaphore>);

/// What one entry occupies; dropped, it is free again.
#[derive(Debug)]
pub struct Share(#[expect(dead_code, reason = "held, never read")] OwnedSemaphorePermit);

impl Quota {
    /// A quota of `size` bytes or entries, at least 1.
    pub fn new(size: usize) -> Self {
        Self(Arc::new(Semaphore::new(size.clamp(1, Semaphore::MAX_PERMITS))))
    }

    /// Waits until some of it is free, and takes `size` of it, or all that is left for an entry that is larger.
    pub async fn take(&self, size: usize) -> Share {
        match Arc::clone(&self.0).acquire_owned().await {
            Ok(first) => self.fill(first, size),
            // Never closed.
            Err(_) => std::future::pending().await,
        }
    }

    /// As `take`, without waiting. `None`: it is used up.
    pub fn try_take(&self, size: usize) -> Option<Share> {
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

    /// Whether the next one would have to wait.
    pub fn is_full(&self) -> bool {
        self.0.available_permits() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_free_again_once_its_place_is_dropped() {
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
    fn an_entry_larger_than_the_room_is_taken_alone_and_gives_back_no_more_than_it_had() {
        let quota = Quota::new(10);
        let large = quota.try_take(usize::MAX).unwrap();
        assert!(quota.try_take(1).is_none());
        drop(large);
        let small: Vec<_> = (0..10).map(|_| quota.try_take(1).unwrap()).collect();
        assert!(quota.try_take(1).is_none());
        drop(small);
    }

    #[test]
    fn whoever_waits_goes_on_when_a_place_is_free() {
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

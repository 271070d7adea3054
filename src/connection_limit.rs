//! A limit on the connections of one listening socket. When it is reached, a new connection
//! takes the place of the connection that has been idle for longest, so that silent clients keep
//! nobody out.
//!
//! What always holds: a connection with a request under way is *busy*, and no busy connection is
//! evicted. While all are busy, a new connection waits.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

#[derive(Debug)]
pub(crate) struct ConnectionLimit {
    max: usize,
    state: Mutex<LimitState>,
    /// A permit was dropped.
    released: Notify,
}

#[derive(Debug, Default)]
struct LimitState {
    connections: BTreeMap<u64, Connection>,
    /// Counts events, to tell which came first.
    sequence: u64,
    /// Whether a new connection waits for a permit.
    has_waiter: bool,
}

#[derive(Debug)]
struct Connection {
    phase: Phase,
    evicted: Arc<Notify>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// `since` is a number of `LimitState::sequence`.
    Idle {
        since: u64,
    },
    Busy {
        requests: usize,
    },
    Evicted,
}

/// The permission for one connection. Dropping it allows another one.
#[derive(Debug)]
pub(crate) struct Permit {
    limit: Arc<ConnectionLimit>,
    id: u64,
    evicted: Arc<Notify>,
}

/// Keeps a connection busy until it is dropped.
#[derive(Debug)]
pub(crate) struct RequestGuard {
    limit: Arc<ConnectionLimit>,
    id: u64,
}

impl ConnectionLimit {
    /// Allows `max` connections at a time.
    pub(crate) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { max, state: Mutex::default(), released: Notify::new() })
    }

    /// Returns the permit of a new connection. Evicts an idle connection if there are `max`
    /// already, and waits for it, or for any other, to end. Only one task may call this at a time.
    pub(crate) async fn acquire(self: &Arc<Self>) -> Permit {
        loop {
            {
                let mut state = self.state();
                if state.connections.len() < self.max {
                    return self.permit(&mut state);
                }
                state.has_waiter = true;
                state.evict_for_waiter();
            }
            self.released.notified().await;
        }
    }

    fn permit(self: &Arc<Self>, state: &mut LimitState) -> Permit {
        let (id, evicted) = (state.next_in_sequence(), Arc::new(Notify::new()));
        state.has_waiter = false;
        let connection =
            Connection { phase: Phase::Idle { since: id }, evicted: Arc::clone(&evicted) };
        state.connections.insert(id, connection);
        Permit { limit: Arc::clone(self), id, evicted }
    }

    fn state(&self) -> MutexGuard<'_, LimitState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LimitState {
    fn next_in_sequence(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }

    /// Evicts the connection that has been idle for longest, if one waits and none is evicted yet.
    fn evict_for_waiter(&mut self) {
        let is_evicting = || self.connections.values().any(|it| it.phase == Phase::Evicted);
        if !self.has_waiter || is_evicting() {
            return;
        }
        let idle = self.connections.values_mut().filter_map(|connection| match connection.phase {
            Phase::Idle { since } => Some((since, connection)),
            _ => None,
        });
        if let Some((_, connection)) = idle.min_by_key(|(since, _)| *since) {
            connection.phase = Phase::Evicted;
            connection.evicted.notify_one();
        }
    }
}

impl Permit {
    /// Marks the connection as busy until its request is answered. Revokes an eviction that the
    /// connection has not followed yet.
    pub(crate) fn begin_request(&self) -> RequestGuard {
        let mut state = self.limit.state();
        if let Some(connection) = state.connections.get_mut(&self.id) {
            let before = match connection.phase {
                Phase::Busy { requests } => requests,
                Phase::Idle { .. } | Phase::Evicted => 0,
            };
            connection.phase = Phase::Busy { requests: before + 1 };
        }
        state.evict_for_waiter();
        RequestGuard { limit: Arc::clone(&self.limit), id: self.id }
    }

    /// Returns when the connection must end in favour of another one.
    pub(crate) async fn evicted(&self) {
        while !self.is_evicted() {
            self.evicted.notified().await;
        }
    }

    fn is_evicted(&self) -> bool {
        let state = self.limit.state();
        state.connections.get(&self.id).is_none_or(|it| it.phase == Phase::Evicted)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.limit.state().connections.remove(&self.id);
        self.limit.released.notify_one();
    }
}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        let mut state = self.limit.state();
        let since = state.next_in_sequence();
        if let Some(connection) = state.connections.get_mut(&self.id) {
            connection.phase = match connection.phase {
                Phase::Busy { requests } if requests > 1 => Phase::Busy { requests: requests - 1 },
                _ => Phase::Idle { since },
            };
        }
        state.evict_for_waiter();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    fn poll<T>(future: impl Future<Output = T>) -> Option<T> {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        }
    }

    fn is_evicted(permit: &Permit) -> bool {
        poll(permit.evicted()).is_some()
    }

    fn full(max: usize) -> (Arc<ConnectionLimit>, Vec<Permit>) {
        let limit = ConnectionLimit::new(max);
        let permits = (0..max).map(|_| poll(limit.acquire()).unwrap()).collect();
        (limit, permits)
    }

    #[test]
    fn the_connection_idle_for_longest_is_evicted_when_the_limit_is_reached() {
        let (limit, permits) = full(3);
        assert!(!permits.iter().any(is_evicted), "none is evicted without need");
        drop(permits[0].begin_request());
        assert!(poll(limit.acquire()).is_none());
        assert_eq!(
            permits.iter().map(is_evicted).collect::<Vec<_>>(),
            [false, true, false],
            "the first was busy since"
        );
        drop(permits.into_iter().nth(1));
        assert!(poll(limit.acquire()).is_some());
    }

    #[test]
    fn a_busy_connection_is_evicted_as_soon_as_it_is_idle() {
        let (limit, permits) = full(2);
        let mut requests: Vec<_> = permits.iter().map(Permit::begin_request).collect();
        requests.push(permits[0].begin_request());
        assert!(poll(limit.acquire()).is_none());
        assert!(!permits.iter().any(is_evicted));
        requests.remove(0);
        assert!(!permits.iter().any(is_evicted), "it has another request");
        requests.remove(1);
        assert_eq!(permits.iter().map(is_evicted).collect::<Vec<_>>(), [true, false]);
    }

    #[test]
    fn a_connection_that_asks_just_when_it_is_evicted_stays_and_another_goes() {
        let (limit, permits) = full(2);
        assert!(poll(limit.acquire()).is_none());
        let _request = permits[0].begin_request();
        assert_eq!(permits.iter().map(is_evicted).collect::<Vec<_>>(), [false, true]);
    }

    #[test]
    fn a_released_permit_goes_to_the_connection_that_waits() {
        let (limit, mut permits) = full(1);
        let first = permits.remove(0);
        let request = first.begin_request();
        let mut waiting = pin!(limit.acquire());
        let mut context = Context::from_waker(Waker::noop());
        assert!(waiting.as_mut().poll(&mut context).is_pending());
        drop((request, first));
        assert!(waiting.as_mut().poll(&mut context).is_ready());
    }
}

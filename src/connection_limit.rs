//! ConnectionLimit for a number of clients on one socket. Who comes when it is full takes the place of whoever has been idle for
//! longest, so that silent strangers keep nobody waiting.
//!
//! What always holds: who asks something is *busy*, and no busy client is sent away. Where all are busy, who comes waits.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// See the module's text.
#[derive(Debug)]
pub struct ConnectionLimit {
    places: usize,
    state: Mutex<State>,
    /// A place has become free.
    freed: Notify,
}

#[derive(Debug, Default)]
struct State {
    clients: BTreeMap<u64, Client>,
    /// Counts what happens, so that it can be told what was first.
    turn: u64,
    /// Whether somebody waits for a place.
    wanted: bool,
}

#[derive(Debug)]
struct Client {
    phase: Phase,
    /// It was sent away.
    sent: Arc<Notify>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Since that turn.
    Idle(u64),
    /// With so many questions.
    Busy(usize),
    Sent,
}

/// A client's place; dropped, it is free.
#[derive(Debug)]
pub struct Permit {
    room: Arc<ConnectionLimit>,
    id: u64,
    sent: Arc<Notify>,
}

/// A question of a client, until it is dropped.
#[derive(Debug)]
pub struct Busy {
    room: Arc<ConnectionLimit>,
    id: u64,
}

impl ConnectionLimit {
    /// ConnectionLimit for so many.
    pub fn new(places: usize) -> Arc<Self> {
        Arc::new(Self { places, state: Mutex::default(), freed: Notify::new() })
    }

    /// Takes a place for a client that has just come, and waits for one where all are busy. For one task at a time.
    pub async fn enter(self: &Arc<Self>) -> Permit {
        loop {
            {
                let mut state = self.state();
                if state.clients.len() < self.places {
                    return self.place(&mut state);
                }
                state.wanted = true;
                state.make_room();
            }
            self.freed.notified().await;
        }
    }

    fn place(self: &Arc<Self>, state: &mut State) -> Permit {
        let (id, sent) = (state.next_turn(), Arc::new(Notify::new()));
        state.wanted = false;
        state.clients.insert(id, Client { phase: Phase::Idle(id), sent: Arc::clone(&sent) });
        Permit { room: Arc::clone(self), id, sent }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn next_turn(&mut self) -> u64 {
        self.turn += 1;
        self.turn
    }

    /// Sends away whoever has been idle for longest, if a place is wanted and nobody is leaving yet.
    fn make_room(&mut self) {
        if !self.wanted || self.clients.values().any(|client| client.phase == Phase::Sent) {
            return;
        }
        let idle = self.clients.values_mut().filter_map(|client| match client.phase {
            Phase::Idle(since) => Some((since, client)),
            _ => None,
        });
        if let Some((_, client)) = idle.min_by_key(|(since, _)| *since) {
            client.phase = Phase::Sent;
            client.sent.notify_one();
        }
    }
}

impl Permit {
    /// The client asks something: until the answer is out, it is not sent away, even if it was about to be.
    pub fn busy(&self) -> Busy {
        let mut state = self.room.state();
        if let Some(client) = state.clients.get_mut(&self.id) {
            client.phase =
                Phase::Busy(if let Phase::Busy(count) = client.phase { count + 1 } else { 1 });
        }
        state.make_room();
        Busy { room: Arc::clone(&self.room), id: self.id }
    }

    /// Returns when somebody else needs the place and the client has nothing to ask.
    pub async fn is_wanted(&self) {
        while self
            .room
            .state()
            .clients
            .get(&self.id)
            .is_some_and(|client| client.phase != Phase::Sent)
        {
            self.sent.notified().await;
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.room.state().clients.remove(&self.id);
        self.room.freed.notify_one();
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let mut state = self.room.state();
        let turn = state.next_turn();
        if let Some(client) = state.clients.get_mut(&self.id) {
            client.phase = match client.phase {
                Phase::Busy(count) if count > 1 => Phase::Busy(count - 1),
                _ => Phase::Idle(turn),
            };
        }
        state.make_room();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::Context;
    use std::task::Poll;
    use std::task::Waker;

    fn poll<T>(future: impl Future<Output = T>) -> Option<T> {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        }
    }

    fn is_sent(place: &Permit) -> bool {
        poll(place.is_wanted()).is_some()
    }

    #[test]
    fn who_has_been_idle_for_longest_goes_when_the_room_is_full() {
        let room = ConnectionLimit::new(3);
        let places: Vec<_> = (0..3).map(|_| poll(room.enter()).unwrap()).collect();
        assert!(!places.iter().any(is_sent), "nobody goes without need");
        drop(places[0].busy());
        assert!(poll(room.enter()).is_none());
        assert_eq!(
            places.iter().map(is_sent).collect::<Vec<_>>(),
            [false, true, false],
            "the first was busy since"
        );
        drop(places.into_iter().nth(1));
        assert!(poll(room.enter()).is_some());
    }

    #[test]
    fn who_is_busy_stays_and_goes_as_soon_as_it_is_idle() {
        let room = ConnectionLimit::new(2);
        let places: Vec<_> = (0..2).map(|_| poll(room.enter()).unwrap()).collect();
        let mut questions: Vec<_> = places.iter().map(Permit::busy).collect();
        questions.push(places[0].busy());
        assert!(poll(room.enter()).is_none());
        assert!(!places.iter().any(is_sent));
        questions.remove(0);
        assert!(!places.iter().any(is_sent), "it has another question");
        questions.remove(1);
        assert_eq!(places.iter().map(is_sent).collect::<Vec<_>>(), [true, false]);
    }

    #[test]
    fn who_asks_just_when_it_is_sent_away_stays_and_another_goes() {
        let room = ConnectionLimit::new(2);
        let places: Vec<_> = (0..2).map(|_| poll(room.enter()).unwrap()).collect();
        assert!(poll(room.enter()).is_none());
        let _question = places[0].busy();
        assert_eq!(places.iter().map(is_sent).collect::<Vec<_>>(), [false, true]);
    }

    #[test]
    fn a_place_that_becomes_free_is_given_to_who_waits() {
        let room = ConnectionLimit::new(1);
        let first = poll(room.enter()).unwrap();
        let question = first.busy();
        let mut waiting = pin!(room.enter());
        let mut context = Context::from_waker(Waker::noop());
        assert!(waiting.as_mut().poll(&mut context).is_pending());
        drop((question, first));
        assert!(waiting.as_mut().poll(&mut context).is_ready());
    }
}

//! What waits for a embedder that takes what it is told when it has time for it, such as JavaScript on its event loop.
//!
//! *Facts* (what the cluster does) are never lost, are taken in their order, and before messages. *Messages* of workers are
//! taken in batches; each occupies its share in its worker's [`Quota`](super::quota::Quota) until then, so that a worker whose
//! messages nobody takes is read no further. What always holds:
//!
//! - what a worker sent before it ended comes before its `Died`, unless that would hold up the facts for longer than `HOLD`;
//!   what is left then comes after it;
//! - `Finished` is the last; messages that were not taken by then are counted in a warning before it;
//! - of facts that outsiders can bring about as often as they like (see `is_frequent`) the newest `MAX_FREQUENT` are kept,
//!   and it is told how many are missing. All others are a few for each worker and for each command.

use std::collections::{BTreeMap, VecDeque};
use std::os::fd::OwnedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::value::RawValue;

use crate::clock::Millis;
use crate::embedder::MasterEvent;
use crate::quota::Share;

/// Bytes of messages in one batch, after which JavaScript's event loop turns.
const BATCH: usize = 64 * 1024;
/// Bytes of messages of one worker in a batch before it is the next one's turn.
const TURN: usize = 8 * 1024;
/// How long facts wait for the last messages of a worker, from when they could be taken, milliseconds.
const HOLD: Millis = 1_000;
/// See the module's text.
const MAX_FREQUENT: usize = 1024;
/// What a message occupies besides its text, bytes.
pub const OVERHEAD: usize = 64;

/// What a embedder takes.
#[derive(Debug)]
pub enum Item {
    /// Something to tell.
    MasterEvent(MasterEvent),
    /// A connection for the user's monitor app.
    Visitor(OwnedFd),
}

/// See the module's text.
#[derive(Debug, Default)]
pub struct Mailbox(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    facts: VecDeque<Item>,
    /// How many of the facts are frequent ones, and how many of those were left out.
    frequent: usize,
    left_out: usize,
    senders: BTreeMap<u32, Sender>,
    /// Workers that have messages, in the order of their turns.
    turns: VecDeque<u32>,
    /// Since when facts wait for messages.
    held_since: Option<Millis>,
    /// The embedder knows that there is something, and will take until there is nothing.
    awake: bool,
    finished: bool,
}

/// What one worker sent.
#[derive(Debug, Default)]
struct Sender {
    id: u32,
    messages: VecDeque<(Box<RawValue>, Share)>,
    /// Nothing more will come.
    silent: bool,
}

impl Mailbox {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a fact. Returns whether the embedder has to be woken.
    pub fn tell(&self, told: MasterEvent) -> bool {
        let mut waiting = self.lock();
        match told {
            MasterEvent::Forked { pid } => drop(waiting.senders.insert(pid, Sender::default())),
            MasterEvent::Finished { .. } => waiting.silence_all(),
            _ => {}
        }
        if is_frequent(&told) {
            waiting.make_room_for_frequent();
        }
        waiting.facts.push_back(Item::MasterEvent(told));
        waiting.wake()
    }

    /// Adds a connection for the user's monitor app. Returns whether the embedder has to be woken.
    pub fn connect(&self, connection: OwnedFd) -> bool {
        let mut waiting = self.lock();
        waiting.facts.push_back(Item::Visitor(connection));
        waiting.wake()
    }

    /// Adds a message of the worker `pid`, by its number `id`. Returns whether the embedder has to be woken.
    pub fn message(&self, pid: u32, id: u32, message: Box<RawValue>, share: Share) -> bool {
        let mut waiting = self.lock();
        if waiting.finished {
            return false;
        }
        let sender = waiting.senders.entry(pid).or_default();
        sender.id = id;
        sender.messages.push_back((message, share));
        if sender.messages.len() == 1 {
            waiting.turns.push_back(pid);
        }
        waiting.wake()
    }

    /// The worker `pid` has sent its last message. Returns whether the embedder has to be woken.
    pub fn silent(&self, pid: u32) -> bool {
        let mut waiting = self.lock();
        if let Some(sender) = waiting.senders.get_mut(&pid) {
            sender.silent = true;
        }
        waiting.forget_silent(pid);
        waiting.wake()
    }

    /// Takes what comes next. `None`: there is nothing, and the embedder is woken when there is. `now` in milliseconds of a
    /// monotonic clock.
    pub fn take(&self, now: Millis) -> Option<Vec<Item>> {
        let mut waiting = self.lock();
        let mut batch = Vec::new();
        let mut room = BATCH;
        waiting.take_facts(&mut batch, &mut room, now);
        waiting.take_messages(&mut batch, &mut room);
        waiting.awake = !batch.is_empty();
        waiting.awake.then_some(batch)
    }
}

impl Waiting {
    fn wake(&mut self) -> bool {
        !self.finished && !std::mem::replace(&mut self.awake, true)
    }

    /// Leaves out the oldest frequent fact, if there are too many.
    fn make_room_for_frequent(&mut self) {
        self.frequent += 1;
        if self.frequent > MAX_FREQUENT {
            let is_frequent =
                |item: &Item| matches!(item, Item::MasterEvent(told) if is_frequent(told));
            if let Some(oldest) = self.facts.iter().position(is_frequent) {
                self.facts.remove(oldest);
                self.frequent -= 1;
                self.left_out += 1;
            }
        }
    }

    fn take_facts(&mut self, batch: &mut Vec<Item>, room: &mut usize, now: Millis) {
        if self.left_out > 0 {
            let count = std::mem::take(&mut self.left_out);
            let message = format!(
                "{count} earlier events (signals, warnings, disable, enable) are left out: the master's script took none"
            );
            batch.push(Item::MasterEvent(MasterEvent::Warning { message }));
        }
        while let Some(fact) = self.facts.front() {
            match fact {
                Item::MasterEvent(MasterEvent::Died { pid, .. }) => {
                    let pid = *pid;
                    if self.is_held(pid, batch, room, now) {
                        return;
                    }
                }
                Item::MasterEvent(MasterEvent::Finished { .. }) => {
                    self.finished = true;
                    self.drop_messages(batch);
                }
                _ => {}
            }
            let Some(fact) = self.facts.pop_front() else { return };
            self.frequent -=
                usize::from(matches!(&fact, Item::MasterEvent(told) if is_frequent(told)));
            batch.push(fact);
        }
        self.held_since = None;
    }

    /// Takes the last messages of a worker that died, and returns whether its end has to wait for more of them.
    fn is_held(&mut self, pid: u32, batch: &mut Vec<Item>, room: &mut usize, now: Millis) -> bool {
        let since = *self.held_since.get_or_insert(now);
        if since + HOLD <= now {
            return false;
        }
        while *room > 0 && self.take_message(pid, batch, room) {}
        self.senders.contains_key(&pid)
    }

    fn take_messages(&mut self, batch: &mut Vec<Item>, room: &mut usize) {
        while *room > 0
            && let Some(pid) = self.turns.pop_front()
        {
            let mut turn = TURN.min(*room);
            let before = turn;
            while turn > 0 && self.take_message(pid, batch, &mut turn) {}
            *room -= before - turn;
            if self.senders.get(&pid).is_some_and(|sender| !sender.messages.is_empty()) {
                self.turns.push_back(pid);
            }
        }
    }

    /// Takes one message; false if there is none.
    fn take_message(&mut self, pid: u32, batch: &mut Vec<Item>, room: &mut usize) -> bool {
        let Some(sender) = self.senders.get_mut(&pid) else { return false };
        let Some((message, _share)) = sender.messages.pop_front() else { return false };
        let id = sender.id;
        self.forget_silent(pid);
        *room = room.saturating_sub(message.get().len() + OVERHEAD);
        batch.push(Item::MasterEvent(MasterEvent::Message { pid, id, message }));
        true
    }

    /// The cluster has ended: nothing more is read.
    fn silence_all(&mut self) {
        for sender in self.senders.values_mut() {
            sender.silent = true;
        }
        self.senders.retain(|_, sender| !sender.messages.is_empty());
    }

    fn forget_silent(&mut self, pid: u32) {
        if self.senders.get(&pid).is_some_and(|sender| sender.silent && sender.messages.is_empty())
        {
            self.senders.remove(&pid);
        }
    }

    /// The cluster has ended: nobody waits for messages any more.
    fn drop_messages(&mut self, batch: &mut Vec<Item>) {
        let count: usize = self.senders.values().map(|sender| sender.messages.len()).sum();
        self.senders.clear();
        self.turns.clear();
        if count > 0 {
            let message = format!(
                "the cluster ended before the master's script took the last {count} messages of workers"
            );
            batch.push(Item::MasterEvent(MasterEvent::Warning { message }));
        }
    }
}

/// Whether a worker, or somebody on the network, can bring this about as often as it likes.
fn is_frequent(told: &MasterEvent) -> bool {
    matches!(
        told,
        MasterEvent::Signal { .. }
            | MasterEvent::Warning { .. }
            | MasterEvent::Disable { .. }
            | MasterEvent::Enable
            | MasterEvent::Validate { .. }
    )
}

#[cfg(test)]
#[path = "mailbox_tests.rs"]
mod tests;

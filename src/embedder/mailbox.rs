//! Events for an embedder that takes them in its own time, as JavaScript does on its event loop.
//!
//! *Events* of the cluster are never lost, are taken in their order, and come before messages.
//! *Messages* of workers are taken in batches. Each occupies its share of its worker's
//! [`Quota`](crate::quota::Quota) until then, so a worker whose messages nobody takes is read no
//! further. What always holds:
//!
//! - messages that a worker sent before it ended come before its `Died`, unless that would hold up
//!   events for longer than `HOLD`; the rest then comes after it;
//! - `Finished` is the last event; a warning before it counts the messages that were not taken;
//! - of events that outsiders can cause as often as they like (see `is_frequent`) the newest
//!   `MAX_FREQUENT` are kept, and a warning says how many are missing. All others are a few for
//!   each worker and for each command.

use std::collections::{BTreeMap, VecDeque};
use std::os::fd::OwnedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::value::RawValue;

use super::events::MasterEvent;
use crate::clock::Millis;
use crate::counts::counted;
use crate::quota::Share;

/// Bytes of messages in one batch, after which JavaScript's event loop turns.
const BATCH: usize = 64 * 1024;
/// Bytes of messages of one worker in a batch before it is the next worker's turn.
const TURN: usize = 8 * 1024;
/// How long events wait for the last messages of a worker, from when they could be taken,
/// milliseconds.
const HOLD: Millis = 1_000;
const MAX_FREQUENT: usize = 1024;
/// Bytes that a message occupies besides its text.
pub(crate) const MESSAGE_OVERHEAD: usize = 64;

/// What an embedder takes from its mailbox.
#[derive(Debug)]
pub enum Item {
    /// What happened.
    Event(MasterEvent),
    /// A connection for the user's monitor app.
    Connection(OwnedFd),
}

/// What waits for an embedder.
#[derive(Debug, Default)]
pub struct Mailbox(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    events: VecDeque<Item>,
    /// How many of `events` are frequent ones.
    frequent: usize,
    /// How many frequent events were left out since the last batch.
    left_out: usize,
    senders: BTreeMap<u32, Sender>,
    /// Workers that have messages, in the order of their turns.
    turns: VecDeque<u32>,
    /// Since when events wait for messages.
    held_since: Option<Millis>,
    /// The embedder knows that something waits, and takes until nothing does.
    is_awake: bool,
    is_finished: bool,
}

/// The messages of one worker.
#[derive(Debug, Default)]
struct Sender {
    id: u32,
    messages: VecDeque<(Box<RawValue>, Share)>,
    /// No more will come.
    has_ended: bool,
}

impl Mailbox {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an event. Returns whether the embedder has to be woken.
    pub fn emit(&self, event: MasterEvent) -> bool {
        let mut waiting = self.lock();
        match event {
            MasterEvent::Forked { pid } => drop(waiting.senders.insert(pid, Sender::default())),
            MasterEvent::Finished { .. } => waiting.end_all_messages(),
            _ => {}
        }
        if is_frequent(&event) {
            waiting.make_room_for_frequent();
        }
        waiting.events.push_back(Item::Event(event));
        waiting.wake()
    }

    /// Adds a connection for the user's monitor app. Returns whether the embedder has to be woken.
    pub fn forward(&self, connection: OwnedFd) -> bool {
        let mut waiting = self.lock();
        waiting.events.push_back(Item::Connection(connection));
        waiting.wake()
    }

    /// Adds a message of the worker with process id `pid` and worker id `id`. Returns whether the
    /// embedder has to be woken.
    pub fn message(&self, pid: u32, id: u32, message: Box<RawValue>, share: Share) -> bool {
        let mut waiting = self.lock();
        if waiting.is_finished {
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

    /// No more messages of the worker `pid` will come. Returns whether the embedder has to be
    /// woken.
    pub fn end_of_messages(&self, pid: u32) -> bool {
        let mut waiting = self.lock();
        if let Some(sender) = waiting.senders.get_mut(&pid) {
            sender.has_ended = true;
        }
        waiting.forget_ended(pid);
        waiting.wake()
    }

    /// Takes the next batch. Returns `None` if nothing waits; the embedder is woken when something
    /// does. `now` is the time of a monotonic clock.
    pub fn take(&self, now: Millis) -> Option<Vec<Item>> {
        let mut waiting = self.lock();
        let mut batch = Vec::new();
        let mut room = BATCH;
        waiting.take_events(&mut batch, &mut room, now);
        waiting.take_messages(&mut batch, &mut room);
        waiting.is_awake = !batch.is_empty();
        waiting.is_awake.then_some(batch)
    }
}

impl Waiting {
    fn wake(&mut self) -> bool {
        !self.is_finished && !std::mem::replace(&mut self.is_awake, true)
    }

    /// Counts one more frequent event, and leaves out the oldest if there are too many.
    fn make_room_for_frequent(&mut self) {
        self.frequent += 1;
        if self.frequent > MAX_FREQUENT
            && let Some(oldest) = self.events.iter().position(is_frequent_item)
        {
            self.events.remove(oldest);
            self.frequent -= 1;
            self.left_out += 1;
        }
    }

    fn take_events(&mut self, batch: &mut Vec<Item>, room: &mut usize, now: Millis) {
        if self.left_out > 0 {
            let count = std::mem::take(&mut self.left_out);
            batch.push(warning(format!(
                "{count} earlier events (signals, warnings, disable, enable) are left out: the \
                 master's script took none"
            )));
        }
        while let Some(event) = self.events.front() {
            match event {
                Item::Event(MasterEvent::Died { pid, .. }) => {
                    let pid = *pid;
                    if self.is_held(pid, batch, room, now) {
                        return;
                    }
                }
                Item::Event(MasterEvent::Finished { .. }) => {
                    self.is_finished = true;
                    self.drop_messages(batch);
                }
                _ => {}
            }
            let Some(event) = self.events.pop_front() else { return };
            self.frequent -= usize::from(is_frequent_item(&event));
            batch.push(event);
        }
        self.held_since = None;
    }

    /// Takes the last messages of a worker that died. Returns whether its `Died` has to wait for
    /// more of them.
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

    /// Takes one message. Returns `false` if there is none.
    fn take_message(&mut self, pid: u32, batch: &mut Vec<Item>, room: &mut usize) -> bool {
        let Some(sender) = self.senders.get_mut(&pid) else { return false };
        let Some((message, _share)) = sender.messages.pop_front() else { return false };
        let id = sender.id;
        self.forget_ended(pid);
        *room = room.saturating_sub(message.get().len() + MESSAGE_OVERHEAD);
        batch.push(Item::Event(MasterEvent::Message { pid, id, message }));
        true
    }

    /// The cluster has ended: no more messages of any worker will come.
    fn end_all_messages(&mut self) {
        for sender in self.senders.values_mut() {
            sender.has_ended = true;
        }
        self.senders.retain(|_, sender| !sender.messages.is_empty());
    }

    fn forget_ended(&mut self, pid: u32) {
        let is_over = |sender: &Sender| sender.has_ended && sender.messages.is_empty();
        if self.senders.get(&pid).is_some_and(is_over) {
            self.senders.remove(&pid);
        }
    }

    /// The cluster has ended: nobody waits for messages any more.
    fn drop_messages(&mut self, batch: &mut Vec<Item>) {
        let count: usize = self.senders.values().map(|sender| sender.messages.len()).sum();
        self.senders.clear();
        self.turns.clear();
        if count > 0 {
            batch.push(warning(format!(
                "the cluster ended before the master's script took the last {} of workers",
                counted(count as u64, "message")
            )));
        }
    }
}

fn warning(message: String) -> Item {
    Item::Event(MasterEvent::Warning { message })
}

fn is_frequent_item(item: &Item) -> bool {
    matches!(item, Item::Event(event) if is_frequent(event))
}

/// Whether a worker, or somebody on the network, can cause this event as often as it likes.
fn is_frequent(event: &MasterEvent) -> bool {
    matches!(
        event,
        MasterEvent::Signal { .. }
            | MasterEvent::Warning { .. }
            | MasterEvent::Disable { .. }
            | MasterEvent::Enable
            | MasterEvent::Overload { .. }
            | MasterEvent::Validate { .. }
    )
}

#[cfg(test)]
#[path = "mailbox_tests.rs"]
mod tests;

//! The last events of a cluster, for those who ask later what happened.
//!
//! What always holds: each event has the next number, so that a reader notices what it missed; and
//! at most [`EVENTS`] are remembered, each with a message of at most [`MESSAGE`] characters.

use std::collections::VecDeque;
use std::time::SystemTime;

use super::description::Description;
use crate::protocol::status::{EVENTS, EventRecord};
use crate::protocol::time::Time;

/// Characters that are remembered of a message: a worker can make it as long as it likes.
const MESSAGE: usize = 2_000;

/// The last events.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    records: VecDeque<EventRecord>,
    last: u64,
}

impl Journal {
    /// Adds what happened now to the worker `pid` in `slot`. Returns the record.
    pub(crate) fn add(
        &mut self,
        Description { kind, level, pid, message }: Description,
        slot: Option<u32>,
    ) -> &EventRecord {
        self.last += 1;
        if self.records.len() == EVENTS {
            self.records.pop_front();
        }
        let time = Time(SystemTime::now());
        let message = message.chars().take(MESSAGE).collect();
        let record = EventRecord { seq: self.last, time, kind, level, slot, pid, message };
        self.records.push_back(record);
        &self.records[self.records.len() - 1]
    }

    /// Returns the events after number `seq`, oldest first.
    pub(crate) fn after(&self, seq: u64) -> Vec<EventRecord> {
        self.records.iter().filter(|record| record.seq > seq).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedder::MasterEvent;

    #[test]
    fn the_last_events_are_remembered_with_their_numbers() {
        let mut journal = Journal::default();
        for pid in 1..=120 {
            let description = MasterEvent::Forked { pid }.describe().unwrap();
            journal.add(description, Some(7));
        }
        let all = journal.after(0);
        assert_eq!((all.len(), all[0].seq, all[0].pid), (EVENTS, 21, Some(21)));
        assert_eq!((all[99].seq, all[99].kind, all[99].slot), (120, "start", Some(7)));
        assert_eq!(journal.after(119).len(), 1);
        let long = MasterEvent::Warning { message: "é".repeat(MESSAGE + 1) };
        let record = journal.add(long.describe().unwrap(), None);
        assert_eq!(record.message.chars().count(), MESSAGE);
    }
}

//! The other workers, by their rows on the scoreboard and the descriptors that wake them.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

use crate::balancing::level;
use crate::os::admission_row::AdmissionRow;
use crate::os::scoreboard::Row;
use crate::os::waker::Waker;

/// The most rows that one look compares. With more workers each look begins at others.
const COMPARED: usize = 32;
/// Up to so many workers, waking all of them for a connection costs less than choosing one.
const FEW: usize = 4;

/// The workers that accept beside this one.
#[derive(Debug)]
pub(super) struct Peers {
    own: Row,
    wakers: BTreeMap<usize, Waker>,
    /// The row at which the next look begins.
    first: usize,
    /// Room for the loads of one look.
    loads: Vec<u64>,
}

impl Peers {
    pub(super) fn new(own: Row) -> Self {
        let first = own.index() + 1;
        Self { own, wakers: BTreeMap::new(), first, loads: Vec::with_capacity(COMPARED + 1) }
    }

    /// This worker's own row.
    pub(super) fn own(&self) -> AdmissionRow<'_> {
        self.own.admission()
    }

    pub(super) fn add_waker(&mut self, row: usize, waker: OwnedFd) {
        if row != self.own.index() {
            self.wakers.insert(row, Waker::from(waker));
        }
    }

    /// Whether there are so many workers that not all should be woken for each connection.
    pub(super) fn are_many(&self) -> bool {
        self.own.board().used() > FEW
    }

    /// The rows to compare, without the own one.
    fn rows(&self) -> impl Iterator<Item = (usize, AdmissionRow<'_>)> {
        let (board, own) = (self.own.board(), self.own.index());
        let (used, first) = (board.used().max(1), self.first);
        let all = (0..used.min(COMPARED + 1)).map(move |step| (first + step) % used);
        all.filter(move |row| *row != own).map(|row| (row, board.admission(row)))
    }

    /// Has the next look begin at other rows, if it cannot compare all.
    fn turn(&mut self) {
        let used = self.own.board().used();
        if used > COMPARED + 1 {
            self.first = (self.first + COMPARED) % used;
        }
    }

    /// How many of `waiting` connections of the listener with this bit this worker may take.
    pub(super) fn share(&mut self, bit: u32, waiting: u64, now: u64) -> u64 {
        self.turn();
        let mut loads = std::mem::take(&mut self.loads);
        let own = self.own().load();
        loads.clear();
        loads.push(own);
        loads.extend(self.free(bit, now).map(|(_, load)| load));
        let share = level(&mut loads, waiting).saturating_sub(own).min(waiting);
        self.loads = loads;
        share
    }

    fn free(&self, bit: u32, now: u64) -> impl Iterator<Item = (usize, u64)> {
        let free = self.rows().filter(move |(_, row)| row.is_free(bit, now));
        free.map(|(index, row)| (index, row.load()))
    }

    /// Returns the row and the load of the emptiest other free worker.
    pub(super) fn emptiest(&self, bit: u32, now: u64) -> Option<(usize, u64)> {
        self.free(bit, now).min_by_key(|(_, load)| *load)
    }

    /// Returns the emptiest free worker, if it has no more connections than this one.
    pub(super) fn emptier(&self, bit: u32, now: u64) -> Option<usize> {
        let (row, load) = self.emptiest(bit, now)?;
        (load <= self.own().load()).then_some(row)
    }

    /// Whether a free worker has fewer connections than this one.
    pub(super) fn has_emptier(&self, bit: u32, now: u64) -> bool {
        self.emptiest(bit, now).is_some_and(|(_, load)| load < self.own().load())
    }

    /// Has the worker of a row look at the queues.
    pub(super) fn kick(&self, row: usize, now: u64) {
        if self.own.board().admission(row).kick(now)
            && let Some(waker) = self.wakers.get(&row)
        {
            waker.wake();
        }
    }
}

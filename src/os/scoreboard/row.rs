//! A worker's row.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::field::Field;
use super::header::USED;
use super::memory::{FIELDS, Scoreboard};

/// The last cell of a row, which JavaScript does not know: whether a process is taking from the
/// worker's channel.
const CLAIM: usize = FIELDS - 1;
/// Cells of the lock that a worker holds for its life, and the one behind them that says where in
/// them the kernel's word is; see `exit_lock`.
const LOCK: usize = Field::NAMES.len();
pub(in crate::os) const LOCK_CELLS: usize = 6;
const LOCK_PLACE: usize = LOCK + LOCK_CELLS;
/// The first cell that `admission_row` has.
pub(in crate::os) const ADMISSION: usize = FIELDS - 6;
const _: () = assert!(LOCK_PLACE < ADMISSION);

impl Scoreboard {
    /// Returns row `index`, or `None` beyond the end.
    pub fn row(self: &Arc<Self>, index: usize) -> Option<Row> {
        (index < self.rows()).then(|| Row { board: Arc::clone(self), index })
    }
}

/// One worker's row.
#[derive(Debug, Clone)]
pub struct Row {
    board: Arc<Scoreboard>,
    index: usize,
}

impl Row {
    fn cell(&self, field: usize) -> &AtomicU64 {
        self.board.cell(self.index + 1, field)
    }

    /// Returns the cells of what it wrote last.
    pub(in crate::os) fn text(&self) -> &[AtomicU64] {
        self.board.text(self.index)
    }

    /// Returns the address of the lock's cells.
    pub(in crate::os) fn lock_address(&self) -> *mut u64 {
        self.board.place(self.index + 1, LOCK).as_ptr().cast()
    }

    /// Returns where in the lock the kernel's word is, from 1 on; 0: nobody holds it yet.
    pub(in crate::os) fn lock_place(&self) -> &AtomicU64 {
        self.cell(LOCK_PLACE)
    }

    /// Returns the scoreboard that it belongs to.
    pub fn board(&self) -> &Arc<Scoreboard> {
        &self.board
    }

    /// Reads one number; NaN and infinity, which a broken worker may write, count as 0.
    pub fn get(&self, field: Field) -> f64 {
        let value = f64::from_bits(self.cell(field as usize).load(Ordering::Relaxed));
        if value.is_finite() { value } else { 0.0 }
    }

    /// Reads one number as a count.
    pub fn count(&self, field: Field) -> u64 {
        self.get(field).max(0.0) as u64
    }

    /// Writes one number.
    pub fn set(&self, field: Field, value: f64) {
        self.cell(field as usize).store(value.to_bits(), Ordering::Relaxed);
    }

    /// Adds to one number. Only its single writer may call this.
    pub fn add(&self, field: Field, value: f64) {
        self.set(field, self.get(field) + value);
    }

    /// Claims this worker's channel, so that worker and master do not take from it at the same
    /// time. `None`: the other side has it, for the time of a few system calls; or for ever, if the
    /// worker died meanwhile.
    pub fn claim(&self) -> Option<Claim<'_>> {
        let taken = self.cell(CLAIM).compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed);
        taken.is_ok().then(|| Claim(self))
    }

    /// Zeroes the row before a worker gets it.
    pub fn clear(&self) {
        (0..FIELDS).for_each(|field| self.cell(field).store(0, Ordering::Relaxed));
        self.text().iter().take(1).for_each(|kept| kept.store(0, Ordering::Relaxed));
        self.board.cell(0, USED).fetch_max(self.index as u64 + 1, Ordering::Relaxed);
    }

    /// Returns its index.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Returns its address, for JavaScript: `ROW_BYTES` bytes that stay mapped while this `Row`
    /// lives.
    pub fn address(&self) -> *mut u8 {
        std::ptr::from_ref(self.cell(0)).cast_mut().cast()
    }
}

/// A claim of [`Row::claim`]; ends when it is dropped.
#[derive(Debug)]
pub struct Claim<'a>(&'a Row);

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.0.cell(CLAIM).store(0, Ordering::Release);
    }
}

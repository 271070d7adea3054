//! The scoreboard: shared memory (a memfd) with one row of numbers for each living worker, and a
//! header for the whole cluster.
//!
//! A worker writes its own row, by plain stores from JavaScript or from its native thread. The
//! master only reads it, and clears it before a worker gets it. So reporting costs no system call,
//! and the numbers outlive the worker. All numbers are doubles, because JavaScript writes doubles;
//! each is read and written as a whole. Every process can write the header, and all see it at once.
//! So can the counters of listeners, behind the rows. After these comes what each worker wrote
//! last (`last_text`).

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{MemfdFlags, SealFlags};
use rustix::mm::{MapFlags, ProtFlags};

/// Numbers in a row: whole cache lines, so that two workers never share one.
pub const FIELDS: usize = 32;
/// Bytes in a row.
pub const ROW_BYTES: usize = FIELDS * size_of::<f64>();
/// Bytes for what each worker wrote last; see `last_text`.
pub const TEXT_BYTES: usize = 2_048;

/// The numbers of a row. `lib/http/counters.js` knows the order; a test compares the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Field {
    /// Connections ever taken off the channel.
    Taken,
    /// Time of the last heartbeat, milliseconds on the monotonic clock.
    Beat,
    /// Open connections.
    ConnectionsActive,
    /// Connections ever served.
    ConnectionsTotal,
    /// Connections ended by the idle time-out.
    ConnectionsTimedOut,
    /// Requests being answered.
    RequestsActive,
    /// Requests ever begun.
    RequestsTotal,
    /// How late the last heartbeat was, milliseconds.
    EventLoopDelay,
    /// Resident memory, bytes.
    Rss,
    /// Processor time used since the start, milliseconds.
    Cpu,
    /// The number from which on a new descriptor shows that the process has no room for many more.
    LastDescriptor,
    /// Whether its event loop waits for events: 1 or 0. See `admission_row`.
    Polling,
    /// When `Rss` and `Cpu` were measured, and how busy the event loop was: see
    /// `measured`.
    Measured,
}

/// The last cell of a row, which JavaScript does not know: whether a process is taking from the
/// worker's channel.
const CLAIM: usize = FIELDS - 1;
/// Cells of the lock that a worker holds for its life, and the one behind them that says where in
/// them the kernel's word is; see `exit_lock`.
const LOCK: usize = Field::NAMES.len();
pub(super) const LOCK_CELLS: usize = 6;
const LOCK_PLACE: usize = LOCK + LOCK_CELLS;
/// The first cell that `admission_row` has.
pub(super) const ADMISSION: usize = FIELDS - 6;
const _: () = assert!(LOCK_PLACE < ADMISSION);

impl Field {
    /// The names in order, for the comparison with JavaScript.
    pub const NAMES: [&str; 13] = [
        "taken",
        "beat",
        "connectionsActive",
        "connectionsTotal",
        "connectionsTimedOut",
        "requestsActive",
        "requestsTotal",
        "eventLoopDelay",
        "rss",
        "cpu",
        "lastDescriptor",
        "polling",
        "measured",
    ];
}

/// The mapped memory; unmapped when the last row is dropped.
#[derive(Debug)]
pub struct Scoreboard {
    /// For workers; `None` where there are none.
    memory: Option<OwnedFd>,
    base: NonNull<AtomicU64>,
    rows: usize,
}

// SAFETY: the mapping lives until drop, belongs to no thread, and is only accessed through atomics.
unsafe impl Send for Scoreboard {}
// SAFETY: as above.
unsafe impl Sync for Scoreboard {}

impl Scoreboard {
    /// Creates one, all zero, of a size that no process can change.
    pub fn create(rows: usize) -> io::Result<Arc<Self>> {
        let memory = rustix::fs::memfd_create(
            "cluster2-scoreboard",
            MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING,
        )?;
        rustix::fs::ftruncate(&memory, length(rows) as u64)?;
        rustix::fs::fcntl_add_seals(
            &memory,
            SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL,
        )?;
        let mut board = Self::map(&memory, rows)?;
        board.memory = Some(memory);
        Ok(Arc::new(board))
    }

    /// Creates one for this process alone.
    pub fn alone(rows: usize) -> io::Result<Arc<Self>> {
        let mut board = Self::create(rows)?;
        if let Some(board) = Arc::get_mut(&mut board) {
            board.memory = None;
        }
        Ok(board)
    }

    /// Maps the master's, from the descriptor that a worker inherited.
    pub fn open(memory: OwnedFd) -> io::Result<Arc<Self>> {
        const FIXED: usize = (1 + COUNTER_ROWS) * ROW_BYTES;
        let bytes = (rustix::fs::fstat(&memory)?.st_size as usize).checked_sub(FIXED);
        let rows = bytes.ok_or(io::ErrorKind::InvalidData)? / (ROW_BYTES + TEXT_BYTES);
        Ok(Arc::new(Self::map(&memory, rows)?))
    }

    fn map(memory: &OwnedFd, rows: usize) -> io::Result<Self> {
        let length = length(rows);
        // SAFETY: the kernel chooses the address, so that it overlaps no other memory. The file has
        // `length` bytes and is sealed against shrinking, so that no access can fault.
        let base = unsafe {
            rustix::mm::mmap(
                std::ptr::null_mut(),
                length,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED,
                memory,
                0,
            )
        }?;
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { memory: None, base, rows })
    }

    /// Returns the descriptor for workers. Fails if it was created for one process alone.
    pub fn memory(&self) -> io::Result<BorrowedFd<'_>> {
        self.memory.as_ref().map(AsFd::as_fd).ok_or_else(|| io::ErrorKind::Unsupported.into())
    }

    /// Returns the number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Returns row `index`, or `None` beyond the end.
    pub fn row(self: &Arc<Self>, index: usize) -> Option<Row> {
        (index < self.rows).then(|| Row { board: Arc::clone(self), index })
    }

    /// Returns the header.
    pub fn header(self: &Arc<Self>) -> Header {
        Header(Arc::clone(self))
    }

    /// Returns how many rows, from the first on, have ever had a worker.
    pub fn used(&self) -> usize {
        (self.cell(0, USED).load(Ordering::Relaxed) as usize).min(self.rows)
    }

    /// Row 0 is the header, row 1 the first worker's. After the last worker's come the counters of
    /// listeners.
    pub(super) fn cell(&self, row: usize, field: usize) -> &AtomicU64 {
        debug_assert!(row <= self.rows + COUNTER_ROWS && field < FIELDS);
        // SAFETY: callers keep `row` within the header, the rows and the counters, and `field`
        // below FIELDS, so that the cell lies in the mapping.
        let cell = unsafe { self.base.add(row * FIELDS + field) };
        // SAFETY: the mapping lives as long as `self`; the cell is aligned, and atomic.
        unsafe { cell.as_ref() }
    }

    /// Returns the cells of what the worker of row `index` wrote last.
    fn text(&self, index: usize) -> &[AtomicU64] {
        const CELLS: usize = TEXT_BYTES / size_of::<AtomicU64>();
        debug_assert!(index < self.rows);
        let first = (1 + self.rows + COUNTER_ROWS) * FIELDS + index * CELLS;
        // SAFETY: callers keep `index` within the rows, whose texts end the mapping.
        let start = unsafe { self.base.add(first) };
        // SAFETY: the mapping lives as long as `self`; the cells are aligned, and atomic.
        unsafe { std::slice::from_raw_parts(start.as_ptr(), CELLS) }
    }
}

/// Counters of listeners, one for each that workers can share.
pub const COUNTERS: usize = u64::BITS as usize;
/// Rows that they occupy.
const COUNTER_ROWS: usize = COUNTERS.div_ceil(FIELDS);

/// Returns the size of the header, `rows` rows, the counters and the texts, bytes.
fn length(rows: usize) -> usize {
    (1 + rows + COUNTER_ROWS) * ROW_BYTES + rows * TEXT_BYTES
}

impl Drop for Scoreboard {
    fn drop(&mut self) {
        // SAFETY: `map` got `base` for this length, and no `Row` is left that could use it.
        let unmapped = unsafe { rustix::mm::munmap(self.base.as_ptr().cast(), length(self.rows)) };
        debug_assert!(unmapped.is_ok());
    }
}

/// The state of the whole cluster: whether load balancers should send it clients.
#[derive(Debug, Clone)]
pub struct Header(Arc<Scoreboard>);

/// The header's fields, in the order that `lib/http/health-check.js` knows.
const SWITCHED: usize = 0;
const LEAVING: usize = 1;
/// Fields of the header that JavaScript does not know: the number of rows that were used, and
/// whether another master has the listening sockets too.
const USED: usize = FIELDS - 1;
const LENT: usize = FIELDS - 2;

impl Header {
    /// Switches the health check on or off at the time `now`, milliseconds since 1970. Time and
    /// direction are one number, so that readers always see both. Returns `false` if it was so
    /// already; then it keeps its time.
    pub fn switch(&self, disabled: bool, now: u64) -> bool {
        let new = if disabled { -(now as f64) } else { now as f64 };
        let change = |old: u64| {
            (old == 0 || (f64::from_bits(old) < 0.0) != disabled).then_some(new.to_bits())
        };
        self.0.cell(0, SWITCHED).fetch_update(Ordering::AcqRel, Ordering::Acquire, change).is_ok()
    }

    /// Returns whether it is switched off, and when that last changed, milliseconds since 1970.
    pub fn switched(&self) -> (bool, u64) {
        let value = f64::from_bits(self.0.cell(0, SWITCHED).load(Ordering::Acquire));
        (value < 0.0, if value.is_finite() { value.abs() as u64 } else { 0 })
    }

    /// Marks the start of the cluster's shutdown at `now`; the first call counts.
    pub fn leave(&self, now: u64) {
        let first = |old: u64| (old == 0).then_some((now as f64).to_bits());
        let _ = self.0.cell(0, LEAVING).fetch_update(Ordering::AcqRel, Ordering::Acquire, first);
    }

    /// Sets whether another master has the listening sockets too: then they go on without this one.
    pub fn lend_sockets(&self, lent: bool) {
        self.0.cell(0, LENT).store(u64::from(lent), Ordering::Release);
    }

    /// Whether another master has the listening sockets too.
    pub fn are_sockets_lent(&self) -> bool {
        self.0.cell(0, LENT).load(Ordering::Acquire) != 0
    }

    /// Counts connections that a worker or the master has accepted from the listener with this
    /// bit, where the option `overload` is on. It only rises.
    pub fn accepted(&self, bit: u32) -> &AtomicU64 {
        let counter = bit as usize % COUNTERS;
        let (row, field) = (counter / FIELDS, counter % FIELDS);
        self.0.cell(1 + self.0.rows + row, field)
    }

    /// Returns its address, for JavaScript: `ROW_BYTES` bytes that stay mapped while this `Header`
    /// lives.
    pub fn address(&self) -> *mut u8 {
        std::ptr::from_ref(self.0.cell(0, 0)).cast_mut().cast()
    }

    /// Returns when the cluster's shutdown started, milliseconds since 1970.
    pub fn leaving(&self) -> Option<u64> {
        let value = f64::from_bits(self.0.cell(0, LEAVING).load(Ordering::Acquire));
        (value > 0.0 && value.is_finite()).then_some(value as u64)
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
    pub(super) fn text(&self) -> &[AtomicU64] {
        self.board.text(self.index)
    }

    /// Returns the address of the lock's cells.
    pub(super) fn lock_address(&self) -> *mut u64 {
        // SAFETY: the row has these cells, as `cell` says.
        unsafe { self.board.base.add((self.index + 1) * FIELDS + LOCK) }.as_ptr().cast()
    }

    /// Returns where in the lock the kernel's word is, from 1 on; 0: nobody holds it yet.
    pub(super) fn lock_place(&self) -> &AtomicU64 {
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

#[cfg(test)]
#[path = "scoreboard_tests.rs"]
mod tests;

//! The scoreboard: shared memory (a memfd) with one row of numbers for each living worker, and a header that concerns all.
//!
//! A worker writes its own row, by plain stores from JavaScript or from its native thread; the master only reads, but
//! for clearing a row before it is given out. So reporting costs no system call and outlives the worker. All numbers are
//! doubles, because that is what JavaScript writes; each is read and written whole. The header is written by whoever switches
//! something for the whole cluster, and seen by all at once.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{MemfdFlags, SealFlags};
use rustix::mm::{MapFlags, ProtFlags};

/// Numbers in a row; 128 bytes, so that two workers never share a cache line.
pub const FIELDS: usize = 16;
/// Bytes in a row.
pub const ROW_BYTES: usize = FIELDS * size_of::<f64>();

/// What a row holds. The order is known to `lib/http/counters.js`; a test compares the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Field {
    /// Connections ever taken off the channel.
    Taken,
    /// Time of the last event-loop turn that reported, milliseconds on the monotonic clock.
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
    /// Milliseconds by which the last timer was late.
    EventLoopDelay,
    /// Resident memory, bytes.
    Rss,
    /// Processor time used since the start, milliseconds.
    Cpu,
    /// From which number on a new descriptor says that the process has no room for many more.
    LastDescriptor,
}

/// The last cell of a row, of which JavaScript knows nothing: whether somebody takes from the worker's channel.
const CLAIM: usize = FIELDS - 1;

impl Field {
    /// The names in order, for the comparison with JavaScript.
    pub const NAMES: [&str; 11] = [
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
    ];
}

/// The mapping; unmapped when the last row is dropped.
#[derive(Debug)]
pub struct Scoreboard {
    /// What is passed to workers; whoever passes it to nobody keeps no descriptor.
    memory: Option<OwnedFd>,
    base: NonNull<AtomicU64>,
    rows: usize,
}

// SAFETY: the mapping lives until drop, belongs to nobody's stack, and is only accessed through atomics.
#[allow(unsafe_code)]
unsafe impl Send for Scoreboard {}
// SAFETY: as above; shared access is what atomics are for.
#[allow(unsafe_code)]
unsafe impl Sync for Scoreboard {}

impl Scoreboard {
    /// A new one, all zero, of a size that nobody can change.
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

    /// One that is passed to nobody.
    pub fn alone(rows: usize) -> io::Result<Arc<Self>> {
        let mut board = Self::create(rows)?;
        if let Some(board) = Arc::get_mut(&mut board) {
            board.memory = None;
        }
        Ok(board)
    }

    /// The master's, seen from a worker that inherited its descriptor.
    pub fn open(memory: OwnedFd) -> io::Result<Arc<Self>> {
        let rows = (rustix::fs::fstat(&memory)?.st_size as usize / ROW_BYTES).checked_sub(1);
        Ok(Arc::new(Self::map(&memory, rows.ok_or(io::ErrorKind::InvalidData)?)?))
    }

    fn map(memory: &OwnedFd, rows: usize) -> io::Result<Self> {
        let length = length(rows);
        // SAFETY: a new mapping at an address of the kernel's choice overlaps nothing that Rust knows of; the file has
        // `length` bytes and is sealed against shrinking, so no access can fault.
        #[allow(unsafe_code)]
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

    /// What a worker is passed. Fails if there is none to pass.
    pub fn memory(&self) -> io::Result<BorrowedFd<'_>> {
        self.memory.as_ref().map(AsFd::as_fd).ok_or_else(|| io::ErrorKind::Unsupported.into())
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Row `index`, or `None` beyond the end.
    pub fn row(self: &Arc<Self>, index: usize) -> Option<Row> {
        (index < self.rows).then(|| Row { board: Arc::clone(self), index })
    }

    /// What concerns all.
    pub fn header(self: &Arc<Self>) -> Header {
        Header(Arc::clone(self))
    }

    /// Row 0 is the header, row 1 the first worker's.
    fn cell(&self, row: usize, field: usize) -> &AtomicU64 {
        debug_assert!(row <= self.rows && field < FIELDS);
        // SAFETY: callers keep `row` within the rows and the header, and `field` below FIELDS, so the cell lies in the
        // mapping, which lives as long as `self`; it is aligned, and everybody accesses it as a whole.
        #[allow(unsafe_code)]
        unsafe {
            self.base.add(row * FIELDS + field).as_ref()
        }
    }
}

/// Bytes of the header and so many rows.
fn length(rows: usize) -> usize {
    (rows + 1) * ROW_BYTES
}

impl Drop for Scoreboard {
    fn drop(&mut self) {
        // SAFETY: `base` is what `map` got for this length, and no `Row` is left that could use it.
        #[allow(unsafe_code)]
        let unmapped = unsafe { rustix::mm::munmap(self.base.as_ptr().cast(), length(self.rows)) };
        debug_assert!(unmapped.is_ok());
    }
}

/// What concerns the whole cluster: whether load balancers are to send it clients.
#[derive(Debug, Clone)]
pub struct Header(Arc<Scoreboard>);

/// The header's fields, in the order that `lib/http/health-check.js` knows.
const SWITCHED: usize = 0;
const LEAVING: usize = 1;

impl Header {
    /// Switches the health check on or off at the time `now`, milliseconds since 1970. Time and direction are one number, so
    /// that no reader ever sees half of it. False: it was so already, and keeps its time.
    pub fn switch(&self, disabled: bool, now: u64) -> bool {
        let new = if disabled { -(now as f64) } else { now as f64 };
        let change = |old: u64| {
            (old == 0 || (f64::from_bits(old) < 0.0) != disabled).then_some(new.to_bits())
        };
        self.0.cell(0, SWITCHED).fetch_update(Ordering::AcqRel, Ordering::Acquire, change).is_ok()
    }

    /// Whether it is switched off, and since when it is as it is, milliseconds since 1970.
    pub fn switched(&self) -> (bool, u64) {
        let value = f64::from_bits(self.0.cell(0, SWITCHED).load(Ordering::Acquire));
        (value < 0.0, if value.is_finite() { value.abs() as u64 } else { 0 })
    }

    /// The cluster shuts down, as of `now`; the first call counts.
    pub fn leave(&self, now: u64) {
        let first = |old: u64| (old == 0).then_some((now as f64).to_bits());
        let _ = self.0.cell(0, LEAVING).fetch_update(Ordering::AcqRel, Ordering::Acquire, first);
    }

    /// Where it lies, for JavaScript: `ROW_BYTES` bytes that stay mapped while this `Header` lives.
    pub fn address(&self) -> *mut u8 {
        std::ptr::from_ref(self.0.cell(0, 0)).cast_mut().cast()
    }

    /// Since when the cluster shuts down, milliseconds since 1970.
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

    /// Reads one number; what a broken worker wrote and is no number counts as 0.
    pub fn get(&self, field: Field) -> f64 {
        let value = f64::from_bits(self.cell(field as usize).load(Ordering::Relaxed));
        if value.is_finite() { value } else { 0.0 }
    }

    /// Reads one number that counts something.
    pub fn count(&self, field: Field) -> u64 {
        self.get(field).max(0.0) as u64
    }

    /// Writes one number.
    pub fn set(&self, field: Field, value: f64) {
        self.cell(field as usize).store(value.to_bits(), Ordering::Relaxed);
    }

    /// Adds to one number. Only its one writer may call this.
    pub fn add(&self, field: Field, value: f64) {
        self.set(field, self.get(field) + value);
    }

    /// Has nobody else take from this worker's channel at the same time, be it the worker or the master. `None`: somebody
    /// does, for the time of a few system calls. A worker that died meanwhile has it for ever.
    pub fn claim(&self) -> Option<Claim<'_>> {
        let taken = self.cell(CLAIM).compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed);
        taken.is_ok().then(|| Claim(self))
    }

    /// Zeroes the row before it is given to a worker.
    pub fn clear(&self) {
        (0..FIELDS).for_each(|field| self.cell(field).store(0, Ordering::Relaxed));
    }

    /// Its number.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Where it lies, for JavaScript: `ROW_BYTES` bytes that stay mapped while this `Row` lives.
    pub fn address(&self) -> *mut u8 {
        std::ptr::from_ref(self.cell(0)).cast_mut().cast()
    }
}

/// See [`Row::claim`]; ends when it is dropped.
#[derive(Debug)]
pub struct Claim<'a>(&'a Row);

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.0.cell(CLAIM).store(0, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_opens_the_descriptor_sees_the_same_numbers() {
        let board = Scoreboard::create(4).unwrap();
        let other =
            Scoreboard::open(board.memory().unwrap().try_clone_to_owned().unwrap()).unwrap();
        assert_eq!(other.rows(), 4);
        other.row(3).unwrap().add(Field::Cpu, 1.5);
        assert_eq!(board.row(3).unwrap().get(Field::Cpu), 1.5);
        board.row(3).unwrap().clear();
        assert_eq!(other.row(3).unwrap().get(Field::Cpu), 0.0);
        assert!(other.row(4).is_none());
    }

    #[test]
    fn a_switch_is_seen_by_all_and_keeps_its_time_when_it_is_repeated() {
        let board = Scoreboard::create(1).unwrap();
        let other =
            Scoreboard::open(board.memory().unwrap().try_clone_to_owned().unwrap()).unwrap();
        assert!(board.header().switch(false, 1_000), "the start");
        assert!(other.header().switch(true, 2_000));
        assert!(!board.header().switch(true, 3_000));
        assert_eq!(board.header().switched(), (true, 2_000));
        assert!(board.header().switch(false, 4_000));
        assert_eq!(other.header().switched(), (false, 4_000));
        assert_eq!(other.header().leaving(), None);
        board.header().leave(5_000);
        board.header().leave(6_000);
        assert_eq!(other.header().leaving(), Some(5_000));
        assert_eq!(board.row(0).unwrap().count(Field::Taken), 0, "the header is no worker's row");
    }

    #[test]
    fn only_one_at_a_time_takes_from_a_channel() {
        let board = Scoreboard::create(2).unwrap();
        let other =
            Scoreboard::open(board.memory().unwrap().try_clone_to_owned().unwrap()).unwrap();
        let (ours, theirs) = (board.row(1).unwrap(), other.row(1).unwrap());
        let claim = ours.claim().unwrap();
        assert!(theirs.claim().is_none());
        assert!(other.row(0).unwrap().claim().is_some(), "another worker's");
        drop(claim);
        assert!(theirs.claim().is_some());
        std::mem::forget(theirs.claim());
        assert!(ours.claim().is_none(), "its worker died");
        ours.clear();
        assert!(ours.claim().is_some());
    }

    #[test]
    fn nonsense_from_a_worker_counts_as_nothing() {
        let row = Scoreboard::create(1).unwrap().row(0).unwrap();
        for nonsense in [f64::NAN, f64::INFINITY, -5.0] {
            row.set(Field::Taken, nonsense);
            assert_eq!(row.count(Field::Taken), 0);
        }
    }
}

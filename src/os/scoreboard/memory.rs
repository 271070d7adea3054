//! The memory, and where in it is what.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use rustix::fs::{MemfdFlags, SealFlags};
use rustix::mm::{MapFlags, ProtFlags};

/// Numbers in a row: whole cache lines, so that two workers never share one.
pub const FIELDS: usize = 32;
/// Bytes in a row.
pub const ROW_BYTES: usize = FIELDS * size_of::<f64>();
/// Bytes for what each worker wrote last; see `last_text`.
pub const TEXT_BYTES: usize = 2_048;

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

    /// Row 0 is the header, row 1 the first worker's. After the last worker's come the counters of
    /// listeners.
    pub(in crate::os) fn cell(&self, row: usize, field: usize) -> &AtomicU64 {
        // SAFETY: the mapping lives as long as `self`; the cell is aligned, and atomic.
        unsafe { self.place(row, field).as_ref() }
    }

    /// Returns the address of a cell; see [`Self::cell`].
    pub(super) fn place(&self, row: usize, field: usize) -> NonNull<AtomicU64> {
        debug_assert!(row <= self.rows + COUNTER_ROWS && field < FIELDS);
        // SAFETY: callers keep `row` within the header, the rows and the counters, and `field`
        // below FIELDS, so that the cell lies in the mapping.
        unsafe { self.base.add(row * FIELDS + field) }
    }

    /// Returns the cells of what the worker of row `index` wrote last.
    pub(super) fn text(&self, index: usize) -> &[AtomicU64] {
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

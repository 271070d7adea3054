//! The scoreboard: shared memory (a memfd) with one row of numbers for each living worker, and a
//! header for the whole cluster.
//!
//! A worker writes its own row, by plain stores from JavaScript or from its native thread. The
//! master only reads it, and clears it before a worker gets it. So reporting costs no system call,
//! and the numbers outlive the worker. All numbers are doubles, because JavaScript writes doubles;
//! each is read and written as a whole. Every process can write the header, and all see it at once.
//! So can the counters of listeners, behind the rows. After these comes what each worker wrote
//! last (`last_text`).

mod field;
mod header;
mod memory;
mod row;

pub use field::Field;
pub use header::Header;
pub use memory::{COUNTERS, FIELDS, ROW_BYTES, Scoreboard, TEXT_BYTES};
pub(super) use row::{ADMISSION, LOCK_CELLS};
pub use row::{Claim, Row};

#[cfg(test)]
mod tests;

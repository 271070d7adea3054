//! Crashes in a row without a ready worker, after which the cluster gives up.

/// The crashes since a worker was ready.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Crashes {
    in_a_row: u32,
    /// Whether any worker was ever ready.
    had_ready_worker: bool,
}

impl Crashes {
    /// Counts one. Returns their number.
    pub(super) fn add(&mut self) -> u32 {
        self.in_a_row += 1;
        self.in_a_row
    }

    /// A worker is ready.
    pub(super) fn end(&mut self) {
        *self = Self { in_a_row: 0, had_ready_worker: true };
    }

    /// Whether no worker was ever ready.
    pub(super) fn are_of_first_start(&self) -> bool {
        !self.had_ready_worker
    }
}

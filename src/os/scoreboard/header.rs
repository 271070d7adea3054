//! The header: the state of the whole cluster, and the counters of listeners.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::memory::{COUNTERS, FIELDS, Scoreboard};

/// The fields, in the order that `lib/http/health-check.js` knows.
const SWITCHED: usize = 0;
const LEAVING: usize = 1;
/// Fields that JavaScript does not know: the number of rows that were used, whether another master
/// has the listening sockets too, and whether that one may still go on instead of this one.
pub(super) const USED: usize = FIELDS - 1;
const LENT: usize = FIELDS - 2;
const ON_TRIAL: usize = FIELDS - 3;

impl Scoreboard {
    /// Returns the header.
    pub fn header(self: &Arc<Self>) -> Header {
        Header(Arc::clone(self))
    }

    /// Returns how many rows, from the first on, have ever had a worker.
    pub fn used(&self) -> usize {
        (self.cell(0, USED).load(Ordering::Relaxed) as usize).min(self.rows())
    }
}

/// The state of the whole cluster: whether load balancers should send it clients.
#[derive(Debug, Clone)]
pub struct Header(Arc<Scoreboard>);

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

    /// Sets whether a former master may still go on instead of this one.
    pub fn set_on_trial(&self, on_trial: bool) {
        self.0.cell(0, ON_TRIAL).store(u64::from(on_trial), Ordering::Release);
    }

    /// Whether a former master may still go on instead of this one.
    pub fn is_on_trial(&self) -> bool {
        self.0.cell(0, ON_TRIAL).load(Ordering::Acquire) != 0
    }

    /// Counts connections that a worker or the master has accepted from the listener with this
    /// bit, where the option `overload` is on. It only rises.
    pub fn accepted(&self, bit: u32) -> &AtomicU64 {
        let counter = bit as usize % COUNTERS;
        let (row, field) = (counter / FIELDS, counter % FIELDS);
        self.0.cell(1 + self.0.rows() + row, field)
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

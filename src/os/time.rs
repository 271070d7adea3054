//! Clocks.

/// Returns milliseconds since 1970, by the machine's clock: for people, never for deadlines.
pub fn wall() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    time.tv_sec.max(0) as u64 * 1000 + time.tv_nsec as u64 / 1_000_000
}

/// Returns microseconds on CLOCK_MONOTONIC.
pub fn now_micros() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000 + time.tv_nsec as u64 / 1_000
}

/// Returns milliseconds on CLOCK_MONOTONIC: the clock of `process.hrtime`, the same in all
/// processes.
pub fn now() -> u64 {
    now_micros() / 1_000
}

//! Clocks.

use std::time::Duration;

use rustix::time::Timespec;

/// Returns milliseconds since 1970, by the machine's clock: for people, never for deadlines.
pub(crate) fn wall() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    time.tv_sec.max(0) as u64 * 1000 + time.tv_nsec as u64 / 1_000_000
}

/// Returns microseconds on CLOCK_MONOTONIC.
pub(crate) fn now_micros() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000 + time.tv_nsec as u64 / 1_000
}

/// Returns milliseconds on CLOCK_MONOTONIC: the clock of `process.hrtime`, the same in all
/// processes.
pub fn now() -> u64 {
    now_micros() / 1_000
}

/// Returns a time as the kernel takes it, at most as long as it can.
pub(crate) fn timespec(time: Duration) -> Timespec {
    Timespec::try_from(time).unwrap_or(Timespec { tv_sec: i64::MAX, tv_nsec: 0 })
}

/// Returns the processor time that this thread has used. It does not run while the thread sleeps or
/// waits for a processor.
pub(crate) fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.max(0) as u64, time.tv_nsec as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_sleeps_uses_no_time_and_one_that_works_does() {
        const SHORT: Duration = Duration::from_millis(40);
        let before = thread_time();
        std::thread::sleep(SHORT);
        assert!(thread_time() - before < SHORT / 2);
        while thread_time() - before < SHORT {}
    }
}

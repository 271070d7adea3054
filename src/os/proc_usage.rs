//! What a process uses, as the kernel counts it: true also while the process itself shows nothing.

use std::mem::MaybeUninit;

use super::process::resident_memory;

/// Memory and processor time of a process.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Usage {
    /// Resident memory, bytes.
    pub(crate) rss: u64,
    /// Processor time since its start, milliseconds.
    pub(crate) cpu: f64,
}

/// Returns what process `pid` uses. `None`: it is gone, or no descriptor is free.
///
/// The caller knows that the number is not reused: it is this process, or a child of it.
pub(crate) fn usage(pid: u32) -> Option<Usage> {
    let rss = resident_memory(pid)?;
    // A process that has ended, and is not reaped, has no memory.
    (rss > 0).then_some(Usage { rss, cpu: processor_time(pid)? })
}

/// Returns the processor time of all threads, milliseconds.
fn processor_time(pid: u32) -> Option<f64> {
    let mut clock = MaybeUninit::uninit();
    let mut time = MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: the place can be written.
    if unsafe { libc::clock_getcpuclockid(libc::pid_t::try_from(pid).ok()?, clock.as_mut_ptr()) }
        != 0
    {
        return None;
    }
    // SAFETY: the call succeeded, which wrote it.
    let clock = unsafe { clock.assume_init() };
    // SAFETY: the place can be written.
    if unsafe { libc::clock_gettime(clock, time.as_mut_ptr()) } != 0 {
        return None;
    }
    // SAFETY: as above.
    let time = unsafe { time.assume_init() };
    Some(time.tv_sec as f64 * 1e3 + time.tv_nsec as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_measured_from_outside_as_it_measures_itself() {
        let (rss, cpu) = crate::os::process::usage();
        let seen = usage(std::process::id()).unwrap();
        assert!(seen.rss > 0 && seen.rss.abs_diff(rss) < rss / 2, "{seen:?}, {rss}");
        assert!(seen.cpu >= cpu && seen.cpu < cpu + 5_000.0, "{seen:?}, {cpu}");
        assert_eq!(usage(u32::MAX), None);
    }
}

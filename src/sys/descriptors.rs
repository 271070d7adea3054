//! Whether this process can receive descriptors.
//!
//! What `recvmsg` cannot install for lack of free descriptors the kernel closes, and with it the client's connection. So
//! it is asked first. Counting costs a walk through `/proc/self/fd`, so it is done again only when a quarter of what was free
//! has been received or accepted since.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Left for whatever else the process opens meanwhile.
const MARGIN: usize = 4;

static UNCOUNTED: AtomicUsize = AtomicUsize::new(0);
/// The limit at the last count; an administrator may change it at any time.
static LIMIT: AtomicUsize = AtomicUsize::new(0);

/// From which number on a new descriptor says that there is no room for `wanted` more.
pub fn last(wanted: usize) -> usize {
    limit().saturating_sub(wanted + MARGIN)
}

/// How many descriptors this process may have.
fn limit() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    limit.map_or(usize::MAX, |limit| limit as usize)
}

/// Whether `wanted` more descriptors will fit. Answers true only if they do.
pub fn fit(wanted: usize) -> bool {
    if wanted == 0 {
        return true;
    }
    let limit = limit();
    let left = UNCOUNTED.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(wanted));
    if left.is_ok() && LIMIT.swap(limit, Ordering::Relaxed) == limit {
        return true;
    }
    let free = free(limit);
    UNCOUNTED.store(free / 4, Ordering::Relaxed);
    free >= wanted + MARGIN
}

/// So many more were opened by other means.
pub fn spend(count: usize) {
    // Nothing is left of an empty account; the next question counts anew.
    let _ = UNCOUNTED.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| Some(left.saturating_sub(count)));
}

fn free(limit: usize) -> usize {
    // Not even one is left to open the directory with: none is free.
    let Ok(open) = std::fs::read_dir("/proc/self/fd") else { return 0 };
    limit.saturating_sub(open.count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_less_than_the_limit() {
        assert!(fit(1));
        assert!(!fit(usize::MAX / 4));
        assert!(fit(32));
    }
}

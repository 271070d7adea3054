//! The operating system: processes, sockets, descriptors, shared memory, files. Linux only.
//!
//! The only place with `unsafe`, but for one line of `binding`. Knows nothing of clusters: each file wraps one kind of kernel object behind safe,
//! owned types. Every descriptor made here is close-on-exec.

pub mod activation;
pub mod channel;
pub mod contained_files;
pub mod descriptors;
pub mod directory;
pub mod listener;
pub mod node_listener;
pub mod process;
pub mod scoreboard;
pub mod socket_file;
pub mod spawn;
pub mod terminal;
pub mod thread;
pub mod uv;

/// Milliseconds since 1970, by the machine's clock: for people, never for deadlines.
pub fn wall() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    time.tv_sec.max(0) as u64 * 1000 + time.tv_nsec as u64 / 1_000_000
}

/// Microseconds on CLOCK_MONOTONIC.
pub fn now_micros() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000 + time.tv_nsec as u64 / 1_000
}

/// Milliseconds on CLOCK_MONOTONIC: the clock of `process.hrtime`, the same in all processes.
pub fn now() -> u64 {
    now_micros() / 1_000
}

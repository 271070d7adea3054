//! The numbers of a row that JavaScript knows, too.

/// The numbers of a row. `lib/http/counters.js` knows the order; a test compares the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Field {
    /// Connections ever taken off the channel.
    Taken,
    /// Time of the last heartbeat, milliseconds on the monotonic clock.
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
    /// How late the last heartbeat was, milliseconds.
    EventLoopDelay,
    /// Resident memory, bytes.
    Rss,
    /// Processor time used since the start, milliseconds.
    Cpu,
    /// The number from which on a new descriptor shows that the process has no room for many more.
    LastDescriptor,
    /// Whether its event loop waits for events: 1 or 0. See `admission_row`.
    Polling,
    /// When `Rss` and `Cpu` were measured, and how busy the event loop was: see
    /// `measured`.
    Measured,
}

impl Field {
    /// The names in order, for the comparison with JavaScript.
    pub const NAMES: [&str; 13] = [
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
        "polling",
        "measured",
    ];
}

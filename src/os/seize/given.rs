//! What travels with a connection.

/// What a connection is given away with: its listener, and the numbers of its past.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Given {
    pub(crate) listener: u32,
    pub(crate) stage: u32,
    pub(crate) since: u32,
    pub(crate) timeout: u32,
    pub(crate) requests: u32,
}

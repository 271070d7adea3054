//! An accepted connection.

use std::net::IpAddr;
use std::os::fd::OwnedFd;

use crate::os::listener;
use crate::protocol::Origin;

/// An accepted connection that no worker has taken yet.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) fd: OwnedFd,
    /// Where it came in, and what it has behind it.
    pub(super) origin: Origin,
    /// The client's address, on TCP.
    pub(super) client: Option<IpAddr>,
    /// The request on it that its last worker did not answer.
    pub(super) request: Option<Box<[u8]>>,
}

impl Connection {
    /// The connections of one frame that came off a channel.
    pub(super) fn from_frame(
        fds: Vec<OwnedFd>,
        origins: Vec<Origin>,
    ) -> impl Iterator<Item = Self> {
        fds.into_iter().zip(origins).map(|(fd, origin)| Self::back(fd, origin, None))
    }

    /// The connection of a frame with a request.
    pub(super) fn with_request(
        fds: Vec<OwnedFd>,
        origin: Origin,
        request: Box<[u8]>,
    ) -> Option<Self> {
        fds.into_iter().next().map(|fd| Self::back(fd, origin, Some(request)))
    }

    fn back(fd: OwnedFd, origin: Origin, request: Option<Box<[u8]>>) -> Self {
        let client = listener::client_of(&fd);
        Self { fd, origin, client, request }
    }
}

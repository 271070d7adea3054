//! An accepted connection.

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};

use crate::os::channel::{Channel, MAX_FDS};
use crate::os::listener;
use crate::protocol::{Origin, frame};

/// An accepted connection that no worker has taken yet.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) fd: OwnedFd,
    /// Where it came in, and its past.
    pub(crate) origin: Origin,
    /// The client's address, on TCP.
    pub(crate) client: Option<IpAddr>,
    /// The request on it that its last worker did not answer.
    pub(crate) request: Option<Box<[u8]>>,
}

impl Connection {
    /// The connections of one frame that came off a channel. Only one that came alone has a
    /// `request`.
    pub(crate) fn from_frame(
        fds: Vec<OwnedFd>,
        origins: Vec<Origin>,
        mut request: Option<Box<[u8]>>,
    ) -> impl Iterator<Item = Self> {
        fds.into_iter().zip(origins).map(move |(fd, origin)| {
            let client = listener::client_of(&fd);
            Self { fd, origin, client, request: request.take() }
        })
    }
}

/// Sends the first connections of `outbox` together, or one with a request alone, and only then
/// takes them out. `to_other`: returns the origin as the other end
/// knows it. Returns how many were sent; 0: none is left.
pub(crate) fn send_first(
    channel: &Channel,
    outbox: &mut VecDeque<Connection>,
    to_other: impl Fn(Origin) -> Origin,
) -> io::Result<usize> {
    let Some(first) = outbox.front() else { return Ok(0) };
    let mut fds = [first.fd.as_fd(); MAX_FDS];
    let count = if let Some(request) = &first.request {
        channel.send(&frame::request(to_other(first.origin), request), &fds[..1])?;
        1
    } else {
        let alike = || outbox.iter().take_while(|connection| connection.request.is_none());
        let mut count = 0;
        for (fd, connection) in fds.iter_mut().zip(alike()) {
            *fd = connection.fd.as_fd();
            count += 1;
        }
        let origins = alike().take(count).map(|connection| to_other(connection.origin));
        channel.send(&frame::connections(origins), &fds[..count])?;
        count
    };
    outbox.drain(..count);
    Ok(count)
}

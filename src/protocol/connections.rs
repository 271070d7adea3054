//! Connections between master and worker: the frame that travels beside their descriptors.
//!
//! A connection whose request another worker is to answer has a frame of its own, with the bytes of
//! the request.

use std::ops::Deref;

use super::messages::ListenerId;

/// The most connections in one frame.
pub const MAX_CONNECTIONS: usize = 32;

/// First byte of such a frame.
const CONNECTIONS: u8 = 1;
/// First byte of a frame with a request.
const REQUEST: u8 = 5;

/// Bytes that describe one connection: five numbers of four bytes.
pub(super) const ORIGIN: usize = 20;

/// Where a connection came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// The listener that accepted it.
    pub listener: ListenerId,
    /// What happened to it before.
    pub past: Past,
}

/// The past of a connection that another worker gave back; all 0 for a new one. The worker that
/// gets it applies Node's time-outs and limits as if it had not moved
/// (`lib/http/moved-connection.js`). The master only passes it on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Past {
    /// 0: it is new; 1: nothing was read on it yet; 2: it is between two messages; 3: as 2, and
    /// `keepAliveTimeout` runs. Plus 4 if its time-out is over and was emitted. Plus 8 for each
    /// worker that has ended with it since its last request was answered.
    pub stage: u32,
    /// When something last moved on it: the low 32 bits of [`os::now`](crate::os::now).
    pub since: u32,
    /// Its socket's time-out, milliseconds; 0: it has none.
    pub timeout: u32,
    /// How many of its requests count for `maxRequestsPerSocket`.
    pub requests: u32,
}

/// The bytes of a frame for connections, on the stack: one is made for every few connections.
#[derive(Debug)]
pub struct ConnectionsFrame {
    bytes: [u8; 1 + ORIGIN * MAX_CONNECTIONS],
    length: usize,
}

impl Deref for ConnectionsFrame {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// Returns the frame for one connection and the request that its last worker did not answer.
pub fn encode_request(origin: Origin, request: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(1 + ORIGIN + request.len());
    frame.push(REQUEST);
    numbers(origin).iter().for_each(|number| frame.extend_from_slice(&number.to_le_bytes()));
    frame.extend_from_slice(request);
    frame
}

fn decode_request(frame: &[u8], fds: usize) -> Option<(Origin, Box<[u8]>)> {
    let (origin, request) = frame.strip_prefix(&[REQUEST])?.split_first_chunk::<ORIGIN>()?;
    let (numbers, _) = origin.as_chunks::<4>();
    let (origins, _) = numbers.as_chunks::<5>();
    let origin = origins.first().filter(|_| fds == 1 && !request.is_empty())?;
    Some((decode_origin(origin), request.into()))
}

/// Returns the frame for at most [`MAX_CONNECTIONS`] connections, in the order of their
/// descriptors.
pub fn encode(origins: impl Iterator<Item = Origin>) -> ConnectionsFrame {
    let mut frame =
        ConnectionsFrame { bytes: [CONNECTIONS; 1 + ORIGIN * MAX_CONNECTIONS], length: 1 };
    let (chunks, _) = frame.bytes[1..].as_chunks_mut::<ORIGIN>();
    for (chunk, origin) in chunks.iter_mut().zip(origins) {
        let (bytes, _) = chunk.as_chunks_mut::<4>();
        for (bytes, number) in bytes.iter_mut().zip(numbers(origin)) {
            *bytes = number.to_le_bytes();
        }
        frame.length += ORIGIN;
    }
    frame
}

/// The origins of the connections of a frame, and the request that came with the only one.
pub(super) type Arrivals = (Vec<Origin>, Option<Box<[u8]>>);

/// Reads either frame, which came with `fds` descriptors: the origin of each connection, and the
/// request of one that came alone with it. `None` for any other frame.
pub(super) fn decode(frame: &[u8], fds: usize) -> Option<Arrivals> {
    if let Some((origin, request)) = decode_request(frame, fds) {
        return Some((vec![origin], Some(request)));
    }
    let numbers =
        frame.strip_prefix(&[CONNECTIONS]).filter(|numbers| numbers.len() == fds * ORIGIN)?;
    let (numbers, _) = numbers.as_chunks::<4>();
    let (origins, _) = numbers.as_chunks::<5>();
    Some((origins.iter().map(decode_origin).collect(), None))
}

fn numbers(Origin { listener, past }: Origin) -> [u32; 5] {
    [listener, past.stage, past.since, past.timeout, past.requests]
}

fn decode_origin(numbers: &[[u8; 4]; 5]) -> Origin {
    let [listener, stage, since, timeout, requests] = numbers.map(u32::from_le_bytes);
    Origin { listener, past: Past { stage, since, timeout, requests } }
}

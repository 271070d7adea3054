//! What goes between master and worker.
//!
//! A message is one frame. Connections travel on the channel, as a list of their origins beside as many descriptors. Orders and
//! reports are JSON, and travel on a socket pair of their own: they never wait behind connections for which there are
//! no descriptors. Beside the answer to `Bind` may travel the descriptor of the worker's lane.
//!
//! A report that is longer than a frame goes in several: all but the last are *parts*.
//!
//! A *question* is a report whose answer the worker waits for. The end of a socket pair travels beside it, on which the master
//! sends the order that answers. So whatever else the master sent stays where it is meanwhile.

use std::borrow::Cow;
use std::ops::Deref;

use serde::{Deserialize, Serialize};

use crate::protocol::endpoint::Endpoint;

const CONNECTIONS: u8 = 1;
const JSON: u8 = 2;
const QUESTION: u8 = 3;
const PART: u8 = 4;

/// The longest frame in bytes.
pub const MAX_BYTES: usize = 16 * 1024;
/// The longest report in bytes, in however many frames.
pub const MAX_REPORT: usize = 1024 * 1024;

/// The most connections in one frame.
pub const MAX_CONNECTIONS: usize = 32;

/// What is said of one connection: five numbers of four bytes.
const ORIGIN: usize = 20;

/// Names a listening socket of the master.
pub type ListenerId = u32;

/// From the master.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum Order {
    /// The answer to `Bind`: the listener exists.
    Bound {
        /// The request.
        seq: u32,
        /// Its number.
        listener: ListenerId,
        /// For TCP: what `server.address()` tells.
        address: Option<BoundAddress>,
        /// For a unix socket: its path.
        path: Option<String>,
    },
    /// The answer to `Bind`: it cannot be.
    BindFailed {
        /// The request.
        seq: u32,
        /// The kernel's error number, positive.
        errno: i32,
    },
    /// The answer to `Unserve`, where it is a question.
    Unserved,
    /// Finish what you have, then report `Drained`.
    Drain {
        /// Whether idle connections are to be given back, because there is somebody to take them.
        moving: bool,
        /// Listeners that nobody else serves, besides those named before: keep their connections.
        #[serde(default)]
        retired: Vec<ListenerId>,
    },
    /// Nothing is on the way to you: end.
    Leave,
    /// Nothing is to be done: to take this is the sign of life that is asked for.
    Beat,
    /// Open your log files anew, then report `Reopened`.
    Reopen,
}

/// Address of a TCP listener as Node shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoundAddress {
    /// In text.
    pub address: String,
    /// `IPv4` or `IPv6`.
    pub family: String,
    /// The real port.
    pub port: u16,
}

/// From a worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum Report {
    /// A server wants to listen.
    Bind {
        /// Comes back in the answer.
        seq: u32,
        /// Where.
        wanted: Wanted,
    },
    /// Connections of this listener may come.
    Serve {
        /// Which.
        listener: ListenerId,
        /// Whether the worker accepts on its lane by itself.
        #[serde(default)]
        lane: bool,
    },
    /// Connections of this listener may come no more.
    Unserve {
        /// Which.
        listener: ListenerId,
    },
    /// All servers of the app listen; once more where others do later.
    Ready {
        /// Where.
        places: Vec<Endpoint>,
        /// False: it is a script that knows nothing of us, of which nobody can say whether it has more to come.
        settled: bool,
    },
    /// It begins to drain by itself.
    Leaving,
    /// It has nothing left to finish.
    Drained,
    /// For how many connections it has descriptors.
    Room {
        /// How many it will have taken then, since its start; `None`: as many as can come.
        until: Option<u64>,
    },
    /// Its log files are open anew, or cannot be.
    Reopened,
    /// It is about to end by an error that nobody caught.
    LastWords {
        /// The error, shortened.
        words: String,
    },
    /// Its health check came to another result than the one before.
    Checked {
        /// What it found wrong; `None`: all is well.
        problem: Option<String>,
    },
    /// It switched the health check in the scoreboard's header.
    Switched {
        /// The direction.
        disabled: bool,
        /// Who asked, in words.
        by: String,
    },
    /// Something that a person should know.
    Warning {
        /// In words.
        message: String,
    },
    /// What it last wrote to standard error, until it is ready; replaces what it reported before.
    LastLines {
        /// The oldest first.
        lines: Vec<String>,
    },
    /// It received a signal.
    Signal {
        /// Its name, `SIGTERM`.
        signal: String,
    },
}

/// A listener as a worker asks for it; equal requests from all workers get the same one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Wanted {
    /// An IP address, `None` for all; or the path of a unix socket where `port` is `None`.
    pub address: Option<String>,
    /// TCP port.
    pub port: Option<u16>,
    /// Whether `::` leaves IPv4 alone.
    #[serde(default)]
    pub v6_only: bool,
    /// Length of the queue of unaccepted connections.
    #[serde(default)]
    pub backlog: u16,
    /// Tells several `listen(0)` of one worker apart.
    #[serde(default)]
    pub index: u32,
}

/// Where a connection came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// Where it came in.
    pub listener: ListenerId,
    /// What it has behind it.
    pub past: Past,
}

/// What a connection has behind it that another worker gave back; all 0 for a new one. For the worker that gets it, so that Node's
/// time-outs and limits hold as if it had not moved (`lib/http/moved-connection.js`); the master only passes it on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Past {
    /// 0: it is new; 1: nothing was read on it yet; 2: it is between two messages; 3: and `keepAliveTimeout` runs.
    pub stage: u32,
    /// Since when nothing has moved on it, milliseconds of [`sys::now`](crate::sys::now), of which these are the last bits.
    pub since: u32,
    /// Its socket's time-out, milliseconds; 0: it has none.
    pub timeout: u32,
    /// How many of its requests count for `maxRequestsPerSocket`.
    pub requests: u32,
}

impl Past {
    /// Whether a worker has counted it already.
    pub fn is_new(self) -> bool {
        self.stage == 0
    }
}

/// What a frame from the master holds.
#[derive(Debug, PartialEq, Eq)]
pub enum FromMaster {
    /// One for each descriptor that came along.
    Connections(Vec<Origin>),
    /// An order.
    Order(Order),
}

/// What a frame from a worker holds.
#[derive(Debug, PartialEq, Eq)]
pub enum FromWorker {
    /// Connections it gives back, as in [`FromMaster::Connections`].
    Connections(Vec<Origin>),
    /// A report.
    Report(Report),
    /// A report that is answered on the descriptor beside it.
    Question(Report),
}

/// A frame that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("a frame of {length} bytes with {fds} descriptors makes no sense")]
pub struct Malformed {
    length: usize,
    fds: usize,
}

/// The bytes of a frame for connections, on the stack: one is made for every few connections.
#[derive(Debug)]
pub struct Connections {
    bytes: [u8; 1 + ORIGIN * MAX_CONNECTIONS],
    length: usize,
}

impl Deref for Connections {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// The frame for at most [`MAX_CONNECTIONS`] connections, in the order of their descriptors.
pub fn connections(origins: impl Iterator<Item = Origin>) -> Connections {
    let mut frame = Connections { bytes: [CONNECTIONS; 1 + ORIGIN * MAX_CONNECTIONS], length: 1 };
    let (places, _) = frame.bytes[1..].as_chunks_mut::<ORIGIN>();
    for (place, Origin { listener, past }) in places.iter_mut().zip(origins) {
        let numbers = [listener, past.stage, past.since, past.timeout, past.requests];
        let (bytes, _) = place.as_chunks_mut::<4>();
        for (bytes, number) in bytes.iter_mut().zip(numbers) {
            *bytes = number.to_le_bytes();
        }
        frame.length += ORIGIN;
    }
    frame
}

/// The frame for an order.
pub fn order(order: &Order) -> Vec<u8> {
    json(JSON, order)
}

/// The frame for a report, however long.
pub fn report(report: &Report) -> Vec<u8> {
    json(JSON, report)
}

/// The frames in which a report goes. `None`: it is longer than [`MAX_REPORT`], and nobody would read it.
pub fn report_frames(report: &Report) -> Option<Vec<Vec<u8>>> {
    let frame = self::report(report);
    if frame.len() <= MAX_BYTES {
        return Some(vec![frame]);
    }
    let text = frame.get(1..).filter(|text| text.len() <= MAX_REPORT)?;
    let mut frames: Vec<Vec<u8>> =
        text.chunks(MAX_BYTES - 1).map(|part| [&[PART], part].concat()).collect();
    if let Some(kind) = frames.last_mut().and_then(|last| last.first_mut()) {
        *kind = JSON;
    }
    Some(frames)
}

/// Puts parts together again. `parts` is what came of the report under way; returns the frame that is complete by `frame`, if
/// one is. One that is too long comes as the part with which it is, which nothing can be read of.
pub fn join<'a>(parts: &mut Vec<u8>, frame: &'a [u8]) -> Option<Cow<'a, [u8]>> {
    match frame.split_first() {
        Some((&PART, part)) if parts.len() + part.len() <= MAX_REPORT => {
            parts.extend_from_slice(part);
            None
        }
        Some((&PART, _)) => {
            parts.clear();
            Some(Cow::Borrowed(frame))
        }
        Some((&JSON, last)) if !parts.is_empty() => {
            let whole = [&[JSON], &std::mem::take(parts)[..], last].concat();
            Some(Cow::Owned(whole))
        }
        _ => Some(Cow::Borrowed(frame)),
    }
}

/// The frame for a question; the descriptor of the socket for its answer goes beside it.
pub fn question(report: &Report) -> Vec<u8> {
    json(QUESTION, report)
}

fn json(kind: u8, message: &impl Serialize) -> Vec<u8> {
    let mut frame = vec![kind];
    // Writing plain structs to memory cannot fail; an empty frame would be refused by the other side.
    let _ = serde_json::to_writer(&mut frame, message);
    frame
}

/// Reads a frame from the master that came with `fds` descriptors.
pub fn from_master(frame: &[u8], fds: usize) -> Result<FromMaster, Malformed> {
    let malformed = Malformed { length: frame.len(), fds };
    if let Some(origins) = read_connections(frame, fds) {
        return Ok(FromMaster::Connections(origins));
    }
    let order = read_json(JSON, frame)
        .filter(|order| fds == 0 || fds == 1 && matches!(order, Order::Bound { .. }));
    order.map(FromMaster::Order).ok_or(malformed)
}

/// Reads a frame from a worker that came with `fds` descriptors.
pub fn from_worker(frame: &[u8], fds: usize) -> Result<FromWorker, Malformed> {
    let malformed = Malformed { length: frame.len(), fds };
    if let Some(origins) = read_connections(frame, fds) {
        return Ok(FromWorker::Connections(origins));
    }
    let read = match fds {
        0 => read_json(JSON, frame).map(FromWorker::Report),
        1 => read_json(QUESTION, frame).map(FromWorker::Question),
        _ => None,
    };
    read.ok_or(malformed)
}

fn read_connections(frame: &[u8], fds: usize) -> Option<Vec<Origin>> {
    let numbers =
        frame.strip_prefix(&[CONNECTIONS]).filter(|numbers| numbers.len() == fds * ORIGIN)?;
    let (numbers, _) = numbers.as_chunks::<4>();
    let (origins, _) = numbers.as_chunks::<5>();
    Some(origins.iter().map(read_origin).collect())
}

fn read_origin(numbers: &[[u8; 4]; 5]) -> Origin {
    let [listener, stage, since, timeout, requests] = numbers.map(u32::from_le_bytes);
    Origin { listener, past: Past { stage, since, timeout, requests } }
}

fn read_json<T: serde::de::DeserializeOwned>(kind: u8, frame: &[u8]) -> Option<T> {
    serde_json::from_slice(frame.strip_prefix(&[kind])?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_back_as_they_went() {
        let past = Past { stage: 3, since: u32::MAX, timeout: 5_000, requests: 7 };
        let origins = [(7, Past::default()), (0, past), (u32::MAX, past)];
        let origins = origins.map(|(listener, past)| Origin { listener, past });
        let frame = connections(origins.into_iter());
        assert_eq!(from_master(&frame, 3).unwrap(), FromMaster::Connections(origins.to_vec()));
        let order = Order::BindFailed { seq: 3, errno: 98 };
        assert_eq!(
            from_master(&crate::protocol::frame::order(&order), 0).unwrap(),
            FromMaster::Order(order)
        );
        let wanted =
            Wanted { address: None, port: Some(0), v6_only: false, backlog: 511, index: 2 };
        let report = Report::Bind { seq: 1, wanted };
        assert_eq!(
            from_worker(&question(&report), 1).unwrap(),
            FromWorker::Question(report.clone())
        );
        assert_eq!(
            from_worker(&crate::protocol::frame::report(&report), 0).unwrap(),
            FromWorker::Report(report)
        );
    }

    #[test]
    fn descriptors_and_numbers_must_agree() {
        let frame = connections(
            [1, 2].map(|listener| Origin { listener, past: Past::default() }).into_iter(),
        );
        assert!(from_master(&frame, 1).is_err());
        assert!(from_master(&frame[..36], 2).is_err());
        assert!(from_master(&order(&Order::Leave), 1).is_err());
        assert!(from_worker(&report(&Report::Drained), 1).is_err());
        assert!(
            from_worker(&question(&Report::Drained), 0).is_err(),
            "without a socket for its answer"
        );
        let bound = order(&Order::Bound { seq: 1, listener: 1, address: None, path: None });
        assert!(from_master(&bound, 1).is_ok(), "with its lane");
        assert!(from_master(&bound, 2).is_err());
    }

    #[test]
    fn a_long_report_goes_in_several_frames_and_one_that_is_too_long_in_none() {
        let of = |length| Report::LastLines { lines: vec!["x".repeat(length)] };
        for length in [1, MAX_BYTES - 100, MAX_BYTES, 5 * MAX_BYTES, MAX_REPORT - 100] {
            let frames = report_frames(&of(length)).unwrap();
            assert!(frames.iter().all(|frame| (2..=MAX_BYTES).contains(&frame.len())));
            let mut parts = Vec::new();
            let whole: Vec<_> = frames.iter().filter_map(|frame| join(&mut parts, frame)).collect();
            assert_eq!(from_worker(&whole[0], 0).unwrap(), FromWorker::Report(of(length)));
            assert_eq!((whole.len(), parts.len()), (1, 0));
        }
        assert!(report_frames(&of(MAX_REPORT)).is_none());
    }

    #[test]
    fn parts_without_end_are_an_error_and_fill_no_memory() {
        let mut parts = Vec::new();
        let part = [&[PART], &[b'x'; MAX_BYTES - 1][..]].concat();
        let joined = (0..200).find_map(|_| join(&mut parts, &part)).expect("it is told");
        assert!(from_worker(&joined, 0).is_err());
        assert!(parts.is_empty());
        // What comes between is read as ever.
        assert!(join(&mut parts, &part).is_none());
        let frame = connections(std::iter::once(Origin { listener: 1, past: Past::default() }));
        assert!(from_worker(&join(&mut parts, &frame).unwrap(), 1).is_ok());
        assert!(!parts.is_empty());
    }

    #[test]
    fn random_bytes_are_errors_and_never_a_panic() {
        let mut random = fastrand::Rng::with_seed(11);
        for _ in 0..50_000 {
            let mut bytes: Vec<u8> = (0..random.usize(0..40)).map(|_| random.u8(..)).collect();
            if let Some(first) = bytes.first_mut() {
                *first %= 6;
            }
            let _ = from_master(&bytes, random.usize(0..5));
            let _ = from_worker(&bytes, random.usize(0..2));
        }
    }
}

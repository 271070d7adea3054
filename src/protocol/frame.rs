//! One message between master and worker is one frame.
//!
//! The first byte says what a frame holds. Connections travel on the channel, as a list of their
//! origins beside as many descriptors; one with a request travels alone. Orders and reports are
//! JSON, and travel on a socket pair of their own: they never wait behind connections for which
//! descriptors are lacking. The answer to `Bind` may carry the listening socket.
//!
//! A *question* is a report whose answer the worker waits for. It carries one end of a socket pair,
//! on which the master sends the order that answers. All other messages of the master stay where
//! they are meanwhile.

use serde::Serialize;

use super::connections;
use super::connections::Origin;
pub use super::connections::{encode as connections, encode_request as request};
use super::messages::{Order, Report};

/// First byte of an order, of a report and of the last frame of a long report.
pub(super) const JSON: u8 = 2;
/// First byte of a question.
const QUESTION: u8 = 3;

/// The longest frame in bytes.
pub const MAX_BYTES: usize = 16 * 1024;
/// The longest request that travels with its connection, in bytes.
pub const MAX_REQUEST: usize = MAX_BYTES - 1 - connections::ORIGIN;

/// The content of a frame from the master.
#[derive(Debug, PartialEq, Eq)]
pub enum MasterFrame {
    /// The origin of each descriptor that came along. If it is only one, perhaps also the request
    /// that its last worker did not answer.
    Connections(Vec<Origin>, Option<Box<[u8]>>),
    /// What the worker should do.
    Order(Order),
}

/// The content of a frame from a worker.
#[derive(Debug, PartialEq, Eq)]
pub enum WorkerFrame {
    /// Connections it gives back, as in [`MasterFrame::Connections`].
    Connections(Vec<Origin>, Option<Box<[u8]>>),
    /// What happened in the worker.
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

/// Returns the frame for an order.
pub fn order(order: &Order) -> Vec<u8> {
    json(JSON, order)
}

/// Returns the frame for a report, however long.
pub fn report(report: &Report) -> Vec<u8> {
    json(JSON, report)
}

/// Returns the frame for a question. The descriptor of the socket for its answer goes beside it.
pub fn question(report: &Report) -> Vec<u8> {
    json(QUESTION, report)
}

fn json(kind: u8, message: &impl Serialize) -> Vec<u8> {
    let mut frame = vec![kind];
    // Writing plain structs to memory cannot fail; the other side would refuse an empty frame.
    let _ = serde_json::to_writer(&mut frame, message);
    frame
}

/// Reads a frame from the master that came with `fds` descriptors.
pub fn from_master(frame: &[u8], fds: usize) -> Result<MasterFrame, Malformed> {
    let malformed = Malformed { length: frame.len(), fds };
    if let Some((origins, request)) = connections::decode(frame, fds) {
        return Ok(MasterFrame::Connections(origins, request));
    }
    let most = |order: &Order| match order {
        Order::Bound { .. } => 1,
        Order::Wakers { rows } => rows.len(),
        _ => 0,
    };
    let order = read_json(JSON, frame).filter(|order| fds <= most(order));
    order.map(MasterFrame::Order).ok_or(malformed)
}

/// Reads a frame from a worker that came with `fds` descriptors.
pub fn from_worker(frame: &[u8], fds: usize) -> Result<WorkerFrame, Malformed> {
    let malformed = Malformed { length: frame.len(), fds };
    if let Some((origins, request)) = connections::decode(frame, fds) {
        return Ok(WorkerFrame::Connections(origins, request));
    }
    let read = match fds {
        0 => read_json(JSON, frame).map(WorkerFrame::Report),
        1 => read_json(QUESTION, frame).map(WorkerFrame::Question),
        _ => None,
    };
    read.ok_or(malformed)
}

fn read_json<T: serde::de::DeserializeOwned>(kind: u8, frame: &[u8]) -> Option<T> {
    serde_json::from_slice(frame.strip_prefix(&[kind])?).ok()
}

#[cfg(test)]
mod tests {
    use super::super::connections::Past;
    use super::super::messages::Wanted;
    use super::*;

    #[test]
    fn frames_come_back_as_they_went() {
        let past = Past { stage: 3, since: u32::MAX, timeout: 5_000, requests: 7 };
        let origins = [(7, Past::default()), (0, past), (u32::MAX, past)];
        let origins = origins.map(|(listener, past)| Origin { listener, past });
        let frame = connections(origins.into_iter());
        assert_eq!(
            from_master(&frame, 3).unwrap(),
            MasterFrame::Connections(origins.to_vec(), None)
        );
        let alone = request(origins[1], b"GET / HTTP/1.1\r\n\r\n");
        let bytes: Box<[u8]> = b"GET / HTTP/1.1\r\n\r\n".as_slice().into();
        let expected = MasterFrame::Connections(vec![origins[1]], Some(bytes.clone()));
        assert_eq!(from_master(&alone, 1).unwrap(), expected);
        assert_eq!(
            from_worker(&alone, 1).unwrap(),
            WorkerFrame::Connections(vec![origins[1]], Some(bytes))
        );
        assert_eq!(request(origins[0], &[0; MAX_REQUEST]).len(), MAX_BYTES);
        let order = Order::BindFailed { seq: 3, errno: 98 };
        assert_eq!(from_master(&super::order(&order), 0).unwrap(), MasterFrame::Order(order));
        let wanted =
            Wanted { address: None, port: Some(0), v6_only: false, backlog: 511, index: 2 };
        let report = Report::Bind { seq: 1, wanted };
        assert_eq!(
            from_worker(&question(&report), 1).unwrap(),
            WorkerFrame::Question(report.clone())
        );
        assert_eq!(from_worker(&super::report(&report), 0).unwrap(), WorkerFrame::Report(report));
    }

    #[test]
    fn descriptors_and_numbers_must_agree() {
        let frame = connections(
            [1, 2].map(|listener| Origin { listener, past: Past::default() }).into_iter(),
        );
        assert!(from_master(&frame, 1).is_err());
        assert!(from_master(&frame[..36], 2).is_err());
        let origin = Origin { listener: 1, past: Past::default() };
        for fds in [0, 2] {
            assert!(from_worker(&request(origin, b"G"), fds).is_err());
        }
        assert!(from_worker(&request(origin, b""), 1).is_err(), "without a request");
        assert!(from_master(&request(origin, b"G")[..20], 1).is_err());
        assert!(from_master(&order(&Order::Leave), 1).is_err());
        assert!(from_worker(&report(&Report::Drained), 1).is_err());
        assert!(
            from_worker(&question(&Report::Drained), 0).is_err(),
            "without a socket for its answer"
        );
        let bound =
            order(&Order::Bound { seq: 1, listener: 1, address: None, path: None, shared: None });
        assert!(from_master(&bound, 1).is_ok(), "with its socket");
        assert!(from_master(&bound, 2).is_err());
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

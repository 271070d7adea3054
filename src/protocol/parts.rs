//! Reports that are longer than one frame.
//!
//! They travel in several: all except the last are *parts*. What always holds: parts without an end
//! fill no memory.

use std::borrow::Cow;

use super::frame::{self, JSON, MAX_BYTES};
use super::messages::Report;

/// The longest report in bytes, in however many frames.
pub const MAX_REPORT: usize = 1024 * 1024;

/// First byte of a part.
const PART: u8 = 4;

/// Returns the frames of a report. `None`: it is longer than [`MAX_REPORT`], and the master would
/// not read it.
pub fn split(report: &Report) -> Option<Vec<Vec<u8>>> {
    let frame = frame::report(report);
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

/// Puts parts together again. `parts` holds those of the unfinished report. Returns the frame that
/// `frame` completes, if any. When a report is too long, returns the part that exceeds the limit,
/// which then fails to parse.
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

#[cfg(test)]
mod tests {
    use super::super::connections::{self, Origin, Past};
    use super::super::frame::{WorkerFrame, from_worker};
    use super::*;

    #[test]
    fn a_long_report_goes_in_several_frames_and_one_that_is_too_long_in_none() {
        let of = |length| Report::Warning { message: "x".repeat(length) };
        for length in [1, MAX_BYTES - 100, MAX_BYTES, 5 * MAX_BYTES, MAX_REPORT - 100] {
            let frames = split(&of(length)).unwrap();
            assert!(frames.iter().all(|frame| (2..=MAX_BYTES).contains(&frame.len())));
            let mut parts = Vec::new();
            let whole: Vec<_> = frames.iter().filter_map(|frame| join(&mut parts, frame)).collect();
            assert_eq!(from_worker(&whole[0], 0).unwrap(), WorkerFrame::Report(of(length)));
            assert_eq!((whole.len(), parts.len()), (1, 0));
        }
        assert!(split(&of(MAX_REPORT)).is_none());
    }

    #[test]
    fn parts_without_end_are_an_error_and_fill_no_memory() {
        let mut parts = Vec::new();
        let part = [&[PART], &[b'x'; MAX_BYTES - 1][..]].concat();
        let joined = (0..200).find_map(|_| join(&mut parts, &part)).expect("a part too many");
        assert!(from_worker(&joined, 0).is_err());
        assert!(parts.is_empty());
        // Other frames in between are read as usual.
        assert!(join(&mut parts, &part).is_none());
        let origin = Origin { listener: 1, past: Past::default() };
        let frame = connections::encode(std::iter::once(origin));
        assert!(from_worker(&join(&mut parts, &frame).unwrap(), 1).is_ok());
        assert!(!parts.is_empty());
    }
}

//! Channel frames, in both directions: no bytes from the other side panic, and what was read is
//! written the same way.

#![no_main]

use cluster2_rs::protocol::MAX_CONNECTIONS;
use cluster2_rs::protocol::frame::{self, MasterFrame, WorkerFrame};
use cluster2_rs::protocol::parts;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, &[u8])| {
    let (descriptors, bytes) = input;
    let descriptors = usize::from(descriptors) % (MAX_CONNECTIONS + 2);
    if let Ok(MasterFrame::Connections(origins, None)) = frame::from_master(bytes, descriptors) {
        assert_eq!(origins.len(), descriptors);
        if descriptors <= MAX_CONNECTIONS {
            assert_eq!(&*frame::connections(origins.into_iter()), bytes);
        }
    }
    if let Ok(MasterFrame::Connections(origins, Some(request))) =
        frame::from_master(bytes, descriptors)
    {
        assert_eq!((origins.len(), descriptors), (1, 1));
        assert_eq!(frame::request(origins[0], &request), bytes);
    }
    if let Ok(MasterFrame::Order(order)) = frame::from_master(bytes, descriptors) {
        let again = frame::from_master(&frame::order(&order), 0);
        assert_eq!(again.unwrap(), MasterFrame::Order(order));
    }
    match frame::from_worker(bytes, descriptors) {
        Ok(WorkerFrame::Report(report)) => {
            if let Some(frames) = parts::split(&report) {
                let mut joined = Vec::new();
                let whole =
                    frames.iter().filter_map(|frame| parts::join(&mut joined, frame)).last();
                let again = frame::from_worker(&whole.unwrap(), 0);
                assert_eq!(again.unwrap(), WorkerFrame::Report(report.clone()));
            }
        }
        Ok(WorkerFrame::Question(question)) => {
            let again = frame::from_worker(&frame::question(&question), 1);
            assert_eq!(again.unwrap(), WorkerFrame::Question(question));
        }
        Ok(WorkerFrame::Connections(origins, _)) => assert_eq!(origins.len(), descriptors),
        Err(_) => {}
    }
    join(bytes);
});

/// Reads `bytes` as a stream of frames, each behind its length, some of them parts.
fn join(bytes: &[u8]) {
    let (mut joined, mut rest) = (Vec::new(), bytes);
    while let Some((length, following)) = rest.split_first() {
        let (frame, following) = following.split_at(following.len().min(usize::from(*length)));
        if let Some(whole) = parts::join(&mut joined, frame) {
            let _ = frame::from_worker(&whole, 0);
        }
        assert!(joined.len() <= parts::MAX_REPORT);
        rest = following;
    }
}

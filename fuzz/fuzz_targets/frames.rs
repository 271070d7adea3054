//! Channel frames, in both directions: no bytes from the other side panic, and what was read is
//! written the same way.

#![no_main]

use cluster2_rs::protocol::MAX_CONNECTIONS;
use cluster2_rs::protocol::frame::{self, MasterFrame, WorkerFrame};
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
    if let Ok(WorkerFrame::Report(report)) = frame::from_worker(bytes, descriptors) {
        let again = frame::from_worker(&frame::report(&report), 0);
        assert_eq!(again.unwrap(), WorkerFrame::Report(report));
    }
});

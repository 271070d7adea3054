//! Channel frames, in both directions: no bytes from a peer panic, and what was read is written
//! the same way.

#![no_main]

use cluster2_rs::protocol::frame;

use cluster2_rs::protocol::frame::FromMaster;

use cluster2_rs::protocol::frame::FromWorker;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, &[u8])| {
    let (descriptors, bytes) = input;
    let descriptors = usize::from(descriptors) % (frame::MAX_CONNECTIONS + 2);
    if let Ok(FromMaster::Connections(origins)) = frame::from_master(bytes, descriptors) {
        assert_eq!(origins.len(), descriptors);
        if descriptors <= frame::MAX_CONNECTIONS {
            assert_eq!(&*frame::connections(origins.into_iter()), bytes);
        }
    }
    if let Ok(FromMaster::Order(order)) = frame::from_master(bytes, descriptors) {
        let again = frame::from_master(&frame::order(&order), 0);
        assert_eq!(again.unwrap(), FromMaster::Order(order));
    }
    if let Ok(FromWorker::Report(report)) = frame::from_worker(bytes, descriptors) {
        let again = frame::from_worker(&frame::report(&report), 0);
        assert_eq!(again.unwrap(), FromWorker::Report(report));
    }
});

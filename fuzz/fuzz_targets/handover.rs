//! What two masters say to each other in an upgrade, in both directions: no packet panics, what was
//! read is written the same way, and totals only grow.

#![no_main]

use cluster2_rs::protocol::handover::{self, ToHeir};
use cluster2_rs::protocol::totals::Totals;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, &[u8])| {
    let (descriptors, packet) = input;
    let descriptors = usize::from(descriptors % 3);
    if let Some(message) = handover::to_heir(packet, descriptors) {
        match &message {
            ToHeir::Item(_) | ToHeir::Unknown => assert!(descriptors <= 1),
            _ => assert_eq!(descriptors, 0),
        }
        if let ToHeir::Counted { totals, .. } = &message {
            let mut sum = Totals { requests: 7, ..Totals::default() };
            totals.add_to(&mut sum, &["crash", "reload"]);
            assert!(sum.requests >= 7 && sum.exits.len() <= 2);
        }
        let printed = handover::print(&message);
        assert_eq!(handover::to_heir(&printed, descriptors), Some(message));
    }
    if let Some(message) = handover::from_heir(packet) {
        assert_eq!(handover::from_heir(&handover::print(&message)), Some(message));
    }
});

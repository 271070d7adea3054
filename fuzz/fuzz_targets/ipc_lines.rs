//! Lines of Node's IPC: no line panics, a message is passed on to the last digit, and what is
//! answered is a line of JSON.

#![no_main]

use cluster2_rs::protocol::node::{self, NodeLine};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|line: &str| {
    match node::read(line) {
        NodeLine::Message(message) => {
            assert_eq!(message.get(), line.trim_matches([' ', '\t', '\r', '\n']))
        }
        NodeLine::MessageWithHandle { answer, .. } | NodeLine::Internal(Some(answer)) => {
            assert!(!answer.contains('\n'));
            assert!(serde_json::from_str::<Value>(&answer).is_ok());
        }
        NodeLine::Internal(None) | NodeLine::Malformed => {}
    }
});

//! Requests on the control socket: whatever a client sends and then closes, the server ends without
//! a panic, and answers in HTTP or not at all.

#![no_main]

use cluster2_rs::remote::http;
use libfuzzer_sys::fuzz_target;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::runtime::{Builder, Runtime};

thread_local! {
    static RUNTIME: Runtime = Builder::new_current_thread().enable_all().build().unwrap();
}

/// More does not fit into a socket that nobody reads yet.
const MAX: usize = 32 * 1024;

fuzz_target!(|input: (bool, &[u8])| {
    let (raw, bytes) = input;
    let bytes = &bytes[..bytes.len().min(MAX)];
    RUNTIME.with(|runtime| runtime.block_on(ask(&request(raw, bytes))));
});

/// The bytes as they are, or as the body of a request.
fn request(raw: bool, bytes: &[u8]) -> Vec<u8> {
    if raw {
        return bytes.to_vec();
    }
    let head = format!("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", bytes.len());
    [head.as_bytes(), bytes].concat()
}

async fn ask(request: &[u8]) {
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let client = async move {
        ours.write_all(request).await.unwrap();
        ours.shutdown().await.unwrap();
        let mut answer = Vec::new();
        // A server that refuses what it has not read resets: no answer is one too.
        let _ = ours.read_to_end(&mut answer).await;
        answer
    };
    let execute = |_| async { Ok(json!({ "running": true })) };
    let (answer, _) = tokio::join!(client, http::serve(theirs, execute));
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1."));
}

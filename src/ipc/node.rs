//! The lines that Node itself speaks on the worker's descriptor 3 (`NODE_CHANNEL_FD`, mode json).
//!
//! Each line is one JSON value. Objects whose `cmd` begins with `NODE_` are between Node and whoever started it, and are
//! not shown to users. What of it needs an answer is seen in Node's `lib/internal/child_process.js` and
//! `lib/internal/cluster/child.js`.

use serde_json::{Value, json};

/// The longest line that is accepted, bytes.
pub const MAX_LINE: usize = 8 * 1024 * 1024;

/// What a line from a worker means.
#[derive(Debug, PartialEq)]
pub enum Line {
    /// `process.send(message)`.
    Message(Value),
    /// `process.send(message, handle)`: the handle cannot come this way; Node waits for the answer.
    MessageWithHandle {
        /// The message.
        message: Value,
        /// The line to send back.
        answer: String,
    },
    /// Node's own; with the line to send back, if it waits for one.
    Internal(Option<String>),
    /// Not JSON.
    Malformed,
}

/// Reads one line.
pub fn read(line: &str) -> Line {
    let Ok(mut value) = serde_json::from_str::<Value>(line) else { return Line::Malformed };
    let command = value.get("cmd").and_then(Value::as_str).unwrap_or_default();
    match command {
        "NODE_HANDLE" => Line::MessageWithHandle {
            message: value.get_mut("msg").map(Value::take).unwrap_or_default(),
            answer: json!({ "cmd": "NODE_HANDLE_ACK" }).to_string(),
        },
        // `cluster.worker.disconnect()` goes on only after this acknowledgement.
        "NODE_CLUSTER" if value["act"] == "exitedAfterDisconnect" => {
            Line::Internal(Some(json!({ "cmd": "NODE_CLUSTER", "ack": value["seq"] }).to_string()))
        }
        _ if command.starts_with("NODE_") => Line::Internal(None),
        _ => Line::Message(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_see_their_messages_and_nothing_of_nodes_own() {
        assert_eq!(read("5"), Line::Message(json!(5)));
        assert_eq!(read(r#"{"cmd":"hello"}"#), Line::Message(json!({ "cmd": "hello" })));
        assert_eq!(read(r#"{"cmd":"NODE_CLUSTER","act":"online","seq":0}"#), Line::Internal(None));
        assert_eq!(read("{"), Line::Malformed);
    }

    #[test]
    fn what_node_waits_for_is_answered() {
        let answer = Some(r#"{"ack":4,"cmd":"NODE_CLUSTER"}"#.to_owned());
        assert_eq!(read(r#"{"cmd":"NODE_CLUSTER","act":"exitedAfterDisconnect","seq":4}"#), Line::Internal(answer));
        let Line::MessageWithHandle { message, answer } =
            read(r#"{"cmd":"NODE_HANDLE","type":"net.Socket","msg":{"a":1}}"#)
        else {
            panic!("a handle")
        };
        assert_eq!((message, answer.as_str()), (json!({ "a": 1 }), r#"{"cmd":"NODE_HANDLE_ACK"}"#));
    }
}

//! Node's own IPC on the worker's descriptor 3 (`NODE_CHANNEL_FD`, mode json).
//!
//! Each line is one JSON value. Objects whose `cmd` begins with `NODE_` are between Node and its
//! parent process, and are not shown to users. Node's `lib/internal/child_process.js` and
//! `lib/internal/cluster/child.js` show which of them need an answer.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// The longest line that is accepted, bytes, without its line break.
pub const MAX_LINE: usize = 8 * 1024 * 1024;

/// A line from a worker.
#[derive(Debug)]
pub enum NodeLine {
    /// `process.send(message)`.
    Message(Box<RawValue>),
    /// `process.send(message, handle)`: the handle cannot come this way; Node waits for the answer.
    MessageWithHandle {
        /// The message.
        message: Box<RawValue>,
        /// The line to send back.
        answer: String,
    },
    /// A line of Node's own, with the line to send back if Node waits for one.
    Internal(Option<String>),
    /// Not JSON.
    Malformed,
}

/// The parts of a line that say whether it is Node's own. All else is passed on unchanged.
#[derive(Deserialize)]
struct Envelope {
    #[serde(default)]
    cmd: Value,
    #[serde(default)]
    act: Value,
    #[serde(default)]
    seq: Value,
    msg: Option<Box<RawValue>>,
}

/// Returns the line to send back for a line that was skipped because of its length, given its
/// beginning. Node sends nothing after a message with a handle until that was answered.
pub fn answer_to_skipped(beginning: &[u8]) -> Option<String> {
    beginning.starts_with(br#"{"cmd":"NODE_HANDLE","#).then(handle_taken)
}

fn handle_taken() -> String {
    json!({ "cmd": "NODE_HANDLE_ACK" }).to_string()
}

/// Reads one line. Messages stay as they are, byte for byte.
pub fn read(line: &str) -> NodeLine {
    let Ok(message) = serde_json::from_str::<Box<RawValue>>(line) else {
        return NodeLine::Malformed;
    };
    if !line.starts_with('{') {
        return NodeLine::Message(message);
    }
    let Ok(Envelope { cmd, act, seq, msg }) = serde_json::from_str(line) else {
        return NodeLine::Message(message);
    };
    match cmd.as_str().unwrap_or_default() {
        "NODE_HANDLE" => {
            NodeLine::MessageWithHandle { message: msg.unwrap_or(message), answer: handle_taken() }
        }
        // `cluster.worker.disconnect()` goes on only after this acknowledgement.
        "NODE_CLUSTER" if act == "exitedAfterDisconnect" => {
            NodeLine::Internal(Some(json!({ "cmd": "NODE_CLUSTER", "ack": seq }).to_string()))
        }
        own if own.starts_with("NODE_") => NodeLine::Internal(None),
        _ => NodeLine::Message(message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(line: &str) -> String {
        match read(line) {
            NodeLine::Message(message) => message.get().to_owned(),
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn users_see_their_messages_and_nothing_of_nodes_own() {
        assert_eq!(message("5"), "5");
        assert_eq!(message(r#"{"cmd":"hello"}"#), r#"{"cmd":"hello"}"#);
        assert!(matches!(
            read(r#"{"cmd":"NODE_CLUSTER","act":"online","seq":0}"#),
            NodeLine::Internal(None)
        ));
        assert!(matches!(read("{"), NodeLine::Malformed));
    }

    #[test]
    fn messages_stay_as_they_were_to_the_last_digit() {
        let deep = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
        assert_eq!(
            message(r#"["NODE_HANDLE"]"#),
            r#"["NODE_HANDLE"]"#,
            "an array is nobody's command"
        );
        for line in [
            r#"{"b":1,"a":0.1000000000000000055}"#,
            r#""\ud800 alone""#,
            r#"{"cmd":7,"cmd":8}"#,
            &deep,
        ] {
            assert_eq!(message(line), line);
        }
    }

    #[test]
    fn what_node_waits_for_is_answered() {
        let expected = r#"{"ack":4,"cmd":"NODE_CLUSTER"}"#;
        let line = read(r#"{"cmd":"NODE_CLUSTER","act":"exitedAfterDisconnect","seq":4}"#);
        assert!(matches!(line, NodeLine::Internal(Some(answer)) if answer == expected));
        let NodeLine::MessageWithHandle { message, answer } =
            read(r#"{"cmd":"NODE_HANDLE","type":"net.Socket","msg":{"a":1}}"#)
        else {
            panic!("a handle")
        };
        assert_eq!(
            (message.get(), answer.as_str()),
            (r#"{"a":1}"#, r#"{"cmd":"NODE_HANDLE_ACK"}"#)
        );
        assert_eq!(
            answer_to_skipped(br#"{"cmd":"NODE_HANDLE","type":"net.Socket","msg":""#),
            Some(answer)
        );
        assert_eq!(answer_to_skipped(br#""xxxxx"#), None);
    }
}

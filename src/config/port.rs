//! Ports, and the names that stand for one: a path, an inherited socket, an abstract name.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::values::{is_text, whole};

/// What stands before the name of a socket that the service manager passed, in place of a path.
pub const INHERITED: &str = "systemd:";

/// Where the app or the monitor listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Port {
    /// A TCP port; 0 lets the kernel choose one.
    Tcp(u16),
    /// The path of a unix socket. For the app it may also be [`Port::is_inherited`] or
    /// [`Port::is_abstract`].
    Unix(String),
}

impl Port {
    /// Reads a port; a number may be a numeric string. `None` for anything else.
    pub(super) fn read(value: &Value) -> Option<Self> {
        match (whole(value), value) {
            (Some(number), _) => u16::try_from(number).ok().map(Self::Tcp),
            (None, Value::String(path))
                if is_text(path) && !looks_numeric(path) && path != INHERITED =>
            {
                Some(Self::Unix(path.clone()))
            }
            (None, Value::String(path)) if is_abstract(path) => Some(Self::Unix(path.clone())),
            _ => None,
        }
    }

    /// Whether it is a socket that the service manager passed: `systemd:` and its name.
    pub fn is_inherited(&self) -> bool {
        matches!(self, Self::Unix(path) if path.starts_with(INHERITED))
    }

    /// Whether it is a unix socket without a file: NUL and its name.
    pub fn is_abstract(&self) -> bool {
        matches!(self, Self::Unix(path) if is_abstract(path))
    }

    /// Whether a list of ports repeats one. Port 0 may be repeated: each is another port.
    pub(super) fn repeats(ports: &[Self]) -> bool {
        ports.iter().enumerate().any(|(i, port)| *port != Self::Tcp(0) && ports[..i].contains(port))
    }
}

fn is_abstract(path: &str) -> bool {
    path.strip_prefix('\0').is_some_and(is_text)
}

/// `-1` or `80.5` is a mistyped port, not the name of a socket.
fn looks_numeric(text: &str) -> bool {
    text.trim().parse::<f64>().is_ok()
}

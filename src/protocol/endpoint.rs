//! The address of an app, as workers report it and as the health check's probe uses it.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// One server of the app: its address, and what is needed to reach it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    #[serde(flatten)]
    pub at: EndpointAddress,
    /// Whether it speaks TLS.
    #[serde(default)]
    pub secure: bool,
}

/// An address on which a server listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum EndpointAddress {
    /// A TCP port.
    Tcp {
        /// An unspecified address stands for all addresses of the machine.
        address: IpAddr,
        /// Never 0.
        port: u16,
    },
    /// A unix socket.
    Unix {
        /// A path that begins with NUL is an abstract name.
        path: PathBuf,
    },
}

impl EndpointAddress {
    /// Makes the path of a unix socket absolute, from `base` or the working directory, if the
    /// result `is_known`.
    pub fn anchor(&mut self, base: Option<&Path>, is_known: impl Fn(&String) -> bool) {
        let Self::Unix { path } = self else { return };
        let from = base.map_or_else(|| path.clone(), |base| base.join(&*path));
        if let Ok(absolute) = std::path::absolute(from)
            && is_known(&absolute.display().to_string())
        {
            *path = absolute;
        }
    }
}

impl From<SocketAddr> for EndpointAddress {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp { address: address.ip(), port: address.port() }
    }
}

impl fmt::Display for EndpointAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { address, port } => SocketAddr::new(*address, *port).fmt(f),
            // An abstract name begins with NUL.
            Self::Unix { path } => match path.to_string_lossy().strip_prefix('\0') {
                Some(name) => write!(f, "@{}", name.trim_end_matches('\0')),
                None => path.display().fmt(f),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_read_as_javascript_writes_it_and_shown_as_people_write_it() {
        let read = |json: &str| serde_json::from_str::<Endpoint>(json);
        let tcp = read(r#"{"address":"::1","port":3000,"secure":true}"#).unwrap();
        assert_eq!((tcp.at.to_string().as_str(), tcp.secure), ("[::1]:3000", true));
        let unix = read(r#"{"path":"/run/app.sock"}"#).unwrap();
        assert_eq!((unix.at.to_string().as_str(), unix.secure), ("/run/app.sock", false));
        assert_eq!(read(r#"{"path":"\u0000app"}"#).unwrap().at.to_string(), "@app");
        for bad in [r#"{"address":"nowhere","port":1}"#, r#"{"address":"::1"}"#, "{}"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}

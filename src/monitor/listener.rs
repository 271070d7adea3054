//! The monitor's listening socket: a TCP port or a unix socket.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use crate::config::{Config, Port};
use crate::error::{ClusterError, Result};
use crate::os::address::{Address, resolve};
use crate::os::listener::Listener;

/// Unaccepted connections that may wait.
const BACKLOG: i32 = 128;
/// With these, a client that vanished is noticed after about two minutes, even on an idle stream.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(60);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(15);
const KEEPALIVE_PROBES: u32 = 4;

/// The monitor's socket. It is bound, but nobody is accepted yet.
#[derive(Debug)]
pub(crate) struct MonitorListener {
    listener: Mutex<Listener>,
    address: Address,
    /// The option `monHost`.
    host: String,
}

impl MonitorListener {
    /// Binds what `monPort` and `monHost` say. Returns `None` if the monitor is off. Fails as the
    /// app's own ports do. If `legacy`, the monitor's socket of a former master, listens there, it
    /// is taken instead.
    pub(crate) fn bind(config: &Config, legacy: Option<OwnedFd>) -> Result<Option<Self>> {
        let address = match &config.mon_port {
            None => return Ok(None),
            Some(Port::Tcp(port)) => {
                Address::Tcp { host: Some(resolve(&config.mon_host)?), port: *port, v6_only: false }
            }
            Some(Port::Unix(path)) => {
                Address::Unix(std::path::absolute(path).unwrap_or_else(|_| path.into()))
            }
        };
        let fail = |source: io::Error| match source.kind() {
            io::ErrorKind::AddrInUse => {
                ClusterError::MonitorPortInUse { address: address.to_string() }
            }
            _ => ClusterError::from_listen(format!("{address} (option 'monPort')"), source),
        };
        let adopted = legacy.and_then(|socket| Listener::adopt(socket, false, BACKLOG).ok());
        let listener = match adopted.filter(|adopted| adopted.address().serves(&address)) {
            Some(adopted) => adopted,
            None => Listener::bind(&address, BACKLOG).map_err(fail)?,
        };
        let address = listener.address().clone();
        Ok(Some(Self { listener: Mutex::new(listener), address, host: config.mon_host.clone() }))
    }

    /// Whether another master has the socket too.
    pub(crate) fn is_lent(&self) -> bool {
        self.listener().is_inherited()
    }

    /// Sets whether another master has the socket too: it then goes on without this one.
    pub(crate) fn set_lent(&self, lent: bool) {
        self.listener().set_lent(lent);
    }

    /// Returns a descriptor of the socket for another master.
    pub(crate) fn share(&self) -> io::Result<OwnedFd> {
        self.listener().as_fd().try_clone_to_owned()
    }

    fn listener(&self) -> MutexGuard<'_, Listener> {
        self.listener.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the address as `status()` shows it: `host:port`, or the socket's path.
    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    /// Returns our IP address. `None`: a unix socket.
    pub(super) fn ip(&self) -> Option<IpAddr> {
        match &self.address {
            Address::Tcp { host, .. } => *host,
            Address::Unix(_) => None,
        }
    }

    /// Returns the names that a `Host` header may have. Empty: any, for a monitor that is not on
    /// loopback. On loopback this keeps out a web page whose own name leads here (DNS rebinding).
    pub(super) fn hosts(&self) -> Vec<String> {
        match self.ip() {
            Some(ip) if ip.is_loopback() => {
                ["localhost", "127.0.0.1", "::1", &self.host, &ip.to_string()]
                    .map(str::to_owned)
                    .into()
            }
            _ => Vec::new(),
        }
    }

    /// Returns the socket for the current runtime.
    pub(super) fn acceptor(&self) -> io::Result<Acceptor> {
        let socket = self.share()?;
        Ok(match &self.address {
            Address::Tcp { .. } => Acceptor::Tcp(TcpListener::from_std(socket.into())?),
            Address::Unix(_) => Acceptor::Unix(UnixListener::from_std(socket.into())?),
        })
    }
}

#[derive(Debug)]
pub(super) enum Acceptor {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// The address of a client. `None` on a unix socket.
pub(super) type ClientIp = Option<IpAddr>;

pub(super) enum ClientStream {
    Tcp(TcpStream, ClientIp),
    Unix(UnixStream),
}

impl Acceptor {
    pub(super) async fn accept(&self) -> io::Result<ClientStream> {
        match self {
            Self::Tcp(listener) => {
                let (stream, client) = listener.accept().await?;
                // A response has few writes, and none should wait for the acknowledgement of
                // another. A socket that refuses an option works all the same.
                let _ = stream.set_nodelay(true);
                let keepalive = TcpKeepalive::new()
                    .with_time(KEEPALIVE_AFTER)
                    .with_interval(KEEPALIVE_EVERY)
                    .with_retries(KEEPALIVE_PROBES);
                let _ = SockRef::from(&stream).set_tcp_keepalive(&keepalive);
                Ok(ClientStream::Tcp(stream, Some(client.ip().to_canonical())))
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok(ClientStream::Unix(stream))
            }
        }
    }
}

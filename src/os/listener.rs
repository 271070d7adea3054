//! Listening sockets of the master.
//!
//! Each is bound once, non-blocking and close-on-exec; workers never see it, but for lanes. A unix socket's path belongs to whoever
//! listens on it: a path that still answers is in use, one that does not is stale and replaced, and on close the path is
//! removed only if it is still ours. Somebody may remove it before: then another socket can take its place.
//!
//! A *lane* is one of several sockets on one TCP port (`SO_REUSEPORT`), among which the kernel spreads the connections. What always
//! holds: the first lane is bound only where nobody else is, whatever options they have set; and a lane that we let go of listens
//! no more, whoever else has a descriptor of it.
//!
//! One that was inherited from a service manager is shared with it: we only stop accepting, so that who comes then waits in
//! its queue for the next one who does, and its path is never ours.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use crate::error::{ClusterError, Result};
use crate::os::socket_file::{FileState, SocketFile, path};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::{SocketAddrAny, SocketFlags};
use socket2::{Domain, SockAddr, SockFilter, Socket, Type};

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A TCP port. Without a host: all addresses, IPv6 too where the machine has it, as Node does it.
    Tcp {
        /// The interface's address.
        host: Option<IpAddr>,
        /// 0: the kernel chooses.
        port: u16,
        /// Whether `::` leaves IPv4 alone.
        v6_only: bool,
    },
    /// A unix socket. A path that begins with NUL is a name without a file (*abstract*).
    Unix(PathBuf),
}

impl Address {
    /// Whether a socket that listens here is what `wanted` asks for. One for all addresses stands for each way to say so, of
    /// which no second could be bound beside it.
    pub fn serves(&self, wanted: &Self) -> bool {
        match (self, wanted) {
            (
                Self::Tcp { host: Some(host), port, v6_only },
                Self::Tcp { host: asked, port: asked_port, v6_only: asked_v6 },
            ) => {
                let is_all = |ip: IpAddr, v6_only: bool| ip.is_unspecified() && !v6_only;
                let for_all =
                    is_all(*host, *v6_only) && asked.is_none_or(|asked| is_all(asked, *asked_v6));
                port == asked_port && (for_all || *asked == Some(*host) && v6_only == asked_v6)
            }
            (Self::Unix(path), Self::Unix(asked)) => path == asked,
            _ => false,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host: Some(host), port, .. } => SocketAddr::new(*host, *port).fmt(f),
            Self::Tcp { host: None, port, .. } => write!(f, "[::]:{port}"),
            Self::Unix(path) => path::show(path).fmt(f),
        }
    }
}

/// A socket that listens.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    address: Address,
    /// Our unix socket's file.
    file: Option<SocketFile>,
    /// Somebody else has it too, and will go on with it.
    inherited: bool,
    /// Others listen on the same port, and a worker may have it too, but must not go on with it.
    lane: bool,
}

/// How a TCP socket comes to its port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sharing {
    /// For itself.
    Alone,
    /// For itself, but others may join.
    First,
    /// Beside the first.
    Joining,
}

impl Listener {
    /// Binds and listens. `backlog` is how many connections may wait unaccepted.
    pub fn bind(address: &Address, backlog: i32) -> io::Result<Self> {
        match address {
            Address::Tcp { host, port, v6_only } => {
                Self::tcp_on(*host, *port, *v6_only, backlog, Sharing::Alone)
            }
            Address::Unix(path) => Self::unix(path, backlog),
        }
    }

    /// As `bind`, for the first lane of a TCP port; a unix socket has no lanes, and is bound as ever.
    pub fn bind_first_lane(address: &Address, backlog: i32) -> io::Result<Self> {
        match address {
            Address::Tcp { host, port, v6_only } => {
                Self::tcp_on(*host, *port, *v6_only, backlog, Sharing::First)
            }
            Address::Unix(_) => Self::bind(address, backlog),
        }
    }

    /// One more lane beside this one.
    pub fn bind_further_lane(&self, backlog: i32) -> io::Result<Self> {
        match self.address {
            Address::Tcp { host, port, v6_only } if self.lane => {
                Self::tcp_on(host, port, v6_only, backlog, Sharing::Joining)
            }
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    fn tcp_on(
        host: Option<IpAddr>,
        port: u16,
        v6_only: bool,
        backlog: i32,
        sharing: Sharing,
    ) -> io::Result<Self> {
        let tcp = |host: IpAddr, v6_only| {
            Self::tcp(SocketAddr::new(host, port), v6_only, backlog, sharing)
        };
        match host {
            Some(host) => tcp(host, v6_only),
            None => match tcp(Ipv6Addr::UNSPECIFIED.into(), v6_only) {
                Err(error) if no_ipv6(&error) => tcp(Ipv4Addr::UNSPECIFIED.into(), false),
                other => other,
            },
        }
    }

    fn tcp(wanted: SocketAddr, v6_only: bool, backlog: i32, sharing: Sharing) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(wanted), Type::STREAM.nonblocking(), None)?;
        socket.set_reuse_address(true)?;
        if wanted.is_ipv6() {
            socket.set_only_v6(v6_only)?;
        }
        // The first is bound without it: else it would join whoever listens there with it, of the same user, and say nothing.
        socket.set_reuse_port(sharing == Sharing::Joining)?;
        socket.bind(&wanted.into())?;
        socket.set_reuse_port(sharing != Sharing::Alone)?;
        socket.listen(backlog)?;
        let bound = socket.local_addr()?.as_socket().ok_or(io::ErrorKind::InvalidData)?;
        let address = Address::Tcp { host: Some(bound.ip()), port: bound.port(), v6_only };
        Ok(Self { socket, address, file: None, inherited: false, lane: sharing != Sharing::Alone })
    }

    fn unix(path: &Path, backlog: i32) -> io::Result<Self> {
        let wanted = SockAddr::unix(path)?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
        if let Err(error) = socket.bind(&wanted) {
            if error.kind() != io::ErrorKind::AddrInUse || !is_stale(path, &wanted)? {
                return Err(error);
            }
            std::fs::remove_file(path)?;
            socket.bind(&wanted)?;
        }
        socket.listen(backlog)?;
        let file = if path::is_abstract(path) { None } else { Some(SocketFile::of(path)?) };
        Ok(Self {
            socket,
            address: Address::Unix(path.into()),
            file,
            inherited: false,
            lane: false,
        })
    }

    /// One that listens already. `InvalidInput` for what is no listening stream socket of TCP or a path.
    pub fn inherit(fd: OwnedFd) -> io::Result<Self> {
        let socket = Socket::from(fd);
        let wrong =
            || io::Error::new(io::ErrorKind::InvalidInput, "it is no listening stream socket");
        if socket.r#type()? != Type::STREAM || !socket.is_listener()? {
            return Err(wrong());
        }
        let bound = socket.local_addr()?;
        let address = match (bound.as_socket(), bound.as_pathname()) {
            (Some(SocketAddr::V4(bound)), _) => Address::Tcp {
                host: Some((*bound.ip()).into()),
                port: bound.port(),
                v6_only: false,
            },
            (Some(SocketAddr::V6(bound)), _) => Address::Tcp {
                host: Some((*bound.ip()).into()),
                port: bound.port(),
                v6_only: socket.only_v6()?,
            },
            (None, Some(path)) => Address::Unix(path.into()),
            (None, None) => {
                let name = bound.as_abstract_namespace().ok_or_else(wrong)?;
                Address::Unix(format!("\0{}", String::from_utf8_lossy(name)).into())
            }
        };
        // Shared with whoever has the socket too, who must be ready for it: systemd sets it anew for each that it starts.
        socket.set_nonblocking(true)?;
        Ok(Self { socket, address, file: None, inherited: true, lane: false })
    }

    /// What became of its file, if it is a unix socket that has one.
    pub fn file(&self) -> Option<FileState> {
        self.file.as_ref().map(SocketFile::state)
    }

    /// Another socket on the path of this one, whose file is lost, with the rights that the file had when it was last seen.
    pub fn bind_again(&self, backlog: i32) -> io::Result<Self> {
        let mut again = Self::bind(&self.address, backlog)?;
        if let (Some(lost), Some(file)) = (&self.file, &mut again.file) {
            file.set_mode(lost.mode)?;
        }
        Ok(again)
    }

    /// Looks which rights its file has by now.
    pub fn see_rights(&mut self) {
        if let Some(file) = &mut self.file {
            file.see_mode();
        }
    }

    /// Whether it was inherited.
    pub fn is_inherited(&self) -> bool {
        self.inherited
    }

    /// Whether others may listen beside it.
    pub fn is_lane(&self) -> bool {
        self.lane
    }

    /// Whether somebody waits in its queue.
    pub fn has_waiting(&self) -> bool {
        let mut fds = [PollFd::new(&self.socket, PollFlags::IN)];
        rustix::event::poll(&mut fds, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
    }

    /// Where it really listens: for port 0, the port that the kernel chose.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The next waiting connection, non-blocking and close-on-exec, with the client's address on TCP.
    pub fn accept(&self) -> io::Result<(OwnedFd, Option<IpAddr>)> {
        let (fd, peer) = rustix::net::acceptfrom_with(
            &self.socket,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        )?;
        Ok((fd, peer.and_then(ip)))
    }

    /// Lets nobody new in, while those who are in the queue can still be accepted.
    ///
    /// Closing a listener resets the connections in its queue, so the queue has to be emptied after the door is shut.
    /// On TCP a socket filter drops every SYN (the client tries again and is then refused); a unix socket refuses after
    /// `shutdown(SHUT_RD)`, and its path is removed. Either would outlive us on a socket that was inherited, which is left alone.
    pub fn refuse_new(&self) -> io::Result<()> {
        if self.inherited {
            return Ok(());
        }
        match &self.address {
            Address::Tcp { .. } => self.socket.attach_filter(&DROP_SYN),
            Address::Unix(_) => {
                self.remove_path();
                self.socket.shutdown(std::net::Shutdown::Read)
            }
        }
    }

    fn remove_path(&self) {
        if let Some(file) = &self.file {
            file.remove();
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.remove_path();
        if self.lane {
            stop_listening(&self.socket);
        }
    }
}

/// A listening TCP socket listens no more, whoever else has a descriptor of it, and its port is free; who is in its queue is reset.
pub fn stop_listening(socket: impl AsFd) {
    // It fails where it did not listen, which is as good.
    let _ = rustix::net::shutdown(socket, rustix::net::Shutdown::Read);
}

/// The client at the other end of an accepted connection; `None` on unix sockets and when it is gone.
pub fn client_of(connection: impl AsFd) -> Option<IpAddr> {
    rustix::net::getpeername(connection).ok().flatten().and_then(ip)
}

fn ip(address: SocketAddrAny) -> Option<IpAddr> {
    SocketAddr::try_from(address).ok().map(|address| address.ip().to_canonical())
}

/// Classic BPF over the TCP header: drop what has SYN and not ACK, pass the rest.
pub(super) static DROP_SYN: [SockFilter; 5] = [
    SockFilter::new(0x30, 0, 0, 13),          // A = flags
    SockFilter::new(0x54, 0, 0, 0x12),        // A &= SYN | ACK
    SockFilter::new(0x15, 0, 1, 0x02),        // SYN alone?
    SockFilter::new(0x06, 0, 0, 0),           // drop
    SockFilter::new(0x06, 0, 0, 0xffff_ffff), // pass
];

/// The address behind the `host` option; the first one, as Node's `listen` takes it.
pub fn resolve(host: &str) -> Result<IpAddr> {
    let fail = |source| ClusterError::HostUnknown { host: host.into(), source };
    let mut found = (host, 0).to_socket_addrs().map_err(fail)?;
    found
        .next()
        .map(|address| address.ip())
        .ok_or_else(|| fail(std::io::ErrorKind::NotFound.into()))
}

fn no_ipv6(error: &io::Error) -> bool {
    let code = error.raw_os_error().map(rustix::io::Errno::from_raw_os_error);
    matches!(
        code,
        Some(
            rustix::io::Errno::AFNOSUPPORT
                | rustix::io::Errno::ADDRNOTAVAIL
                | rustix::io::Errno::INVAL
        )
    )
}

/// Whether the path is a socket on which nobody listens any more.
fn is_stale(path: &Path, address: &SockAddr) -> io::Result<bool> {
    match std::fs::symlink_metadata(path) {
        Ok(meta) if meta.file_type().is_socket() => {}
        _ => return Ok(false),
    }
    // Non-blocking: a living listener with a full queue would make a blocking connect wait.
    let probe = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
    Ok(probe.connect(address).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused))
}

#[cfg(test)]
#[path = "listener_tests.rs"]
mod tests;

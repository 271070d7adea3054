//! Listening sockets of the master.
//!
//! Each is bound once, non-blocking and close-on-exec; workers never see it, but for lanes. A unix socket's path belongs to whoever
//! listens on it: a path that still answers is in use, one that does not is stale and replaced, and on close the path is
//! removed only if it is still ours.
//!
//! A *lane* is one of several sockets on one TCP port (`SO_REUSEPORT`), among which the kernel spreads the connections. What always
//! holds: the first lane is bound only where nobody else is, whatever options they have set; and a lane that we let go of listens
//! no more, whoever else has a descriptor of it.
//!
//! One that was inherited from a service manager is shared with it: we only stop accepting, so that who comes then waits in
//! its queue for the next one who does, and its path is never ours.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::descriptors;
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
    /// A unix socket.
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
                let for_all = is_all(*host, *v6_only) && asked.is_none_or(|asked| is_all(asked, *asked_v6));
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
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

/// A socket that listens.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    address: Address,
    /// Device and inode of our unix socket.
    file: Option<(u64, u64)>,
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
            Address::Tcp { host, port, v6_only } => Self::tcp_on(*host, *port, *v6_only, backlog, Sharing::Alone),
            Address::Unix(path) => Self::unix(path, backlog),
        }
    }

    /// As `bind`, for the first lane of a TCP port; a unix socket has no lanes, and is bound as ever.
    pub fn bind_first_lane(address: &Address, backlog: i32) -> io::Result<Self> {
        match address {
            Address::Tcp { host, port, v6_only } => Self::tcp_on(*host, *port, *v6_only, backlog, Sharing::First),
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

    fn tcp_on(host: Option<IpAddr>, port: u16, v6_only: bool, backlog: i32, sharing: Sharing) -> io::Result<Self> {
        let tcp = |host: IpAddr, v6_only| Self::tcp(SocketAddr::new(host, port), v6_only, backlog, sharing);
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
        let file = std::fs::symlink_metadata(path).map(|meta| (meta.dev(), meta.ino()))?;
        Ok(Self { socket, address: Address::Unix(path.into()), file: Some(file), inherited: false, lane: false })
    }

    /// One that listens already. `InvalidInput` for what is no listening stream socket of TCP or a path.
    pub fn inherit(fd: OwnedFd) -> io::Result<Self> {
        let socket = Socket::from(fd);
        let wrong = || io::Error::new(io::ErrorKind::InvalidInput, "it is no listening stream socket");
        if socket.r#type()? != Type::STREAM || !socket.is_listener()? {
            return Err(wrong());
        }
        let bound = socket.local_addr()?;
        let address = match (bound.as_socket(), bound.as_pathname()) {
            (Some(SocketAddr::V4(bound)), _) => {
                Address::Tcp { host: Some((*bound.ip()).into()), port: bound.port(), v6_only: false }
            }
            (Some(SocketAddr::V6(bound)), _) => {
                Address::Tcp { host: Some((*bound.ip()).into()), port: bound.port(), v6_only: socket.only_v6()? }
            }
            (None, Some(path)) => Address::Unix(path.into()),
            (None, None) => {
                let name = bound.as_abstract_namespace().ok_or_else(wrong)?;
                Address::Unix(format!("@{}", String::from_utf8_lossy(name)).into())
            }
        };
        // Shared with whoever has the socket too, who must be ready for it: systemd sets it anew for each that it starts.
        socket.set_nonblocking(true)?;
        Ok(Self { socket, address, file: None, inherited: true, lane: false })
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
        let (fd, peer) = rustix::net::acceptfrom_with(&self.socket, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
        descriptors::spend(1);
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
        if let (Address::Unix(path), Some(ours)) = (&self.address, self.file)
            && std::fs::symlink_metadata(path).is_ok_and(|meta| (meta.dev(), meta.ino()) == ours)
        {
            // Gone between the look and the call is as good.
            let _ = std::fs::remove_file(path);
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
static DROP_SYN: [SockFilter; 5] = [
    SockFilter::new(0x30, 0, 0, 13),          // A = flags
    SockFilter::new(0x54, 0, 0, 0x12),        // A &= SYN | ACK
    SockFilter::new(0x15, 0, 1, 0x02),        // SYN alone?
    SockFilter::new(0x06, 0, 0, 0),           // drop
    SockFilter::new(0x06, 0, 0, 0xffff_ffff), // pass
];

fn no_ipv6(error: &io::Error) -> bool {
    let code = error.raw_os_error().map(rustix::io::Errno::from_raw_os_error);
    matches!(code, Some(rustix::io::Errno::AFNOSUPPORT | rustix::io::Errno::ADDRNOTAVAIL | rustix::io::Errno::INVAL))
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
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::time::Duration;

    fn local(port: u16) -> Address {
        Address::Tcp { host: Some(Ipv4Addr::LOCALHOST.into()), port, v6_only: false }
    }

    fn bound(listener: &Listener) -> SocketAddr {
        match listener.address() {
            Address::Tcp { host: Some(host), port, .. } => (*host, *port).into(),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn port_zero_tells_the_real_port_and_a_second_bind_is_in_use() {
        let listener = Listener::bind(&local(0), 8).unwrap();
        let address = bound(&listener);
        assert_ne!(address.port(), 0);
        assert_eq!(Listener::bind(&local(address.port()), 8).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        let _client = TcpStream::connect(address).unwrap();
        let (_, peer) = listener.accept().unwrap();
        assert_eq!(peer, Some(Ipv4Addr::LOCALHOST.into()));
        assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn after_refuse_new_the_queue_is_still_served_and_nobody_new_gets_in() {
        let listener = Listener::bind(&local(0), 64).unwrap();
        let address = bound(&listener);
        let mut waiting: Vec<TcpStream> = (0..20).map(|_| TcpStream::connect(address).unwrap()).collect();
        listener.refuse_new().unwrap();
        assert!(TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_err(), "the door is shut");
        for client in &mut waiting {
            client.write_all(b"?").unwrap();
        }
        let mut accepted = Vec::new();
        while let Ok((fd, _)) = listener.accept() {
            accepted.push(TcpStream::from(fd));
        }
        assert_eq!(accepted.len(), 20);
        drop(listener);
        for (mut server, mut client) in accepted.into_iter().zip(waiting) {
            server.write_all(b"!").unwrap();
            let mut answer = [0];
            client.read_exact(&mut answer).unwrap();
        }
        assert_eq!(TcpStream::connect(address).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }

    #[test]
    fn a_unix_socket_serves_its_queue_after_refuse_new_and_leaves_no_file() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("app.sock");
        let listener = Listener::bind(&Address::Unix(path.clone()), 8).unwrap();
        let _client = UnixStream::connect(&path).unwrap();
        listener.refuse_new().unwrap();
        assert!(!path.exists());
        assert!(listener.accept().is_ok());
    }

    #[test]
    fn an_inherited_socket_keeps_its_queue_and_its_path_for_whoever_comes_next() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("app.sock");
        let theirs = UnixListener::bind(&path).unwrap();
        let first = Listener::inherit(theirs.try_clone().unwrap().into()).unwrap();
        let mut before = UnixStream::connect(&path).unwrap();
        first.refuse_new().unwrap();
        let mut after = UnixStream::connect(&path).unwrap();
        drop(first);
        assert!(path.exists());
        let second = Listener::inherit(theirs.into()).unwrap();
        for client in [&mut before, &mut after] {
            UnixStream::from(second.accept().unwrap().0).write_all(b"!").unwrap();
            client.read_exact(&mut [0]).unwrap();
        }
    }

    #[test]
    fn an_inherited_tcp_socket_still_gets_new_clients_after_refuse_new() {
        let theirs = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let first = Listener::inherit(theirs.try_clone().unwrap().into()).unwrap();
        let address = bound(&first);
        first.refuse_new().unwrap();
        drop(first);
        TcpStream::connect_timeout(&address, Duration::from_secs(1)).unwrap();
        assert!(Listener::inherit(theirs.into()).unwrap().accept().is_ok());
    }

    #[test]
    fn what_is_no_listening_stream_socket_is_not_inherited() {
        let file = tempfile::tempfile().unwrap();
        let datagrams = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let (connected, _other) = UnixStream::pair().unwrap();
        for fd in [OwnedFd::from(file), datagrams.into(), connected.into()] {
            assert!(Listener::inherit(fd).is_err());
        }
    }

    #[test]
    fn lanes_share_a_port_and_one_that_is_let_go_of_listens_no_more() {
        let first = Listener::bind_first_lane(&local(0), 64).unwrap();
        let address = bound(&first);
        let second = first.bind_further_lane(64).unwrap();
        assert_eq!(bound(&second), address);
        let clients: Vec<TcpStream> = (0..64).map(|_| TcpStream::connect(address).unwrap()).collect();
        let accepted = [&first, &second].map(|lane| std::iter::from_fn(|| lane.accept().ok()).count());
        assert_eq!(accepted.iter().sum::<usize>(), clients.len());
        assert!(accepted.iter().all(|count| *count > 0), "{accepted:?}");
        // As a worker's, which is stuck.
        let copies = [&first, &second].map(|lane| lane.as_fd().try_clone_to_owned().unwrap());
        drop((first, second));
        assert_eq!(TcpStream::connect(address).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        assert!(Listener::bind_first_lane(&local(address.port()), 8).is_ok(), "the port is free");
        drop(copies);
    }

    #[test]
    fn a_first_lane_joins_nobody() {
        let others = Listener::bind_first_lane(&local(0), 8).unwrap();
        let port = bound(&others).port();
        for bound in [Listener::bind_first_lane(&local(port), 8), Listener::bind(&local(port), 8)] {
            assert_eq!(bound.unwrap_err().kind(), io::ErrorKind::AddrInUse);
        }
    }

    #[test]
    fn a_socket_for_all_addresses_serves_whoever_asks_for_all() {
        let tcp = |host: &str, v6_only: bool| Address::Tcp { host: host.parse().ok(), port: 80, v6_only };
        for asked in ["0.0.0.0", "::", ""] {
            assert!(tcp("::", false).serves(&tcp(asked, false)), "{asked}");
        }
        assert!(tcp("0.0.0.0", false).serves(&tcp("", false)));
        assert!(tcp("::", true).serves(&tcp("::", true)));
        for (ours, v6_only, asked) in
            [("::", true, "0.0.0.0"), ("::", false, "127.0.0.1"), ("127.0.0.1", false, "0.0.0.0")]
        {
            assert!(!tcp(ours, v6_only).serves(&tcp(asked, false)), "{ours} {asked}");
        }
        let other_port = Address::Tcp { host: None, port: 81, v6_only: false };
        assert!(!tcp("::", false).serves(&other_port));
    }

    #[test]
    fn a_stale_unix_socket_is_replaced_and_a_living_one_or_a_file_is_not() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("app.sock");
        let address = Address::Unix(path.clone());
        drop(UnixListener::bind(&path).unwrap());
        let listener = Listener::bind(&address, 8).expect("nobody listens: stale");
        assert_eq!(Listener::bind(&address, 8).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        std::fs::remove_file(&path).unwrap();
        let _other = UnixListener::bind(&path).unwrap();
        drop(listener);
        assert!(path.exists(), "the path belongs to somebody else now");
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "a file").unwrap();
        assert_eq!(Listener::bind(&address, 8).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }
}

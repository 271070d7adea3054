//! Sockets that listen: non-blocking and close-on-exec.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use rustix::io::Errno;
use socket2::{Domain, SockAddr, Socket, Type};

use super::address::Address;
use super::socket_file::{SocketFile, lock_directory, path};

/// Listens on TCP, without a host on all addresses. Returns the bound address too: for port 0, with
/// the port that the kernel chose. `backlog` is the number of connections that may wait unaccepted.
pub(super) fn tcp(
    host: Option<IpAddr>,
    port: u16,
    v6_only: bool,
    backlog: i32,
) -> io::Result<(Socket, Address)> {
    let on = |host: IpAddr, v6_only| tcp_on(SocketAddr::new(host, port), v6_only, backlog);
    match host {
        Some(host) => on(host, v6_only),
        None => match on(Ipv6Addr::UNSPECIFIED.into(), v6_only) {
            Err(error) if no_ipv6(&error) => on(Ipv4Addr::UNSPECIFIED.into(), false),
            other => other,
        },
    }
}

fn tcp_on(wanted: SocketAddr, v6_only: bool, backlog: i32) -> io::Result<(Socket, Address)> {
    let socket = Socket::new(Domain::for_address(wanted), Type::STREAM.nonblocking(), None)?;
    socket.set_reuse_address(true)?;
    if wanted.is_ipv6() {
        socket.set_only_v6(v6_only)?;
    }
    socket.bind(&wanted.into())?;
    socket.listen(backlog)?;
    let bound = socket.local_addr()?.as_socket().ok_or(io::ErrorKind::InvalidData)?;
    let address = Address::Tcp { host: Some(bound.ip()), port: bound.port(), v6_only };
    Ok((socket, address))
}

fn no_ipv6(error: &io::Error) -> bool {
    let code = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(code, Some(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL | Errno::INVAL))
}

/// Listens on the path of a unix socket. A stale one is replaced. Returns its file too, unless the
/// name is abstract.
pub(super) fn unix(path: &Path, backlog: i32) -> io::Result<(Socket, Option<SocketFile>)> {
    let wanted = SockAddr::unix(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
    if path::is_abstract(path) {
        socket.bind(&wanted)?;
        socket.listen(backlog)?;
        return Ok((socket, None));
    }
    let _lock = lock_directory(path);
    if let Err(error) = socket.bind(&wanted) {
        if error.kind() != io::ErrorKind::AddrInUse || !is_stale(path, &wanted)? {
            return Err(error);
        }
        std::fs::remove_file(path)?;
        socket.bind(&wanted)?;
    }
    // A file that nobody describes would be in the way of the next one.
    let listens = socket.listen(backlog).and_then(|()| SocketFile::of(path));
    let file = listens.inspect_err(|_| drop(std::fs::remove_file(path)))?;
    Ok((socket, Some(file)))
}

/// Whether the path is a socket on which no process listens any more.
pub(super) fn is_stale(path: &Path, address: &SockAddr) -> io::Result<bool> {
    match std::fs::symlink_metadata(path) {
        Ok(meta) if meta.file_type().is_socket() => {}
        _ => return Ok(false),
    }
    // Non-blocking: a living listener with a full queue would make a blocking connect wait.
    let probe = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
    Ok(probe.connect(address).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused))
}

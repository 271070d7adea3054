//! The accept queue of a listening socket, for all processes that have the socket.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::SocketFlags;
use socket2::{SockFilter, SockRef};

/// Where `tcpi_unacked` lies in the kernel's `struct tcp_info`: after eight bytes and four numbers.
const UNACKED: usize = 24;

/// Returns how many connections wait. 0 if it does not listen on TCP.
pub(crate) fn waiting(socket: impl AsFd) -> u64 {
    lengths(socket)[0]
}

/// Returns how many connections wait, and how many can, as the kernel reports it in `tcpi_unacked`
/// and `tcpi_sacked` of a listening socket. 0 if it does not listen on TCP.
pub(crate) fn lengths(socket: impl AsFd) -> [u64; 2] {
    let mut info = [0u8; UNACKED + 8];
    let mut length = info.len() as libc::socklen_t;
    let (fd, place) = (socket.as_fd().as_raw_fd(), info.as_mut_ptr().cast());
    let (level, name) = (libc::IPPROTO_TCP, libc::TCP_INFO);
    // SAFETY: the kernel writes at most `length` bytes to the place, and reads nothing.
    let got = unsafe { libc::getsockopt(fd, level, name, place, &mut length) };
    if got != 0 {
        return [0, 0];
    }
    let [.., a, b, c, d, e, f, g, h] = info;
    [[a, b, c, d], [e, f, g, h]].map(|bytes| u64::from(u32::from_ne_bytes(bytes)))
}

/// Accepts the next connection, non-blocking and close-on-exec.
pub(crate) fn accept(socket: impl AsFd) -> io::Result<OwnedFd> {
    Ok(rustix::net::accept_with(socket, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?)
}

/// Whether accepting failed for lack of descriptors or memory: nobody left the queue.
pub(crate) fn is_shortage(error: &io::Error) -> bool {
    let code = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(code, Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM))
}

/// Ends the listening of a TCP socket, also for other processes that have it, and frees its port.
/// Connections in its queue are reset.
pub(crate) fn stop_listening(socket: impl AsFd) {
    // It fails if the socket does not listen, which is as good.
    let _ = rustix::net::shutdown(socket, rustix::net::Shutdown::Read);
}

/// Classic BPF over the TCP header: drop what has SYN and not ACK, pass the rest.
static DROP_SYN: [SockFilter; 5] = [
    SockFilter::new(0x30, 0, 0, 13),          // A = flags
    SockFilter::new(0x54, 0, 0, 0x12),        // A &= SYN | ACK
    SockFilter::new(0x15, 0, 1, 0x02),        // SYN alone?
    SockFilter::new(0x06, 0, 0, 0),           // drop
    SockFilter::new(0x06, 0, 0, 0xffff_ffff), // pass
];

/// Refuses new clients of a TCP socket, also for other processes that have it: a socket filter
/// drops every SYN, so that a client tries again, and is refused once the socket is closed. The
/// clients in the queue can still be accepted.
pub(super) fn refuse_new(socket: impl AsFd) -> io::Result<()> {
    SockRef::from(&socket).attach_filter(&DROP_SYN)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn those_that_wait_are_counted_until_they_are_accepted() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        assert_eq!(waiting(&listener), 0);
        let _clients: Vec<_> = (0..3).map(|_| TcpStream::connect(address).unwrap()).collect();
        rustix::net::listen(&listener, 7).unwrap();
        assert_eq!(lengths(&listener), [3, 7]);
        let _taken: Vec<_> = (0..2).map(|_| accept(&listener).unwrap()).collect();
        assert_eq!(waiting(&listener), 1);
        let copy = listener.try_clone().unwrap();
        stop_listening(&copy);
        assert_eq!(waiting(&listener), 0);
        assert!(!is_shortage(&accept(&listener).unwrap_err()));
        assert!(TcpStream::connect(address).is_err());
    }
}

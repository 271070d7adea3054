//! Listening sockets of Node's own, which Rust knows only by their numbers (`cluster: false`).
//!
//! They close to new clients as a `Listener` does. JavaScript accepts the clients in the queue, and
//! closes the socket.

use std::io;

use super::accept_queue;
use super::descriptors::by_number;
use super::readable::is_readable;

/// Refuses new clients on a TCP socket; the clients in its queue can still be accepted. Fails with
/// `InvalidInput` for a negative number, and with the kernel's error for anything but a socket.
pub fn refuse_new(fd: i32) -> io::Result<()> {
    accept_queue::refuse_new(by_number(fd)?)
}

/// Whether a client waits in the socket's queue. Fails with `InvalidInput` for a negative number.
pub fn has_waiting(fd: i32) -> io::Result<bool> {
    is_readable(by_number(fd)?)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd;
    use std::time::Duration;

    use super::*;

    #[test]
    fn new_clients_are_refused_and_waiting_ones_are_accepted() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (fd, address) = (listener.as_raw_fd(), listener.local_addr().unwrap());
        assert!(!has_waiting(fd).unwrap());
        let _client = TcpStream::connect(address).unwrap();
        assert!(has_waiting(fd).unwrap());
        refuse_new(fd).unwrap();
        assert!(TcpStream::connect_timeout(&address, Duration::from_millis(50)).is_err());
        listener.accept().unwrap();
        assert!(!has_waiting(fd).unwrap());
    }

    #[test]
    fn an_invalid_number_is_an_error() {
        assert_eq!(refuse_new(-1).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(has_waiting(-1).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}

//! Listening sockets of Node's own, which Rust knows only by their numbers (`cluster: false`).
//!
//! They are shut in the order in which `listener` does it; JavaScript accepts who is in the queue, and closes.

use std::io;
use std::os::fd::BorrowedFd;

use rustix::event::{PollFd, PollFlags, Timespec};
use socket2::SockRef;

use crate::os::listener::DROP_SYN;

/// Lets nobody new in on a TCP socket, while those who are in its queue can still be accepted. Fails with `InvalidInput` for a
/// negative number, and with the kernel's error for what is no socket.
pub fn refuse_new(fd: i32) -> io::Result<()> {
    SockRef::from(&borrow(fd)?).attach_filter(&DROP_SYN)
}

/// Whether somebody waits in its queue. Fails with `InvalidInput` for a negative number.
pub fn has_waiting(fd: i32) -> io::Result<bool> {
    let socket = borrow(fd)?;
    let ready = rustix::event::poll(
        &mut [PollFd::new(&socket, PollFlags::IN)],
        Some(&Timespec::default()),
    )?;
    Ok(ready > 0)
}

fn borrow<'a>(fd: i32) -> io::Result<BorrowedFd<'a>> {
    if fd < 0 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: each caller uses it for one call only, which hands the number to the kernel, and fails if nothing is open under
    // it.
    #[allow(unsafe_code)]
    Ok(unsafe { BorrowedFd::borrow_raw(fd) })
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use std::net::TcpStream;
    use std::os::fd::AsRawFd;
    use std::time::Duration;

    use super::*;

    #[test]
    fn nobody_new_gets_in_and_who_waits_is_accepted() {
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
    fn a_number_that_is_none_is_an_error() {
        assert_eq!(refuse_new(-1).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(has_waiting(-1).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}

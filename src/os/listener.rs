//! Listening sockets of the master.
//!
//! Each is bound once, non-blocking and close-on-exec. Workers may accept from the same socket;
//! what always holds: it stops listening when the master drops it, even if a worker still has it.
//! The path of a unix socket belongs to the socket that listens on it: a path that answers is in
//! use, one that does not is stale and replaced, and on close the path is removed only if it is
//! still ours. If it was removed before, another socket can take its place.
//!
//! A socket that was inherited from a service manager is shared with it: we only stop accepting, so
//! that new clients wait in its queue for the next process, and its path is never ours. The same
//! holds for one that is *lent*, as long as another master has it too.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::net::{SocketAddrAny, SocketFlags};
use socket2::{SockAddr, Socket, Type};

use super::accept_queue;
use super::address::Address;
use super::bind;
use super::readable::is_readable;
use super::socket_file::{FileState, SocketFile, path};

/// A socket that listens.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: Socket,
    address: Address,
    /// The file of a unix socket that we bound.
    file: Option<SocketFile>,
    /// Whether the file is what was at the path of a socket that another master has bound.
    is_file_found: bool,
    /// Whether a service manager has it too, and goes on with it.
    inherited: bool,
    /// Whether another master has it too, which may go on with it.
    lent: bool,
    /// Whether workers have it too.
    shared: bool,
}

impl Listener {
    /// Binds and listens. `backlog` is the number of connections that may wait unaccepted.
    pub(crate) fn bind(address: &Address, backlog: i32) -> io::Result<Self> {
        match address {
            Address::Tcp { host, port, v6_only } => {
                let (socket, address) = bind::tcp(*host, *port, *v6_only, backlog)?;
                Ok(Self::new(socket, address))
            }
            Address::Unix(path) => {
                let (socket, file) = bind::unix(path, backlog)?;
                let mut listener = Self::new(socket, address.clone());
                listener.file = file;
                Ok(listener)
            }
        }
    }

    fn new(socket: Socket, address: Address) -> Self {
        Self {
            socket,
            address,
            file: None,
            is_file_found: false,
            inherited: false,
            lent: false,
            shared: false,
        }
    }

    /// Takes over a socket that listens already. `InvalidInput` for anything but a listening stream
    /// socket of TCP or unix.
    pub(crate) fn inherit(fd: OwnedFd) -> io::Result<Self> {
        let socket = Socket::from(fd);
        let wrong =
            || io::Error::new(io::ErrorKind::InvalidInput, "it is not a listening stream socket");
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
        // Shared with all processes that have the socket: systemd sets it again for each that it
        // starts.
        socket.set_nonblocking(true)?;
        let mut listener = Self::new(socket, address);
        listener.inherited = true;
        Ok(listener)
    }

    /// Takes over a socket that another master passed, who has it too. `inherited`: a service
    /// manager has it as well. Fails as [`Self::inherit`] does.
    pub(crate) fn adopt(fd: OwnedFd, inherited: bool, backlog: i32) -> io::Result<Self> {
        let mut adopted = Self::inherit(fd)?;
        (adopted.inherited, adopted.lent) = (inherited, true);
        if !inherited {
            adopted.socket.listen(backlog)?;
            adopted.find_file();
        }
        Ok(adopted)
    }

    /// Sets whether another master has it too. Once that is gone, a TCP socket lets new clients in,
    /// even if the other one refused them.
    pub(crate) fn set_lent(&mut self, lent: bool) {
        let was_lent = std::mem::replace(&mut self.lent, lent);
        if was_lent && !lent && !self.inherited && matches!(self.address, Address::Tcp { .. }) {
            // It fails where there is no filter.
            let _ = self.socket.detach_filter();
        }
    }

    /// Looks for the file of a socket that another master has bound.
    fn find_file(&mut self) {
        // Without one, its state is that of a removed one.
        self.file = self.path().and_then(|path| SocketFile::of(path).ok());
        self.is_file_found = true;
    }

    /// Notes if the file of a socket that another master has bound is that of another one, which it
    /// bound there later, and on which nobody listens any more.
    pub(crate) fn check_file(&mut self) {
        let listens_not = |path: &Path| bind::is_stale(path, &SockAddr::unix(path)?);
        let Some(path) = self.path().filter(|_| self.is_file_found) else { return };
        if listens_not(path).is_ok_and(|is_stale| is_stale) {
            self.file = self.file.take().map(SocketFile::disowned);
        }
    }

    /// The path of a unix socket that has one.
    fn path(&self) -> Option<&Path> {
        match &self.address {
            Address::Unix(path) if !path::is_abstract(path) => Some(path),
            Address::Unix(_) | Address::Tcp { .. } => None,
        }
    }

    /// Whether it is a unix socket with a file that is not a service manager's.
    pub(crate) fn has_file(&self) -> bool {
        self.path().is_some() && !self.inherited
    }

    /// Returns the state of its file, if it has one.
    pub(crate) fn file(&self) -> Option<FileState> {
        self.has_file().then(|| self.file.as_ref().map_or(FileState::Gone, SocketFile::state))
    }

    /// Binds another socket on the path of this one, whose file is lost, with the permissions that
    /// the file had when it was last read.
    pub(crate) fn bind_again(&self, backlog: i32) -> io::Result<Self> {
        let mut again = Self::bind(&self.address, backlog)?;
        let mode = self.file.as_ref().and_then(|lost| lost.mode);
        if let (Some(mode), Some(file)) = (mode, &mut again.file) {
            file.set_mode(mode)?;
        }
        Ok(again)
    }

    /// Reads the permissions of its file. `or_other`: those of another socket on its path count too.
    pub(crate) fn refresh_mode(&mut self, or_other: bool) {
        if let Some(file) = &mut self.file {
            file.refresh_mode(or_other);
        }
    }

    /// Whether other processes go on with it: nothing is done to it that would outlive this one.
    pub(crate) fn is_inherited(&self) -> bool {
        self.inherited || self.lent
    }

    /// Whether a service manager has it too.
    pub(crate) fn is_of_service_manager(&self) -> bool {
        self.inherited
    }

    /// Returns a descriptor of it for a worker, which accepts from it too.
    pub(crate) fn share(&mut self) -> io::Result<OwnedFd> {
        let copy = self.socket.as_fd().try_clone_to_owned()?;
        self.shared = true;
        Ok(copy)
    }

    /// Whether a client waits in its queue.
    pub(crate) fn has_waiting(&self) -> bool {
        is_readable(&self.socket).unwrap_or(false)
    }

    /// Returns the bound address: for port 0, with the port that the kernel chose.
    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// Accepts the next connection, non-blocking and close-on-exec, with the client's address on
    /// TCP.
    pub(crate) fn accept(&self) -> io::Result<(OwnedFd, Option<IpAddr>)> {
        let (fd, client) = rustix::net::acceptfrom_with(
            &self.socket,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        )?;
        Ok((fd, client.and_then(ip)))
    }

    /// Refuses new clients; the clients in the queue can still be accepted.
    ///
    /// Closing a listener resets the connections in its queue, so the queue has to be emptied
    /// first. On TCP a client tries again and is then refused (`accept_queue::refuse_new`). A unix
    /// socket refuses after `shutdown(SHUT_RD)`, and its path is removed. Either would outlive
    /// us on a socket that was inherited, which is left as it is.
    pub(crate) fn refuse_new(&self) -> io::Result<()> {
        if self.is_inherited() {
            return Ok(());
        }
        match &self.address {
            Address::Tcp { .. } => accept_queue::refuse_new(&self.socket),
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
        if self.is_inherited() {
            return;
        }
        self.remove_path();
        if self.shared {
            accept_queue::stop_listening(&self.socket);
        }
    }
}

/// Returns the client of an accepted connection; `None` on unix sockets and when it is gone.
pub(crate) fn client_of(connection: impl AsFd) -> Option<IpAddr> {
    rustix::net::getpeername(connection).ok().flatten().and_then(ip)
}

fn ip(address: SocketAddrAny) -> Option<IpAddr> {
    SocketAddr::try_from(address).ok().map(|address| address.ip().to_canonical())
}

#[cfg(test)]
#[path = "listener_tests.rs"]
mod tests;

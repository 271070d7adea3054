//! Binding, once for all workers that ask for the same.

use std::io;

use rustix::io::Errno;

use crate::connection::Connection;
use crate::error::{ClusterError, Result};
use crate::listeners::entry::{Entry, address, backlog, show};
use crate::listeners::inherited;
use crate::listeners::set::ListenerSet;
use crate::os::address::Address;
use crate::os::listener::Listener;
use crate::os::socket_file::FileState;
use crate::protocol::{ListenerId, Wanted};

impl ListenerSet {
    /// Binds one of the app's own addresses, before there is any worker.
    pub fn pin(&mut self, wanted: &Wanted) -> Result<()> {
        let address =
            address(wanted).map_err(|source| ClusterError::from_listen(show(wanted), source))?;
        let shown = address.to_string();
        let failed = |error: io::Error| match error.downcast() {
            Ok(own) => own,
            Err(source) => ClusterError::from_listen(shown, source),
        };
        let id = self.open_or_find(wanted, &address).map_err(failed)?;
        self.entries.entry(id).and_modify(|entry| entry.pinned = true);
        Ok(())
    }

    /// Returns the listener that a worker asks for: the one that exists, or a new one. A socket in
    /// its way that no worker has `claimed` was pinned for it under another address of the same
    /// port, and goes; see `take_rescued`. Fails with the kernel's error number.
    pub fn bind(
        &mut self,
        wanted: &Wanted,
        claimed: impl Fn(ListenerId) -> bool,
    ) -> std::result::Result<ListenerId, i32> {
        let loose = self.loose;
        let is_same =
            |entry: &Entry| entry.is_wanted(wanted) || loose && entry.is_pinned_for_any(wanted);
        self.close_retired(|entry| {
            is_same(entry) || wanted.port.is_some() && entry.port() == wanted.port
        });
        let known = self.entries.iter_mut().find(|(_, entry)| is_same(entry)).map(|(id, entry)| {
            // One that was inherited is only taken up again.
            entry.closes_at = None;
            *id
        });
        let opened = match known {
            Some(id) => self.bind_lost(id, |file| file != FileState::Ours).map(|()| id),
            None => self.open_instead(wanted, claimed),
        };
        opened.map_err(|error| error.raw_os_error().unwrap_or(Errno::INVAL.raw_os_error()))
    }

    /// Binds again the unix sockets whose file somebody has removed: a worker at its end, as a
    /// server does that is alone.
    pub(crate) fn bind_removed(&mut self) {
        for listener in self.open() {
            if let Err(error) = self.bind_lost(listener, |file| file == FileState::Gone) {
                let address =
                    self.entries.get(&listener).map(|entry| entry.listener.address().to_string());
                tracing::warn!(
                    %error,
                    address,
                    "the file of a unix socket is gone, and another one cannot be made"
                );
            }
        }
    }

    /// Replaces a socket whose file is lost; its queue is among the `take_rescued`.
    fn bind_lost(&mut self, id: ListenerId, is_lost: impl Fn(FileState) -> bool) -> io::Result<()> {
        if !self.is_admitting() {
            return Ok(());
        }
        let Some(entry) = self.entries.get_mut(&id).filter(|entry| {
            !entry.listener.is_inherited() && entry.listener.file().is_some_and(is_lost)
        }) else {
            return Ok(());
        };
        let again = entry.listener.bind_again(backlog(&entry.wanted))?;
        tracing::info!(address = %again.address(), "bound again, since its file was removed");
        self.rescued.extend(entry.empty(0));
        // Where that fails, it was not watched any more.
        let _ = entry.watch.end(&entry.listener);
        entry.listener = again;
        Ok(())
    }

    /// Opens a listener, in place of those on the same port that no worker has `claimed`.
    fn open_instead(
        &mut self,
        wanted: &Wanted,
        claimed: impl Fn(ListenerId) -> bool,
    ) -> io::Result<ListenerId> {
        let address = address(wanted)?;
        match self.open_or_find(wanted, &address) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && wanted.port.is_some() => {
                let is_in_the_way = |entry: &Entry| {
                    entry.wanted.port == wanted.port
                        && !entry.listener.is_inherited()
                        && !claimed(entry.id)
                };
                if !self.entries.values().any(is_in_the_way) {
                    return Err(error);
                }
                let mut queued = self.close_where(0, is_in_the_way);
                let id = self.open_or_find(wanted, &address)?;
                queued.iter_mut().for_each(|connection| connection.origin.listener = id);
                self.rescued.extend(queued);
                Ok(id)
            }
            opened => opened,
        }
    }

    /// Opens a listener, unless the inherited socket for `address` is there already.
    fn open_or_find(&mut self, wanted: &Wanted, address: &Address) -> io::Result<ListenerId> {
        if !self.is_admitting() {
            return Err(Errno::CANCELED.into());
        }
        let backlog = backlog(wanted);
        if let Some(id) = self.adopt(wanted, address, backlog)? {
            return Ok(id);
        }
        let listener = match inherited::find(address).map_err(io::Error::other)? {
            Some(found) => match self.entries.iter().find(|(_, entry)| entry.is(&found)) {
                // Asked for in another way.
                Some((id, _)) => return Ok(*id),
                None => found,
            },
            None => Listener::bind(address, backlog)?,
        };
        let inherited = listener.is_inherited();
        tracing::info!(address = %listener.address(), inherited, "listening");
        Ok(self.add(wanted.clone(), listener))
    }

    /// Enters a listener, and returns its number.
    pub(super) fn add(&mut self, wanted: Wanted, listener: Listener) -> ListenerId {
        self.last += 1;
        self.entries.insert(self.last, Entry::new(self.last, wanted, listener));
        self.last
    }

    /// Takes the connections in the queues of sockets that had to go.
    pub(crate) fn take_rescued(&mut self) -> Vec<Connection> {
        std::mem::take(&mut self.rescued)
    }
}

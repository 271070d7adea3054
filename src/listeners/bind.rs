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
        let is_same = |entry: &Entry| is_same(entry, wanted, loose);
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

    /// Whether a worker that asks for `wanted` gets a listener that exists and is not being closed.
    pub(crate) fn has(&self, wanted: &Wanted) -> bool {
        self.entries
            .values()
            .any(|entry| entry.closes_at.is_none() && is_same(entry, wanted, self.loose))
    }

    /// Binds again the unix sockets whose file somebody has removed: a worker at its end, as a
    /// server does that is alone.
    pub(crate) fn bind_removed(&mut self) {
        self.bind_all_lost(|file| file == FileState::Gone);
    }

    /// Binds again the unix sockets whose file is lost. Of each that cannot be, it warns once.
    pub(super) fn bind_all_lost(&mut self, is_lost: impl Fn(FileState) -> bool) {
        for listener in self.open() {
            let Err(error) = self.bind_lost(listener, &is_lost) else { continue };
            let Some(entry) = self.entries.get_mut(&listener) else { continue };
            if !std::mem::replace(&mut entry.is_lost, true) {
                tracing::warn!(
                    %error,
                    address = %entry.listener.address(),
                    "the file of a unix socket is gone, and another one cannot be made"
                );
            }
        }
    }

    /// Replaces a socket whose file is lost; its queue is among the `take_rescued`. Another master
    /// that has the lost one too does not get the new one.
    fn bind_lost(&mut self, id: ListenerId, is_lost: impl Fn(FileState) -> bool) -> io::Result<()> {
        if !self.is_admitting() {
            return Ok(());
        }
        let Some(entry) = self
            .entries
            .get_mut(&id)
            .filter(|entry| !entry.is_left && entry.listener.file().is_some_and(is_lost))
        else {
            return Ok(());
        };
        let again = match entry.listener.bind_again(backlog(&entry.wanted)) {
            // The other master was first. It lets go of it when this one leads.
            Err(error) if self.lent && error.kind() == io::ErrorKind::AddrInUse => return Ok(()),
            again => again?,
        };
        tracing::info!(address = %again.address(), "bound again, since its file was removed");
        // Nobody new comes to the lost one, whoever else has it.
        self.rescued.extend(std::iter::from_fn(|| entry.accept(0)));
        // Where that fails, it was not watched any more.
        let _ = entry.watch.end(&entry.listener);
        (entry.listener, entry.is_lost) = (again, false);
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
            return self.bind_lost(id, |file| file != FileState::Ours).map(|()| id);
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

/// Whether a worker that asks for `wanted` means this one; `loose` as in [`ListenerSet`].
fn is_same(entry: &Entry, wanted: &Wanted, loose: bool) -> bool {
    entry.is_wanted(wanted) || loose && entry.is_pinned_for_any(wanted)
}

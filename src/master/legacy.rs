//! What an heir gets from its predecessor, before it does anything else.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use crate::error::{ClusterError, Result};
use crate::listeners::LegacySocket;
use crate::os::activation::{self, Passed};
use crate::os::channel::{Channel, MAX_BYTES};
use crate::os::handover::{self, Inheritance};
use crate::protocol::handover::{FromHeir, Item, Legacy, MOST, PROTOCOL, ToHeir, print, to_heir};

/// How long the predecessor may take to send everything: it was sent before this process ran.
const WITHIN: Duration = Duration::from_secs(5);

/// All that a predecessor passed on.
#[derive(Debug)]
pub(super) struct Bequest {
    pub(super) inheritance: Inheritance,
    pub(super) legacy: Legacy,
    pub(super) sockets: Vec<LegacySocket>,
    pub(super) monitor: Option<OwnedFd>,
    pub(super) control: Option<OwnedFd>,
    pub(super) lock: Option<OwnedFd>,
}

impl Bequest {
    /// Takes what was passed on to this process. `Ok(None)`: it is not an heir. Fails if it does
    /// not understand its predecessor.
    pub(super) fn receive() -> Result<Option<Self>> {
        let Some(inheritance) = handover::claim() else { return Ok(None) };
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let hello =
            print(&FromHeir::Hello { protocol: PROTOCOL, version, pid: std::process::id() });
        // To a predecessor that is gone there is nothing to say.
        let _ = inheritance.messages.send(&hello, &[]);
        let legacy = Legacy::default();
        let mut bequest = Self {
            inheritance,
            legacy,
            sockets: Vec::new(),
            monitor: None,
            control: None,
            lock: None,
        };
        bequest.read_all()?;
        Ok(Some(bequest))
    }

    fn read_all(&mut self) -> Result<()> {
        let failed = |reason: &str| ClusterError::UpgradeFailed { reason: reason.to_owned() };
        let deadline = Instant::now() + WITHIN;
        let mut buffer = Box::new([0; MAX_BYTES]);
        let mut passed = Vec::new();
        loop {
            let channel: &Channel = &self.inheritance.messages;
            let is_there = channel.wait_readable(deadline);
            if !is_there.map_err(ClusterError::system("listening to the former master"))? {
                return Err(failed("the former master passed nothing on in time"));
            }
            let received = channel.receive(&mut buffer);
            let received = received.map_err(ClusterError::system("reading what was passed on"))?;
            let Some(received) = received else {
                return Err(failed("the former master is gone before it passed everything on"));
            };
            let fds = received.fds;
            match to_heir(received.bytes, fds.len()) {
                Some(ToHeir::Legacy(legacy)) if legacy.protocol != PROTOCOL => {
                    let reason = format!(
                        "cluster2-rs {} hands over by another protocol ({}, here {PROTOCOL})",
                        legacy.version, legacy.protocol
                    );
                    return Err(failed(&reason));
                }
                Some(ToHeir::Legacy(legacy)) => self.legacy = *legacy,
                Some(ToHeir::Item(item)) if self.sockets.len() < MOST => {
                    if let Some(fd) = fds.into_iter().next() {
                        self.take(item, fd, &mut passed);
                    }
                }
                Some(ToHeir::Complete) => break,
                Some(ToHeir::GiveUp { .. }) => {
                    return Err(failed("the former master called it off"));
                }
                _ => {}
            }
        }
        activation::adopt(passed);
        Ok(())
    }

    fn take(&mut self, item: Item, fd: OwnedFd, passed: &mut Vec<Passed>) {
        match item {
            Item::Listener { id: key, wanted, inherited, served_after } => {
                let socket = fd;
                self.sockets.push(LegacySocket { key, wanted, inherited, served_after, socket });
            }
            Item::Passed { name } => passed.push(Passed { fd, name }),
            Item::Monitor => self.monitor = Some(fd),
            Item::Control => self.control = Some(fd),
            Item::Lock => self.lock = Some(fd),
            Item::Unknown => {}
        }
    }

    /// Says why this process does not take over.
    pub(super) fn refuse(&self, error: &ClusterError) {
        refuse(&self.inheritance.messages, error);
    }
}

/// Says why this process does not take over.
pub(super) fn refuse(messages: &Channel, error: &ClusterError) {
    let reason = format!("{} ({})", error.message(), error.code());
    let reason = crate::protocol::handover::shorten(&reason);
    let _ = messages.send(&print(&FromHeir::Refused { reason }), &[]);
}

//! What a master knows of the one from which it takes over.

use std::collections::BTreeSet;

use super::handover_link::HandoverLink;
use super::legacy::Bequest;
use crate::clock::Millis;
use crate::dispatcher::{Dispatcher, Request};
use crate::handover::Heir;
use crate::os::channel::Channel;
use crate::os::handover::Inheritance;
use crate::protocol::handover::Legacy;
use crate::supervision::Supervisor;

/// One take-over.
pub(super) struct Takeover {
    pub(super) machine: Heir,
    pub(super) link: HandoverLink,
    /// The predecessor's version of cluster2-rs.
    pub(super) version: String,
    pub(super) predecessor: u32,
    /// Whether the dispatcher was asked what was adopted.
    pub(super) is_asked: bool,
    /// Workers were asked to show that their event loops turn; when to look next, if not all have.
    pub(super) look_at: Option<Millis>,
    /// Rows of the scoreboard that are left to the predecessor's workers, whose debug ports follow
    /// from them.
    pub(super) rows: BTreeSet<usize>,
    /// How many workers of the predecessor are left.
    pub(super) draining: u32,
}

/// What the task of an heir begins with.
pub(super) struct Heirloom {
    pub(super) messages: Channel,
    pub(super) legacy: Legacy,
}

impl Heirloom {
    /// Gives `supervisor` and `dispatcher` what is for them.
    pub(super) fn unpack(
        bequest: Bequest,
        supervisor: &mut Supervisor,
        dispatcher: &Dispatcher,
    ) -> Self {
        let Bequest { inheritance, legacy, .. } = bequest;
        let Inheritance { messages, connections, .. } = inheritance;
        supervisor.continue_from(legacy.last_id, legacy.workers, &legacy.generations);
        dispatcher.send(Request::Relay { channel: connections, is_heir: true });
        Self { messages, legacy }
    }
}

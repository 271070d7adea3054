//! What two masters say to each other when one takes over from the other: the *predecessor* and its
//! *heir*.
//!
//! Messages are JSON, one in each packet of a socket pair; some carry one descriptor. Connections
//! travel on a second pair, in the frames of `connections`. The listener in such a frame is always
//! the predecessor's number.
//!
//! What always holds: an unknown field is ignored, and so is an unknown message. Only another
//! [`PROTOCOL`] is refused. So a later version may add to this conversation, and no more.

use serde::{Deserialize, Serialize};

use super::carried_totals::CarriedTotals;
use super::messages::{ListenerId, Wanted};

/// The version of the conversation. Two masters of another one do not understand each other.
pub const PROTOCOL: u32 = 1;
/// Slots in [`Legacy`], and sockets of one predecessor; more than a cluster has.
pub const MOST: usize = 4_096;
/// Characters of a reason that one master gives the other.
const MAX_TEXT: usize = 2_000;

fn assumed() -> bool {
    true
}

/// From the predecessor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum ToHeir {
    /// The first message.
    Legacy(Box<Legacy>),
    /// A socket or file, whose descriptor comes along.
    Item(Item),
    /// All of it was sent.
    Complete,
    /// The health check was switched.
    Switched {
        /// Whether it is off now.
        disabled: bool,
        /// Who asked, in words.
        by: String,
    },
    /// Answer commands and the monitor from now on, then say `TookOver`.
    TakeOver,
    /// The sockets are yours alone. The predecessor's workers drain.
    Commit,
    /// It is called off: give your connections back, and end.
    GiveUp {
        /// The predecessor ends too: keep them, and end as in a shutdown.
        #[serde(default)]
        ending: bool,
        /// End at once.
        #[serde(default)]
        abrupt: bool,
    },
    /// What the predecessor counted so far.
    Counted {
        /// Its totals.
        totals: CarriedTotals,
        /// How many of its workers are left.
        workers: u32,
    },
    /// Nothing is left here: neither a worker nor a connection.
    Done,
    /// Sent by a later version.
    #[serde(other)]
    Unknown,
}

/// From the heir.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum FromHeir {
    /// The first message: it has begun.
    Hello {
        /// Its [`PROTOCOL`].
        protocol: u32,
        /// Its version of cluster2-rs.
        version: String,
        /// Its process. 0: the first builds did not say it.
        #[serde(default)]
        pid: u32,
    },
    /// How many of its workers are ready.
    Progress {
        /// Ready workers.
        ready: u32,
        /// How many there should be.
        target: u32,
    },
    /// All its workers are ready, and have been for a while.
    Ready {
        /// The listeners that it serves. The others are the predecessor's alone.
        adopted: Vec<ListenerId>,
    },
    /// It will not take over.
    Refused {
        /// Why, in words.
        reason: String,
    },
    /// It answers commands.
    TookOver {
        /// Whether it has the monitor's socket too.
        #[serde(default)]
        monitor: bool,
        /// Whether it has the control socket too. If not, its directory is another one. The first
        /// builds did not say it, and nearly always had it.
        #[serde(default = "assumed")]
        pids: bool,
    },
    /// The health check was switched.
    Switched {
        /// Whether it is off now.
        disabled: bool,
        /// Who asked, in words.
        by: String,
    },
    /// It ends, as it was asked to.
    Leaving,
    /// Sent by a later version.
    #[serde(other)]
    Unknown,
}

/// What the predecessor has besides sockets.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Legacy {
    /// Its [`PROTOCOL`].
    pub(crate) protocol: u32,
    /// Its version of cluster2-rs.
    pub(crate) version: String,
    /// Its pid, which need not be the heir's parent; 0 from an earlier version.
    pub(crate) pid: u32,
    /// The id of its newest worker.
    pub(crate) last_id: u32,
    /// How many workers there should be; 0 from an earlier version.
    pub(crate) workers: u32,
    /// How many workers each slot ever had.
    pub(crate) generations: Vec<u32>,
    /// Rows of its scoreboard that workers have: debug ports follow from them.
    pub(crate) rows: Vec<u32>,
    /// Whether the health check is switched off.
    pub(crate) disabled: bool,
    /// What it has counted.
    pub(crate) totals: CarriedTotals,
}

/// Something whose descriptor is passed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum Item {
    /// A listening socket of the app.
    Listener {
        /// The predecessor's number.
        id: ListenerId,
        /// What its workers asked for.
        wanted: Wanted,
        /// Whether a service manager has it too.
        inherited: bool,
        /// How long its workers took to serve all after they served the first one, milliseconds; 0
        /// from an earlier version.
        #[serde(default)]
        served_after: u64,
    },
    /// A socket that a service manager passed.
    Passed {
        /// Its name there.
        name: String,
    },
    /// The monitor's socket.
    Monitor,
    /// The control socket.
    Control,
    /// The lock of the `pids` directory.
    Lock,
    /// Sent by a later version.
    #[serde(other)]
    Unknown,
}

/// Returns the packet of a message. Texts in it were shortened by [`shorten`], so that it fits.
pub fn print(message: &impl Serialize) -> Vec<u8> {
    // Writing plain structs to memory cannot fail; nobody would read an empty packet.
    serde_json::to_vec(message).unwrap_or_default()
}

/// Returns `text` at a length that fits into a message.
pub fn shorten(text: &str) -> String {
    text.chars().take(MAX_TEXT).collect()
}

/// Reads a message that came with `fds` descriptors. `None`: it makes no sense.
pub fn to_heir(packet: &[u8], fds: usize) -> Option<ToHeir> {
    let message: ToHeir = serde_json::from_slice(packet).ok()?;
    let most = usize::from(matches!(message, ToHeir::Item(_) | ToHeir::Unknown));
    let is_long = |legacy: &Legacy| legacy.generations.len().max(legacy.rows.len()) > MOST;
    let is_short = !matches!(&message, ToHeir::Legacy(legacy) if is_long(legacy));
    (fds <= most && is_short).then_some(message)
}

/// As [`to_heir`], for the other direction. No message of an heir has a descriptor.
pub fn from_heir(packet: &[u8]) -> Option<FromHeir> {
    serde_json::from_slice(packet).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_later_version_adds_is_ignored() {
        let legacy = r#"{"type":"legacy","protocol":1,"lastId":7,"moon":{"full":true}}"#;
        let expected = Legacy { protocol: 1, last_id: 7, ..Legacy::default() };
        assert_eq!(to_heir(legacy.as_bytes(), 0), Some(ToHeir::Legacy(expected.into())));
        assert_eq!(to_heir(br#"{"type":"dance"}"#, 0), Some(ToHeir::Unknown));
        assert_eq!(
            to_heir(br#"{"type":"item","kind":"piano"}"#, 1),
            Some(ToHeir::Item(Item::Unknown))
        );
        assert_eq!(from_heir(br#"{"type":"sing"}"#), Some(FromHeir::Unknown));
    }

    #[test]
    fn what_the_first_builds_did_not_say_means_what_it_meant_then() {
        let hello = br#"{"type":"hello","protocol":1,"version":"0.1.0"}"#;
        let expected = FromHeir::Hello { protocol: 1, version: "0.1.0".into(), pid: 0 };
        assert_eq!(from_heir(hello), Some(expected));
        let took_over = FromHeir::TookOver { monitor: true, pids: true };
        assert_eq!(from_heir(br#"{"type":"tookOver","monitor":true}"#), Some(took_over));
    }

    #[test]
    fn messages_come_back_as_they_went_and_fit_into_a_packet() {
        let reason = shorten(&"\u{1}".repeat(50_000));
        let refused = FromHeir::Refused { reason };
        let packet = print(&refused);
        assert!(packet.len() <= super::super::frame::MAX_BYTES, "{}", packet.len());
        assert_eq!(from_heir(&packet), Some(refused));
        let wanted = Wanted { address: None, port: Some(80), v6_only: false, backlog: 0, index: 0 };
        let item =
            ToHeir::Item(Item::Listener { id: 3, wanted, inherited: true, served_after: 70 });
        assert_eq!(to_heir(&print(&item), 1), Some(item));
    }

    #[test]
    fn random_bytes_and_stray_descriptors_are_no_message() {
        let mut random = fastrand::Rng::with_seed(5);
        for _ in 0..20_000 {
            let bytes: Vec<u8> = (0..random.usize(0..60)).map(|_| random.u8(..)).collect();
            assert_eq!(to_heir(&bytes, random.usize(0..3)), None);
            assert_eq!(from_heir(&bytes), None);
        }
        assert_eq!(to_heir(&print(&ToHeir::Commit), 1), None);
        let long = Legacy { generations: vec![1; MOST + 1], ..Legacy::default() };
        assert_eq!(to_heir(&serde_json::to_vec(&ToHeir::Legacy(long.into())).unwrap(), 0), None);
    }
}

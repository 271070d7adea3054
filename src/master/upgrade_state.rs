//! What a master knows of the one that takes over from it.

use std::time::Duration;

use serde_json::json;

use super::handover_link::HandoverLink;
use super::heir_process::HeirProcess;
use crate::handover::Predecessor;
use crate::os::channel::Channel;
use crate::os::handover::HeirCommand;
use crate::protocol::ListenerId;
use crate::protocol::carried_totals::CarriedTotals;
use crate::protocol::handover::{ToHeir, print};
use crate::protocol::totals::Totals;
use crate::remote::Reply;

/// How long the heir may take for what this master says last.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// One upgrade.
pub(super) struct Upgrade {
    pub(super) reply: Option<Reply>,
    /// What may go wrong.
    pub(super) warning: Option<String>,
    pub(super) stage: Stage,
}

/// What is left to do once another master has taken over and the last worker is gone.
pub(super) struct Farewell {
    pub(super) pid: u32,
    /// Whether it has ended on purpose by now.
    pub(super) has_ended: bool,
    /// Addresses that its workers do not serve.
    pub(super) closed: Vec<String>,
    /// What was wrong with it, though it was done.
    pub(super) warning: Option<String>,
    pub(super) link: HandoverLink,
    pub(super) reply: Option<Reply>,
}

impl Farewell {
    /// Tells the heir and who asked that nothing is left here. Call it once no connection is.
    pub(super) async fn say(self, totals: &Totals) {
        let totals = CarriedTotals::from(totals);
        self.link.send(print(&ToHeir::Counted { totals, workers: 0 }), None);
        self.link.send(print(&ToHeir::Done), None);
        let _ = tokio::time::timeout(LAST_WORDS, self.link.flush()).await;
        if let Some(reply) = self.reply {
            let mut answer = json!({ "pid": self.pid, "closed": self.closed });
            if let Some(warning) = self.warning {
                answer["warning"] = warning.into();
            }
            reply(Ok(answer));
        }
    }
}

pub(super) enum Stage {
    /// The dispatcher copies its sockets.
    Copying {
        command: HeirCommand,
        timeout: u64,
    },
    Running(Box<Running>),
}

pub(super) struct Running {
    pub(super) machine: Predecessor,
    pub(super) heir: HeirProcess,
    pub(super) link: HandoverLink,
    pub(super) ready: u32,
    pub(super) target: u32,
    /// The holder's end, if this process becomes one.
    pub(super) holder: Option<Channel>,
    /// Where this master listens, by the numbers of its listeners. Once it has stepped down, only
    /// what the heir does not serve.
    pub(super) addresses: Vec<(ListenerId, String)>,
}

//! How far commands are that take their time.

use std::collections::{BTreeMap, BTreeSet};

use cluster2_rs::counts::counted;
use serde_json::Value;

/// How far a command is, from one status of the cluster to the next.
pub(super) trait Progress {
    /// Returns what has changed, in lines.
    fn changes(&mut self, status: &Value) -> Vec<String>;
}

pub(super) fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}

fn workers(status: &Value) -> impl Iterator<Item = &Value> {
    status["workers"].as_array().into_iter().flatten()
}

/// The progress of a reload: each worker that takes over a slot.
#[derive(Default)]
pub(super) struct ReloadProgress {
    /// Process ids of the workers that hold the slots.
    holders: BTreeMap<u64, u64>,
    /// Slots whose workers are new; each comes once in a round.
    done: BTreeSet<u64>,
    has_begun: bool,
}

impl Progress for ReloadProgress {
    fn changes(&mut self, status: &Value) -> Vec<String> {
        let mut lines = Vec::new();
        if !std::mem::replace(&mut self.has_begun, true) && status["master"]["reload"].is_object() {
            lines.push(
                "a reload is under way; all workers are replaced once more after it".to_owned(),
            );
        }
        let settled = |worker: &Value| match worker["state"].as_str()? {
            "ready" | "stuck" => Some("is ready"),
            "spare" => Some("waits as a spare"),
            _ => None,
        };
        let settled = workers(status).filter_map(|worker| {
            Some((worker["slot"].as_u64()?, (worker["pid"].as_u64()?, settled(worker)?)))
        });
        let mut holders = BTreeMap::new();
        // The old worker is ready too until it drains. It comes first: until then it has the slot.
        for (slot, holder) in settled {
            holders.entry(slot).or_insert(holder);
        }
        for (slot, (pid, state)) in holders {
            if let Some(old) = self.holders.insert(slot, pid).filter(|old| *old != pid) {
                if !self.done.insert(slot) {
                    self.done = [slot].into();
                }
                let count = |name: &str| status["master"][name].as_u64().unwrap_or_default();
                let (done, total) = (self.done.len(), count("target") + count("spares"));
                lines.push(format!(
                    "slot {slot}: worker {pid} {state} in place of {old} ({done} of {total})"
                ));
            }
        }
        lines
    }
}

/// The progress of an upgrade: the new master's workers, then those of the old one.
#[derive(Default)]
pub(super) struct UpgradeProgress {
    last: String,
    has_begun: bool,
    has_warned: bool,
}

impl UpgradeProgress {
    /// Returns the warning of an upgrade the first time it is there.
    pub(super) fn warning(&mut self, upgrade: &Value) -> Option<String> {
        let warning = upgrade["warning"].as_str().filter(|_| !self.has_warned)?;
        self.has_warned = true;
        Some(format!("warning: {warning}"))
    }

    fn line(&mut self, status: &Value) -> Option<String> {
        let upgrade = &status["master"]["upgrade"];
        let pid = upgrade["pid"].as_u64()?;
        let (own, left) = (&status["master"]["pid"], &upgrade["draining"]);
        Some(match upgrade["state"].as_str()? {
            "starting" if upgrade["target"] == 0 => format!("master {pid} was started"),
            "starting" => {
                format!("master {pid}: {} of {} ready", upgrade["ready"], upgrade["target"])
            }
            "taking over" => format!("master {pid} is ready"),
            "called off" => format!("master {pid} is called off"),
            _ if *left == 0 => return None,
            // It is the new one that says this.
            _ => format!(
                "master {own} took over; {} of the old one left",
                counted(number(left), "worker")
            ),
        })
    }
}

impl Progress for UpgradeProgress {
    fn changes(&mut self, status: &Value) -> Vec<String> {
        let line = self.line(status).unwrap_or_default();
        // One that was there before is not ours.
        let is_first = !std::mem::replace(&mut self.has_begun, true);
        if is_first || line.is_empty() || line == self.last {
            return Vec::new();
        }
        self.last.clone_from(&line);
        let warning = self.warning(&status["master"]["upgrade"]);
        warning.into_iter().chain([line]).collect()
    }
}

/// The progress of a shutdown: what workers still have to finish.
#[derive(Default)]
pub(super) struct ShutdownProgress {
    last: String,
}

impl Progress for ShutdownProgress {
    fn changes(&mut self, status: &Value) -> Vec<String> {
        if status["master"]["state"] != "leaving" {
            return Vec::new();
        }
        let left = workers(status).count();
        let requests: u64 =
            workers(status).filter_map(|worker| worker["requests"]["active"].as_u64()).sum();
        let connections: u64 =
            workers(status).filter_map(|worker| worker["connections"]["active"].as_u64()).sum();
        let line = format!(
            "{} left, with {} and {}",
            counted(left as u64, "worker"),
            counted(requests, "request"),
            counted(connections, "connection")
        );
        if line == self.last {
            return Vec::new();
        }
        self.last.clone_from(&line);
        vec![line]
    }
}

//! What `status()` shows: assembled from the supervisor's records and the scoreboard.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::member::Member;
use crate::config::Config;
use crate::core::worker::{State, Worker};
use crate::sys::scoreboard::{Field, Row};

/// What does not change while the cluster runs.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The options.
    pub config: Config,
    /// When the master began to listen.
    pub started_at: SystemTime,
    /// Versions and the like, from the front: added to `master` as they are.
    pub about: Value,
}

/// Counters over all workers, the gone ones included.
#[derive(Debug, Clone, Copy, Default)]
pub struct Totals {
    connections: u64,
    timed_out: u64,
    requests: u64,
}

impl Totals {
    /// Adds one worker's.
    pub fn add(&mut self, row: &Row) {
        self.connections += row.count(Field::ConnectionsTotal);
        self.timed_out += row.count(Field::ConnectionsTimedOut);
        self.requests += row.count(Field::RequestsTotal);
    }
}

impl Facts {
    /// The answer to whoever asked us to leave.
    pub fn left(&self) -> Value {
        json!({ "running": true, "pid": std::process::id() })
    }

    /// The whole.
    pub fn status(&self, running: bool, workers: Vec<Value>, totals: Totals) -> Value {
        let mut master = json!({
            "pid": std::process::id(),
            "startedAt": iso(self.started_at),
            "version": env!("CARGO_PKG_VERSION"),
            "hostname": nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()),
            "state": if running { "running" } else { "leaving" },
        });
        if let (Some(master), Some(about)) = (master.as_object_mut(), self.about.as_object()) {
            master.extend(about.clone());
        }
        json!({
            "running": true,
            "master": master,
            "workers": workers,
            "ecv": { "disabled": false, "since": iso(self.started_at) },
            "totals": {
                "connections": totals.connections,
                "timedOut": totals.timed_out,
                "requests": totals.requests,
            },
        })
    }
}

/// One worker's part. Sizes in bytes, durations in milliseconds, times in ISO 8601.
pub fn worker(worker: &Worker, member: &Member, restarts: u32) -> Value {
    let row = &member.row;
    json!({
        "slot": worker.slot,
        "pid": member.pid,
        "generation": worker.generation,
        "state": match worker.state {
            State::Starting { .. } => "starting",
            State::Ready { .. } => "ready",
            State::Draining { .. } => "draining",
            State::Killed { .. } => "killed",
        },
        "startedAt": iso(member.started_at),
        "connections": {
            "active": row.count(Field::ConnectionsActive),
            "total": row.count(Field::ConnectionsTotal),
            "timedOut": row.count(Field::ConnectionsTimedOut),
        },
        "requests": {
            "active": row.count(Field::RequestsActive),
            "total": row.count(Field::RequestsTotal),
        },
        "eventLoopDelay": row.get(Field::EventLoopDelay),
        "rss": row.count(Field::Rss),
        "cpu": row.get(Field::Cpu),
        "restarts": restarts,
    })
}

/// ISO 8601 in UTC with milliseconds, as `Date.prototype.toISOString`.
fn iso(time: SystemTime) -> String {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let stamp = jiff::Timestamp::from_millisecond(since.as_millis() as i64).unwrap_or_default();
    format!("{stamp:.3}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_look_as_javascript_writes_them() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_337_359_772_000);
        assert_eq!(iso(time), "2012-05-18T16:49:32.000Z");
    }
}

//! What is known of each slot and its worker, as metrics.

use std::collections::BTreeMap;
use std::fmt;

use prometheus_client::encoding::EncodeMetric;
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

use super::encoder::FamilyEncoder;
use super::holders::Holders;
use crate::protocol::status::{SlotStatus, Status, WorkerStatus};

/// The states of a worker.
const STATES: [&str; 7] = ["starting", "spare", "ready", "stuck", "draining", "killed", "waiting"];

impl FamilyEncoder<'_> {
    /// What is known of slots, also of those without a worker.
    pub(super) fn slots(&mut self, slots: &[SlotStatus]) -> fmt::Result {
        let seconds = Some(Unit::Seconds);
        let help = "When the next worker of a slot that waits starts, since 1970";
        let mut next = slots.iter().filter_map(|slot| Some((slot.slot, slot.next_start?)));
        let (name, kind) = ("worker_next_start_timestamp", MetricType::Gauge);
        self.family(name, help, seconds.clone(), kind, |metric| {
            next.try_for_each(|(slot, at)| {
                ConstGauge::new(at.millis() as f64 / 1000.0)
                    .encode(metric.encode_family(&[("slot", slot)])?)
            })
        })?;
        let help = "When the latest worker of the slot that is gone ended, since 1970, and how";
        let mut last = slots.iter().filter_map(|slot| Some((slot.slot, slot.last_exit.as_ref()?)));
        self.family("worker_last_exit_timestamp", help, seconds, kind, |metric| {
            last.try_for_each(|(slot, exit)| {
                let labels = [
                    ("slot", slot.to_string()),
                    ("reason", exit.reason.to_owned()),
                    ("code", exit.code.map_or(String::new(), |code| code.to_string())),
                    ("signal", exit.signal.unwrap_or_default().to_owned()),
                ];
                ConstGauge::new(exit.at.millis() as f64 / 1000.0)
                    .encode(metric.encode_family(&labels)?)
            })
        })
    }

    pub(super) fn workers(&mut self, status: &Status, holders: &Holders<'_>) -> fmt::Result {
        let mut now: BTreeMap<u32, (&str, u32, u32)> = holders
            .iter()
            .map(|(slot, worker)| (*slot, (worker.state, worker.restarts, worker.crashes)))
            .collect();
        // A slot without a worker is not what its last one is.
        let slots = status.slots.iter();
        now.extend(slots.map(|slot| (slot.slot, (slot.state, slot.restarts, slot.crashes))));
        let states = "Whether the slot is in that state: that of its worker, or waiting for one";
        self.family("worker_state", states, None, MetricType::Gauge, |metric| {
            now.iter().flat_map(|one| STATES.map(|state| (one, state))).try_for_each(
                |((slot, (found, ..)), state)| {
                    let labels = [("slot", slot.to_string()), ("state", state.to_owned())];
                    ConstGauge::new(u64::from(*found == state))
                        .encode(metric.encode_family(&labels)?)
                },
            )
        })?;
        type Counted = fn(&(&str, u32, u32)) -> u32;
        let counted: [(_, _, Counted); 2] = [
            ("worker_restarts", "How often the worker of the slot was replaced", |one| one.1),
            ("worker_crashes", "Workers of the slot that ended by themselves", |one| one.2),
        ];
        for (name, help, count) in counted {
            self.family(name, help, None, MetricType::Counter, |metric| {
                now.iter().try_for_each(|(slot, one)| {
                    let labels = [("slot", *slot)];
                    let count = ConstCounter::new(u64::from(count(one)));
                    count.encode(metric.encode_family(&labels)?)
                })
            })?;
        }
        self.numbers(holders)
    }

    fn numbers(&mut self, holders: &Holders<'_>) -> fmt::Result {
        type Value = fn(&WorkerStatus) -> Option<f64>;
        let gauges: [(_, _, _, Value); 6] = [
            ("worker_connections_active", "Open connections", None, |worker| {
                Some(worker.connections.active as f64)
            }),
            ("worker_requests_active", "Requests being answered", None, |worker| {
                Some(worker.requests.active as f64)
            }),
            (
                "worker_event_loop_delay",
                "By how much the last timer was late",
                Some(Unit::Seconds),
                |worker| Some(worker.event_loop_delay / 1000.0),
            ),
            (
                "worker_event_loop_utilization_ratio",
                "The part of the last second or two in which the event loop was not idle",
                None,
                |worker| worker.event_loop_utilization,
            ),
            (
                "worker_stuck",
                "For how long the event loop has not turned, 0 if it turns",
                Some(Unit::Seconds),
                |worker| Some(worker.stuck_for.unwrap_or_default() as f64 / 1000.0),
            ),
            ("worker_resident_memory", "Resident memory", Some(Unit::Bytes), |worker| {
                Some(worker.rss as f64)
            }),
        ];
        for (name, help, unit, value) in gauges {
            self.per_slot(name, help, unit, MetricType::Gauge, holders, value)?;
        }
        let counters: [(_, _, _, Value); 4] = [
            ("worker_connections", "Connections served", None, |worker| {
                Some(worker.connections.total as f64)
            }),
            (
                "worker_connections_timed_out",
                "Connections ended by the idle time-out",
                None,
                |worker| Some(worker.connections.timed_out as f64),
            ),
            ("worker_requests", "Requests begun", None, |worker| {
                Some(worker.requests.total as f64)
            }),
            ("worker_cpu", "Processor time used", Some(Unit::Seconds), |worker| {
                Some(worker.cpu / 1000.0)
            }),
        ];
        for (name, help, unit, value) in counters {
            self.per_slot(name, help, unit, MetricType::Counter, holders, value)?;
        }
        Ok(())
    }
}

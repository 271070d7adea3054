//! The metrics of one status, as OpenMetrics.

use std::collections::BTreeMap;
use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use super::encoder::FamilyEncoder;
use super::holders::{Holders, holders};
use crate::protocol::status::{SlotStatus, Status, WorkerStatus};

/// The beginning of every metric's name.
const PREFIX: &str = "cluster2";
/// The states of a worker.
const STATES: [&str; 7] = ["starting", "spare", "ready", "stuck", "draining", "killed", "waiting"];

/// Returns the metrics of `status`.
pub(super) fn text(status: Status) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix(PREFIX);
    registry.register_collector(Box::new(Snapshot(status)));
    let mut text = String::new();
    text::encode(&mut text, &registry)?;
    Ok(text)
}

#[derive(Debug)]
struct Snapshot(Status);

impl Collector for Snapshot {
    fn encode(&self, encoder: DescriptorEncoder) -> fmt::Result {
        let mut families = FamilyEncoder::new(encoder);
        families.master(&self.0)?;
        families.scaling(&self.0)?;
        families.totals(&self.0)?;
        families.slots(&self.0.slots)?;
        families.workers(&self.0, &holders(&self.0.workers))
    }
}

impl FamilyEncoder<'_> {
    fn master(&mut self, status: &Status) -> fmt::Result {
        let master = &status.master;
        let build = [("version", master.version.as_str()), ("node", master.node.as_str())];
        self.family(
            "build_info",
            "Versions of cluster2-rs and Node, as labels",
            None,
            MetricType::Gauge,
            |metric| ConstGauge::new(1u64).encode(metric.encode_family(&build)?),
        )?;
        let started = master.started_at.millis() as f64 / 1000.0;
        self.gauge(
            "start_time",
            "When the master began to listen, since 1970",
            Some(Unit::Seconds),
            started,
        )?;
        let help = "Resident memory of the master";
        self.gauge("master_resident_memory", help, Some(Unit::Bytes), master.rss as f64)?;
        let help = "Processor time that the master used";
        self.counter("master_cpu", help, Some(Unit::Seconds), master.cpu / 1000.0)?;
        self.gauge(
            "workers_target",
            "How many workers there should be",
            None,
            f64::from(master.target),
        )?;
        let ready = status.workers.iter().filter(|worker| worker.state == "ready").count();
        self.gauge("workers_ready", "How many workers are ready", None, ready as f64)?;
        let help = "How many spares there should be";
        self.gauge("spares_target", help, None, f64::from(master.spares))?;
        let spares = status.workers.iter().filter(|worker| worker.state == "spare").count();
        let help = "How many spares wait to be activated";
        self.gauge("spares_waiting", help, None, spares as f64)?;
        let reload = f64::from(u32::from(master.reload.is_some()));
        self.gauge("reload_running", "Whether a reload is under way", None, reload)?;
        let disabled = u32::from(status.ecv.disabled);
        self.gauge(
            "ecv_disabled",
            "Whether the health check was switched off",
            None,
            f64::from(disabled),
        )?;
        let help = "Workers whose last health check failed";
        self.gauge("ecv_unhealthy_workers", help, None, status.ecv.unhealthy.len() as f64)
    }

    fn totals(&mut self, status: &Status) -> fmt::Result {
        let totals = &status.totals;
        for (name, help, value) in [
            ("connections", "Connections served", totals.connections),
            ("connections_timed_out", "Connections ended by the idle time-out", totals.timed_out),
            ("requests", "Requests begun", totals.requests),
            ("connections_handed", "Connections that the master handed to workers", totals.handed),
            (
                "connections_reclaimed",
                "Connections taken back from workers that did not take them",
                totals.reclaimed,
            ),
            (
                "connections_moved",
                "Idle connections that went on with another worker",
                totals.moved,
            ),
            (
                "requests_retried",
                "Requests that went to another worker when theirs ended",
                totals.retried,
            ),
            (
                "connections_shed",
                "Connections that were answered 503 because they waited for too long",
                totals.shed,
            ),
        ] {
            self.counter(name, help, None, value as f64)?;
        }
        let is_overloaded = f64::from(status.overload.is_some());
        self.gauge("overloaded", "Whether connections are answered 503", None, is_overloaded)?;
        self.gauge(
            "connections_waiting",
            "Connections that wait in the dispatcher",
            None,
            totals.waiting as f64,
        )?;
        self.family(
            "worker_exits",
            "Workers that ended, by reason",
            None,
            MetricType::Counter,
            |metric| {
                totals.exits.iter().try_for_each(|(reason, count)| {
                    ConstCounter::new(*count).encode(metric.encode_family(&[("reason", *reason)])?)
                })
            },
        )?;
        let reloads = [("replaced", totals.reloads), ("failed", totals.reloads_failed)];
        self.family("reloads", "Reloads, by outcome", None, MetricType::Counter, |metric| {
            reloads.iter().try_for_each(|(outcome, count)| {
                ConstCounter::new(*count).encode(metric.encode_family(&[("outcome", *outcome)])?)
            })
        })?;
        self.histogram("drain_duration", "How long drains took", &totals.drains)
    }

    /// What is known of slots, also of those without a worker.
    fn slots(&mut self, slots: &[SlotStatus]) -> fmt::Result {
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

    fn workers(&mut self, status: &Status, holders: &Holders<'_>) -> fmt::Result {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::tests::{status, worker};
    use crate::protocol::status::{LastExit, Time};

    #[test]
    fn prometheus_reads_these_series() {
        let mut status = status();
        status.master.node = "v\"24\"\\\n".into();
        status.master.spares = 2;
        status.workers.push(worker(2, "spare"));
        status.totals.drains.add(300);
        status.totals.drains.add(90_000);
        let text = text(status).unwrap();
        for line in [
            r#"cluster2_build_info{version="0.1.0",node="v\"24\"\\\n"} 1"#,
            "cluster2_start_time_seconds 1337359770.0",
            "cluster2_requests_total 1000.0",
            r#"cluster2_worker_exits_total{reason="recycle"} 2"#,
            r#"cluster2_reloads_total{outcome="failed"} 0"#,
            r#"cluster2_worker_state{slot="1",state="draining"} 1"#,
            r#"cluster2_worker_state{slot="1",state="ready"} 0"#,
            r#"cluster2_worker_state{slot="1",state="waiting"} 0"#,
            r#"cluster2_worker_crashes_total{slot="0"} 1"#,
            r#"cluster2_worker_event_loop_utilization_ratio{slot="0"} 0.25"#,
            "cluster2_workers_ready 1.0",
            "cluster2_spares_target 2.0",
            "cluster2_spares_waiting 1.0",
            r#"cluster2_worker_state{slot="2",state="spare"} 1"#,
            r#"cluster2_worker_cpu_seconds_total{slot="0"} 1.234"#,
            r#"cluster2_worker_event_loop_delay_seconds{slot="0"} 0.0015"#,
            r#"cluster2_drain_duration_seconds_bucket{le="0.5"} 1"#,
            r#"cluster2_drain_duration_seconds_bucket{le="60.0"} 1"#,
            r#"cluster2_drain_duration_seconds_bucket{le="+Inf"} 2"#,
            "cluster2_drain_duration_seconds_sum 90.3",
            "cluster2_ecv_unhealthy_workers 1.0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in:\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn a_slot_that_waits_has_no_numbers_but_says_for_what_it_waits() {
        let mut status = status();
        status.workers.remove(1);
        status.slots[1].state = "waiting";
        status.slots[1].next_start = Some(Time::from_millis(1_337_359_780_500));
        status.slots[1].last_exit = Some(LastExit {
            at: Time::from_millis(1_337_359_775_000),
            pid: 4001,
            code: Some(1),
            signal: None,
            reason: "crash",
            error: None,
            lines: Vec::new(),
        });
        let text = text(status).unwrap();
        for line in [
            r#"cluster2_worker_state{slot="1",state="waiting"} 1"#,
            r#"cluster2_worker_state{slot="1",state="draining"} 0"#,
            r#"cluster2_worker_crashes_total{slot="1"} 1"#,
            r#"cluster2_worker_next_start_timestamp_seconds{slot="1"} 1337359780.5"#,
            r#"cluster2_worker_last_exit_timestamp_seconds{slot="1",reason="crash",code="1",signal=""} 1337359775.0"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in:\n{text}");
        }
        assert!(!text.contains("cluster2_worker_cpu_seconds_total{slot=\"1\"}"), "{text}");
    }

    #[test]
    fn a_slot_with_two_workers_has_each_series_once() {
        let mut status = status();
        let old = WorkerStatus { generation: 2, ..worker(0, "draining") };
        let young = WorkerStatus {
            generation: 3,
            connections: Default::default(),
            ..worker(0, "starting")
        };
        status.workers = vec![WorkerStatus { generation: 1, ..worker(0, "draining") }, young, old];
        let text = text(status).unwrap();
        let series: Vec<_> =
            text.lines().filter_map(|line| line.rsplit_once(' ')).map(|(name, _)| name).collect();
        let once: std::collections::BTreeSet<_> = series.iter().collect();
        assert_eq!(series.len(), once.len());
        assert!(text.contains("cluster2_worker_connections_active{slot=\"0\"} 0.0"), "{text}");
    }
}

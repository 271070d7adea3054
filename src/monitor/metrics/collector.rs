//! The metrics of one status, as OpenMetrics.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use super::encoder::FamilyEncoder;
use super::holders::holders;
use crate::protocol::status::Status;

/// The beginning of every metric's name.
const PREFIX: &str = "cluster2";

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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::tests::{status, worker};
    use crate::protocol::status::{LastExit, WorkerStatus};
    use crate::protocol::time::Time;

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

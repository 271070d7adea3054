//! The metrics of a number of workers that follows their work. Where it does not, the families have
//! no series, except the counters of changes, which a command makes too.

use std::fmt;

use prometheus_client::encoding::EncodeMetric;
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::encoder::FamilyEncoder;
use crate::protocol::scaling::ScalingStatus;
use crate::protocol::status::Status;

impl FamilyEncoder<'_> {
    pub(super) fn scaling(&mut self, status: &Status) -> fmt::Result {
        let scaling = status.master.scaling;
        let bound = |bound: fn(ScalingStatus) -> u32| scaling.map(|it| f64::from(bound(it)));
        let gauges = [
            ("workers_min", "The least workers that there are", bound(|it| it.min)),
            ("workers_max", "The most workers that there are", bound(|it| it.max)),
            (
                "workers_utilization_ratio",
                "The part of the last 10 s in which the event loops were not idle, on average",
                scaling.and_then(|it| it.utilization),
            ),
        ];
        for (name, help, value) in gauges {
            match value {
                Some(value) => self.gauge(name, help, None, value)?,
                None => self.family(name, help, None, MetricType::Gauge, |_| Ok(()))?,
            }
        }
        let help = "Whether that keeps the number of workers from growing";
        self.family("scaling_limited", help, None, MetricType::Gauge, |metric| {
            let limits = scaling.into_iter().flat_map(|it| {
                ScalingStatus::LIMITS.map(|limit| (limit, u64::from(it.limited_by == Some(limit))))
            });
            limits.into_iter().try_for_each(|(limit, is_it)| {
                ConstGauge::new(is_it).encode(metric.encode_family(&[("by", limit)])?)
            })
        })?;
        let changes = [("up", status.totals.scaled_up), ("down", status.totals.scaled_down)];
        let help = "Changes of the number of workers, by direction";
        self.family("scalings", help, None, MetricType::Counter, |metric| {
            changes.iter().try_for_each(|(direction, count)| {
                let labels = [("direction", *direction)];
                ConstCounter::new(*count).encode(metric.encode_family(&labels)?)
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::monitor::metrics::collector::text;
    use crate::monitor::tests::status;
    use crate::protocol::scaling::ScalingStatus;

    #[test]
    fn bounds_and_what_limits_are_series_only_where_the_number_follows_the_work() {
        let mut status = status();
        let fixed = text(status.clone()).unwrap();
        assert!(!fixed.contains("\ncluster2_workers_max "), "{fixed}");
        status.master.scaling = Some(ScalingStatus {
            min: 1,
            max: 8,
            utilization: Some(0.625),
            limited_by: Some("memory"),
        });
        status.totals.scaled_up = 3;
        let text = text(status).unwrap();
        for line in [
            "cluster2_workers_min 1.0",
            "cluster2_workers_max 8.0",
            "cluster2_workers_utilization_ratio 0.625",
            r#"cluster2_scaling_limited{by="memory"} 1"#,
            r#"cluster2_scaling_limited{by="maxWorkers"} 0"#,
            r#"cluster2_scalings_total{direction="up"} 3"#,
            r#"cluster2_scalings_total{direction="down"} 0"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in:\n{text}");
        }
    }
}

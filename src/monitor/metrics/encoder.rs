//! Families of metrics of each kind.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

use super::holders::Holders;
use crate::protocol::status::WorkerStatus;
use crate::protocol::totals::{BUCKETS, Durations};

/// Writes families of metrics.
pub(super) struct FamilyEncoder<'a>(DescriptorEncoder<'a>);

impl<'a> FamilyEncoder<'a> {
    pub(super) fn new(encoder: DescriptorEncoder<'a>) -> Self {
        Self(encoder)
    }
}

impl FamilyEncoder<'_> {
    pub(super) fn per_slot(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<Unit>,
        kind: MetricType,
        holders: &Holders<'_>,
        value: fn(&WorkerStatus) -> Option<f64>,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, unit.as_ref(), kind)?;
        let known = holders.iter().filter_map(|(slot, worker)| Some((*slot, value(worker)?)));
        for (slot, value) in known {
            let labels = [("slot", slot)];
            let series = metric.encode_family(&labels)?;
            match kind {
                MetricType::Counter => ConstCounter::new(value).encode(series)?,
                _ => ConstGauge::new(value).encode(series)?,
            }
        }
        Ok(())
    }

    pub(super) fn gauge(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<Unit>,
        value: f64,
    ) -> fmt::Result {
        self.single(name, help, unit, &ConstGauge::new(value))
    }

    pub(super) fn counter(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<Unit>,
        value: f64,
    ) -> fmt::Result {
        self.single(name, help, unit, &ConstCounter::new(value))
    }

    /// Writes a family of one metric without labels.
    fn single(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<Unit>,
        metric: &impl EncodeMetric,
    ) -> fmt::Result {
        let kind = metric.metric_type();
        metric.encode(self.0.encode_descriptor(name, help, unit.as_ref(), kind)?)
    }

    pub(super) fn histogram(
        &mut self,
        name: &str,
        help: &str,
        durations: &Durations,
    ) -> fmt::Result {
        let bounds = BUCKETS.into_iter().chain([f64::INFINITY]);
        let buckets: Vec<_> = bounds.zip(durations.buckets).collect();
        let mut metric =
            self.0.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Histogram)?;
        metric.encode_histogram::<NoLabelSet>(
            durations.total as f64 / 1000.0,
            durations.count,
            &buckets,
            None,
        )
    }

    pub(super) fn family(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<Unit>,
        kind: MetricType,
        series: impl FnOnce(&mut MetricEncoder) -> fmt::Result,
    ) -> fmt::Result {
        series(&mut self.0.encode_descriptor(name, help, unit.as_ref(), kind)?)
    }
}

//! `/metrics`: the status in the text format of Prometheus, or as OpenMetrics if the client prefers
//! that.
//!
//! There is one series for each slot, and totals of the cluster. A slot's counters start again with
//! each of its workers, as Prometheus expects of counters; the cluster's never do. When a slot has
//! two workers for a moment, the one that holds it counts.

mod collector;
mod encoder;
mod format;
mod holders;
mod scaling;
mod slots;

pub(super) use format::page;

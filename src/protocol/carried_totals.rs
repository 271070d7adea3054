//! What one master has counted, on its way to the next.
//!
//! What always holds: a field that is missing is 0, and an unknown one is ignored, so that masters
//! of different versions can read each other's.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::totals::Totals;

/// [`Totals`] on their way to another master.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CarriedTotals {
    connections: u64,
    timed_out: u64,
    requests: u64,
    handed: u64,
    reclaimed: u64,
    moved: u64,
    retried: u64,
    shed: u64,
    /// By the name that the first builds know.
    #[serde(rename = "deaths")]
    exits: BTreeMap<String, u64>,
    reloads: u64,
    reloads_failed: u64,
    scaled_up: u64,
    scaled_down: u64,
    drains: u64,
    drained_for: u64,
    drain_buckets: Vec<u64>,
}

impl From<&Totals> for CarriedTotals {
    fn from(totals: &Totals) -> Self {
        Self {
            connections: totals.connections,
            timed_out: totals.timed_out,
            requests: totals.requests,
            handed: totals.handed,
            reclaimed: totals.reclaimed,
            moved: totals.moved,
            retried: totals.retried,
            shed: totals.shed,
            exits: totals.exits.iter().map(|(word, count)| ((*word).to_owned(), *count)).collect(),
            reloads: totals.reloads,
            reloads_failed: totals.reloads_failed,
            scaled_up: totals.scaled_up,
            scaled_down: totals.scaled_down,
            drains: totals.drains.count,
            drained_for: totals.drains.total,
            drain_buckets: totals.drains.buckets.to_vec(),
        }
    }
}

impl CarriedTotals {
    /// Adds them to the totals of another master. `words`: the reasons of exits that are known
    /// here; others are left out.
    pub fn add_to(&self, totals: &mut Totals, words: &[&'static str]) {
        totals.connections = totals.connections.saturating_add(self.connections);
        totals.timed_out = totals.timed_out.saturating_add(self.timed_out);
        totals.requests = totals.requests.saturating_add(self.requests);
        totals.handed = totals.handed.saturating_add(self.handed);
        totals.reclaimed = totals.reclaimed.saturating_add(self.reclaimed);
        totals.moved = totals.moved.saturating_add(self.moved);
        totals.retried = totals.retried.saturating_add(self.retried);
        totals.shed = totals.shed.saturating_add(self.shed);
        totals.reloads = totals.reloads.saturating_add(self.reloads);
        totals.reloads_failed = totals.reloads_failed.saturating_add(self.reloads_failed);
        totals.scaled_up = totals.scaled_up.saturating_add(self.scaled_up);
        totals.scaled_down = totals.scaled_down.saturating_add(self.scaled_down);
        for word in words {
            if let Some(count) = self.exits.get(*word) {
                let known = totals.exits.entry(word).or_default();
                *known = known.saturating_add(*count);
            }
        }
        let drains = &mut totals.drains;
        drains.count = drains.count.saturating_add(self.drains);
        drains.total = drains.total.saturating_add(self.drained_for);
        for (bucket, count) in drains.buckets.iter_mut().zip(&self.drain_buckets) {
            *bucket = bucket.saturating_add(*count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_go_on_where_the_predecessor_stopped() {
        let mut past = Totals { requests: 5, reloads: 1, ..Totals::default() };
        past.exits.insert("crash", 2);
        past.drains.add(300);
        let mut carried = CarriedTotals::from(&past);
        carried.exits.insert("moonlight".into(), 9);
        let packet = serde_json::to_vec(&carried).unwrap();
        let carried: CarriedTotals = serde_json::from_slice(&packet).unwrap();
        let mut totals = Totals { requests: 7, ..Totals::default() };
        totals.drains.add(300);
        carried.add_to(&mut totals, &["crash", "reload"]);
        assert_eq!((totals.requests, totals.reloads), (12, 1));
        assert_eq!(totals.exits.into_iter().collect::<Vec<_>>(), [("crash", 2)]);
        assert_eq!((totals.drains.count, totals.drains.buckets[1]), (2, 2));
    }
}

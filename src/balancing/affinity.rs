//! Client affinity: which slot a client belongs to, by rendezvous hashing over a table.
//!
//! Clients hash to a fixed number of shares. Each share belongs to the slot with the greatest
//! weight for it. So a look-up is one access, however many slots there are, and when a slot is
//! inserted or removed, only its own clients move.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;

/// How many shares there are. With the most slots that are possible, each has about 32.
const SHARES: u32 = 1 << 15;

/// Maps clients to slots.
#[derive(Debug, Default)]
pub(super) struct Affinity {
    /// In ascending order.
    slots: Vec<u32>,
    /// The slot of each share; empty without slots.
    owners: Vec<u32>,
}

impl Affinity {
    /// Inserts a slot. Does nothing if it is there already.
    pub(super) fn insert(&mut self, slot: u32) {
        let Err(index) = self.slots.binary_search(&slot) else { return };
        self.slots.insert(index, slot);
        self.owners.resize(SHARES as usize, slot);
        for (share, owner) in (0..).zip(&mut self.owners) {
            *owner = stronger(share, *owner, slot);
        }
    }

    /// Removes a slot, if it is there.
    pub(super) fn remove(&mut self, slot: u32) {
        let Ok(index) = self.slots.binary_search(&slot) else { return };
        self.slots.remove(index);
        let Some(any) = self.slots.first() else { return self.owners.clear() };
        for (share, owner) in (0..).zip(&mut self.owners).filter(|(_, owner)| **owner == slot) {
            *owner = self.slots.iter().fold(*any, |best, slot| stronger(share, best, *slot));
        }
    }

    /// Returns the client's own slot for `attempt` 0. Further attempts return one of all slots,
    /// always the same for the client, for when its own cannot take it. `None` without slots.
    pub(super) fn slot(&self, client: IpAddr, attempt: u32) -> Option<u32> {
        if self.owners.is_empty() {
            return None;
        }
        let mut hasher = DefaultHasher::new();
        (client, attempt).hash(&mut hasher);
        self.owners.get((hasher.finish() % u64::from(SHARES)) as usize).copied()
    }
}

/// Returns which of two slots a share belongs to.
fn stronger(share: u32, one: u32, other: u32) -> u32 {
    if (weight(share, one), one) < (weight(share, other), other) { other } else { one }
}

/// Returns a random-looking number for a share and a slot (the finalizer of splitmix64).
fn weight(share: u32, slot: u32) -> u64 {
    let mut z = (u64::from(share) << 32 | u64::from(slot)).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn clients() -> impl Iterator<Item = IpAddr> {
        (0..20_000u32).map(|number| IpAddr::from(number.to_be_bytes()))
    }

    fn affinity_of(slots: impl IntoIterator<Item = u32>) -> Affinity {
        let mut affinity = Affinity::default();
        slots.into_iter().for_each(|slot| affinity.insert(slot));
        affinity
    }

    #[test]
    fn clients_spread_evenly() {
        for (count, off) in [(2, 0.03), (8, 0.08), (64, 0.25)] {
            let affinity = affinity_of(0..count);
            let mut shares: BTreeMap<u32, u32> = BTreeMap::new();
            clients().for_each(|client| {
                *shares.entry(affinity.slot(client, 0).unwrap()).or_default() += 1
            });
            let fair = 20_000.0 / f64::from(count);
            for slot in 0..count {
                let share = f64::from(shares[&slot]);
                assert!(
                    (share / fair - 1.0).abs() < off,
                    "slot {slot} of {count} has {share} instead of {fair}"
                );
            }
        }
    }

    #[test]
    fn only_the_clients_of_an_inserted_or_removed_slot_move() {
        let mut random = fastrand::Rng::with_seed(3);
        let mut affinity = affinity_of(0..5);
        for _ in 0..30 {
            let (slot, before) = (
                random.u32(..8),
                clients().map(|client| affinity.slot(client, 0)).collect::<Vec<_>>(),
            );
            let is_removal = affinity.slots.len() > 1 && affinity.slots.contains(&slot);
            if is_removal {
                affinity.remove(slot)
            } else {
                affinity.insert(slot)
            }
            for (client, before) in clients().zip(before) {
                let now = affinity.slot(client, 0);
                let may_move = if is_removal { before == Some(slot) } else { now == Some(slot) };
                assert!(now == before || may_move, "{client} moved from {before:?} to {now:?}");
                assert!(!is_removal || now != Some(slot));
            }
        }
    }

    #[test]
    fn the_order_of_insertion_does_not_matter() {
        let (one, mut other) = (affinity_of([0, 1, 2]), affinity_of([7, 2, 1, 0]));
        other.remove(7);
        assert!(clients().all(|client| one.slot(client, 0) == other.slot(client, 0)));
        assert_eq!(affinity_of([]).slot(clients().next().unwrap(), 0), None);
    }
}

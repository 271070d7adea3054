//! Which slot a client belongs to: rendezvous hashing, by a table.
//!
//! Clients are spread over a fixed number of shares, and each share belongs to the slot with the greatest weight for it. Looking up is
//! one access, however many slots there are. When a slot comes or goes, only its own shares, and so its own clients, move.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;

/// With the most slots there can be, each still has about 32.
const SHARES: u32 = 1 << 15;

/// See the module's text.
#[derive(Debug, Default)]
pub(crate) struct Affinity {
    slots: Vec<u32>,
    /// The slot of each share; nothing where there are no slots.
    owners: Vec<u32>,
}

impl Affinity {
    /// A slot comes; if it is there already, nothing changes.
    pub(crate) fn join(&mut self, slot: u32) {
        let Err(place) = self.slots.binary_search(&slot) else { return };
        self.slots.insert(place, slot);
        self.owners.resize(SHARES as usize, slot);
        for (share, owner) in (0..).zip(&mut self.owners) {
            *owner = stronger(share, *owner, slot);
        }
    }

    /// A slot goes.
    pub(crate) fn leave(&mut self, slot: u32) {
        let Ok(place) = self.slots.binary_search(&slot) else { return };
        self.slots.remove(place);
        let Some(any) = self.slots.first() else { return self.owners.clear() };
        for (share, owner) in (0..).zip(&mut self.owners).filter(|(_, owner)| **owner == slot) {
            *owner = self.slots.iter().fold(*any, |best, slot| stronger(share, best, *slot));
        }
    }

    /// The client's slot, or where it goes if its own can take nothing: for `attempt` 1 and further ones, one of all, always
    /// the same for the client. `None` without slots.
    pub(crate) fn slot(&self, client: IpAddr, attempt: u32) -> Option<u32> {
        if self.owners.is_empty() {
            return None;
        }
        let mut hasher = DefaultHasher::new();
        (client, attempt).hash(&mut hasher);
        self.owners.get((hasher.finish() % u64::from(SHARES)) as usize).copied()
    }
}

/// Which of two slots a share belongs to.
fn stronger(share: u32, one: u32, other: u32) -> u32 {
    if (weight(share, one), one) < (weight(share, other), other) { other } else { one }
}

/// A random number for each pair (the finish of splitmix64).
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

    fn of(slots: impl IntoIterator<Item = u32>) -> Affinity {
        let mut affinity = Affinity::default();
        slots.into_iter().for_each(|slot| affinity.join(slot));
        affinity
    }

    #[test]
    fn clients_spread_evenly() {
        for (count, off) in [(2, 0.03), (8, 0.08), (64, 0.25)] {
            let affinity = of(0..count);
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
    fn only_the_clients_of_a_slot_that_comes_or_goes_move() {
        let mut random = fastrand::Rng::with_seed(3);
        let mut affinity = of(0..5);
        for _ in 0..30 {
            let (slot, before) = (
                random.u32(..8),
                clients().map(|client| affinity.slot(client, 0)).collect::<Vec<_>>(),
            );
            let leaves = affinity.slots.len() > 1 && affinity.slots.contains(&slot);
            if leaves {
                affinity.leave(slot)
            } else {
                affinity.join(slot)
            }
            for (client, before) in clients().zip(before) {
                let now = affinity.slot(client, 0);
                let has_to = if leaves { before == Some(slot) } else { now == Some(slot) };
                assert!(now == before || has_to, "{client} moved from {before:?} to {now:?}");
                assert!(!leaves || now != Some(slot));
            }
        }
    }

    #[test]
    fn the_order_in_which_slots_came_does_not_matter() {
        let (one, mut other) = (of([0, 1, 2]), of([7, 2, 1, 0]));
        other.leave(7);
        assert!(clients().all(|client| one.slot(client, 0) == other.slot(client, 0)));
        assert_eq!(of([]).slot(clients().next().unwrap(), 0), None);
    }
}

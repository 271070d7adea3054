//! How many waiting connections a worker may take for itself.
//!
//! What always holds: if each of the workers takes up to the level, in any order, all waiting
//! connections are taken, and no worker has more than one connection above another that it could
//! have left it to.

/// Returns the load up to which `waiting` connections fill all workers, the emptiest first. `loads`
/// are their loads, at least one, and are sorted.
pub(crate) fn level(loads: &mut [u64], waiting: u64) -> u64 {
    loads.sort_unstable();
    let mut left = waiting;
    for (index, load) in loads.iter().enumerate() {
        let filled = index as u64 + 1;
        let Some(next) = loads.get(index + 1) else { return load + left.div_ceil(filled) };
        let room = (next - load).saturating_mul(filled);
        if left <= room {
            return load + left.div_ceil(filled);
        }
        left -= room;
    }
    waiting
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_emptiest_are_filled_first() {
        for (loads, waiting, expected) in [
            (&[0, 0][..], 64, 32),
            (&[0, 0], 63, 32),
            (&[5, 0], 3, 3),
            (&[5, 0], 5, 5),
            (&[5, 0], 6, 6),
            (&[9, 1, 1], 8, 5),
            (&[7], 2, 9),
            (&[3, 3, 3], 0, 3),
        ] {
            assert_eq!(level(&mut loads.to_vec(), waiting), expected, "{loads:?} {waiting}");
        }
    }

    #[test]
    fn in_any_order_all_are_taken_and_evenly() {
        let mut random = fastrand::Rng::with_seed(16);
        for _ in 0..10_000 {
            let mut loads: Vec<u64> = (0..random.usize(1..9)).map(|_| random.u64(0..9)).collect();
            let (before, mut waiting) = (loads.clone(), random.u64(0..40));
            let mut turns: Vec<usize> = (0..loads.len()).collect();
            random.shuffle(&mut turns);
            for turn in turns {
                let to = level(&mut loads.clone(), waiting);
                let taken = to.saturating_sub(loads[turn]).min(waiting);
                loads[turn] += taken;
                waiting -= taken;
            }
            assert_eq!(waiting, 0, "{before:?} {loads:?}");
            let least = loads.iter().min().unwrap();
            for (load, before) in loads.iter().zip(&before) {
                assert!(load == before || *load <= least + 1, "{before:?} {loads:?}");
            }
        }
    }
}

//! A min-tree: finds the least of many values, of which one at a time changes.
//!
//! The values are the leaves of a binary tree. Each inner node holds the lesser of its two
//! children, so a change, and the least value of any range, cost the logarithm of their number.

use std::ops::Range;

/// Values by index, and the least of each range. Of equal values the one with the lowest index is
/// the least.
#[derive(Debug)]
pub(super) struct MinTree<T> {
    /// Values with their indexes. Node 1 is the root, node `n` has the children `2n` and `2n + 1`,
    /// and the second half are the leaves. Node 0 is unused.
    nodes: Vec<(T, usize)>,
}

impl<T: Copy + Ord> MinTree<T> {
    /// Builds a tree of `values`, whose indexes begin at 0.
    pub(super) fn new(values: impl ExactSizeIterator<Item = T> + Clone) -> Self {
        let count = values.len();
        let leaves = values.zip(0..);
        let mut nodes: Vec<(T, usize)> = leaves.clone().chain(leaves).collect();
        for node in (1..count).rev() {
            nodes[node] = nodes[2 * node].min(nodes[2 * node + 1]);
        }
        Self { nodes }
    }

    fn count(&self) -> usize {
        self.nodes.len() / 2
    }

    /// Returns the value at `index`. Panics beyond the end.
    pub(super) fn get(&self, index: usize) -> T {
        self.nodes[self.count() + index].0
    }

    /// Replaces the value at `index`. Panics beyond the end.
    pub(super) fn set(&mut self, index: usize, value: T) {
        let mut node = self.count() + index;
        if self.nodes[node].0 == value {
            return;
        }
        self.nodes[node].0 = value;
        while node > 1 {
            node /= 2;
            self.nodes[node] = self.nodes[2 * node].min(self.nodes[2 * node + 1]);
        }
    }

    /// Returns the least value in a range of indexes, and its index. `None` for an empty range.
    pub(super) fn least(&self, range: Range<usize>) -> Option<(T, usize)> {
        let (mut from, mut to) = (range.start + self.count(), range.end + self.count());
        let mut least: Option<(T, usize)> = None;
        let mut consider =
            |node: (T, usize)| least = Some(least.map_or(node, |least| least.min(node)));
        while from < to {
            if from % 2 == 1 {
                consider(self.nodes[from]);
                from += 1;
            }
            if to % 2 == 1 {
                to -= 1;
                consider(self.nodes[to]);
            }
            from /= 2;
            to /= 2;
        }
        least
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_finds_what_a_search_of_all_values_finds() {
        let mut random = fastrand::Rng::with_seed(5);
        for count in 0..40 {
            let mut values: Vec<u32> = (0..count).map(|_| random.u32(..6)).collect();
            let mut tree = MinTree::new(values.iter().copied());
            for _ in 0..200 {
                let (a, b) = (random.usize(..=count), random.usize(..=count));
                let range = a.min(b)..a.max(b);
                let least = range.clone().map(|index| (values[index], index)).min();
                assert_eq!(tree.least(range), least);
                if count > 0 {
                    let (index, value) = (random.usize(..count), random.u32(..6));
                    values[index] = value;
                    tree.set(index, value);
                    assert_eq!(tree.get(index), value);
                }
            }
        }
    }
}

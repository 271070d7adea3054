//! The least of many values, of which one at a time changes: a tree in which each node holds the lesser of its two children.

use std::ops::Range;

/// See the module's text. Equal values come in the order of their places.
#[derive(Debug)]
pub(crate) struct MinTree<T> {
    /// Node 1 is the root, the children of node `n` are `2n` and `2n + 1`, and the leaves are the second half.
    nodes: Vec<(T, usize)>,
}

impl<T: Copy + Ord> MinTree<T> {
    /// The places are numbered from 0.
    pub(crate) fn new(values: impl ExactSizeIterator<Item = T> + Clone) -> Self {
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

    /// The value at a place; panics beyond the end.
    pub(crate) fn get(&self, place: usize) -> T {
        self.nodes[self.count() + place].0
    }

    /// Changes the value at a place.
    pub(crate) fn set(&mut self, place: usize, value: T) {
        let mut node = self.count() + place;
        if self.nodes[node].0 == value {
            return;
        }
        self.nodes[node].0 = value;
        while node > 1 {
            node /= 2;
            self.nodes[node] = self.nodes[2 * node].min(self.nodes[2 * node + 1]);
        }
    }

    /// The least value of some places, and where it is; `None` where there are no places.
    pub(crate) fn least(&self, places: Range<usize>) -> Option<(T, usize)> {
        let (mut from, mut to) = (places.start + self.count(), places.end + self.count());
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
    fn it_finds_what_a_search_through_all_finds() {
        let mut random = fastrand::Rng::with_seed(5);
        for count in 0..40 {
            let mut values: Vec<u32> = (0..count).map(|_| random.u32(..6)).collect();
            let mut tree = MinTree::new(values.iter().copied());
            for _ in 0..200 {
                let (a, b) = (random.usize(..=count), random.usize(..=count));
                let range = a.min(b)..a.max(b);
                let least = range.clone().map(|place| (values[place], place)).min();
                assert_eq!(tree.least(range), least);
                if count > 0 {
                    let (place, value) = (random.usize(..count), random.u32(..6));
                    values[place] = value;
                    tree.set(place, value);
                    assert_eq!(tree.get(place), value);
                }
            }
        }
    }
}

//! A value of which only changes are announced.

/// The last value that was announced.
#[derive(Debug, Default)]
pub(crate) struct Changed<T>(T);

impl<T: PartialEq> Changed<T> {
    /// Stores `value`. Returns whether it differs from the last one.
    pub(crate) fn set(&mut self, value: T) -> bool {
        std::mem::replace(&mut self.0, value) != self.0
    }

    /// Whether `value` differs from the last one, for an announcement that may fail: `set` it once
    /// it has succeeded.
    pub(crate) fn differs(&self, value: &T) -> bool {
        self.0 != *value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_value_that_differs_from_the_last_one_is_new() {
        let mut changed = Changed::default();
        assert_eq!([0, 1, 1, 0].map(|value| changed.set(value)), [false, true, false, true]);
    }

    #[test]
    fn a_value_that_was_not_announced_stays_new() {
        let mut changed = Changed::default();
        assert!(changed.differs(&1) && changed.differs(&1));
        changed.set(1);
        assert!(!changed.differs(&1));
    }
}

//! The result of a check.

/// A problem that a check found, as text for people. `None`: the app is healthy.
pub type Problem = Option<String>;

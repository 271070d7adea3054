//! How many workers there are: the options `noWorkers` and `maxWorkers`.

use crate::error::{ClusterError, Result};

/// The most workers one cluster may have; the scoreboard is sized for it.
pub(crate) const MAX_WORKERS: u32 = 1024;

/// Fills in the number of workers, and checks it against the most of them, if it follows their
/// work. Then one worker is the least, unless the options say more.
pub(super) fn bounds(least: Option<u32>, most: Option<u32>) -> Result<(u32, Option<u32>)> {
    let least = least.unwrap_or_else(|| if most.is_some() { 1 } else { parallelism() });
    match most.filter(|most| *most < least) {
        None => Ok((least, most)),
        Some(most) => Err(ClusterError::OptionInvalid {
            name: "maxWorkers".into(),
            expected: format!("no less than noWorkers, which is {least}"),
            got: most.to_string(),
        }),
    }
}

/// Returns the number of processors that this process may use, within the limits of its cgroup
/// (without them: nodejs/node#28762).
pub(super) fn parallelism() -> u32 {
    std::thread::available_parallelism().map_or(1, |n| (n.get() as u32).min(MAX_WORKERS))
}

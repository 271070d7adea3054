//! `/logs`: the files below the `logs` directory, as a list, and each by itself: the whole file, a
//! range, its last lines, and what is appended to it.

mod file;
mod follower;
mod list;
mod percent;
mod query;
mod tail;

pub(super) use file::{file, known};
pub use follower::Follower;
pub(super) use list::{LogFile, list};
pub use list::{MAX_DEPTH, MAX_ENTRIES};
pub(super) use query::LogQuery;
pub use tail::start_of_last;

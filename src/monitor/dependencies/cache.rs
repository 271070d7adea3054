//! The last tree, shared by all clients.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::tree::{Package, read};
use crate::monitor::disk::blocking;
use crate::monitor::response::PageError;
use crate::single_flight::SingleFlight;

/// The time after which a tree is read again.
const FRESH_FOR: Duration = Duration::from_secs(10);
/// The limit for reading a tree, shorter than a request's.
const READ_WITHIN: Duration = Duration::from_secs(8);

/// The time of a reading, and its tree.
type Reading = (Instant, Arc<Package>);

/// The tree of an app, read at most once in `FRESH_FOR`.
pub(crate) struct DependencyCache {
    root: PathBuf,
    last: Arc<Mutex<Option<Reading>>>,
    reading: SingleFlight<Result<Arc<Package>, PageError>>,
}

impl DependencyCache {
    /// `root` is the directory of the app.
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root, last: Arc::default(), reading: SingleFlight::default() }
    }

    /// Returns the tree. Callers share the reading under way.
    pub(crate) async fn tree(&self) -> Result<Arc<Package>, PageError> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((when, tree)) = last
            && when.elapsed() < FRESH_FOR
        {
            return Ok(tree);
        }
        let (root, last) = (self.root.clone(), Arc::clone(&self.last));
        let reading = self.reading.run(async move {
            let tree = Arc::new(blocking(move || read(&root, Instant::now() + READ_WITHIN)).await?);
            let read = Some((Instant::now(), Arc::clone(&tree)));
            *last.lock().unwrap_or_else(PoisonError::into_inner) = read;
            Ok(tree)
        });
        reading.await.unwrap_or_else(|| Err(PageError::internal("the reading was given up")))
    }
}

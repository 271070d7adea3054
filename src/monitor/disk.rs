//! Reading from disks that may be slow or stuck.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::AsyncReadExt;
use tokio::sync::Semaphore;

use super::response::PageError;
use hyper::StatusCode;

/// Limit for reading a directory, or a chunk of a file.
const READ_WITHIN: Duration = Duration::from_secs(10);
/// Works that may wait for a disk at the same time.
const MAX_PARALLEL: usize = 2;
/// The size of a chunk, bytes.
const CHUNK: usize = 64 * 1024;

/// Runs `work`, which may wait for a disk, on another thread. A disk that does not answer in time
/// is an error. The work of a caller that goes away before its turn is not done, so that requests
/// without a client do not pile up.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, PageError> {
    static TURNS: Semaphore = Semaphore::const_new(MAX_PARALLEL);
    let done = async {
        let turn = TURNS.acquire().await.map_err(PageError::internal)?;
        let work = move || {
            let _turn = turn;
            work()
        };
        tokio::task::spawn_blocking(work).await.map_err(PageError::internal)
    };
    let late = |_| PageError::new(StatusCode::SERVICE_UNAVAILABLE, "The disk does not answer.");
    tokio::time::timeout(READ_WITHIN, done).await.map_err(late)?
}

/// Returns the next chunk of a file, which is empty at its end.
pub(super) async fn read_chunk(file: &mut (impl AsyncReadExt + Unpin)) -> io::Result<BytesMut> {
    let mut chunk = BytesMut::with_capacity(CHUNK);
    let late = |_| io::Error::from(io::ErrorKind::TimedOut);
    tokio::time::timeout(READ_WITHIN, file.read_buf(&mut chunk)).await.map_err(late)??;
    Ok(chunk)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::tests::on_a_runtime;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex};

    #[test]
    fn the_work_of_a_caller_that_goes_away_before_its_turn_is_not_done() {
        static STARTED: AtomicUsize = AtomicUsize::new(0);
        static DONE: AtomicUsize = AtomicUsize::new(0);
        on_a_runtime(async {
            let (hold, held) = std::sync::mpsc::channel::<()>();
            let held = Arc::new(Mutex::new(held));
            let busy = (0..MAX_PARALLEL).map(|_| {
                let held = held.clone();
                tokio::spawn(blocking(move || {
                    STARTED.fetch_add(1, Ordering::SeqCst);
                    held.lock().unwrap().recv()
                }))
            });
            let busy: Vec<_> = busy.collect();
            while STARTED.load(Ordering::SeqCst) < MAX_PARALLEL {
                tokio::task::yield_now().await;
            }
            for _ in 0..50 {
                let gone = tokio::spawn(blocking(|| DONE.fetch_add(1, Ordering::SeqCst)));
                tokio::task::yield_now().await;
                gone.abort();
                assert!(gone.await.is_err());
            }
            drop(hold);
            for one in busy {
                assert!(one.await.unwrap().is_ok());
            }
            assert!(blocking(|| ()).await.is_ok());
            assert_eq!(DONE.load(Ordering::SeqCst), 0);
        });
    }
}

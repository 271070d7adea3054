//! Work that many ask for at the same time, done once for all of them.
//!
//! What always holds: at most one run is under way; who asks while it is gets its result; and it
//! goes on when who asked first has left.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

/// The run that is under way, if there is one.
type Running<T> = Mutex<Option<watch::Receiver<Option<T>>>>;

/// Runs one piece of work at a time, and shares its result.
#[derive(Debug)]
pub(crate) struct SingleFlight<T>(Arc<Running<T>>);

impl<T> Default for SingleFlight<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T: Clone + Send + Sync + 'static> SingleFlight<T> {
    /// Returns the result of the run that is under way, or starts `work` on the current runtime and
    /// returns its result. `None` if the run panicked or the runtime ended.
    pub(crate) async fn run(&self, work: impl Future<Output = T> + Send + 'static) -> Option<T> {
        let mut result = self.join(work);
        result.wait_for(Option::is_some).await.ok()?.clone()
    }

    fn join(&self, work: impl Future<Output = T> + Send + 'static) -> watch::Receiver<Option<T>> {
        let mut running = lock(&self.0);
        // A sender that is gone has left no result behind: its run was given up.
        if let Some(result) = running.as_ref().filter(|result| result.has_changed().is_ok()) {
            return result.clone();
        }
        let (done, result) = watch::channel(None);
        *running = Some(result.clone());
        let running = Arc::clone(&self.0);
        tokio::spawn(async move {
            let found = work.await;
            lock(&running).take();
            // Everybody who asked may have left.
            let _ = done.send(Some(found));
        });
        result
    }
}

fn lock<T>(running: &Running<T>) -> std::sync::MutexGuard<'_, Option<watch::Receiver<Option<T>>>> {
    running.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn on_a_runtime(test: impl Future<Output = ()>) {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(test);
    }

    #[test]
    fn all_who_ask_during_a_run_share_it_and_the_next_starts_another() {
        on_a_runtime(async {
            let flight = SingleFlight::default();
            let runs = Arc::new(AtomicUsize::new(0));
            let work = || {
                let runs = Arc::clone(&runs);
                async move {
                    tokio::task::yield_now().await;
                    runs.fetch_add(1, Ordering::Relaxed) + 1
                }
            };
            let (first, second) = tokio::join!(flight.run(work()), flight.run(work()));
            assert_eq!((first, second), (Some(1), Some(1)));
            assert_eq!(flight.run(work()).await, Some(2));
        });
    }

    #[test]
    fn a_run_goes_on_when_who_asked_first_has_left() {
        on_a_runtime(async {
            let flight = SingleFlight::default();
            let (go, started) = tokio::sync::oneshot::channel::<()>();
            let first = flight.run(async move { started.await.is_ok() });
            let mut first = Box::pin(first);
            assert!(futures_poll(&mut first).await.is_none());
            drop(first);
            go.send(()).unwrap();
            assert_eq!(flight.run(async { unreachable!("one is under way") }).await, Some(true));
        });
    }

    #[test]
    fn a_run_that_panicked_is_nobodys_result_and_stands_in_nobodys_way() {
        on_a_runtime(async {
            let flight = SingleFlight::default();
            assert_eq!(flight.run(async { panic!("on purpose") }).await, None);
            assert_eq!(flight.run(async { 1 }).await, Some(1));
        });
    }

    /// Polls `future` once.
    async fn futures_poll<T>(future: &mut (impl Future<Output = T> + Unpin)) -> Option<T> {
        tokio::select! {
            biased;
            done = future => Some(done),
            () = std::future::ready(()) => None,
        }
    }
}

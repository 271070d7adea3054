//! Our threads, and what happens when one of them panics.
//!
//! A panic is a fault of ours that nothing can fix: without its dispatcher a master accepts no
//! connection, without its supervisor it notices no death. What always holds: when a guarded thread
//! or task panics, the process says so and ends with [`FAILED`], so that its service manager starts
//! it again. Its workers finish what they have, as after the end of any master. Panics on the
//! JavaScript thread never reach JavaScript: Rust ends the process at the border.

use std::fmt::Display;
use std::io::{self, Write};
use std::thread::{Builder, JoinHandle};

use super::process;

/// Exit code of a process after a panic; `EX_SOFTWARE` of `sysexits.h`.
pub const FAILED: i32 = 70;

/// Starts a guarded thread. The kernel shows at most 15 bytes of `name`.
pub fn start(
    name: &'static str,
    body: impl FnOnce() + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    Builder::new().name(name.into()).spawn(move || {
        let _guard = Guard(name);
        body();
    })
}

/// Starts a guarded task on the present runtime, which would catch its panic.
pub fn task<F>(name: &'static str, body: F) -> tokio::task::JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    tokio::spawn(async move {
        let _guard = Guard(name);
        body.await
    })
}

/// Ends the process, because the thread or task `name` cannot go on.
pub fn fail(name: &str, why: impl Display) -> ! {
    let line = format!(
        "cluster2: {name} failed ({why}). That is a fault of cluster2-rs, please report it. \
         Process {} ends with exit code {FAILED}\n",
        std::process::id(),
    );
    // Standard error may be closed.
    let _ = io::stderr().write_all(line.as_bytes());
    process::end_now(FAILED)
}

/// Ends the process if a panic drops it. A thread holds it, or a task.
#[derive(Debug)]
pub struct Guard(pub &'static str);

impl Drop for Guard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            fail(self.0, "see the lines above");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::descriptors::alone::apart;
    use super::*;

    #[test]
    fn a_thread_that_panics_ends_the_process_and_says_so() {
        let output =
            apart("os::thread::tests::a_thread_that_panics_ends_the_process_and_says_so", || {
                let _ = start("cluster2-test", || panic!("on purpose")).unwrap().join();
                unreachable!("the process has ended");
            });
        let Some(output) = output else { return };
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(FAILED), "{text}");
        assert!(text.contains("on purpose") && text.contains("cluster2-test failed"), "{text}");
    }

    #[test]
    fn a_task_that_panics_ends_the_process_too() {
        let output = apart("os::thread::tests::a_task_that_panics_ends_the_process_too", || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let panics = task("a task", async {
                    tokio::task::yield_now().await;
                    panic!("on purpose");
                });
                let _ = panics.await;
            });
            unreachable!("the process has ended");
        });
        assert_eq!(output.map_or(Some(FAILED), |output| output.status.code()), Some(FAILED));
    }

    #[test]
    fn a_thread_that_ends_by_itself_ends_nothing_else() {
        start("cluster2-test", || {}).unwrap().join().unwrap();
    }
}

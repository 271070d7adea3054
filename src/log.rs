//! The log for debugging, on standard error.

use std::io::Write;
use std::sync::Once;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Turns on the log to standard error that `CLUSTER2_LOG` asks for: a level (`info`), or levels by
/// module (`cluster2_rs::master=debug`). Does nothing when called again.
pub fn start() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let Some(wanted) = std::env::var("CLUSTER2_LOG").ok().filter(|wanted| !wanted.is_empty())
        else {
            return;
        };
        match wanted.parse::<tracing_subscriber::filter::Targets>() {
            Ok(targets) => {
                let lines =
                    tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false);
                // Fails only if something else in this process has set a subscriber: that one
                // stays.
                let _ = tracing_subscriber::registry().with(targets).with(lines).try_init();
            }
            Err(error) => {
                let line =
                    format!("cluster2: CLUSTER2_LOG={wanted} is not a valid filter: {error}\n");
                // Standard error may be closed.
                let _ = std::io::stderr().write_all(line.as_bytes());
            }
        }
    });
}

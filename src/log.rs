//! The log for who looks for a fault, on standard error.

use std::io::Write;
use std::sync::Once;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Turns on the log to standard error that `CLUSTER2_LOG` asks for: a level (`info`), or levels by module
/// (`cluster2_rs::runtime=debug`).
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
                // Fails only if somebody else in this process set a subscriber, whose log it then is.
                let _ = tracing_subscriber::registry().with(targets).with(lines).try_init();
            }
            Err(error) => {
                // Standard error may be closed.
                let _ = writeln!(
                    std::io::stderr(),
                    "cluster2: CLUSTER2_LOG={wanted} is no filter: {error}"
                );
            }
        }
    });
}

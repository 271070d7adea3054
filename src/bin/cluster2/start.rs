//! `cluster2 start`: this process is the master, until the cluster has ended.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use clap::ArgMatches;
use cluster2_rs::config::{Config, Port};
use cluster2_rs::error::ClusterError;
use cluster2_rs::ipc::control::Command;
use cluster2_rs::runtime::master::Master;
use cluster2_rs::runtime::{Failure, log};
use cluster2_rs::sys::process;
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGUSR2};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::low_level::siginfo::Cause;

use super::console::{Console, Watcher};
use super::launch::launch;
use super::{Failed, settings};

type Signals = SignalsInfo<WithOrigin>;

/// A second Ctrl-C that comes sooner is the first one delivered twice (npm passes on what the terminal sends too).
const TWICE: Duration = Duration::from_millis(500);

/// Runs a cluster.
pub fn start(matches: &ArgMatches) -> Result<(), Failed> {
    log::start();
    let config = settings::read(matches)?;
    let cannot = |error: std::io::Error| Failed::start(format!("cannot start: {error}"));
    let (console, written) = Console::open().map_err(cannot)?;
    let (launch, about) = launch(&config, matches, &console)?;
    let greeting = greeting(&config);
    // Before anything is started, so that no signal finds nobody.
    let signals = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGUSR2, SIGCHLD]).map_err(cannot)?;
    let handle = signals.handle();
    let failure = Arc::default();
    let front = Watcher::new(console.clone(), Arc::clone(&failure), move || handle.close());
    let failed = |error: ClusterError| Failed::start(format!("{error} ({})", error.code()));
    let master = Master::start(config, launch, about, Arc::new(front)).map_err(failed)?;
    console.note(greeting);
    serve(signals, &master, &console);
    drop(console);
    written.wait();
    let failure = failure.lock().unwrap_or_else(PoisonError::into_inner).take();
    failure.map_or(Ok(()), |Failure { code, message }| Err(Failed::start(format!("{message} ({code})"))))
}

fn greeting(config: &Config) -> String {
    let workers = config.no_workers;
    let plural = if workers == 1 { "" } else { "s" };
    let script = config.exec.as_deref().unwrap_or_default();
    let monitor = match &config.mon_port {
        Some(Port::Tcp(port @ 1..)) => format!(", monitor on http://{}:{port}{}", config.mon_host, config.mon_path),
        _ => String::new(),
    };
    format!(
        "{workers} worker{plural} of {script}, master {}, in {}{monitor}",
        std::process::id(),
        config.pids.display()
    )
}

/// Passes on what signals mean, until the cluster has ended.
fn serve(mut signals: Signals, master: &Master, console: &Console) {
    let mut leaving = None;
    for origin in signals.forever() {
        // From the kernel it says that the terminal is gone, and with it whoever looked on.
        let is_hang_up = origin.signal == SIGHUP && origin.cause == Cause::Kernel;
        let signal = if is_hang_up { SIGTERM } else { origin.signal };
        match (signal, leaving) {
            (SIGHUP, _) => ask(master, Command::Reload),
            (SIGUSR2, _) => ask(master, Command::ReopenLogs),
            // As process 1 of a container this one inherits what others leave behind.
            (SIGCHLD, _) if std::process::id() == 1 => process::reap_adopted(),
            (SIGINT | SIGTERM, None) => {
                leaving = Some(Instant::now());
                ask(master, Command::Shutdown { wait: false });
                let hint = if signal == SIGINT { "; Ctrl-C once more stops at once" } else { "" };
                console.note(format!("shutting down{hint}"));
            }
            (SIGINT, Some(since)) if since.elapsed() > TWICE => {
                ask(master, Command::Stop);
                console.note("stopping at once".to_owned());
            }
            _ => {}
        }
    }
}

/// What goes wrong is told as a warning; nobody waits for the answer.
fn ask(master: &Master, command: Command) {
    master.command(command, Box::new(|_| {}));
}

//! `cluster2 start`: this process is the master until the cluster has ended.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use clap::ArgMatches;
use cluster2_rs::config::{Config, Output, Port, SECOND_INTERRUPT_AFTER};
use cluster2_rs::counts::counted;
use cluster2_rs::embedder::Failure;
use cluster2_rs::error::ClusterError;
use cluster2_rs::log;
use cluster2_rs::master::{Master, Signal};
use cluster2_rs::os::terminal::{SignalSender, Terminal};
use cluster2_rs::os::{handover, holder, process};
use cluster2_rs::remote;
use signal_hook::consts::{SIGALRM, SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::low_level::siginfo::{Cause, Origin};

use super::console::{Console, ConsoleEmbedder, Restart};
use super::launch::launch;
use super::line::Format;
use super::{Failed, hook, restart, settings};

type Signals = SignalsInfo<WithOrigin>;

/// How often a cluster that is shutting down is polled.
const POLL_EVERY: Duration = Duration::from_millis(50);
/// The signals that are handled; all others keep their default.
const SIGNALS: [i32; 8] = [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGALRM, SIGUSR1, SIGUSR2, SIGCHLD];

/// Runs the command: a cluster, until it has ended.
pub(crate) fn start(matches: &ArgMatches) -> Result<(), Failed> {
    let format = Format::of(matches.get_one::<String>("format").map(String::as_str));
    run(matches, format).map_err(|failed| match format {
        Format::Json => failed.written_to(format),
        // A wrong command line is seen at once.
        Format::Text { has_times } if has_times && failed.is_of_start() => {
            failed.written_to(format)
        }
        Format::Text { .. } => failed,
    })
}

fn run(matches: &ArgMatches, format: Format) -> Result<(), Failed> {
    log::start();
    handover::receive();
    // A launcher may have left signals blocked, which would never arrive.
    let cannot = |error: std::io::Error| Failed::start(format!("cannot start: {error}"));
    process::unblock_signals().map_err(cannot)?;
    let terminal = Terminal::at_start();
    let origin = restart::origin();
    let file = settings::File::now(matches);
    let config = settings::read(matches)?;
    let (console, written) = Console::open(format).map_err(cannot)?;
    let (launch, app) = launch(&config, matches, &console)?;
    let greeting = greeting(&config);
    let command = matches.get_one::<String>("on-event").cloned();
    let reporter = console.clone();
    let (hook, handled) = hook::open(command, move |text| reporter.note(text)).map_err(cannot)?;
    // Before anything is started, so that no signal is missed.
    let mut signals = Signals::new(SIGNALS).map_err(cannot)?;
    let handle = signals.handle();
    let failure = Arc::default();
    let again = Restart::unless(restart_obstacle(&config));
    let embedder = ConsoleEmbedder::new(
        console.clone(),
        file,
        Arc::clone(&failure),
        again.clone(),
        hook,
        move || handle.close(),
    );
    let failed =
        |error: ClusterError| Failed::start(format!("{} ({})", error.message(), error.code()));
    let meanings = Meanings { terminal, writes_files: config.output == Output::Files };
    await_predecessor(&config, &mut signals, &console)?;
    let master =
        Master::start(config, launch, app, origin.clone(), Arc::new(embedder)).map_err(failed)?;
    console.note(greeting);
    let is_leaving = serve(&mut signals, meanings, &master, &console);
    drop(console);
    handled.wait();
    written.wait();
    // Only where another master has taken over. What comes from now on is for that one, and so is
    // what came lately.
    holder::pass_on_all()
        .map_err(|error| Failed::new(format!("cannot pass on signals: {error}")))?;
    let late = signals.pending().map(|origin| origin.signal).filter(|signal| *signal != SIGCHLD);
    late.chain(is_leaving.then_some(SIGTERM)).for_each(holder::pass_on);
    if let Some(error) = holder::become_planned() {
        return Err(Failed::new(format!("this process cannot stay: {error}")));
    }
    let failure = failure.lock().unwrap_or_else(PoisonError::into_inner).take();
    if again.is_asked() && failure.is_none() {
        return Err(restart::start_again(origin));
    }
    failure.map_or(Ok(()), |Failure { code, message }| {
        Err(Failed::start(format!("{message} ({code})")))
    })
}

/// Why this process cannot start its cluster again, if it cannot.
fn restart_obstacle(config: &Config) -> Option<&'static str> {
    let is_inherited = config.ports.iter().any(Port::is_inherited);
    is_inherited.then_some("on sockets that its service manager passed: let that restart it")
}

fn greeting(config: &Config) -> String {
    let workers = match config.max_workers {
        Some(most) => {
            format!("{} to {}", config.no_workers, counted(u64::from(most), "worker"))
        }
        None => counted(u64::from(config.no_workers), "worker"),
    };
    let script = config.exec.as_deref().unwrap_or_default();
    let monitor = match &config.mon_port {
        Some(Port::Tcp(port @ 1..)) => {
            format!(", monitor on http://{}:{port}{}", config.mon_host, config.mon_path)
        }
        _ => String::new(),
    };
    format!(
        "{workers} of {script}, master {}, in {}{monitor}",
        std::process::id(),
        config.pids.display()
    )
}

/// Waits for the end of a cluster in the same directory that is shutting down, as after a
/// `shutdown` without `--wait`.
fn await_predecessor(
    config: &Config,
    signals: &mut Signals,
    console: &Console,
) -> Result<(), Failed> {
    let mut has_noted = false;
    while let Some(status) = remote::glance(&config.pids) {
        if status["master"]["state"] != "leaving" {
            break;
        }
        if !std::mem::replace(&mut has_noted, true) {
            console.note(format!(
                "waiting for master {}, which is shutting down",
                status["master"]["pid"]
            ));
        }
        std::thread::sleep(POLL_EVERY);
        if signals.pending().any(|origin| ![SIGCHLD, SIGUSR1].contains(&origin.signal)) {
            return Err(Failed::start("interrupted before anything was started"));
        }
    }
    Ok(())
}

/// What a signal asks for.
enum Meaning {
    Shutdown,
    Reload,
    Reopen,
    Reap,
    Nothing,
}

/// What signals mean to this process.
struct Meanings {
    terminal: Terminal,
    writes_files: bool,
}

impl Meanings {
    fn of(&self, origin: &Origin) -> Meaning {
        match origin.signal {
            SIGHUP if self.terminal.is_gone(sender(origin)) => {
                if self.terminal.may_go() {
                    Meaning::Nothing
                } else {
                    Meaning::Shutdown
                }
            }
            SIGHUP => Meaning::Reload,
            SIGUSR2 if self.writes_files => Meaning::Reopen,
            // Process 1 of a container inherits the orphans of other processes.
            SIGCHLD => {
                if std::process::id() == 1 {
                    Meaning::Reap
                } else {
                    Meaning::Nothing
                }
            }
            // Opens the debugger of a Node; this is not one.
            SIGUSR1 => Meaning::Nothing,
            // The others end a program by default.
            _ => Meaning::Shutdown,
        }
    }
}

fn sender(origin: &Origin) -> SignalSender {
    match (origin.cause, origin.process) {
        (Cause::Kernel, _) => SignalSender::Kernel,
        (_, Some(process)) => SignalSender::Process(process.pid.cast_unsigned()),
        _ => SignalSender::Unknown,
    }
}

/// Executes signals until the cluster has ended. Returns whether one asked for that.
fn serve(signals: &mut Signals, meanings: Meanings, master: &Master, console: &Console) -> bool {
    let mut leaving: Option<Instant> = None;
    for origin in signals.forever() {
        match (meanings.of(&origin), leaving) {
            (Meaning::Reload, _) => master.signal(Signal::Reload),
            (Meaning::Reopen, _) => master.signal(Signal::ReopenLogs),
            (Meaning::Reap, _) => process::reap_adopted(),
            (Meaning::Shutdown, None) => {
                leaving = Some(Instant::now());
                master.signal(Signal::Shutdown);
                let hint =
                    if origin.signal == SIGINT { "; Ctrl-C once more stops at once" } else { "" };
                console.note(format!("shutting down{hint}"));
            }
            (Meaning::Shutdown, Some(since))
                if origin.signal == SIGINT && since.elapsed() > SECOND_INTERRUPT_AFTER =>
            {
                master.signal(Signal::Stop);
                console.note("stopping at once".to_owned());
            }
            (Meaning::Shutdown | Meaning::Nothing, _) => {}
        }
    }
    leaving.is_some()
}

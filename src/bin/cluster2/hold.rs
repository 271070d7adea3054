//! `cluster2 hold`: what an old master becomes to keep its pid. Not for users.
//!
//! The program checks for it before anything else, since it should need little memory.

use std::env;
use std::process::ExitCode;

use cluster2_rs::os::{holder, holder_program};

/// Runs it, if that is the command.
pub(crate) fn run() -> Option<ExitCode> {
    let mut args = env::args_os().skip(1);
    if args.next()? != holder::COMMAND {
        return None;
    }
    let mut number = || args.next()?.to_str()?.parse::<i32>().ok();
    let (master, socket, pidfd) = (number(), number(), number());
    let master = master.and_then(|master| u32::try_from(master).ok());
    let held = match (master, socket, pidfd) {
        (Some(master), Some(socket), Some(pidfd)) => holder_program::hold(master, socket, pidfd),
        _ => return Some(ExitCode::from(2)),
    };
    Some(held.map_or(ExitCode::FAILURE, ExitCode::from))
}

//! `cluster2 hold`: what an old master becomes to keep its pid. Not for users.
//!
//! It is looked for before anything else, since it should need little memory.

use std::env;
use std::process::ExitCode;

use cluster2_rs::os::holder;

/// Runs it, if that is the command.
pub fn run() -> Option<ExitCode> {
    let mut args = env::args_os().skip(1);
    if args.next()? != holder::COMMAND {
        return None;
    }
    let mut number = || args.next()?.to_str()?.parse().ok();
    let (master, socket): (Option<u32>, Option<u32>) = (number(), number());
    let held = match (master, socket.and_then(|socket| i32::try_from(socket).ok())) {
        (Some(master), Some(socket)) => holder::hold(master, socket),
        _ => return Some(ExitCode::from(2)),
    };
    Some(held.map_or(ExitCode::FAILURE, ExitCode::from))
}

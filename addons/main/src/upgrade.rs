//! What a change of masters needs of the process itself.

use cluster2_rs::os::{handover, holder};
use napi_derive::napi;

/// In a process that another master started to take over: takes what it inherited. Does nothing in
/// any other process.
#[napi]
pub fn receive_handover() {
    handover::receive();
}

/// After another master has taken over: becomes the program that keeps this pid. Returns why that
/// failed, or nothing where it is not needed.
#[napi]
pub fn become_holder() -> Option<String> {
    holder::become_planned().map(|error| error.to_string())
}

/// Has signals passed on to the master that took over without JavaScript, until this process ends.
#[napi]
pub fn pass_on_all_signals() -> napi::Result<()> {
    Ok(holder::pass_on_all()?)
}

/// Sends a signal, by its number, to the master that took over, unless that has ended.
#[napi]
pub fn pass_on_signal(number: i32) {
    holder::pass_on(number);
}

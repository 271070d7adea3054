//! The terminal of a master in JavaScript: whether a SIGHUP means that it is gone.

use cluster2_rs::os::terminal::{self, Terminal};
use cluster2_shared_addon::convert::misuse;
use napi_derive::napi;

/// This process's terminal, if it has one.
#[napi]
pub struct NativeTerminal(Terminal);

#[napi]
impl NativeTerminal {
    /// Create it once there is a listener for SIGHUP.
    #[napi(constructor)]
    pub fn new() -> napi::Result<Self> {
        let terminal = Terminal::at_start();
        terminal::remember_sender().map_err(misuse)?;
        Ok(Self(terminal))
    }

    /// Whether the last SIGHUP means that the terminal is gone.
    #[napi]
    pub fn is_gone(&self) -> bool {
        self.0.is_gone(terminal::last_sender())
    }
}

//! The terminal of a master in JavaScript: whether a SIGHUP says that it is gone.

use napi_derive::napi;

use crate::binding::misuse;
use crate::os::terminal;
use crate::os::terminal::Terminal;

/// This process's terminal, if it has one.
#[napi]
pub struct NativeTerminal(Terminal);

#[napi]
impl NativeTerminal {
    /// To be made once there is a listener for SIGHUP.
    #[napi(constructor)]
    pub fn new() -> napi::Result<Self> {
        let terminal = Terminal::at_start();
        terminal::note_sender().map_err(misuse)?;
        Ok(Self(terminal))
    }

    /// Whether the last SIGHUP says that the terminal is gone.
    #[napi]
    pub fn is_gone(&self) -> bool {
        self.0.is_gone(terminal::last())
    }
}

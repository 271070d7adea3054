//! Taking connections out of a process whose event loop is stuck ("seize").
//!
//! The JavaScript thread marks a connection as idle: it writes down how many bytes were read of it
//! by then ([`Table`]). When its event loop is stuck, another thread orders it by a signal to give
//! such connections away ([`Seizer`]). The handler of that signal runs on the JavaScript thread
//! itself, so libuv and JavaScript see it between two instructions, never beside a system call.
//!
//! What always holds:
//! - A connection is only taken while the kernel counts as many bytes read as were written down
//!   ([`consumed`]). So nothing of a request is in this process.
//! - It is only taken under its own number: the kernel's cookie of the socket is compared.
//! - It is sent first, and cut off after that. If it cannot be sent, nothing has happened.
//! - What libuv keeps under the number is then a socket at its end, each a file of its own, and in
//!   libuv's epoll if the connection was there. So libuv reads an end, and nothing else.
//! - The handler makes system calls on what it was given, and nothing else: it does not allocate,
//!   lock or wait.

mod consumed;
mod given;
mod order;
mod seizer;
mod table;
#[cfg(test)]
mod tests;

pub(crate) use given::Given;
pub(crate) use seizer::{CHAOS, Encode, Seizer};
pub use table::{TABLE_BYTES, Table};

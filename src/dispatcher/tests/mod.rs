//! The dispatcher with real sockets. The test plays the workers: it holds the other ends of their
//! channels.

mod cost;
mod departure;
mod files;
mod guard;
mod load;
mod overload;
mod played;
mod relay;
mod reports;
mod settling;
mod spares;
mod still;
mod thread;
mod unserved;
mod workers;

//! Bytes to messages and back, for every conversation between processes. No I/O here.
//!
//! What always holds: lengths and kinds of everything that another process sends are checked. What
//! does not parse is an error value, never a panic.

pub mod carried_totals;
mod connections;
pub mod control;
mod endpoint;
pub mod execution;
pub mod frame;
pub mod handover;
mod messages;
pub mod node;
pub mod parts;
pub mod scaling;
pub mod status;
pub mod time;
pub mod totals;
pub mod worker;

pub use connections::MAX_CONNECTIONS;
pub use connections::{Origin, Past};
pub(crate) use endpoint::{Endpoint, EndpointAddress};
pub use messages::Order;
pub(crate) use messages::{BoundAddress, ListenerId};
pub use messages::{Inspection, Report, SharedSocket, Wanted};

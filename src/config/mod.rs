//! The options of `new Cluster(options)`, checked and normalised once.
//!
//! Both embedders (the addon and the command line) pass a JSON object. The result has every default
//! filled in, and is the only form in which the rest of the crate knows an option. The rules that
//! both embedders keep are here too.

mod network;
mod options;
mod overload;
mod port;
mod reader;
mod rules;
#[cfg(test)]
mod tests;
mod units;
mod values;
mod workers;

pub(crate) use network::network;
pub(crate) use options::MAX_SPARES;
pub use options::{Balance, Config, EcvOptions, Output};
pub use overload::OverloadOptions;
pub use port::{INHERITED, Port};
pub use rules::{SECOND_INTERRUPT_AFTER, app_name, app_root};
pub(crate) use workers::MAX_WORKERS;

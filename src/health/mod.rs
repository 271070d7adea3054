//! The health check: what load balancers ask, and what they are answered.

pub mod check;
mod guard;
pub mod probe;
mod tls;
pub mod verdict;

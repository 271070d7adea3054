//! The health check for load balancers (ECV, "extended content verification"): its requests, its
//! answers, who may switch it, and how the health of the app is found.
//!
//! It is answered in two places: on the app's port by JavaScript, in each worker or in the single
//! process, through a [`HealthCheck`]; and on the monitor's port by a [`HealthResponder`], on the
//! monitor's thread. Both read and write the same scoreboard header, so a switch counts for all
//! processes at once. The process that received the request writes the answer.
//!
//! What always holds: the answers are, byte for byte, those of the original's manual. Callers share
//! the check under way, so a flood of requests is one probe. Every verdict comes within twice
//! `ecv.timeout`.

mod answer;
mod checker;
mod guard;
mod health_check;
mod monitor_uri;
mod probe;
mod problem;
mod responder;
mod routes;
mod switch;
mod target;
mod tls;
mod validator;

pub use answer::HealthAnswer;
pub use checker::HealthChecker;
pub use guard::Client;
pub use health_check::HealthCheck;
pub use monitor_uri::MonitorUri;
pub use problem::Problem;
pub(crate) use responder::{ClusterHealth, HealthResponder};
pub use routes::Route;
pub(crate) use routes::is_of_health_check;
pub(crate) use switch::switch_by_command;
pub use switch::{SwitchRequest, Switched};

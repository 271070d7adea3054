//! Whether a cluster could listen where its options say, without starting it.

use super::app_listeners;
use crate::config::{Config, Port};
use crate::error::Result;
use crate::monitor::MonitorListener;

/// Binds the app's ports and lets go of them. Sockets that a service manager passes are left out:
/// it passes them to a start only. Returns the addresses that are free. Fails as a start does.
pub fn try_app_ports(config: &Config, is_plain: bool) -> Result<Vec<Port>> {
    let own: Vec<Port> = config.ports.iter().filter(|port| !port.is_inherited()).cloned().collect();
    let tried = Config { ports: own, ..config.clone() };
    app_listeners::bind(&tried, is_plain, Vec::new())?;
    Ok(tried.ports)
}

/// Binds the monitor's port and lets go of it. Returns its address; `None`: the monitor is off.
pub fn try_monitor_port(config: &Config) -> Result<Option<String>> {
    Ok(MonitorListener::bind(config, None)?.map(|bound| bound.address()))
}

//! By what another master is started.

use std::collections::BTreeMap;
use std::ffi::OsString;

use super::launch::Launch;
use crate::os::handover::{HeirCommand, VARIABLE};
use crate::os::origin::ProcessOrigin;
use crate::protocol::control::UpgradeRequest;

/// Variables that are about this process, not about its heir.
const OWN_VARIABLES: [&str; 6] = [
    VARIABLE,
    "WATCHDOG_PID",
    "LISTEN_PID",
    "LISTEN_PIDFDID",
    "NODE_CHANNEL_FD",
    "NODE_CHANNEL_SERIALIZATION_MODE",
];
/// Has the kernel choose the debugger's port: two masters cannot have the same one.
const OTHER_DEBUG_PORT: &str = "--inspect-port=0";

/// Returns the command that started this process, except for what `request` says.
pub(super) fn heir_command(
    origin: &ProcessOrigin,
    launch: &Launch,
    request: UpgradeRequest,
) -> HeirCommand {
    let args = match request.args {
        Some(args) if !args.is_empty() => args.into_iter().map(OsString::from).collect(),
        _ => own_command(origin, launch),
    };
    let mut env: BTreeMap<_, _> = origin.env.clone();
    env.retain(|name, _| OWN_VARIABLES.iter().all(|own| name != own));
    let cwd = request.cwd.map_or_else(|| origin.cwd.clone(), |cwd| origin.cwd.join(cwd));
    // As a shell that goes there does.
    env.entry("PWD".into()).and_modify(|pwd| *pwd = cwd.clone().into());
    env.extend(request.env.into_iter().map(|(name, value)| (name.into(), value.into())));
    HeirCommand { args, env, cwd }
}

fn own_command(origin: &ProcessOrigin, launch: &Launch) -> Vec<OsString> {
    let known: Vec<OsString> = launch.command.iter().map(OsString::from).collect();
    // A process that gave itself another title has lost its arguments.
    let mut pairs = known.iter().zip(&origin.args);
    let is_intact = known.is_empty()
        || known.len() == origin.args.len()
            && pairs.all(|(known, own)| known.is_empty() == own.is_empty());
    let mut own = if is_intact { origin.args.clone() } else { known };
    let after_flags = 1 + launch.command_flags;
    if launch.has_debug_port(&origin.env) && after_flags <= own.len() {
        own.insert(after_flags, OTHER_DEBUG_PORT.into());
    }
    own
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Of `node` with these flags and `app.js`, in `/srv/current`.
    fn started(flags: &[&str], env: &[(&str, &str)]) -> (ProcessOrigin, Launch) {
        let command: Vec<_> = [&["/bin/node"], flags, &["/srv/7/app.js"]].concat();
        let launch = serde_json::json!({
            "program": "", "preload": "", "flags": [], "args": [], "env": {}, "cwd": null,
            "command": command, "commandFlags": flags.len(),
        });
        let typed = [&["node"], flags, &["app.js"]].concat();
        let origin = ProcessOrigin {
            args: typed.into_iter().map(OsString::from).collect(),
            env: env.iter().map(|(name, value)| (name.into(), value.into())).collect(),
            cwd: "/srv/current".into(),
        };
        (origin, serde_json::from_value(launch).unwrap())
    }

    fn own(flags: &[&str], env: &[(&str, &str)]) -> Vec<OsString> {
        let (origin, launch) = started(flags, env);
        heir_command(&origin, &launch, UpgradeRequest::default()).args
    }

    #[test]
    fn it_is_the_command_of_the_start_as_it_was_typed() {
        let env = [("A", "1"), ("WATCHDOG_PID", "7"), ("PWD", "/srv/current")];
        let (mut origin, launch) = started(&["--no-warnings"], &env);
        let command = heir_command(&origin, &launch, UpgradeRequest::default());
        assert_eq!(command.args, ["node", "--no-warnings", "app.js"]);
        assert_eq!(command.cwd, Path::new("/srv/current"));
        assert_eq!(command.env.len(), 2, "{:?}", command.env);
        // Its title took the place of its arguments.
        origin.args = vec!["my server".into()];
        let command = heir_command(&origin, &launch, UpgradeRequest::default());
        assert_eq!(command.args, ["/bin/node", "--no-warnings", "/srv/7/app.js"]);
    }

    #[test]
    fn what_the_request_says_counts_more() {
        let (origin, launch) = started(&[], &[("A", "1"), ("PWD", "/srv/current")]);
        let request = UpgradeRequest {
            args: Some(vec!["other".into()]),
            env: [("A".into(), "2".into())].into(),
            cwd: Some("../8".into()),
            timeout: None,
        };
        let command = heir_command(&origin, &launch, request);
        assert_eq!(command.args, ["other"]);
        assert_eq!(command.cwd, Path::new("/srv/current/../8"));
        let variable = |name: &str| command.env[OsString::from(name).as_os_str()].clone();
        assert_eq!([variable("A"), variable("PWD")], ["2", "/srv/current/../8"]);
    }

    #[test]
    fn a_debug_port_is_left_to_this_master() {
        let other = OTHER_DEBUG_PORT;
        let inspected = ["node", "--inspect", other, "app.js"];
        assert_eq!(own(&["--inspect"], &[]), inspected);
        assert_eq!(own(&["--inspect", other], &[]), inspected, "the heir of an heir");
        let by_env = [("NODE_OPTIONS", "--inspect=9300")];
        assert_eq!(own(&[], &by_env), ["node", other, "app.js"]);
        assert_eq!(own(&["--inspect=0"], &by_env), ["node", "--inspect=0", "app.js"]);
    }
}

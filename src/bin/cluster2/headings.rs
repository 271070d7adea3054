//! Under which heading of the help an option stands, and which are shown by `-h` alone.

use super::options::Flag;

/// The headings of `start`, and the options below each.
const HEADINGS: &[(&str, &[&str])] = &[
    ("Workers", &["noWorkers", "maxWorkers", "spares", "listen", "execArgv", "env", "cwd"]),
    (
        "Workers",
        &[
            "memThreshold",
            "connThreshold",
            "uptimeThreshold",
            "maxHeartbeatDelay",
            "blockedAfter",
            "giveUpAfter",
        ],
    ),
    ("Connections", &["port", "host", "balance", "timeout", "moveIdle", "retry"]),
    ("Connections", &["overload.waiting", "overload.delay"]),
    ("Reloads and the end", &["startTimeout", "minReadyTime", "shutdownTimeout", "shutdownDelay"]),
    (
        "Health check",
        &["ecv", "ecv.path", "ecv.monitor", "ecv.control", "ecv.timeout", "ecv.token", "ecv.allow"],
    ),
    ("Monitor and output", &["name", "pids", "logs", "output", "monPort", "monHost", "monPath"]),
];

/// What `-h` shows, each in one line of 80 columns at most.
const COMMON: &[(&str, &str)] = &[
    ("noWorkers", "Number of workers [default: max, as many as CPUs]"),
    ("maxWorkers", "Scale from --workers up to so many, by load"),
    ("listen", "Workers do not listen, such as queue consumers"),
    ("memThreshold", "Recycle a worker above this memory, such as 300M"),
    ("execArgv", "A flag of Node's own for workers"),
    ("env", "A variable added to the workers' environment"),
    ("port", "TCP port or unix socket [default: what the script opens]"),
    ("host", "Where --port is bound [default: all addresses]"),
    ("startTimeout", "Kill a worker that starts slower [default: 30s]"),
    ("shutdownTimeout", "Kill a worker that drains longer [default: 30s]"),
    ("name", "What people call the cluster [default: its package]"),
    ("output", "Workers' output: prefix, files [default: inherit]"),
    ("monPort", "Where the monitor listens, or off [default: 3001]"),
];

/// The values that completions offer.
const VALUES: &[(&str, &[&str])] = &[
    ("balance", &["least-connections", "round-robin", "ip-hash"]),
    ("output", &["inherit", "prefix", "files"]),
    ("monPort", &["off"]),
    ("noWorkers", &["max"]),
    ("maxWorkers", &["max"]),
];

impl Flag {
    /// The heading of the help below which it stands.
    pub(crate) fn heading(&self) -> Option<&'static str> {
        HEADINGS.iter().find(|(_, options)| options.contains(&self.option)).map(|(name, _)| *name)
    }

    /// Its line in `-h`, if it is shown there.
    pub(crate) fn short_help(&self) -> Option<&'static str> {
        COMMON.iter().find(|(option, _)| *option == self.option).map(|(_, line)| *line)
    }

    /// Values that completions offer; others may be valid too.
    pub(crate) fn values(&self) -> &'static [&'static str] {
        let of = VALUES.iter().find(|(option, _)| *option == self.option);
        of.map_or(&[], |(_, values)| *values)
    }
}

#[cfg(test)]
mod tests {
    use super::super::options::{LOGS, OPTIONS, PIDS};
    use super::*;

    #[test]
    fn every_option_has_a_heading_and_every_heading_names_options() {
        let all: Vec<&Flag> = [&PIDS, &LOGS].into_iter().chain(OPTIONS).collect();
        for flag in &all {
            assert!(flag.heading().is_some(), "{}", flag.option);
        }
        let listed = HEADINGS.iter().flat_map(|(_, options)| *options);
        let valued = VALUES.iter().map(|(option, _)| option);
        let common = COMMON.iter().map(|(option, _)| option);
        for name in listed.chain(common).chain(valued) {
            assert!(all.iter().any(|flag| flag.option == *name), "{name}");
        }
    }
}

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

/// What `-h` shows.
const COMMON: &[&str] = &[
    "noWorkers",
    "maxWorkers",
    "listen",
    "port",
    "output",
    "monPort",
    "memThreshold",
    "shutdownTimeout",
    "env",
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
    pub fn heading(&self) -> Option<&'static str> {
        HEADINGS.iter().find(|(_, options)| options.contains(&self.option)).map(|(name, _)| *name)
    }

    /// Whether `-h` shows it.
    pub fn is_common(&self) -> bool {
        COMMON.contains(&self.option)
    }

    /// Values that completions offer; others may be valid too.
    pub fn values(&self) -> &'static [&'static str] {
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
        for name in listed.chain(COMMON).chain(valued) {
            assert!(all.iter().any(|flag| flag.option == *name), "{name}");
        }
    }
}

//! The table of the cluster's options as flags, for help, manual page, completions and reading.

/// What a flag takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A value, which the option's own check accepts or rejects.
    Value,
    /// A value, or `off` for `false`.
    ValueOrOff,
    /// Values, separated by commas or given by several flags.
    List,
    /// Values that are not split, given by several flags; not from the environment.
    Verbatim,
    /// `NAME=VALUE`, given by several flags; not from the environment.
    Pairs,
    /// Nothing. The flag sets the option to this.
    Switch(bool),
}

/// One option.
#[derive(Debug)]
pub(crate) struct Flag {
    /// The option's name in `new Cluster(options)`, with its parent (`ecv.path`).
    pub option: &'static str,
    /// The flag's name without dashes.
    pub flag: &'static str,
    /// What the flag takes.
    pub kind: Kind,
    /// The value's name in the help.
    pub value: &'static str,
    /// The flag's line in the help.
    pub help: &'static str,
}

const fn flag(
    option: &'static str,
    flag: &'static str,
    kind: Kind,
    value: &'static str,
    help: &'static str,
) -> Flag {
    Flag { option, flag, kind, value, help }
}

/// The directory by which commands find a cluster; for every command.
pub(crate) const PIDS: Flag = flag(
    "pids",
    "pids",
    Kind::Value,
    "DIR",
    "Directory of pid files and the control socket [default: pids]",
);
/// The directory of logs; also for the command `logs`.
pub(crate) const LOGS: Flag =
    flag("logs", "logs", Kind::Value, "DIR", "Directory of logs [default: logs]");

/// All other options, for `start`.
pub(crate) const OPTIONS: &[Flag] = &[
    flag(
        "noWorkers",
        "workers",
        Kind::Value,
        "N|max",
        "Number of workers; max: as many as processors that this process may use [default: max]",
    ),
    flag(
        "maxWorkers",
        "max-workers",
        Kind::Value,
        "N|max",
        "The most workers: from --workers (then 1 by default) up to so many run, by how busy they \
        are and how much memory is left; by default always --workers",
    ),
    flag(
        "spares",
        "spares",
        Kind::Value,
        "N",
        "Workers beyond these that have run the script up to its listen() and wait: one serves within \
        milliseconds where a worker ends [default: 0]",
    ),
    flag(
        "name",
        "name",
        Kind::Value,
        "NAME",
        "What people call the cluster; by default the name of its package",
    ),
    flag(
        "port",
        "port",
        Kind::List,
        "PORT",
        "TCP port or path of a unix socket that is bound before any worker starts; a single port \
        is the workers' PORT too [default: whatever the script listens on]",
    ),
    flag(
        "listen",
        "no-listen",
        Kind::Switch(false),
        "",
        "Run workers that do not listen, as queue consumers: one is ready when it says \
        process.send('ready'), or has lived for --min-ready-time",
    ),
    flag(
        "host",
        "host",
        Kind::Value,
        "ADDRESS",
        "Where --port is bound, also for a script that asks for all addresses; by default all, \
        IPv6 and IPv4",
    ),
    flag(
        "balance",
        "balance",
        Kind::Value,
        "POLICY",
        "Who gets a connection: least-connections, round-robin, ip-hash or kernel [default: \
        least-connections]",
    ),
    flag(
        "timeout",
        "timeout",
        Kind::Value,
        "TIME",
        "A connection on which nothing moved for so long is ended, also while the server is still \
        busy with it; by default none is",
    ),
    flag(
        "output",
        "output",
        Kind::Value,
        "WHERE",
        "Workers' output: inherit, prefix (each line with slot and pid) or files (in the logs \
        directory) [default: inherit]",
    ),
    flag(
        "monPort",
        "mon-port",
        Kind::ValueOrOff,
        "PORT",
        "Where the monitor listens, or off [default: 3001]",
    ),
    flag(
        "monHost",
        "mon-host",
        Kind::Value,
        "ADDRESS",
        "Where the monitor is bound [default: 127.0.0.1]",
    ),
    flag("monPath", "mon-path", Kind::Value, "PATH", "Path of the monitor's page [default: /]"),
    flag("ecv", "no-ecv", Kind::Switch(false), "", "Serve no health check"),
    flag("ecv.path", "ecv-path", Kind::Value, "PATH", "Path of the health check [default: /ecv]"),
    flag("ecv.monitor", "ecv-monitor", Kind::Value, "PATH|URL", "Asked before answering healthy"),
    flag(
        "ecv.control",
        "ecv-control",
        Kind::Switch(true),
        "",
        "Serve POST <path>/disable and <path>/enable",
    ),
    flag(
        "ecv.timeout",
        "ecv-timeout",
        Kind::Value,
        "TIME",
        "Bound of one probe of the monitor [default: 5000]",
    ),
    flag(
        "ecv.token",
        "ecv-token",
        Kind::Value,
        "TOKEN",
        "Who switches needs it; rather by the environment, where others do not see it",
    ),
    flag("ecv.allow", "ecv-allow", Kind::List, "CIDR", "Addresses from which alone one may switch"),
    flag(
        "connThreshold",
        "conn-threshold",
        Kind::Value,
        "N",
        "Recycle a worker that served so many connections",
    ),
    flag(
        "uptimeThreshold",
        "uptime-threshold",
        Kind::Value,
        "TIME",
        "Recycle a worker that has been ready for so long, seconds or such as 12h",
    ),
    flag(
        "memThreshold",
        "mem-threshold",
        Kind::Value,
        "SIZE",
        "Recycle a worker with so much resident memory, bytes or such as 300M",
    ),
    flag(
        "overload.waiting",
        "overload-waiting",
        Kind::Value,
        "N",
        "Answer new HTTP/1 connections 503 while more than so many wait to be accepted; by default \
        never",
    ),
    flag(
        "overload.delay",
        "overload-delay",
        Kind::Value,
        "TIME",
        "Answer an HTTP/1 connection 503 that has waited for so long to be accepted; by default \
        none",
    ),
    flag(
        "moveIdle",
        "no-move-idle",
        Kind::Switch(false),
        "",
        "End idle connections of a worker that leaves, for apps that keep state by connection, as \
        with the PROXY protocol",
    ),
    flag(
        "retry",
        "retry",
        Kind::Switch(true),
        "",
        "Have another worker answer GET, HEAD and OPTIONS that a worker had not begun to answer \
        when it ended by an error or process.exit(); a handler may then run twice",
    ),
    flag(
        "startTimeout",
        "start-timeout",
        Kind::Value,
        "TIME",
        "A worker that does not listen within this time is killed [default: 30000]",
    ),
    flag(
        "giveUpAfter",
        "give-up-after",
        Kind::Value,
        "N",
        "End with exit code 255 after so many crashes in a row without a ready worker; by default \
        only if the first start fails",
    ),
    flag(
        "minReadyTime",
        "min-ready-time",
        Kind::Value,
        "TIME",
        "How long a worker of new code has to live before a reload trusts it [default: 1000]",
    ),
    flag(
        "shutdownTimeout",
        "shutdown-timeout",
        Kind::Value,
        "TIME",
        "A worker whose drain takes longer is killed [default: 30000]",
    ),
    flag(
        "shutdownDelay",
        "shutdown-delay",
        Kind::Value,
        "TIME",
        "From the request of a shutdown until no new connection is accepted [default: 0]",
    ),
    flag(
        "maxHeartbeatDelay",
        "max-heartbeat-delay",
        Kind::Value,
        "TIME",
        "A worker whose event loop did not turn for so long is killed and replaced [default: \
        30000]",
    ),
    flag(
        "blockedAfter",
        "blocked-after",
        Kind::Value,
        "TIME",
        "A worker whose event loop did not turn for so long is reported, with what it executes; 0: \
        none is [default: 0]",
    ),
    flag(
        "execArgv",
        "exec-argv",
        Kind::Verbatim,
        "FLAG",
        "A flag of Node's own for workers, such as --exec-argv=--enable-source-maps",
    ),
    flag("env", "env", Kind::Pairs, "NAME=VALUE", "A variable added to the workers' environment"),
    flag("cwd", "cwd", Kind::Value, "DIR", "Working directory of workers"),
];

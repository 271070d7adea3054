//! The registry of all codes of errors. `docs/reference/errors.md` lists them; a test compares the
//! two.

macro_rules! codes {
    ($($name:ident = $code:literal,)*) => {
        /// A stable code of an error, also of those that only JavaScript throws.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum ErrorCode {
            $(#[doc = $code] $name,)*
        }

        impl ErrorCode {
            /// All codes.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Returns the code as users see it, `CLUSTER2_ERR_…`.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)*
                }
            }
        }
    };
}

codes! {
    OptionUnknown = "CLUSTER2_ERR_OPTION_UNKNOWN",
    OptionInvalid = "CLUSTER2_ERR_OPTION_INVALID",
    HostUnknown = "CLUSTER2_ERR_HOST_UNKNOWN",
    PortInUse = "CLUSTER2_ERR_PORT_IN_USE",
    PortDenied = "CLUSTER2_ERR_PORT_DENIED",
    Listen = "CLUSTER2_ERR_LISTEN",
    PidsUnwritable = "CLUSTER2_ERR_PIDS_UNWRITABLE",
    PidsUnreadable = "CLUSTER2_ERR_PIDS_UNREADABLE",
    LogsUnwritable = "CLUSTER2_ERR_LOGS_UNWRITABLE",
    AlreadyRunning = "CLUSTER2_ERR_ALREADY_RUNNING",
    StartFailed = "CLUSTER2_ERR_START_FAILED",
    NotRunning = "CLUSTER2_ERR_NOT_RUNNING",
    WorkerUnknown = "CLUSTER2_ERR_WORKER_UNKNOWN",
    WorkerBusy = "CLUSTER2_ERR_WORKER_BUSY",
    ReloadFailed = "CLUSTER2_ERR_RELOAD_FAILED",
    UpgradeFailed = "CLUSTER2_ERR_UPGRADE_FAILED",
    WrongState = "CLUSTER2_ERR_WRONG_STATE",
    Control = "CLUSTER2_ERR_CONTROL",
    System = "CLUSTER2_ERR_SYSTEM",
    // Thrown by JavaScript only.
    AppInvalid = "CLUSTER2_ERR_APP_INVALID",
    ArgumentInvalid = "CLUSTER2_ERR_ARGUMENT_INVALID",
    Platform = "CLUSTER2_ERR_PLATFORM",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_is_there_once() {
        let codes: std::collections::BTreeSet<_> =
            ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(codes.len(), ErrorCode::ALL.len());
        assert!(codes.iter().all(|code| code.starts_with("CLUSTER2_ERR_")));
    }
}

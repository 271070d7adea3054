//! How the number of workers follows their work (the option `maxWorkers`), as `status()` shows it.

use serde::Serialize;

use crate::counts::counted;

/// The bounds of the number of workers, and what moves it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ScalingStatus {
    /// The least workers: `noWorkers`, or what `scale` has set.
    pub min: u32,
    /// The most workers: `maxWorkers`.
    pub max: u32,
    /// The part of the last 10 s in which the workers' event loops were not idle, on average, from
    /// 0 to 1. `None`: no worker has been ready for so long.
    pub utilization: Option<f64>,
    /// What keeps the number from growing although there is work for more: `maxWorkers`, `memory`
    /// or `crashes`. `None`: there is not.
    pub limited_by: Option<&'static str>,
}

impl ScalingStatus {
    /// The words of `limited_by`.
    pub const LIMITS: [&'static str; 3] = ["maxWorkers", "memory", "crashes"];

    /// Describes it in a few words.
    pub fn describe(&self) -> String {
        let Self { min, max, .. } = self;
        let busy = self
            .utilization
            .map_or(String::new(), |part| format!(", {:.0}% busy over 10 s", part * 100.0));
        let limited = match self.limited_by {
            Some("maxWorkers") => ", busier than wanted with as many as allowed",
            Some("memory") => ", no memory for more",
            Some(_) => ", no more while one crashes",
            None => "",
        };
        let max = counted(u64::from(*max), "worker");
        format!("{min} to {max}{busy}{limited}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_how_busy_the_workers_are_and_what_keeps_them_few() {
        let status = ScalingStatus { min: 1, max: 8, utilization: None, limited_by: None };
        assert_eq!(status.describe(), "1 to 8 workers");
        assert_eq!(ScalingStatus { max: 1, ..status }.describe(), "1 to 1 worker");
        let status = ScalingStatus { utilization: Some(0.618), ..status };
        assert_eq!(status.describe(), "1 to 8 workers, 62% busy over 10 s");
        let limited = ScalingStatus::LIMITS.map(|limit| {
            ScalingStatus { limited_by: Some(limit), ..status }.describe().split_off(34)
        });
        let said = [
            ", busier than wanted with as many as allowed",
            ", no memory for more",
            ", no more while one crashes",
        ];
        assert_eq!(limited, said);
    }
}

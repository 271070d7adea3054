//! Announces that connections are shed, and when that is over.
//!
//! What always holds: an overload begins with the first connection that is shed, and is over when
//! none was for [`OVER_AFTER`]. So a begin and an end are announced once in that time at most,
//! however often the load comes and goes.

use crate::clock::Millis;
use crate::embedder::MasterEvent;
use crate::protocol::status::OverloadStatus;
use crate::protocol::time::Time;

/// After so long without a connection that is shed, milliseconds, it is over.
const OVER_AFTER: Millis = 5_000;

/// Whether there is an overload.
#[derive(Debug, Default)]
pub(super) struct OverloadState {
    /// How many connections were shed by the last call.
    seen: u64,
    current: Option<Overload>,
}

#[derive(Debug)]
struct Overload {
    /// Milliseconds since 1970.
    began: u64,
    since: Millis,
    /// How many had been shed before it.
    before: u64,
    /// When a call last found that connections had been shed.
    last: Millis,
}

impl OverloadState {
    /// Takes how many connections were ever `shed`. Returns the event that is due. `wall`:
    /// milliseconds since 1970.
    pub(super) fn observe(&mut self, shed: u64, now: Millis, wall: u64) -> Option<MasterEvent> {
        let before = std::mem::replace(&mut self.seen, shed);
        match &mut self.current {
            None if shed > before => {
                self.current = Some(Overload { began: wall, since: now, before, last: now });
                Some(MasterEvent::Overload { active: true, shed: shed - before, duration: 0 })
            }
            Some(overload) if shed > before => {
                overload.last = now;
                None
            }
            Some(overload) if overload.last + OVER_AFTER <= now => {
                let (shed, duration) = (shed - overload.before, overload.last - overload.since);
                self.current = None;
                Some(MasterEvent::Overload { active: false, shed, duration })
            }
            _ => None,
        }
    }

    /// Returns the overload that there is.
    pub(super) fn status(&self) -> Option<OverloadStatus> {
        let overload = self.current.as_ref()?;
        let since = Time::from_millis(overload.began);
        Some(OverloadStatus { since, shed: self.seen - overload.before })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overload_begins_with_the_first_shed_connection_and_is_over_some_time_after_the_last() {
        let mut state = OverloadState::default();
        let observe = |state: &mut OverloadState, shed, now| match state.observe(shed, now, now + 7)
        {
            Some(MasterEvent::Overload { active, shed, duration }) => {
                Some((active, shed, duration))
            }
            other => other.map(|event| panic!("{event:?}")),
        };
        assert_eq!(observe(&mut state, 0, 1_000), None);
        assert!(state.status().is_none());
        assert_eq!(observe(&mut state, 3, 2_000), Some((true, 3, 0)));
        assert_eq!(observe(&mut state, 3, 3_000), None);
        assert_eq!(observe(&mut state, 10, 6_000), None);
        assert_eq!(observe(&mut state, 10, 6_000 + OVER_AFTER - 1), None);
        let status = state.status().unwrap();
        assert_eq!((status.since.millis(), status.shed), (2_007, 10));
        assert_eq!(observe(&mut state, 10, 6_000 + OVER_AFTER), Some((false, 10, 4_000)));
        assert!(state.status().is_none());
        assert_eq!(observe(&mut state, 11, 60_000), Some((true, 1, 0)));
    }
}

//! When a worker beats: each `interval` while its event loop turns, and each [`CALM`] while it only
//! waits.
//!
//! An event loop that waits is not stuck: it says on the scoreboard that it waits, and until when
//! it may go without a beat (`AdmissionRow::last_turn`). To wake it for each beat was most of what
//! an idle worker cost.
//!
//! What always holds: the first turn after a pause beats, and from then on the next beat is at most
//! `interval` away.

use std::cell::RefCell;
use std::ffi::c_void;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use super::beats::Beats;
use crate::os;
use crate::os::scoreboard::Row;
use crate::os::uv::{self, Timer};

/// How long an idle worker may go without a beat.
const CALM: Duration = Duration::from_secs(5);
/// The shortest interval of which the beats of an idle worker are fewer. A shorter one is that of
/// somebody who wants to know soon what hangs.
const LONG: Duration = Duration::from_secs(1);

/// Which beat is the next.
#[derive(Debug)]
struct Schedule {
    interval: Duration,
    /// Whether only a turn ends the pause, or its time.
    is_calm: bool,
    /// Whether the event loop has turned since the last beat of the timer.
    has_turned: bool,
    /// Whether the next turn is only that of the timer.
    is_timers: bool,
}

impl Schedule {
    fn new(interval: Duration) -> Self {
        Self { interval, is_calm: false, has_turned: true, is_timers: false }
    }

    /// The time has passed: a beat is due. Returns when the next one is.
    fn passed(&mut self) -> Duration {
        self.is_calm = !self.has_turned && self.interval >= LONG;
        self.has_turned = false;
        self.is_timers = true;
        if self.is_calm { CALM } else { self.interval }
    }

    /// The event loop has turned. Returns `true` if it beats at once.
    fn turned(&mut self) -> bool {
        if std::mem::take(&mut self.is_timers) {
            return false;
        }
        self.has_turned = true;
        std::mem::take(&mut self.is_calm)
    }
}

/// Makes the beats of a worker.
pub(super) struct BeatTimer {
    row: Row,
    beats: Beats,
    schedule: Schedule,
    event_loop: *mut c_void,
    timer: Option<Timer>,
}

impl BeatTimer {
    /// Makes the first beat, and then one each `interval` of an event loop that turns, which is
    /// Node's own, of this thread.
    pub(super) fn start(
        event_loop: *mut c_void,
        row: Row,
        interval: Duration,
    ) -> io::Result<Rc<RefCell<Self>>> {
        let (beats, schedule) = (Beats::new(row.clone()), Schedule::new(interval));
        let this = Rc::new(RefCell::new(Self { row, beats, schedule, event_loop, timer: None }));
        let timed = Rc::clone(&this);
        let timer = Timer::new(event_loop, move || timed.borrow_mut().on_time())?;
        this.borrow_mut().timer = Some(timer);
        this.borrow_mut().on_time();
        Ok(this)
    }

    fn on_time(&mut self) {
        let next = self.schedule.passed();
        self.beat(next);
        if self.schedule.is_calm {
            self.row.admission().set_calm_until(os::now() + next.as_millis() as u64);
        }
    }

    /// The event loop is about to wait.
    pub(super) fn on_turn(&mut self) {
        if self.schedule.turned() {
            self.row.admission().set_calm_until(0);
            self.beat(self.schedule.interval);
        }
    }

    fn beat(&mut self, next: Duration) {
        self.beats.beat(next, uv::idle_time(self.event_loop));
        if let Some(Err(error)) = self.timer.as_ref().map(|timer| timer.once(next)) {
            tracing::error!(%error, "cannot start the timer of the beats");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(1);

    /// The timer's time passes, and the event loop turns for that.
    fn pass(schedule: &mut Schedule) -> Duration {
        let next = schedule.passed();
        assert!(!schedule.turned(), "that is no sign of work");
        next
    }

    #[test]
    fn an_event_loop_that_only_waits_beats_seldom_and_with_its_first_turn() {
        let mut schedule = Schedule::new(INTERVAL);
        assert_eq!(pass(&mut schedule), INTERVAL);
        assert_eq!(pass(&mut schedule), CALM);
        assert_eq!(pass(&mut schedule), CALM);
        assert!(schedule.turned(), "the first turn after the pause");
        assert!(!schedule.turned());
        assert_eq!(pass(&mut schedule), INTERVAL, "it has turned");
        assert_eq!(pass(&mut schedule), CALM);
    }

    #[test]
    fn one_that_turns_beats_at_each_interval() {
        let mut schedule = Schedule::new(INTERVAL);
        for _ in 0..3 {
            assert_eq!(pass(&mut schedule), INTERVAL);
            assert!(!schedule.turned() && !schedule.turned());
        }
    }

    #[test]
    fn a_short_interval_is_kept() {
        let mut schedule = Schedule::new(INTERVAL / 2);
        for _ in 0..3 {
            assert_eq!(pass(&mut schedule), INTERVAL / 2);
        }
    }
}

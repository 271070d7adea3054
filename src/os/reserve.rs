//! Descriptors that are kept for a moment in which the process can open no other.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use super::descriptors;

/// A reserve is for processes that may open so many times as much.
const TIMES: usize = 16;
/// How long a reader pauses when there is no room: its channel stays readable, and it would spin.
const PAUSE: Duration = Duration::from_millis(5);

/// Room for some descriptors.
///
/// What always holds: as long as nobody has needed it, so many descriptors can be opened, whatever
/// else the process opens.
#[derive(Debug)]
pub struct Reserve {
    like: OwnedFd,
    kept: Vec<OwnedFd>,
    size: usize,
}

impl Reserve {
    /// Returns a reserve for `size` descriptors; where few are allowed at all, for none. `like`:
    /// any descriptor, of which it holds copies.
    pub fn new(like: impl AsFd, size: usize) -> io::Result<Self> {
        let like = like.as_fd().try_clone_to_owned()?;
        let size = if descriptors::limit() < TIMES * size { 0 } else { size };
        let mut reserve = Self { like, kept: Vec::with_capacity(size), size };
        reserve.refill();
        Ok(reserve)
    }

    /// Makes the room free for a reader that got no descriptor, or has it pause. Returns whether to
    /// read again now.
    pub fn make_room(&mut self) -> bool {
        let has_room = self.release();
        if !has_room {
            std::thread::sleep(PAUSE);
        }
        has_room
    }

    /// Makes the room free. Returns `false` if there was none.
    fn release(&mut self) -> bool {
        let had_some = !self.kept.is_empty();
        self.kept.clear();
        had_some
    }

    /// Takes back what room there is.
    pub fn refill(&mut self) {
        while self.kept.len() < self.size {
            let Ok(copy) = self.like.try_clone() else { return };
            self.kept.push(copy);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::descriptors::alone::{alone, leave};

    #[test]
    fn room_is_there_when_there_is_no_other() {
        alone("os::reserve::tests::room_is_there_when_there_is_no_other", || {
            let null = std::fs::File::open("/dev/null").unwrap();
            let mut reserve = Reserve::new(&null, 3).unwrap();
            leave(0);
            assert!(null.try_clone().is_err());
            assert!(reserve.release());
            let mut copies: Vec<_> = (0..3).map(|_| null.try_clone().unwrap()).collect();
            assert!(null.try_clone().is_err());
            reserve.refill();
            assert!(!reserve.release(), "there is no room for it");
            copies.pop();
            reserve.refill();
            assert!(null.try_clone().is_err() && reserve.release());
        });
    }
}

//! The steps of the event loop.

use std::cell::RefCell;
use std::ffi::c_void;
use std::io;
use std::os::fd::AsFd;
use std::rc::Rc;

use super::state::{Acceptor, OnLoop, PATIENCE, Proof, RETRY};
use crate::os;
use crate::os::channel::MAX_FDS;
use crate::os::descriptors;
use crate::os::loop_epoll::LoopEpoll;
use crate::os::uv::{self, Poll, Timer};
use crate::os::waker::Waker;

/// How many timers pass before an event loop has failed its proof.
const CHANCES: u32 = 4;

impl Acceptor {
    /// Runs on `event_loop` from now on, which is Node's own, of this thread. Calls `notify` when
    /// there is something to take.
    pub(in crate::worker) fn start(
        this: &Rc<RefCell<Self>>,
        event_loop: *mut c_void,
        notify: Rc<impl Fn() + 'static>,
    ) -> io::Result<()> {
        let step = |action: fn(&mut Self)| {
            let (this, notify) = (Rc::clone(this), Rc::clone(&notify));
            move || {
                action(&mut this.borrow_mut());
                let has_news = this.borrow().has_news();
                if has_news {
                    notify();
                }
            }
        };
        let on_event = step(Self::on_event);
        let waker = Rc::clone(&this.borrow().waker);
        Poll::start(event_loop, waker.as_fd(), move || {
            on_event();
            true
        })?;
        let timer = Timer::new(event_loop, step(Self::on_time))?;
        let epoll = LoopEpoll::of(event_loop, &*waker)?;
        let (before, after) = (Rc::clone(this), Rc::clone(this));
        uv::before_each_poll(event_loop, move || before.borrow_mut().before_poll())?;
        uv::after_each_poll(event_loop, move || after.borrow().set_working())?;
        let proof = Waker::woken()?;
        epoll.add(&proof, false)?;
        let mut acceptor = this.borrow_mut();
        acceptor.proof = Proof::Awaited(proof, 0);
        acceptor.on_loop = Some(OnLoop { event_loop, epoll, timer });
        Ok(())
    }
}

/// Steps of the event loop.
impl Acceptor {
    /// The waker can be read, or one of the sockets.
    fn on_event(&mut self) {
        self.set_working();
        if let Proof::Awaited(proof, _) = &self.proof {
            if let Some(on_loop) = &self.on_loop {
                let _ = on_loop.epoll.remove(proof);
            }
            self.proof = Proof::Given;
        }
        let was_kicked = self.peers.own().answer_kick();
        if was_kicked {
            self.watch_all();
        }
        // Which of them it was is not known: where nothing else was, it was the waker.
        if !self.look() || was_kicked {
            self.waker.clear();
        }
    }

    fn on_time(&mut self) {
        self.set_working();
        if let Proof::Awaited(_, chances) = &mut self.proof {
            *chances += 1;
            if *chances > CHANCES {
                return self.fail(&io::ErrorKind::Unsupported.into());
            }
            self.look_again_after(PATIENCE);
        }
        if self.is_short {
            if !descriptors::leave_room_for(MAX_FDS, self.waker.as_fd()) {
                return self.look_again_after(RETRY);
            }
            self.is_short = false;
            self.has_changed = true;
            self.publish();
        }
        self.peers.own().answer_kick();
        self.watch_all();
        self.look();
    }

    /// Before the event loop waits for events.
    fn before_poll(&mut self) {
        let own = self.peers.own();
        own.set_polling(true);
        if own.accepts() == 0 {
            return;
        }
        // A kick that comes from now on writes to the waker.
        if own.answer_kick() {
            return self.watch_all();
        }
        if self.served.iter().any(|served| !served.is_watched) {
            let now = os::now_micros();
            for index in 0..self.served.len() {
                let bit = self.served[index].shared.bit;
                if !self.served[index].is_watched && !self.peers.has_emptier(bit, now) {
                    self.watch(index);
                }
            }
        }
    }

    /// The event loop does not wait for events.
    fn set_working(&self) {
        self.peers.own().set_polling(false);
    }
}

//! Questions to the master, for calls that are synchronous in plain Node: `listen()` and `close()`
//! of a server.
//!
//! The answer comes on a socket pair of the question's own. What always holds: nothing else is
//! taken meanwhile, so that orders keep their order, and the master can give the connections to
//! another worker if JavaScript does not return to its event loop. The dispatcher's thread never
//! waits for JavaScript, so this cannot deadlock. A master that does not answer in time, because it
//! was stopped for example, is not waited for again until it sends something.

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use super::master_link::MasterLink;
use crate::error::{ClusterError, Result};
use crate::os::channel::{Channel, MAX_BYTES};
use crate::protocol::frame::{self, MasterFrame};
use crate::protocol::{Order, Report};

/// How long the answer may take on a busy machine.
const ANSWER_WITHIN: Duration = Duration::from_millis(if cfg!(test) { 200 } else { 5_000 });

impl MasterLink {
    /// Asks, and waits for the order that answers. `None`: there is no answer,
    /// because the master is gone or silent, descriptors are lacking, or the question is too long
    /// for one frame. The master may have read the question nevertheless, so it must do no harm to
    /// report the same again.
    pub fn ask(&mut self, report: &Report) -> Result<Option<Order>> {
        if self.silent {
            return Ok(None);
        }
        let deadline = Instant::now() + ANSWER_WITHIN;
        let Some(answers) = self.send_question(report, deadline)? else { return Ok(None) };
        if !answers
            .wait_readable(deadline)
            .map_err(ClusterError::system("waiting for the master"))?
        {
            tracing::warn!("the master does not answer");
            self.silent = true;
            return Ok(None);
        }
        let Ok(Some(received)) = answers.receive_lossy(&mut self.buffer) else { return Ok(None) };
        match frame::from_master(received.bytes, received.fds.len()) {
            Ok(MasterFrame::Order(order)) => {
                self.acceptor.borrow_mut().keep(&order, received.fds);
                Ok(Some(order))
            }
            _ => Ok(None),
        }
    }

    /// Sends a question, after all earlier reports. Returns the socket for the answer, if the
    /// question could be sent.
    fn send_question(&mut self, report: &Report, deadline: Instant) -> Result<Option<Channel>> {
        let Ok((ours, theirs)) = Channel::pair() else { return Ok(None) };
        let frame = frame::question(report);
        if frame.len() > MAX_BYTES {
            return Ok(None);
        }
        loop {
            if self.flush()? {
                match self.orders.send(&frame, &[theirs.as_fd()]) {
                    Ok(()) => return Ok(Some(ours)),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    // `take` returns that the master is gone; the next report fails for all else.
                    Err(_) => return Ok(None),
                }
            }
            if !self
                .orders
                .wait_writable(deadline)
                .map_err(ClusterError::system("waiting for the master"))?
            {
                self.silent = true;
                return Ok(None);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::master_link::OrdersState;
    use super::super::signal::WorkerSignal;
    use super::*;
    use crate::os::scoreboard::Scoreboard;
    use crate::os::waker::Waker;
    use crate::protocol::frame::WorkerFrame;
    use crate::protocol::{Origin, Past};

    const UNSERVE: Report = Report::Unserve { listener: 1 };

    /// A worker, and the master's ends of its channel and its orders.
    fn connected_worker() -> (MasterLink, Channel, Channel) {
        let board = Scoreboard::create(1).unwrap();
        let (ours, channel) = Channel::pair().unwrap();
        let (master, orders) = Channel::pair().unwrap();
        let waker = Waker::new().unwrap();
        let row = board.row(0).unwrap();
        (MasterLink::new(channel, orders, waker, row, board.header()), ours, master)
    }

    fn worker() -> (MasterLink, Channel) {
        let (worker, _, master) = connected_worker();
        (worker, master)
    }

    /// Returns what came from the worker, and the socket for the answer.
    fn received(master: &Channel) -> (WorkerFrame, Option<Channel>) {
        assert!(master.wait_readable(Instant::now() + Duration::from_secs(5)).unwrap());
        let mut buffer = [0; MAX_BYTES];
        let received = master.receive_lossy(&mut buffer).unwrap().unwrap();
        let report = frame::from_worker(received.bytes, received.fds.len()).unwrap();
        (report, received.fds.into_iter().next().map(Channel::from))
    }

    #[test]
    fn what_comes_before_the_answer_is_taken_later_and_in_order() {
        let (mut worker, channel, master) = connected_worker();
        let (connection, _client) = Channel::pair().unwrap();
        let plays = std::thread::spawn(move || {
            let (question, asker) = received(&master);
            assert_eq!(question, WorkerFrame::Question(UNSERVE));
            let origin = Origin { listener: 1, past: Past::default() };
            master.send(&frame::order(&Order::Beat), &[]).unwrap();
            channel
                .send(&frame::connections(std::iter::once(origin)), &[connection.as_fd()])
                .unwrap();
            master.send(&frame::order(&Order::Leave), &[]).unwrap();
            asker.unwrap().send(&frame::order(&Order::Unserved), &[]).unwrap();
            (channel, master)
        });
        assert_eq!(worker.ask(&UNSERVE).unwrap(), Some(Order::Unserved));
        let _master = plays.join().unwrap();
        assert!(matches!(worker.take().unwrap(), WorkerSignal::Order(Order::Beat)));
        assert!(matches!(worker.take().unwrap(), WorkerSignal::Order(Order::Leave)));
        assert!(matches!(worker.take().unwrap(), WorkerSignal::Connections(all) if all.len() == 1));
    }

    #[test]
    fn a_master_that_does_not_answer_is_waited_for_once_until_it_sends_something() {
        let (mut worker, master) = worker();
        let mut took = || {
            let began = Instant::now();
            assert!(worker.ask(&UNSERVE).unwrap().is_none());
            let time = began.elapsed();
            // As the event loop does.
            worker.orders_state.set(OrdersState::Unread);
            (time, worker.take().unwrap())
        };
        assert!(took().0 >= ANSWER_WITHIN);
        master.send(&frame::order(&Order::Beat), &[]).unwrap();
        let (second, signal) = took();
        assert!(second < ANSWER_WITHIN);
        assert!(matches!(signal, WorkerSignal::Order(Order::Beat)));
        assert!(took().0 >= ANSWER_WITHIN);
    }

    #[test]
    fn a_master_that_is_gone_is_not_waited_for() {
        let (mut worker, master) = worker();
        drop(master);
        let began = Instant::now();
        assert!(worker.ask(&UNSERVE).unwrap().is_none());
        assert!(began.elapsed() < ANSWER_WITHIN);
    }

    #[test]
    fn a_question_comes_after_earlier_reports_even_if_the_channel_was_full() {
        let (mut worker, master) = worker();
        let message = "x".repeat(8_000);
        let mut reported = 1;
        while worker.report(&Report::Warning { message: message.clone() }).unwrap() {
            reported += 1;
        }
        let plays = std::thread::spawn(move || {
            for _ in 0..reported {
                let (report, _) = received(&master);
                assert!(matches!(report, WorkerFrame::Report(Report::Warning { .. })));
            }
            let (question, asker) = received(&master);
            assert_eq!(question, WorkerFrame::Question(UNSERVE));
            asker.unwrap().send(&frame::order(&Order::Unserved), &[]).unwrap();
        });
        assert!(worker.ask(&UNSERVE).unwrap().is_some());
        plays.join().unwrap();
    }
}

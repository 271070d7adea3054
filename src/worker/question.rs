//! Questions to the master, for what is synchronous in plain Node: `listen()` and `close()` of a server.
//!
//! The answer comes on a socket pair of the question's own. What always holds: nothing else is taken meanwhile, so
//! orders keep their order, and the master can give the connections to somebody else if JavaScript does not
//! return to its event loop. The dispatcher's thread never waits for JavaScript, so this cannot deadlock. A master that does not
//! answer in time, as one that was stopped, is not waited for again until it is heard of.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use crate::error::{ClusterError, Result};
use crate::os::channel::{Channel, MAX_BYTES};
use crate::protocol::frame;
use crate::protocol::frame::MasterFrame;
use crate::protocol::{Order, Report};
use crate::worker::master_link::MasterLink;

/// How long the answer may take, on a machine that is busy.
const ANSWER_WITHIN: Duration = Duration::from_millis(if cfg!(test) { 200 } else { 5_000 });

impl MasterLink {
    /// Asks, and waits for the order that answers, beside which a lane may come. `None`: there is no answer, since the master is
    /// gone or silent, descriptors are lacking, or the question is too long for one frame. The master may have read the question all the same: so it must do no harm to
    /// report the same once more.
    pub fn ask(&mut self, report: &Report) -> Result<Option<(Order, Option<OwnedFd>)>> {
        if self.silent {
            return Ok(None);
        }
        let deadline = Instant::now() + ANSWER_WITHIN;
        let Some(answers) = self.send_question(report, deadline)? else { return Ok(None) };
        self.forget_lane(report);
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
                let lane = received.fds.into_iter().next();
                self.remember_lane(&order, lane.as_ref());
                Ok(Some((order, lane)))
            }
            _ => Ok(None),
        }
    }

    /// Sends a question, after all that was reported before. Returns the socket on which the answer comes, if it could be sent.
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
                    // `take` tells that the master is gone; all else is for the report to find out.
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
    use super::*;
    use crate::os::scoreboard::Scoreboard;
    use crate::protocol::frame::WorkerFrame;
    use crate::protocol::{Origin, Past};
    use crate::worker::master_link::Orders;
    use crate::worker::master_link::WorkerSignal;

    const UNSERVE: Report = Report::Unserve { listener: 1 };

    /// A worker, and the master's ends of its channel and its orders.
    fn connected_worker() -> (MasterLink, Channel, Channel) {
        let board = Scoreboard::create(1).unwrap();
        let (ours, channel) = Channel::pair().unwrap();
        let (master, orders) = Channel::pair().unwrap();
        (MasterLink::new(channel, orders, board.row(0).unwrap(), board.header()), ours, master)
    }

    fn worker() -> (MasterLink, Channel) {
        let (worker, _, master) = connected_worker();
        (worker, master)
    }

    /// What came from the worker, and where the answer goes.
    fn heard(master: &Channel) -> (WorkerFrame, Option<Channel>) {
        assert!(master.wait_readable(Instant::now() + Duration::from_secs(5)).unwrap());
        let mut buffer = [0; MAX_BYTES];
        let received = master.receive_lossy(&mut buffer).unwrap().unwrap();
        let report = frame::from_worker(received.bytes, received.fds.len()).unwrap();
        (report, received.fds.into_iter().next().map(Channel::from))
    }

    #[test]
    fn what_comes_before_the_answer_is_taken_later_and_in_its_order() {
        let (mut worker, channel, master) = connected_worker();
        let (connection, _client) = Channel::pair().unwrap();
        let plays = std::thread::spawn(move || {
            let (question, asker) = heard(&master);
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
        let (answer, lane) = worker.ask(&UNSERVE).unwrap().unwrap();
        assert_eq!((answer, lane.is_some()), (Order::Unserved, false));
        let _master = plays.join().unwrap();
        assert!(matches!(worker.take().unwrap(), WorkerSignal::Order(Order::Beat, None)));
        assert!(matches!(worker.take().unwrap(), WorkerSignal::Order(Order::Leave, None)));
        assert!(matches!(worker.take().unwrap(), WorkerSignal::Connections(all) if all.len() == 1));
    }

    #[test]
    fn a_master_that_does_not_answer_is_waited_for_once_until_it_is_heard_of() {
        let (mut worker, master) = worker();
        let mut took = || {
            let began = Instant::now();
            assert!(worker.ask(&UNSERVE).unwrap().is_none());
            let time = began.elapsed();
            // As the event loop does.
            worker.heard.set(Orders::Unread);
            (time, worker.take().unwrap())
        };
        assert!(took().0 >= ANSWER_WITHIN);
        master.send(&frame::order(&Order::Beat), &[]).unwrap();
        let (second, taken) = took();
        assert!(second < ANSWER_WITHIN);
        assert!(matches!(taken, WorkerSignal::Order(Order::Beat, None)));
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
    fn a_question_comes_after_what_was_reported_before_it_also_where_the_channel_was_full() {
        let (mut worker, master) = worker();
        let lines = vec!["x".repeat(8_000)];
        let mut reported = 1;
        while worker.report(&Report::LastLines { lines: lines.clone() }).unwrap() {
            reported += 1;
        }
        let plays = std::thread::spawn(move || {
            for _ in 0..reported {
                assert!(matches!(heard(&master).0, WorkerFrame::Report(Report::LastLines { .. })));
            }
            let (question, asker) = heard(&master);
            assert_eq!(question, WorkerFrame::Question(UNSERVE));
            asker.unwrap().send(&frame::order(&Order::Unserved), &[]).unwrap();
        });
        assert!(worker.ask(&UNSERVE).unwrap().is_some());
        plays.join().unwrap();
    }
}

//! What happens to a cluster: at random, and until it comes to rest.

use super::world::World;
use crate::clock::{MAX_WAIT, Millis};
use crate::protocol::worker::{Exit, WorkerId};
use crate::supervision::{Event, Reading, WorkerRecord};

impl World {
    pub(super) fn step(&mut self) {
        let to = self.now + self.random.u64(0..200);
        self.advance(to);
        if self.random.u32(0..100) == 0 {
            let time = self.random.u64(0..100_000);
            self.stop_for(time);
        }
        let worker = self.some_worker();
        match self.random.u32(0..1000) {
            0..=299 if !self.unanswered.is_empty() => {
                let index = self.random.usize(0..self.unanswered.len());
                let success = self.random.u32(0..20) > 0;
                self.answer_spawn(index, success);
            }
            300..=549 => self.get_ready(worker),
            550..=649 if self.alive.contains_key(&worker) => self.exit(worker),
            650..=689 => self.send(Event::Leaving { worker }),
            690..=699 if self.alive.contains_key(&worker) => self.send(Event::Ending { worker }),
            700..=749 => {
                let workers = self.random.u32(1..9);
                self.send(Event::Scale { workers });
            }
            753..=770 => {
                let addresses_may_change = self.random.u32(0..4) == 0;
                self.send(Event::Reload { addresses_may_change });
            }
            921..=950 => self.send(Event::Executed { worker }),
            881..=920 => {
                let most = self.random.usize(1..=3);
                let addresses = ["a", "b", "c"][..most].iter().map(ToString::to_string).collect();
                self.send(Event::Serves { worker, addresses });
            }
            771..=830 => self.sample(),
            831..=870 => {
                let problem = self.random.bool().then(|| "status 503".to_owned());
                self.send(Event::Checked { worker, problem });
            }
            871..=880 => {
                let problem = self.random.bool().then(|| "no answer".to_owned());
                self.send(Event::MasterChecked { problem });
            }
            750 => self.send(Event::Shutdown),
            751 => self.send(Event::Stop),
            _ => self.tick(),
        }
    }

    /// A step of a cluster whose workers get ready and soon end, again and again.
    pub(super) fn step_of_crash_loop(&mut self) {
        let to = self.now + self.random.u64(0..60);
        self.advance(to);
        let worker = self.some_worker();
        let is_ready = self.supervisor.worker(worker).is_some_and(WorkerRecord::is_settled);
        match self.random.u32(0..10) {
            _ if !self.unanswered.is_empty() => self.answer_spawn(0, true),
            0..=6 if is_ready => self.exit(worker),
            0..=6 => self.get_ready(worker),
            _ => self.tick(),
        }
    }

    /// The script of a worker comes to its `listen`.
    fn get_ready(&mut self, worker: WorkerId) {
        let is_spare = self.supervisor.worker(worker).is_some_and(|worker| worker.is_spare);
        self.send(if is_spare { Event::Waiting { worker } } else { Event::Ready { worker } });
    }

    fn tick(&mut self) {
        if let Some(at) = self.supervisor.next_tick() {
            self.advance(at);
        }
        if self.supervisor.awaits_beat() && self.random.u32(0..3) > 0 {
            self.show_life();
        }
        self.send(Event::Tick);
    }

    /// The event loops of all workers turn.
    fn show_life(&mut self) {
        let readings = self.alive.keys().map(|worker| Reading {
            worker: *worker,
            beat: self.now,
            connections: 0,
            memory: self.memory.0,
            measured_at: self.now,
            utilization: None,
        });
        let readings = readings.collect();
        self.send(Event::Sample { readings });
    }

    pub(super) fn advance(&mut self, to: Millis) {
        let to = to.max(self.now);
        self.awake += to - self.now;
        self.now = to;
    }

    /// Stops the master, and perhaps the whole machine.
    pub(super) fn stop_for(&mut self, time: Millis) {
        self.now += time;
        self.awake += MAX_WAIT.min(time);
    }

    pub(super) fn answer_spawn(&mut self, index: usize, success: bool) {
        let worker = self.unanswered.swap_remove(index);
        if success {
            self.next_pid += 1;
            self.alive.insert(worker, self.next_pid);
            self.send(Event::Spawned { worker, pid: self.next_pid });
        } else {
            self.send(Event::SpawnFailed { worker, reason: "EAGAIN".into() });
        }
    }

    pub(super) fn exit(&mut self, worker: WorkerId) {
        if self.random.bool() {
            self.send(Event::Ending { worker });
        }
        self.alive.remove(&worker);
        let exit = if self.random.bool() {
            Exit::Code(self.random.i32(0..3))
        } else {
            Exit::Signal("SIGKILL")
        };
        self.send(Event::Exited { worker, exit });
    }

    pub(super) fn some_worker(&mut self) -> WorkerId {
        match self.random.choice(self.alive.keys()) {
            Some(id) if self.random.u8(..) > 10 => *id,
            _ => WorkerId(self.random.u32(0..self.next_pid)),
        }
    }

    pub(super) fn sample(&mut self) {
        let ids: Vec<WorkerId> = self.alive.keys().copied().collect();
        let load = self.loads.u32(0..1_500);
        let memory = self.loads.u64(1..1_000);
        let available = self.loads.bool().then(|| self.loads.u64(0..3_000));
        self.memory = (memory, available);
        let readings = ids.into_iter().map(|worker| Reading {
            worker,
            beat: self.now.saturating_sub(self.random.u64(0..3_300)),
            connections: self.random.u64(0..120),
            memory,
            measured_at: self.now,
            utilization: Some(load),
        });
        let readings = readings.collect();
        self.send(Event::Sample { readings });
        self.send(Event::Autoscale);
    }

    pub(super) fn first(&self, wanted: impl Fn(&WorkerRecord) -> bool) -> Option<WorkerId> {
        let mut all = self.supervisor.workers();
        all.find(|(_, worker)| wanted(worker)).map(|(id, _)| id)
    }

    /// Lets everything come to its end, as a kernel and well-behaved workers would.
    pub(super) fn settle(&mut self) {
        for _ in 0..10_000 {
            if !self.unanswered.is_empty() {
                self.answer_spawn(0, true);
            } else if let Some(worker) = self.first(|w| w.is_starting()) {
                self.get_ready(worker);
            } else if let Some(worker) = self.first(|w| !w.is_open() || w.is_ending) {
                self.exit(worker);
            } else if let Some(at) = self.supervisor.next_tick() {
                self.advance(at);
                if self.supervisor.awaits_beat() {
                    self.show_life();
                }
                self.send(Event::Tick);
            } else {
                return;
            }
        }
        panic!("never comes to rest");
    }
}

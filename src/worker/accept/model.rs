//! All interleavings of what workers do with each other's rows, one access at a time.
//!
//! No timer fires, and no worker is stuck. So another worker must see whatever a worker leaves:
//! once no worker has anything to do, nobody waits in the queue, and no kick is unanswered.

use std::collections::HashSet;

use crate::balancing::level;

const MAX_WORKERS: usize = 3;

/// What a worker does next; see `Acceptor`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Step {
    SetPolling,
    AnswerBeforePoll,
    Compare,
    /// Waits for events.
    Poll,
    SetWorking,
    AnswerEvent,
    Look,
    Accept {
        share: u64,
        waiting: u64,
        took: bool,
    },
    Choose,
    Kick {
        other: usize,
    },
    /// As `Kick`, for a worker that did not poll when it was looked at.
    KickUnseen {
        other: usize,
    },
    Wake {
        other: usize,
    },
    Unwatch,
    Clear {
        took: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Worker {
    step: Step,
    load: u64,
    is_polling: bool,
    is_kicked: bool,
    is_woken: bool,
    is_watching: bool,
    /// Whether the event was a kick.
    was_kicked: bool,
    took: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct World {
    workers: [Worker; MAX_WORKERS],
    count: usize,
    queue: u64,
    /// Connections that are still to come.
    to_come: u64,
}

/// Faults that the model must find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// A worker waits for events without looking at kicks again.
    NoAnswerBeforePoll,
    /// A worker looks whether the other one polls before it leaves the kick.
    WakeBeforeKick,
    /// Nobody is kicked.
    NoKick,
}

impl World {
    fn new(loads: &[u64], to_come: u64) -> Self {
        let worker = |load| Worker {
            step: Step::SetPolling,
            load,
            is_polling: false,
            is_kicked: false,
            is_woken: false,
            is_watching: true,
            was_kicked: false,
            took: false,
        };
        let mut workers = [worker(0); MAX_WORKERS];
        loads.iter().zip(&mut workers).for_each(|(load, place)| *place = worker(*load));
        Self { workers, count: loads.len(), queue: 0, to_come }
    }

    fn others(&self, me: usize) -> impl Iterator<Item = (usize, u64)> {
        let all = self.workers[..self.count].iter().enumerate();
        all.filter(move |(index, _)| *index != me).map(|(index, other)| (index, other.load))
    }

    /// The emptiest other worker, if it has no more connections than `me`.
    fn emptier(&self, me: usize) -> Option<usize> {
        let (index, load) = self.others(me).min_by_key(|(_, load)| *load)?;
        (load <= self.workers[me].load).then_some(index)
    }

    fn share(&self, me: usize) -> u64 {
        let own = self.workers[me].load;
        let mut loads: Vec<u64> =
            std::iter::once(own).chain(self.others(me).map(|(_, load)| load)).collect();
        level(&mut loads, self.queue).saturating_sub(own).min(self.queue)
    }

    /// All possible next worlds.
    fn next(&self, fault: Fault) -> Vec<Self> {
        let mut all: Vec<Self> =
            (0..self.count).filter_map(|worker| self.after(worker, fault)).collect();
        if self.to_come > 0 {
            all.push(Self { queue: self.queue + 1, to_come: self.to_come - 1, ..*self });
        }
        all
    }

    /// The world after the next step of a worker; `None` if it waits.
    fn after(&self, me: usize, fault: Fault) -> Option<Self> {
        let mut world = *self;
        let step = match self.workers[me].step {
            Step::SetPolling => {
                world.workers[me].is_polling = true;
                if fault == Fault::NoAnswerBeforePoll {
                    Step::Compare
                } else {
                    Step::AnswerBeforePoll
                }
            }
            Step::AnswerBeforePoll => {
                let was_kicked = std::mem::take(&mut world.workers[me].is_kicked);
                world.workers[me].is_watching |= was_kicked;
                if was_kicked { Step::Poll } else { Step::Compare }
            }
            Step::Compare => {
                let own = self.workers[me].load;
                world.workers[me].is_watching |= self.others(me).all(|(_, load)| load >= own);
                Step::Poll
            }
            Step::Poll => {
                let Worker { is_watching, is_woken, .. } = self.workers[me];
                if !(is_woken || is_watching && self.queue > 0) {
                    return None;
                }
                Step::SetWorking
            }
            Step::SetWorking => {
                world.workers[me].is_polling = false;
                Step::AnswerEvent
            }
            Step::AnswerEvent => {
                let was_kicked = std::mem::take(&mut world.workers[me].is_kicked);
                world.workers[me].was_kicked = was_kicked;
                world.workers[me].is_watching |= was_kicked;
                Step::Look
            }
            Step::Look => match self.queue {
                0 => Step::Clear { took: false },
                waiting => Step::Accept { share: self.share(me), waiting, took: false },
            },
            Step::Accept { share: 0, waiting, took } => {
                world.workers[me].took = took;
                if waiting > 0 { Step::Choose } else { Step::Clear { took } }
            }
            // Another worker was faster.
            Step::Accept { took, .. } if self.queue == 0 => Step::Clear { took },
            Step::Accept { share, waiting, .. } => {
                world.queue -= 1;
                world.workers[me].load += 1;
                Step::Accept { share: share - 1, waiting: waiting - 1, took: true }
            }
            Step::Choose => match self.emptier(me) {
                None => Step::Clear { took: self.workers[me].took },
                Some(_) if fault == Fault::NoKick => Step::Unwatch,
                Some(other) if fault == Fault::WakeBeforeKick => {
                    let is_asleep = self.workers[other].is_polling;
                    if is_asleep { Step::Kick { other } } else { Step::KickUnseen { other } }
                }
                Some(other) => Step::Kick { other },
            },
            Step::Kick { other } => {
                let is_first = !std::mem::replace(&mut world.workers[other].is_kicked, true);
                if is_first { Step::Wake { other } } else { Step::Unwatch }
            }
            Step::KickUnseen { other } => {
                world.workers[other].is_kicked = true;
                Step::Unwatch
            }
            Step::Wake { other } => {
                let is_asleep = self.workers[other].is_polling;
                world.workers[other].is_woken |= is_asleep;
                Step::Unwatch
            }
            Step::Unwatch => {
                world.workers[me].is_watching = false;
                Step::Clear { took: self.workers[me].took }
            }
            Step::Clear { took } => {
                if !took || self.workers[me].was_kicked {
                    world.workers[me].is_woken = false;
                }
                world.workers[me].took = false;
                world.workers[me].was_kicked = false;
                Step::SetPolling
            }
        };
        world.workers[me].step = step;
        Some(world)
    }
}

/// Returns a world in which nothing happens any more although somebody waits, and how many worlds
/// were seen.
fn search(loads: &[u64], to_come: u64, fault: Fault) -> (Option<World>, usize) {
    let mut known = HashSet::new();
    let mut open = vec![World::new(loads, to_come)];
    while let Some(world) = open.pop() {
        if !known.insert(world) {
            continue;
        }
        let next = world.next(fault);
        let is_kicked = world.workers.iter().any(|worker| worker.is_kicked);
        if next.is_empty() && (world.queue > 0 || is_kicked) {
            return (Some(world), known.len());
        }
        open.extend(next);
    }
    (None, known.len())
}

#[test]
fn no_connection_waits_for_a_timer_while_workers_answer() {
    for (loads, to_come) in [
        (&[0, 0][..], 4),
        (&[0, 3], 4),
        (&[5, 1], 3),
        (&[1, 0], 4),
        (&[0, 0, 0], 2),
        (&[0, 2, 1], 2),
    ] {
        let (lost, worlds) = search(loads, to_come, Fault::None);
        assert!(lost.is_none(), "{loads:?} {to_come}: {lost:#?}");
        assert!(worlds > 100, "{worlds}");
    }
}

#[test]
fn a_kick_protocol_with_a_fault_is_found_out() {
    for fault in [Fault::NoAnswerBeforePoll, Fault::WakeBeforeKick, Fault::NoKick] {
        let is_found =
            [&[0, 0][..], &[0, 3], &[1, 0]].iter().any(|loads| search(loads, 4, fault).0.is_some());
        assert!(is_found, "{fault:?}");
    }
}

//! Both masters with a channel between them, and random deaths, delays and refusals.

use std::collections::VecDeque;

use fastrand::Rng;

use crate::clock::MAX_WAIT;
use crate::handover::{
    Heir, HeirAction, HeirEvent, Predecessor, PredecessorAction, PredecessorEvent,
};
use crate::protocol::handover::{FromHeir, PROTOCOL, ToHeir};
use crate::protocol::worker::Exit;

const SEEDS: u64 = 4_000;
const STEPS: usize = 60;
const TIMEOUT: u64 = 10_000;

/// What one master does for clients and commands.
#[derive(Debug, Default)]
struct Side {
    is_dead: bool,
    /// Its workers take connections.
    serves: bool,
    /// It answers commands.
    commands: bool,
}

struct World {
    random: Rng,
    now: u64,
    predecessor: Predecessor,
    heir: Heir,
    old: Side,
    new: Side,
    to_heir: VecDeque<ToHeir>,
    from_heir: VecDeque<FromHeir>,
    has_told: (bool, bool),
    result: Option<Result<(), String>>,
    owns: bool,
    /// The heir ends on purpose, after it took over.
    is_leaving: bool,
}

impl World {
    fn new(seed: u64) -> Self {
        let hello = FromHeir::Hello { protocol: PROTOCOL, version: "1.0.0".into(), pid: 7 };
        Self {
            random: Rng::with_seed(seed),
            now: 0,
            predecessor: Predecessor::begin(7, 0, TIMEOUT, 1_000),
            heir: Heir::new(),
            old: Side { serves: true, commands: true, ..Side::default() },
            new: Side::default(),
            to_heir: VecDeque::new(),
            from_heir: VecDeque::from([hello]),
            has_told: (false, false),
            result: None,
            owns: false,
            is_leaving: false,
        }
    }

    fn tell_old(&mut self, event: PredecessorEvent) {
        if self.old.is_dead || self.result.is_some() {
            return;
        }
        for action in self.predecessor.on_event(event, self.now) {
            assert!(self.result.is_none(), "nothing follows the answer");
            match action {
                PredecessorAction::Send(message) => self.to_heir.push_back(message),
                PredecessorAction::Terminate => self.tell_heir(HeirEvent::Ending),
                PredecessorAction::Kill => self.kill_heir(),
                PredecessorAction::StepDown { .. } => {
                    (self.old.serves, self.old.commands) = (false, false);
                }
                PredecessorAction::Reclaim => {
                    assert!(self.new.is_dead, "two masters would have everything");
                    self.old.commands = true;
                }
                PredecessorAction::Return => self.old.serves = true,
                PredecessorAction::Keep
                | PredecessorAction::OutliveHeir
                | PredecessorAction::Announce(_) => {}
                PredecessorAction::Finish(result) => self.result = Some(result),
            }
        }
    }

    fn tell_heir(&mut self, event: HeirEvent) {
        if self.new.is_dead {
            return;
        }
        for action in self.heir.on_event(event) {
            match action {
                HeirAction::Send(message) => {
                    self.is_leaving |= message == FromHeir::Leaving;
                    self.from_heir.push_back(message);
                }
                HeirAction::TakeCharge => {
                    self.new.commands = true;
                    self.tell_heir(HeirEvent::InCharge { monitor: true, pids: true });
                }
                HeirAction::StepBack => self.new.commands = false,
                HeirAction::Own { .. } => {
                    assert!(!std::mem::replace(&mut self.owns, true), "it owns them once");
                    assert!(self.new.serves, "what has given up owns nothing");
                }
                HeirAction::GiveBack | HeirAction::End { .. } => self.new.serves = false,
                HeirAction::OwnAlone
                | HeirAction::Switch { .. }
                | HeirAction::Count { .. }
                | HeirAction::Forget => {}
            }
        }
    }

    fn kill_heir(&mut self) {
        self.new.is_dead = true;
    }

    /// Tells each side of the other's end, after all messages that it had sent.
    fn tell_ends(&mut self) {
        if self.new.is_dead && self.from_heir.is_empty() && !self.has_told.0 {
            self.has_told.0 = true;
            if self.random.bool() {
                self.tell_old(PredecessorEvent::Closed);
            }
            let exit = Some(Exit::Code(1));
            self.tell_old(PredecessorEvent::Exited { exit, lines: Vec::new() });
        }
        if self.old.is_dead && self.to_heir.is_empty() && !self.has_told.1 {
            self.has_told.1 = true;
            self.tell_heir(HeirEvent::Closed);
        }
    }

    fn step(&mut self) {
        self.now += self.random.u64(0..2_000);
        match self.random.u32(0..24) {
            0 => self.kill_heir(),
            1 if self.random.bool() => self.old.is_dead = true,
            2 => self.tell_heir(HeirEvent::Lost { reason: "crash".into() }),
            3 => {
                let abrupt = self.random.bool();
                self.tell_old(PredecessorEvent::Cancel { reason: "it ends".into(), abrupt });
            }
            4 if self.random.bool() => self.tell_heir(HeirEvent::Ending),
            5..=7 if self.new.serves => self.tell_heir(HeirEvent::Settled { adopted: vec![1] }),
            8..=13 => self.deliver_to_heir(),
            14..=19 => self.deliver_to_old(),
            20 => self.tell_ends(),
            _ => self.tell_old(PredecessorEvent::Tick),
        }
        self.check();
    }

    fn deliver_to_heir(&mut self) {
        if let Some(message) = self.to_heir.pop_front() {
            self.tell_heir(HeirEvent::Message(message));
        }
    }

    fn deliver_to_old(&mut self) {
        if let Some(message) = self.from_heir.pop_front() {
            self.tell_old(PredecessorEvent::Message(message));
        }
    }

    /// Whether the old master will learn of the heir's end, and return.
    fn is_about_to_return(&self) -> bool {
        self.new.is_dead && self.result.is_none()
    }

    fn check(&self) {
        if self.is_leaving {
            return;
        }
        if !self.old.is_dead && !self.old.serves && self.result.is_none() {
            let heir_serves = !self.new.is_dead && self.new.serves;
            assert!(heir_serves || self.is_about_to_return(), "somebody serves");
        }
        if !self.old.is_dead && !self.old.commands && !self.new.is_dead {
            assert!(self.new.commands, "somebody answers commands");
        }
        if self.heir.is_owner() && !self.new.is_dead {
            assert!(self.old.is_dead || !self.old.serves, "both would own the sockets");
        }
    }

    /// Lets everything come to an end without further faults.
    fn settle(&mut self) {
        for _ in 0..100 {
            self.deliver_to_heir();
            self.deliver_to_old();
            self.tell_ends();
            // An heir that was asked to end does so.
            if !self.new.serves && !self.heir.is_on_trial() && self.from_heir.is_empty() {
                self.kill_heir();
            }
            for _ in 0..8 {
                self.now += MAX_WAIT;
                self.tell_old(PredecessorEvent::Tick);
            }
            if self.predecessor.has_stepped_down() && self.new.is_dead == self.has_told.0 {
                self.tell_old(PredecessorEvent::Drained);
            }
            self.check();
        }
    }
}

#[test]
fn whatever_dies_and_whenever_somebody_serves_and_the_upgrade_has_one_answer() {
    let (mut done, mut undone) = (0, 0);
    for seed in 0..SEEDS {
        let mut world = World::new(seed);
        world.new.serves = true;
        let steps = world.random.usize(0..STEPS);
        (0..steps).for_each(|_| world.step());
        world.settle();
        if world.old.is_dead {
            assert!(world.new.is_dead || world.owns || !world.new.serves, "seed {seed}");
            continue;
        }
        let result = world.result.as_ref().unwrap_or_else(|| panic!("seed {seed}: no answer"));
        match result {
            Ok(()) => done += 1,
            Err(_) => {
                undone += 1;
                let old = &world.old;
                assert!(
                    world.is_leaving || old.serves && old.commands,
                    "seed {seed}: not undone: {result:?}"
                );
            }
        }
    }
    assert!(done > 50 && undone > 50, "{done} done, {undone} undone");
}

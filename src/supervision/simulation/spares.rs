//! What spares promise.

use super::world::World;
use crate::supervision::{Action, Event};

impl World {
    /// Never more workers serve than should, nor more spares wait; and no spare that exists stays
    /// one while fewer serve.
    pub(super) fn check_spares(&self) {
        if !self.supervisor.is_running() {
            return;
        }
        let (serving, target) =
            (self.supervisor.serving_count(), self.supervisor.target() as usize);
        assert!(serving <= target, "{serving} of {target} workers serve");
        let spares = self.spares();
        let most = self.supervisor.spares() as usize;
        assert!(spares <= most, "{spares} of {most} spares");
        assert!(
            serving == target || !self.has_spare(),
            "a spare idles, {serving} of {target} serve"
        );
    }

    /// How many spares hold a slot.
    fn spares(&self) -> usize {
        let workers = self.supervisor.workers();
        let spares = workers.filter(|(_, worker)| worker.is_spare && worker.is_open());
        spares.filter(|(id, _)| self.supervisor.has_slot(*id)).count()
    }

    /// Whether there is a spare that could be activated.
    fn has_spare(&self) -> bool {
        let mut workers = self.supervisor.workers();
        workers.any(|(id, worker)| {
            let exists = worker.is_spare && worker.is_open() && worker.pid.is_some();
            exists && !worker.is_ending && self.supervisor.has_slot(id)
        })
    }

    /// Whether an event is the loss of a worker that serves, for which there is a spare.
    pub(super) fn expect_activation(&self, event: &Event) -> bool {
        let (Event::Ending { worker } | Event::Exited { worker, .. } | Event::Leaving { worker }) =
            event
        else {
            return false;
        };
        let lost = self.supervisor.worker(*worker);
        let replacements = &self.supervisor.replacements;
        let is_replaced = replacements.current().is_some() || replacements.is_reloading();
        lost.is_some_and(|lost| lost.is_serving())
            && self.supervisor.has_slot(*worker)
            && self.supervisor.is_running()
            && !is_replaced
            && self.has_spare()
    }

    /// Each loss of a worker that serves activates one spare. `expected`: the event is such a loss.
    pub(super) fn check_activations(&self, expected: bool, actions: &[Action]) {
        let activated =
            actions.iter().filter(|action| matches!(action, Action::Activate { .. })).count();
        let expected = expected && self.supervisor.is_running();
        assert!(!expected || activated == 1, "{activated} spares were activated for one loss");
    }
}

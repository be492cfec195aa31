//! The client's gate and retry budget by themselves. They are private, so their sources are compiled once more here.

use budget::{Bucket, RetryBudget};
use event::Observer;
use gate::Gate;
use tokio::time::Instant;

#[path = "../../../src"]
#[allow(dead_code, unreachable_pub, reason = "compiled for a part of what it offers")]
mod sources {
    #[path = "retry/budget.rs"]
    pub(crate) mod budget;
    pub(crate) mod event;
    pub(crate) mod gate;
}
pub(crate) use sources::{budget, event, gate};

/// What every call passes on its way out and back.
pub struct Turnstile {
    gate: Gate,
    budget: Bucket,
}

impl Turnstile {
    pub fn new() -> Self {
        Self { gate: Gate::new(1_000, Observer::default()), budget: Bucket::new(RetryBudget::new()) }
    }

    /// Does what one healthy call does here: it enters, its answer comes, and the budget gets its token.
    pub fn pass(&self) {
        let pass = self.gate.enter_at_once(Instant::now()).expect("the open gate lets everyone through");
        pass.took(Instant::now(), None);
        self.budget.deposit(1);
    }
}

//! The client's gate and retry budget by themselves. They are private, so their sources are compiled once more here.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use budget::{Bucket, RetryBudget};
use event::Observer;
use gate::{Gate, Patience, Verdict};
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
    deadline: Instant,
}

impl Turnstile {
    pub fn new() -> Self {
        let day = Duration::from_secs(86_400);
        Self {
            gate: Gate::new(1_000, Observer::default()),
            budget: Bucket::new(RetryBudget::new()),
            deadline: Instant::now() + day,
        }
    }

    /// Does what one healthy call does here: it enters, its answer comes, and the budget gets its token.
    pub fn pass(&self) {
        let patience = Patience { deadline: Some(self.deadline), max_wait: Duration::from_secs(60) };
        let entering = pin!(self.gate.enter(Instant::now(), 0, patience));
        let Poll::Ready(Ok(pass)) = entering.poll(&mut Context::from_waker(Waker::noop())) else {
            panic!("the open gate let a call wait");
        };
        pass.answered(Instant::now(), Verdict::Took, None, |_| Duration::ZERO, |_| Duration::ZERO);
        self.budget.deposit(1);
    }
}

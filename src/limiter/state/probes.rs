//! Probes: single requests that find out whether the service accepts more than the known limit.

use crate::limiter::ledger::{Seconds, Sent};

/// The fraction of the limit that may be probed beyond it in one window; it doubles with success. Chosen by simulation.
const BEYOND: f64 = 0.25;
/// After a throttled probe, the next of its kind waits this many times the delay that it caused. Chosen by simulation.
pub(super) const COST: f64 = 20.0;

/// The minimum number of accepted early probes that prove a shorter window.
const LEAST_TRIAL: usize = 10;

/// Probes of one kind.
#[derive(Debug, Default)]
pub(super) struct Series {
    /// The probes without a response.
    pub(super) open: usize,
    /// When the next probe may start.
    pub(super) next: Seconds,
}

impl Series {
    pub(super) fn sent(&mut self) {
        self.open = self.open.saturating_add(1);
    }

    pub(super) fn settled(&mut self) {
        self.open = self.open.saturating_sub(1);
    }
}

/// A shorter window that is being tried.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trial {
    pub(super) length: Seconds,
    pub(super) since: Seconds,
    pub(super) accepted: usize,
    /// The longest time after which a place was used again.
    pub(super) longest: Seconds,
}

/// The probes of a lane.
#[derive(Debug)]
pub(super) struct Probes {
    /// Requests beyond the limit.
    pub(super) beyond: Series,
    /// Requests before their place in the window has come.
    pub(super) early: Series,
    /// Probes of a used-up quota without a response.
    pub(super) quota: usize,
    pub(super) trial: Option<Trial>,
    pub(super) early_failed: i32,
    /// The part of the limit that may be probed in this window; probes accepted in it, and in a row.
    pub(super) part: f64,
    pub(super) credit: usize,
    pub(super) in_a_row: usize,
}

impl Default for Probes {
    fn default() -> Self {
        let (beyond, early) = (Series::default(), Series::default());
        Self { beyond, early, quota: 0, trial: None, early_failed: 0, part: BEYOND, credit: 0, in_a_row: 0 }
    }
}

impl Probes {
    /// Begins the next window.
    pub(super) fn next_window(&mut self) {
        if self.credit > 0 {
            (self.credit, self.part) = (0, (self.part * 2.0).min(1.0));
        }
    }

    /// Starts over after a throttling response.
    pub(super) fn throttled(&mut self) {
        (self.credit, self.in_a_row, self.part, self.trial) = (0, 0, BEYOND, None);
    }

    pub(super) fn beyond_accepted(&mut self) {
        self.credit = self.credit.saturating_add(1);
        self.in_a_row = self.in_a_row.saturating_add(1);
    }

    /// Records an early probe that uses a place again after `age` seconds.
    pub(super) fn early_sent(&mut self, age: Seconds) {
        self.early.sent();
        if let Some(trial) = &mut self.trial {
            trial.longest = trial.longest.max(age);
        }
    }

    /// Records an accepted early probe. Returns the tried length once a full window was accepted with it.
    pub(super) fn early_accepted(&mut self, sent: Sent, limit: usize, least: Seconds) -> Option<Seconds> {
        let trial = self.trial.as_mut()?;
        trial.accepted = trial.accepted.saturating_add(1);
        if trial.accepted < limit.max(LEAST_TRIAL) || sent.at - trial.since < least {
            return None;
        }
        let length = trial.longest;
        (self.trial, self.early_failed) = (None, 0);
        Some(length)
    }
}

//! What a service's refusals and quotas teach about its limit, and so how many requests may be under way.
//!
//! Pure: every method takes the time and returns what follows.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// So many requests are remembered to learn what a window takes. A service that takes more is not held to them.
const REMEMBERED: usize = 4096;

/// After so many windows without a refusal the limit is forgotten.
const CLEAN_WINDOWS: u32 = 10;

/// With each so many scouts that came back well, one more may be out at the same time.
const SCOUTS_TO_WIDEN: u32 = 16;

/// What is known of a service's limit.
#[derive(Debug)]
pub(super) struct Pace {
    phase: Phase,
    /// Counts the reopenings, so that answers are counted for the window in which their requests were sent.
    window: u64,
    /// How many requests of the present window the service took.
    taken: u32,
    /// Whether `taken` was learned in a window of its own, and not at the end of a time without a limit, which may have
    /// taken more than a window will: a burst that had been saved up, say.
    is_certain: bool,
    /// Refusals in a row that named no wait.
    unhinted: u32,
    quota: Option<Quota>,
}

#[derive(Debug)]
enum Phase {
    /// No limit is known. The times at which the last taken requests were sent are remembered.
    Free(VecDeque<Instant>),
    /// The service refused; nothing starts before `until`.
    Closed { until: Instant, since: Instant, length: Duration },
    /// The service was asked again. `allowance` requests may start, then scouts.
    Window { began: Instant, length: Duration, allowance: u32, started: u32, clean: u32 },
}

/// What the service itself says of its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Quota {
    /// How many more requests it takes.
    pub(crate) remaining: u64,
    /// Until when.
    pub(crate) reset: Instant,
}

/// Whether a request may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// Now.
    Now,
    /// Not before this time, whatever else happens.
    NotBefore(Instant),
    /// When one that is under way has come back, or at this time if that is given.
    WhenAnswered(Option<Instant>),
}

/// When a request was sent, and in which window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    window: u64,
    at: Instant,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self { phase: Phase::Free(VecDeque::new()), window: 0, taken: 0, is_certain: false, unhinted: 0, quota: None }
    }

    /// Whether a request may start while `in_flight` are under way.
    pub(super) fn admission(&self, now: Instant, in_flight: usize) -> Admission {
        if let Some(quota) = &self.quota
            && quota.remaining == 0
        {
            if now < quota.reset {
                return Admission::NotBefore(quota.reset);
            }
            // What the new window takes is not known until one answer has come.
            if in_flight > 0 {
                return Admission::WhenAnswered(None);
            }
        }
        match self.phase {
            Phase::Closed { until, .. } if now < until => Admission::NotBefore(until),
            Phase::Free(_) | Phase::Closed { .. } => Admission::Now,
            Phase::Window { began, length, allowance, started, .. } => {
                let at_most = match allowance.saturating_sub(started) {
                    0 => 1 + self.taken.saturating_sub(allowance) / SCOUTS_TO_WIDEN,
                    left if self.is_certain => left,
                    // Fewer at a time towards the end, so that a window that takes less costs few refusals.
                    left => left.div_ceil(2),
                };
                if in_flight < at_most as usize {
                    Admission::Now
                } else {
                    Admission::WhenAnswered(began.checked_add(length))
                }
            }
        }
    }

    /// A new window begins where its time has come. Says whether that reopened the gate.
    pub(super) fn advance(&mut self, now: Instant, in_flight: usize) -> bool {
        match &mut self.phase {
            Phase::Closed { until, length, .. } if now >= *until => {
                let (allowance, length) = (self.taken, *length);
                self.phase = Phase::Window { began: now, length, allowance, started: 0, clean: 0 };
                self.begin_window();
                true
            }
            Phase::Window { began, length, allowance, started, clean }
                if now.saturating_duration_since(*began) >= *length =>
            {
                *clean += 1;
                if *clean >= CLEAN_WINDOWS {
                    self.phase = Phase::Free(VecDeque::new());
                } else {
                    *allowance = (*allowance).max(self.taken);
                    (*began, *started) = (now, u32::try_from(in_flight).unwrap_or(u32::MAX));
                }
                self.begin_window();
                false
            }
            Phase::Free(_) | Phase::Closed { .. } | Phase::Window { .. } => false,
        }
    }

    fn begin_window(&mut self) {
        self.window += 1;
        self.taken = 0;
    }

    /// A request starts.
    pub(super) fn started(&mut self, now: Instant) -> Sent {
        if let Phase::Window { started, .. } = &mut self.phase {
            *started = started.saturating_add(1);
        }
        if let Some(quota) = &mut self.quota {
            quota.remaining = quota.remaining.saturating_sub(1);
        }
        Sent { window: self.window, at: now }
    }

    /// A request that was to start was not sent.
    pub(super) fn recalled(&mut self) {
        if let Phase::Window { started, .. } = &mut self.phase {
            *started = started.saturating_sub(1);
        }
        if let Some(quota) = &mut self.quota {
            quota.remaining = quota.remaining.saturating_add(1);
        }
    }

    /// The service took a request.
    pub(super) fn took(&mut self, sent: Sent) {
        self.unhinted = 0;
        if sent.window != self.window {
            return;
        }
        match &mut self.phase {
            Phase::Free(times) => {
                if times.len() >= REMEMBERED {
                    times.pop_front();
                }
                times.push_back(sent.at);
            }
            Phase::Closed { since, length, .. } => {
                if since.saturating_duration_since(sent.at) <= *length {
                    self.taken = self.taken.saturating_add(1);
                }
            }
            Phase::Window { .. } => self.taken = self.taken.saturating_add(1),
        }
    }

    /// The service refused a request and asked for a wait of `length`. Says whether that closed the gate.
    pub(super) fn refused(&mut self, now: Instant, length: Duration, spread: Duration) -> bool {
        let until = later(now, length);
        match &mut self.phase {
            Phase::Closed { until: present, .. } => {
                *present = until.max(*present);
                return false;
            }
            Phase::Free(times) => {
                let recent = times.iter().filter(|sent| now.saturating_duration_since(**sent) <= length);
                self.taken = u32::try_from(recent.count()).unwrap_or(u32::MAX);
                self.is_certain = false;
            }
            Phase::Window { .. } => self.is_certain = true,
        }
        self.phase = Phase::Closed { until: later(until, spread), since: now, length };
        true
    }

    /// How many refusals in a row named no wait, this one included.
    pub(super) fn unhinted(&mut self) -> u32 {
        self.unhinted = self.unhinted.saturating_add(1);
        self.unhinted
    }

    /// The service told its quota, in an answer that left `in_flight` others under way: it may not have counted them yet.
    pub(super) fn told(&mut self, told: Quota, in_flight: usize) {
        const SAME_WINDOW: Duration = Duration::from_millis(1500);
        let remaining = told.remaining.saturating_sub(in_flight as u64);
        match &mut self.quota {
            Some(known) if later(told.reset, SAME_WINDOW) < known.reset => {} // an answer from before
            Some(known) if told.reset <= later(known.reset, SAME_WINDOW) => {
                known.remaining = known.remaining.min(remaining);
                known.reset = known.reset.max(told.reset);
            }
            Some(_) | None => self.quota = Some(Quota { remaining, ..told }),
        }
    }

    /// Until when nothing can start, if the gate is closed.
    pub(super) fn closed_until(&self, now: Instant) -> Option<Instant> {
        match self.admission(now, 0) {
            Admission::NotBefore(until) => Some(until),
            Admission::Now | Admission::WhenAnswered(_) => None,
        }
    }
}

/// `time + wait`, or, where no clock reaches, ten years on.
pub(super) fn later(time: Instant, wait: Duration) -> Instant {
    const TEN_YEARS: Duration = Duration::from_secs(10 * 365 * 86_400);
    time.checked_add(wait.min(TEN_YEARS)).unwrap_or(time)
}

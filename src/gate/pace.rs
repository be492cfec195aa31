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

/// A quota whose reset is further off, or not ahead, is not believed: it may count in another unit, and a service that means
/// it refuses.
const FURTHEST_RESET: Duration = Duration::from_secs(3600);

/// If a request that others wait for gets no answer for so long, the next may go.
const SCOUT_PATIENCE: Duration = Duration::from_secs(2);

/// What is known of a service's limit.
#[derive(Debug)]
pub(super) struct Pace {
    phase: Phase,
    /// Counts the windows, so that answers are counted for the one in which their requests were sent.
    window: u64,
    /// How many requests of the present window have not been answered.
    unanswered: u32,
    /// How many requests of the present window the service took.
    taken: u32,
    /// Whether `taken` was learned in a window of its own, and not at the end of a time without a limit, which may have
    /// taken more than a window will: a burst that had been saved up, say.
    is_certain: bool,
    /// Refusals in a row that named no wait.
    unhinted: u32,
    /// How many requests have been sent.
    sends: u64,
    /// When the last was sent.
    last_sent: Option<Instant>,
    quota: Option<Known>,
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

/// What the service itself says of its limit, in one answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Quota {
    /// How many more requests it takes.
    pub(crate) remaining: u64,
    /// Until when.
    pub(crate) reset: Instant,
}

/// The quota as far as it is known.
#[derive(Debug)]
struct Known {
    /// How many more requests may start.
    remaining: u64,
    reset: Instant,
    /// How many requests had been sent when it was told. Answers to later ones know more than this.
    as_of: u64,
}

/// Whether a request may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// Now.
    Now,
    /// Not before this time, whatever else happens.
    NotBefore(Instant),
    /// When one that is under way has come back, or at this time at the latest.
    WhenAnswered(Instant),
}

/// When a request was sent, as which, and in which window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    window: u64,
    number: u64,
    pub(super) at: Instant,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self {
            phase: Phase::Free(VecDeque::new()),
            window: 0,
            unanswered: 0,
            taken: 0,
            is_certain: false,
            unhinted: 0,
            sends: 0,
            last_sent: None,
            quota: None,
        }
    }

    /// Whether no limit is known, so that a request may start at any time.
    pub(super) fn is_free(&self) -> bool {
        matches!(self.phase, Phase::Free(_)) && self.quota.is_none()
    }

    /// Whether a request may start.
    pub(super) fn admission(&self, now: Instant) -> Admission {
        if let Some(until) = self.closed_until(now) {
            return Admission::NotBefore(until);
        }
        let patience_ends = || self.last_sent.map_or(now, |last| later(last, SCOUT_PATIENCE));
        // What a new window's quota is, one request finds out.
        if let Some(Known { reset, .. }) = &self.quota
            && now >= *reset
            && self.last_sent.is_some_and(|last| last >= *reset)
            && now < patience_ends()
        {
            return Admission::WhenAnswered(patience_ends());
        }
        match self.phase {
            Phase::Free(_) | Phase::Closed { .. } => Admission::Now,
            Phase::Window { began, length, allowance, started, .. } => {
                let at_most = match allowance.saturating_sub(started) {
                    0 => (self.taken.saturating_sub(allowance) / SCOUTS_TO_WIDEN).saturating_add(1),
                    left if self.is_certain => left,
                    // Fewer at a time towards the end, so that a window that takes less costs few refusals.
                    left => left.div_ceil(2),
                };
                let patience_ends = patience_ends();
                if self.unanswered < at_most || patience_ends <= now {
                    Admission::Now
                } else {
                    Admission::WhenAnswered(patience_ends.min(later(began, length)))
                }
            }
        }
    }

    /// Until when nothing can start, if the gate is closed.
    pub(super) fn closed_until(&self, now: Instant) -> Option<Instant> {
        let refused = match self.phase {
            Phase::Closed { until, .. } => Some(until),
            Phase::Free(_) | Phase::Window { .. } => None,
        };
        let used_up = self.quota.as_ref().filter(|quota| quota.remaining == 0).map(|quota| quota.reset);
        refused.max(used_up).filter(|until| now < *until)
    }

    /// A new window begins where its time has come. Says whether that reopened the gate.
    pub(super) fn advance(&mut self, now: Instant) -> bool {
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
                *clean = clean.saturating_add(1);
                if *clean >= CLEAN_WINDOWS {
                    self.phase = Phase::Free(VecDeque::new());
                } else {
                    *allowance = (*allowance).max(self.taken);
                    (*began, *started) = (now, 0);
                }
                self.begin_window();
                false
            }
            Phase::Free(_) | Phase::Closed { .. } | Phase::Window { .. } => false,
        }
    }

    fn begin_window(&mut self) {
        self.window = self.window.saturating_add(1);
        (self.taken, self.unanswered) = (0, 0);
    }

    /// A request starts.
    pub(super) fn started(&mut self, now: Instant) -> Sent {
        if let Phase::Window { started, .. } = &mut self.phase {
            *started = started.saturating_add(1);
        }
        if self.last_sent.is_some_and(|last| later(last, SCOUT_PATIENCE) <= now) {
            self.unanswered = 0; // nobody waits for those any longer
        }
        self.unanswered = self.unanswered.saturating_add(1);
        self.sends = self.sends.saturating_add(1);
        self.last_sent = Some(now);
        if let Some(quota) = self.quota.as_mut().filter(|quota| now < quota.reset) {
            quota.remaining = quota.remaining.saturating_sub(1);
        }
        Sent { window: self.window, number: self.sends, at: now }
    }

    /// A request that was to start was not sent, or not a byte of it.
    pub(super) fn unsent(&mut self, sent: Sent) {
        if let Phase::Window { started, .. } = &mut self.phase
            && sent.window == self.window
        {
            *started = started.saturating_sub(1);
        }
        if let Some(quota) = &mut self.quota {
            quota.remaining = quota.remaining.saturating_add(1);
        }
        self.last_sent = None;
        self.ended(sent);
    }

    /// A request is under way no longer.
    pub(super) fn ended(&mut self, sent: Sent) {
        if sent.window == self.window {
            self.unanswered = self.unanswered.saturating_sub(1);
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

    /// The service refused a request and asked for a wait of `length`. Says whether that closed the gate, or for longer.
    pub(super) fn refused(&mut self, sent: Sent, now: Instant, length: Duration, spread: Duration) -> bool {
        let until = later(now, length);
        match &mut self.phase {
            Phase::Closed { until: present, .. } => {
                let is_longer = until > *present;
                *present = until.max(*present);
                return is_longer;
            }
            Phase::Free(times) => {
                let recent = times.iter().filter(|sent| now.saturating_duration_since(**sent) <= length);
                self.taken = u32::try_from(recent.count()).unwrap_or(u32::MAX);
                self.is_certain = false;
            }
            // A refusal from before the window says nothing of what the window takes.
            Phase::Window { allowance, .. } if sent.window != self.window => self.taken = self.taken.max(*allowance),
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

    /// An answer came to the request `sent`, while `in_flight` others were under way, which the service may not have
    /// counted yet. Answers come in any order, so one to a request that was sent before the quota was last told can only
    /// lower it.
    pub(super) fn told(&mut self, told: Option<Quota>, sent: Sent, now: Instant, in_flight: usize) {
        let told = told.filter(|told| now < told.reset && told.reset <= later(now, FURTHEST_RESET));
        match (&mut self.quota, told) {
            (Some(known), Some(told)) if sent.number <= known.as_of => {
                known.remaining = known.remaining.min(told.remaining.saturating_sub(in_flight as u64));
            }
            (_, Some(Quota { remaining, reset })) => {
                let remaining = remaining.saturating_sub(in_flight as u64);
                self.quota = Some(Known { remaining, reset, as_of: self.sends });
            }
            // Its time is over, and the service tells no other.
            (Some(known), None) if now >= known.reset && sent.number > known.as_of => self.quota = None,
            (Some(_) | None, None) => {}
        }
    }
}

/// `time + wait`, or, where no clock reaches, ten years on.
pub(crate) fn later(time: Instant, wait: Duration) -> Instant {
    const TEN_YEARS: Duration = Duration::from_secs(10 * 365 * 86_400);
    time.checked_add(wait.min(TEN_YEARS)).unwrap_or(time)
}

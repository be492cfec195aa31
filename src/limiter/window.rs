//! The service's limit, learned from throttling responses and reported quotas.
//!
//! Pure: every method takes the time and returns what follows.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// The number of accepted requests that are remembered to learn a window's limit. A service that accepts more in a
/// window
/// is not held to them.
const REMEMBERED: usize = 4096;

/// The number of windows without a throttling response after which the limit is forgotten.
const CLEAN_WINDOWS: u32 = 10;

/// The number of successful probes that allow one more probe in flight.
const PROBES_TO_WIDEN: u32 = 16;

/// The latest reset of a reported quota that is trusted, counted from now. A later one may use another unit, and a
/// service
/// that enforces it throttles anyway.
const LATEST_RESET: Duration = Duration::from_secs(3600);

/// The time after which a request that others wait for no longer holds them back.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// The learned limit of a service.
#[derive(Debug)]
pub(super) struct Window {
    phase: Phase,
    /// The number of the present window. A response counts for the window in which its request was sent.
    number: u64,
    /// The requests of the present window without a response.
    unanswered: u32,
    /// The requests of the present window that the service accepted.
    accepted: u32,
    /// True if `accepted` was learned in a window of its own. A time without a known limit may have accepted more
    /// than a
    /// window will, such as a saved-up burst.
    is_certain: bool,
    /// The throttling responses without a hint since the last success.
    bare: u32,
    /// The requests sent so far.
    sends: u64,
    /// The time of the last send.
    last_sent: Option<Instant>,
    quota: Option<KnownQuota>,
}

#[derive(Debug)]
enum Phase {
    /// No limit is known. Holds the send times of the last accepted requests.
    Unlimited(VecDeque<Instant>),
    /// The service throttled; nothing starts before `until`.
    Paused { until: Instant, since: Instant, length: Duration },
    /// The pause is over. `allowance` requests may start, then probes.
    Limited { began: Instant, length: Duration, allowance: u32, started: u32, clean: u32 },
}

/// A quota reported by one response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Quota {
    /// The requests that the service still accepts.
    pub(crate) remaining: u64,
    /// The end of the quota's window.
    pub(crate) reset: Instant,
}

/// The reported quota, less what has been sent since.
#[derive(Debug)]
struct KnownQuota {
    /// The requests that may still start.
    remaining: u64,
    reset: Instant,
    /// The number of requests sent when it was reported. Responses to later requests supersede it.
    as_of: u64,
}

/// The earliest time at which the next request may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// The request may start now.
    Now,
    /// The request may not start before this time.
    NotBefore(Instant),
    /// The request may start once a request in flight has completed, and no later than this time.
    WhenCompleted(Instant),
}

/// The start of one request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Start {
    window: u64,
    number: u64,
    pub(super) at: Instant,
}

impl Window {
    pub(super) fn new() -> Self {
        Self {
            phase: Phase::Unlimited(VecDeque::new()),
            number: 0,
            unanswered: 0,
            accepted: 0,
            is_certain: false,
            bare: 0,
            sends: 0,
            last_sent: None,
            quota: None,
        }
    }

    /// Returns whether no limit is known, so that a request may start at any time.
    pub(super) fn is_unlimited(&self) -> bool {
        matches!(self.phase, Phase::Unlimited(_)) && self.quota.is_none()
    }

    /// Returns whether a request may start.
    pub(super) fn admission(&self, now: Instant) -> Admission {
        if let Some(until) = self.paused_until(now) {
            return Admission::NotBefore(until);
        }
        let probe_times_out = || self.last_sent.map_or(now, |last| later(last, PROBE_TIMEOUT));
        // One request finds out the quota of a new window.
        if let Some(KnownQuota { reset, .. }) = &self.quota
            && now >= *reset
            && self.last_sent.is_some_and(|last| last >= *reset)
            && now < probe_times_out()
        {
            return Admission::WhenCompleted(probe_times_out());
        }
        match self.phase {
            Phase::Unlimited(_) | Phase::Paused { .. } => Admission::Now,
            Phase::Limited { began, length, allowance, started, .. } => {
                let at_most = match allowance.saturating_sub(started) {
                    0 => (self.accepted.saturating_sub(allowance) / PROBES_TO_WIDEN).saturating_add(1),
                    left if self.is_certain => left,
                    // Fewer at a time towards the end, so that a smaller window costs few throttled requests.
                    left => left.div_ceil(2),
                };
                let probe_times_out = probe_times_out();
                if self.unanswered < at_most || probe_times_out <= now {
                    Admission::Now
                } else {
                    Admission::WhenCompleted(probe_times_out.min(later(began, length)))
                }
            }
        }
    }

    /// Returns the end of the pause, if one is in force.
    pub(super) fn paused_until(&self, now: Instant) -> Option<Instant> {
        let throttled = match self.phase {
            Phase::Paused { until, .. } => Some(until),
            Phase::Unlimited(_) | Phase::Limited { .. } => None,
        };
        let used_up = self.quota.as_ref().filter(|quota| quota.remaining == 0).map(|quota| quota.reset);
        throttled.max(used_up).filter(|until| now < *until)
    }

    /// Begins a new window if the present one has ended. Returns whether that ended a pause.
    pub(super) fn advance(&mut self, now: Instant) -> bool {
        match &mut self.phase {
            Phase::Paused { until, length, .. } if now >= *until => {
                let (allowance, length) = (self.accepted, *length);
                self.phase = Phase::Limited { began: now, length, allowance, started: 0, clean: 0 };
                self.begin_window();
                true
            }
            Phase::Limited { began, length, allowance, started, clean }
                if now.saturating_duration_since(*began) >= *length =>
            {
                *clean = clean.saturating_add(1);
                if *clean >= CLEAN_WINDOWS {
                    self.phase = Phase::Unlimited(VecDeque::new());
                } else {
                    *allowance = (*allowance).max(self.accepted);
                    (*began, *started) = (now, 0);
                }
                self.begin_window();
                false
            }
            Phase::Unlimited(_) | Phase::Paused { .. } | Phase::Limited { .. } => false,
        }
    }

    fn begin_window(&mut self) {
        self.number = self.number.saturating_add(1);
        (self.accepted, self.unanswered) = (0, 0);
    }

    /// Records the start of a request.
    pub(super) fn started(&mut self, now: Instant) -> Start {
        if let Phase::Limited { started, .. } = &mut self.phase {
            *started = started.saturating_add(1);
        }
        if self.last_sent.is_some_and(|last| later(last, PROBE_TIMEOUT) <= now) {
            self.unanswered = 0; // nothing waits for those any longer
        }
        self.unanswered = self.unanswered.saturating_add(1);
        self.sends = self.sends.saturating_add(1);
        self.last_sent = Some(now);
        if let Some(quota) = self.quota.as_mut().filter(|quota| now < quota.reset) {
            quota.remaining = quota.remaining.saturating_sub(1);
        }
        Start { window: self.number, number: self.sends, at: now }
    }

    /// Takes back a start: no byte of the request was sent.
    pub(super) fn not_sent(&mut self, start: Start) {
        if let Phase::Limited { started, .. } = &mut self.phase
            && start.window == self.number
        {
            *started = started.saturating_sub(1);
        }
        if let Some(quota) = &mut self.quota {
            quota.remaining = quota.remaining.saturating_add(1);
        }
        self.last_sent = None;
        self.ended(start);
    }

    /// Records that a request is no longer in flight.
    pub(super) fn ended(&mut self, start: Start) {
        if start.window == self.number {
            self.unanswered = self.unanswered.saturating_sub(1);
        }
    }

    /// Records that the service accepted a request.
    pub(super) fn accepted(&mut self, start: Start) {
        self.bare = 0;
        if start.window != self.number {
            return;
        }
        match &mut self.phase {
            Phase::Unlimited(times) => {
                if times.len() >= REMEMBERED {
                    times.pop_front();
                }
                times.push_back(start.at);
            }
            Phase::Paused { since, length, .. } => {
                if since.saturating_duration_since(start.at) <= *length {
                    self.accepted = self.accepted.saturating_add(1);
                }
            }
            Phase::Limited { .. } => self.accepted = self.accepted.saturating_add(1),
        }
    }

    /// Records a throttling response that calls for a pause of `length`, plus `jitter`. Returns whether that began or
    /// extended a pause.
    pub(super) fn throttled(&mut self, start: Start, now: Instant, length: Duration, jitter: Duration) -> bool {
        let until = later(now, length);
        match &mut self.phase {
            Phase::Paused { until: present, .. } => {
                let is_longer = until > *present;
                *present = until.max(*present);
                return is_longer;
            }
            Phase::Unlimited(times) => {
                let recent = times.iter().filter(|sent| now.saturating_duration_since(**sent) <= length);
                self.accepted = u32::try_from(recent.count()).unwrap_or(u32::MAX);
                self.is_certain = false;
            }
            // A request from before the window says nothing about the window's limit.
            Phase::Limited { allowance, .. } if start.window != self.number => {
                self.accepted = self.accepted.max(*allowance);
            }
            Phase::Limited { .. } => self.is_certain = true,
        }
        self.phase = Phase::Paused { until: later(until, jitter), since: now, length };
        true
    }

    /// Counts a throttling response without a hint. Returns how many there were since the last success.
    pub(super) fn count_bare(&mut self) -> u32 {
        self.bare = self.bare.saturating_add(1);
        self.bare
    }

    /// Records the quota that the response to a request reported. The service may not have counted the `in_flight`
    /// others yet. Responses overtake each other, so one to a request that was sent before the quota was last reported
    /// can only lower it.
    pub(super) fn reported(&mut self, reported: Option<Quota>, start: Start, now: Instant, in_flight: usize) {
        let reported = reported.filter(|quota| now < quota.reset && quota.reset <= later(now, LATEST_RESET));
        match (&mut self.quota, reported) {
            (Some(known), Some(reported)) if start.number <= known.as_of => {
                known.remaining = known.remaining.min(reported.remaining.saturating_sub(in_flight as u64));
            }
            (_, Some(Quota { remaining, reset })) => {
                let remaining = remaining.saturating_sub(in_flight as u64);
                self.quota = Some(KnownQuota { remaining, reset, as_of: self.sends });
            }
            // Its window is over, and the service reports no other.
            (Some(known), None) if now >= known.reset && start.number > known.as_of => self.quota = None,
            (Some(_) | None, None) => {}
        }
    }
}

/// Returns `time + wait`, at most ten years later.
pub(crate) fn later(time: Instant, wait: Duration) -> Instant {
    const TEN_YEARS: Duration = Duration::from_secs(10 * 365 * 86_400);
    time.checked_add(wait.min(TEN_YEARS)).unwrap_or(time)
}
